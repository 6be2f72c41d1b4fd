package store

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// What sessions refuse.
var (
	ErrClosed  = errors.New("the session is closed")
	ErrPending = errors.New("the session has uncommitted changes of its own")
	ErrNotLost = errors.New("there are no such uncommitted changes")
)

// Session is what one console, exec line or batch sees of the configuration:
// its own uncommitted changes, or what runs. Its methods are safe for
// concurrent use, though a session has one operator.
type Session struct {
	store *Store
	id    uint64
	who   Who

	// The revisions its edits, and the load under way, began with, 0 for none;
	// read by prune without the lock.
	base, loading atomic.Uint64

	mu         sync.Mutex
	closed     bool
	expelled   chan struct{} // closed when the session must end
	edits      uint64        // counts the changes of what follows
	pending    *Config       // nil: nothing uncommitted
	baseConfig *Config       // the configuration of base, when there is something pending
	since      time.Time
	record     uint64 // the key pending is stored under: the session's id, or the one it resumed
}

// NewSession begins a session.
func (s *Store) NewSession(who Who) *Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	session := &Session{store: s, id: s.nextID, who: who, record: s.nextID, expelled: make(chan struct{})}
	s.nextID++
	s.sessions[session.id] = session
	s.records[session.record] = true
	return session
}

// ID is the number of the session, unique in its Store.
func (s *Session) ID() uint64 { return s.id }

// Who is behind the session.
func (s *Session) Who() Who { return s.who }

// Expelled is closed when a commit has removed the user of the session, or
// locked one who came over the network: whoever serves the session ends it.
func (s *Session) Expelled() <-chan struct{} { return s.expelled }

// Config gives the configuration as this session sees it: with its own
// uncommitted changes. It is shared and not to be written to.
func (s *Session) Config() *Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending != nil {
		return s.pending
	}
	config, _ := s.store.Running()
	return config
}

// Dirty reports whether there are uncommitted changes.
func (s *Session) Dirty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending != nil
}

// start is what an edit begins with.
type start struct {
	from, base *Config
	revision   uint64
	edits      uint64
}

// begin pins the revision that an edit begins with, so that it is kept however
// long the edit takes.
func (s *Session) begin() (start, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return start{}, ErrClosed
	}
	if s.pending != nil {
		return start{s.pending, s.baseConfig, s.base.Load(), s.edits}, nil
	}
	running := s.store.running.Load()
	s.base.Store(running.revision)
	return start{running.config, running.config, running.revision, s.edits}, nil
}

// end unpins what begin pinned, unless something is pending on it.
func (s *Session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == nil {
		s.base.Store(0)
	}
}

// Edit runs change on a copy of the configuration and keeps the result as the
// session's uncommitted changes, durably for an interactive session, if change
// gives no error. change may take as long as a dialog does. An edit inside an
// edit fails the outer one with ErrEdited.
func (s *Session) Edit(change func(*Config) error) error {
	begun, err := s.begin()
	if err != nil {
		return err
	}
	defer s.end()
	config := begun.from.Clone()
	if err := change(config); err != nil {
		return err
	}
	return s.keep(config.Clone(), begun)
}

// Load makes config the session's uncommitted changes, in place of those it
// had, as made from what runs now.
func (s *Session) Load(config *Config) error {
	return s.LoadFrom(func(*Config) (*Config, error) { return config, nil })
}

// LoadFrom makes what read gives the session's uncommitted changes, in place
// of those it had, as made from the configuration that read is given: the one
// that runs as LoadFrom begins, not to be written to. read may take as long as
// a dialog does; what others commit meanwhile is merged, or in conflict, as
// with an edit. After an error of read all is as before.
func (s *Session) LoadFrom(read func(running *Config) (*Config, error)) error {
	s.mu.Lock()
	edits, running := s.edits, s.store.running.Load()
	s.loading.Store(running.revision)
	s.mu.Unlock()
	defer s.loading.Store(0)
	config, err := read(running.config)
	if err != nil {
		return err
	}
	return s.keep(config.Clone(), start{base: running.config, revision: running.revision, edits: edits})
}

// keep makes config the pending configuration; one that says the same as its
// base leaves nothing pending. When it cannot be stored, all is as before.
func (s *Session) keep(config *Config, begun start) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case s.edits != begun.edits:
		return ErrEdited
	case config.Equal(begun.base):
		return s.dropLocked()
	case s.pending != nil && config.Equal(s.pending) && begun.revision == s.base.Load():
		return nil
	}
	since := s.since
	if s.pending == nil {
		since = s.store.now()
	}
	if s.who.Interactive {
		if err := s.store.putPending(s.record, pendingRecord{
			User: s.who.User, Source: s.who.Source, Method: s.who.Method, Since: since, Base: begun.revision,
		}, config); err != nil {
			return err
		}
	}
	s.pending, s.baseConfig, s.since = config, begun.base, since
	s.base.Store(begun.revision)
	s.edits++
	return nil
}

// Discard drops the uncommitted changes.
func (s *Session) Discard() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	return s.dropLocked()
}

func (s *Session) dropLocked() error {
	if s.pending == nil {
		return nil
	}
	if s.who.Interactive {
		if err := s.store.deletePending(s.record); err != nil {
			return err
		}
	}
	s.forgetLocked()
	return nil
}

// forgetLocked is for pending changes that are no longer stored.
func (s *Session) forgetLocked() {
	s.pending, s.baseConfig, s.since = nil, nil, time.Time{}
	s.base.Store(0)
	s.edits++
}

// Close ends the session. What an interactive session had uncommitted when it
// was lost is kept for its user; otherwise it is dropped.
func (s *Session) Close(lost bool) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	var err error
	if kept := lost && s.who.Interactive; !kept {
		err = s.dropLocked()
	}
	s.closed = true
	s.base.Store(0)
	s.mu.Unlock()

	s.store.remove(s)
	if lost {
		err = errors.Join(err, s.store.trimLost(s.who.User))
	}
	return err
}

// Resume takes over what a lost session of the same user left.
func (s *Session) Resume(id uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case s.pending != nil:
		return ErrPending
	case !s.who.Interactive:
		return errors.New("only an interactive session can resume changes")
	}
	if !s.store.claim(id) {
		return ErrNotLost
	}
	p, err := s.store.lostBy(s.who.User, id)
	if err != nil {
		s.store.release(id)
		return err
	}
	if s.record != id {
		s.store.release(s.record)
	}
	s.pending, s.baseConfig, s.since, s.record = p.config, p.baseConfig, p.Since, id
	s.base.Store(p.Base)
	s.edits++
	return nil
}

// Changes gives what this session would change in what runs now. A change that
// is marked Other was made differently by another session meanwhile.
func (s *Session) Changes() []Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == nil {
		return nil
	}
	running, _ := s.store.Running()
	return ownChanges(s.baseConfig, running, s.pending)
}

// Merged is a pending configuration joined with what runs.
type Merged struct {
	Config   *Config
	Revision uint64 // the running revision it was merged with
	edits    uint64
}

// Merge joins the uncommitted changes with what others committed since they
// began. It fails with a *ConflictError, or with ErrNothing if there are none.
func (s *Session) Merge() (Merged, error) {
	s.mu.Lock()
	mine, baseConfig, base, edits := s.pending, s.baseConfig, s.base.Load(), s.edits
	s.mu.Unlock()
	if mine == nil {
		return Merged{}, ErrNothing
	}
	running := s.store.running.Load()
	if running.revision == base {
		return Merged{mine, base, edits}, nil
	}
	config, conflicts := merge(baseConfig, running.config, mine)
	if len(conflicts) > 0 {
		if err := s.store.blame(conflicts, base, running.revision); err != nil {
			return Merged{}, errors.Join(&ConflictError{conflicts}, err)
		}
		return Merged{}, &ConflictError{conflicts}
	}
	return Merged{config, running.revision, edits}, nil
}
