// Package crl keeps certificate revocation lists and says whether a chain holds
// a certificate that one of them revokes (RFC 5280 §5 and §6.3).
//
// The life of a list:
//
//	fetch   by HTTP, bounded in size, time and redirects, and only if it changed (fetch.go)
//	parse   version 2, complete and direct; delta and indirect lists are refused (parse.go, §5.1, §5.2)
//	verify  signed by one of the authorities that peers are verified against, and valid today (parse.go, §6.3.3)
//	save    one file for each source, whole or not at all (file.go)
//	Revoked looks the serial numbers of a chain up, without a lock or the network (revoked.go)
//
// The authority that issues a list must be known: it is one of those that the
// settings name. A list of an intermediate authority can be had by making that
// one a custom authority. An unknown signer is refused, because over http
// anybody on the way could put a list of his own in the place of the real one.
// For the same reason no list takes the place of a later one.
//
// What is not known does not revoke: where there is no list, or the one there
// is outdated (after its nextUpdate), certificates pass as if there were none.
// Mail is not to stop because the host of a list does. The log says so, and
// Options.Lacking, each time that a list cannot be fetched then. A list is
// fetched when its schedule says so and when it becomes outdated, and after a
// failure every ten minutes.
//
// A partial list (a shard, or one of end entities only) revokes what it names;
// that it does not name the others is not asked for. CRL distribution points
// that certificates name are not followed: a peer would choose what we fetch.
package crl

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"esa/mta/maillog"
)

// Source is one list and where it comes from.
type Source struct {
	Name    string // letters, digits, "-" and "_"; that of its file
	URL     string
	Further string // asked where URL does not have the list; empty: nobody
	Refresh Schedule
}

// Schedule is when a list is fetched again: every so often, or else at a time
// of the clock's zone, every day or one day of every week.
type Schedule struct {
	Every  time.Duration // 0: at Minute
	Weekly bool          // on Day only
	Day    time.Weekday
	Minute int // of the day
}

// Next gives the first time after t.
func (s Schedule) Next(t time.Time) time.Time {
	if s.Every > 0 {
		return t.Add(s.Every)
	}
	for days := 0; ; days++ {
		next := time.Date(t.Year(), t.Month(), t.Day()+days, 0, s.Minute, 0, 0, t.Location())
		if next.After(t) && (!s.Weekly || next.Weekday() == s.Day || days > 7) {
			return next
		}
	}
}

// Settings is what a configuration says.
type Settings struct {
	Sources     []Source
	Authorities []*x509.Certificate // who may have issued a list
}

// Options are what Lists work with for their whole life.
type Options struct {
	Dir   string           // made when the first list is saved
	HTTP  *http.Client     // its redirects and its time are bounded here; nil: the default one
	Log   *maillog.Log     // nil: nothing is written
	Clock func() time.Time // wall time; nil: time.Now
	Diag  *slog.Logger     // nil: nobody
	// Lacking is told that a list could not be fetched and that there is none
	// that is not outdated; nil: nobody is.
	Lacking func(Lack)
}

// Lack is a list that nothing can be checked against.
type Lack struct {
	Name       string
	NextUpdate time.Time // of the list that is outdated; zero: there is none
	Err        error     // why it could not be fetched
}

// Bounds of fetching.
const (
	retryTime = 10 * time.Minute // after a failure
	atOnce    = 4                // fetches
	lookAgain = time.Minute      // at the longest: the wall clock may be set
	soonest   = time.Second      // at the least between two looks
)

// State is what is known of one source.
type State struct {
	Name       string
	Fetched    time.Time // when the list came, or was found unchanged; zero: there is none
	Issued     time.Time // thisUpdate
	NextUpdate time.Time
	Entries    int
	Due        time.Time // when it is fetched next
	Failed     time.Time // when the last fetch failed; zero: it did not
	Err        error     // why
}

// Outdated reports whether the list revokes nothing any more.
func (s State) Outdated(now time.Time) bool { return s.NextUpdate.Before(now) }

// ErrUnknown says that there is no source of a name.
var ErrUnknown = errors.New("there is no such revocation list")

// Lists keeps the lists of the sources. Its methods are safe for concurrent use.
type Lists struct {
	o     Options
	wake  chan struct{}
	slots chan struct{}
	held  atomic.Pointer[[]*list] // what Revoked looks at

	mu      sync.Mutex // never held while the network is waited for
	known   []*x509.Certificate
	sources []*source
}

// source is one source at work.
type source struct {
	Source
	list     *list // nil: none
	fetched  time.Time
	due      time.Time
	failed   time.Time
	err      error
	fetching chan struct{} // closed when the fetch under way is over; nil: there is none
}

// New makes Lists without sources.
func New(o Options) *Lists {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Diag == nil {
		o.Diag = slog.New(slog.DiscardHandler)
	}
	o.HTTP = bounded(o.HTTP)
	l := &Lists{o: o, wake: make(chan struct{}, 1), slots: make(chan struct{}, atOnce)}
	l.held.Store(&[]*list{})
	return l
}

// Configure puts settings into effect. Lists that are there stay in use without
// a gap, those of new sources are read from their files. It does not wait for
// the network: Run fetches what is not there.
func (l *Lists) Configure(s Settings) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.sources
	l.known, l.sources = s.Authorities, make([]*source, len(s.Sources))
	for i, from := range s.Sources {
		n := slices.IndexFunc(before, func(old *source) bool {
			return old.Name == from.Name && old.URL == from.URL && old.Further == from.Further
		})
		if n < 0 {
			l.sources[i] = l.load(from)
			continue
		}
		l.sources[i] = before[n]
		l.keep(before[n], from.Refresh)
	}
	l.publish()
	l.purge()
	l.signal()
}

// keep carries a source over to new settings. A list whose authority is no
// longer trusted is dropped, and one that was refused may be good now.
func (l *Lists) keep(s *source, refresh Schedule) {
	s.Refresh = refresh
	switch {
	case s.list != nil && !l.trusted(s.list):
		s.list, s.fetched, s.due = nil, time.Time{}, time.Time{}
	case s.err != nil:
		s.due = time.Time{}
	case s.list != nil:
		s.due = s.next()
	}
}

// trusted reports whether the authority of a list is still one of those known.
func (l *Lists) trusted(of *list) bool { return slices.ContainsFunc(l.known, of.authority.Equal) }

// next is when a source whose list came is due again.
func (s *source) next() time.Time {
	due := s.Refresh.Next(s.fetched)
	if s.list.nextUpdate.Before(due) {
		return s.list.nextUpdate
	}
	return due
}

// publish shows Revoked the lists that there are.
func (l *Lists) publish() {
	held := make([]*list, 0, len(l.sources))
	for _, s := range l.sources {
		if s.list != nil {
			held = append(held, s.list)
		}
	}
	l.held.Store(&held)
}

// signal makes Run look again.
func (l *Lists) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Run fetches lists when they are due, until ctx ends. All that it began is
// over when it returns.
func (l *Lists) Run(ctx context.Context) {
	var fetches sync.WaitGroup
	defer fetches.Wait()
	for {
		now := l.o.Clock()
		next := now.Add(lookAgain)
		l.mu.Lock()
		for _, s := range l.sources {
			if s.fetching != nil {
				continue
			}
			if s.due.After(now) {
				next = slices.MinFunc([]time.Time{next, s.due}, time.Time.Compare)
				continue
			}
			s.fetching = make(chan struct{})
			fetches.Go(func() { l.refresh(ctx, s) })
		}
		l.mu.Unlock()
		timer := time.NewTimer(max(next.Sub(now), soonest))
		select {
		case <-ctx.Done():
		case <-l.wake:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// Update fetches the list of a source now, whatever its schedule, and waits for
// it until ctx ends. ErrUnknown if there is no such source.
func (l *Lists) Update(ctx context.Context, name string) (State, error) {
	l.mu.Lock()
	n := slices.IndexFunc(l.sources, func(s *source) bool { return s.Name == name })
	if n < 0 {
		l.mu.Unlock()
		return State{}, ErrUnknown
	}
	s := l.sources[n]
	under := s.fetching
	if under == nil {
		under = make(chan struct{})
		s.fetching = under
		l.mu.Unlock()
		l.refresh(ctx, s)
	} else {
		l.mu.Unlock()
	}
	select {
	case <-under:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return State{}, context.Cause(ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return s.state(), s.err
}

// refresh fetches the list of a source, whose fetching is set, and puts it in
// place.
func (l *Lists) refresh(ctx context.Context, s *source) {
	l.mu.Lock()
	from, old, known, done := s.Source, s.list, l.known, s.fetching
	l.mu.Unlock()
	defer close(done)
	var got fetched
	err := l.slot(ctx)
	if err == nil {
		got, err = l.fetch(ctx, from, old, known)
		<-l.slots
	}
	l.settle(ctx, s, got, err)
}

// slot waits until few enough fetches are under way.
func (l *Lists) slot(ctx context.Context) error {
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// settle puts what a fetch came to in place and says so. What was configured
// otherwise meanwhile is fetched anew.
func (l *Lists) settle(ctx context.Context, s *source, got fetched, err error) {
	if got.text != nil {
		if err := l.save(s.Name, got); err != nil {
			l.o.Diag.Error("a revocation list is not saved", "list", s.Name, "error", err)
		}
	}
	l.mu.Lock()
	defer l.signal()
	defer l.mu.Unlock()
	s.fetching = nil
	now := l.o.Clock()
	switch {
	case !slices.Contains(l.sources, s):
		l.purge()
		return
	case err == nil && !l.trusted(got.list):
		s.due = time.Time{}
		return
	case err != nil && ctx.Err() != nil:
		return // not the host's fault
	case err != nil:
		s.err, s.failed, s.due = err, now, now.Add(retryTime)
		l.fail(s)
		return
	}
	s.list, s.fetched, s.err, s.failed = got.list, now, nil, time.Time{}
	s.due = s.next()
	if got.text != nil {
		l.o.Log.RevocationListFetched(s.Name, len(s.list.revoked), s.list.nextUpdate)
	}
	l.publish()
}

// fail says that a list could not be fetched, and what that means. The caller
// holds mu.
func (l *Lists) fail(s *source) {
	l.o.Log.RevocationListFailed(s.Name, s.err)
	lack := Lack{Name: s.Name, Err: s.err}
	if s.list != nil {
		if !s.list.nextUpdate.Before(l.o.Clock()) {
			return
		}
		lack.NextUpdate = s.list.nextUpdate
	}
	l.o.Log.RevocationListLacking(s.Name, lack.NextUpdate)
	if l.o.Lacking != nil {
		l.o.Lacking(lack)
	}
}

// States gives what is known of each source, by name.
func (l *Lists) States() []State {
	l.mu.Lock()
	defer l.mu.Unlock()
	states := make([]State, len(l.sources))
	for i, s := range l.sources {
		states[i] = s.state()
	}
	slices.SortFunc(states, func(a, b State) int { return cmp.Compare(a.Name, b.Name) })
	return states
}

func (s *source) state() State {
	state := State{Name: s.Name, Fetched: s.fetched, Due: s.due, Failed: s.failed, Err: s.err}
	if s.list != nil {
		state.Issued, state.NextUpdate, state.Entries = s.list.issued, s.list.nextUpdate, len(s.list.revoked)
	}
	return state
}

var errTooLarge = fmt.Errorf("the list is larger than %d MB", maxList>>20)

// readBounded reads a list.
func readBounded(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxList+1))
	if err == nil && len(data) > maxList {
		return nil, errTooLarge
	}
	return data, err
}
