package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"go.etcd.io/bbolt"
)

// MaxComment bounds the comment of a commit, in characters.
const MaxComment = 255

// What Save refuses.
var (
	ErrNothing = errors.New("there is nothing to commit")
	ErrMoved   = errors.New("the running configuration was changed since the merge")
	ErrEdited  = errors.New("the session's configuration was changed since")
	ErrInDoubt = errors.New("the disk failed in the middle of a commit: restart the gateway, it then runs what the disk holds")
)

// Commit is what Save makes a revision of.
type Commit struct {
	Session *Session
	Merged  Merged // as Session.Merge gave it, and Validate found no fault with it
	Comment string
	Result  string        // what the commit led to, for the history
	Confirm time.Duration // 0: it stands; else it waits so long to be confirmed
	Return  bool          // it takes back the revision that waits to be confirmed
}

// Save makes the merged configuration the running revision and ends the
// session's pending one, in one transaction. It fails with ErrMoved or
// ErrEdited if either side is not what was merged, with ErrInDoubt once a failed
// disk left it open which revision it holds, and with ErrNothing, the
// pending configuration being dropped, if nothing is different from what runs.
// While a revision waits to be confirmed, it fails with an *AwaitingError for
// all but the commit that takes it back, and for that with ErrNotAwaited once
// it was confirmed. For what locks do, see CheckTurn.
//
// What users have pending whom the revision removes is dropped with it, and
// their sessions are expelled; so are those from the network of users whom it
// locks.
//
// After a crash inside Save, the revision is there and the edits are gone, or
// the edits are there and the revision is not. A revision on trial is never
// there without its term.
func (s *Store) Save(c Commit) (Revision, error) {
	before, _ := s.Running()
	r, err := s.save(c)
	if err == nil {
		after, _ := s.Running()
		s.expel(before, after)
	}
	return r, err
}

func (s *Store) save(c Commit) (Revision, error) {
	comment, err := ParseComment(c.Comment)
	if err != nil {
		return Revision{}, err
	}
	s.saving.Lock()
	defer s.saving.Unlock()
	c.Session.mu.Lock()
	defer c.Session.mu.Unlock()
	running := s.running.Load()
	if err := s.mayCommit(c); err != nil {
		return Revision{}, err
	}
	switch {
	case c.Session.closed:
		return Revision{}, ErrClosed
	case running.revision != c.Merged.Revision:
		return Revision{}, ErrMoved
	case c.Session.edits != c.Merged.edits:
		return Revision{}, ErrEdited
	case c.Merged.Config.Equal(running.config):
		return Revision{}, errors.Join(ErrNothing, c.Session.dropLocked())
	}
	config := c.Merged.Config.Clone()
	objects := changedObjects(running.config, config)
	r := Revision{
		Number: running.revision + 1, Time: s.now(),
		User: c.Session.who.User, Source: c.Session.who.Source, Method: c.Session.who.Method,
		Comment: comment, Result: c.Result,
		Objects: objects[:min(len(objects), maxObjects)], More: max(0, len(objects)-maxObjects),
	}
	var awaits *Confirmation
	if c.Confirm > 0 {
		awaits = &Confirmation{
			Revision: r.Number, Return: running.revision, User: r.User, Source: r.Source, Since: r.Time, Until: r.Time.Add(c.Confirm),
		}
	}
	next := record{r, config, awaits, leaving{c.Session.record, running.config.left(config)}}
	if r, err = s.write(next); err != nil {
		return Revision{}, fmt.Errorf("saving configuration: %w", s.doubt(running.revision, err))
	}
	s.running.Store(&current{config, r.Number})
	s.awaiting.Store(awaits)
	c.Session.forgetLocked()
	return r, nil
}

// mayCommit says why no commit, or not this one, can be made now.
func (s *Store) mayCommit(c Commit) error {
	if s.inDoubt.Load() {
		return ErrInDoubt
	}
	if !c.Return {
		return s.CheckTurn(c.Session)
	}
	if _, waits := s.Awaiting(); !waits {
		return ErrNotAwaited
	}
	return nil
}

// record is a revision with all that is stored of it.
type record struct {
	revision Revision
	config   *Config
	awaits   *Confirmation
	leaving  leaving
}

// leaving names the pending changes that end with a revision: those it was made
// of, and all of users who are gone.
type leaving struct {
	own  uint64
	gone []string
}

// doubt looks at what a failed write left. Usually that is the revision from
// before; if the very last sync failed, the database may already name the new
// one, and nobody knows what the disk holds: nothing is saved any more then.
func (s *Store) doubt(revision uint64, cause error) error {
	var left head
	err := s.db.View(func(tx *bbolt.Tx) (err error) {
		left, err = readHead(tx)
		return err
	})
	if err == nil && left.revision == revision {
		return cause
	}
	s.inDoubt.Store(true)
	return errors.Join(ErrInDoubt, cause)
}

// write is the transaction of Save. The configuration is encoded before it
// begins.
func (s *Store) write(next record) (Revision, error) {
	r := next.revision
	pinned := map[uint64]bool{}
	for _, session := range s.live() {
		pinned[session.base.Load()], pinned[session.loading.Load()] = true, true
	}
	err := s.db.Update(func(tx *bbolt.Tx) error {
		head, err := readHead(tx)
		if err != nil {
			return err
		}
		if head.revision+1 != r.Number {
			return ErrMoved
		}
		r.Previous = head.hash
		if r, err = putRevision(tx, r, next.config); err != nil {
			return err
		}
		if err := putConfirmation(tx, next.awaits); err != nil {
			return err
		}
		if err := next.leaving.drop(tx); err != nil {
			return err
		}
		names, err := readNames(tx)
		if err != nil {
			return err
		}
		for _, n := range names {
			pinned[n.Revision] = true
		}
		err = eachPending(tx, func(_ uint64, p pendingRecord) { pinned[p.Base] = true })
		return errors.Join(err, prune(tx, s.keep, pinned))
	})
	return r, err
}

// drop removes the pending changes.
func (l leaving) drop(tx *bbolt.Tx) error {
	keys := []uint64{l.own}
	if len(l.gone) > 0 {
		if err := eachPending(tx, func(key uint64, p pendingRecord) {
			if slices.Contains(l.gone, p.User) {
				keys = append(keys, key)
			}
		}); err != nil {
			return err
		}
	}
	for _, key := range keys {
		if err := tx.Bucket(pendingBucket).Delete(number(key)); err != nil {
			return err
		}
	}
	return nil
}

// ParseComment reads the comment of a commit: one line, which listings of the
// history show as it is.
func ParseComment(text string) (string, error) {
	text = strings.TrimSpace(text)
	if utf8.RuneCountInString(text) > MaxComment {
		return "", refuse("The value must not be longer than %d characters.", MaxComment)
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return "", ValueError("The value must not contain control characters.")
	}
	return text, nil
}

// turnWait is how long a commit waits for the one before it.
const turnWait = 30 * time.Second

// BusyError says who is committing.
type BusyError struct {
	Who   Who
	Since time.Time
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("%s (%s) is committing since %s", e.Who.User, e.Who.Source, e.Since.Format(time.DateTime))
}

// turn lets one commit go through its steps at a time.
type turn struct {
	clock func() time.Time
	taken chan struct{}

	mu    sync.Mutex
	owner BusyError
}

func newTurn(clock func() time.Time) *turn {
	return &turn{clock: clock, taken: make(chan struct{}, 1)}
}

// Lock waits until no other commit is under way, for 30 seconds at most, and
// then fails with a *BusyError that names its owner. The commit that follows
// ends with unlock, which may be called more than once.
func (s *Store) Lock(ctx context.Context, who Who) (unlock func(), err error) {
	return s.turn.lock(ctx, who)
}

func (t *turn) lock(ctx context.Context, who Who) (unlock func(), err error) {
	timer := time.NewTimer(turnWait)
	defer timer.Stop()
	select {
	case t.taken <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for another commit: %w", ctx.Err())
	case <-timer.C:
		t.mu.Lock()
		defer t.mu.Unlock()
		busy := t.owner
		return nil, &busy
	}
	t.mu.Lock()
	t.owner = BusyError{Who: who, Since: t.clock()}
	t.mu.Unlock()
	return sync.OnceFunc(func() { <-t.taken }), nil
}
