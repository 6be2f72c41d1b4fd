package commands

import (
	"time"

	"esa/store"
)

// showchanges shows what a commit would change, as a tree, and who else has
// uncommitted changes.
func showchanges() Command {
	return Command{
		Name:  "showchanges",
		Short: "Show the changes that are not committed.",
		Forms: []Form{{Usage: "showchanges", Run: showchangesForm}},
	}
}

func showchangesForm(d *Dialog, env Env, _ []string) error {
	if changes := env.Session.Changes(); len(changes) > 0 {
		d.Text(store.FormatChanges(changes))
	} else {
		d.Text("No changes have been made since the last commit.")
	}
	return showOthers(d, env)
}

// showOthers names the other sessions with uncommitted changes, and the commit
// that is on trial.
func showOthers(d *Dialog, env Env) error {
	noticeTrial(d, env)
	pendings, err := env.Store.Pendings()
	if err != nil {
		return err
	}
	for _, p := range pendings {
		since := p.Since.Local().Format(time.ANSIC)
		switch {
		case p.ID == env.Session.ID():
		case p.User == "":
			d.Text("Uncommitted changes that a lost session left are damaged and cannot be resumed.")
		case !p.Lost:
			d.Printf("%s (%s) has uncommitted changes since %s.\n", p.User, p.Source, since)
		case p.User == env.Who.User:
			d.Printf("You left uncommitted changes of %s: the next login offers them.\n", since)
		default:
			d.Printf("%s (%s) left uncommitted changes of %s.\n", p.User, p.Source, since)
		}
	}
	return d.Err()
}
