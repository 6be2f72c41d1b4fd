package queue

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// fileSystem syncs the whole file system that its file is on.
type fileSystem struct{ *os.File }

func (f fileSystem) Sync() error {
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("syncfs: %w", err)
	}
	return nil
}

// openSystem gives a handle that stays open: the kernel reports each write
// error once per handle, so one that is opened for the occasion could miss
// what another process has been told. Before Linux 5.8 syncfs reported no
// write errors at all, and is not used.
func (osDisk) openSystem(path string) (syncHandle, error) {
	if !syncfsReports() {
		return nil, fmt.Errorf("syncfs: %w", errUnsupported)
	}
	d, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	f := fileSystem{d}
	err = f.Sync()
	if err == nil {
		return f, nil
	}
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) {
		err = fmt.Errorf("%w: %w", errUnsupported, err)
	}
	return nil, errors.Join(err, f.Close())
}

func syncfsReports() bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	release := unix.ByteSliceToString(u.Release[:])
	major, rest, _ := strings.Cut(release, ".")
	minor, _, _ := strings.Cut(rest, ".")
	x, err1 := strconv.Atoi(major)
	y, err2 := strconv.Atoi(minor)
	return err1 == nil && err2 == nil && (x > 5 || x == 5 && y >= 8)
}

func (osDisk) claim(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL):
		return fmt.Errorf("renaming without replacing: %w: %w", errUnsupported, err)
	default:
		return &os.LinkError{Op: "claim", Old: from, New: to, Err: err}
	}
}

func (osDisk) free(path string) (space, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return space{}, fmt.Errorf("free space: %w", err)
	}
	left := space{bytes: int64(s.Bavail) * int64(s.Bsize), inodes: int64(s.Ffree)}
	if s.Files == 0 {
		left.inodes = -1 // a file system without a fixed number of them
	}
	return left, nil
}
