package counters

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"time"

	"esa/mta/durable"
)

// The file is one line with the version and the checksum of the rest, then
// JSON that an operator can read.
const (
	version    = 1
	headerForm = "esa counters %d crc32 %08x\n"
)

// saved is what the file holds.
type saved struct {
	IDs      [kinds]uint64 // ends: MID, ICID, DCID
	Counters map[string]value
	ResetAt  time.Time
}

type value struct {
	Lifetime, AtReset int64
}

func (s saved) lifetimes() (all [numNames]int64) {
	for name := range numNames {
		all[name] = s.Counters[name.String()].Lifetime
	}
	return all
}

func (s saved) resets() (all [numNames]int64) {
	for name := range numNames {
		all[name] = s.Counters[name.String()].AtReset
	}
	return all
}

// damaged is a file that does not check.
type damaged struct{ text string }

func (d damaged) Error() string { return d.text }

// previous is the save before the last, aside what of a damaged file is kept.
func previous(path string) string { return path + ".previous" }
func aside(path string) string    { return path + ".damaged" }

// load reads the file. If it is damaged, it is set aside, and the error says
// so while the result holds what the save before had, with ids beyond all
// that can have been given out since.
func load(path string) (saved, error) {
	s, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return saved{}, nil
	}
	if !errors.As(err, new(damaged)) {
		return s, err
	}
	if err := os.Rename(path, aside(path)); err != nil {
		return saved{}, fmt.Errorf("setting aside damaged counters: %w", err)
	}
	old, oldErr := read(previous(path))
	if oldErr != nil {
		return saved{}, damaged{fmt.Sprintf("%v: kept as %s, counters and ids begin anew", err, aside(path))}
	}
	// A save sets its ends one block beyond the ids in use, and no id in use
	// is beyond the ends of the save before it.
	for i := range old.IDs {
		old.IDs[i] += block
	}
	return old, damaged{fmt.Sprintf("%v: kept as %s, counters are those of the save before", err, aside(path))}
}

func read(path string) (saved, error) {
	var s saved
	data, err := os.ReadFile(path)
	if err != nil {
		return s, fmt.Errorf("reading counters: %w", err)
	}
	head, body, _ := bytes.Cut(data, []byte("\n"))
	var v int
	var sum uint32
	if _, err := fmt.Sscanf(string(head)+"\n", headerForm, &v, &sum); err != nil {
		return s, damaged{path + " is damaged: no header"}
	}
	if v > version {
		return s, fmt.Errorf("%s was written by a newer version of esa (form %d, this one knows %d)", path, v, version)
	}
	if crc32.ChecksumIEEE(body) != sum {
		return s, damaged{path + " is damaged: the checksum is wrong"}
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return s, damaged{path + " is damaged: " + err.Error()}
	}
	return s, nil
}

// write puts s in the place of the file. After a crash at any line the file
// is the one before or this one, whole.
func (s saved) write(path string) error {
	body, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	data := append(fmt.Appendf(nil, headerForm, version, crc32.ChecksumIEEE(body)), body...)
	return durable.ReplaceKeeping(path, data, previous(path))
}
