package archive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const patience = 20 * time.Second

// world is an archive with revisions to copy.
type world struct {
	*Archives
	t      *testing.T
	mu     sync.Mutex
	last   uint64   // the newest revision
	broken error    // of File
	bad    []uint64 // revisions that are damaged
	passed chan uint64
	gone   string // the directory of a place that does not run any more
	now    time.Time
	failed chan State
	asked  chan uint64 // revisions that File was asked for
	end    func()
}

func (w *world) After(n uint64) ([]uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var newer []uint64
	for r := n + 1; r <= w.last; r++ {
		newer = append(newer, r)
	}
	return newer, nil
}

func (w *world) File(place Place, revision uint64) (File, error) {
	defer func() { w.asked <- revision }()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone != "" && place.Directory == w.gone {
		return File{}, fmt.Errorf("%s: %w", place.Name, ErrChanged)
	}
	if slices.Contains(w.bad, revision) {
		return File{}, fmt.Errorf("%w: no sum", ErrDamaged)
	}
	return File{fmt.Sprintf("mail.example.com-%06d.xml", revision), []byte(fmt.Sprintf("<config>%s %d</config>\n", place.Name, revision))}, w.broken
}

func (w *world) commit(places ...Place) {
	w.mu.Lock()
	w.last++
	w.mu.Unlock()
	w.Configure(places, w.last)
}

func newWorld(t *testing.T, path string) *world {
	t.Helper()
	w := &world{t: t, last: 6, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), failed: make(chan State, 100), asked: make(chan uint64, 100), passed: make(chan uint64, 100)}
	w.Archives = New(Options{
		Path: path, Source: w, Dial: new(net.Dialer).DialContext, Diag: slog.New(slog.DiscardHandler),
		Clock: func() time.Time {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.now
		},
		Failed: func(s State) { w.failed <- s },
		Passed: func(_ string, revision uint64, _ error) { w.passed <- revision },
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	w.end = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(w.end)
	return w
}

// copied waits until a place has this revision.
func (w *world) copied(place string, revision uint64) {
	w.t.Helper()
	end := time.Now().Add(patience)
	for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
		states := w.States()
		n := slices.IndexFunc(states, func(s State) bool { return s.Name == place })
		if n >= 0 && states[n].Revision == revision && states[n].Err == nil {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("revision %d does not come to %s: %+v", revision, place, states)
		}
	}
}

func (w *world) awaitFailure() State {
	w.t.Helper()
	select {
	case s := <-w.failed:
		return s
	case <-time.After(patience):
		w.t.Fatal("nothing fails")
		return State{}
	}
}

// holds lists a directory.
func holds(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(e.Name(), "mail.example.com-"), ".xml"))
	}
	return strings.Join(names, " ")
}

func TestEveryCommitIsCopied(t *testing.T) {
	dir, state := t.TempDir(), filepath.Join(t.TempDir(), "archived")
	place := Place{Name: "backup", Directory: dir}
	w := newWorld(t, state)
	w.commit(place)
	w.copied("backup", 7)
	if got := holds(t, dir); got != "000007" {
		t.Errorf("a new place begins with what runs: %s", got)
	}
	data, err := os.ReadFile(filepath.Join(dir, "mail.example.com-000007.xml"))
	if err != nil || string(data) != "<config>backup 7</config>\n" {
		t.Errorf("%q, %v", data, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "mail.example.com-000007.xml")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	w.commit(place)
	w.commit(place)
	w.copied("backup", 9)
	w.end()

	// Commits while nothing copied: offline, or in the moment of a kill.
	again := newWorld(t, state)
	again.last = 11
	again.Configure([]Place{place}, 11)
	again.copied("backup", 11)
	if got := holds(t, dir); got != "000007 000008 000009 000010 000011" {
		t.Errorf("in the end %s", got)
	}
	other := place
	other.Directory = t.TempDir()
	again.commit(other)
	again.copied("backup", 12)
	if got := holds(t, other.Directory); got != "000012" {
		t.Errorf("another directory begins anew: %s", got)
	}
}

// becomesDue is the moment when a failed attempt is made again.
func (w *world) becomesDue(s State) {
	w.mu.Lock()
	w.now = s.Due
	w.mu.Unlock()
	w.wake <- struct{}{}
}

// What could not be copied is told, tried again in intervals that grow, and
// nothing is left out.
func TestFailureIsTriedAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "away")
	place := Place{Name: "backup", Directory: dir}
	w := newWorld(t, filepath.Join(t.TempDir(), "archived"))
	w.commit(place)
	for _, wait := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 30 * time.Minute, 30 * time.Minute} {
		s := w.awaitFailure()
		if !errors.Is(s.Err, os.ErrNotExist) || s.Due.Sub(s.Failed) != wait || s.Revision != 0 {
			t.Fatalf("%+v, want to wait %s", s, wait)
		}
		w.becomesDue(s)
	}
	w.awaitFailure()
	w.wake <- struct{}{} // not due: nothing is tried
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if s := w.States()[0]; s.Err == nil {
		t.Errorf("it was tried before its time: %+v", s)
	}
	w.commit(place) // what a commit changes may be what was wrong
	w.copied("backup", 8)
	if got := holds(t, dir); got != "000007 000008" {
		t.Errorf("in the end %s", got)
	}
	if len(w.failed) > 0 {
		t.Errorf("failed again: %+v", <-w.failed)
	}
}

func TestRetryDoesNotWait(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "away")
	w := newWorld(t, filepath.Join(t.TempDir(), "archived"))
	w.commit(Place{Name: "backup", Directory: dir})
	w.awaitFailure()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w.Retry()
	w.copied("backup", 7)
}

// Who asks while an attempt is under way that is about to fail does not wait
// either.
func TestRetryDuringAnAttempt(t *testing.T) {
	w := newWorld(t, filepath.Join(t.TempDir(), "archived"))
	began, answer := make(chan struct{}), make(chan error)
	w.write = func(string, File) error {
		began <- struct{}{}
		return <-answer
	}
	w.commit(Place{Name: "backup", Directory: t.TempDir()})
	<-began
	w.Retry()
	answer <- errors.New("nobody is let in yet")
	if s := w.awaitFailure(); !s.Due.Equal(s.Failed) {
		t.Errorf("it waits %s", s.Due.Sub(s.Failed))
	}
	select {
	case <-began:
		answer <- nil
	case <-time.After(patience):
		t.Fatal("it was not tried again")
	}
	w.copied("backup", 7)
}

// One place that fails does not keep another from its copies.
func TestPlacesAreApart(t *testing.T) {
	good := t.TempDir()
	file := filepath.Join(good, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, filepath.Join(t.TempDir(), "archived"))
	w.commit(Place{Name: "bad", Directory: file}, Place{Name: "good", Directory: good})
	w.copied("good", 7)
	if s := w.awaitFailure(); s.Name != "bad" || !strings.Contains(s.Err.Error(), "is not a directory") {
		t.Errorf("%+v", s)
	}
}

func TestFileThatCannotBeWritten(t *testing.T) {
	w := newWorld(t, filepath.Join(t.TempDir(), "archived"))
	w.broken = errors.New("no such text")
	dir := t.TempDir()
	w.commit(Place{Name: "backup", Directory: dir})
	if s := w.awaitFailure(); s.Err.Error() != "no such text" || holds(t, dir) != "" {
		t.Errorf("%+v, %s", s, holds(t, dir))
	}
}

// A damaged revision is told of once and passed over, over a restart too; those
// after it are copied.
func TestDamagedRevisionIsPassedOver(t *testing.T) {
	dir, memory := t.TempDir(), filepath.Join(t.TempDir(), "archived")
	place := Place{Name: "backup", Directory: dir}
	w := newWorld(t, memory)
	w.bad = []uint64{8, 10}
	w.commit(place)
	w.copied("backup", 7)
	w.mu.Lock()
	w.last = 9
	w.mu.Unlock()
	w.commit(place) // the newest is damaged
	w.copied("backup", 9)
	for _, want := range w.bad {
		select {
		case got := <-w.passed:
			if got != want {
				t.Errorf("passed over %d, want %d", got, want)
			}
		case <-time.After(patience):
			t.Fatalf("revision %d was not passed over", want)
		}
	}
	w.end()
	if s := w.States()[0]; !slices.Equal(s.Passed, w.bad) || s.Revision != 9 || s.Err != nil {
		t.Errorf("%+v", s)
	}

	again := newWorld(t, memory)
	again.bad, again.last = w.bad, 10
	again.commit(place)
	again.copied("backup", 11)
	if s := again.States()[0]; !slices.Equal(s.Passed, w.bad) || len(again.passed) > 0 || len(w.failed)+len(again.failed) > 0 {
		t.Errorf("%+v, told %d times again", s, len(again.passed))
	}
	if got := holds(t, dir); got != "000007 000009 000011" {
		t.Errorf("in the end %s", got)
	}
}

// A history that was restored to less than was copied has the numbers that
// follow a second time: they are copied.
func TestRestoredHistoryIsCopied(t *testing.T) {
	dir, memory := t.TempDir(), filepath.Join(t.TempDir(), "archived")
	place := Place{Name: "backup", Directory: dir}
	w := newWorld(t, memory)
	w.commit(place)
	w.copied("backup", 7)
	w.end()
	again := newWorld(t, memory)
	again.last = 4
	again.commit(place)
	again.copied("backup", 5)
	if got := holds(t, dir); got != "000005 000007" {
		t.Errorf("in the end %s", got)
	}
}

// A place that was changed while it was copied to is no failure: what
// Configure brings goes on.
func TestPlaceThatWasChanged(t *testing.T) {
	w := newWorld(t, filepath.Join(t.TempDir(), "archived"))
	before, after := t.TempDir(), t.TempDir()
	w.gone = before
	w.commit(Place{Name: "backup", Directory: before})
	select {
	case <-w.asked:
	case <-time.After(patience):
		t.Fatal("no file was asked for")
	}
	w.commit(Place{Name: "backup", Directory: after})
	w.copied("backup", 8)
	if got := holds(t, before) + "," + holds(t, after); got != ",000008" || len(w.failed) > 0 {
		t.Errorf("copies %s, %d failures", got, len(w.failed))
	}
}

// A copy that could not be remembered is a failure like others: what is due
// then is to remember it.
func TestMemoryThatCannotBeWritten(t *testing.T) {
	memory, dir := filepath.Join(t.TempDir(), "away", "archived"), t.TempDir()
	w := newWorld(t, memory)
	w.commit(Place{Name: "backup", Directory: dir})
	for _, wait := range []time.Duration{time.Minute, 2 * time.Minute} {
		s := w.awaitFailure()
		if !errors.Is(s.Err, os.ErrNotExist) || s.Due.Sub(s.Failed) != wait || holds(t, dir) != "000007" {
			t.Fatalf("%+v, want to wait %s", s, wait)
		}
		w.becomesDue(s)
	}
	w.awaitFailure()
	if err := os.Mkdir(filepath.Dir(memory), 0o700); err != nil {
		t.Fatal(err)
	}
	w.Retry()
	w.copied("backup", 7)
	if text, err := os.ReadFile(memory); !strings.Contains(string(text), `"Revision": 7`) {
		t.Errorf("remembered: %s, %v", text, err)
	}
	if len(w.asked) != 1 {
		t.Errorf("%d files were asked for", len(w.asked))
	}
}

// A directory that does not answer keeps neither another place from its copies
// nor the gateway from its end.
func TestDirectoryThatHangs(t *testing.T) {
	w := newWorld(t, filepath.Join(t.TempDir(), "archived"))
	hung, good := t.TempDir(), t.TempDir()
	began, release := make(chan struct{}, 10), make(chan struct{})
	defer close(release)
	w.write = func(dir string, f File) error {
		if dir == hung {
			began <- struct{}{}
			<-release
			return nil
		}
		return putInto(dir, f)
	}
	places := []Place{{Name: "hung", Directory: hung}, {Name: "good", Directory: good}}
	w.commit(places...)
	w.copied("good", 7)
	w.commit(places...)
	w.copied("good", 8)
	<-began
	ended := make(chan struct{})
	go func() { w.end(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the end waits for the directory")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := w.writeInto(ctx, hung, File{Name: "second"}); !errors.Is(err, context.DeadlineExceeded) || len(began) > 0 {
		t.Errorf("a second file: %v, %d began", err, len(began))
	}
}

// A damaged memory is told of, and begins anew.
func TestDamagedMemory(t *testing.T) {
	for _, text := range []string{"x", `{"backup":null}`, `{"backup":{"Place":7}}`} {
		path, dir := filepath.Join(t.TempDir(), "archived"), t.TempDir()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, path)
		w.commit(Place{Name: "backup", Directory: dir})
		w.copied("backup", 7)
	}
}
