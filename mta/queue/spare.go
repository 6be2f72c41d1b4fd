package queue

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"esa/mta/envelope"
)

// A file that has done its work is not removed but left to a later message: it
// keeps its name, its header says "esa-spare", and who needs a file gives it
// the new name and writes over what is in it. That saves the file system the
// making and unmaking of an inode and of its blocks, which would be the larger
// part of what a message costs the queue, and many times that on an ext4
// without a journal, where a new file passes over every inode that was freed
// lately.
//
// Nothing else changes. Who reads a message finds its file or none: one that is
// being read is not used again. What is written over says first that it is no message;
// the new name takes nobody's place; and the file is a message again only when
// its new header and checksums are there, synced as those of a new file are.
// After a crash a spare file is removed at the next start, whichever of the two
// names it has.

const maxSpareSize = 64 << 10 // larger files are removed

// spare is a file that waits for a message.
type spare struct {
	mid  envelope.MID // it had
	path string
	file diskFile
	size int64
}

// spares are those of a store; a stack, so that what is still in memory is used
// first.
type spares struct {
	mu      sync.Mutex
	all     []spare
	most    int  // that there may be
	refused bool // by the file system: there are none from now on
	readers map[envelope.MID]int
}

// push takes a file in, once it says that it is spare. It is false if there are
// enough.
func (p *spares) push(one spare) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refused || len(p.all) >= p.most {
		return false
	}
	if _, err := one.file.WriteAt(spareHeader(), 0); err != nil {
		return false
	}
	p.all = append(p.all, one)
	return true
}

// pop gives the last file that nobody reads.
func (p *spares) pop() (spare, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n := len(p.all) - 1; n >= 0; n-- {
		if one := p.all[n]; p.readers[one.mid] == 0 {
			p.all = slices.Delete(p.all, n, n+1)
			return one, true
		}
	}
	return spare{}, false
}

// reading notes that somebody is about to open the file of a message by its
// name. The function it gives notes that they have done with it.
func (p *spares) reading(m envelope.MID) (done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.readers == nil {
		p.readers = map[envelope.MID]int{}
	}
	p.readers[m]++
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.readers[m]--; p.readers[m] == 0 {
			delete(p.readers, m)
		}
	})
}

// refuse lets there be no more.
func (p *spares) refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = true
}

// retire takes over the open file of a message that is finished and has no
// journal. It is false if the message must be removed instead; size is that of
// the file, 0 if it is not known.
//
// After a crash here: the message is there or the file says that it is spare,
// as with a removal.
func (s *store) retire(m envelope.MID, file diskFile, size int64) bool {
	if size == 0 || size > maxSpareSize {
		return false
	}
	if named, err := file.named(); err != nil || !named {
		return false
	}
	return s.spares.push(spare{m, s.path(m, messageSuffix), file, size})
}

// reuse gives a spare file the name of a message, and at most this size. It is
// nil if there is none.
//
// After a crash here: the file says that it is spare, under either name.
func (s *store) reuse(path string, size int64) diskFile {
	one, ok := s.spares.pop()
	if !ok {
		return nil
	}
	err := s.disk.claim(one.path, path)
	if err == nil {
		if one.size > size {
			err = one.file.Truncate(size)
		}
		if err == nil {
			return one.file
		}
		one.path = path
	}
	// A new file will do, or say better what is wrong.
	s.diag.Warn("queue: a spare file is of no use", "file", one.path, "err", err)
	if errors.Is(err, errUnsupported) {
		s.spares.refuse()
	}
	if err := s.drop(one); err != nil {
		s.diag.Error("queue: removing a spare file", "err", err)
	}
	return nil
}

// drop removes a spare file.
func (s *store) drop(one spare) error {
	if err := s.disk.remove(one.path); err != nil {
		return fmt.Errorf("spare file: %w", err)
	}
	return one.file.Close()
}
