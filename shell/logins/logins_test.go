package logins

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// ticking is a clock that moves on by a second whenever it is read.
func ticking() func() time.Time {
	var mu sync.Mutex
	now := time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC)
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Second)
		return now
	}
}

// kept is how many logins the logs of the tests remember.
const kept = 50

func opened(t *testing.T, path string, clock func() time.Time) *Log {
	t.Helper()
	l, err := open(path, clock, kept)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func begin(t *testing.T, l *Log, user string) func() error {
	t.Helper()
	end, err := l.Begin(user, "192.0.2.9", "cli")
	if err != nil {
		t.Fatal(err)
	}
	return end
}

// told gives a list in short: who, and how it ended.
func told(l *Log) string {
	var words []string
	for _, e := range l.List() {
		end := "in"
		switch {
		case e.Unknown:
			end = "unknown"
		case !e.Out.IsZero():
			end = e.Out.Sub(e.In).String()
		}
		words = append(words, e.User+" "+end)
	}
	return strings.Join(words, ", ")
}

func TestLog_OutlivesTheProcess(t *testing.T) {
	path, clock := filepath.Join(t.TempDir(), "logins"), ticking()
	l := opened(t, path, clock)
	endAnn := begin(t, l, "ann")
	begin(t, l, "bob")
	if err := endAnn(); err != nil {
		t.Fatal(err)
	}
	if err := endAnn(); err != nil {
		t.Fatal(err)
	}
	if got, want := told(l), "bob in, ann 2s"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = opened(t, path, clock)
	begin(t, l, "carol")
	if got, want := told(l), "carol in, bob unknown, ann 2s"; got != want {
		t.Errorf("after a start: %q, want %q", got, want)
	}
	_ = l.Close()
}

// TestCrashInsideALine_ThatRecordIsLostAndNoOther: a line that was cut off is
// dropped, and what is written next is whole.
func TestCrashInsideALine_ThatRecordIsLostAndNoOther(t *testing.T) {
	path, clock := filepath.Join(t.TempDir(), "logins"), ticking()
	l := opened(t, path, clock)
	begin(t, l, "ann")
	begin(t, l, "bob")
	_ = l.Close()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data[:len(data)-9], 0o600); err != nil {
		t.Fatal(err)
	}
	l = opened(t, path, clock)
	begin(t, l, "carol")
	_ = l.Close()
	l = opened(t, path, clock)
	defer l.Close()
	if got, want := told(l), "carol unknown, ann unknown"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestLog_DamagedLine(t *testing.T) {
	path, clock := filepath.Join(t.TempDir(), "logins"), ticking()
	l := opened(t, path, clock)
	begin(t, l, "ann")
	_ = l.Close()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, "\x00\x00{not ours\n")
	_ = f.Close()
	l = opened(t, path, clock)
	defer l.Close()
	if got, want := told(l), "ann unknown"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestLog_IsBounded: neither list nor file grows beyond its bound, and what is
// kept is the newest.
func TestLog_IsBounded(t *testing.T) {
	path, clock := filepath.Join(t.TempDir(), "logins"), ticking()
	l := opened(t, path, clock)
	still := begin(t, l, "first")
	for i := range 3 * kept {
		end := begin(t, l, fmt.Sprint("user", i))
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	if err := still(); err != nil { // its login is no longer remembered
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		list := l.List()
		if len(list) != kept || list[0].User != fmt.Sprint("user", 3*kept-1) || list[kept-1].User != fmt.Sprint("user", 2*kept) {
			t.Errorf("%s: %d logins, from %q to %q", when, len(list), list[len(list)-1].User, list[0].User)
		}
	}
	check("running")
	_ = l.Close()
	data, err := os.ReadFile(path)
	if n := bytes.Count(data, []byte("\n")); err != nil || n > 4*kept+2 {
		t.Errorf("the file has %d lines, %v", n, err)
	}
	l = opened(t, path, clock)
	defer l.Close()
	check("after a start")
	if last := l.List()[0]; last.Unknown || last.Out.IsZero() {
		t.Errorf("the last logout is lost: %+v", last)
	}
}

func TestLog_FullDisk(t *testing.T) {
	l := opened(t, filepath.Join(t.TempDir(), "logins"), ticking())
	_ = l.file.Close()
	end, err := l.Begin("ann", "192.0.2.9", "cli")
	if err == nil {
		t.Error("nobody is told that the file cannot be written")
	}
	if end() == nil {
		t.Error("nobody is told of the logout")
	}
	if got, want := told(l), "ann 1s"; got != want {
		t.Errorf("%q, want %q: what this process has seen is remembered", got, want)
	}
}
