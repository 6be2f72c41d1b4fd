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
		Name:  "rollbackconfig",
		Short: "Roll back to a committed configuration.",
		Long: `The former configuration becomes a new revision. Queue, logs and the pending
changes of others stay as they are.`,
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
	revisions, err := env.Store.Revisions(1 + rollbackShown)
	if err != nil {
		return err
	}
	if len(revisions) < 2 {
		d.Text("There is no earlier configuration to roll back to.")
		return d.Err()
	}
	r, err := askRevision(d, env, revisions[1:])
	if err != nil {
		return err
	}
	changes := showRollback(d, env, r)
	if !d.YesNo("Are you sure you want to roll back the configuration?", false) || d.Err() != nil {
		return d.Err()
	}
	showReverted(d, r, changes)
	now := len(changes) > 0 && d.YesNo("Do you want to commit this configuration now?", false)
	if d.Err() != nil {
		return d.Err()
	}
	if err := env.Session.Load(r.Config); err != nil || !now {
		return err
	}
	return commitRollback(d, env, r.Number)
}

// askRevision lists revisions and asks for one.
func askRevision(d *Dialog, env Env, revisions []store.Revision) (store.Record, error) {
	d.Text("\nPrevious Commits:\n" + revisionTable(revisions))
	chosen := shell.Ask(d, "Enter the number of the config to revert to.", "", func(s string) (store.Revision, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > len(revisions) {
			return store.Revision{}, shell.Refusedf("That value is not valid. Enter a number from 1 to %d.", len(revisions))
		}
		return revisions[n-1], nil
	})
	if d.Err() != nil {
		return store.Record{}, d.Err()
	}
	return keptRevision(env, chosen.Number)
}

// revisionTable lists commits as the appliance does (reference
// esa-cli-config 2.4).
func revisionTable(revisions []store.Revision) string {
	var b strings.Builder
	fmt.Fprintf(&b, "   %-28s%-20s%s\n%s\n", "Committed On", "User", "Description", strings.Repeat("-", 80))
	for i, r := range revisions {
		on := fmt.Sprintf("%d. %s", i+1, r.Time.Local().Format(time.ANSIC))
		row := fmt.Sprintf("%-31s%-20s%s", on, r.User, oneLine(r.Comment))
		b.WriteString(strings.TrimRight(row, " ") + "\n")
	}
	return b.String()
}

// oneLine keeps a comment of several lines from breaking a table.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// showRollback shows, and gives, what going back would change in what runs now.
func showRollback(d *Dialog, env Env, r store.Record) []store.Change {
	running, _ := env.Store.Running()
	changes := store.Diff(running, r.Config)
	if len(changes) > 0 {
		d.Text("\nThis would change:\n" + store.FormatChanges(changes))
	}
	if env.Session.Dirty() {
		d.Text("\nWARNING: your uncommitted changes would be dropped.")
	}
	return changes
}

func showReverted(d *Dialog, r store.Record, changes []store.Change) {
	d.Printf("Reverted to the configuration of %s (revision %d).\n", commitTime(r.Time), r.Number)
	if len(changes) == 0 {
		d.Text("No changes detected from current configuration.")
	}
}

func commitRollback(d *Dialog, env Env, number uint64) error {
	request := store.CommitRequest{Session: env.Session, Comment: fmt.Sprintf("Rolled back to revision %d", number)}
	if sure, err := confirmed(d, env, &request); err != nil || !sure {
		return err
	}
	report, err := env.Gateway.Commit(d.Context(), request)
	if err != nil {
		return commitFailed(d, err)
	}
	d.Text("Committed the changes successfully")
	showReport(d, report)
	return d.Err()
}

// keptRevision refuses the number of a revision that is not there.
func keptRevision(env Env, number uint64) (store.Record, error) {
	r, err := env.Store.Revision(number)
	if errors.Is(err, store.ErrNoRevision) {
		return r, shell.Refusedf("Revision %d is not kept. Use rollbackconfig list.", number)
	}
	return r, err
}

// parseRevision reads the number of a revision from a one-line form.
func parseRevision(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, shell.Refusedf("That value is not valid. Use rollbackconfig list.")
	}
	return n, nil
}

// rollbackForm does not drop uncommitted changes: nobody is there to be warned.
func rollbackForm(d *Dialog, env Env, args []string) error {
	number, err := parseRevision(args[0])
	if err != nil {
		return err
	}
	r, err := keptRevision(env, number)
	if err != nil {
		return err
	}
	if env.Session.Dirty() {
		return shell.Refusedf("You have uncommitted changes. Use commit or clear first.")
	}
	if err := env.Session.Load(r.Config); err != nil {
		return err
	}
	showReverted(d, r, env.Session.Changes())
	return d.Err()
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
