package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/pkg/sftp"
)

// SFTP serves the subsystem to one client until it ends its input (no error)
// or is lost (io.ErrUnexpectedEOF, or what rw reported). Files that the client
// has not closed by then are not kept.
func (t *Tree) SFTP(rw io.ReadWriter) error {
	h := handlers{t}
	server := sftp.NewRequestServer(newPaced(rw), sftp.Handlers{FileGet: h, FilePut: h, FileCmd: h, FileList: h})
	return ignoreEnd(server.Serve())
}

// handlers answers the requests of one client.
type handlers struct{ tree *Tree }

// coded is an error as the client sees it: its text and a status code.
type coded struct {
	error
	code error
}

func (c coded) Unwrap() error { return c.code }

// errAttributes is what a client hears whose attributes end too early.
var errAttributes = errors.New("the attributes are not complete")

// status gives an error the code of its kind.
func status(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errAttributes):
		return coded{err, sftp.ErrSSHFxBadMessage}
	case errors.Is(err, fs.ErrNotExist):
		return coded{err, sftp.ErrSSHFxNoSuchFile}
	case errors.Is(err, fs.ErrPermission):
		return coded{err, sftp.ErrSSHFxPermissionDenied}
	default:
		return coded{err, sftp.ErrSSHFxFailure}
	}
}

// Fileread answers the opening of a file for reading.
func (h handlers) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	f, found, err := h.tree.read(r.Filepath)
	if err != nil {
		return nil, status(err)
	}
	return &reading{File: f, tree: h.tree, event: Event{Action: "read", Path: shown(r.Filepath), Size: found.Size()}}, nil
}

// reading is a file open for reading.
type reading struct {
	*os.File
	tree  *Tree
	event Event
}

// TransferError is told when the client was lost before it closed the file.
func (r *reading) TransferError(err error) { r.event.Err = err }

// Close ends the reading.
func (r *reading) Close() error {
	defer r.tree.release()
	r.tree.note(r.event)
	return r.File.Close()
}

// Filewrite answers the opening of a file for writing.
func (h handlers) Filewrite(r *sftp.Request) (io.WriterAt, error) { return h.OpenFile(r) }

// OpenFile answers the opening of a file for reading and writing.
func (h handlers) OpenFile(r *sftp.Request) (sftp.WriterAtReaderAt, error) {
	flags := r.Pflags()
	_, err := h.tree.stat(r.Filepath)
	switch {
	case err == nil && flags.Creat && flags.Excl:
		return nil, status(errExists)
	case err != nil && !flags.Creat:
		return nil, status(err)
	}
	u, err := h.tree.write(r.Filepath, !flags.Trunc)
	if err != nil {
		return nil, status(err)
	}
	return &writing{Upload: u, tree: h.tree, appends: flags.Append}, nil
}

// writing is a file open for writing. It takes its place when the client
// closes it.
type writing struct {
	*Upload
	tree    *Tree
	appends bool
	lost    error
}

// WriteAt writes where the client says, but for one that only appends: its
// offset is of no meaning (§6.3, SSH_FXF_APPEND).
func (w *writing) WriteAt(p []byte, off int64) (int, error) {
	if w.appends {
		n, err := w.Upload.Write(p)
		return n, status(err)
	}
	n, err := w.Upload.WriteAt(p, off)
	return n, status(err)
}

// TransferError is told when the client was lost before it closed the file.
func (w *writing) TransferError(err error) { w.lost = fmt.Errorf("the client was lost: %w", err) }

// Close puts the file in its place.
func (w *writing) Close() error { return status(w.tree.written(w.Upload, w.lost)) }

// Filecmd answers what changes names and attributes.
func (h handlers) Filecmd(r *sftp.Request) error {
	switch r.Method {
	case "Setstat":
		return status(h.setAttributes(r))
	case "Rename":
		return status(h.tree.rename(r.Filepath, r.Target, false))
	case "Remove":
		return status(h.tree.remove(r.Filepath))
	case "Mkdir", "Rmdir":
		return status(errNoFolder)
	default:
		return status(errNoLink)
	}
}

// PosixRename is Rename that replaces the file of the new name.
func (h handlers) PosixRename(r *sftp.Request) error {
	return status(h.tree.rename(r.Filepath, r.Target, true))
}

// StatVFS tells how much configuration/ holds of what it takes, whatever the
// disk has.
func (h handlers) StatVFS(*sftp.Request) (*sftp.StatVFS, error) {
	count, size, err := usage(h.tree.configuration.root)
	if err != nil {
		return nil, status(err)
	}
	const block = 4096
	free := uint64(max(maxFolder-size, 0) / block)
	slots := uint64(max(maxFiles-count, 0))
	return &sftp.StatVFS{Bsize: block, Frsize: block, Blocks: maxFolder / block, Bfree: free, Bavail: free,
		Files: maxFiles, Ffree: slots, Favail: slots, Namemax: maxName}, nil
}

// setAttributes sets the size of a file that is being written, and the time of
// any. Owner and mode are the gateway's: a client that sends them along with a
// time, as one does that copies a file with its attributes, gets its time; one
// that asks for nothing else is refused.
func (h handlers) setAttributes(r *sftp.Request) error {
	flags, attributes := r.AttrFlags(), r.Attributes()
	if attributes == nil {
		return errAttributes
	}
	if _, err := h.tree.changeable(r.Filepath); err != nil {
		return err
	}
	if flags.Size {
		if err := h.resize(r.Filepath, attributes.Size); err != nil {
			return err
		}
	}
	if flags.Acmodtime {
		return h.tree.setTime(r.Filepath, attributes.ModTime())
	}
	if flags.Permissions || flags.UidGid {
		return errOwned
	}
	return nil
}

// resize cuts or stretches a file, at once if the client is writing it.
func (h handlers) resize(name string, size uint64) error {
	if size > MaxFile {
		return ErrTooLarge
	}
	p, err := h.tree.resolve(name)
	if err != nil {
		return err
	}
	if u := h.tree.uploadTo(p); u != nil {
		return u.Truncate(int64(size))
	}
	if _, _, err := h.tree.look(p); err != nil {
		return err
	}
	u, err := h.tree.write(name, true)
	if err != nil {
		return err
	}
	return h.tree.written(u, u.Truncate(int64(size)))
}

// Filelist answers listings and questions about one file.
func (h handlers) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	if r.Method != "List" {
		found, err := h.tree.stat(r.Filepath)
		return listing{found}, status(err)
	}
	p, err := h.tree.resolve(r.Filepath)
	if err != nil {
		return nil, status(err)
	}
	// The library keeps a listing as long as its handle.
	if err := h.tree.acquire(); err != nil {
		return nil, status(err)
	}
	all, err := h.tree.list(p)
	if err != nil {
		h.tree.release()
		return nil, status(err)
	}
	return openListing{all, h.tree}, nil
}

// openListing is a listing that counts as an open file until it is closed.
type openListing struct {
	listing
	tree *Tree
}

// Close ends the listing.
func (l openListing) Close() error {
	l.tree.release()
	return nil
}

// Readlink answers where a link leads: there are none.
func (h handlers) Readlink(string) (string, error) {
	return "", status(errNoLink)
}

// LookupUserName names the owner in listings.
func (h handlers) LookupUserName(string) string { return "esa" }

// LookupGroupName names the group in listings.
func (h handlers) LookupGroupName(string) string { return "esa" }

// listing is handed out in pieces.
type listing []fs.FileInfo

// ListAt gives the entries from offset on.
func (l listing) ListAt(to []fs.FileInfo, offset int64) (int, error) {
	if offset >= int64(len(l)) {
		return 0, io.EOF
	}
	n := copy(to, l[offset:])
	if n < len(to) {
		return n, io.EOF
	}
	return n, nil
}
