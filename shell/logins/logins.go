// Package logins keeps who was logged in, from where and how long, in a file
// that outlives the process.
//
// The file holds one JSON object a line: a login, the logout that has its
// number, or the start of the process, which ends what the one before it left
// open. It is read once, when it is opened, and only appended to after that
// until it has grown to several times what is kept: then it is written anew.
//
// After a crash at any line the file has every record before it; a last line
// that was cut off is dropped at the next start. Nothing waits for the disk: a
// power cut may lose the records of the last seconds.
package logins

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Kept is how many logins are remembered; the oldest go first.
const Kept = 5000

// maxFile bounds what is read; a file of Kept records is far below.
const maxFile = 32 << 20

// maxText bounds the texts of one record, in bytes.
const maxText = 256

// Login is one session.
type Login struct {
	User, Source string
	Method       string    // "cli", "exec", "batch"
	In           time.Time // UTC
	Out          time.Time // zero: still logged in, or unknown
	Unknown      bool      // the process ended before the session did
}

// record is one line: a login has In, a logout Out, a start Start.
type record struct {
	ID     uint64     `json:"id,omitempty"`
	User   string     `json:"user,omitempty"`
	Source string     `json:"source,omitempty"`
	Method string     `json:"method,omitempty"`
	In     *time.Time `json:"in,omitempty"`
	Out    *time.Time `json:"out,omitempty"`
	Start  *time.Time `json:"start,omitempty"`
}

// Log is an open file of logins. It is safe for concurrent use; one process
// has the file open.
type Log struct {
	clock func() time.Time
	path  string
	keep  int

	mu     sync.Mutex
	file   *os.File
	lines  int // in the file
	nextID uint64
	all    []entry // the oldest first
}

type entry struct {
	id uint64
	Login
}

// Open opens the file at path, or makes it.
func Open(path string, clock func() time.Time) (*Log, error) { return open(path, clock, Kept) }

func open(path string, clock func() time.Time, keep int) (*Log, error) {
	l := &Log{clock: clock, path: path, keep: keep, nextID: 1}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the list of logins: %w", err)
	}
	l.file = file
	data, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reading the list of logins: %w", err), file.Close())
	}
	whole := bytes.LastIndexByte(data, '\n') + 1
	for line := range bytes.Lines(data[:whole]) {
		var r record
		if json.Unmarshal(line, &r) == nil { // a damaged line is one record less
			l.take(r)
		}
		l.lines++
	}
	if err := file.Truncate(int64(whole)); err != nil {
		return nil, errors.Join(fmt.Errorf("mending the list of logins: %w", err), file.Close())
	}
	now := l.now()
	if err := l.append(record{Start: &now}); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return l, nil
}

// take makes a record part of what is remembered.
func (l *Log) take(r record) {
	switch {
	case r.Start != nil:
		for i := range l.all {
			l.all[i].Unknown = l.all[i].Unknown || l.all[i].Out.IsZero()
		}
	case r.In != nil:
		l.all = append(l.all, entry{r.ID, Login{User: r.User, Source: r.Source, Method: r.Method, In: *r.In}})
		if extra := len(l.all) - l.keep; extra > 0 {
			l.all = append([]entry(nil), l.all[extra:]...)
		}
	case r.Out != nil:
		for i := len(l.all) - 1; i >= 0; i-- {
			if l.all[i].id == r.ID {
				l.all[i].Out = *r.Out
				break
			}
		}
	}
	l.nextID = max(l.nextID, r.ID+1)
}

// append writes a record and takes it. The caller holds mu, or is Open.
func (l *Log) append(r record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("writing the list of logins: %w", err)
	}
	l.take(r)
	if _, err := l.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("writing the list of logins: %w", err)
	}
	if l.lines++; l.lines > 4*l.keep {
		return l.rewrite()
	}
	return nil
}

// rewrite puts a file of what is remembered in the place of the one there is.
func (l *Log) rewrite() error {
	var b bytes.Buffer
	lines := 0
	for _, e := range l.all {
		records := []record{{ID: e.id, User: e.User, Source: e.Source, Method: e.Method, In: &e.In}}
		if !e.Out.IsZero() {
			records = append(records, record{ID: e.id, Out: &e.Out})
		}
		for _, r := range records {
			line, err := json.Marshal(r)
			if err != nil {
				return fmt.Errorf("shortening the list of logins: %w", err)
			}
			b.Write(append(line, '\n'))
			lines++
		}
	}
	unfinished := l.path + ".new"
	file, err := os.OpenFile(unfinished, os.O_RDWR|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("shortening the list of logins: %w", err)
	}
	_, err = file.Write(b.Bytes())
	if err = errors.Join(err, file.Sync()); err == nil {
		err = os.Rename(unfinished, l.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("shortening the list of logins: %w", err), file.Close(), os.Remove(unfinished))
	}
	old := l.file
	l.file, l.lines = file, lines
	return old.Close()
}

func (l *Log) now() time.Time { return l.clock().UTC().Round(0) }

// Begin notes a login. Its end is noted by the function that it gives, once.
// An error says that the file could not be written; the login is remembered as
// long as this process runs, and end is there all the same.
func (l *Log) Begin(user, source, method string) (end func() error, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, now := l.nextID, l.now()
	err = l.append(record{ID: id, User: cut(user), Source: cut(source), Method: cut(method), In: &now})
	return sync.OnceValue(func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		now := l.now()
		return l.append(record{ID: id, Out: &now})
	}), err
}

func cut(text string) string { return text[:min(len(text), maxText)] }

// List gives the logins, the newest first.
func (l *Log) List() []Login {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]Login, 0, len(l.all))
	for i := len(l.all) - 1; i >= 0; i-- {
		list = append(list, l.all[i].Login)
	}
	return list
}

// Close closes the file. Logins that are open then have an unknown end.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("closing the list of logins: %w", err)
	}
	return nil
}
