package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// Revision says who committed what and when. Each holds the hash of the one
// before it, so that what was changed afterwards shows.
type Revision struct {
	Number   uint64
	Time     time.Time // UTC
	User     string
	Source   string
	Method   string
	Comment  string
	Result   string
	Objects  []string // the objects changed, by name; of very many the first
	More     int      // how many are not in Objects
	Previous string   // hash of the revision before; empty for the first
	Sum      string   // of its configuration
	Altered  bool     `json:"-"` // it, or its configuration, is not as it was committed
	Names    []string `json:"-"` // that operators gave it
}

// Record is a revision with its configuration, and what it changed. Changes
// are empty when the revision before it is no longer kept or is damaged.
type Record struct {
	Revision
	Config  *Config
	Changes []Change
}

// maxObjects bounds the names kept with one revision.
const maxObjects = 1000

// ErrNoRevision says that a revision is not, or no longer, kept.
var ErrNoRevision = errors.New("no such revision")

// DamagedRevision is the error of a revision that is kept and cannot be read:
// it, or its configuration, is not as it was committed, and will not be again.
type DamagedRevision struct {
	Number uint64
	Err    error
}

// Error names the revision and what is wrong with it.
func (d *DamagedRevision) Error() string { return fmt.Sprintf("revision %d: %v", d.Number, d.Err) }

// Unwrap gives what is wrong with it.
func (d *DamagedRevision) Unwrap() error { return d.Err }

// head is what the database says is running.
type head struct {
	revision uint64
	hash     string
}

func readHead(tx *bbolt.Tx) (head, error) {
	value := tx.Bucket(aboutBucket).Get(runningKey)
	if len(value) != 8+2*sha256.Size {
		return head{}, errors.New("the running revision is not named")
	}
	return head{parseNumber(value[:8]), string(value[8:])}, nil
}

// putRevision adds a revision and makes it the running one.
func putRevision(tx *bbolt.Tx, r Revision, config *Config) (Revision, error) {
	data, err := encode(config)
	if err != nil {
		return r, err
	}
	r.Sum = hashOf(data)
	meta, err := json.Marshal(r)
	if err != nil {
		return r, fmt.Errorf("encoding revision: %w", err)
	}
	key := number(r.Number)
	return r, errors.Join(
		tx.Bucket(configBucket).Put(key, data),
		tx.Bucket(revisionBucket).Put(key, meta),
		tx.Bucket(aboutBucket).Put(runningKey, append(key, hashOf(meta)...)),
	)
}

// readRevision gives a revision and the hash of what is stored of it.
func readRevision(tx *bbolt.Tx, n uint64) (Revision, string, error) {
	meta := tx.Bucket(revisionBucket).Get(number(n))
	if meta == nil {
		return Revision{}, "", fmt.Errorf("revision %d: %w", n, ErrNoRevision)
	}
	r, err := decodeRevision(meta)
	if err == nil && r.Number != n {
		err = errors.New("it has the number of another")
	}
	if err != nil {
		return Revision{}, "", &DamagedRevision{n, err}
	}
	return r, hashOf(meta), nil
}

func decodeRevision(meta []byte) (Revision, error) {
	var r Revision
	d := json.NewDecoder(bytes.NewReader(meta))
	d.DisallowUnknownFields()
	err := d.Decode(&r)
	return r, err
}

// readConfig gives the configuration of a revision, checked by its sum.
func readConfig(tx *bbolt.Tx, r Revision) (*Config, error) {
	data := tx.Bucket(configBucket).Get(number(r.Number))
	if hashOf(data) != r.Sum {
		return nil, &DamagedRevision{r.Number, errors.New("its configuration does not match its checksum")}
	}
	config, err := decode(data)
	if err != nil {
		return nil, &DamagedRevision{r.Number, err}
	}
	return config, nil
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func parseNumber(key []byte) uint64 {
	if len(key) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(key)
}

// Revisions gives the newest n revisions, the running one first; n <= 0 gives
// all that are kept. Each is held against what the one after it remembers of
// it: one that was changed, and its configuration, are Altered.
func (s *Store) Revisions(n int) ([]Revision, error) {
	var list []Revision
	err := s.db.View(func(tx *bbolt.Tx) error {
		head, err := readHead(tx)
		if err != nil {
			return err
		}
		names, err := readNames(tx)
		if err != nil {
			return err
		}
		expected := head.hash
		next := head.revision + 1
		c := tx.Bucket(revisionBucket).Cursor()
		for key, meta := c.Last(); key != nil && (n <= 0 || len(list) < n); key, meta = c.Prev() {
			r, err := decodeRevision(meta)
			if err != nil {
				r = Revision{Altered: true}
			}
			// A gap in the numbers breaks the chain without anybody's fault.
			r.Altered = r.Altered || r.Number != parseNumber(key) || r.Number+1 == next && hashOf(meta) != expected ||
				hashOf(tx.Bucket(configBucket).Get(key)) != r.Sum
			r.Number = parseNumber(key)
			r.Names = names.of(r.Number)
			expected, next = r.Previous, r.Number
			list = append(list, r)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading revisions: %w", err)
	}
	return list, nil
}

// Revision gives one revision whole. The error wraps ErrNoRevision if it is
// not kept, and a *DamagedRevision if it cannot be read.
func (s *Store) Revision(n uint64) (Record, error) {
	var rec Record
	err := s.db.View(func(tx *bbolt.Tx) error {
		r, hash, err := readRevision(tx, n)
		if err != nil {
			return err
		}
		if rec.Config, err = readConfig(tx, r); err != nil {
			return err
		}
		names, err := readNames(tx)
		if err != nil {
			return err
		}
		rec.Revision = r
		rec.Names = names.of(n)
		rec.Altered = alteredSince(tx, n, hash)
		rec.Changes = changesBy(tx, n, rec.Config)
		return nil
	})
	if err != nil {
		return Record{}, fmt.Errorf("reading revision: %w", err)
	}
	return rec, nil
}

// changesBy holds revision n against the one before it; if that one cannot be
// read, nothing is known.
func changesBy(tx *bbolt.Tx, n uint64, config *Config) []Change {
	before, _, err := readRevision(tx, n-1)
	if err != nil {
		return nil
	}
	old, err := readConfig(tx, before)
	if err != nil {
		return nil
	}
	return Diff(old, config)
}

// alteredSince compares a revision with what the one after it remembers.
func alteredSince(tx *bbolt.Tx, n uint64, hash string) bool {
	if head, err := readHead(tx); err == nil && head.revision == n {
		return head.hash != hash
	}
	next, _, err := readRevision(tx, n+1)
	return err == nil && next.Previous != hash
}

// prune removes revisions beyond the newest keep, but none that is needed.
func prune(tx *bbolt.Tx, keep int, needed map[uint64]bool) error {
	c := tx.Bucket(revisionBucket).Cursor()
	var old [][]byte
	kept := 0
	for key, _ := c.Last(); key != nil; key, _ = c.Prev() {
		if kept++; kept > keep && !needed[parseNumber(key)] {
			old = append(old, slices.Clone(key))
		}
	}
	for _, key := range old {
		if err := errors.Join(tx.Bucket(revisionBucket).Delete(key), tx.Bucket(configBucket).Delete(key)); err != nil {
			return err
		}
	}
	return nil
}

// blame fills in who made the other side of each conflict: the newest revision
// after base that changed the object, or a part of it, as far as those are
// still kept.
func (s *Store) blame(conflicts []Conflict, base, running uint64) error {
	return s.db.View(func(tx *bbolt.Tx) error {
		for n := running; n > base; n-- {
			r, _, err := readRevision(tx, n)
			if errors.Is(err, ErrNoRevision) {
				continue
			}
			if err != nil {
				return err
			}
			names, err := allObjects(tx, r)
			if err != nil {
				return err
			}
			for i := range conflicts {
				c := &conflicts[i]
				if c.Revision == 0 && slices.ContainsFunc(names, func(name string) bool {
					return name == c.Object || strings.HasPrefix(name, c.Object+" ")
				}) {
					c.User, c.Source, c.Time, c.Revision = r.User, r.Source, r.Time, r.Number
				}
			}
		}
		return nil
	})
}

// allObjects names every object that a revision changed; of very many only the
// first when the revision before it is no longer kept.
func allObjects(tx *bbolt.Tx, r Revision) ([]string, error) {
	if r.More == 0 {
		return r.Objects, nil
	}
	before, _, err := readRevision(tx, r.Number-1)
	if errors.Is(err, ErrNoRevision) {
		return r.Objects, nil
	}
	if err != nil {
		return nil, err
	}
	old, err := readConfig(tx, before)
	if err != nil {
		return nil, err
	}
	config, err := readConfig(tx, r)
	if err != nil {
		return nil, err
	}
	return changedObjects(old, config), nil
}
