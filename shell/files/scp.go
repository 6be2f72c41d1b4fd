package files

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"
)

// SCP is the far end of one scp and returns its exit status: 0, or 1 if
// something was not copied. line is the client's command line, for which IsSCP
// holds.
//
// The protocol is the one of rcp: lines "C0644 12 name" (a file and its size),
// "D0755 0 name" and "E" (into a folder and out of it), "T1 0 2 0" (times of
// what follows), each answered by one byte: 0, or 1 and a line of complaint, or
// 2 and a line after which nothing follows. The bytes of a file come after the
// answer, and a byte of the same kind after them.
func (t *Tree) SCP(rw io.ReadWriter, line string) int {
	c := &scp{tree: t, in: newInput(rw), out: rw}
	var err error
	if c.line, err = parseSCP(line); err == nil {
		if c.line.sink {
			err = c.receive()
		} else {
			err = c.send()
		}
	} else {
		err = c.complain(err)
	}
	if errors.Is(err, errProtocol) {
		// The client is told what it did before it is left.
		_, told := fmt.Fprintf(c.out, "\x02scp: %v\n", err)
		err = errors.Join(err, told)
	}
	if err != nil || c.failed {
		return 1
	}
	return 0
}

// newInput reads lines of up to maxLine bytes.
func newInput(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, maxLine) }

// errProtocol is what ends a copy.
var errProtocol = errors.New("protocol error")

// scp is one copy. Its methods return an error only where the copy cannot go
// on.
type scp struct {
	tree   *Tree
	line   scpLine
	in     *bufio.Reader
	out    io.Writer
	failed bool
}

// accept says that all is well.
func (c *scp) accept() error {
	_, err := c.out.Write([]byte{0})
	return err
}

// complain says what is not, and goes on.
func (c *scp) complain(reason error) error {
	c.failed = true
	_, err := fmt.Fprintf(c.out, "\x01scp: %v\n", reason)
	return err
}

// answer reads the client's byte, and its complaint where it has one.
func (c *scp) answer() (ok bool, err error) {
	kind, err := c.in.ReadByte()
	if err != nil {
		return false, err
	}
	switch kind {
	case 0:
		return true, nil
	case 1:
		c.failed = true
		_, err := c.readLine()
		return false, err
	default:
		return false, fmt.Errorf("%w: the client gave up", io.ErrUnexpectedEOF)
	}
}

func (c *scp) readLine() (string, error) {
	text, err := c.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", fmt.Errorf("%w: a line is too long", errProtocol)
	}
	if errors.Is(err, io.EOF) && len(text) > 0 {
		return "", io.ErrUnexpectedEOF
	}
	if err != nil {
		return "", err
	}
	return string(text[:len(text)-1]), nil
}

// receive takes what the client sends.
func (c *scp) receive() error {
	target, plain := unescape(c.line.paths[0])
	if !plain {
		return c.complain(fmt.Errorf("%s: no pattern can be written to", shown(c.line.paths[0])))
	}
	found, err := c.tree.stat(target)
	into := err == nil && found.IsDir()
	if c.line.folder && !into {
		return c.complain(fmt.Errorf("%s: not a folder here", shown(target)))
	}
	if err := c.accept(); err != nil {
		return err
	}
	var modified time.Time
	for {
		text, err := c.readLine()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		kind := "\x00"
		if text != "" {
			kind = text[:1]
		}
		switch kind {
		case "C":
			err = c.receiveFile(text[1:], target, into, modified)
			modified = time.Time{}
		case "T":
			modified, err = c.receiveTimes(text[1:])
		case "D":
			err = c.complain(errNoFolder)
		case "\x01":
			c.failed = true
		default:
			return fmt.Errorf("%w: unexpected line", errProtocol)
		}
		if err != nil {
			return err
		}
	}
}

// receiveTimes takes the times of the file that follows.
func (c *scp) receiveTimes(text string) (time.Time, error) {
	words := strings.Fields(text)
	if len(words) != 4 {
		return time.Time{}, fmt.Errorf("%w: times expected", errProtocol)
	}
	seconds, err := strconv.ParseUint(words[0], 10, 33)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: times expected", errProtocol)
	}
	if !c.line.times {
		return time.Time{}, c.accept()
	}
	return time.Unix(int64(seconds), 0), c.accept()
}

// receiveFile takes one file: text is "0644 12 name".
func (c *scp) receiveFile(text, target string, into bool, modified time.Time) error {
	words := strings.SplitN(text, " ", 3)
	if len(words) != 3 {
		return fmt.Errorf("%w: a file expected", errProtocol)
	}
	_, err := strconv.ParseUint(words[0], 8, 16)
	size, err2 := strconv.ParseUint(words[1], 10, 63)
	if err != nil || err2 != nil {
		return fmt.Errorf("%w: a file expected", errProtocol)
	}
	if into {
		if err := CheckName(words[2]); err != nil {
			return c.complain(fmt.Errorf("%s: %w", shown(words[2]), err))
		}
		target = path.Join("/", target, words[2])
	}
	if size > MaxFile {
		return c.complain(fmt.Errorf("%s: %w", shown(target), ErrTooLarge))
	}
	u, err := c.tree.write(target, false)
	if err != nil {
		return c.complain(fmt.Errorf("%s: %w", shown(target), err))
	}
	if !modified.IsZero() {
		u.SetTime(modified)
	}
	lost, reason := c.receiveContent(u, int64(size))
	if err := c.tree.written(u, reason); err != nil {
		if lost {
			return err
		}
		return c.complain(fmt.Errorf("%s: %w", shown(target), err))
	}
	return c.accept()
}

// receiveContent takes the bytes of a file and what the client says after
// them. The reason is why the file is not to be kept; with lost there is no
// client any more.
func (c *scp) receiveContent(u *Upload, size int64) (lost bool, reason error) {
	if err := c.accept(); err != nil {
		return true, err
	}
	content := &io.LimitedReader{R: c.in, N: size}
	_, reason = io.Copy(u, content)
	if reason != nil && u.Err() != nil {
		// The disk's fault, not the client's: the rest is taken and dropped.
		if _, err := io.Copy(io.Discard, content); err != nil {
			return true, errors.Join(reason, err)
		}
	} else if reason != nil {
		return true, reason
	}
	if content.N > 0 {
		return true, errors.Join(reason, io.ErrUnexpectedEOF)
	}
	ok, err := c.answer()
	if err != nil {
		return true, err
	}
	if !ok && reason == nil {
		reason = errors.New("the client could not read all of it")
	}
	return false, reason
}

// send gives the client what it asked for.
func (c *scp) send() error {
	if ok, err := c.answer(); err != nil || !ok {
		return err
	}
	for _, pattern := range c.line.paths {
		matches, err := c.tree.match(pattern)
		if err != nil {
			if err := c.complain(fmt.Errorf("%s: %w", shown(pattern), err)); err != nil {
				return err
			}
		}
		for _, name := range matches {
			if err := c.sendPath(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// match gives the paths that a pattern stands for, in their order. A pattern
// matches names in a folder, not folders.
func (t *Tree) match(pattern string) ([]string, error) {
	if name, plain := unescape(pattern); plain {
		return []string{name}, nil
	}
	within, last := path.Split(path.Clean("/" + pattern))
	within, plain := unescape(within)
	if _, err := path.Match(last, ""); err != nil || !plain {
		return nil, errors.New("no such pattern: only the last part of a path can have one")
	}
	p, err := t.resolve(within)
	if err != nil {
		return nil, err
	}
	all, err := t.list(p)
	if err != nil {
		return nil, err
	}
	var matches []string
	for _, found := range all {
		if ok, _ := path.Match(last, found.Name()); ok {
			matches = append(matches, path.Join(within, found.Name()))
		}
	}
	if len(matches) == 0 {
		return nil, errMissing
	}
	return matches, nil
}

// sendPath sends a file, or with -r a folder and what is in it.
func (c *scp) sendPath(name string) error {
	found, err := c.tree.stat(name)
	if err == nil && found.IsDir() {
		if c.line.recursive {
			return c.sendFolder(name, found)
		}
		err = errNoFile
	}
	if err != nil {
		return c.complain(fmt.Errorf("%s: %w", shown(name), err))
	}
	return c.sendFile(name)
}

func (c *scp) sendFolder(name string, found fs.FileInfo) error {
	p, err := c.tree.resolve(name)
	var all []fs.FileInfo
	if err == nil {
		all, err = c.tree.list(p)
	}
	if err != nil {
		return c.complain(fmt.Errorf("%s: %w", shown(name), err))
	}
	base := path.Base(path.Clean("/" + name))
	if base == "/" {
		base = "."
	}
	if ok, err := c.announce(found, fmt.Sprintf("D%04o 0 %s\n", found.Mode().Perm(), base)); err != nil || !ok {
		return err
	}
	for _, f := range all {
		if err := c.sendPath(path.Join(name, f.Name())); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(c.out, "E\n"); err != nil {
		return err
	}
	_, err = c.answer()
	return err
}

// announce sends the line of a file or folder, after its times where they are
// wanted. It is not ok where the client does not want it.
func (c *scp) announce(found fs.FileInfo, line string) (ok bool, err error) {
	if c.line.times {
		seconds := max(found.ModTime().Unix(), 0)
		if _, err := fmt.Fprintf(c.out, "T%d 0 %d 0\n", seconds, seconds); err != nil {
			return false, err
		}
		if ok, err := c.answer(); err != nil || !ok {
			return false, err
		}
	}
	if _, err := io.WriteString(c.out, line); err != nil {
		return false, err
	}
	return c.answer()
}

// sendFile sends as much of a file as it had when it was opened: a log grows.
func (c *scp) sendFile(name string) error {
	f, found, err := c.tree.read(name)
	if err != nil {
		return c.complain(fmt.Errorf("%s: %w", shown(name), err))
	}
	defer c.tree.release()
	event := Event{Action: "read", Path: shown(name), Size: found.Size()}
	defer func() { c.tree.note(event) }()
	defer f.Close()
	line := fmt.Sprintf("C0600 %d %s\n", found.Size(), path.Base(path.Clean(name)))
	ok, err := c.announce(found, line)
	if err != nil {
		event.Err = err
		return err
	}
	if !ok {
		event.Err = errors.New("the client did not want it")
		return nil
	}
	n, err := io.Copy(c.out, io.LimitReader(f, found.Size()))
	if err == nil && n < found.Size() {
		// What was announced must come: a file that shrank is filled up, and told of.
		event.Err = errors.New("the file became shorter")
		_, err = io.CopyN(c.out, zeros{}, found.Size()-n)
	}
	if err != nil {
		event.Err = err
		return err
	}
	if event.Err != nil {
		err = c.complain(fmt.Errorf("%s: %w", shown(name), event.Err))
	} else {
		err = c.accept()
	}
	if err == nil {
		_, err = c.answer()
	}
	return err
}

// zeros never end.
type zeros struct{}

// Read gives zeros.
func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
