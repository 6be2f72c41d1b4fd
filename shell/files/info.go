package files

import (
	"errors"
	"io"
	"io/fs"
	"time"
)

// info is what clients are told of a file or folder: nothing of who owns it
// on the machine.
type info struct {
	name     string
	size     int64
	mode     fs.FileMode
	modified time.Time
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return i.modified }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }

// told is a file or folder as it is told of.
func (t *Tree) told(in *folder, name string, found fs.FileInfo) info {
	return info{name: name, size: found.Size(), mode: t.mode(in, found.IsDir()), modified: found.ModTime()}
}

// folderInfo is one of the two folders, or the top.
func (t *Tree) folderInfo(name string) info {
	in, known := map[string]*folder{"configuration": &t.configuration, "logs": &t.logs}[name]
	if !known {
		return info{name: "/", mode: fs.ModeDir | 0o500, modified: time.Now()}
	}
	i := info{name: name, mode: t.mode(in, true), modified: time.Now()}
	if found, err := in.root.Stat("."); err == nil {
		i.modified = found.ModTime()
	}
	return i
}

// mode tells what may be done, not what the file system says.
func (t *Tree) mode(in *folder, dir bool) fs.FileMode {
	mode := fs.FileMode(0o400)
	if in == &t.configuration {
		mode |= 0o200
	}
	if dir {
		mode |= fs.ModeDir | 0o100
	}
	return mode
}

func ignoreEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
