package commands

import (
	"errors"
	"fmt"
	"time"

	"esa/shell"
	"esa/store"
)

// The commit on trial: it is taken back by itself unless it is confirmed.

// trialMinutes is how long a trial lasts if nothing is said; maxTrialMinutes is
// the longest.
const (
	trialMinutes    = 10
	maxTrialMinutes = 1440
)

// commitOnTrial commits what has to be confirmed.
func commitOnTrial(force bool) func(*Dialog, Env, []string) error {
	return func(d *Dialog, env Env, args []string) error {
		minutes, comment := trialMinutes, ""
		if len(args) > 0 {
			if err := setNumber(&minutes, args[0], 1, maxTrialMinutes); err != nil {
				return err
			}
		}
		if len(args) > 1 {
			comment = args[1]
		}
		return commitLine(d, env, comment, store.CommitRequest{Force: force, Confirm: time.Duration(minutes) * time.Minute})
	}
}

// showTrial says how long a commit is on trial, if it is.
func showTrial(d *Dialog, until time.Time, length time.Duration) {
	if length == 0 {
		return
	}
	d.Printf("To be confirmed until %s (%s).\n", commitTime(until), count(int(length/time.Minute), "minute"))
	d.Text("Use \"commit confirm\" to keep the changes, \"commit revert\" to take them back.\nIf you do neither, they are taken back then.")
}

// commitConfirm keeps what a trial made.
func commitConfirm(d *Dialog, env Env, _ []string) error {
	if err := proven(env); err != nil {
		return err
	}
	c, err := env.Gateway.ConfirmCommit(d.Context(), env.Who)
	if err != nil {
		return notAwaited(err)
	}
	d.Printf("Revision %d is confirmed.\n", c.Revision)
	return d.Err()
}

// proven refuses a confirmation that proves nothing: a session that was there
// before the trial goes on, though nobody could log in as it did any more.
func proven(env Env) error {
	trial, ok := env.Store.Awaiting()
	if !ok || env.Started.After(trial.Since) {
		return nil
	}
	before, err := env.Store.Revision(trial.Return)
	if err != nil {
		return err
	}
	running, _ := env.Store.Running()
	if cut := store.CutsOff(before.Config, running, env.Who); len(cut) > 0 {
		return shell.Refusedf("%s.\nLog in again, and confirm from there: it shows that you still can.", cut[0])
	}
	return nil
}

// commitRevert ends a trial at once. What this session has not committed stays
// as it is.
func commitRevert(d *Dialog, env Env, _ []string) error {
	trial, _ := env.Store.Awaiting()
	report, err := env.Gateway.RevertCommit(d.Context(), env.Who)
	if err != nil {
		return notAwaited(err)
	}
	d.Printf("\nChanges taken back: %s\n", commitTime(report.Revision.Time))
	d.Printf("The configuration of revision %d runs again, as revision %d.\n", trial.Return, report.Revision.Number)
	showReport(d, report)
	return d.Err()
}

func notAwaited(err error) error {
	if errors.Is(err, store.ErrNotAwaited) {
		return shell.Refusedf("No commit waits to be confirmed.")
	}
	if rights, ok := errors.AsType[*store.RightsError](err); ok {
		return shell.Refusedf("%s", rightsText(rights))
	}
	return err
}

// showAwaiting says why nothing can be committed during a trial.
func showAwaiting(d *Dialog, e *store.AwaitingError) {
	d.Printf("Revision %d, which %s from %s committed on trial, waits to be confirmed: %s.\n", e.Revision, e.User, orDash(e.Source), left(e.Left))
	d.Text("Use \"commit confirm\" to keep it, or \"commit revert\" to take it back, and then commit.")
}

// left says how much time there is, in whole minutes.
func left(d time.Duration) string {
	if d < time.Minute {
		return "less than a minute is left"
	}
	n := int(d / time.Minute)
	if n == 1 {
		return "1 minute is left"
	}
	return fmt.Sprintf("%d minutes are left", n)
}

// noticeTrial tells everybody who looks that the configuration is on trial.
func noticeTrial(d *Dialog, env Env) {
	c, ok := env.Store.Awaiting()
	if !ok {
		return
	}
	d.Printf("NOTE: Revision %d, which %s (%s) committed on trial, is taken back at\n%s unless it is confirmed. Use commit confirm, or commit revert.\n",
		c.Revision, c.User, orDash(c.Source), commitTime(c.Until))
}

// noticeReturn tells at login that the gateway took the last commit back.
func noticeReturn(d *Dialog, env Env) error {
	last, err := env.Store.Revisions(1)
	if err != nil {
		return err
	}
	if len(last) == 1 && last[0].Method == "revert" {
		d.Printf("NOTE: The last commit was not confirmed and has been taken back at\n%s. rollbackconfig can make its changes again.\n", commitTime(last[0].Time))
	}
	return nil
}
