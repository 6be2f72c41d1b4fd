package files

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Upload is a file of configuration/ on its way. It has no name that anybody
// sees until Commit gives it its own, which replaces the old file as a whole;
// after Commit or Abort it is of no further use. Its methods may be called from
// several goroutines.
type Upload struct {
	root  *os.Root
	name  string // that it will have
	temp  string // that it has until then
	apart bool   // replaces nothing

	mu       sync.Mutex
	file     *os.File
	size     int64
	reserved int64     // bytes that the file takes of the folder's, size of them its own
	modified time.Time // zero: when it was written
	failed   error     // why it cannot be committed any more
}

// Create begins the file name in root, which must not be closed before the
// file is committed or aborted. It fails where CheckName fails, and with ErrFull
// where the file would be one too many.
func Create(root *os.Root, name string) (*Upload, error) { return create(root, name, false) }

// CreateNew is Create for a file that replaces nothing: it fails, and so does
// Commit, with an error that wraps fs.ErrExist where something has the name.
func CreateNew(root *os.Root, name string) (*Upload, error) { return create(root, name, true) }

func create(root *os.Root, name string, apart bool) (*Upload, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	u := &Upload{root: root, name: name, temp: unfinished + rand.Text()[:16], apart: apart}
	err := locked(root, func() error {
		if err := u.free(); err != nil {
			return err
		}
		// A file on its way has an entry, so it counts as soon as it is here.
		count, _, err := usage(root)
		if err == nil && count >= maxFiles && !exists(root, name) {
			err = ErrFull
		}
		if err != nil {
			return err
		}
		if u.file, err = root.OpenFile(u.temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return fmt.Errorf("beginning %q: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

// free says, by its error, that the name is taken from a file that replaces
// nothing.
func (u *Upload) free() error {
	if u.apart && exists(u.root, u.name) {
		return fmt.Errorf("%q: %w", u.name, fs.ErrExist)
	}
	return nil
}

// Clear removes what is left of uploads that a crash interrupted. No upload may
// be under way.
func Clear(root *os.Root) error {
	names, err := namesIn(root)
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
		u.failed = ErrTooLarge
	}
	if u.failed != nil {
		return 0, u.failed
	}
	end := off + int64(len(p))
	n, err := 0, u.reserve(end, min(max(2*end, minReserve), end+maxReserve))
	if err == nil {
		n, err = u.file.WriteAt(p, off)
		u.size = max(u.size, off+int64(n))
	}
	if err != nil {
		u.failed = fmt.Errorf("writing %q: %w", u.name, err)
	}
	return n, u.failed
}

// reserve takes that many bytes of the folder for the file, and those that it
// will want next as well where there is room for them, since counting the folder
// costs too much to be done for every packet. What is reserved is the length of
// the file on the disk: so it counts for all uploads, of whatever clients, and
// the folder's lock keeps two of them from taking the same last bytes.
func (u *Upload) reserve(need, want int64) error {
	if need <= u.reserved {
		return nil
	}
	return locked(u.root, func() error {
		_, used, err := usage(u.root)
		if err != nil {
			return err
		}
		free := maxFolder - (used - u.reserved)
		if need > free {
			return ErrFull
		}
		if want = min(want, MaxFile); want > free {
			want = need
		}
		if err := u.file.Truncate(want); err != nil {
			return err
		}
		u.reserved = want
		return nil
	})
}

// ReadAt gives what was written: what is reserved is not in the file yet.
func (u *Upload) ReadAt(p []byte, off int64) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return io.NewSectionReader(u.file, 0, u.size).ReadAt(p, off)
}

// Truncate makes the file that long, in bytes.
func (u *Upload) Truncate(size int64) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if size < 0 || size > MaxFile {
		return ErrTooLarge
	}
	if err := u.cut(size); err != nil {
		return fmt.Errorf("cutting %q: %w", u.name, err)
	}
	return nil
}

// cut makes the file that long and gives back what was reserved beyond.
func (u *Upload) cut(size int64) error {
	if err := u.reserve(size, size); err != nil {
		return err
	}
	if err := u.file.Truncate(size); err != nil {
		return err
	}
	u.size, u.reserved = size, size
	return nil
}

// Commit puts the file in its place, durably. It fails with ErrFull or
// ErrTooLarge if that is why a write did. If it fails, the old file is what
// it was, unless the failure is one of the last step, the sync of the folder:
// then either of the two is there after a crash.
func (u *Upload) Commit() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	err := u.failed
	if err == nil {
		err = u.cut(u.size)
	}
	if err == nil {
		err = u.file.Sync()
	}
	err = errors.Join(err, u.file.Close())
	if err == nil && !u.modified.IsZero() {
		err = u.root.Chtimes(u.temp, u.modified, u.modified)
	}
	if err == nil {
		err = locked(u.root, u.place)
	}
	if err != nil {
		return errors.Join(err, u.root.Remove(u.temp))
	}
	return syncFolder(u.root)
}

// place gives the file its name. The file that it was to replace may have got
// another name meanwhile, so that this one is one too many.
func (u *Upload) place() error {
	if err := u.free(); err != nil {
		return err
	}
	if !exists(u.root, u.name) {
		names, err := namesIn(u.root)
		if err == nil && len(slices.DeleteFunc(names, hidden)) >= maxFiles {
			err = ErrFull
		}
		if err != nil {
			return err
		}
	}
	// A crash before this line leaves the old file, after it the new one.
	return u.root.Rename(u.temp, u.name)
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
	f, _, err := t.read(p.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer t.release()
	_, err = io.Copy(u, f)
	return errors.Join(err, f.Close())
}

// locked does something while nobody else who holds the folder's lock does.
func locked(root *os.Root, do func() error) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close() // and with it the lock
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("locking configuration/: %w", err)
	}
	return do()
}

func exists(root *os.Root, name string) bool {
	_, err := root.Lstat(name)
	return err == nil
}

// namesIn is what stands in a folder.
func namesIn(root *os.Root) ([]string, error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(-1)
	return names, errors.Join(err, dir.Close())
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
