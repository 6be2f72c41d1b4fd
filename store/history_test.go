package store

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

func TestOldRevisionsArePruned(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.db")
	s, err := Open(path, Options{Clock: tick(), Factory: testConfig, KeepRevisions: 1})
	if err != nil {
		t.Fatal(err)
	}
	console := s.NewSession(admin)
	next := 0
	advance := func(n int) {
		for range n {
			next++
			edit(t, console, setHostname(fmt.Sprintf("h%d.example.com", next)))
			commit(t, console, "")
		}
	}
	advance(2)
	lost := dirty(t, s, func(c *Config) { c.BounceDown = true }) // on revision 3
	id := lost.ID()
	if err := lost.Close(true); err != nil {
		t.Fatal(err)
	}
	advance(3)
	script := s.NewSession(Who{User: "script"}) // on revision 6, in memory only
	edit(t, script, func(c *Config) { c.Delivery.Concurrency = 7 })
	advance(70)

	history, err := s.Revisions(0)
	if err != nil {
		t.Fatal(err)
	}
	var numbers []string
	for _, r := range history[len(history)-3:] {
		numbers = append(numbers, fmt.Sprint(r.Number))
		if r.Altered {
			t.Errorf("revision %d: a gap is no alteration", r.Number)
		}
	}
	if len(history) != KeepAtLeast+2 || strings.Join(numbers, " ") != "27 6 3" {
		t.Errorf("%d revisions, the oldest %v", len(history), numbers)
	}
	if oldest, err := s.Revision(27); err != nil || oldest.Config == nil || oldest.Changes != nil {
		t.Errorf("the oldest: %+v, %v", oldest.Changes, err)
	}
	if _, err := s.Revision(5); !errors.Is(err, ErrNoRevision) {
		t.Errorf("a pruned one: %v", err)
	}
	session := s.NewSession(Who{User: "carol", Interactive: true})
	if err := session.Resume(id); err != nil {
		t.Fatal(err)
	}
	commit(t, session, "")
	commit(t, script, "")
	advance(1)
	if c, _ := s.Running(); !c.BounceDown || c.Delivery.Concurrency != 7 {
		t.Error("what was long pending did not land")
	}
	if history, _ := s.Revisions(0); len(history) != KeepAtLeast {
		t.Errorf("%d revisions after all is committed", len(history))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	checkBolt(t, path)
}

// rewriting replaces text in a stored value behind the program's back.
type rewriting struct {
	bucket   []byte
	revision uint64
	from, to string
}

func (r rewriting) in(t *testing.T, s *Store) {
	t.Helper()
	if err := s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(r.bucket)
		old := b.Get(number(r.revision))
		changed := bytes.Replace(old, []byte(r.from), []byte(r.to), 1)
		if bytes.Equal(old, changed) {
			return fmt.Errorf("%s is not there", r.from)
		}
		return b.Put(number(r.revision), changed)
	}); err != nil {
		t.Fatal(err)
	}
}

func TestEditingThePastShows(t *testing.T) {
	s, path := newStore(t)
	console := s.NewSession(admin)
	for i := range 4 {
		edit(t, console, setHostname(fmt.Sprintf("h%d.example.com", i)))
		commit(t, console, fmt.Sprintf("comment %d", i))
	}
	rewriting{revisionBucket, 2, "comment 0", "nothing  "}.in(t, s)
	rewriting{configBucket, 3, "h1.example.com", "hx.example.com"}.in(t, s)
	rewriting{revisionBucket, 4, `"User":"admin"`, `"User"`}.in(t, s)
	history, err := s.Revisions(0)
	if err != nil {
		t.Fatal(err)
	}
	var altered []string
	for _, r := range history {
		if r.Altered {
			altered = append(altered, fmt.Sprint(r.Number))
		}
	}
	// 1 is what 2 remembers of it, as far as that is known.
	if got := strings.Join(altered, " "); got != "4 3 2" {
		t.Errorf("altered: %s", got)
	}
	if r, err := s.Revision(2); err != nil || !r.Altered {
		t.Errorf("revision 2: %v, %v", r.Altered, err)
	}
	// 5 can be had whatever became of 4; only what it changed is not known.
	if r, err := s.Revision(5); err != nil || r.Config.Hostname != "h3.example.com" || len(r.Changes) > 0 {
		t.Errorf("revision 5: %v, %v", r.Changes, err)
	}
	for n, want := range map[uint64]string{3: "does not match its checksum", 4: "revision 4"} {
		_, err := s.Revision(n)
		if damaged := (*DamagedRevision)(nil); !errors.As(err, &damaged) || damaged.Number != n || !strings.Contains(err.Error(), want) {
			t.Errorf("revision %d: %v", n, err)
		}
	}
	// The past is no reason not to run.
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c, n := again.Running(); n != 5 || c.Hostname != "h3.example.com" {
		t.Errorf("runs %d, %s", n, c.Hostname)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestEditingAConfigurationOfThePastShows(t *testing.T) {
	s, _ := newStore(t)
	console := s.NewSession(admin)
	for i := range 3 {
		edit(t, console, setHostname(fmt.Sprintf("h%d.example.com", i)))
		commit(t, console, "")
	}
	rewriting{configBucket, 3, "h1.example.com", "hx.example.com"}.in(t, s)
	history, err := s.Revisions(0)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range history {
		if r.Altered != (r.Number == 3) {
			t.Errorf("revision %d altered: %v", r.Number, r.Altered)
		}
	}
	if r, err := s.Revision(4); err != nil || r.Config.Hostname != "h2.example.com" || len(r.Changes) > 0 {
		t.Errorf("revision 4: %v, %v", r.Changes, err)
	}
}
