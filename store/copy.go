package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Beside the database lies a copy of the revision that runs: a text of one
// line that names the form and the sum of what follows, then JSON. It is
// written after every commit and read only when the database cannot be.

// copySuffix is what the name of the copy has more than that of the database.
const copySuffix = ".copy"

// copyForm begins the first line; the number is that of the schema.
const copyForm = "esa-configuration"

// Kept is the configuration that a copy holds.
type Kept struct {
	Revision uint64
	Time     time.Time // of its commit
	User     string    // who committed it
	Config   *Config   `json:"-"`
}

type keptRecord struct {
	Kept
	Config json.RawMessage
}

// KeepCopy writes the running configuration beside the database, unless the
// copy there is of this revision, or this revision waits to be confirmed. After
// a crash here the copy is the one before or this one; the database does not
// depend on it.
func (s *Store) KeepCopy() error {
	if _, waits := s.Awaiting(); waits {
		return nil
	}
	path := s.db.Path()
	config, number := s.Running()
	if kept, err := ReadCopy(path); err == nil && kept.Revision == number && kept.Config.Equal(config) {
		return nil
	}
	r, err := s.Revision(number)
	if err == nil {
		var data []byte
		if data, err = encodeCopy(Kept{Revision: number, Time: r.Time, User: r.User}, config); err == nil {
			err = replaceFile(path+copySuffix, data)
		}
	}
	if err != nil {
		return fmt.Errorf("keeping a copy of the configuration: %w", err)
	}
	return nil
}

func encodeCopy(k Kept, config *Config) ([]byte, error) {
	data, err := encode(config)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(keptRecord{k, data})
	if err != nil {
		return nil, err
	}
	return append(fmt.Appendf(nil, "%s %d %s\n", copyForm, schemaVersion, hashOf(text)), text...), nil
}

// replaceFile puts a whole file in the place of another, durably.
func replaceFile(path string, data []byte) error {
	unfinished := path + ".new"
	f, err := os.OpenFile(unfinished, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(unfinished, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(unfinished))
	}
	return syncNames(filepath.Dir(path))
}

func syncNames(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ReadCopy reads the copy beside the database at path. It fails with
// fs.ErrNotExist if there is none.
func ReadCopy(path string) (Kept, error) {
	f, err := os.Open(path + copySuffix)
	if err != nil {
		return Kept{}, err
	}
	defer f.Close()
	// Twice: JSON may be longer within JSON.
	data, err := io.ReadAll(io.LimitReader(f, 2*maxEncoded))
	if err != nil {
		return Kept{}, err
	}
	line, text, _ := bytes.Cut(data, []byte("\n"))
	if string(line) != fmt.Sprintf("%s %d %s", copyForm, schemaVersion, hashOf(text)) {
		return Kept{}, errors.New("the copy of the configuration is damaged, or of another version")
	}
	var r keptRecord
	if err := json.Unmarshal(text, &r); err != nil {
		return Kept{}, fmt.Errorf("reading the copy of the configuration: %w", err)
	}
	r.Kept.Config, err = decode(r.Config)
	return r.Kept, err
}

// Restore puts a new database in the place of one that cannot be opened, or is
// missing. It holds what the copy beside it has, as a revision of its own. What was there
// is moved aside, to the path that it gives. The caller holds the lock of the
// data directory.
//
// After a crash between the two: there is a copy and no database, which Open
// refuses; Restore can be called again.
func Restore(path string, now time.Time) (kept Kept, aside string, err error) {
	if kept, err = ReadCopy(path); err != nil {
		return kept, "", fmt.Errorf("restoring the configuration: %w", err)
	}
	if _, err := os.Lstat(path); err == nil {
		db, err := openDatabase(path)
		if err == nil {
			return kept, "", errors.Join(errors.New("restoring the configuration: the database is whole, there is nothing to restore"), db.Close())
		}
		var known *OpenError
		if !errors.As(err, &known) || !known.Reason.restorable() {
			return kept, "", fmt.Errorf("restoring the configuration: %w", err)
		}
		aside = path + now.UTC().Format(".damaged-20060102T150405")
		if err := os.Rename(path, aside); err != nil {
			return kept, "", fmt.Errorf("restoring the configuration: %w", err)
		}
	}
	first := Revision{
		Number: kept.Revision + 1, Time: now.UTC().Round(0), User: "system", Method: "restore",
		Comment: fmt.Sprintf("Restored from the copy of revision %d", kept.Revision),
	}
	return kept, aside, create(path, first, kept.Config)
}

// restorable reports whether a copy is of help.
func (r Reason) restorable() bool {
	switch r {
	case NotAFile, Empty, Foreign, Damaged, Missing:
		return true
	}
	return false
}

// copyThere reports whether anything stands in the copy's place.
func copyThere(path string) bool {
	_, err := os.Lstat(path + copySuffix)
	return !errors.Is(err, fs.ErrNotExist)
}
