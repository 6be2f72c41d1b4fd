package alert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"esa/mta/durable"
)

// The file is one line with the version and the checksum of the rest, then
// JSON that an operator can read.
const (
	version    = 1
	headerForm = "esa alerts %d crc32 %08x\n"
	maxFile    = 64 << 20
)

// state is what the file holds: all that must survive a restart.
type state struct {
	LastID uint64
	Stored []Stored        // the oldest first
	Mails  []mail          // in the order they were raised
	Left   []time.Time     // when mails left within the last hour
	Waits  map[string]wait // by waitKey
	Told   map[string]int  // of certificates, by Certificate.key: see expiry.go
}

// Stored is an alert that was raised.
type Stored struct {
	At       time.Time
	Class    Class
	Severity Severity
	Text     string // in lines; printable ASCII
}

func (s *state) keep(a Alert, now time.Time) {
	s.Stored = append(s.Stored, Stored{At: now, Class: a.Class, Severity: a.Severity, Text: a.text()})
}

// trim forgets the oldest alerts beyond most, and reports whether there were
// any.
func (s *state) trim(most int) bool {
	over := len(s.Stored) - most
	if over <= 0 {
		return false
	}
	s.Stored = slices.Delete(s.Stored, 0, over)
	return true
}

var errDamaged = errors.New("is damaged")

// aside is what becomes of a damaged file.
func aside(path string) string { return path + ".damaged" }

// load reads the file. A damaged one is set aside, and damage says so.
func load(path string) (s state, damage, err error) {
	s, err = read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return state{}, nil, nil
	case errors.Is(err, errDamaged):
		if err := os.Rename(path, aside(path)); err != nil {
			return state{}, nil, fmt.Errorf("setting aside damaged alerts: %w", err)
		}
		return state{}, fmt.Errorf("%w: kept as %s", err, aside(path)), nil
	}
	return s, nil, err
}

// ReadStored gives the alerts that a file holds, the newest first: what a
// gateway that does not run has left. Without a file there are none.
func ReadStored(path string) ([]Stored, error) {
	s, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return newestFirst(s.Stored), err
}

func read(path string) (state, error) {
	var s state
	f, err := os.Open(path)
	if err != nil {
		return s, fmt.Errorf("reading alerts: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return s, fmt.Errorf("reading alerts: %w", err)
	}
	head, body, _ := bytes.Cut(data, []byte("\n"))
	var v int
	var sum uint32
	if _, err := fmt.Sscanf(string(head)+"\n", headerForm, &v, &sum); err != nil || v != version {
		return s, fmt.Errorf("%s %w: not the header of this version", path, errDamaged)
	}
	if crc32.ChecksumIEEE(body) != sum {
		return s, fmt.Errorf("%s %w: the checksum is wrong", path, errDamaged)
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return state{}, fmt.Errorf("%s %w: %w", path, errDamaged, err)
	}
	return s, nil
}

// encode gives s as the file has it, without its first line.
func (s *state) encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "\t")
	err := e.Encode(s)
	return b.Bytes(), err
}

// write puts an encoded state in the place of the file. After a crash at any
// line the file is the one before or this one, whole.
func write(path string, body []byte) error {
	data := append(fmt.Appendf(nil, headerForm, version, crc32.ChecksumIEEE(body)), body...)
	return durable.Replace(path, data)
}
