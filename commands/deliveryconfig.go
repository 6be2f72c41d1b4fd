package commands

import (
	"fmt"
	"strconv"
	"strings"

	"esa/shell"
	"esa/store"
)

// deliveryconfig sets the interface that mail leaves by and how many
// deliveries may run at once.
func deliveryconfig() Command {
	return Command{
		Name:   "deliveryconfig",
		Short:  "Configure mail delivery.",
		Commit: true,
		Forms: []Form{{
			Usage: "deliveryconfig setup [interface=NAME|auto] [possible=yes|no] [concurrency=N] [tls_concurrency=N]",
			Run:   deliverySetup,
		}},
		Dialog: deliveryDialog,
	}
}

// noTLS is what a dialog says of a setting that waits for TLS.
const noTLS = "This build does not use TLS yet; the value is kept for when it does."

func deliveryDialog(d *Dialog, env Env) error {
	return env.Edit(func(cfg *store.Config) error {
		for d.Menu(deliverySummary(cfg), shell.Op{Word: "SETUP", Text: "Configure mail delivery."}) {
			set := cfg.Delivery
			set.Interface = chooseInterface(d, "Choose the default interface to deliver mail.", cfg, set.Interface)
			set.Possible = d.YesNo(`Enable "Possible Delivery" (recommended)?`, set.Possible)
			set.Concurrency = d.Int("Please enter the default system wide maximum outbound message\ndelivery concurrency.", set.Concurrency, 1, store.MaxConcurrency)
			set.TLSConcurrency = d.Int("Please enter the default system wide TLS maximum outbound message\ndelivery concurrency.", set.TLSConcurrency, 1, store.MaxConcurrency)
			if set.TLSConcurrency != cfg.Delivery.TLSConcurrency {
				d.Text(noTLS)
			}
			if d.Err() != nil {
				break
			}
			cfg.Delivery = set
		}
		return d.Err()
	})
}

func deliverySummary(cfg *store.Config) string {
	source := cfg.Delivery.Interface
	if source == "" {
		source = "Auto"
	}
	possible := "Disabled"
	if cfg.Delivery.Possible {
		possible = "Enabled"
	}
	return fmt.Sprintf(`Default interface to deliver mail: %s
"Possible Delivery": %s
Default system wide maximum outbound message delivery
concurrency: %d
Default system wide TLS maximum outbound message delivery
concurrency: %d`, source, possible, cfg.Delivery.Concurrency, cfg.Delivery.TLSConcurrency)
}

func deliverySetup(d *Dialog, env Env, args []string) error {
	words, err := shell.Settings(args)
	if err != nil {
		return err
	}
	return env.Edit(func(cfg *store.Config) error {
		for key, value := range words {
			if err := setDelivery(cfg, key, value); err != nil {
				return err
			}
		}
		if _, given := words["tls_concurrency"]; given {
			d.Text(noTLS)
		}
		return nil
	})
}

// setDelivery is one key=value word of the one-line form.
func setDelivery(cfg *store.Config, key, value string) error {
	switch key {
	case "interface":
		return setSource(cfg, &cfg.Delivery.Interface, value)
	case "possible":
		on, err := parseYesNo(value)
		cfg.Delivery.Possible = on
		return err
	case "concurrency":
		return setNumber(&cfg.Delivery.Concurrency, value, 1, store.MaxConcurrency)
	default:
		return setNumber(&cfg.Delivery.TLSConcurrency, value, 1, store.MaxConcurrency)
	}
}

// setSource puts the name of an interface of a one-line form in its place;
// auto is the empty name.
func setSource(cfg *store.Config, name *string, value string) error {
	if strings.EqualFold(value, "auto") {
		*name = ""
		return nil
	}
	if _, ok := cfg.Interface(value); !ok {
		return noInterface(value)
	}
	*name = value
	return nil
}

// chooseInterface asks for an interface, or Auto for the empty name.
func chooseInterface(d *Dialog, question string, cfg *store.Config, current string) string {
	options, names := []string{"Auto"}, []string{""}
	chosen := 0
	for _, i := range cfg.Interfaces {
		if i.Name == current {
			chosen = len(names)
		}
		options = append(options, fmt.Sprintf("%s (%s: %s)", i.Name, addresses(i), i.Hostname))
		names = append(names, i.Name)
	}
	return names[d.Choose(question, options, chosen)]
}

// addresses gives "192.0.2.1/24" or "192.0.2.1/24, 2001:db8::1/64".
func addresses(i store.Interface) string {
	var all []string
	if i.IPv4.IsValid() {
		all = append(all, i.IPv4.String())
	}
	if i.IPv6.IsValid() {
		all = append(all, i.IPv6.String())
	}
	return strings.Join(all, ", ")
}

func noInterface(name string) error {
	return shell.Refusedf("The interface %q does not exist. Use interfaceconfig to create it.", name)
}

// setNumber reads a number of a one-line form into its place.
func setNumber(n *int, text string, low, high int) error {
	value, err := strconv.Atoi(text)
	if err != nil || value < low || value > high {
		return shell.Refusedf("The value must be a number from %d to %d.", low, high)
	}
	*n = value
	return nil
}

// parseYesNo reads yes or no of a one-line form.
func parseYesNo(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "yes", "y", "on":
		return true, nil
	case "no", "n", "off":
		return false, nil
	}
	return false, shell.Refusedf("Please answer Yes or No.")
}
