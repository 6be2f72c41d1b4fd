package commands

import (
	"fmt"
	"time"

	"esa/store"
)

// showchanges shows what a commit would change, as a tree, and who else has
// uncommitted changes.
func showchanges() Command {
	return Command{
		Name:  "showchanges",
		Short: "Show the changes that are not committed.",
		Long: `With a revision, as rollbackconfig lists them: what has changed from it to the
one that runs; with two: from the first to the second. A revision is a number, a
name that commit name gave, or the word running.`,
		Forms: []Form{
			{Usage: "showchanges", Run: showchangesForm},
			{Usage: "showchanges REVISION", Run: compareRevisions},
			{Usage: "showchanges REVISION REVISION", Run: compareRevisions},
		},
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

// showOthers names the other sessions with uncommitted changes, the commit that
// is on trial, and who has locked commits.
func showOthers(d *Dialog, env Env) error {
	noticeTrial(d, env)
	noticeLock(d, env)
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

// compareRevisions shows what differs between two revisions.
func compareRevisions(d *Dialog, env Env, args []string) error {
	from, err := findRevision(env, args[0])
	if err != nil {
		return err
	}
	other := runningWord
	if len(args) > 1 {
		other = args[1]
	}
	to, err := findRevision(env, other)
	if err != nil {
		return err
	}
	d.Printf("From %s\nto   %s:\n", revisionTitle(from.Revision), revisionTitle(to.Revision))
	if changes := store.Diff(from.Config, to.Config); len(changes) > 0 {
		d.Text(store.FormatChanges(changes))
	} else {
		d.Text("They are the same.")
	}
	return d.Err()
}

// revisionTitle names a revision in one line.
func revisionTitle(r store.Revision) string {
	return fmt.Sprintf("revision %d (%s, %s)", r.Number, commitTime(r.Time), r.User)
}
