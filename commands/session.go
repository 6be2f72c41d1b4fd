package commands

import (
	"time"

	"esa/shell"
)

// Welcome opens an interactive session: what this is, what others have
// pending, and what this user left behind when a session was lost.
func Welcome(d *Dialog, env Env) error {
	d.Printf("%s %s\n\nWelcome to the %s\n\n", env.Version.Product, env.Version.Version, env.Version.Product)
	d.Text("NOTE: Configuration changes take effect when they are committed. Changes that\nare not committed are kept if this session is lost, and offered to you again.")
	if err := showOthers(d, env); err != nil {
		return err
	}
	lost, err := env.Store.Lost(env.Who.User)
	if err != nil {
		return err
	}
	for _, p := range lost {
		if p.Err != nil {
			continue
		}
		if d.YesNo("You have uncommitted changes of "+p.Since.Local().Format(time.ANSIC)+": resume them?", true) && d.Err() == nil {
			return env.Session.Resume(p.ID)
		}
	}
	return d.Err()
}

// Farewell ends a batch or an exec line: what it did not commit is dropped,
// and that is a failure.
func Farewell(d *Dialog, env Env) error {
	if !env.Session.Dirty() {
		return nil
	}
	if err := env.Session.Discard(); err != nil {
		return err
	}
	return shell.Refusedf("Configuration changes were not committed and have been dropped. Use commit.")
}
