package store

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// try commits what a session has on trial.
func try(t *testing.T, s *Session, length time.Duration) (Revision, error) {
	t.Helper()
	merged, err := s.Merge()
	if err != nil {
		t.Fatal(err)
	}
	return s.store.Save(Commit{Session: s, Merged: merged, Confirm: length})
}

// onTrial is a store whose revision 2 is on trial for ten minutes.
func onTrial(t *testing.T) (*Store, string) {
	t.Helper()
	s, path := newStore(t)
	session := s.NewSession(admin)
	edit(t, session, setHostname("trial.example.com"))
	if _, err := try(t, session, 10*time.Minute); err != nil {
		t.Fatal(err)
	}
	return s, path
}

// giveBack takes the trial back.
func giveBack(t *testing.T, s *Store) (Revision, error) {
	t.Helper()
	session := s.NewSession(Who{User: "system", Method: "revert"})
	defer func() { _ = session.Close(false) }()
	if err := session.Load(testConfig()); err != nil {
		t.Fatal(err)
	}
	merged, err := session.Merge()
	if err != nil {
		t.Fatal(err)
	}
	return s.Save(Commit{Session: session, Merged: merged, Return: true})
}

func TestTrial_NothingElseIsCommitted(t *testing.T) {
	s, _ := onTrial(t)
	c, ok := s.Awaiting()
	if !ok || c.Revision != 2 || c.Return != 1 || c.User != "admin" || c.Until.Sub(c.Since) != 10*time.Minute {
		t.Fatalf("awaiting %+v, %v", c, ok)
	}
	session := s.NewSession(Who{User: "bob"})
	edit(t, session, setHostname("bob.example.com"))
	for _, length := range []time.Duration{0, time.Minute} {
		_, err := try(t, session, length)
		busy, ok := errors.AsType[*AwaitingError](err)
		if !ok || busy.Revision != 2 || busy.Left <= 9*time.Minute || busy.Left >= 10*time.Minute {
			t.Errorf("a commit for %s: %v", length, err)
		}
	}
	if _, err := s.Confirm(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Confirm(); !errors.Is(err, ErrNotAwaited) {
		t.Errorf("confirmed twice: %v", err)
	}
	if _, err := giveBack(t, s); !errors.Is(err, ErrNotAwaited) {
		t.Errorf("took back what was confirmed: %v", err)
	}
	if _, err := try(t, session, 0); err != nil {
		t.Errorf("after the trial: %v", err)
	}
}

func TestTrial_TakenBackIsARevision(t *testing.T) {
	s, _ := onTrial(t)
	r, err := giveBack(t, s)
	if err != nil || r.Number != 3 || r.User != "system" {
		t.Fatalf("%+v, %v", r, err)
	}
	if config, _ := s.Running(); !config.Equal(testConfig()) {
		t.Error("not the configuration from before")
	}
	if _, ok := s.Awaiting(); ok {
		t.Error("it waits still")
	}
	if before, err := s.Revision(2); err != nil || before.Altered || before.Config.Hostname != "trial.example.com" {
		t.Errorf("what was tried: %+v, %v", before.Revision, err)
	}
}

// C6: the trial and its revision are one transaction, and so is its end.
func TestCrashDuringATrial_RevisionAndTermTogether(t *testing.T) {
	s, path := newStore(t)
	session := s.NewSession(admin)
	edit(t, session, setHostname("trial.example.com"))
	before := snapshot(t, path)
	if _, err := try(t, session, 10*time.Minute); err != nil {
		t.Fatal(err)
	}
	during := snapshot(t, path)
	if _, err := giveBack(t, s); err != nil {
		t.Fatal(err)
	}
	back := snapshot(t, path)
	edit(t, session, setHostname("trial.example.com"))
	if _, err := try(t, session, 10*time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Confirm(); err != nil {
		t.Fatal(err)
	}
	confirmed := snapshot(t, path)
	old, err := readMeta(bytes.NewReader(during), int64(len(during)))
	if err != nil {
		t.Fatal(err)
	}
	size := int(old.pageSize)
	noMeta := bytes.Clone(during)
	newest := size * int(old.transactions%2)
	copy(noMeta[newest:newest+size], before[newest:newest+size])
	for _, tt := range []struct {
		name     string
		data     []byte
		revision uint64
		waits    bool
	}{
		{"before the trial", before, 1, false},
		{"before the meta page of the trial", noMeta, 1, false},
		{"during it", during, 2, true},
		{"after it was taken back", back, 3, false},
		{"after it was confirmed", confirmed, 4, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := restarted(t, tt.data)
			_, revision := s.Running()
			c, waits := s.Awaiting()
			if revision != tt.revision || waits != tt.waits || waits && c.Revision != revision {
				t.Errorf("runs %d, awaiting %+v, %v", revision, c, waits)
			}
		})
	}
}

func TestOpenRefusesATrialThatCannotBe(t *testing.T) {
	for name, value := range map[string]string{"no JSON": "x", "of another revision": `{"Revision":1,"Return":0}`} {
		t.Run(name, func(t *testing.T) {
			s, path := onTrial(t)
			err := s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(aboutBucket).Put(confirmKey, []byte(value)) })
			if err := errors.Join(err, s.Close()); err != nil {
				t.Fatal(err)
			}
			refuses(t, path, Damaged)
		})
	}
}

// What a restore would start with is never what nobody confirmed.
func TestKeepCopy_NotOfATrial(t *testing.T) {
	s, path := newStore(t)
	session := s.NewSession(admin)
	keep := func(want uint64) {
		t.Helper()
		if err := s.KeepCopy(); err != nil {
			t.Fatal(err)
		}
		if kept, err := ReadCopy(path); err != nil || kept.Revision != want {
			t.Errorf("the copy is of revision %d, %v, want %d", kept.Revision, err, want)
		}
	}
	keep(1)
	edit(t, session, setHostname("trial.example.com"))
	if _, err := try(t, session, time.Minute); err != nil {
		t.Fatal(err)
	}
	keep(1)
	if _, err := s.Confirm(); err != nil {
		t.Fatal(err)
	}
	keep(2)
}
