package commands

import (
	"esa/shell"
	"esa/store"
)

// sethostname sets the name of the system: prompt, bounces, and the name in
// EHLO where the interface has none.
func sethostname() Command {
	return Command{
		Name:   "sethostname",
		Short:  "Set the name of the machine.",
		Commit: true,
		Forms:  []Form{{Usage: "sethostname HOSTNAME", Run: sethostnameForm}},
		Dialog: sethostnameDialog,
	}
}

func sethostnameDialog(d *Dialog, env Env) error {
	return env.Edit(func(cfg *store.Config) error {
		cfg.Hostname = shell.Ask(d, "", cfg.Hostname, store.ParseHostname)
		return d.Err()
	})
}

func sethostnameForm(_ *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		name, err := store.ParseHostname(args[0])
		cfg.Hostname = name
		return err
	})
}
