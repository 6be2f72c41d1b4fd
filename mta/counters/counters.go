// Package counters keeps the numbers that must outlive a restart: the ids of
// connections and messages, and the counters of the status commands.
//
// An id is never given out twice. The file does not hold the last id but an
// end beyond it that no process has passed; ids up to the end are given out
// without touching the disk. So a gateway that was killed goes on behind the
// end and leaves a gap, and one that was closed goes on with the next id.
//
// What is true after a crash: ids go on beyond all that were given out;
// counters show what the last save had, at most some ten seconds old.
package counters

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"esa/mta/envelope"
)

// block is how far the ends are set beyond the ids in use. Half of it must
// last while a save waits for a busy disk: at 5,000 messages a second, one
// second.
const block = 10_000

// interval is how often Run saves when no id asks for it earlier.
const interval = 10 * time.Second

// The kinds of id.
const (
	mids = iota
	icids
	dcids
	kinds
)

// Counters gives out ids and counts. All methods are safe for concurrent use;
// Add and the ids take no lock.
type Counters struct {
	path   string
	clock  func() time.Time
	damage error

	ids    [kinds]sequence
	counts [numNames]atomic.Int64 // since this process started
	others [numNames]func() int64 // what others count, see Include
	wake   chan struct{}          // asks Run for a save
	past   past                   // for rates

	mu      sync.Mutex // one save at a time; guards what follows
	base    [numNames]int64
	reset   [numNames]int64 // lifetime values at the last reset
	resetAt time.Time
	started time.Time
	closed  bool
}

// past is what the rated counters stood at in the last quarter of an hour.
type past struct {
	mu      sync.Mutex
	samples []sample // oldest first, at most maxSamples
}

type sample struct {
	at     time.Time
	totals totals
}

// sequence is one kind of id.
type sequence struct {
	last atomic.Uint64 // given out last
	end  atomic.Uint64 // the disk says: not given out beyond this
}

// Open reads the file at path, or begins at zero if there is none. A damaged
// file is set aside and Damage tells; one written by a newer build is refused.
// A nil clock is time.Now.
func Open(path string, clock func() time.Time) (*Counters, error) {
	if clock == nil {
		clock = time.Now
	}
	c := &Counters{path: path, clock: clock, started: clock(), wake: make(chan struct{}, 1)}
	s, err := load(path)
	if errors.As(err, new(damaged)) {
		c.damage, err = err, nil
	}
	if err != nil {
		return nil, err
	}
	for i := range c.ids {
		c.ids[i].last.Store(s.IDs[i])
		c.ids[i].end.Store(s.IDs[i])
	}
	c.base, c.reset, c.resetAt = s.lifetimes(), s.resets(), s.ResetAt
	c.sample()
	// Nothing is saved yet: the first id does it, and a gateway whose disk is
	// full starts all the same.
	return c, nil
}

// Damage tells that Open found a damaged file and set it aside: the counters
// began anew, ids from the copy of the save before or, without one, at zero.
// It is nil otherwise.
func (c *Counters) Damage() error { return c.damage }

// Floor makes sure that no MID up to m is given out: the queue says what it
// found on disk.
func (c *Counters) Floor(m envelope.MID) {
	last := &c.ids[mids].last
	for {
		old := last.Load()
		if old >= uint64(m) || last.CompareAndSwap(old, uint64(m)) {
			return
		}
	}
}

// NextMID, NextICID and NextDCID give the next id of their kind.
func (c *Counters) NextMID() envelope.MID   { return envelope.MID(c.next(mids)) }
func (c *Counters) NextICID() envelope.ICID { return envelope.ICID(c.next(icids)) }
func (c *Counters) NextDCID() envelope.DCID { return envelope.DCID(c.next(dcids)) }

func (c *Counters) next(kind int) uint64 {
	s := &c.ids[kind]
	id := s.last.Add(1)
	end := s.end.Load()
	// If nobody moved the end in time, this id waits for it. If that fails,
	// mail goes on all the same: Run tries again and tells, and only a crash
	// before it succeeds could give this id out again.
	if id > end && c.reserve(kind, id) == nil {
		return id
	}
	if id+block/2 > end {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
	return id
}

// reserve waits until id is below the end on disk. Of many that come at once,
// the first saves.
func (c *Counters) reserve(kind int, id uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id <= c.ids[kind].end.Load() {
		return nil
	}
	return c.saveLocked(block)
}

// Add counts n more. The two sums, HardBouncedRecips and CompletedRecips, are
// computed from their parts; adding to them changes nothing.
func (c *Counters) Add(name Name, n int64) { c.counts[name].Add(n) }

// Include counts in what another part has counted since this process started:
// total gives it at any time, never less than before. It is called before
// anybody else uses c.
func (c *Counters) Include(name Name, total func() int64) { c.others[name] = total }

// sinceStart is a counter's value since this process started.
func (c *Counters) sinceStart(name Name) int64 {
	n := c.counts[name].Load()
	if other := c.others[name]; other != nil {
		n += other()
	}
	return n
}

// Reset begins the Reset column at zero; ids and the other columns go on.
func (c *Counters) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.reset {
		c.reset[i] = c.base[i] + c.sinceStart(Name(i))
	}
	c.resetAt = c.clock()
}

// Save writes the present values, and ends for the ids beyond them. It
// returns when they are on stable storage.
func (c *Counters) Save() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.saveLocked(block)
}

// Run saves every ten seconds, and earlier when ids run out, until ctx ends.
// It takes the samples of Rates.
// failed is told of each save that failed.
func (c *Counters) Run(ctx context.Context, failed func(error)) {
	tick, beat := time.NewTicker(interval), time.NewTicker(pulse)
	defer tick.Stop()
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			c.sample()
			continue
		case <-tick.C:
		case <-c.wake:
		}
		if err := c.Save(); err != nil {
			failed(err)
		}
	}
}

// Close saves the exact values. Nothing may be counted afterwards.
func (c *Counters) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	return c.saveLocked(0)
}

func (c *Counters) saveLocked(ahead uint64) error {
	if c.closed && ahead > 0 {
		return os.ErrClosed
	}
	s := saved{Counters: map[string]value{}, ResetAt: c.resetAt}
	for i := range c.ids {
		s.IDs[i] = c.ids[i].last.Load() + ahead
	}
	for name := range numNames {
		s.Counters[name.String()] = value{Lifetime: c.base[name] + c.sinceStart(name), AtReset: c.reset[name]}
	}
	if err := s.write(c.path); err != nil {
		return fmt.Errorf("saving counters: %w", err)
	}
	for i := range c.ids {
		c.ids[i].end.Store(s.IDs[i])
	}
	return nil
}
