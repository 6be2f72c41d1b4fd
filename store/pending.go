package store

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// PendingInfo tells of uncommitted changes.
type PendingInfo struct {
	ID      uint64 // of its session; what Resume takes if Lost
	User    string
	Source  string
	Since   time.Time
	Base    uint64 // the revision they began with
	Changes int    // 0 with Err
	Lost    bool   // its session is gone
	Err     error  // why lost ones cannot be read; where they are damaged, nobody knows whose they are
}

// maxLost is how many lost sessions of one user are remembered: the oldest
// goes first.
const maxLost = 16

// pendingRecord is how pending changes are stored, behind the sum of the
// bytes. Only interactive sessions store them.
type pendingRecord struct {
	User, Source, Method string
	Since                time.Time
	Base                 uint64
	Config               json.RawMessage
}

// putPending stores the changes of a session. A crash before the end of the
// transaction leaves those of the edit before.
func (s *Store) putPending(key uint64, p pendingRecord, config *Config) error {
	data, err := encode(config)
	if err != nil {
		return err
	}
	p.Config = data
	value, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encoding uncommitted changes: %w", err)
	}
	value = append([]byte(hashOf(value)), value...)
	if err := s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(pendingBucket).Put(number(key), value) }); err != nil {
		return fmt.Errorf("keeping uncommitted changes: %w", err)
	}
	return nil
}

func (s *Store) deletePending(key uint64) error {
	if err := s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(pendingBucket).Delete(number(key)) }); err != nil {
		return fmt.Errorf("dropping uncommitted changes: %w", err)
	}
	return nil
}

var errPendingDamaged = errors.New("the uncommitted changes are damaged")

func decodePending(value []byte) (pendingRecord, error) {
	var p pendingRecord
	n := len(hashOf(nil))
	if len(value) < n || hashOf(value[n:]) != string(value[:n]) {
		return p, errPendingDamaged
	}
	d := json.NewDecoder(bytes.NewReader(value[n:]))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return p, fmt.Errorf("%w: %w", errPendingDamaged, err)
	}
	return p, nil
}

// eachPending visits what is stored and can be read.
func eachPending(tx *bbolt.Tx, visit func(key uint64, p pendingRecord)) error {
	return tx.Bucket(pendingBucket).ForEach(func(key, value []byte) error {
		if p, err := decodePending(value); err == nil {
			visit(parseNumber(key), p)
		}
		return nil
	})
}

// resumed is a record with its configurations.
type resumed struct {
	pendingRecord
	config, baseConfig *Config
}

func readPending(tx *bbolt.Tx, value []byte) (resumed, error) {
	p, err := decodePending(value)
	if err != nil {
		return resumed{}, err
	}
	r := resumed{pendingRecord: p}
	if r.config, err = decode(p.Config); err != nil {
		return r, err
	}
	revision, _, err := readRevision(tx, p.Base)
	if err != nil {
		return r, err
	}
	r.baseConfig, err = readConfig(tx, revision)
	return r, err
}

// lostBy gives what a lost session of user left under id.
func (s *Store) lostBy(user string, id uint64) (resumed, error) {
	var r resumed
	err := s.db.View(func(tx *bbolt.Tx) error {
		value := tx.Bucket(pendingBucket).Get(number(id))
		if value == nil {
			return ErrNotLost
		}
		var err error
		if r, err = readPending(tx, value); err == nil && r.User != user {
			err = ErrNotLost
		}
		return err
	})
	if err != nil {
		return resumed{}, fmt.Errorf("resuming uncommitted changes: %w", err)
	}
	return r, nil
}

// DropDamaged forgets what a lost session left if it is damaged, so that
// nobody can resume it.
func (s *Store) DropDamaged(id uint64) error {
	if !s.claim(id) {
		return ErrNotLost
	}
	defer s.release(id)
	err := s.db.View(func(tx *bbolt.Tx) error {
		if _, err := decodePending(tx.Bucket(pendingBucket).Get(number(id))); err == nil {
			return errors.New("dropping uncommitted changes: they are not damaged")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.deletePending(id)
}

// Pendings tells of all uncommitted changes: those of open sessions first,
// then what lost ones left.
func (s *Store) Pendings() ([]PendingInfo, error) {
	var all []PendingInfo
	for _, session := range s.live() {
		if info, ok := session.info(); ok {
			all = append(all, info)
		}
	}
	lost, err := s.lost(func(string) bool { return true })
	return append(all, lost...), err
}

func (s *Session) info() (PendingInfo, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == nil {
		return PendingInfo{}, false
	}
	running, _ := s.store.Running()
	return PendingInfo{
		ID: s.id, User: s.who.User, Source: s.who.Source, Since: s.since, Base: s.base.Load(),
		Changes: len(ownChanges(s.baseConfig, running, s.pending)),
	}, true
}

// Lost tells what lost sessions of a user left uncommitted, the newest first.
func (s *Store) Lost(user string) ([]PendingInfo, error) {
	return s.lost(func(owner string) bool { return owner == user })
}

func (s *Store) lost(of func(user string) bool) ([]PendingInfo, error) {
	owned := s.owned()
	running, _ := s.Running()
	var all []PendingInfo
	err := s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(pendingBucket).ForEach(func(key, value []byte) error {
			id := parseNumber(key)
			p, err := readPending(tx, value)
			if owned[id] || !of(p.User) {
				return nil
			}
			info := PendingInfo{ID: id, User: p.User, Source: p.Source, Since: p.Since, Base: p.Base, Lost: true, Err: err}
			if err == nil {
				info.Changes = len(ownChanges(p.baseConfig, running, p.config))
			}
			all = append(all, info)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading uncommitted changes: %w", err)
	}
	slices.SortStableFunc(all, func(a, b PendingInfo) int {
		return cmp.Or(b.Since.Compare(a.Since), cmp.Compare(b.ID, a.ID))
	})
	return all, nil
}

// trimLost forgets what a user lost longest ago, beyond maxLost.
func (s *Store) trimLost(user string) error {
	lost, err := s.Lost(user)
	for i := maxLost; i < len(lost); i++ {
		id := lost[i].ID
		if !s.claim(id) {
			continue // resumed meanwhile
		}
		err = errors.Join(err, s.deletePending(id))
		s.release(id)
	}
	return err
}

// ownChanges gives the part of the difference between what runs and mine that
// was made in mine, marked where what runs was changed in the same place.
func ownChanges(base, running, mine *Config) []Change {
	if base == running {
		return Diff(base, mine)
	}
	made, theirs := places(Diff(base, mine)), places(Diff(base, running))
	var own []Change
	for _, c := range Diff(running, mine) {
		place := strings.Join(c.Path, "\x00")
		if made[place] {
			c.Other = theirs[place]
			own = append(own, c)
		}
	}
	return own
}

func places(changes []Change) map[string]bool {
	set := make(map[string]bool, len(changes))
	for _, c := range changes {
		set[strings.Join(c.Path, "\x00")] = true
	}
	return set
}
