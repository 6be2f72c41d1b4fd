package store

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
)

// KeepAtLeast is how many revisions are kept whatever Options say.
const KeepAtLeast = 50

// Options are what a Store needs from outside.
type Options struct {
	Clock         func() time.Time // nil: time.Now
	Factory       func() *Config   // nil: Factory without facts; called when the database is made
	KeepRevisions int              // 0: 100
}

// Store is the configuration of one gateway: the running revision, those
// before it, and what sessions have not committed yet. It is safe for
// concurrent use.
type Store struct {
	db      *bbolt.DB
	clock   func() time.Time
	keep    int
	factory func() *Config
	turn    *turn

	running  atomic.Pointer[current]
	awaiting atomic.Pointer[Confirmation] // nil: the running revision stands

	mu       sync.Mutex // guards what follows; nothing else is locked while it is held
	sessions map[uint64]*Session
	records  map[uint64]bool // keys of pending changes that belong to an open session
	nextID   uint64

	lock      *held                    // nil: everybody may commit
	lostLocks map[uint64]LockLostError // by sessions that do not know yet

	checking chan struct{} // holds one value while a passphrase is checked

	saving  sync.Mutex // one Save at a time, whoever holds the turn
	inDoubt atomic.Bool
}

// current is a revision that runs, or ran; immutable.
type current struct {
	config   *Config
	revision uint64
}

// Who is behind a session.
type Who struct {
	User        string
	Source      string // the address it comes from, "console" for the machine itself
	Method      string // "cli", "exec", "batch"
	Interactive bool   // its edits are kept when it is lost

	// Local is the address and port of ours that the session came in by; it is
	// invalid of the console on the machine itself.
	Local netip.AddrPort
}

// Open opens the database at path, or makes it with the factory configuration
// if there is none. The caller holds the lock of the data directory. An
// *OpenError says why what is there was not opened; a link that leads nowhere
// is there too: its disk may be missing.
//
// What earlier sessions left uncommitted counts as lost by them.
func Open(path string, o Options) (*Store, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Factory == nil {
		o.Factory = func() *Config { return Factory(FactoryFacts{}) }
	}
	s := &Store{
		clock: o.Clock, keep: max(cmp.Or(o.KeepRevisions, 100), KeepAtLeast), factory: o.Factory, turn: newTurn(o.Clock),
		sessions: map[uint64]*Session{}, records: map[uint64]bool{}, lostLocks: map[uint64]LockLostError{}, checking: make(chan struct{}, 1),
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if copyThere(path) {
			return nil, &OpenError{path, Missing, nil}
		}
		first := Revision{Number: 1, Time: s.now(), User: "system", Method: "factory", Comment: "Factory configuration"}
		if err := create(path, first, o.Factory()); err != nil {
			return nil, err
		}
	}
	db, err := openDatabase(path)
	if err != nil {
		return nil, err
	}
	s.db = db
	if err := db.View(s.load); err != nil {
		return nil, errors.Join(&OpenError{path, Damaged, err}, db.Close())
	}
	return s, nil
}

// load reads the running revision and where session numbers go on.
func (s *Store) load(tx *bbolt.Tx) error {
	head, err := readHead(tx)
	if err != nil {
		return err
	}
	r, hash, err := readRevision(tx, head.revision)
	if err == nil && hash != head.hash {
		err = fmt.Errorf("revision %d does not match its checksum", head.revision)
	}
	if err != nil {
		return err
	}
	config, err := readConfig(tx, r)
	if err != nil {
		return err
	}
	s.running.Store(&current{config, head.revision})
	awaiting, err := readConfirmation(tx, head.revision)
	if err != nil {
		return err
	}
	s.awaiting.Store(awaiting)
	if _, err := readNames(tx); err != nil {
		return err
	}
	last, _ := tx.Bucket(pendingBucket).Cursor().Last()
	s.nextID = parseNumber(last) + 1
	return nil
}

// Running gives the running configuration, shared and not to be written to,
// and the number of its revision.
func (s *Store) Running() (*Config, uint64) {
	r := s.running.Load()
	return r.config, r.revision
}

// Factory makes the configuration that a new database begins with.
func (s *Store) Factory() *Config { return s.factory() }

// Close closes the database. Sessions that are still open are lost, and can do
// nothing more.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("closing configuration: %w", err)
	}
	return nil
}

// now is the time that is recorded: UTC, without what a record cannot hold.
func (s *Store) now() time.Time { return s.clock().UTC().Round(0) }

// live gives the open sessions by number.
func (s *Store) live() []*Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Session, 0, len(s.sessions))
	for _, session := range s.sessions {
		all = append(all, session)
	}
	slices.SortFunc(all, func(a, b *Session) int { return cmp.Compare(a.id, b.id) })
	return all
}

// claim makes the record under key the property of an open session; it fails
// if it is one's already.
func (s *Store) claim(key uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	free := !s.records[key]
	s.records[key] = true
	return free
}

func (s *Store) release(key uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, key)
}

// owned gives the keys that claim has given away.
func (s *Store) owned() map[uint64]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.records)
}

// remove takes a closed session out of the list, and its lock with it.
func (s *Store) remove(session *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, session.id)
	delete(s.records, session.record)
	if s.lock != nil && s.lock.session == session.id {
		s.lock = nil
	}
	delete(s.lostLocks, session.id)
}
