package maillog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// again is how long a sink that failed rests before it tries again.
const again = time.Second

// endRoom is kept free in a file for its last line.
const endRoom = 64

// sink is one subscription and the file it writes. Log.mu guards it.
//
// What is true after a crash: the file left as current has whole lines, but
// perhaps for the last one after a power failure; open cuts that off and goes
// on with the file.
type sink struct {
	log *Log
	dir string
	sub Subscription

	f       *os.File // nil: could not be opened
	name    fileName // of f
	size    int64    // of f, whole lines
	header  int64    // size of f when it held a header and nothing else
	started bool     // a header of this process has been written

	why       error     // of the last failure; nil: all is well
	retry     time.Time // when to write again
	rollAfter time.Time // when to roll over again
	look      time.Time // when to see again whether the file is still there
	lost      int64     // lines since the last one written
}

// configure obeys a new or changed subscription.
func (s *sink) configure(sub Subscription, now time.Time) error {
	s.sub = sub
	var err error
	switch {
	case s.f == nil:
		err = s.open(now)
	case s.name.base != sub.FileName:
		err = s.roll(now)
	default:
		s.prune()
	}
	if err != nil {
		s.failed(err, now)
	}
	return err
}

// write appends one line. It never fails: what cannot be written is counted.
func (s *sink) write(text []byte, now time.Time) {
	if s.why != nil && now.Before(s.retry) {
		s.lost++
		return
	}
	if err := s.tryWrite(text, now); err != nil {
		s.failed(err, now)
		s.lost++
	}
}

func (s *sink) tryWrite(text []byte, now time.Time) error {
	if !now.Before(s.look) {
		s.look = now.Add(again)
		s.letGo()
	}
	if s.f == nil {
		if err := s.open(now); err != nil {
			return err
		}
	}
	full := s.size+int64(len(text))+endRoom > s.sub.MaxSize && s.size > s.header
	if (full || s.name.base != s.sub.FileName) && !now.Before(s.rollAfter) {
		// If there can be no new file, the old one is better than none.
		if err := s.roll(now); err != nil {
			s.rollAfter = now.Add(again)
			s.complain("beginning a new file", err)
		}
	}
	if s.lost > 0 {
		note := fmt.Sprintf("%d log lines were lost: %s", s.lost, line(s.why.Error()))
		if err := s.append(s.log.appendLine(nil, now, Critical, note)); err != nil {
			return err
		}
	}
	if s.why != nil {
		s.recovered()
	}
	return s.append(text)
}

// letGo closes a file that somebody took away, so that the next line begins a
// new one: what goes into a file without a name is read by nobody.
func (s *sink) letGo() {
	if s.f == nil {
		return
	}
	named, err := os.Stat(filepath.Join(s.dir, s.name.String()))
	if err == nil {
		own, failed := s.f.Stat()
		if failed != nil || os.SameFile(named, own) {
			return
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return
	}
	s.complain("the current file is gone, a new one begins", fs.ErrNotExist)
	_ = s.close()
}

// append writes whole lines or nothing: what a full disk took of a line is
// cut off again.
func (s *sink) append(text []byte) error {
	n, err := s.f.Write(text)
	if err == nil {
		s.size += int64(n)
		s.wake()
		return nil
	}
	if n > 0 && s.f.Truncate(s.size) != nil {
		// The next open repairs it.
		_ = s.close()
	}
	return err
}

// failed and recovered are the begin and the end of a time without log.
func (s *sink) failed(err error, now time.Time) {
	if s.why == nil {
		s.complain("writing", err)
	}
	s.why, s.retry = err, now.Add(again)
}

func (s *sink) recovered() {
	name, lost, diag := s.sub.Name, s.lost, s.log.o.Diag
	s.log.tellLater(func() { diag.Warn("mail log is written again", "log", name, "lost", lost) })
	s.why, s.lost = nil, 0
}

func (s *sink) complain(doing string, err error) {
	name, diag := s.sub.Name, s.log.o.Diag
	s.log.tellLater(func() { diag.Error("mail log: "+doing, "log", name, "error", err) })
}

// open goes on with the file that the last process left as current, or begins
// one.
func (s *sink) open(now time.Time) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	names, err := list(s.dir)
	if err != nil {
		return err
	}
	var left *fileName
	for i := range names {
		if names[i].status != current {
			continue
		}
		if i == len(names)-1 && names[i].base == s.sub.FileName {
			left = &names[i]
		} else if err := s.rename(names[i]); err != nil {
			return err
		}
	}
	if left == nil {
		err = s.begin(names, now)
	} else {
		err = s.resume(*left, now)
	}
	if err != nil {
		return err
	}
	s.relink()
	s.prune()
	return nil
}

// begin makes a new file with its header.
func (s *sink) begin(names []fileName, now time.Time) error {
	name := fileName{s.sub.FileName, nextStamp(names, now), current}
	path := filepath.Join(s.dir, name.String())
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	head := s.headerLines(now)
	if _, err := f.Write(head); err != nil {
		return errors.Join(err, f.Close(), os.Remove(path))
	}
	s.f, s.name, s.size, s.started = f, name, int64(len(head)), true
	s.header = s.size
	return nil
}

// resume goes on with a file, which says again who writes it.
func (s *sink) resume(name fileName, now time.Time) error {
	f, err := os.OpenFile(filepath.Join(s.dir, name.String()), os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	size, err := repair(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	s.f, s.name, s.size, s.header = f, name, size, 0
	if !s.started || size == 0 {
		if err := s.append(s.headerLines(now)); err != nil {
			return errors.Join(err, s.close())
		}
		s.started = true
	}
	return nil
}

// repair cuts off what follows the last line end and returns the size left.
func repair(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	end := info.Size()
	chunk := make([]byte, 4096)
	for end > 0 {
		from := max(0, end-int64(len(chunk)))
		n, err := f.ReadAt(chunk[:end-from], from)
		if err != nil && err != io.EOF {
			return 0, err
		}
		if i := bytes.LastIndexByte(chunk[:n], '\n'); i >= 0 {
			end = from + int64(i) + 1
			break
		}
		end = from
	}
	if end == info.Size() {
		return end, nil
	}
	return end, f.Truncate(end)
}

// headerLines are the three lines that tools look for (2.1). They stand in
// every file, whatever its level.
func (s *sink) headerLines(now time.Time) []byte {
	_, offset := now.Zone()
	b := s.log.appendLine(nil, now, Information, "Begin Logfile")
	b = s.log.appendLine(b, now, Information, fmt.Sprintf("Version: %s SN: %s", line(s.log.o.Version), line(s.log.o.Serial)))
	return s.log.appendLine(b, now, Information, fmt.Sprintf("Time offset from UTC: %d seconds", offset))
}

// roll begins a new file, then saves the old one: if there can be no new one,
// the old one goes on and the error says why.
func (s *sink) roll(now time.Time) error {
	s.letGo()
	if s.f == nil {
		return s.open(now)
	}
	names, err := list(s.dir)
	if err != nil {
		return err
	}
	old := *s
	if err := s.begin(names, now); err != nil {
		return err
	}
	old.save(now)
	s.relink()
	if old.name.base != s.name.base {
		s.ignoreMissing("removing a link", os.Remove(filepath.Join(s.dir, link(old.name.base))))
	}
	s.prune()
	s.wake()
	return nil
}

// save ends the current file.
func (s *sink) save(now time.Time) {
	if s.f == nil {
		return
	}
	if _, err := s.f.Write(s.log.appendLine(nil, now, Information, "End Logfile")); err != nil {
		s.complain("ending a file", errors.Join(err, s.f.Truncate(s.size)))
	}
	if err := s.rename(s.name); err != nil {
		s.complain("saving a file", err)
	}
	if err := s.close(); err != nil {
		s.complain("closing a file", err)
	}
}

func (s *sink) rename(n fileName) error {
	to := n
	to.status = saved
	return os.Rename(filepath.Join(s.dir, n.String()), filepath.Join(s.dir, to.String()))
}

// end is the end of the subscription.
func (s *sink) end(now time.Time) {
	s.save(now)
	s.ignoreMissing("removing a link", os.Remove(filepath.Join(s.dir, link(s.name.base))))
	s.wake()
}

func (s *sink) close() error {
	if s.f == nil {
		return nil
	}
	f := s.f
	s.f = nil
	return f.Close()
}

// relink lets the stable name point to the current file. Without it all works,
// but for tools that look for that name.
func (s *sink) relink() {
	stable := filepath.Join(s.dir, link(s.name.base))
	temp := stable + ".new"
	s.ignoreMissing("removing a link", os.Remove(temp))
	err := os.Symlink(s.name.String(), temp)
	if err == nil {
		err = os.Rename(temp, stable)
	}
	if err != nil {
		s.complain("linking the current file", err)
	}
}

// prune removes the oldest files beyond the limit, never the current one.
func (s *sink) prune() {
	names, err := list(s.dir)
	if err != nil {
		s.complain("listing files", err)
		return
	}
	for i := 0; i < len(names)-s.sub.MaxFiles; i++ {
		if names[i] != s.name {
			s.ignoreMissing("removing an old file", os.Remove(filepath.Join(s.dir, names[i].String())))
		}
	}
}

func (s *sink) ignoreMissing(doing string, err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.complain(doing, err)
	}
}

// wake tells the followers that there is something to read, or nothing more.
func (s *sink) wake() {
	for c, name := range s.log.followers {
		if name != s.sub.Name {
			continue
		}
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
