package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
)

// Reason is why a database was not opened.
type Reason string

const (
	Unreadable Reason = "cannot be read or written"
	NotAFile   Reason = "is not a file"
	Empty      Reason = "is empty"
	Foreign    Reason = "is not a configuration database"
	Damaged    Reason = "is damaged"
	Newer      Reason = "was written by a newer version of this program"
	InUse      Reason = "is in use by another process"
	Missing    Reason = "is missing" // with a copy of its configuration beside it
)

// OpenError says why a database was not opened. The file is as it was found:
// what cannot be understood is never replaced by an empty configuration.
type OpenError struct {
	Path   string
	Reason Reason
	Err    error // the detail, may be nil
}

func (e *OpenError) Error() string {
	text := fmt.Sprintf("%s %s", e.Path, e.Reason)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if !e.Reason.restorable() {
		return text
	}
	if e.Reason != Missing {
		text += "; it was left as it is"
	}
	kept, err := ReadCopy(e.Path)
	if err != nil {
		return text + ": put back a good copy, or move it away to start with the factory configuration"
	}
	return text + fmt.Sprintf(": 'esa --data %s restore' starts again with revision %d, which %s committed on %s; to start with the factory configuration, move %s away too",
		filepath.Dir(e.Path), kept.Revision, kept.User, kept.Time.Local().Format(time.ANSIC), e.Path+copySuffix)
}

func (e *OpenError) Unwrap() error { return e.Err }

// schemaVersion is the layout this program reads and writes. A change to the
// fields of Config is a new version, and needs a step that brings up the old.
const schemaVersion = 1

// The buckets and the keys of the first one.
var (
	aboutBucket    = []byte("about")
	revisionBucket = []byte("revisions") // number: Revision as JSON
	configBucket   = []byte("configs")   // number: Config as encode gives it
	pendingBucket  = []byte("pending")   // id: sum and pendingRecord

	programKey = []byte("program")
	schemaKey  = []byte("schema")
	runningKey = []byte("running") // number and hash of the running revision
	namesKey   = []byte("names")   // names of revisions as JSON
	confirmKey = []byte("confirm") // Confirmation as JSON, while the running revision waits for one
)

const programName = "esa configuration"

// create makes the database with the factory configuration as revision 1. It
// is whole and synced before it gets its name: a crash at any line leaves no
// file of that name, and at most one that the next start removes.
func create(path string, first Revision, config *Config) error {
	unfinished := path + ".new"
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("creating database: %w", err)
	}
	if err := writeFirst(unfinished, first, config); err != nil {
		return fmt.Errorf("creating database: %w", errors.Join(err, os.Remove(unfinished)))
	}
	if err := os.Rename(unfinished, path); err != nil {
		return fmt.Errorf("creating database: %w", err)
	}
	if err := syncNames(filepath.Dir(path)); err != nil {
		return fmt.Errorf("creating database: %w", err)
	}
	return nil
}

// writeFirst writes a database of one revision.
func writeFirst(path string, first Revision, config *Config) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{aboutBucket, revisionBucket, configBucket, pendingBucket} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		about := tx.Bucket(aboutBucket)
		if err := about.Put(programKey, []byte(programName)); err != nil {
			return err
		}
		if err := about.Put(schemaKey, number(schemaVersion)); err != nil {
			return err
		}
		_, err := putRevision(tx, first, config)
		return err
	})
	return errors.Join(err, db.Sync(), db.Close())
}

// openDatabase opens a database that is there, whole and ours, or says why not
// without having written to it.
func openDatabase(path string) (db *bbolt.DB, err error) {
	var file *os.File
	fail := func(reason Reason, cause error) (*bbolt.DB, error) {
		if db != nil {
			cause = errors.Join(cause, db.Close())
		}
		if file != nil {
			_ = file.Close() // after db.Close it is closed already
		}
		var known *OpenError
		if errors.As(cause, &known) {
			return nil, known
		}
		return nil, &OpenError{Path: path, Reason: reason, Err: cause}
	}
	// bbolt panics on what it does not expect; the check before it leaves
	// little of that, and what is left is damage too.
	defer func() {
		if r := recover(); r != nil {
			db, err = fail(Damaged, fmt.Errorf("%v", r))
		}
	}()
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: time.Second,
		OpenFile: func(string, int, os.FileMode) (*os.File, error) {
			var err error
			file, err = openWhole(path)
			return file, err
		},
	})
	if err != nil {
		return fail(Damaged, err)
	}
	if err := db.View(func(tx *bbolt.Tx) error { return checkContents(tx, path) }); err != nil {
		return fail(Damaged, err)
	}
	return db, nil
}

// openWhole opens the file, locks it against other processes and only then
// looks at it, so that what was checked is what is used.
func openWhole(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, &OpenError{path, Unreadable, err}
	}
	if !info.Mode().IsRegular() {
		return nil, &OpenError{path, NotAFile, nil}
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, &OpenError{path, Unreadable, err}
	}
	if err := lockAndCheck(f, path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func lockAndCheck(f *os.File, path string) error {
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return &OpenError{path, InUse, err}
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		return &OpenError{path, Unreadable, err}
	case info.Size() == 0:
		return &OpenError{path, Empty, nil}
	}
	if err := checkFile(f, info.Size()); errors.Is(err, errNotBolt) {
		return &OpenError{path, Foreign, nil}
	} else if err != nil {
		return &OpenError{path, Damaged, err}
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := f.Chmod(0o600); err != nil {
			return &OpenError{path, Unreadable, err}
		}
	}
	return nil
}

// checkContents holds a database to what create made: ours, of this version,
// whole. The configurations of older revisions are checked when they are read.
func checkContents(tx *bbolt.Tx, path string) error {
	about := tx.Bucket(aboutBucket)
	if about == nil || string(about.Get(programKey)) != programName {
		return &OpenError{path, Foreign, nil}
	}
	schema := about.Get(schemaKey)
	if len(schema) != 8 {
		return errors.New("the version is not there")
	}
	if v := binary.BigEndian.Uint64(schema); v > schemaVersion {
		return &OpenError{path, Newer, fmt.Errorf("version %d, this program reads %d", v, schemaVersion)}
	} else if v != schemaVersion {
		return fmt.Errorf("version %d is not known", v)
	}
	for _, name := range [][]byte{revisionBucket, configBucket, pendingBucket} {
		if tx.Bucket(name) == nil {
			return fmt.Errorf("%s are not there", name)
		}
	}
	var first error
	for err := range tx.Check() { // to its end: it waits for its reader
		if first == nil {
			first = err
		}
	}
	return first
}

// number is the form of numbers as keys and values: in order as bytes.
func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
