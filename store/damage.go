package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// checkFile reads a bbolt file page by page, as bytes, and refuses what bbolt
// would follow to its end: it maps the file into memory, where a page number
// beyond the end, an endless chain or a length out of bounds is no error but
// the end of the process, in a goroutine that nobody can recover.
//
// The steps: a whole meta page; the file as long as it says; every page
// reachable from the root, each once, in bounds and in order; the free list.
// What the values hold is another matter: each is checked by its own sum.
func checkFile(f io.ReaderAt, size int64) error {
	m, err := readMeta(f, size)
	if err != nil {
		return err
	}
	if pages := size / int64(m.pageSize); m.pages < 4 || m.pages > uint64(pages) {
		return fmt.Errorf("%d pages of %d bytes expected, %d bytes found", m.pages, m.pageSize, size)
	}
	w := pageWalk{file: f, meta: m, seen: map[uint64]bool{0: true, 1: true}}
	if err := w.tree(m.root, span{}, 0); err != nil {
		return err
	}
	return w.freelist()
}

// The layout of bbolt files, version 2; numbers are in the order of the
// machine.
const (
	boltMagic     = 0xED0CDAED
	boltVersion   = 2
	pageHeader    = 16 // id 8, flags 2, count 2, overflow 4
	elementSize   = 16
	metaSize      = 64
	metaSum       = metaSize - 8
	branchPage    = 0x01
	leafPage      = 0x02
	freelistPage  = 0x10
	bucketFlag    = 0x01
	bucketHeader  = 16 // root 8, sequence 8
	noFreelist    = ^uint64(0)
	maxTreeDepth  = 64
	maxBoltPage   = 64 << 10
	minBoltPage   = 1 << 10
	manyFreePages = 0xFFFF // the count is in the first number then
)

// errNotBolt says that no page of the file looks like a meta page.
var errNotBolt = errors.New("not a database file")

type metaPage struct {
	pageSize        uint32
	root            uint64
	free            uint64
	pages           uint64 // that are in use: the highest number and one
	transactions    uint64
	magicFoundAtAll bool
}

// readMeta gives the newer of the two meta pages that are whole.
func readMeta(f io.ReaderAt, size int64) (metaPage, error) {
	newest, found, magic := metaPage{}, false, false
	try := func(at int64) {
		var buf [metaSize]byte
		if _, err := f.ReadAt(buf[:], at+pageHeader); err != nil {
			return
		}
		m, ok := parseMeta(buf[:])
		magic = magic || m.magicFoundAtAll
		if ok && (!found || m.transactions > newest.transactions) {
			newest, found = m, true
		}
	}
	try(0)
	if found {
		try(int64(newest.pageSize))
	} else { // the first is damaged, so the size of a page is not known
		for at := int64(minBoltPage); at <= maxBoltPage && at < size; at *= 2 {
			try(at)
		}
	}
	switch {
	case found:
		return newest, nil
	case magic:
		return metaPage{}, errors.New("both meta pages are damaged")
	}
	return metaPage{}, errNotBolt
}

func parseMeta(b []byte) (metaPage, bool) {
	n := binary.NativeEndian
	m := metaPage{
		pageSize: n.Uint32(b[8:]), root: n.Uint64(b[16:]),
		free: n.Uint64(b[32:]), pages: n.Uint64(b[40:]), transactions: n.Uint64(b[48:]),
		magicFoundAtAll: n.Uint32(b) == boltMagic,
	}
	sum := fnv.New64a()
	sum.Write(b[:metaSum])
	whole := m.magicFoundAtAll && n.Uint32(b[4:]) == boltVersion && n.Uint64(b[metaSum:]) == sum.Sum64() &&
		m.pageSize >= minBoltPage && m.pageSize <= maxBoltPage && m.pageSize&(m.pageSize-1) == 0
	return m, whole
}

// span is the keys a page may hold: from low, below high; nil is no bound.
type span struct{ low, high []byte }

type pageWalk struct {
	file io.ReaderAt
	meta metaPage
	seen map[uint64]bool
}

type page struct {
	id    uint64
	flags uint16
	count int
	data  []byte // all of it, header and overflow included
}

// read gives a page and marks it seen; being led to one twice is damage.
func (w *pageWalk) read(id uint64) (page, error) {
	if id < 2 || id >= w.meta.pages {
		return page{}, fmt.Errorf("page %d is out of bounds", id)
	}
	var header [pageHeader]byte
	at := int64(id) * int64(w.meta.pageSize)
	if _, err := w.file.ReadAt(header[:], at); err != nil {
		return page{}, fmt.Errorf("reading page %d: %w", id, err)
	}
	n := binary.NativeEndian
	p := page{id: id, flags: n.Uint16(header[8:]), count: int(n.Uint16(header[10:]))}
	overflow := uint64(n.Uint32(header[12:]))
	if n.Uint64(header[:]) != id || id+overflow >= w.meta.pages {
		return page{}, fmt.Errorf("page %d is damaged", id)
	}
	for i := id; i <= id+overflow; i++ {
		if w.seen[i] {
			return page{}, fmt.Errorf("page %d is used twice", i)
		}
		w.seen[i] = true
	}
	p.data = make([]byte, (overflow+1)*uint64(w.meta.pageSize))
	if _, err := w.file.ReadAt(p.data, at); err != nil {
		return page{}, fmt.Errorf("reading page %d: %w", id, err)
	}
	return p, nil
}

// tree follows a page and all below it.
func (w *pageWalk) tree(id uint64, keys span, depth int) error {
	if depth > maxTreeDepth {
		return fmt.Errorf("page %d: the tree is too deep", id)
	}
	p, err := w.read(id)
	if err != nil {
		return err
	}
	switch p.flags {
	case leafPage:
		return w.leaf(p, keys, depth)
	case branchPage:
		return w.branch(p, keys, depth)
	}
	return fmt.Errorf("page %d is of no known kind", id)
}

func (w *pageWalk) branch(p page, keys span, depth int) error {
	n := binary.NativeEndian
	if p.count == 0 {
		return fmt.Errorf("page %d is empty", p.id)
	}
	children, starts := make([]uint64, p.count), make([][]byte, p.count)
	for i := range p.count {
		at := pageHeader + i*elementSize
		if at+elementSize > len(p.data) {
			return fmt.Errorf("page %d is damaged", p.id)
		}
		key, err := p.cut(at+int(n.Uint32(p.data[at:])), n.Uint32(p.data[at+4:]))
		if err != nil {
			return err
		}
		children[i], starts[i] = n.Uint64(p.data[at+8:]), key
	}
	for i, child := range children {
		within := span{starts[i], keys.high}
		if i+1 < p.count {
			within.high = starts[i+1]
		}
		if !keys.hold(starts[i]) || within.high != nil && bytes.Compare(within.low, within.high) >= 0 {
			return fmt.Errorf("page %d: keys out of order", p.id)
		}
		if err := w.tree(child, within, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *pageWalk) leaf(p page, keys span, depth int) error {
	n := binary.NativeEndian
	var last []byte
	for i := range p.count {
		at := pageHeader + i*elementSize
		if at+elementSize > len(p.data) {
			return fmt.Errorf("page %d is damaged", p.id)
		}
		flags, pos := n.Uint32(p.data[at:]), at+int(n.Uint32(p.data[at+4:]))
		key, err := p.cut(pos, n.Uint32(p.data[at+8:]))
		if err != nil {
			return err
		}
		value, err := p.cut(pos+len(key), n.Uint32(p.data[at+12:]))
		if err != nil {
			return err
		}
		if i > 0 && bytes.Compare(last, key) >= 0 || !keys.hold(key) {
			return fmt.Errorf("page %d: keys out of order", p.id)
		}
		last = key
		if flags&bucketFlag != 0 {
			if err := w.bucket(p.id, value, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

// bucket follows the value that stands for a bucket: the number of its root
// page, or 0 and the page itself.
func (w *pageWalk) bucket(id uint64, value []byte, depth int) error {
	if len(value) < bucketHeader {
		return fmt.Errorf("page %d: a bucket is cut short", id)
	}
	n := binary.NativeEndian
	if root := n.Uint64(value); root != 0 {
		return w.tree(root, span{}, depth+1)
	}
	inline := value[bucketHeader:]
	if len(inline) < pageHeader || n.Uint16(inline[8:]) != leafPage || depth > maxTreeDepth {
		return fmt.Errorf("page %d: a bucket is damaged", id)
	}
	return w.leaf(page{id: id, flags: leafPage, count: int(n.Uint16(inline[10:])), data: inline}, span{}, depth+1)
}

// freelist holds the list of free pages to those that nothing leads to.
func (w *pageWalk) freelist() error {
	if w.meta.free == noFreelist {
		return nil
	}
	p, err := w.read(w.meta.free)
	if err != nil {
		return err
	}
	if p.flags != freelistPage {
		return fmt.Errorf("page %d is not the list of free pages", p.id)
	}
	ids := p.data[pageHeader:]
	count := uint64(p.count)
	if count == manyFreePages {
		count, ids = binary.NativeEndian.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return fmt.Errorf("page %d: the list of free pages is cut short", p.id)
	}
	for i := range count {
		id := binary.NativeEndian.Uint64(ids[i*8:])
		if id >= w.meta.pages || w.seen[id] {
			return fmt.Errorf("page %d is free and used, or out of bounds", id)
		}
		w.seen[id] = true
	}
	return nil
}

// cut gives size bytes of the page from pos.
func (p page) cut(pos int, size uint32) ([]byte, error) {
	if pos < 0 || pos > len(p.data) || int64(size) > int64(len(p.data)-pos) {
		return nil, fmt.Errorf("page %d is damaged", p.id)
	}
	return p.data[pos : pos+int(size)], nil
}

func (s span) hold(key []byte) bool {
	return bytes.Compare(key, s.low) >= 0 && (s.high == nil || bytes.Compare(key, s.high) < 0)
}
