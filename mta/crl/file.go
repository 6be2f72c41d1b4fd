package crl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"esa/mta/durable"
)

// A file is one line with the version and the checksum of the rest, one line of
// JSON with where the list came from, and then the list as it came.
const (
	version    = 1
	headerForm = "esa crl %d crc32 %08x\n"
	suffix     = ".crl"
	maxFile    = maxList + 16<<10
)

func (l *Lists) path(name string) string { return filepath.Join(l.o.Dir, name+suffix) }

// load makes a source, with the list that was saved of it if it still holds. A
// file that is damaged, or that came from another URL, is as none: the list is
// fetched.
func (l *Lists) load(from Source) *source {
	s := &source{Source: from}
	list, err := l.open(from)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		l.o.Diag.Warn("a saved revocation list is not used", "list", from.Name, "error", err)
	default:
		list.name = from.Name
		s.list, s.fetched = list, list.from.Fetched
		s.due = s.next()
	}
	return s
}

var errDamaged = errors.New("the file is damaged")

func (l *Lists) open(from Source) (*list, error) {
	f, err := os.Open(l.path(from.Name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, err
	}
	head, rest, _ := bytes.Cut(data, []byte("\n"))
	var v int
	var sum uint32
	if _, err := fmt.Sscanf(string(head)+"\n", headerForm, &v, &sum); err != nil || v != version || sum != crc32.ChecksumIEEE(rest) {
		return nil, errDamaged
	}
	meta, text, _ := bytes.Cut(rest, []byte("\n"))
	var origin validator
	if err := json.Unmarshal(meta, &origin); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if origin.URL != from.URL && origin.URL != from.Further {
		return nil, errors.New("it came from another URL")
	}
	list, err := read(text, l.known, l.o.Clock())
	if err == nil {
		list.from = origin
	}
	return list, err
}

// save puts a list in the place of the file. After a crash at any line the file
// is the one before or this one, whole.
func (l *Lists) save(name string, got fetched) error {
	meta, err := json.Marshal(got.list.from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(l.o.Dir, 0o700); err != nil {
		return err
	}
	meta = append(meta, '\n')
	sum := crc32.Update(crc32.ChecksumIEEE(meta), crc32.IEEETable, got.text)
	return durable.Replace(l.path(name), slices.Concat(fmt.Appendf(nil, headerForm, version, sum), meta, got.text))
}

// purge removes the files of sources that there are no more. The caller holds
// mu.
func (l *Lists) purge() {
	files, _ := os.ReadDir(l.o.Dir)
	for _, file := range files {
		name, ours := strings.CutSuffix(strings.TrimSuffix(file.Name(), durable.Unfinished), suffix)
		if !ours || slices.ContainsFunc(l.sources, func(s *source) bool { return s.Name == name }) {
			continue
		}
		if err := os.Remove(filepath.Join(l.o.Dir, file.Name())); err != nil {
			l.o.Diag.Warn("a revocation list is left over", "file", file.Name(), "error", err)
		}
	}
}
