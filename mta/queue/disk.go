package queue

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// disk is what the store asks of a file system. Tests stage faults behind it.
// Paths are complete.
type disk interface {
	mkdir(path string) error                     // not an error if it is there
	create(path string) (diskFile, error)        // must not exist
	open(path string) (diskReader, error)        // for reading
	appendTo(path string, line []byte) error     // one write at the end; creates the file
	writeAt(path string, b byte, at int64) error // one byte of a file that is there
	remove(path string) error                    // not an error if it is gone
	rename(from, to string) error
	claim(from, to string) error                // rename that replaces nothing; errUnsupported
	list(dir string) ([]string, error)          // names, in no order
	openDir(path string) (syncHandle, error)    // Sync makes the names in a directory durable
	openSystem(path string) (syncHandle, error) // Sync makes the whole file system durable; errUnsupported
	free(path string) (space, error)
}

// syncHandle is what is held open to sync. After an error it is closed and
// never asked again.
type syncHandle interface {
	Sync() error
	Close() error
}

type diskFile interface {
	io.Writer
	io.WriterAt
	io.ReaderAt
	syncHandle
	Truncate(size int64) error
	named() (bool, error) // whether it still stands in a directory
}

type diskReader interface {
	io.ReaderAt
	io.Closer
	size() (int64, error)
}

// space is what is left on a file system. Inodes is -1 where they are not
// counted.
type space struct {
	bytes, inodes int64
}

// errUnsupported says that the system cannot sync a whole file system and
// report its errors, or rename without replacing.
var errUnsupported = errors.New("not supported here")

// Modes of everything below the queue's directory: mail is private.
const (
	dirMode  = 0o700
	fileMode = 0o600
)

type osDisk struct{}

func (osDisk) mkdir(path string) error {
	err := os.Mkdir(path, dirMode)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	return err
}

type osFile struct{ *os.File }

func (f osFile) named() (bool, error) {
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return !ok || s.Nlink > 0, nil
}

func (osDisk) create(path string) (diskFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

type osReader struct{ *os.File }

func (f osReader) size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%w: not a regular file", errDamaged)
	}
	return info.Size(), nil
}

func (osDisk) open(path string) (diskReader, error) {
	// Not blocking: something else than a file in the directory, such as a
	// fifo, must not hold up the start.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	return osReader{f}, nil
}

func (osDisk) appendTo(path string, line []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, fileMode)
	if err != nil {
		return err
	}
	_, err = f.Write(line)
	return errors.Join(err, f.Close())
}

func (osDisk) writeAt(path string, b byte, at int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte{b}, at)
	return errors.Join(err, f.Close())
}

func (osDisk) remove(path string) error {
	err := os.Remove(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func (osDisk) rename(from, to string) error { return os.Rename(from, to) }

func (osDisk) list(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

func (osDisk) openDir(path string) (syncHandle, error) {
	d, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// syncDir makes the names in a directory durable, once.
func syncDir(d disk, path string) error {
	h, err := d.openDir(path)
	if err != nil {
		return err
	}
	return errors.Join(h.Sync(), h.Close())
}

// noSpace gives ErrNoSpace for the errors that mean it; others stay.
func noSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}
