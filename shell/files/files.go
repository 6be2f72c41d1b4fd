// Package files serves configuration/ and logs/ of the data directory to file
// clients: SFTP version 3 (draft-ietf-secsh-filexfer-02, by github.com/pkg/sftp)
// and the scp protocol that came before it and has no standard.
//
//	Tree     what a client may see and do: two folders below "/", each behind an os.Root
//	Upload   a file on its way: it replaces the old one as a whole, or not at all
//	SFTP     the subsystem
//	SCP      the far end of an scp command line, "scp -t PATH" or "scp -f PATH…"
//
// A client sees "/configuration/NAME", flat, and "/logs/SUBSCRIPTION/FILE";
// "/SUBSCRIPTION/FILE" is the same file, since that is its path on an appliance.
// Relative paths begin at "/". Logs are never written. Links are refused, but
// for the one that a log folder has to its current file; what is neither a file
// nor one of these folders does not exist here.
//
// Who may do this is the caller's decision, and so is who hears of it.
package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"
)

// MaxFile is the size of the largest file that configuration/ takes, in bytes.
const MaxFile = 64 << 20

const (
	maxFiles   = 1000      // in configuration/
	maxFolder  = 512 << 20 // bytes of them together
	maxListed  = 10_000    // entries of one folder
	maxOpen    = 64        // files that one client has open
	maxName    = 255       // bytes of a name
	minReserve = 64 << 10  // bytes that an upload reserves at least
	maxReserve = 1 << 20   // bytes that it reserves beyond its end
	unfinished = ".new-"   // begins the names of files on their way
)

// refusal is why a client does not get what it asks for: the text it sees, and
// the kind, fs.ErrNotExist or fs.ErrPermission.
type refusal struct {
	text string
	kind error
}

func (r refusal) Error() string { return r.text }
func (r refusal) Unwrap() error { return r.kind }

// What clients are told of their paths and requests.
var (
	errMissing  = refusal{"no such file or directory", fs.ErrNotExist}
	errReadOnly = refusal{"only files of configuration/ can be changed", fs.ErrPermission}
	errNoFile   = refusal{"not a regular file", fs.ErrPermission}
	errName     = refusal{"the file name is not valid", fs.ErrPermission}
	errNoFolder = refusal{"folders cannot be made or removed here", fs.ErrPermission}
	errNoLink   = refusal{"there are no links here", fs.ErrPermission}
	errOwned    = refusal{"owner and mode of a file cannot be changed here", fs.ErrPermission}
	errTooMany  = fmt.Errorf("at most %d files can be open at a time", maxOpen)
	errExists   = errors.New("the file exists")
)

// Why configuration/ does not take a file.
var (
	ErrTooLarge = fmt.Errorf("a file of configuration/ has at most %d MB", MaxFile>>20)
	ErrFull     = fmt.Errorf("configuration/ is full (%d files or %d MB): remove files first", maxFiles, maxFolder>>20)
)

// Options say what a Tree serves.
type Options struct {
	Configuration string // directory, must exist
	Logs          string // directory, must exist

	// May refuses the client everything, with what it is to be told. It is asked
	// anew for every path. It may be nil.
	May func() error

	// Note hears of every file that was read or changed, and of every attempt
	// to change one; calls come one at a time. It may be nil.
	Note func(Event)
}

// Event is something a client did with a file.
type Event struct {
	Action string // "read", "write", "rename" or "remove"
	Path   string // as the tree names it, printable
	Size   int64  // of the file read or written, in bytes
	Err    error  // why it did not come about
}

// Tree is what one client sees. Its methods may be called from several
// goroutines.
type Tree struct {
	options       Options
	configuration folder
	logs          folder

	mu      sync.Mutex
	open    int
	uploads map[string]*Upload // of this client, by path
}

// folder is one of the two.
type folder struct {
	name string
	root *os.Root
	deep bool // has folders of its own, and links to the current file in them
}

// Open opens the folders. The caller closes the tree when its client has gone.
func Open(o Options) (*Tree, error) {
	t := &Tree{options: o, uploads: map[string]*Upload{}}
	configuration, err := os.OpenRoot(o.Configuration)
	if err != nil {
		return nil, err
	}
	logs, err := os.OpenRoot(o.Logs)
	if err != nil {
		return nil, errors.Join(err, configuration.Close())
	}
	t.configuration = folder{name: "configuration", root: configuration}
	t.logs = folder{name: "logs", root: logs, deep: true}
	return t, nil
}

// Close closes the folders.
func (t *Tree) Close() error { return errors.Join(t.configuration.root.Close(), t.logs.root.Close()) }

// CheckName reports whether configuration/ takes a file of that name: a base
// name of printable characters, without a path separator of any system.
func CheckName(name string) error {
	switch {
	case name == "", name == ".", name == "..", len(name) > maxName, !utf8.ValidString(name),
		strings.ContainsAny(name, `/\`), strings.HasPrefix(name, unfinished),
		strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errName
	}
	return nil
}

// place is where a path leads, whether or not there is something.
type place struct {
	folder *folder // nil at the top
	name   string  // within the folder, "." for the folder itself
}

// path is the one way to write a place.
func (p place) path() string {
	if p.folder == nil {
		return "/"
	}
	return path.Join("/", p.folder.name, p.name)
}

// resolve finds the place of a client's path, if the client may have any.
func (t *Tree) resolve(name string) (place, error) {
	if t.options.May != nil {
		if err := t.options.May(); err != nil {
			return place{}, refusal{err.Error(), fs.ErrPermission}
		}
	}
	words := strings.Split(strings.TrimPrefix(path.Clean("/"+name), "/"), "/")
	if words[0] == "" {
		return place{}, nil
	}
	in, depth := &t.logs, 2
	switch words[0] {
	case "configuration":
		in, depth, words = &t.configuration, 1, words[1:]
	case "logs":
		words = words[1:]
	}
	if len(words) > depth || slices.ContainsFunc(words, hidden) {
		return place{}, errMissing
	}
	return place{in, path.Join(append([]string{"."}, words...)...)}, nil
}

func hidden(name string) bool { return strings.HasPrefix(name, unfinished) }

// changeable finds the place of a path that is to be changed.
func (t *Tree) changeable(name string) (place, error) {
	p, err := t.resolve(name)
	switch {
	case err != nil:
		return p, err
	case p.folder != &t.configuration:
		return p, errReadOnly
	case p.name == ".":
		return p, errNoFile
	}
	return p, CheckName(p.name)
}

// look finds what is at a place, and the place itself where a log folder's link
// to its current file led on.
func (t *Tree) look(p place) (place, fs.FileInfo, error) {
	if p.folder == nil {
		return p, t.folderInfo(""), nil
	}
	if p.name == "." {
		return p, t.folderInfo(p.folder.name), nil
	}
	found, err := p.folder.root.Lstat(p.name)
	if err == nil && found.Mode().Type() == fs.ModeSymlink && p.folder.deep {
		var target string
		if target, err = p.folder.root.Readlink(p.name); err == nil {
			if path.Base(target) != target {
				return p, nil, errNoFile
			}
			p.name = path.Join(path.Dir(p.name), target)
			found, err = p.folder.root.Lstat(p.name)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return p, nil, errMissing
	case err != nil:
		return p, nil, fmt.Errorf("looking at %s: %w", p.path(), err)
	case found.IsDir() && p.folder.deep && !strings.Contains(p.name, "/"):
	case !found.Mode().IsRegular():
		return p, nil, errNoFile
	}
	return p, found, nil
}

// stat is what a client is told of a path: of a file that it is writing, how
// far it is.
func (t *Tree) stat(name string) (fs.FileInfo, error) {
	p, err := t.resolve(name)
	if err != nil {
		return nil, err
	}
	if u := t.uploadTo(p); u != nil {
		return info{name: p.name, size: u.Size(), mode: t.mode(p.folder, false), modified: time.Now()}, nil
	}
	_, found, err := t.look(p)
	if err != nil {
		return nil, err
	}
	if p.name == "." || p.folder == nil {
		return found, nil
	}
	return t.told(p.folder, path.Base(p.name), found), nil
}

// list gives what is in a folder, by name.
func (t *Tree) list(p place) ([]fs.FileInfo, error) {
	if p.folder == nil {
		return []fs.FileInfo{t.folderInfo("configuration"), t.folderInfo("logs")}, nil
	}
	p, found, err := t.look(p)
	if err != nil {
		return nil, err
	}
	if !found.IsDir() {
		return nil, errNoFile
	}
	dir, err := p.folder.root.Open(p.name)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", p.path(), err)
	}
	names, err := dir.Readdirnames(maxListed)
	if err = errors.Join(ignoreEnd(err), dir.Close()); err != nil {
		return nil, fmt.Errorf("reading %s: %w", p.path(), err)
	}
	slices.Sort(names)
	var all []fs.FileInfo
	for _, name := range names {
		// What cannot be had by its name is not listed either, nor what has
		// gone by now.
		if hidden(name) {
			continue
		}
		if _, found, err := t.look(place{p.folder, path.Join(p.name, name)}); err == nil {
			all = append(all, t.told(p.folder, name, found))
		}
	}
	return all, nil
}

// read opens a file for reading. The caller closes it and calls t.release.
func (t *Tree) read(name string) (*os.File, fs.FileInfo, error) {
	p, err := t.resolve(name)
	if err != nil {
		return nil, nil, err
	}
	p, found, err := t.look(p)
	if err != nil {
		return nil, nil, err
	}
	if found.IsDir() {
		return nil, nil, errNoFile
	}
	if err := t.acquire(); err != nil {
		return nil, nil, err
	}
	// A named pipe that took the file's place meanwhile is not waited for.
	f, err := p.folder.root.OpenFile(p.name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.release()
		return nil, nil, fmt.Errorf("opening %s: %w", p.path(), err)
	}
	opened, err := f.Stat()
	if err == nil && !os.SameFile(found, opened) {
		err = errNoFile
	}
	if err != nil {
		t.release()
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, opened, nil
}

// remove removes a file of configuration/.
func (t *Tree) remove(name string) error {
	p, err := t.changeable(name)
	if err == nil {
		_, _, err = t.look(p)
	}
	if err == nil {
		err = errors.Join(p.folder.root.Remove(p.name), syncFolder(p.folder.root))
	}
	t.note(Event{Action: "remove", Path: shown(name), Err: err})
	return err
}

// rename gives a file of configuration/ another name, which replaces only
// takes a file away from where the client said so.
func (t *Tree) rename(from, to string, replaces bool) error {
	err := t.move(from, to, replaces)
	t.note(Event{Action: "rename", Path: shown(from) + " to " + shown(to), Err: err})
	return err
}

func (t *Tree) move(from, to string, replaces bool) error {
	old, err := t.changeable(from)
	if err != nil {
		return err
	}
	target, err := t.changeable(to)
	if err != nil {
		return err
	}
	if _, _, err := t.look(old); err != nil {
		return err
	}
	err = locked(old.folder.root, func() error {
		switch _, _, err := t.look(target); {
		case err == nil && !replaces:
			return errExists
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return err
		}
		return old.folder.root.Rename(old.name, target.name)
	})
	if err != nil {
		return err
	}
	return syncFolder(old.folder.root)
}

// setTime says when a file of configuration/ was last changed.
func (t *Tree) setTime(name string, modified time.Time) error {
	p, err := t.changeable(name)
	if err != nil {
		return err
	}
	if u := t.uploadTo(p); u != nil {
		u.SetTime(modified)
		return nil
	}
	if _, _, err := t.look(p); err != nil {
		return err
	}
	return p.folder.root.Chtimes(p.name, modified, modified)
}

// write begins a file of configuration/; with keep it begins as the file that
// is there now. The caller calls t.written, whatever becomes of it.
func (t *Tree) write(name string, keep bool) (*Upload, error) {
	p, err := t.changeable(name)
	if err == nil {
		err = t.replaceable(p)
	}
	if err == nil {
		err = t.acquire()
	}
	if err != nil {
		t.note(Event{Action: "write", Path: shown(name), Err: err})
		return nil, err
	}
	u, err := Create(p.folder.root, p.name)
	if err == nil && keep {
		if err = t.fill(u, p); err != nil {
			u.Abort()
		}
	}
	if err != nil {
		t.release()
		t.note(Event{Action: "write", Path: p.path(), Err: err})
		return nil, err
	}
	t.mu.Lock()
	t.uploads[p.path()] = u
	t.mu.Unlock()
	return u, nil
}

// replaceable reports whether a file may come to be at p.
func (t *Tree) replaceable(p place) error {
	_, _, err := t.look(p)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err
}

// written ends a file that write began: it takes its place, unless there is a
// reason why not.
func (t *Tree) written(u *Upload, reason error) error {
	at := place{&t.configuration, u.name}.path()
	t.mu.Lock()
	if t.uploads[at] == u {
		delete(t.uploads, at)
	}
	t.mu.Unlock()
	defer t.release()
	size := u.Size()
	err := reason
	if err == nil {
		_, err = t.changeable(at)
	}
	if err != nil {
		u.Abort()
	} else {
		err = u.Commit()
	}
	t.note(Event{Action: "write", Path: at, Size: size, Err: err})
	return err
}

// uploadTo is the file that this client is writing at p, if any.
func (t *Tree) uploadTo(p place) *Upload {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.uploads[p.path()]
}

// acquire counts an open file, release gives it back.
func (t *Tree) acquire() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open >= maxOpen {
		return errTooMany
	}
	t.open++
	return nil
}

func (t *Tree) release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open--
}

func (t *Tree) note(e Event) {
	if t.options.Note == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.options.Note(e)
}

// shown is a client's path as it can be printed.
func shown(name string) string {
	quoted := fmt.Sprintf("%.300q", name)
	if plain := quoted[1 : len(quoted)-1]; plain == name {
		return plain
	}
	return quoted
}
