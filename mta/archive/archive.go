// Package archive copies every committed configuration to the places that
// operators chose: a directory of this machine, or one of another host, by scp.
//
// The steps for each place, in order:
//
//	Configure  says which places there are; a new one begins with what runs now
//	After      the revisions that were committed since the last copy, oldest first
//	File       one of them as a file
//	put        into the directory, whole or not at all (directory.go), or to the host (scp.go)
//	remember   which revision was copied last, so that a restart goes on there
//
// The history is the queue: nothing is kept twice, and what could not be copied
// is copied later, as long as its revision is kept. A copy that fails is tried
// again after a minute, then after twice the time of before, up to half an
// hour. A revision that is damaged is told and passed over, so that those after
// it are not kept back. No commit waits for any of this.
//
// The protocol of scp is that of OpenSSH's scp -t, which has no standard: one
// line with mode, length and name, the bytes, a zero; each answered by a zero,
// or by a one or two and a line that says what is wrong. The host is known by its
// key, which must be the configured one (RFC 4253 §8).
//
// After a crash a file may be copied a second time, under the same name.
package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"esa/mta/durable"
)

// Bounds of copying.
const (
	putTime    = 30 * time.Second // for one file
	firstRetry = time.Minute
	lastRetry  = 30 * time.Minute
	maxPassed  = 10 // revisions passed over that are remembered of a place
)

// Place is where configurations are copied to. Without an Address it is a
// directory of this machine.
type Place struct {
	Name      string
	Directory string
	Address   string // host and port
	User      string
	HostKey   string // "ssh-ed25519 AAAA..."
	Key       string // private key in PEM
}

// File is one revision to copy.
type File struct {
	Name string // a base name
	Data []byte
}

// Source has the revisions.
type Source interface {
	// After gives the numbers of the revisions kept that are newer than n, the
	// oldest first.
	After(n uint64) ([]uint64, error)
	// File gives a revision as it is to be copied to a place. The error wraps
	// ErrChanged if there is no such place any more: the settings of its
	// successor are not for this target. It wraps ErrDamaged if there will
	// never be a file of this revision.
	File(place Place, revision uint64) (File, error)
}

// ErrChanged says that a place was changed or removed since its copying began.
// Configure brings what is there instead.
var ErrChanged = errors.New("the archive was changed")

// ErrDamaged says that a revision cannot be had as a file, however often it is
// tried. It is passed over.
var ErrDamaged = errors.New("the revision is damaged")

// State is how a place does.
type State struct {
	Name     string
	Revision uint64    // copied last; 0: none
	At       time.Time // when; zero: never
	Passed   []uint64  // revisions that were passed over; the newest of many
	Err      error     // why the last attempt failed; its text is in part the host's
	Failed   time.Time
	Due      time.Time // of the next attempt, if Err
}

// Options are what copying needs of the world.
type Options struct {
	Path   string // of the file that remembers what was copied
	Source Source
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
	Clock  func() time.Time
	Diag   *slog.Logger
	Failed func(State) // told of every attempt that fails; must not wait
	// Passed is told of every revision that is passed over, and why; must not
	// wait.
	Passed func(place string, revision uint64, why error)
}

// Archives copies configurations. Its methods are safe for concurrent use.
type Archives struct {
	Options
	wake chan struct{} // has a value when there may be work

	mu     sync.Mutex
	places []Place
	states map[string]*state        // by the name of the place
	turns  map[string]chan struct{} // by directory of this machine: full while one is written into

	write   func(dir string, f File) error // putInto
	copying sync.WaitGroup
}

// state is what is remembered of a place.
type state struct {
	Place    string    // what it was then: another target begins anew
	Revision uint64    // copied last
	At       time.Time // zero: never
	Passed   []uint64  `json:",omitempty"` // passed over, oldest first

	busy    bool // it is copied to
	asked   bool // Retry was called since that began
	again   bool // there was a round since that began
	unsaved bool // the file does not say this yet

	err    error
	failed time.Time
	due    time.Time
	wait   time.Duration
}

// New makes it from what was remembered. A file that cannot be read is told,
// and every place begins anew.
func New(o Options) *Archives {
	a := &Archives{Options: o, wake: make(chan struct{}, 1), states: map[string]*state{},
		turns: map[string]chan struct{}{}, write: putInto}
	text, err := os.ReadFile(o.Path)
	if err == nil {
		err = json.Unmarshal(text, &a.states)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		o.Diag.Error("what was archived is not known", "error", err)
		a.states = map[string]*state{}
	}
	for name, s := range a.states {
		if s == nil {
			delete(a.states, name)
		}
	}
	return a
}

// identity is what makes a place another one.
func (p Place) identity() string { return fmt.Sprintf("%s %s %s", p.User, p.Address, p.Directory) }

// Configure sets the places, and has running and what was committed since the
// last copy copied to them.
func (a *Archives) Configure(places []Place, running uint64) {
	a.mu.Lock()
	a.places = slices.Clone(places)
	states := map[string]*state{}
	for _, p := range places {
		s := a.states[p.Name]
		// A restored history may have fewer revisions than were copied.
		if s == nil || s.Place != p.identity() || s.last() > running {
			s = &state{Place: p.identity(), Revision: running - 1}
		}
		// What was changed may be what was wrong.
		s.due, s.wait = time.Time{}, 0
		states[p.Name] = s
	}
	a.states = states
	a.mu.Unlock()
	a.Retry()
}

// Retry has everything tried that was not copied yet, without waiting for its
// time; what is being tried, once more if that fails.
func (a *Archives) Retry() {
	a.mu.Lock()
	for _, s := range a.states {
		s.due, s.asked = time.Time{}, s.busy
	}
	a.mu.Unlock()
	a.wakeUp()
}

func (a *Archives) wakeUp() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// States tells how the places do, in the order they are configured.
func (a *Archives) States() []State {
	a.mu.Lock()
	defer a.mu.Unlock()
	states := make([]State, len(a.places))
	for i, p := range a.places {
		states[i] = a.states[p.Name].view(p.Name)
	}
	return states
}

// last is the newest revision that needs no copying any more.
func (s *state) last() uint64 {
	last := s.Revision
	for _, n := range s.Passed {
		last = max(last, n)
	}
	return last
}

func (s *state) view(name string) State {
	v := State{Name: name, At: s.At, Passed: slices.Clone(s.Passed), Err: s.err, Failed: s.failed, Due: s.due}
	if !s.At.IsZero() {
		v.Revision = s.Revision
	}
	return v
}

// Run copies until ctx ends.
func (a *Archives) Run(ctx context.Context) {
	defer a.copying.Wait()
	for {
		timer := time.NewTimer(a.round(ctx))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-a.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// round begins to copy what can be copied now, to each place by itself, and
// gives how long it is until something is due again.
func (a *Archives) round(ctx context.Context) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.places {
		s := a.states[p.Name]
		s.again = s.busy
		if !s.busy && !s.due.After(a.Clock()) {
			s.busy, s.asked = true, false
			a.copying.Go(func() { a.copyTo(ctx, p, s) })
		}
	}
	next := lastRetry
	for _, s := range a.states {
		if !s.busy && !s.due.IsZero() {
			next = min(next, max(0, s.due.Sub(a.Clock())))
		}
	}
	return next
}

// copyTo copies what is to be copied to one place, until something fails. What
// was asked for meanwhile is seen by the round after it.
func (a *Archives) copyTo(ctx context.Context, p Place, s *state) {
	err := a.copyNew(ctx, p, s)
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrChanged) {
		a.fail(p, s, err)
	}
	a.mu.Lock()
	s.busy = false
	if err == nil {
		s.wentWell()
	}
	more := s.again || !s.due.IsZero() && !errors.Is(err, ErrChanged)
	a.mu.Unlock()
	if more {
		a.wakeUp()
	}
}

// copyNew copies what a place does not have yet, after what was copied before
// is remembered.
func (a *Archives) copyNew(ctx context.Context, p Place, s *state) error {
	a.mu.Lock()
	last := s.last()
	var err error
	if s.unsaved {
		err = a.save(s)
	}
	a.mu.Unlock()
	if err != nil {
		return err
	}
	revisions, err := a.Source.After(last)
	for i := 0; err == nil && i < len(revisions) && ctx.Err() == nil; i++ {
		err = a.put(ctx, p, revisions[i])
		switch {
		case err == nil:
			err = a.remember(s, revisions[i])
		case errors.Is(err, ErrDamaged):
			err = a.passOver(p, s, revisions[i], err)
		}
	}
	return err
}

// put copies one revision.
func (a *Archives) put(ctx context.Context, p Place, revision uint64) error {
	file, err := a.Source.File(p, revision)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, putTime, fmt.Errorf("not done within %s", putTime))
	defer cancel()
	if p.Address == "" {
		return a.writeInto(ctx, p.Directory, file)
	}
	err = a.send(ctx, p, file)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// writeInto writes a file into a directory of this machine, and no second one
// before it is done. A file system that does not answer holds its goroutine,
// which nothing can end, and nobody waits for that longer than ctx lasts.
func (a *Archives) writeInto(ctx context.Context, dir string, f File) error {
	a.mu.Lock()
	turn := a.turns[dir]
	if turn == nil {
		turn = make(chan struct{}, 1)
		a.turns[dir] = turn
	}
	a.mu.Unlock()
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	done := make(chan error, 1)
	go func() {
		done <- a.write(dir, f)
		<-turn
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// remember notes that a revision was copied. After a crash before it, the
// revision is copied again.
func (a *Archives) remember(s *state, revision uint64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	s.Revision, s.At = revision, a.Clock().UTC().Round(0)
	s.unsaved = true
	return a.save(s)
}

// passOver tells and notes that there is no file of a revision. After a crash
// before it is noted, it is told again.
func (a *Archives) passOver(p Place, s *state, revision uint64, why error) error {
	a.Diag.Warn("a revision was not archived", "archive", p.Name, "revision", revision, "error", why)
	a.Passed(p.Name, revision, why)
	a.mu.Lock()
	defer a.mu.Unlock()
	s.Passed = append(s.Passed, revision)
	s.Passed = s.Passed[max(0, len(s.Passed)-maxPassed):]
	s.unsaved = true
	return a.save(s)
}

// save writes down what was copied. It is called with mu held.
func (a *Archives) save(s *state) error {
	text, err := json.MarshalIndent(a.states, "", "\t")
	if err != nil {
		return err
	}
	if err := durable.Replace(a.Path, append(text, '\n')); err != nil {
		return fmt.Errorf("remembering what was archived: %w", err)
	}
	s.unsaved = false
	s.wentWell()
	return nil
}

// wentWell forgets the last failure.
func (s *state) wentWell() {
	s.err, s.failed, s.due, s.wait = nil, time.Time{}, time.Time{}, 0
}

// fail notes why a copy failed, and when it is tried again.
func (a *Archives) fail(p Place, s *state, err error) {
	a.mu.Lock()
	s.wait = min(max(2*s.wait, firstRetry), lastRetry)
	s.err, s.failed, s.due = err, a.Clock(), a.Clock().Add(s.wait)
	if s.asked { // what is wrong now may have been mended behind this attempt
		s.due = s.failed
	}
	told := s.view(p.Name)
	a.mu.Unlock()
	a.Diag.Warn("the configuration was not archived", "archive", p.Name, "error", err)
	a.Failed(told)
}
