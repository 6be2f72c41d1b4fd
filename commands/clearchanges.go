package commands

import "time"

// clearchanges drops the pending changes of this session.
func clearchanges() Command {
	return Command{
		Name:    "clearchanges",
		Aliases: []string{"clear"},
		Short:   "Clear changes.",
		Forms:   []Form{{Usage: "clearchanges y", Run: clearForm}},
		Dialog:  clearDialog,
	}
}

func clearDialog(d *Dialog, env Env) error {
	if !env.Session.Dirty() {
		return nothingToClear(d)
	}
	sure := d.YesNo("Are you sure you want to clear all changes since the last commit?", true)
	if err := d.Err(); err != nil || !sure {
		return err
	}
	return clearForm(d, env, nil)
}

func clearForm(d *Dialog, env Env, _ []string) error {
	if !env.Session.Dirty() {
		return nothingToClear(d)
	}
	if err := env.Session.Discard(); err != nil {
		return err
	}
	d.Printf("Changes cleared: %s\n", env.Clock().Local().Format(time.ANSIC))
	return d.Err()
}

func nothingToClear(d *Dialog) error {
	d.Text("No changes have been made since the last commit.")
	return d.Err()
}
