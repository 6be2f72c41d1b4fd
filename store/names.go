package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.etcd.io/bbolt"
)

// MaxNames bounds how many revisions have names, as those are kept for ever.
const MaxNames = 100

// name is one name of a revision. They are no part of the chain: a name comes
// and goes while the revision stays what it is.
type name struct {
	Name     string
	Revision uint64
}

type names []name

// of gives the names of a revision, in the order they were given.
func (all names) of(revision uint64) []string {
	var own []string
	for _, n := range all {
		if n.Revision == revision {
			own = append(own, n.Name)
		}
	}
	return own
}

// index finds a name, in any case; -1 if there is none.
func (all names) index(text string) int {
	return slices.IndexFunc(all, func(n name) bool { return strings.EqualFold(n.Name, text) })
}

// ErrNoName says that no revision has such a name.
var ErrNoName = errors.New("no revision has that name")

// NamedError refuses a name that another revision has.
type NamedError struct {
	Name     string
	Revision uint64
}

func (e *NamedError) Error() string {
	return fmt.Sprintf("revision %d has the name %q", e.Revision, e.Name)
}

// ParseRevisionName reads the name of a revision. It begins with a letter, so
// that no number is one.
func ParseRevisionName(text string) (string, error) {
	switch {
	case !regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,31}$`).MatchString(text):
		return "", ValueError("A name begins with a letter, holds letters, digits, dots, dashes and underscores,\nand is at most 32 characters long.")
	case slices.Contains([]string{"all", "list", "more", "running"}, strings.ToLower(text)):
		return "", refuse("%q is a word of the commands and cannot be a name.", text)
	}
	return text, nil
}

// NameRevision gives a revision a name, under which it is found and for which
// it is kept as long as it has it. It fails with a *NamedError, ErrNoRevision
// or a ValueError.
func (s *Store) NameRevision(text string, revision uint64) error {
	text, err := ParseRevisionName(text)
	if err != nil {
		return err
	}
	return s.editNames(func(tx *bbolt.Tx, all names) (names, error) {
		if i := all.index(text); i >= 0 {
			return nil, &NamedError{all[i].Name, all[i].Revision}
		}
		if len(all) >= MaxNames {
			return nil, refuse("There is a maximum of %d names.", MaxNames)
		}
		if _, _, err := readRevision(tx, revision); err != nil {
			return nil, err
		}
		return append(all, name{text, revision}), nil
	})
}

// UnnameRevision takes a name away, and gives the revision that had it. It
// fails with ErrNoName.
func (s *Store) UnnameRevision(text string) (revision uint64, err error) {
	err = s.editNames(func(_ *bbolt.Tx, all names) (names, error) {
		i := all.index(text)
		if i < 0 {
			return nil, ErrNoName
		}
		revision = all[i].Revision
		return slices.Delete(all, i, i+1), nil
	})
	return revision, err
}

// NamedRevision finds a revision by its name, in any case. It fails with
// ErrNoName.
func (s *Store) NamedRevision(text string) (revision uint64, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		all, err := readNames(tx)
		if err != nil {
			return err
		}
		i := all.index(text)
		if i < 0 {
			return ErrNoName
		}
		revision = all[i].Revision
		return nil
	})
	return revision, err
}

// editNames changes the names in one transaction.
func (s *Store) editNames(edit func(*bbolt.Tx, names) (names, error)) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		all, err := readNames(tx)
		if err != nil {
			return err
		}
		if all, err = edit(tx, all); err != nil {
			return err
		}
		value, err := json.Marshal(all)
		if err != nil {
			return fmt.Errorf("encoding names: %w", err)
		}
		return tx.Bucket(aboutBucket).Put(namesKey, value)
	})
}

func readNames(tx *bbolt.Tx) (names, error) {
	var all names
	value := tx.Bucket(aboutBucket).Get(namesKey)
	if value == nil {
		return nil, nil
	}
	if err := json.Unmarshal(value, &all); err != nil {
		return nil, fmt.Errorf("decoding the names of revisions: %w", err)
	}
	return all, nil
}
