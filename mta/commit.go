package mta

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"esa/mta/socket"
	"esa/store"
)

// change is a commit that has been prepared: everything that can fail is done,
// nothing can be seen. It ends with abort or apply.
type change struct {
	merged     store.Merged
	generation *generation
	sockets    *socket.Change // nil offline
	report     store.CommitReport
}

// Commit makes a session's pending configuration the running one, whole or
// not at all. Errors before the save leave everything as it was, the pending
// configuration included: store.ErrNothing, *store.BusyError,
// *store.ConflictError, *store.CheckError with every problem, *store.AskError.
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
	unlock, err := g.Store.Lock(ctx, r.Session.Who())
	if err != nil {
		return store.CommitReport{}, err
	}
	defer unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	c, err := g.prepare(r)
	if err != nil {
		return c.report, err
	}
	if len(c.report.Questions) > 0 && !r.Force {
		c.abort()
		return c.report, &store.AskError{Questions: c.report.Questions}
	}
	c.report.Revision, err = g.Store.Save(store.Commit{
		Session: r.Session, Merged: c.merged, Comment: r.Comment, Result: "committed",
	})
	if err != nil {
		c.abort()
		return c.report, fmt.Errorf("saving the configuration, nothing was changed: %w", err)
	}
	g.apply(c)
	return c.report, nil
}

// Check does everything that Commit does up to the durable write.
func (g *Gateway) Check(ctx context.Context, r store.CommitRequest) (store.CommitReport, error) {
	unlock, err := g.Store.Lock(ctx, r.Session.Who())
	if err != nil {
		return store.CommitReport{}, err
	}
	defer unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
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
	var err error
	if c.merged, err = r.Session.Merge(); err != nil {
		return c, err
	}
	running, _ := g.Store.Running()
	next := c.merged.Config
	c.report.Changes = store.Diff(running, next)
	c.report.Warnings = next.Warnings()
	c.report.Questions = store.OpensRelay(running, next)

	problems := next.Validate()
	var more []store.Problem
	c.generation, more = build(next, c.merged.Revision+1)
	problems = append(problems, more...)
	if len(problems) > 0 {
		return c, &store.CheckError{Problems: problems}
	}
	problems = missingAddresses(next)
	if g.live == nil {
		// What cannot be bound here and now may be there when the gateway starts.
		c.report.Warnings = append(c.report.Warnings, problems...)
		c.report.Warnings = append(c.report.Warnings, tryBinding(c.generation)...)
		return c, nil
	}
	if err := g.live.log.Check(c.generation.logs); err != nil {
		problems = append(problems, store.Problem{Place: "logs", Text: sentence(err), Fix: "logconfig"})
	}
	sockets, errs := g.live.sockets.Prepare(c.generation.sockets)
	c.sockets = sockets
	problems = append(problems, bindProblems(c.generation, errs)...)
	if len(problems) > 0 {
		c.abort()
		return c, &store.CheckError{Problems: problems}
	}
	return c, nil
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
	g.configure(c.generation)
	c.sockets.Apply()
	g.unbound = nil
}

// bindProblems names the listener that each socket which cannot be had is for.
func bindProblems(next *generation, errs []error) []store.Problem {
	var problems []store.Problem
	for _, err := range errs {
		p := store.Problem{Place: "listeners", Text: sentence(err), Fix: "listenerconfig -> EDIT -> INTERFACE"}
		var bind *socket.BindError
		if errors.As(err, &bind) {
			if settings := next.listener(bind.Addr); settings != nil {
				p.Place = fmt.Sprintf("listener %q", settings.Listener)
			}
		}
		problems = append(problems, p)
	}
	return problems
}

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

// probeAdded asks the DNS servers that were not asked before, all at once.
func (g *Gateway) probeAdded(ctx context.Context, before *store.Config) []string {
	after := g.current.Load().config
	var added []netip.AddrPort
	for _, s := range after.DNS.Servers {
		known := slices.ContainsFunc(before.DNS.Servers, func(o store.DNSServer) bool { return o.Addr == s.Addr })
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
	if err := g.live.resolver.Probe(ctx, server); err != nil {
		return fmt.Sprintf("DNS server %s does not answer: %v.", name, err)
	}
	return fmt.Sprintf("DNS server %s answers (%d ms).", name, time.Since(began).Milliseconds())
}
