package dns

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"esa/mta/lookup"
)

const (
	cacheBytes = 32 << 20 // by the estimate of answer.size
	maxTTL     = 7 * 24 * time.Hour
	maxNoTTL   = 3 * time.Hour   // of an answer that says "none" (RFC 2308 §5)
	failureTTL = 5 * time.Second // protects servers from being asked again at once (RFC 2308 §7.1)
	bogusTTL   = time.Minute     // after every server was asked (RFC 4035 §4.7)
)

// answer is the end of a lookup. It is shared by all who asked and never
// changed; what is given out of it is copied.
type answer struct {
	lookup.Answer
	mx      []lookup.MX
	addrs   []netip.Addr
	names   []string
	tlsa    []lookup.TLSA
	expires time.Time // zero: not to be kept
}

// size estimates the memory of a kept answer in bytes.
func (a *answer) size(q question) int {
	n := 400 + len(q.name) + len(a.Canonical) + len(a.Why) + 24*len(a.addrs)
	for _, m := range a.mx {
		n += 24 + len(m.Host)
	}
	for _, name := range a.names {
		n += 16 + len(name)
	}
	for _, record := range a.tlsa {
		n += 32 + len(record.Data)
	}
	return n
}

// left gives the common part of the answer as of now, with the time it has
// left.
func (a *answer) left(now time.Time) lookup.Answer {
	common := a.Answer
	if !a.expires.IsZero() {
		common.TTL = max(0, a.expires.Sub(now))
	}
	return common
}

// cache keeps answers, those longest unused giving way, and the lookups under
// way, so that the same is not asked twice at the same time. Finding an
// answer takes one lock for some hundred nanoseconds and no goroutine.
type cache struct {
	limit int // bytes

	mu      sync.Mutex
	entries map[question]*entry
	used    int   // bytes
	ring    entry // ring.next was used last, ring.prev is the next to go
	flights map[question]*flight
}

type entry struct {
	question   question
	answer     *answer
	size       int
	prev, next *entry
}

// flight is one lookup under way and those who wait for it.
type flight struct {
	question question
	done     chan struct{} // closed when answer is set
	answer   *answer
	ctx      context.Context // ends when the last has left
	cancel   context.CancelFunc
	waiting  int // guarded by the cache
}

func newCache(limit int) *cache {
	c := &cache{limit: limit, entries: make(map[question]*entry), flights: make(map[question]*flight)}
	c.ring.prev, c.ring.next = &c.ring, &c.ring
	return c
}

// found is what the cache has for a question: an answer, or a lookup to wait
// for, which the caller has to run if it is first.
type found struct {
	answer  *answer
	flight  *flight
	first   bool
	expired bool // there was an answer, but too old
}

// find looks q up. base is the context that flights live under, whoever
// begins them.
func (c *cache) find(base context.Context, q question, now time.Time) found {
	c.mu.Lock()
	defer c.mu.Unlock()
	var f found
	if e := c.entries[q]; e != nil {
		if now.Before(e.answer.expires) {
			e.unlink()
			c.link(e)
			return found{answer: e.answer}
		}
		c.remove(e)
		f.expired = true
	}
	f.flight = c.flights[q]
	if f.flight == nil {
		f.first = true
		f.flight = &flight{question: q, done: make(chan struct{})}
		f.flight.ctx, f.flight.cancel = context.WithCancel(base)
		c.flights[q] = f.flight
	}
	f.flight.waiting++
	return f
}

// leave is called by who does not wait any longer. A lookup that nobody waits
// for is cancelled, and who comes later begins a new one.
func (c *cache) leave(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.waiting--
	if f.waiting == 0 {
		f.cancel()
		c.forget(f)
	}
}

// land ends a flight with its answer, for those who wait and those to come.
func (c *cache) land(f *flight, a *answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	abandoned := f.ctx.Err() != nil
	f.cancel()
	c.forget(f)
	f.answer = a
	close(f.done)
	if !a.expires.IsZero() && !abandoned {
		c.keep(f.question, a)
	}
}

// forget takes a flight off the list, unless another has taken its place.
func (c *cache) forget(f *flight) {
	if c.flights[f.question] == f {
		delete(c.flights, f.question)
	}
}

func (c *cache) keep(q question, a *answer) {
	if old := c.entries[q]; old != nil {
		c.remove(old)
	}
	e := &entry{question: q, answer: a, size: a.size(q)}
	c.entries[q] = e
	c.used += e.size
	c.link(e)
	for c.used > c.limit {
		c.remove(c.ring.prev)
	}
}

func (c *cache) remove(e *entry) {
	e.unlink()
	delete(c.entries, e.question)
	c.used -= e.size
}

// link makes e the one used last.
func (c *cache) link(e *entry) {
	e.prev, e.next = &c.ring, c.ring.next
	e.prev.next, e.next.prev = e, e
}

func (e *entry) unlink() {
	e.prev.next, e.next.prev = e.next, e.prev
}
