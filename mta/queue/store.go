package queue

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"esa/mta/envelope"
)

// The directory of the queue:
//
//	version        the format, a line of text
//	00 … 3f        messages MID.msg and, where there are, journals MID.journal;
//	               while the gateway runs also files that wait for the next
//	               message, which say "esa-spare" (spare.go)
//	damaged        what was set aside, for a person to look at
//
// Sub-directories are made and synced at start and never removed: no message
// can meet one that is just going. 256 consecutive messages share one, so a
// sync finds few directory blocks changed.
const (
	shards        = 64
	shardRun      = 256
	messageSuffix = ".msg"
	journalSuffix = ".journal"
	versionFile   = "version"
	damagedDir    = "damaged"
)

// minInodes is how many free inodes Begin asks for, beside the bytes: a
// message may take two, and bounces must still fit.
const minInodes = 128

type storeOptions struct {
	dir  string
	disk disk
	diag *slog.Logger
}

// store keeps messages in files. It knows nothing of schedules.
type store struct {
	dir     string
	dirs    [shards]string
	disk    disk
	diag    *slog.Logger
	all     *syncer // of the file system; nil: it cannot be synced here
	names   []*syncer
	buffers sync.Pool
	each    atomic.Bool // each file is synced by itself, where there is a choice

	fileSyncs atomic.Uint64
	seen      atomic.Pointer[glance] // of the free space
	spares    spares

	found   []envelope.MID // at start, ascending
	orphans []envelope.MID // journals without a message
}

// openStore makes the directories and lists what is there. It refuses a
// directory of a newer version.
func openStore(o storeOptions) (*store, error) {
	s := &store{dir: o.dir, disk: o.disk, diag: o.diag}
	for i := range s.dirs {
		s.dirs[i] = filepath.Join(o.dir, fmt.Sprintf("%02x", i))
	}
	s.buffers.New = func() any { b := make([]byte, 0, draftBuffer); return &b }
	if err := s.prepare(); err != nil {
		return nil, err
	}
	s.all = &syncer{open: func() (syncHandle, error) { return s.disk.openSystem(s.dir) }}
	h, err := s.disk.openSystem(s.dir)
	switch {
	case err == nil:
		s.all.handle = h
	case errors.Is(err, errUnsupported):
		s.diag.Info("queue syncs each file", "why", err)
		s.all = nil
	default:
		return nil, err
	}
	for i := range shards {
		s.names = append(s.names, &syncer{open: func() (syncHandle, error) { return s.disk.openDir(s.shard(i)) }})
	}
	if err := s.scan(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// prepare makes the directories and checks the version.
//
// After a crash here: directories may be missing; the next start makes them.
// No message can be in one that was not synced into its parent.
func (s *store) prepare() error {
	if err := os.MkdirAll(filepath.Dir(s.dir), dirMode); err != nil {
		return err
	}
	if err := s.disk.mkdir(s.dir); err != nil {
		return err
	}
	if err := s.checkVersion(); err != nil {
		return err
	}
	for i := range shards {
		if err := s.disk.mkdir(s.shard(i)); err != nil {
			return noSpace(err)
		}
	}
	if err := s.disk.mkdir(filepath.Join(s.dir, damagedDir)); err != nil {
		return noSpace(err)
	}
	return errors.Join(syncDir(s.disk, s.dir), syncDir(s.disk, filepath.Dir(s.dir)))
}

// checkVersion reads the version, or writes it where there is none.
func (s *store) checkVersion() error {
	path := filepath.Join(s.dir, versionFile)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(text) == 0 { // a new queue, or a crash right after its first start
		return noSpace(s.disk.appendTo(path, fmt.Appendf(nil, "esa-queue %d\n", version)))
	}
	word, number, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	v, err := strconv.Atoi(number)
	switch {
	case word != "esa-queue" || err != nil || v < 1:
		return fmt.Errorf("%s: not the directory of a queue", path)
	case v > version:
		return fmt.Errorf("%s: version %d: %w", path, v, ErrNewer)
	}
	return nil
}

// scan lists the files.
func (s *store) scan() error {
	journals := map[envelope.MID]bool{}
	for i := range shards {
		names, err := s.disk.list(s.shard(i))
		if err != nil {
			return err
		}
		for _, name := range names {
			base, isMessage := strings.CutSuffix(name, messageSuffix)
			base, isJournal := strings.CutSuffix(base, journalSuffix)
			id, err := strconv.ParseUint(base, 10, 64)
			mid := envelope.MID(id)
			switch {
			case err != nil || isMessage == isJournal || shardOf(mid) != i:
				s.diag.Warn("queue: not a file of ours", "file", filepath.Join(s.shard(i), name))
			case isMessage:
				s.found = append(s.found, mid)
			default:
				journals[mid] = true
			}
		}
	}
	slices.Sort(s.found)
	for mid := range journals {
		if _, ok := slices.BinarySearch(s.found, mid); !ok {
			s.orphans = append(s.orphans, mid)
		}
	}
	slices.SortFunc(s.orphans, cmp.Compare)
	return nil
}

// highest is the largest id that was found.
func (s *store) highest() envelope.MID {
	var top envelope.MID
	if n := len(s.found); n > 0 {
		top = s.found[n-1]
	}
	if n := len(s.orphans); n > 0 {
		top = max(top, s.orphans[n-1])
	}
	return top
}

func shardOf(m envelope.MID) int { return int(uint64(m) / shardRun % shards) }

func (s *store) shard(i int) string { return s.dirs[i] }

func (s *store) path(m envelope.MID, suffix string) string {
	return s.shard(shardOf(m)) + string(filepath.Separator) + strconv.FormatUint(uint64(m), 10) + suffix
}

// glance is what was free at a time.
type glance struct {
	space
	at time.Time
}

// A glance at the free space holds so long where so much more was free than is
// asked for: no disk that we know is filled as fast.
const (
	glanceHolds  = 50 * time.Millisecond
	plentyBytes  = 1 << 30
	plentyInodes = 10_000
)

// free gives what is free, or was a moment ago where that is plenty.
func (s *store) free(needed int64) (space, error) {
	if g := s.seen.Load(); g != nil && time.Since(g.at) < glanceHolds &&
		g.bytes > needed+plentyBytes && (g.inodes < 0 || g.inodes > plentyInodes) {
		return g.space, nil
	}
	now := time.Now()
	left, err := s.disk.free(s.dir)
	if err == nil {
		s.seen.Store(&glance{left, now})
	}
	return left, err
}

// reserve fails unless 1.5 times the largest message is free (R8).
func (s *store) reserve(largest int64) error {
	left, err := s.free(largest + largest/2)
	if err != nil {
		return err
	}
	if kept := largest + largest/2; left.bytes < kept {
		return fmt.Errorf("%w: %d KB are free, %d KB are kept free for the largest message that a listener takes", ErrNoSpace, left.bytes/1024, kept/1024)
	}
	if left.inodes >= 0 && left.inodes < minInodes {
		return fmt.Errorf("%w: %d files can still be made, %d are kept in reserve", ErrNoSpace, left.inodes, minInodes)
	}
	return nil
}

// begin starts a message. Nothing is written yet.
func (s *store) begin(m envelope.Message) *draft {
	return &draft{s: s, begun: m, path: s.path(m.MID, messageSuffix), buf: s.buffers.Get().(*[]byte)}
}

func (s *store) putBuffer(b *[]byte) {
	*b = (*b)[:0]
	s.buffers.Put(b)
}

// durability gives what a message that is about to be written will wait for,
// and its epoch: the syncer of all, or that of its directory, beside the sync
// of its own file.
func (s *store) durability(m envelope.MID) (by *syncer, epoch uint64) {
	by = s.all
	if by == nil || s.each.Load() {
		by = s.names[shardOf(m)]
	}
	return by, by.now()
}

// settle returns when a written file and its name are on stable storage. The
// file stays open.
func (s *store) settle(d *draft) error {
	var err error
	if d.sync != s.all {
		s.fileSyncs.Add(1)
		err = d.file.Sync()
	}
	if err == nil {
		err = d.sync.wait(d.epoch)
	}
	if err != nil {
		return fmt.Errorf("syncing message: %w", noSpace(err))
	}
	return nil
}

// letGo closes the file of a message. What is in it is on stable storage
// already: nothing depends on the result.
func (s *store) letGo(file diskFile, m envelope.MID) {
	if err := file.Close(); err != nil {
		s.diag.Error("queue: closing message file", "mid", m, "err", err)
	}
}

// read gives a message and the state of its recipients. Errors wrap
// errDamaged, errDraft, ErrNewer, or are those of the file system.
func (s *store) read(m envelope.MID) (*record, error) {
	defer s.spares.reading(m)()
	f, err := s.disk.open(s.path(m, messageSuffix))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h, msg, err := readHead(f)
	if errors.Is(err, errDraft) && s.tried(m) {
		err = fmt.Errorf("%w: a message that was tried is empty", errDamaged)
	}
	if err != nil {
		return nil, err
	}
	if msg.MID != m {
		return nil, fmt.Errorf("%w: envelope of MID %d", errDamaged, msg.MID)
	}
	rec := newRecord(msg)
	rec.body = h.body
	if h.attempted {
		rec.apply(entry{Event: eventAttempt, RIDs: rec.rids()})
	}
	return rec, s.replay(m, rec)
}

// tried reports whether there is a journal: only a message that was committed
// has one.
func (s *store) tried(m envelope.MID) bool {
	j, err := s.disk.open(s.path(m, journalSuffix))
	if err != nil {
		return false
	}
	_ = j.Close()
	return true
}

// replay applies the journal, if there is one.
func (s *store) replay(m envelope.MID, rec *record) error {
	j, err := s.disk.open(s.path(m, journalSuffix))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer j.Close()
	size, err := j.size()
	if err == nil {
		rec.damaged, err = readJournal(io.NewSectionReader(j, 0, size), rec.apply)
	}
	return err
}

// bodyReader reads the text of a message.
type bodyReader struct {
	*io.SectionReader
	file diskReader
	done func()
}

func (r bodyReader) Close() error {
	defer r.done()
	return r.file.Close()
}

// openBody reads the text of a message whose file is open and stays so.
func openBody(file diskFile, body span) io.ReadCloser {
	return io.NopCloser(io.NewSectionReader(file, body.offset, body.length))
}

// body opens the text of a message.
func (s *store) body(m envelope.MID) (_ io.ReadCloser, err error) {
	done := s.spares.reading(m)
	defer func() {
		if err != nil {
			done()
		}
	}()
	f, err := s.disk.open(s.path(m, messageSuffix))
	if err != nil {
		return nil, err
	}
	line := make([]byte, headerSize)
	_, err = f.ReadAt(line, 0)
	if err == nil {
		var h header
		if h, err = decodeHeader(line); err == nil {
			return bodyReader{io.NewSectionReader(f, h.body.offset, h.body.length), f, done}, nil
		}
	}
	return nil, errors.Join(err, f.Close())
}

// check compares the text of a message with its checksum. The error wraps
// errDamaged if it is not what was written.
func (s *store) check(m envelope.MID, body span) error {
	r, err := s.body(m)
	if err != nil {
		return err
	}
	defer r.Close()
	sum := crc32.New(castagnoli())
	n, err := io.Copy(sum, r)
	if err != nil {
		return err
	}
	if n != body.length || sum.Sum32() != body.crc {
		return fmt.Errorf("%w: body checksum", errDamaged)
	}
	return nil
}

// mark writes into the file of a message that its first attempt begins.
//
// After a crash here: the mark is there or not.
func (s *store) mark(m envelope.MID) error {
	return noSpace(s.disk.writeAt(s.path(m, messageSuffix), attemptMark, markOffset))
}

// markOpen is mark for a file that is open. Like mark it fails with ErrNotExist
// if somebody took the file away.
func markOpen(file diskFile) error {
	named, err := file.named()
	if err == nil && !named {
		err = os.ErrNotExist
	}
	if err == nil {
		_, err = file.WriteAt([]byte{attemptMark}, markOffset)
	}
	return noSpace(err)
}

// note appends to the journal of a message.
//
// After a crash here: the journal has the lines whole, or a tail that is
// skipped.
func (s *store) note(m envelope.MID, entries []entry) error {
	text, err := encodeEntries(entries)
	if err != nil {
		return err
	}
	return noSpace(s.disk.appendTo(s.path(m, journalSuffix), text))
}

// done removes a message, the journal last, if there may be one.
//
// After a crash in between: the journal is alone and is removed at the next
// start. The other way round a message would be left that forgot whom it was
// delivered to.
func (s *store) done(m envelope.MID, journal bool) error {
	if err := s.disk.remove(s.path(m, messageSuffix)); err != nil || !journal {
		return err
	}
	return s.disk.remove(s.path(m, journalSuffix))
}

// forget removes a journal that is alone, unless its message is aside: then
// it goes there too.
func (s *store) forget(m envelope.MID) error {
	f, err := s.disk.open(filepath.Join(s.dir, damagedDir, filepath.Base(s.path(m, messageSuffix))))
	if err == nil {
		return errors.Join(f.Close(), s.aside(m))
	}
	return s.disk.remove(s.path(m, journalSuffix))
}

// aside moves a message and its journal where a person finds them.
//
// After a crash in between: the message is aside, and its journal follows at
// the next start.
func (s *store) aside(m envelope.MID) error {
	for _, suffix := range []string{messageSuffix, journalSuffix} {
		from := s.path(m, suffix)
		err := s.disk.rename(from, filepath.Join(s.dir, damagedDir, filepath.Base(from)))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// close ends the use of the store.
func (s *store) close() error {
	var errs []error
	for one, ok := s.spares.pop(); ok; one, ok = s.spares.pop() {
		errs = append(errs, s.drop(one))
	}
	if s.all != nil {
		errs = append(errs, s.all.close())
	}
	for _, n := range s.names {
		errs = append(errs, n.close())
	}
	return errors.Join(errs...)
}

// syncs is how many syncs there were, of whatever kind.
func (s *store) syncs() uint64 {
	n := s.fileSyncs.Load()
	if s.all != nil {
		n += s.all.count()
	}
	for _, d := range s.names {
		n += d.count()
	}
	return n
}
