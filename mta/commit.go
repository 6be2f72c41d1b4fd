package mta

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"esa/mta/dns"
	"esa/mta/socket"
	"esa/store"
)

// change is a commit that has been prepared: everything that can fail is done,
// nothing can be seen. It ends with abort or apply.
type change struct {
	merged     store.Merged
	generation *generation
	sockets    *socket.Change // nil offline
	unbound    []error        // of listeners that could not be bound before either
	report     store.CommitReport
}

// Commit makes a session's pending configuration the running one, whole or
// not at all. Errors before the save leave everything as it was, the pending
// configuration included: store.ErrNothing, *store.BusyError,
// *store.ConflictError, *store.RightsError, *store.CheckError with every
// problem, *store.AskError, what store.CheckTurn gives, and ErrOffline for a
// commit on trial.
//
// After a crash before Save returns, the old revision runs; after it, the new
// one does, whether or not the swap was reached.
func (g *Gateway) Commit(ctx context.Context, r store.CommitRequest) (store.CommitReport, error) {
	began := g.Clock()
	before, _ := g.Store.Running()
	report, err := g.commit(ctx, r)
	if err != nil {
		return report, err
	}
	// The swap is done: servers that do not answer only make a note.
	report.Notes = append(report.Notes, g.probeAdded(ctx, before)...)
	report.Took = g.Clock().Sub(began)
	return report, nil
}

func (g *Gateway) commit(ctx context.Context, r store.CommitRequest) (store.CommitReport, error) {
	unlock, err := g.turn(ctx, r.Session.Who())
	if err != nil {
		return store.CommitReport{}, err
	}
	defer unlock()
	c, err := g.prepare(r)
	if err != nil {
		return c.report, err
	}
	if len(c.report.Questions) > 0 && !r.Force {
		c.abort()
		return c.report, &store.AskError{Questions: c.report.Questions}
	}
	if r.Confirm > 0 {
		g.trialBegun.Store(int64(g.ran()))
	}
	c.report.Revision, err = g.Store.Save(store.Commit{
		Session: r.Session, Merged: c.merged, Comment: r.Comment, Result: "committed", Confirm: r.Confirm,
	})
	if err != nil {
		c.abort()
		return c.report, saveFailed(err)
	}
	g.keepCopy()
	g.Diag.Info("configuration saved", "revision", c.report.Revision.Number, "user", c.report.Revision.User)
	g.apply(c)
	g.logCommit(c.report.Revision)
	if r.Confirm > 0 {
		g.Log().OnTrial(c.report.Revision.Number, c.report.Revision.Time.Add(r.Confirm))
	}
	return c.report, nil
}

// logCommit has the logs tell of a revision that runs now.
func (g *Gateway) logCommit(r store.Revision) {
	g.Log().Committed(r.Number, r.User, r.Source, r.Comment)
}

// keepCopy keeps what runs beside the database. Without it nothing is lost but
// a way back from a damaged database.
func (g *Gateway) keepCopy() {
	if err := g.Store.KeepCopy(); err != nil {
		g.Diag.Error("the configuration has no copy", "error", err)
	}
}

// saveFailed says what a failed save means for what runs.
func saveFailed(err error) error {
	if errors.Is(err, store.ErrInDoubt) {
		return fmt.Errorf("saving the configuration, what ran before runs on for now: %w", err)
	}
	return fmt.Errorf("saving the configuration, nothing was changed: %w", err)
}

// turn waits until no other commit or check is under way, and keeps the
// generation and the sockets as they are until unlock.
func (g *Gateway) turn(ctx context.Context, who store.Who) (unlock func(), err error) {
	next, err := g.Store.Lock(ctx, who)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	return func() {
		g.mu.Unlock()
		next()
	}, nil
}

// Check does everything that Commit does up to the durable write.
func (g *Gateway) Check(ctx context.Context, r store.CommitRequest) (store.CommitReport, error) {
	unlock, err := g.turn(ctx, r.Session.Who())
	if err != nil {
		return store.CommitReport{}, err
	}
	defer unlock()
	c, err := g.prepare(r)
	if err == nil {
		c.abort()
	}
	return c.report, err
}

// prepare does all of a commit that can fail. Everything that is wrong is
// told at once. The caller holds mu.
func (g *Gateway) prepare(r store.CommitRequest) (*change, error) {
	c := &change{}
	if r.Confirm > 0 && g.live == nil {
		return c, fmt.Errorf("a commit on trial: %w", ErrOffline) // nobody would watch its time
	}
	err := g.Store.CheckTurn(r.Session)
	if err != nil {
		return c, err
	}
	if c.merged, err = r.Session.Merge(); err != nil {
		return c, err
	}
	running, revision := g.Store.Running()
	if r.Confirm > 0 {
		if _, err := g.Store.Revision(revision); err != nil {
			return c, fmt.Errorf("a commit on trial could not be taken back: %w", err)
		}
	}
	next := c.merged.Config
	if c.report.Questions, err = r.Review(running, next); err != nil {
		return c, err
	}
	c.report.Changes = store.Diff(running, next)
	c.report.Warnings = next.Warnings(g.Clock(), g.Authorities)

	problems := next.Validate()
	var more []store.Problem
	c.generation, more = build(next, c.merged.Revision+1, g.trust())
	problems = addNew(problems, more)
	if g.live == nil {
		// What cannot be bound here and now may be there when the gateway starts.
		c.report.Warnings = append(c.report.Warnings, missingAddresses(next)...)
		c.report.Warnings = append(c.report.Warnings, tryBinding(c.generation)...)
	} else {
		problems = append(problems, g.prepareMachine(c, running)...)
	}
	if len(problems) > 0 {
		c.abort()
		return c, &store.CheckError{Problems: problems}
	}
	return c, nil
}

// addNew adds problems of places that none is known of, nor of a part of them:
// what does not fit into a table has mostly been told by Validate, in better
// words.
func addNew(known, more []store.Problem) []store.Problem {
	all := known
	for _, p := range more {
		if !slices.ContainsFunc(known, func(k store.Problem) bool { return strings.HasPrefix(k.Place, p.Place) }) {
			all = append(all, p)
		}
	}
	return all
}

// prepareMachine gets what the machine has to give, and says what it refuses.
// An address or a port that running wants and lacks as well only makes a
// warning: it is tried again and must not stand in the way of other changes.
func (g *Gateway) prepareMachine(c *change, running *store.Config) []store.Problem {
	var problems []store.Problem
	lacking := missingAddresses(running)
	for _, p := range missingAddresses(c.generation.config) {
		if slices.Contains(lacking, p) {
			c.report.Warnings = append(c.report.Warnings, p)
		} else {
			problems = append(problems, p)
		}
	}
	for _, err := range parts(g.live.log.Check(c.generation.logs)) {
		problems = append(problems, store.Problem{Place: "logs", Text: sentence(err), Fix: "logconfig"})
	}
	sockets, errs := g.live.sockets.PrepareWhatCan(c.generation.sockets)
	c.sockets = sockets
	var refused []error
	for _, err := range errs {
		if g.lacks(err) {
			c.unbound = append(c.unbound, err)
		} else {
			refused = append(refused, err)
		}
	}
	c.report.Warnings = append(c.report.Warnings, bindProblems(c.generation, c.unbound)...)
	return append(problems, bindProblems(c.generation, refused)...)
}

// lacks reports whether the address that could not be bound is one that the
// gateway waits for since its start.
func (g *Gateway) lacks(err error) bool {
	var bind, known *socket.BindError
	return errors.As(err, &bind) && slices.ContainsFunc(g.unbound, func(err error) bool {
		return errors.As(err, &known) && known.Addr == bind.Addr
	})
}

// parts gives the errors that errors.Join has joined.
func parts(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// abort undoes prepare.
func (c *change) abort() {
	if c.sockets != nil {
		c.sockets.Abort()
	}
}

// apply makes a saved change run. It cannot fail.
func (g *Gateway) apply(c *change) {
	if g.live == nil {
		g.current.Store(c.generation)
		return
	}
	before, next := g.current.Load().config, c.generation.config
	g.suspendRenamed(before, next)
	g.configure(c.generation)
	if c.sockets != nil { // there are none when the gateway is about to end
		c.sockets.Apply()
	}
	g.unbound = c.unbound
	if _, onTrial := g.Store.Awaiting(); !onTrial { // or the listeners that come back would not be suspended
		g.forgetSuspended(next)
	}
}

// bindProblems names the listener, or the interface with its SSH port, that each
// socket which cannot be had is for.
func bindProblems(next *generation, errs []error) []store.Problem {
	var problems []store.Problem
	for _, err := range errs {
		p := store.Problem{Place: "listeners", Text: sentence(err), Fix: "listenerconfig -> EDIT -> INTERFACE"}
		var bind *socket.BindError
		if errors.As(err, &bind) {
			if settings := next.listener(bind.Addr); settings != nil {
				p.Place = fmt.Sprintf("listener %q", settings.Listener)
			} else if name := next.consoles[bind.Addr]; name != "" {
				p.Place, p.Fix = sshOf+strconv.Quote(name), "interfaceconfig -> EDIT"
			}
		}
		problems = append(problems, p)
	}
	return problems
}

// isConsole reports whether a problem of bindProblems is about an SSH port.
func isConsole(p store.Problem) bool { return strings.HasPrefix(p.Place, sshOf) }

// sshOf begins the place of a problem with an SSH port.
const sshOf = "SSH of interface "

// sentence gives an error as operators read it.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// missingAddresses finds interfaces whose address this machine does not have.
func missingAddresses(c *store.Config) []store.Problem {
	var problems []store.Problem
	for _, i := range c.Interfaces {
		for _, addr := range i.Addrs() {
			if err := socket.Local(addr); err != nil {
				problems = append(problems, store.Problem{
					Place: fmt.Sprintf("interface %q", i.Name), Text: sentence(err), Fix: "interfaceconfig -> EDIT",
				})
			}
		}
	}
	return problems
}

// tryBinding tells, offline, what could not be bound now.
func tryBinding(next *generation) []store.Problem {
	sockets := socket.NewSet(func(netip.AddrPort, net.Conn) {}, nil)
	defer sockets.Close()
	change, errs := sockets.Prepare(next.sockets)
	if change != nil {
		change.Abort()
	}
	return bindProblems(next, errs)
}

// probeAdded asks the DNS servers that were not asked before, all at once; all
// that there are where DANE is new, as it rests on them.
func (g *Gateway) probeAdded(ctx context.Context, before *store.Config) []string {
	after := g.current.Load().config
	var added []netip.AddrPort
	for _, s := range after.DNS.Servers {
		known := (before.WantsDANE() || !after.WantsDANE()) && slices.ContainsFunc(before.DNS.Servers, func(o store.DNSServer) bool { return o.Addr == s.Addr })
		if !known {
			added = append(added, s.Addr)
		}
	}
	notes := make([]string, len(added))
	var probes sync.WaitGroup
	for i, server := range added {
		probes.Go(func() { notes[i] = g.ProbeDNS(ctx, server) })
	}
	probes.Wait()
	return notes
}

// ProbeDNS asks a DNS server whether it answers, within two seconds, and says
// the result for an operator. Offline nothing is asked.
func (g *Gateway) ProbeDNS(ctx context.Context, server netip.AddrPort) string {
	name := store.FormatDNSServer(server)
	if g.live == nil {
		return fmt.Sprintf("DNS server %s was not asked: the gateway does not run.", name)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, probeTime, errors.New("no answer within 2 seconds"))
	defer cancel()
	began := time.Now()
	err := g.live.resolver.Probe(ctx, server)
	took := time.Since(began).Milliseconds()
	switch {
	case errors.Is(err, dns.ErrNoDNSSEC):
		return fmt.Sprintf("DNS server %s answers (%d ms), but does not pass DNSSEC records on: it is no good for DANE.", name, took)
	case err != nil:
		return fmt.Sprintf("DNS server %s does not answer: %v.", name, err)
	}
	return fmt.Sprintf("DNS server %s answers (%d ms) and passes DNSSEC records on.", name, took)
}
