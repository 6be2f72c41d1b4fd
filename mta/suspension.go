package mta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"esa/mta/durable"
	"esa/mta/queue"
	"esa/mta/smtpd"
	"esa/store"
)

// Suspension is what operators have closed for a while. It is no
// configuration: it takes effect at once, and lasts over restarts until it is
// taken back.
type Suspension struct {
	AllListeners bool     `json:"all_listeners"`
	Listeners    []string `json:"listeners"` // that take no mail, by name
	AllDomains   bool     `json:"all_domains"`
	Domains      []string `json:"domains"` // that mail is not delivered to, lower case
}

// Clone gives a copy that shares nothing.
func (s Suspension) Clone() Suspension {
	s.Listeners, s.Domains = slices.Clone(s.Listeners), slices.Clone(s.Domains)
	return s
}

// Suspended gives what is suspended.
func (g *Gateway) Suspended() Suspension {
	g.suspending.Lock()
	defer g.suspending.Unlock()
	return g.suspended.Clone()
}

// ChangeSuspension edits what is suspended. When it returns without error, the
// result is on stable storage and in effect. An error of edit changes nothing.
func (g *Gateway) ChangeSuspension(edit func(*Suspension) error) error {
	if g.live == nil {
		return ErrOffline
	}
	g.suspending.Lock()
	defer g.suspending.Unlock()
	before, next := g.suspended, g.suspended.Clone()
	if err := edit(&next); err != nil {
		return err
	}
	if err := next.write(g.suspensionFile()); err != nil {
		return fmt.Errorf("saving what is suspended, nothing was changed: %w", err)
	}
	g.suspended = next
	g.live.suspend(next)
	g.live.tellSuspension(before, next)
	return nil
}

// suspendRenamed keeps suspended what a commit renames: the new listener at the
// interface and port of a suspended one. It comes before the commit, so that no
// mail is taken in between.
func (g *Gateway) suspendRenamed(before, next *store.Config) {
	g.suspendListeners(func(names []string) []string {
		for _, old := range before.Listeners {
			if !slices.Contains(names, old.Name) || listens(next, old.Name) {
				continue
			}
			for _, l := range next.Listeners {
				if l.Interface == old.Interface && l.Port == old.Port && !slices.Contains(names, l.Name) {
					names = append(names, l.Name)
				}
			}
		}
		return names
	})
}

// forgetSuspended forgets listeners that are no more: one that has such a name
// later is another.
func (g *Gateway) forgetSuspended(config *store.Config) {
	g.suspendListeners(func(names []string) []string {
		return slices.DeleteFunc(names, func(name string) bool { return !listens(config, name) })
	})
}

// suspendListeners edits the names of suspended listeners for a commit, which
// nothing can stop any more: if they cannot be saved, they are in effect until
// a restart.
func (g *Gateway) suspendListeners(edit func([]string) []string) {
	g.suspending.Lock()
	defer g.suspending.Unlock()
	next := g.suspended.Clone()
	if next.Listeners = edit(next.Listeners); slices.Equal(next.Listeners, g.suspended.Listeners) {
		return
	}
	if err := next.write(g.suspensionFile()); err != nil {
		g.Diag.Error("saving which listeners are suspended", "error", err)
	}
	g.suspended = next
	g.live.suspend(next)
}

// listens reports whether there is a listener of this name.
func listens(config *store.Config, name string) bool {
	return slices.ContainsFunc(config.Listeners, func(l store.Listener) bool { return l.Name == name })
}

// AwaitSessions returns when no session of a suspended listener is open. Those
// that are when grace is over are cut. It ends early with ctx, and gives how
// many are left then.
func (g *Gateway) AwaitSessions(ctx context.Context, grace time.Duration) (left int, err error) {
	if g.live == nil {
		return 0, ErrOffline
	}
	return g.live.server.AwaitIdle(ctx, grace), nil
}

// AwaitDeliveries is AwaitSessions for attempts to suspended domains.
func (g *Gateway) AwaitDeliveries(ctx context.Context, grace time.Duration) (left int, err error) {
	if g.live == nil {
		return 0, ErrOffline
	}
	return g.live.queue.AwaitIdle(ctx, grace), nil
}

// suspend puts it into effect.
func (l *live) suspend(s Suspension) {
	l.server.Suspend(smtpd.Suspension{All: s.AllListeners, Listeners: s.Listeners})
	l.queue.Suspend(queue.Suspension{All: s.AllDomains, Domains: s.Domains})
	if s.AllDomains {
		l.client.CloseIdle()
	}
}

// tellSuspension writes what is suspended now and was not before, and the
// other way round.
func (l *live) tellSuspension(before, now Suspension) {
	tell := func(was, is []string, suspended, resumed func([]string)) {
		if added := without(is, was); len(added) > 0 {
			suspended(added)
		}
		if removed := without(was, is); len(removed) > 0 {
			resumed(removed)
		}
	}
	tell(named(before.AllListeners, before.Listeners), named(now.AllListeners, now.Listeners), l.log.ReceivingSuspended, l.log.ReceivingResumed)
	tell(named(before.AllDomains, before.Domains), named(now.AllDomains, now.Domains), l.log.DeliverySuspended, l.log.DeliveryResumed)
}

// allNamed reports whether these are all listeners that there are.
func (g *generation) allNamed(names []string) bool {
	return len(g.config.Listeners) > 0 && !slices.ContainsFunc(g.config.Listeners, func(l store.Listener) bool {
		return !slices.Contains(names, l.Name)
	})
}

// named is a list with "ALL" in the place of all.
func named(all bool, names []string) []string {
	if all {
		return []string{"ALL"}
	}
	return names
}

func without(list, others []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(name string) bool { return slices.Contains(others, name) })
}

func (g *Gateway) suspensionFile() string { return filepath.Join(g.Dir, "suspended") }

// readSuspension reads the file; without one nothing is suspended.
func readSuspension(path string) (Suspension, error) {
	var s Suspension
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return s, fmt.Errorf("reading %s, without which nothing would be suspended: %w", path, err)
	}
	return s, nil
}

// write replaces the file.
func (s Suspension) write(path string) error {
	text, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	return durable.Replace(path, append(text, '\n'))
}
