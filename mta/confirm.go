package mta

import (
	"context"
	"errors"
	"fmt"
	"time"

	"esa/mta/alert"
	"esa/store"
)

// A commit on trial (store.CommitRequest.Confirm) is taken back by the gateway
// itself unless an operator confirms it:
//
//	when its time is over      by the wall clock or by the time that the gateway
//	                           has run, whichever comes first: a clock that is
//	                           put forward or a machine that slept ends the trial
//	                           early, one that is put back does not prolong it
//	when the gateway starts    before anything listens, however much time is left
//	when an operator says so   RevertCommit
//
// To take back is a commit like any other, a revision of its own, which
// disturbs no connection. It takes what the machine has to give, as a start
// does: what cannot be bound is tried again, and keeps nothing from coming back.

// Bounds of watching a trial.
const (
	trialLook  = time.Second     // between looks at the clocks
	trialRetry = 5 * time.Second // before what could not be taken back is tried again
)

// system is who the gateway is where it changes the configuration by itself.
func system() store.Who { return store.Who{User: store.SystemName, Method: "revert"} }

// ConfirmCommit makes the revision on trial one like any other. It fails with
// store.ErrNotAwaited if there is none, with a *store.RightsError if who neither
// made the trial nor could commit what it changes.
func (g *Gateway) ConfirmCommit(ctx context.Context, who store.Who) (store.Confirmation, error) {
	unlock, err := g.Store.Lock(ctx, who)
	if err != nil {
		return store.Confirmation{}, err
	}
	defer unlock()
	if err := mayEnd(g.Store, who); err != nil {
		return store.Confirmation{}, err
	}
	c, err := g.Store.Confirm()
	if err != nil {
		return c, err
	}
	g.Diag.Info("commit confirmed", "revision", c.Revision, "user", who.User)
	g.Log().Confirmed(c.Revision, who.User, who.Source)
	g.keepCopy()
	if g.live != nil {
		running, _ := g.Store.Running()
		g.forgetSuspended(running)
	}
	return c, nil
}

// RevertCommit takes the revision on trial back. It fails as ConfirmCommit does.
func (g *Gateway) RevertCommit(ctx context.Context, who store.Who) (store.CommitReport, error) {
	return g.takeBack(ctx, who, "commit revert")
}

// mayEnd checks whether somebody may confirm the trial or take it back: who made
// it, and whoever could commit what it changes. The error is a
// *store.RightsError, or store.ErrNotAwaited.
func mayEnd(s *store.Store, who store.Who) error {
	trial, ok := s.Awaiting()
	if !ok {
		return store.ErrNotAwaited
	}
	if who.User == trial.User || who.User == store.SystemName {
		return nil
	}
	before, err := s.Revision(trial.Return)
	if err != nil {
		return fmt.Errorf("ending the trial of revision %d: %w", trial.Revision, err)
	}
	running, _ := s.Running()
	return running.MayCommit(who.User, before.Config)
}

// takeBack makes the configuration before the trial run again.
func (g *Gateway) takeBack(ctx context.Context, who store.Who, why string) (store.CommitReport, error) {
	began := g.Clock()
	unlock, err := g.turn(ctx, who)
	if err != nil {
		return store.CommitReport{}, err
	}
	defer unlock()
	if err := ctx.Err(); err != nil {
		return store.CommitReport{}, fmt.Errorf("taking the configuration back: %w", err)
	}
	if err := mayEnd(g.Store, who); err != nil {
		return store.CommitReport{}, err
	}
	save, end, err := former(g.Store, who, why)
	if err != nil {
		return store.CommitReport{}, err
	}
	defer end()
	c := g.prepareReturn(save.Merged)
	if c.report.Revision, err = g.Store.Save(save); err != nil {
		c.abort()
		return c.report, saveFailed(err)
	}
	g.keepCopy()
	g.Diag.Info("configuration taken back", "revision", c.report.Revision.Number, "user", who.User, "why", why)
	g.apply(c)
	g.logCommit(c.report.Revision)
	c.report.Took = g.Clock().Sub(began)
	return c.report, nil
}

// former gives the commit that takes the trial back, in a session of its own:
// nobody's uncommitted changes are touched. end ends that session.
func former(s *store.Store, who store.Who, why string) (c store.Commit, end func(), err error) {
	trial, ok := s.Awaiting()
	if !ok {
		return c, nil, store.ErrNotAwaited
	}
	before, err := s.Revision(trial.Return)
	if err != nil {
		return c, nil, fmt.Errorf("taking back revision %d: %w", trial.Revision, err)
	}
	who.Interactive = false
	session := s.NewSession(who)
	end = func() { _ = session.Close(false) } // nothing of it is stored
	err = session.Load(before.Config)
	if err == nil {
		c = store.Commit{
			Session: session, Return: true, Result: fmt.Sprintf("took revision %d back", trial.Revision),
			Comment: fmt.Sprintf("Back to revision %d: %s", trial.Return, why),
		}
		c.Merged, err = session.Merge()
	}
	if err != nil {
		end()
		return c, nil, fmt.Errorf("taking back revision %d: %w", trial.Revision, err)
	}
	return c, end, nil
}

// prepareReturn is prepare for a configuration that has run before: as at a
// start, nothing that is wrong with it or with the machine keeps it from
// running. The caller holds mu.
func (g *Gateway) prepareReturn(m store.Merged) *change {
	c := &change{merged: m}
	running, _ := g.Store.Running()
	c.report.Changes = store.Diff(running, m.Config)
	c.generation, _ = build(m.Config, m.Revision+1, g.trust())
	if g.live == nil {
		return c
	}
	var errs []error
	c.sockets, errs = g.live.sockets.PrepareWhatCan(c.generation.sockets)
	c.unbound = errs
	c.report.Warnings = append(missingAddresses(m.Config), bindProblems(c.generation, errs)...)
	return c
}

// revertAtStart takes back what nobody confirmed before the gateway ended, and
// gives the revision that does. If the disk refuses, there is none: the trial
// runs on, and is taken back as soon as it can be.
func revertAtStart(o Options) (trial store.Confirmation, taken store.Revision) {
	trial, waits := o.Store.Awaiting()
	if !waits {
		return trial, taken
	}
	save, end, err := former(o.Store, system(), "restarted before the commit was confirmed")
	if err == nil {
		taken, err = o.Store.Save(save)
		end()
	}
	if err != nil {
		o.Diag.Error("the unconfirmed configuration is not taken back yet", "error", err)
		return trial, taken
	}
	o.Diag.Info("configuration taken back at the start", "revision", trial.Revision)
	return trial, taken
}

// watch is what is known of the revision on trial beside its term.
type watch struct {
	revision uint64
	overdue  bool          // the start should have taken it back
	retry    time.Duration // not before the gateway has run so long
}

// moment is a time by both clocks: that of the wall, and how long the gateway
// has run, which no setting of the clock changes.
type moment struct {
	wall time.Time
	ran  time.Duration
}

// due reports whether the trial, which was begun when the gateway had run so
// long, is over by one of the two clocks.
func (w *watch) due(c store.Confirmation, begun time.Duration, now moment) bool {
	if w.revision != c.Revision {
		*w = watch{revision: c.Revision}
	}
	over := w.overdue || !now.wall.Round(0).Before(c.Until) || now.ran-begun >= c.Until.Sub(c.Since)
	return over && now.ran >= w.retry
}

// watchTrials takes back what is not confirmed in time. It ends with ctx: the
// next start does the rest.
func (g *Gateway) watchTrials(ctx context.Context) {
	tick := time.NewTicker(g.trialLook)
	defer tick.Stop()
	watched := watch{revision: g.overdue, overdue: true}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if c, ok := g.Store.Awaiting(); ok && watched.due(c, time.Duration(g.trialBegun.Load()), moment{g.Clock(), g.ran()}) {
			g.endTrial(ctx, c, &watched)
		}
	}
}

// endTrial takes back what was not confirmed in time, or says when it is tried
// again.
func (g *Gateway) endTrial(ctx context.Context, c store.Confirmation, watched *watch) {
	_, err := g.takeBack(ctx, system(), "the commit was not confirmed in time")
	switch {
	case errors.Is(err, store.ErrNotAwaited), ctx.Err() != nil:
	case err != nil:
		watched.retry = g.ran() + trialRetry
		g.Diag.Error("the unconfirmed configuration is not taken back yet", "error", err)
	default:
		alerting{g}.tookBack(c, "It was not confirmed in time.")
	}
}

// tookBack tells that the gateway changed its configuration by itself.
func (a alerting) tookBack(c store.Confirmation, why string) {
	a.gateway.live.alerts.Raise(alert.Alert{
		Class: alert.System, Severity: alert.Warning, Name: "commit-revert", About: fmt.Sprint(c.Revision),
		Summary: fmt.Sprintf("The commit of revision %d was taken back.", c.Revision),
		Details: []string{
			fmt.Sprintf("%s from %s made it on %s, to be confirmed until %s.", c.User, c.Source, c.Since.Local().Format(time.ANSIC), c.Until.Local().Format(time.ANSIC)),
			why,
			fmt.Sprintf("The configuration of revision %d runs again. To make the changes after all, use rollbackconfig.", c.Return),
		},
	})
}
