package commands

import (
	"cmp"
	"fmt"
	"strings"

	"esa/shell"
	"esa/store"
)

// deliveryconfig sets the interface that mail leaves by and how many
// deliveries may run at once.
func deliveryconfig() Command {
	return Command{
		Name:  "deliveryconfig",
		Short: "Configure mail delivery.",
		Long: `The concurrencies are how many deliveries may be under way at once, to all
destinations together. That of TLS bounds, of these, the deliveries to
destinations whose TLS setting is not No (destconfig), whether or not the host
then offers STARTTLS. What meets a limit waits for its turn.`,
		Commit: true,
		Forms: []Form{
			{Usage: usage("deliveryconfig setup", deliveryKeys(nil, &store.Delivery{})), Run: deliverySetup},
		},
		Dialog: deliveryDialog,
	}
}

func deliveryDialog(d *Dialog, env Env) error {
	return env.Edit(func(cfg *store.Config) error {
		for d.Menu(deliverySummary(cfg), shell.Op{Word: "SETUP", Text: "Configure mail delivery."}) {
			set := cfg.Delivery
			set.Interface = chooseSource(d, cfg, "Choose the default interface to deliver mail.", set.Interface)
			set.Possible = d.YesNo(`Enable "Possible Delivery" (recommended)?`, set.Possible)
			set.Concurrency = d.Int("Please enter the default system wide maximum outbound message\ndelivery concurrency.", set.Concurrency, 1, store.MaxConcurrency)
			set.TLSConcurrency = d.Int("Please enter the default system wide TLS maximum outbound message\ndelivery concurrency.", set.TLSConcurrency, 1, store.MaxConcurrency)
			if d.Err() != nil {
				break
			}
			cfg.Delivery = set
		}
		return d.Err()
	})
}

// deliverySummary is the block above the menu (reference esa-cli-config 5.1).
func deliverySummary(cfg *store.Config) string {
	possible := "Disabled"
	if cfg.Delivery.Possible {
		possible = "Enabled"
	}
	return fmt.Sprintf(`Default interface to deliver mail: %s
"Possible Delivery": %s
Default system wide maximum outbound message delivery
concurrency: %d
Default system wide TLS maximum outbound message delivery
concurrency: %d`, cmp.Or(cfg.Delivery.Interface, auto), possible, cfg.Delivery.Concurrency, cfg.Delivery.TLSConcurrency)
}

// deliveryKeys lists the keys of the one-line form, in the order of the dialog.
func deliveryKeys(cfg *store.Config, set *store.Delivery) []key {
	return []key{
		{"interface", "NAME|auto", source(cfg, &set.Interface)},
		{"possible", "yes|no", yesNo(&set.Possible)},
		{"concurrency", "N", number(&set.Concurrency, 1, store.MaxConcurrency)},
		{"tls_concurrency", "N", number(&set.TLSConcurrency, 1, store.MaxConcurrency)},
	}
}

func deliverySetup(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		set := cfg.Delivery
		if err := setKeys(deliveryKeys(cfg, &set), args); err != nil {
			return err
		}
		cfg.Delivery = set
		return nil
	})
}

// auto is how the empty name of a source interface is written: the system
// chooses.
const auto = "Auto"

// chooseSource asks for the interface that something leaves by.
func chooseSource(d *Dialog, cfg *store.Config, question, current string) string {
	choices := []shell.Choice{{Name: auto}}
	for _, i := range cfg.Interfaces {
		choices = append(choices, shell.Choice{Name: i.Name, Text: interfaceText(i)})
	}
	if name := d.ChooseName(question, choices, cmp.Or(current, auto)); name != auto {
		return name
	}
	return ""
}

// source reads, in a one-line form, the interface that something leaves by.
func source(cfg *store.Config, place *string) func(string) error {
	return parsed(place, func(text string) (string, error) {
		if strings.EqualFold(text, auto) {
			return "", nil
		}
		n, err := findInterface(cfg, text)
		if err != nil {
			return "", err
		}
		return cfg.Interfaces[n].Name, nil
	})
}
