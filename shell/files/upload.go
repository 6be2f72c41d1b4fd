package files

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"
)

// Upload is a file of configuration/ on its way. It has no name that anybody
// sees until Commit gives it its own, which replaces the old file as a whole;
// after Commit or Abort it is of no further use. Its methods may be called from
// several goroutines.
type Upload struct {
	root *os.Root
	name string // that it will have
	temp string // that it has until then

	mu       sync.Mutex
	file     *os.File
	size     int64
	modified time.Time // zero: when it was written
	failed   error     // why it cannot be committed any more
}

// Create begins the file name in root, which must not be closed before the
// file is committed or aborted. It fails where CheckName fails.
func Create(root *os.Root, name string) (*Upload, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	u := &Upload{root: root, name: name, temp: unfinished + rand.Text()[:16]}
	var err error
	if u.file, err = root.OpenFile(u.temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return nil, fmt.Errorf("beginning %q: %w", name, err)
	}
	return u, nil
}

// Clear removes what is left of uploads that a crash interrupted. No upload may
// be under way.
func Clear(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	names, err := dir.Readdirnames(-1)
	err = errors.Join(err, dir.Close())
	for _, name := range names {
		if hidden(name) {
			err = errors.Join(err, root.Remove(name))
		}
	}
	return err
}

// Size is how long the file is so far, in bytes.
func (u *Upload) Size() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.size
}

// Err is why the file cannot be committed any more, if it cannot.
func (u *Upload) Err() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.failed
}

// SetTime says when the file was last changed, by its sender's account.
func (u *Upload) SetTime(modified time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.modified = modified
}

// Write appends.
func (u *Upload) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.writeLocked(p, u.size)
}

// WriteAt writes somewhere in the file, of which no more than MaxFile bytes
// are taken. After a failure the file cannot be committed.
func (u *Upload) WriteAt(p []byte, off int64) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.writeLocked(p, off)
}

func (u *Upload) writeLocked(p []byte, off int64) (int, error) {
	if u.failed == nil && (off < 0 || off > MaxFile-int64(len(p))) {
		u.failed = errTooLarge
	}
	if u.failed != nil {
		return 0, u.failed
	}
	var n int
	err := u.grow(off+int64(len(p)), func() (err error) {
		n, err = u.file.WriteAt(p, off)
		return err
	})
	u.size = max(u.size, off+int64(n))
	if err != nil {
		u.failed = fmt.Errorf("writing %q: %w", u.name, err)
	}
	return n, u.failed
}

// grow does what makes the file that long, if the folder takes it: files on
// their way count, since they fill the disk as others do. The folder's lock
// keeps two uploads, of whatever clients, from taking the same last bytes.
func (u *Upload) grow(size int64, do func() error) error {
	if size <= u.size {
		return do()
	}
	dir, err := u.root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close() // and with it the lock
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("locking configuration/: %w", err)
	}
	_, used, err := usage(u.root)
	if err == nil && used > maxFolder-(size-u.size) {
		err = errFull
	}
	if err != nil {
		return err
	}
	return do()
}

// ReadAt gives what was written.
func (u *Upload) ReadAt(p []byte, off int64) (int, error) { return u.file.ReadAt(p, off) }

// Truncate makes the file that long, in bytes.
func (u *Upload) Truncate(size int64) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if size < 0 || size > MaxFile {
		return errTooLarge
	}
	if err := u.grow(size, func() error { return u.file.Truncate(size) }); err != nil {
		return fmt.Errorf("cutting %q: %w", u.name, err)
	}
	u.size = size
	return nil
}

// Commit puts the file in its place, durably. If it fails, the old file is what
// it was, unless the failure is one of the last step, the sync of the folder:
// then either of the two is there after a crash.
func (u *Upload) Commit() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	err := u.failed
	if err == nil {
		err = u.file.Sync()
	}
	err = errors.Join(err, u.file.Close())
	if err == nil && !u.modified.IsZero() {
		err = u.root.Chtimes(u.temp, u.modified, u.modified)
	}
	if err == nil {
		// A crash before this line leaves the old file, after it the new one.
		err = u.root.Rename(u.temp, u.name)
	}
	if err != nil {
		return errors.Join(err, u.root.Remove(u.temp))
	}
	return syncFolder(u.root)
}

// Abort forgets the file; the old one stays.
func (u *Upload) Abort() {
	u.mu.Lock()
	defer u.mu.Unlock()
	// What cannot be removed now is removed at the next start.
	_ = errors.Join(u.file.Close(), u.root.Remove(u.temp))
}

// syncFolder makes names durable.
func syncFolder(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// fill begins an upload as the file that is at p now, if there is one.
func (t *Tree) fill(u *Upload, p place) error {
	f, found, err := t.read(p.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer t.release()
	// Its whole length at once: the folder is looked through wherever an upload
	// becomes longer, which took seconds where it was for every piece.
	if err = u.Truncate(found.Size()); err == nil {
		var n int64
		if n, err = io.Copy(io.NewOffsetWriter(u, 0), f); err == nil {
			err = u.Truncate(n)
		}
	}
	return errors.Join(err, f.Close())
}

// room reports whether one more file has a place in a folder.
func room(root *os.Root) error {
	count, size, err := usage(root)
	if err == nil && (count >= maxFiles || size > maxFolder-MaxFile) {
		err = errFull
	}
	return err
}

// usage is how many files a folder has, those on their way among them, and
// their bytes.
func usage(root *os.Root) (count int, size int64, err error) {
	dir, err := root.Open(".")
	if err != nil {
		return 0, 0, err
	}
	entries, err := dir.ReadDir(-1)
	if err = errors.Join(ignoreEnd(err), dir.Close()); err != nil {
		return 0, 0, fmt.Errorf("reading configuration/: %w", err)
	}
	for _, e := range entries {
		if found, err := e.Info(); err == nil {
			size += found.Size()
		}
	}
	return len(entries), size, nil
}
