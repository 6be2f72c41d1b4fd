package store

import (
	"errors"
	"fmt"
	"time"
)

// A session can keep the others from committing for a while: a script that
// makes its change in several commits, or that must know what it commits on.
// The lock lives in memory, as sessions do. It ends with its session, with its
// time, or when somebody breaks it; in the last two cases the session that had
// it commits nothing until it has heard of that.

// MaxLock is the longest that a lock lasts without being asked for again.
const MaxLock = time.Hour

// ErrNotLocked says that there is no lock to give back.
var ErrNotLocked = errors.New("commits are not locked")

// Lock is the right of one session to commit.
type Lock struct {
	Who   Who
	Since time.Time
	Until time.Time
}

// LockedError refuses a commit, or a lock, while another session has the lock.
type LockedError struct{ Lock }

func (e *LockedError) Error() string {
	return fmt.Sprintf("%s (%s) has locked commits until %s", e.Who.User, e.Who.Source, e.Until.Format(time.DateTime))
}

// LockLostError refuses a commit of a session whose lock has ended: what it
// relied on may have changed.
type LockLostError struct {
	At time.Time
	By Who // nobody when its time was over
}

func (e *LockLostError) Error() string {
	if e.By.User == "" {
		return fmt.Sprintf("the lock of this session ended at %s", e.At.Format(time.DateTime))
	}
	return fmt.Sprintf("%s (%s) broke the lock of this session at %s", e.By.User, e.By.Source, e.At.Format(time.DateTime))
}

// held is the lock that there is.
type held struct {
	Lock
	session uint64
}

// LockCommits takes the lock, or begins its time anew, for at most MaxLock. It
// fails with a *LockedError if another session has it.
func (s *Session) LockCommits(length time.Duration) (Lock, error) {
	store := s.store
	store.mu.Lock()
	defer store.mu.Unlock()
	if store.sessions[s.id] != s {
		return Lock{}, ErrClosed
	}
	if other := store.lockLocked(); other != nil && other.session != s.id {
		return Lock{}, &LockedError{other.Lock}
	}
	now := store.clock()
	store.lock = &held{Lock{Who: s.who, Since: now, Until: now.Add(min(length, MaxLock))}, s.id}
	delete(store.lostLocks, s.id)
	return store.lock.Lock, nil
}

// UnlockCommits gives the lock back, or takes note that it was lost. It fails
// with a *LockedError if another session has it, and with ErrNotLocked.
func (s *Session) UnlockCommits() error {
	store := s.store
	store.mu.Lock()
	defer store.mu.Unlock()
	lock := store.lockLocked()
	_, lost := store.lostLocks[s.id]
	switch {
	case lost:
		delete(store.lostLocks, s.id)
		return nil
	case lock == nil:
		return ErrNotLocked
	case lock.session != s.id:
		return &LockedError{lock.Lock}
	}
	store.lock = nil
	return nil
}

// BreakLock takes the lock from whoever has it, and gives what it was. It fails
// with ErrNotLocked.
func (s *Store) BreakLock(by Who) (Lock, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lock := s.lockLocked()
	if lock == nil {
		return Lock{}, ErrNotLocked
	}
	s.lock = nil
	s.lostLocks[lock.session] = LockLostError{At: s.clock(), By: by}
	return lock.Lock, nil
}

// Locked gives the lock, if some session has it.
func (s *Store) Locked() (Lock, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if lock := s.lockLocked(); lock != nil {
		return lock.Lock, true
	}
	return Lock{}, false
}

// lockLocked gives the lock whose time is not over, or nil.
func (s *Store) lockLocked() *held {
	if s.lock != nil && !s.clock().Before(s.lock.Until) {
		s.lostLocks[s.lock.session] = LockLostError{At: s.lock.Until}
		s.lock = nil
	}
	return s.lock
}

// checkLock gives a *LockedError or a *LockLostError if the session cannot
// commit.
func (s *Store) checkLock(session *Session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if lock := s.lockLocked(); lock != nil && lock.session != session.id {
		return &LockedError{lock.Lock}
	}
	if lost, ok := s.lostLocks[session.id]; ok {
		return &lost
	}
	return nil
}
