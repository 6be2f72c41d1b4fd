package store

import (
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// lockedStore is a store whose clock is set by now, with two sessions.
func lockedStore(t *testing.T) (now *atomic.Int64, mine, theirs *Session) {
	t.Helper()
	now = &atomic.Int64{}
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s, err := Open(filepath.Join(t.TempDir(), "config.db"), Options{Factory: testConfig, Clock: func() time.Time { return began.Add(time.Duration(now.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return now, s.NewSession(admin), s.NewSession(Who{User: "bob", Source: "192.0.2.8"})
}

// save tries to commit a new host name.
func save(t *testing.T, s *Session, name string) error {
	t.Helper()
	edit(t, s, setHostname(name))
	merged, err := s.Merge()
	if err == nil {
		_, err = s.store.Save(Commit{Session: s, Merged: merged})
	}
	return err
}

func TestLock_OnlyItsSessionCommits(t *testing.T) {
	_, mine, theirs := lockedStore(t)
	s := mine.store
	if _, err := mine.LockCommits(10 * time.Minute); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"commit": save(t, theirs, "theirs.example.com"),
		"lock":   func() error { _, err := theirs.LockCommits(time.Minute); return err }(),
		"unlock": theirs.UnlockCommits(),
	} {
		if locked, ok := errors.AsType[*LockedError](err); !ok || locked.Who.User != "admin" {
			t.Errorf("%s by another: %v", name, err)
		}
	}
	for _, name := range []string{"a.example.com", "b.example.com"} {
		if err := save(t, mine, name); err != nil {
			t.Errorf("by the owner: %v", err)
		}
	}
	if err := mine.UnlockCommits(); err != nil {
		t.Fatal(err)
	}
	if err := mine.UnlockCommits(); !errors.Is(err, ErrNotLocked) {
		t.Errorf("unlocked twice: %v", err)
	}
	if _, locked := s.Locked(); locked {
		t.Error("locked after unlock")
	}
	if err := theirs.Discard(); err != nil {
		t.Fatal(err)
	}
	if err := save(t, theirs, "theirs.example.com"); err != nil {
		t.Errorf("after unlock: %v", err)
	}
}

func TestLock_EndsWithItsSession(t *testing.T) {
	for name, lost := range map[string]bool{"left": false, "lost": true} {
		t.Run(name, func(t *testing.T) {
			_, mine, theirs := lockedStore(t)
			s := mine.store
			if _, err := mine.LockCommits(time.Hour); err != nil {
				t.Fatal(err)
			}
			if err := mine.Close(lost); err != nil {
				t.Fatal(err)
			}
			if err := save(t, theirs, "theirs.example.com"); err != nil {
				t.Error(err)
			}
			if _, err := mine.LockCommits(time.Hour); !errors.Is(err, ErrClosed) {
				t.Errorf("a closed session locked: %v", err)
			}
			if len(s.lostLocks) > 0 {
				t.Errorf("remembered: %v", s.lostLocks)
			}
		})
	}
}

// Whoever loses the lock hears of it before the next commit.
func TestLock_Lost(t *testing.T) {
	for name, lose := range map[string]func(*Store, *atomic.Int64){
		"": func(_ *Store, now *atomic.Int64) { now.Store(int64(10 * time.Minute)) },
		"bob": func(s *Store, _ *atomic.Int64) {
			if lock, err := s.BreakLock(Who{User: "bob"}); err != nil || lock.Who.User != "admin" {
				t.Errorf("broke %+v, %v", lock, err)
			}
		},
	} {
		for hear, by := range map[string]func(*Session) error{
			"unlock": (*Session).UnlockCommits,
			"lock":   func(mine *Session) error { _, err := mine.LockCommits(time.Hour); return err },
		} {
			t.Run(name+" "+hear, func(t *testing.T) {
				now, mine, theirs := lockedStore(t)
				s := mine.store
				if _, err := mine.LockCommits(10 * time.Minute); err != nil {
					t.Fatal(err)
				}
				lose(s, now)
				if err := save(t, theirs, "theirs.example.com"); err != nil {
					t.Error(err)
				}
				lost, ok := errors.AsType[*LockLostError](save(t, mine, "mine.example.com"))
				if !ok || lost.By.User != name {
					t.Errorf("a commit of the one that had it: %+v", lost)
				}
				if err := by(mine); err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(mine.Discard(), save(t, mine, "mine.example.com")); err != nil {
					t.Errorf("after it was told: %v", err)
				}
			})
		}
	}
	_, mine, _ := lockedStore(t)
	s := mine.store
	if _, err := s.BreakLock(admin); !errors.Is(err, ErrNotLocked) {
		t.Errorf("broke nothing: %v", err)
	}
}

// A trial is taken back whoever has the lock.
func TestLock_IsNoneForATrial(t *testing.T) {
	s, _ := onTrial(t)
	other := s.NewSession(Who{User: "bob"})
	if _, err := other.LockCommits(time.Hour); err != nil {
		t.Fatal(err)
	}
	if r, err := giveBack(t, s); err != nil || r.Number != 3 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestLock_IsBounded(t *testing.T) {
	_, mine, _ := lockedStore(t)
	lock, err := mine.LockCommits(1000 * time.Hour)
	if err != nil || lock.Until.Sub(lock.Since) != MaxLock {
		t.Errorf("%+v, %v", lock, err)
	}
}

func TestLock_OneOfManyHasIt(t *testing.T) {
	_, mine, _ := lockedStore(t)
	s := mine.store
	var have atomic.Int32
	var working sync.WaitGroup
	for range 20 {
		working.Go(func() {
			session := s.NewSession(Who{User: "script"})
			defer func() { _ = session.Close(false) }()
			for range 50 {
				if _, err := session.LockCommits(time.Hour); err != nil {
					continue
				}
				if have.Add(1) != 1 {
					t.Error("two have the lock")
				}
				have.Add(-1)
				if err := session.UnlockCommits(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	working.Wait()
}
