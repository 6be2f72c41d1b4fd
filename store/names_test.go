package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestNamesOfRevisions(t *testing.T) {
	s, path := newStore(t)
	for _, name := range []string{"Good", "tested", "x-1.y_z"} {
		if err := s.NameRevision(name, 1); err != nil {
			t.Fatal(err)
		}
	}
	taken, ok := errors.AsType[*NamedError](s.NameRevision("GOOD", 1))
	if !ok || taken.Name != "Good" || taken.Revision != 1 {
		t.Errorf("named twice: %+v", taken)
	}
	if err := s.NameRevision("other", 2); !errors.Is(err, ErrNoRevision) {
		t.Errorf("of no revision: %v", err)
	}
	for _, name := range []string{"", "1", "1x", "-x", "a b", "a/b", "é", "list", "Running", strings.Repeat("x", 33), "x\n"} {
		var refused ValueError
		if err := s.NameRevision(name, 1); !errors.As(err, &refused) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if n, err := s.UnnameRevision("Tested"); n != 1 || err != nil {
		t.Errorf("unnamed: %d, %v", n, err)
	}
	if _, err := s.UnnameRevision("tested"); !errors.Is(err, ErrNoName) {
		t.Errorf("unnamed twice: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, path)
	if n, err := s.NamedRevision("good"); n != 1 || err != nil {
		t.Errorf("found %d, %v", n, err)
	}
	if _, err := s.NamedRevision("tested"); !errors.Is(err, ErrNoName) {
		t.Errorf("found what was taken away: %v", err)
	}
	r, err := s.Revision(1)
	if err != nil || !slices.Equal(r.Names, []string{"Good", "x-1.y_z"}) || r.Altered {
		t.Errorf("%+v, %v", r.Names, err)
	}
}

func TestNamesAreBounded(t *testing.T) {
	s, _ := newStore(t)
	for i := range MaxNames {
		if err := s.NameRevision(fmt.Sprintf("n%d", i), 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.NameRevision("one-more", 1); err == nil || !strings.Contains(err.Error(), "maximum of 100") {
		t.Errorf("one more: %v", err)
	}
}

func TestNamedRevisionsAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.db")
	s, err := Open(path, Options{Clock: tick(), Factory: testConfig, KeepRevisions: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	console := s.NewSession(admin)
	next := 0
	advance := func() {
		next++
		edit(t, console, setHostname(fmt.Sprintf("h%d.example.com", next)))
		commit(t, console, "")
	}
	for range 3 {
		advance()
	}
	if err := s.NameRevision("good", 3); err != nil {
		t.Fatal(err)
	}
	for range KeepAtLeast + 5 {
		advance()
	}
	if r, err := s.Revision(3); err != nil || r.Config.Hostname != "h2.example.com" || r.Altered {
		t.Errorf("%v, %v", r.Altered, err)
	}
	if _, err := s.UnnameRevision("good"); err != nil {
		t.Fatal(err)
	}
	advance()
	if _, err := s.Revision(3); !errors.Is(err, ErrNoRevision) {
		t.Errorf("kept without its name: %v", err)
	}
}
