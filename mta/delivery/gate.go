package delivery

import (
	"net/netip"
	"sync"
	"time"

	"esa/mta/route"
)

// gate holds the limits that a destination sets for each of its addresses.
// Nobody waits in it: an attempt passes over an address that is at its limit,
// and what no address may take now goes back to the queue, which knows that
// nothing was tried. Recipients are counted from the first one on; the count
// is not on disk.
type gate struct {
	mu   sync.Mutex
	held map[gateKey]*held
}

// gateKey is what has a limit of its own.
type gateKey struct {
	domain string
	addr   netip.Addr
	from   string // the delivery interface, where each is counted by itself
}

// held is what is in use of the limits of one address.
type held struct {
	working int       // attempts
	used    int       // recipients that were sent, or may yet be
	until   time.Time // when the recipients are forgotten
}

// ticket is leave to try an address; the zero one asks for nothing.
type ticket struct {
	key    gateKey
	taken  bool
	counts bool // recipients are limited
	left   int  // that may be sent yet
	until  time.Time
}

// spent reports whether no more recipients may be sent.
func (t ticket) spent() bool { return t.counts && t.left <= 0 }

// maxHeld is how many addresses are remembered before those not in use are
// looked through.
const maxHeld = 1000

// enter asks for leave to try an address with so many recipients. Without it,
// wait is when there will be, 0 if that is not a matter of time.
func (g *gate) enter(key gateKey, limits AddressLimits, recipients int) (t ticket, wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	h := g.held[key]
	if h == nil {
		g.sweep(now)
		h = &held{}
		g.held[key] = h
	}
	if limits.Concurrency > 0 && h.working >= limits.Concurrency {
		return ticket{}, 0
	}
	t = ticket{key: key, taken: true}
	if limits.Recipients > 0 {
		if !h.until.After(now) {
			h.used = 0
		}
		if h.used == 0 {
			h.until = now.Add(limits.Interval)
		}
		t.counts, t.until = true, h.until
		t.left = min(recipients, limits.Recipients-h.used)
		if t.left <= 0 {
			return ticket{}, h.until.Sub(now)
		}
		h.used += t.left
	}
	h.working++
	return t, 0
}

// leave ends the use of a ticket; recipients that were not sent may be sent by
// others.
func (g *gate) leave(t ticket) {
	if !t.taken {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.held[t.key]
	h.working--
	if t.counts && h.until.Equal(t.until) {
		h.used -= t.left
	}
	if h.working == 0 && h.used <= 0 {
		delete(g.held, t.key)
	}
}

// forget begins all recipient limits anew; attempts under way give nothing
// back.
func (g *gate) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, h := range g.held {
		h.used, h.until = 0, time.Time{}
	}
}

// sweep forgets what is not in use any more, when there is much.
func (g *gate) sweep(now time.Time) {
	if len(g.held) < maxHeld {
		return
	}
	for key, h := range g.held {
		if h.working == 0 && !h.until.After(now) {
			delete(g.held, key)
		}
	}
}

// enter asks for a ticket to a hop, where the destination limits its
// addresses; false passes the hop over.
func (a *attempt) enter(hop route.NextHop) bool {
	limits := a.to.PerAddress
	a.ticket = ticket{}
	if limits.Concurrency <= 0 && limits.Recipients <= 0 {
		return true
	}
	key := gateKey{domain: a.job.Domain, addr: hop.Addr.Addr()}
	if limits.PerInterface {
		key.from = a.set.Source
	}
	t, wait := a.client.gate.enter(key, limits, len(a.pending))
	partly := t.counts && t.left < len(a.pending)
	if partly {
		wait = time.Until(t.until)
	}
	if !t.taken || partly {
		a.crowded = true
		a.busy = a.busy || wait == 0
	}
	if wait > 0 && (a.wait == 0 || wait < a.wait) {
		a.wait = wait
	}
	a.ticket = t
	return t.taken
}
