package commands

import (
	"strings"

	"esa/shell"
	"esa/store"
)

// This file is the one-line forms of alertconfig.

// alertRecipientKeys lists the keys of the forms over one recipient.
func alertRecipientKeys(r *store.AlertRecipient) []key {
	return []key{
		{"classes", "LIST", parsed(&r.Classes, func(text string) ([]store.AlertClass, error) { return several(text, store.AlertClasses()) })},
		{"severities", "LIST", parsed(&r.Severities, func(text string) ([]store.AlertSeverity, error) { return several(text, store.AlertSeverities()) })},
	}
}

// alertKeys lists the keys of the form of SETUP, in the order of the dialog.
func alertKeys(cfg *store.Config, a *store.Alerts) []key {
	return []key{
		{"initial", "SECONDS", number(&a.InitialWait, 0, store.MaxAlertWait)},
		{"maximum", "SECONDS", number(&a.MaxWait, 0, store.MaxAlertWait)},
		{"stored", "N", number(&a.Stored, 0, store.MaxStoredAlerts)},
		{"interface", "NAME|auto", source(cfg, &a.Interface)},
	}
}

func alertSetForm(d *Dialog, env Env, args []string) error {
	if args[0] == "new" {
		return alertNewForm(d, env, args[1:])
	}
	return env.Edit(func(cfg *store.Config) error {
		n, err := findAlertAddress(cfg, args[1])
		if err != nil {
			return err
		}
		r := cfg.Alerts.Recipients[n]
		if err := setKeys(alertRecipientKeys(&r), args[2:]); err != nil {
			return err
		}
		cfg.Alerts.Recipients[n] = r
		d.Printf("The alerts sent to %s are changed.\n", r.Address)
		return nil
	})
}

func alertNewForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		if err := roomForAlerts(cfg); err != nil {
			return err
		}
		address, err := freeAlertAddress(cfg, args[0])
		if err != nil {
			return err
		}
		r := newAlertRecipient(address)
		if len(args) > 1 {
			if err := setKeys(alertRecipientKeys(&r), args[1:]); err != nil {
				return err
			}
		}
		cfg.Alerts.Recipients = append(cfg.Alerts.Recipients, r)
		d.Printf("Alerts are sent to %s.\n", r.Address)
		return nil
	})
}

func findAlertAddress(cfg *store.Config, address string) (int, error) {
	n := find(alertAddresses(cfg), strings.TrimSpace(address))
	if n < 0 {
		return -1, shell.Refusedf("No alerts are sent to %s. Use alertconfig print to list the addresses.", address)
	}
	return n, nil
}

func alertDeleteForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		n, err := findAlertAddress(cfg, args[0])
		if err == nil {
			deleteAlertRecipient(d, cfg, n)
		}
		return err
	})
}

func alertClearForm(d *Dialog, env Env, _ []string) error {
	return env.Edit(func(cfg *store.Config) error {
		cfg.Alerts.Recipients = nil
		d.Text("Nobody will be sent alerts.")
		return nil
	})
}

func alertSetupForm(_ *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		set := cfg.Alerts
		if err := setKeys(alertKeys(cfg, &set), args); err != nil {
			return err
		}
		if err := checkWaits(set.InitialWait, set.MaxWait); err != nil {
			return err
		}
		cfg.Alerts = set
		return nil
	})
}

func alertFromForm(_ *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		if strings.EqualFold(args[0], "default") {
			cfg.Alerts.From = ""
			return nil
		}
		return parsed(&cfg.Alerts.From, store.ParseEmail)(args[0])
	})
}

func alertPrintForm(d *Dialog, env Env, _ []string) error {
	d.Text(alertSummary(env.Config()))
	return d.Err()
}
