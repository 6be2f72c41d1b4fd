package commands

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"esa/shell"
	"esa/store"
)

// commit makes the pending changes of this session run.
func commit() Command {
	return Command{
		Name:  "commit",
		Short: "Commit changes.",
		Long: `Nothing that is configured takes effect before commit. A commit succeeds whole
or changes nothing: everything that is wrong is listed, each with the command
that mends it, and the changes stay pending.

'commit check' does everything that commit does, up to the point where it would
take effect, and asks DNS whether mail for the domains of our listeners comes to
the host names of their interfaces. Without changes it warns of what is wrong
with the configuration that runs.

What others committed meanwhile is joined with your changes; where both changed
the same, the commit is refused and shows both.

'commit confirmed' commits on trial: the configuration before it comes back
after 10 minutes, or as many as you say (1 to 1440), unless 'commit confirm' is
typed before, in this session or another. It also comes back when the gateway
starts anew, and at once with 'commit revert'. Meanwhile nothing else can be
committed. The time runs by the clock and by the time that the gateway runs,
whichever is over first.

'commit lock' keeps all other sessions from committing, for 10 minutes or as
many as you say (1 to 60), for scripts whose change takes several commits;
'commit unlock' and the end of the session end it. 'commit unlock force' breaks
the lock of another session, which can commit again once it has typed commit
lock or commit unlock.

'commit name' gives a revision a name: the running one, or the one that you say.
rollbackconfig, commitdetail and showchanges take the name in the place of its
number, and the revision is kept as long as it has one.

A change must be confirmed that opens a relay, ends the session it comes from or
keeps it from coming again, or leaves no administrator who can log in over the
network. In a script the last word 'force' confirms it.`,
		Final: true,
		Forms: []Form{
			{Usage: "commit COMMENT", Run: commitComment(false)},
			{Usage: "commit COMMENT y|n", Run: commitComment(false)},
			{Usage: "commit COMMENT y|n force", Run: commitComment(true)},
			{Usage: "commit COMMENT force", Run: commitComment(true)},
			{Usage: "commit -y", Run: commitSilently(false)},
			{Usage: "commit force", Run: commitSilently(true)},
			{Usage: "commit check", Run: commitCheck},
			{Usage: "commit confirmed [MINUTES [COMMENT]]", Run: commitOnTrial(false)},
			{Usage: "commit confirmed force", Run: commitOnTrial(true)},
			{Usage: "commit confirmed MINUTES force", Run: commitOnTrial(true)},
			{Usage: "commit confirmed MINUTES COMMENT force", Run: commitOnTrial(true)},
			{Usage: "commit confirm", Run: commitConfirm},
			{Usage: "commit revert", Run: commitRevert},
			{Usage: "commit lock [MINUTES]", Run: commitLock},
			{Usage: "commit unlock", Run: commitUnlock},
			{Usage: "commit unlock force", Run: commitUnlockForce},
			{Usage: "commit name NAME [REVISION]", Run: commitName},
			{Usage: "commit unname NAME", Run: commitUnname},
		},
		Dialog: commitDialog,
	}
}

func commitDialog(d *Dialog, env Env) error {
	if !env.Session.Dirty() {
		return nothingToCommit(d)
	}
	request := store.CommitRequest{Session: env.Session}
	if sure, err := confirmed(d, env, &request); err != nil || !sure {
		return err
	}
	request.Comment = shell.Ask(d, "Please enter some comments describing your changes:", "", store.ParseComment)
	askRollback(d)
	if d.Err() != nil {
		return d.Err()
	}
	return commitNow(d, env, request)
}

// commitComment commits in one line. The answer to the rollback question may
// stand there and changes nothing: every revision is kept.
func commitComment(force bool) func(*Dialog, Env, []string) error {
	return func(d *Dialog, env Env, args []string) error {
		return commitLine(d, env, args[0], store.CommitRequest{Force: force})
	}
}

func commitSilently(force bool) func(*Dialog, Env, []string) error {
	return func(d *Dialog, env Env, _ []string) error {
		return commitLine(d, env, "", store.CommitRequest{Force: force})
	}
}

// commitLine commits without questions, but for those that must be answered.
func commitLine(d *Dialog, env Env, text string, request store.CommitRequest) error {
	if !env.Session.Dirty() {
		return nothingToCommit(d)
	}
	comment, err := store.ParseComment(text)
	if err != nil {
		return refused(err)
	}
	request.Session, request.Comment = env.Session, comment
	if sure, err := confirmed(d, env, &request); err != nil || !sure {
		return err
	}
	return commitNow(d, env, request)
}

// confirmed checks a commit, and asks what must be answered before anything
// else. A script answers with the word force.
func confirmed(d *Dialog, env Env, r *store.CommitRequest) (bool, error) {
	if r.Force {
		return true, nil
	}
	report, err := env.Gateway.Check(d.Context(), *r)
	switch {
	case err != nil:
		return false, commitFailed(d, err)
	case len(report.Questions) == 0:
		return true, nil
	case !d.Interactive():
		return false, commitFailed(d, &store.AskError{Questions: report.Questions})
	}
	showQuestions(d, report.Questions)
	r.Force = d.YesNo("Are you sure you want to commit this?", false)
	if !r.Force {
		d.Text(stillPending)
	}
	return r.Force, d.Err()
}

func showQuestions(d *Dialog, questions []string) {
	for _, question := range questions {
		d.Printf("\nWARNING: %s.\n", question)
	}
}

// stillPending ends every commit that was not made.
const stillPending = "Nothing was changed; your changes are still pending."

// askRollback is the appliance's question. Every revision is kept here, and
// the answer N says so.
func askRollback(d *Dialog) {
	if !d.YesNo("Do you want to save the current configuration for rollback?", true) {
		d.Text("Every committed configuration is kept for rollback.")
	}
}

func nothingToCommit(d *Dialog) error {
	d.Text("There is no data to commit.")
	return d.Err()
}

func commitNow(d *Dialog, env Env, request store.CommitRequest) error {
	report, err := env.Gateway.Commit(d.Context(), request)
	if err != nil {
		return commitFailed(d, err)
	}
	d.Printf("\nChanges committed: %s\n", commitTime(report.Revision.Time))
	showTrial(d, report.Revision.Time.Add(request.Confirm), request.Confirm)
	showReport(d, report)
	return d.Err()
}

// showReport writes what is worth knowing of a commit or a check.
func showReport(d *Dialog, report store.CommitReport) {
	for _, w := range report.Warnings {
		d.Printf("Warning: %s: %s Use %s.\n", w.Place, w.Text, w.Fix)
	}
	for _, note := range report.Notes {
		d.Text(note)
	}
}

// commitCheck does everything but commit, and shows it. Where nothing is to be
// committed, it warns of what runs: certificates expire by themselves.
func commitCheck(d *Dialog, env Env, _ []string) error {
	if !env.Session.Dirty() {
		d.Text("There is no data to commit.")
		system, _ := env.Machine.Authorities() // nil: nothing is said of missing issuers
		showReport(d, withMailHosts(d, env, store.CommitReport{Warnings: env.Config().Warnings(env.Clock(), system)}))
		return d.Err()
	}
	report, err := env.Gateway.Check(d.Context(), store.CommitRequest{Session: env.Session})
	if err != nil {
		return commitFailed(d, err)
	}
	d.Text(store.FormatChanges(report.Changes))
	showReport(d, withMailHosts(d, env, report))
	for _, question := range report.Questions {
		d.Printf("The commit will ask: %s. Are you sure?\n", question)
	}
	d.Text("No problem was found. Nothing was changed.")
	return d.Err()
}

// withMailHosts adds to a report what DNS says of our domains.
func withMailHosts(d *Dialog, env Env, report store.CommitReport) store.CommitReport {
	for _, v := range mailHosts(d, env, env.Config()) {
		report.Warnings = append(report.Warnings, v.Problem)
	}
	return report
}

// mailHosts asks DNS, which may take some seconds.
func mailHosts(d *Dialog, env Env, cfg *store.Config) []store.Verdict {
	n := len(cfg.MailDomains())
	if n == 0 {
		return nil
	}
	d.Printf("Looking up the MX records of %s.\n", count(n, "domain"))
	return env.Gateway.MailHosts(d.Context(), cfg)
}

// commitFailed tells everything that is in the way, and what to do.
func commitFailed(d *Dialog, err error) error {
	var check *store.CheckError
	var conflict *store.ConflictError
	var busy *store.BusyError
	var ask *store.AskError
	var awaiting *store.AwaitingError
	var locked *store.LockedError
	var lost *store.LockLostError
	var rights *store.RightsError
	switch {
	case errors.Is(err, store.ErrNothing):
		return nothingToCommit(d)
	case errors.As(err, &check):
		d.Text("The configuration cannot be committed:")
		for _, p := range check.Problems {
			d.Printf("- %s: %s Use %s.\n", p.Place, p.Text, p.Fix)
		}
	case errors.As(err, &conflict):
		d.Text("Others have changed the same since you began:")
		for _, c := range conflict.Conflicts {
			d.Text(describeConflict(c))
		}
		d.Text("Use clear to discard your changes, then make them again.")
	case errors.As(err, &rights):
		d.Text(rightsText(rights))
	case errors.As(err, &busy):
		d.Printf("%s from %s has been committing since %s. Try again later.\n", busy.Who.User, busy.Who.Source, commitTime(busy.Since))
	case errors.As(err, &awaiting):
		showAwaiting(d, awaiting)
	case errors.As(err, &locked):
		d.Text(lockedText(locked.Lock) + "\nUse \"commit unlock force\" to break the lock.")
	case errors.As(err, &lost):
		d.Text(lockLostText(lost))
	case errors.As(err, &ask):
		showQuestions(d, ask.Questions)
		d.Text("The commit must be confirmed: use \"commit force\", or take the change back.")
	default:
		return err
	}
	d.Text(stillPending)
	return shell.ErrFailed
}

// rightsText says why somebody may not commit.
func rightsText(e *store.RightsError) string {
	if e.Gone {
		return fmt.Sprintf("The user %q does not exist any more.", e.User)
	}
	return fmt.Sprintf("You are not in the correct access group to use commit: %s may not change\n%s.", e.Role, strings.Join(e.Sections, ", "))
}

func describeConflict(c store.Conflict) string {
	if c.Revision == 0 {
		return fmt.Sprintf("- %s: in a revision that is no longer kept\n    theirs: %s\n    yours:  %s", c.Object, c.Theirs, c.Mine)
	}
	return fmt.Sprintf("- %s: revision %d by %s from %s, %s\n    theirs: %s\n    yours:  %s",
		c.Object, c.Revision, c.User, c.Source, commitTime(c.Time), c.Theirs, c.Mine)
}

// commitTime gives a time as the appliance writes it after a commit: ctime
// order with the zone.
func commitTime(t time.Time) string { return t.Local().Format("Mon Jan _2 15:04:05 2006 MST") }
