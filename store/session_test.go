package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// stored gives the uncommitted changes in the database, by key.
func stored(t *testing.T, s *Store) map[uint64]pendingRecord {
	t.Helper()
	all := map[uint64]pendingRecord{}
	if err := s.db.View(func(tx *bbolt.Tx) error {
		return eachPending(tx, func(key uint64, p pendingRecord) { all[key] = p })
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSessionSeesItsOwnEditsOnly(t *testing.T) {
	s, _ := newStore(t)
	one, two := s.NewSession(admin), s.NewSession(Who{User: "bob", Interactive: true})
	running, _ := s.Running()
	if one.Config() != running || one.Dirty() || one.base.Load() != 0 || one.Changes() != nil {
		t.Error("a new session does not see what runs")
	}
	edit(t, one, setHostname("one.example.com"))
	if got := one.Config().Hostname; got != "one.example.com" || !one.Dirty() || one.base.Load() != 1 {
		t.Errorf("own: %s, %v, %d", got, one.Dirty(), one.base.Load())
	}
	if got := two.Config().Hostname; got != "mail.example.com" || two.Dirty() {
		t.Errorf("other: %s", got)
	}
	if now, _ := s.Running(); now != running {
		t.Error("what runs has changed")
	}
	if one.ID() == two.ID() || two.Who().User != "bob" {
		t.Error("sessions cannot be told apart")
	}
}

func TestEditThatFailsLeavesNothing(t *testing.T) {
	s, _ := newStore(t)
	session := s.NewSession(admin)
	interrupted := errors.New("interrupted")
	fail := func(c *Config) error {
		c.Hostname = "half.example.com"
		c.Routes[0].Hosts[0].Host = "half"
		return interrupted
	}
	if err := session.Edit(fail); !errors.Is(err, interrupted) || session.Dirty() {
		t.Errorf("%v, dirty %v", err, session.Dirty())
	}
	edit(t, session, setHostname("whole.example.com"))
	if err := session.Edit(fail); !errors.Is(err, interrupted) {
		t.Error(err)
	}
	if c := session.Config(); c.Hostname != "whole.example.com" || c.Routes[0].Hosts[0].Host != "mx1.example.com" {
		t.Errorf("half an edit is there: %+v", c)
	}
	if len(stored(t, s)) != 1 {
		t.Error("not stored")
	}
}

func TestEditThatChangesNothingLeavesNothing(t *testing.T) {
	s, _ := newStore(t)
	session := s.NewSession(admin)
	edit(t, session, func(c *Config) { c.DNS.Alternates = append(c.DNS.Alternates[:1:1], AlternateDNS{})[:1] })
	if session.Dirty() || len(stored(t, s)) != 0 {
		t.Error("something is pending")
	}
	edit(t, session, setHostname("a.example.com"))
	edit(t, session, setHostname("mail.example.com"))
	if session.Dirty() || len(stored(t, s)) != 0 {
		t.Error("what was taken back is pending")
	}
}

func TestEditDoesNotKeepTheCallersMemory(t *testing.T) {
	s, _ := newStore(t)
	session := s.NewSession(admin)
	var kept *Config
	edit(t, session, func(c *Config) { kept = c; c.Hostname = "a.example.com" })
	kept.Hostname = "b.example.com"
	kept.Routes[0].Hosts[0].Host = "b"
	if c := session.Config(); c.Hostname != "a.example.com" || c.Routes[0].Hosts[0].Host != "mx1.example.com" {
		t.Error("the pending configuration was written through")
	}
}

func TestEditInsideAnEditIsRefused(t *testing.T) {
	s, _ := newStore(t)
	session := s.NewSession(admin)
	err := session.Edit(func(c *Config) error {
		c.Hostname = "outer.example.com"
		return session.Edit(func(c *Config) error { c.Hostname = "inner.example.com"; return nil })
	})
	if !errors.Is(err, ErrEdited) || session.Config().Hostname != "inner.example.com" {
		t.Errorf("%v, %s", err, session.Config().Hostname)
	}
}

func TestDiscard(t *testing.T) {
	s, _ := newStore(t)
	session := s.NewSession(admin)
	if err := session.Discard(); err != nil {
		t.Error(err)
	}
	edit(t, session, setHostname("a.example.com"))
	if err := session.Discard(); err != nil || session.Dirty() || len(stored(t, s)) != 0 {
		t.Errorf("%v, dirty %v", err, session.Dirty())
	}
}

func TestCloseKeepsOnlyWhatAnInteractiveSessionLost(t *testing.T) {
	for _, tt := range []struct {
		name              string
		interactive, lost bool
		kept              int
	}{
		{"interactive, lost", true, true, 1},
		{"interactive, ended", true, false, 0},
		{"exec, lost", false, true, 0},
		{"exec, ended", false, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := newStore(t)
			session := s.NewSession(Who{User: "admin", Interactive: tt.interactive})
			edit(t, session, setHostname("a.example.com"))
			if err := session.Close(tt.lost); err != nil {
				t.Fatal(err)
			}
			if err := session.Close(tt.lost); err != nil {
				t.Errorf("closed twice: %v", err)
			}
			lost, err := s.Lost("admin")
			if err != nil || len(lost) != tt.kept {
				t.Errorf("lost: %+v, %v", lost, err)
			}
			if err := session.Edit(func(*Config) error { return nil }); !errors.Is(err, ErrClosed) {
				t.Errorf("edit after close: %v", err)
			}
			if err := session.Discard(); !errors.Is(err, ErrClosed) {
				t.Errorf("discard after close: %v", err)
			}
		})
	}
}

func TestResume(t *testing.T) {
	s, _ := newStore(t)
	first := s.NewSession(admin)
	edit(t, first, setHostname("a.example.com"))
	if err := first.Close(true); err != nil {
		t.Fatal(err)
	}
	commit(t, dirty(t, s, func(c *Config) { c.BounceDown = true }), "meanwhile")

	lost, err := s.Lost("admin")
	if err != nil || len(lost) != 1 || lost[0].Changes != 1 || lost[0].Base != 1 || !lost[0].Lost || lost[0].Source != admin.Source {
		t.Fatalf("lost: %+v, %v", lost, err)
	}
	id := lost[0].ID
	if other, err := s.Lost("bob"); err != nil || len(other) != 0 {
		t.Errorf("bob's: %+v, %v", other, err)
	}
	for _, tt := range []struct {
		name string
		who  Who
		id   uint64
		want string
	}{
		{"another user", Who{User: "bob", Interactive: true}, id, ErrNotLost.Error()},
		{"unknown", admin, 4711, ErrNotLost.Error()},
		{"not interactive", Who{User: "admin"}, id, "only an interactive session"},
	} {
		if err := s.NewSession(tt.who).Resume(tt.id); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	busy := dirty(t, s, setHostname("x.example.com"))
	if err := busy.Resume(id); !errors.Is(err, ErrPending) {
		t.Errorf("over own changes: %v", err)
	}
	second := s.NewSession(admin)
	if err := second.Resume(id); err != nil {
		t.Fatal(err)
	}
	if err := s.NewSession(admin).Resume(id); !errors.Is(err, ErrNotLost) {
		t.Errorf("a second time: %v", err)
	}
	if got := second.Config().Hostname; got != "a.example.com" || second.base.Load() != 1 {
		t.Errorf("resumed %s on %d", got, second.base.Load())
	}
	if lost, _ := s.Lost("admin"); len(lost) != 0 {
		t.Errorf("still lost: %+v", lost)
	}
	commit(t, second, "at last")
	if c, _ := s.Running(); c.Hostname != "a.example.com" || !c.BounceDown {
		t.Error("the resumed changes were not merged")
	}
	// The session goes on with the record that it took over.
	edit(t, second, setHostname("b.example.com"))
	if err := second.Close(true); err != nil {
		t.Fatal(err)
	}
	if lost, _ := s.Lost("admin"); len(lost) != 1 {
		t.Errorf("lost again: %+v", lost)
	}
}

// dirty gives a session with one edit.
func dirty(t *testing.T, s *Store, change func(*Config)) *Session {
	t.Helper()
	session := s.NewSession(Who{User: "carol", Source: "192.0.2.8", Method: "cli", Interactive: true})
	edit(t, session, change)
	return session
}

func TestPendings(t *testing.T) {
	s, _ := newStore(t)
	session := s.NewSession(admin)
	edit(t, session, func(c *Config) { c.Hostname = "a.example.com"; c.BounceDown = true })
	script := s.NewSession(Who{User: "script", Source: "192.0.2.9", Method: "exec"})
	edit(t, script, setHostname("b.example.com"))
	if err := dirty(t, s, setHostname("c.example.com")).Close(true); err != nil {
		t.Fatal(err)
	}
	s.NewSession(admin)
	all, err := s.Pendings()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range all {
		got = append(got, fmt.Sprintln(p.User, p.Source, p.Base, p.Changes, p.Lost, p.Since.Second() > 0))
	}
	want := "admin 192.0.2.7 1 2 false true\nscript 192.0.2.9 1 1 false true\ncarol 192.0.2.8 1 1 true true\n"
	if strings.Join(got, "") != want {
		t.Errorf("got\n%swant\n%s", strings.Join(got, ""), want)
	}
}

func TestLostChangesAreBounded(t *testing.T) {
	s, _ := newStore(t)
	for i := range maxLost + 3 {
		session := s.NewSession(admin)
		edit(t, session, setHostname(fmt.Sprintf("h%d.example.com", i)))
		if err := session.Close(true); err != nil {
			t.Fatal(err)
		}
	}
	lost, err := s.Lost("admin")
	if err != nil || len(lost) != maxLost {
		t.Fatalf("%d kept, %v", len(lost), err)
	}
	session := s.NewSession(admin)
	if err := session.Resume(lost[0].ID); err != nil || session.Config().Hostname != fmt.Sprintf("h%d.example.com", maxLost+2) {
		t.Errorf("the newest is %s, %v", session.Config().Hostname, err)
	}
}

func TestDamagedLostChangesAreToldNotResumed(t *testing.T) {
	s, _ := newStore(t)
	session := s.NewSession(admin)
	edit(t, session, setHostname("a.example.com"))
	if err := session.Close(true); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(pendingBucket)
		key, value := b.Cursor().First()
		return b.Put(key, []byte(strings.Replace(string(value), "a.example.com", "b.example.com", 1)))
	}); err != nil {
		t.Fatal(err)
	}
	all, err := s.Pendings()
	if err != nil || len(all) != 1 || !errors.Is(all[0].Err, errPendingDamaged) {
		t.Fatalf("got %+v, %v", all, err)
	}
	if err := s.NewSession(admin).Resume(all[0].ID); !errors.Is(err, errPendingDamaged) {
		t.Errorf("resumed: %v", err)
	}
	if err := s.DropDamaged(all[0].ID); err != nil {
		t.Error(err)
	}
	whole := s.NewSession(admin)
	edit(t, whole, setHostname("c.example.com"))
	if err := whole.Close(true); err != nil {
		t.Fatal(err)
	}
	left, err := s.Pendings()
	if err != nil || len(left) != 1 || left[0].Err != nil {
		t.Fatalf("got %+v, %v", left, err)
	}
	if err := s.DropDamaged(left[0].ID); err == nil {
		t.Error("changes that are whole were dropped")
	}
}

func TestLoad(t *testing.T) {
	s, _ := newStore(t)
	session := s.NewSession(admin)
	edit(t, session, setHostname("a.example.com"))
	commit(t, dirty(t, s, func(c *Config) { c.BounceDown = true }), "")
	old, err := s.Revision(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Load(old.Config); err != nil {
		t.Fatal(err)
	}
	if got := FormatChanges(session.Changes()); session.base.Load() != 2 || !strings.Contains(got, "Yes -> No") || strings.Contains(got, "Hostname") {
		t.Errorf("on %d:\n%s", session.base.Load(), got)
	}
	running, _ := s.Running()
	if err := session.Load(running); err != nil || session.Dirty() {
		t.Errorf("what runs: %v, dirty %v", err, session.Dirty())
	}
}

// What others commit while a file is read, or its passphrase is asked for, is
// not undone by the load.
func TestLoadKeepsWhatOthersCommitMeanwhile(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "config.db"), Options{Clock: tick(), Factory: testConfig, KeepRevisions: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	session := s.NewSession(admin)
	err = session.LoadFrom(func(running *Config) (*Config, error) {
		for n := range KeepAtLeast + 2 {
			commit(t, dirty(t, s, func(c *Config) { c.Delivery.Concurrency = 50 + n }), "")
		}
		config := running.Clone()
		config.Hostname = "loaded.example.com"
		return config, nil
	})
	if err != nil || session.base.Load() != 1 {
		t.Fatalf("on %d: %v", session.base.Load(), err)
	}
	if got := FormatChanges(session.Changes()); strings.Contains(got, "concurrency") || !strings.Contains(got, "-> loaded.example.com") {
		t.Errorf("changes:\n%s", got)
	}
	merged, err := session.Merge()
	if err != nil || merged.Config.Delivery.Concurrency != 50+KeepAtLeast+1 || merged.Config.Hostname != "loaded.example.com" {
		t.Errorf("%+v, %v", merged.Config, err)
	}
	if _, err := s.Revision(1); err != nil {
		t.Errorf("the revision that the load began with: %v", err)
	}
	refused := errors.New("refused")
	if err := session.LoadFrom(func(*Config) (*Config, error) { return nil, refused }); err != refused || !session.Dirty() {
		t.Errorf("%v, dirty %v", err, session.Dirty())
	}
}

func TestChangesAreAgainstWhatRunsNow(t *testing.T) {
	s, _ := newStore(t)
	session := s.NewSession(admin)
	edit(t, session, func(c *Config) { c.Hostname = "mine.example.com"; c.Listeners[1].Port = 26; c.Delivery.Concurrency = 5 })
	commit(t, dirty(t, s, func(c *Config) {
		c.Hostname = "theirs.example.com"
		c.Delivery.Concurrency = 5
		c.Routes = c.Routes[1:]
	}), "")
	want := `Hostname: theirs.example.com -> mine.example.com  (also changed by another session)
Listeners
  IncomingMail
    TCP port: 25 -> 26
`
	if got := FormatChanges(session.Changes()); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// C5: edits survive a crash, which closes no session.
func TestPendingSurvivesReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.db")
	s, err := Open(path, Options{Clock: tick(), Factory: testConfig})
	if err != nil {
		t.Fatal(err)
	}
	console := s.NewSession(admin)
	edit(t, console, setHostname("a.example.com"))
	edit(t, s.NewSession(Who{User: "admin", Method: "batch"}), setHostname("b.example.com"))
	since := console.since
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := console.Edit(func(c *Config) error { c.Hostname = "late"; return nil }); err == nil {
		t.Error("an edit after the store was closed")
	}

	s = openStore(t, path)
	lost, err := s.Lost("admin")
	if err != nil || len(lost) != 1 || !lost[0].Since.Equal(since) {
		t.Fatalf("lost: %+v, %v", lost, err)
	}
	session := s.NewSession(admin)
	if session.ID() <= lost[0].ID {
		t.Errorf("session %d may overwrite %d", session.ID(), lost[0].ID)
	}
	if err := session.Resume(lost[0].ID); err != nil || session.Config().Hostname != "a.example.com" {
		t.Errorf("%s, %v", session.Config().Hostname, err)
	}
	if got := session.Changes(); len(got) != 1 {
		t.Errorf("changes %+v", got)
	}
	if since.Location() != time.UTC {
		t.Error("not UTC")
	}
}
