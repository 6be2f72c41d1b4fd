package commands

import (
	"strings"

	"esa/store"
)

// commitdetail shows the last commit of this user, or any revision.
func commitdetail() Command {
	return Command{
		Name:  "commitdetail",
		Short: "Show details of a commit.",
		Long: `Without a number: the last commit that you made. With the number or the name of
a revision, as rollbackconfig lists them: who, when, from where, and what.`,
		Forms: []Form{
			{Usage: "commitdetail", Run: commitdetailLast},
			{Usage: "commitdetail REVISION", Run: commitdetailNumber},
		},
	}
}

func commitdetailLast(d *Dialog, env Env, _ []string) error {
	revisions, err := env.Store.Revisions(0)
	if err != nil {
		return err
	}
	for _, r := range revisions {
		if r.User == env.Who.User {
			last, err := keptRevision(env, r.Number)
			if err != nil {
				return err
			}
			return showRevision(d, last)
		}
	}
	d.Text("You have not committed anything yet.")
	return d.Err()
}

func commitdetailNumber(d *Dialog, env Env, args []string) error {
	r, err := findRevision(env, args[0])
	if err != nil {
		return err
	}
	return showRevision(d, r)
}

func showRevision(d *Dialog, r store.Record) error {
	d.Printf("Commit at %s with comments: \"%s\".\n", commitTime(r.Time), r.Comment)
	d.Printf("Revision %d by %s from %s (%s).\n", r.Number, r.User, orDash(r.Source), r.Method)
	if len(r.Names) > 0 {
		d.Printf("Named %s.\n", strings.Join(r.Names, ", "))
	}
	if r.Altered {
		d.Text("WARNING: this revision is not as it was committed.")
	}
	if len(r.Changes) > 0 {
		d.Text(store.FormatChanges(r.Changes))
	}
	return d.Err()
}

// orDash shows something where there is nothing.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
