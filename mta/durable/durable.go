// Package durable replaces small files as a whole, so that a crash or a power
// cut at any moment leaves the old contents or the new ones. The steps: write
// beside the file, sync, rename over it, sync the directory.
//
// The message files of the queue and the database have ways of their own: they
// are too many, or too large, for this.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Unfinished is what stands behind the name of a file while its new contents
// are written. A crash can leave such a file; the next Replace writes over it.
const Unfinished = ".new"

// Replace puts data in the place of a file, which need not exist, with mode
// 0600. When it returns without error, data is on stable storage.
func Replace(path string, data []byte) error { return replace(path, data, func() error { return nil }) }

// ReplaceKeeping is Replace, and keeps what the file held under another name
// of the same file system, instead of what stood there.
func ReplaceKeeping(path string, data []byte, previous string) error {
	return replace(path, data, func() error {
		if err := os.Remove(previous); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Link(path, previous); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

func replace(path string, data []byte, before func() error) error {
	if err := write(path+Unfinished, data); err != nil {
		return err
	}
	if err := before(); err != nil {
		return err
	}
	if err := os.Rename(path+Unfinished, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func write(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
