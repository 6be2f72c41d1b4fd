package commands

import (
	"errors"

	"esa/shell"
	"esa/store"
)

// resetconfig goes back to the configuration of the factory (reference
// esa-cli-config 2.9).
func resetconfig() Command {
	return Command{
		Name:  "resetconfig",
		Short: "Restore the factory configuration defaults.",
		Long: `Only the user admin can do this, and only while receiving and deliveries are
suspended. It takes effect at once, as a revision that rollbackconfig can undo.
Queue, logs and counters stay, and so do files in the directory configuration.`,
		Final:  true,
		Dialog: resetDialog,
	}
}

func resetDialog(d *Dialog, env Env) error {
	if env.Who.User != store.AdminName {
		return shell.Refusedf("Only the user %s can use resetconfig.", store.AdminName)
	}
	now := env.Gateway.Status()
	running := !now.Since.IsZero()
	if running && !(now.Suspended.AllListeners && now.Suspended.AllDomains) {
		return shell.Refusedf("The system must be suspended first. Use suspend.")
	}
	if env.Session.Dirty() {
		d.Text("WARNING: your uncommitted changes will be dropped.")
	}
	sure := d.YesNo("Are you sure you want to reset all configuration values?", false)
	if err := d.Err(); err != nil || !sure {
		return err
	}
	if err := env.Session.Load(env.Store.Factory()); err != nil {
		return err
	}
	if env.Session.Dirty() {
		request := store.CommitRequest{Session: env.Session, Comment: "Reset to the factory configuration", Force: true}
		report, err := env.Gateway.Commit(d.Context(), request)
		if err != nil {
			// The factory configuration is nothing that a later commit should make.
			return errors.Join(shell.Refusedf("The configuration was not reset: %w.", err), env.Session.Discard())
		}
		showReport(d, report)
	}
	d.Text("All settings have been restored to the factory default.")
	if running {
		d.Text("Mail stays suspended until resume.")
	}
	return d.Err()
}
