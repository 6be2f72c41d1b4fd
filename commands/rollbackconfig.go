package commands

import (
	"fmt"
	"slices"
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
changes of others stay as they are. REVISION is a number, or a name that commit
name gave.`,
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
	revisions, err := env.Store.Revisions(0)
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

// askRevision lists revisions, ten at a time, and asks for one of those shown
// or for the name of any.
func askRevision(d *Dialog, env Env, revisions []store.Revision) (store.Record, error) {
	d.Text("\nPrevious Commits:\n" + revisionHeading())
	for shown := 0; ; {
		page := revisions[shown:min(shown+rollbackShown, len(revisions))]
		d.Text(revisionRows(page, shown))
		shown += len(page)
		older := len(revisions) - shown
		if older > 0 {
			d.Printf("%s: enter \"more\" to see them.\n", count(older, "older commit"))
		}
		chosen := shell.Ask(d, "Enter the number of the config to revert to.", "", func(s string) (string, error) {
			return chosenRevision(s, revisions, shown)
		})
		if d.Err() != nil {
			return store.Record{}, d.Err()
		}
		if chosen != moreWord {
			return findRevision(env, chosen)
		}
	}
}

// moreWord asks for older revisions.
const moreWord = "more"

// chosenRevision reads the place of a revision in the list, or its name, and
// gives what findRevision takes; or the wish for more.
func chosenRevision(s string, revisions []store.Revision, shown int) (string, error) {
	if shown < len(revisions) && strings.EqualFold(s, moreWord) {
		return moreWord, nil
	}
	if n, err := strconv.Atoi(s); err == nil && n >= 1 && n <= shown {
		return strconv.FormatUint(revisions[n-1].Number, 10), nil
	}
	for _, r := range revisions {
		if slices.ContainsFunc(r.Names, func(name string) bool { return strings.EqualFold(name, s) }) {
			return s, nil
		}
	}
	return "", shell.Refusedf("That value is not valid. Enter a number from 1 to %d, or a name.", shown)
}

// revisionHeading is above the list of commits, as the appliance has it
// (reference esa-cli-config 2.4).
func revisionHeading() string {
	return fmt.Sprintf("   %-28s%-20s%s\n%s", "Committed On", "User", "Description", strings.Repeat("-", 80))
}

// revisionRows lists commits, the first of them as number before + 1.
func revisionRows(revisions []store.Revision, before int) string {
	var b strings.Builder
	for i, r := range revisions {
		on := fmt.Sprintf("%d. %s", before+i+1, r.Time.Local().Format(time.ANSIC))
		row := fmt.Sprintf("%-31s%-20s%s", on, r.User, described(r))
		b.WriteString(strings.TrimRight(row, " ") + "\n")
	}
	return b.String()
}

// described gives the comment of a revision with its names before it.
func described(r store.Revision) string {
	text := oneLine(r.Comment)
	for _, name := range slices.Backward(r.Names) {
		text = strings.TrimRight("["+name+"] "+text, " ")
	}
	return text
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
	if r.Altered {
		d.Printf("\nWARNING: revision %d is not as it was committed.\n", r.Number)
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

// rollbackForm does not drop uncommitted changes: nobody is there to be warned.
func rollbackForm(d *Dialog, env Env, args []string) error {
	r, err := findRevision(env, args[0])
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
		rows = append(rows, []string{strconv.FormatUint(r.Number, 10), r.Time.Local().Format(time.ANSIC), r.User, described(r)})
	}
	d.Text(shell.Columns(rows))
	for _, r := range revisions {
		if r.Altered {
			d.Printf("WARNING: revision %d is not as it was committed.\n", r.Number)
		}
	}
	return d.Err()
}
