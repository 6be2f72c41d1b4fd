package commands

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"esa/shell"
	"esa/store"
)

// rollbackconfig goes back to a committed configuration: it becomes the
// pending one, and a commit like any other makes it run.
func rollbackconfig() Command {
	return Command{
		Name:   "rollbackconfig",
		Short:  "Roll back to a committed configuration.",
		Long:   "The former configuration becomes a new revision. Queue, logs and the pending\nchanges of others stay as they are.",
		Commit: true,
		Forms: []Form{
			{Usage: "rollbackconfig list", Run: rollbackList},
			{Usage: "rollbackconfig REVISION", Run: rollbackForm},
		},
		Dialog: rollbackDialog,
	}
}

// rollbackShown is how many revisions the dialog lists, as the appliance does.
const rollbackShown = 10

func rollbackDialog(d *Dialog, env Env) error {
	revisions, err := env.Store.Revisions(rollbackShown + 1)
	if err != nil {
		return err
	}
	if len(revisions) < 2 {
		d.Text("There is no earlier configuration to roll back to.")
		return d.Err()
	}
	earlier := revisions[1:]
	d.Text("\nPrevious Commits:\n" + revisionTable(earlier))
	chosen := shell.Ask(d, "Enter the number of the config to revert to.", "", func(s string) (store.Revision, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > len(earlier) {
			return store.Revision{}, shell.Refusedf("That value is not valid. Enter a number from 1 to %d.", len(earlier))
		}
		return earlier[n-1], nil
	})
	if d.Err() != nil {
		return d.Err()
	}
	if err := showRollback(d, env, chosen.Number); err != nil {
		return err
	}
	if !d.YesNo("Are you sure you want to roll back the configuration?", false) || d.Err() != nil {
		return d.Err()
	}
	if err := loadRevision(d, env, chosen.Number); err != nil {
		return err
	}
	if !env.Session.Dirty() || !d.YesNo("Do you want to commit this configuration now?", false) || d.Err() != nil {
		return d.Err()
	}
	comment := fmt.Sprintf("Rolled back to revision %d", chosen.Number)
	if err := commitLine(d, env, comment, false); err != nil {
		return err
	}
	d.Text("Committed the changes successfully")
	return d.Err()
}

// showRollback shows what going back would change in what runs now.
func showRollback(d *Dialog, env Env, number uint64) error {
	r, err := env.Store.Revision(number)
	if err != nil {
		return err
	}
	running, _ := env.Store.Running()
	changes := store.Diff(running, r.Config)
	if len(changes) == 0 {
		d.Text("\nIt is the same as the running configuration.")
		return d.Err()
	}
	d.Text("\nThis would change:\n" + store.FormatChanges(changes))
	return d.Err()
}

// loadRevision makes a revision's configuration pending.
func loadRevision(d *Dialog, env Env, number uint64) error {
	r, err := env.Store.Revision(number)
	if errors.Is(err, store.ErrNoRevision) {
		return shell.Refusedf("Revision %d is not kept. Use rollbackconfig list.", number)
	}
	if err != nil {
		return err
	}
	if err := env.Session.Load(r.Config); err != nil {
		return err
	}
	d.Printf("Reverted to the configuration of %s (revision %d).\n", commitTime(r.Time), number)
	if !env.Session.Dirty() {
		d.Text("No changes detected from current configuration.")
	}
	return d.Err()
}

func rollbackForm(d *Dialog, env Env, args []string) error {
	n, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		return shell.Refusedf("That value is not valid. Use rollbackconfig list.")
	}
	return loadRevision(d, env, n)
}

func rollbackList(d *Dialog, env Env, _ []string) error {
	revisions, err := env.Store.Revisions(0)
	if err != nil {
		return err
	}
	rows := [][]string{{"Revision", "Committed On", "User", "Description"}}
	for _, r := range revisions {
		rows = append(rows, []string{strconv.FormatUint(r.Number, 10), r.Time.Local().Format(time.ANSIC), r.User, oneLine(r.Comment)})
	}
	d.Text(shell.Columns(rows))
	return d.Err()
}

// revisionTable lists commits as the appliance does (reference 2.4).
func revisionTable(revisions []store.Revision) string {
	var b strings.Builder
	fmt.Fprintf(&b, "   %-28s%-20s%s\n%s\n", "Committed On", "User", "Description", strings.Repeat("-", 81))
	for i, r := range revisions {
		row := fmt.Sprintf("%d. %-28s%-20s%s", i+1, r.Time.Local().Format(time.ANSIC), r.User, oneLine(r.Comment))
		b.WriteString(strings.TrimRight(row, " ") + "\n")
	}
	return b.String()
}

// oneLine keeps a comment of several lines from breaking a table.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
