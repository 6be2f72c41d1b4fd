package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// A commit can be made on trial: its revision runs, and the configuration
// before it comes back unless somebody confirms in time. The trial is part of
// the transaction that makes the revision, and ends in the one that takes it
// back. This package keeps the record; whoever runs the configuration watches
// the time.

// ErrNotAwaited says that no revision waits to be confirmed.
var ErrNotAwaited = errors.New("no commit waits to be confirmed")

// Confirmation is what the running revision waits for.
type Confirmation struct {
	Revision uint64 // the running one
	Return   uint64 // the one whose configuration comes back
	User     string // who committed
	Source   string
	Since    time.Time // UTC
	Until    time.Time // by the wall clock
}

// AwaitingError refuses a commit while another waits to be confirmed.
type AwaitingError struct {
	Confirmation
	Left time.Duration
}

func (e *AwaitingError) Error() string {
	return fmt.Sprintf("revision %d by %s (%s) waits to be confirmed until %s", e.Revision, e.User, e.Source, e.Until.Format(time.DateTime))
}

// Awaiting gives what the running revision waits for, if it does.
func (s *Store) Awaiting() (Confirmation, bool) {
	if c := s.awaiting.Load(); c != nil {
		return *c, true
	}
	return Confirmation{}, false
}

// CheckTurn says why a session cannot commit now, whatever it would change: an
// *AwaitingError while a revision waits to be confirmed, a *LockedError while
// another session has the lock, a *LockLostError while it does not know that it
// has lost its own.
func (s *Store) CheckTurn(session *Session) error {
	if c, ok := s.Awaiting(); ok {
		return &AwaitingError{c, c.Until.Sub(s.now())}
	}
	return s.checkLock(session)
}

// Confirm makes the running revision one like any other. It fails with
// ErrNotAwaited if it was, or if it has been taken back.
//
// After a crash inside Confirm, the revision waits or it does not; when Confirm
// has returned, it does not.
func (s *Store) Confirm() (Confirmation, error) {
	s.saving.Lock()
	defer s.saving.Unlock()
	c, ok := s.Awaiting()
	if !ok {
		return c, ErrNotAwaited
	}
	if err := s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(aboutBucket).Delete(confirmKey) }); err != nil {
		return c, fmt.Errorf("confirming revision %d: %w", c.Revision, err)
	}
	s.awaiting.Store(nil)
	return c, nil
}

// putConfirmation writes what the new running revision waits for; nil is
// nothing.
func putConfirmation(tx *bbolt.Tx, c *Confirmation) error {
	if c == nil {
		return tx.Bucket(aboutBucket).Delete(confirmKey)
	}
	value, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encoding what is to be confirmed: %w", err)
	}
	return tx.Bucket(aboutBucket).Put(confirmKey, value)
}

// readConfirmation gives nil if nothing is waited for.
func readConfirmation(tx *bbolt.Tx, running uint64) (*Confirmation, error) {
	value := tx.Bucket(aboutBucket).Get(confirmKey)
	if value == nil {
		return nil, nil
	}
	var c Confirmation
	if err := json.Unmarshal(value, &c); err != nil {
		return nil, fmt.Errorf("decoding what is to be confirmed: %w", err)
	}
	if c.Revision != running {
		return nil, fmt.Errorf("revision %d is to be confirmed, and %d runs", c.Revision, running)
	}
	return &c, nil
}
