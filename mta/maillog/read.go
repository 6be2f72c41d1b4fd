package maillog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// FileInfo is one file of a subscription.
type FileInfo struct {
	Name    string // within the directory of the subscription
	Begun   time.Time
	Size    int64
	Current bool // still being written
}

// Files lists the files of a subscription, oldest first. Like Grep, it works
// without Configure too: on a data directory that no gateway runs on.
func (l *Log) Files(name string) ([]FileInfo, error) {
	dir, names, err := l.list(name)
	if err != nil {
		return nil, err
	}
	var files []FileInfo
	for _, n := range names {
		info, err := os.Stat(filepath.Join(dir, n.String()))
		if err != nil {
			continue // dropped, or saved a moment ago under another name
		}
		begun := n.begun(l.o.Clock().Location())
		files = append(files, FileInfo{n.String(), begun, info.Size(), n.status == current})
	}
	return files, nil
}

func (l *Log) list(name string) (dir string, names []fileName, err error) {
	if !isFileName(name) {
		return "", nil, unknown(name)
	}
	dir = filepath.Join(l.dir, name)
	// Between two looks at a directory a file may be renamed and be missed;
	// while mu is held none is.
	l.mu.Lock()
	defer l.mu.Unlock()
	names, err = list(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = unknown(name)
	}
	return dir, names, err
}

// tailLines is how many lines Follow begins with.
const tailLines = 10

// Follow writes the last lines of a subscription and then new ones as they
// come, over all rollovers, until ctx ends (nil), w fails, or the subscription
// is gone.
func (l *Log) Follow(ctx context.Context, name string, w io.Writer) error {
	out := bufio.NewWriter(w)
	r, err := l.newReader(name, func(text []byte) { writeLine(out, text) }, out.Flush)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.seekEnd(); err != nil {
		return err
	}
	return r.follow(ctx)
}

// Search is one search of a log.
type Search struct {
	Log        string // name of the subscription
	Expression *regexp.Regexp
	Invert     bool // lines that do not match
	Context    int  // lines shown before and after each match
	Tail       bool // go on with new lines until the context ends
}

// Grep writes the lines that match, from the oldest file to the newest, and
// returns how many did. Groups that do not touch are separated by "--" when
// context is shown.
func (l *Log) Grep(ctx context.Context, s Search, w io.Writer) (int, error) {
	g := &grep{Search: s, out: bufio.NewWriter(w)}
	r, err := l.newReader(s.Log, g.line, g.out.Flush)
	if err != nil {
		return 0, err
	}
	defer r.close()
	if s.Tail {
		err = r.follow(ctx)
	} else {
		err = r.readAll(ctx)
	}
	return g.matches, err
}

// grep is one search on its way.
type grep struct {
	Search
	out *bufio.Writer

	matches int
	before  [][]byte // the last lines not shown, at most Context
	after   int      // lines still to be shown after a match
	gap     bool     // lines were left out since the last one shown
}

func (g *grep) line(text []byte) {
	if g.Expression.Match(text) != g.Invert {
		if g.matches > 0 && g.gap && g.Context > 0 {
			writeLine(g.out, []byte("--"))
		}
		for _, b := range g.before {
			writeLine(g.out, b)
		}
		writeLine(g.out, text)
		g.matches++
		g.before, g.after, g.gap = g.before[:0], g.Context, false
		return
	}
	if g.after > 0 {
		writeLine(g.out, text)
		g.after--
		return
	}
	if g.Context > 0 {
		if len(g.before) == g.Context {
			g.before = append(g.before[:0], g.before[1:]...)
			g.gap = true
		}
		g.before = append(g.before, bytes.Clone(text))
	}
}

// writeLine writes one line of a file, harmless to terminals even if somebody
// else has written to the file. Its error is kept for Flush.
func writeLine(out *bufio.Writer, text []byte) {
	_, _ = out.WriteString(line(string(text)))
	_ = out.WriteByte('\n')
}

// reader gives the lines of a subscription file by file.
type reader struct {
	log   *Log
	name  string
	dir   string
	each  func([]byte)
	flush func() error

	at   fileName // of f
	f    *os.File // nil: there is none yet
	in   *bufio.Reader
	part []byte // of a line whose end has not been read
}

func (l *Log) newReader(name string, each func([]byte), flush func() error) (*reader, error) {
	dir, _, err := l.list(name)
	return &reader{log: l, name: name, dir: dir, each: each, flush: flush}, err
}

func (r *reader) open(n fileName) error {
	f, err := n.open(r.dir)
	if err != nil {
		return fmt.Errorf("reading log %q: %w", r.name, err)
	}
	r.close()
	r.f, r.at = f, n
	r.in = bufio.NewReaderSize(f, 64<<10)
	return nil
}

func (r *reader) close() {
	if r.f != nil {
		_ = r.f.Close() // was only read
		r.f = nil
	}
}

// seekEnd goes to the last lines of the newest file.
func (r *reader) seekEnd() error {
	_, names, err := r.log.list(r.name)
	if err != nil || len(names) == 0 {
		return err
	}
	if err := r.open(names[len(names)-1]); err != nil {
		return err
	}
	info, err := r.f.Stat()
	if err != nil {
		return err
	}
	const look = 16 << 10
	from := max(0, info.Size()-look)
	tail := make([]byte, info.Size()-from)
	n, err := r.f.ReadAt(tail, from)
	if err != nil && err != io.EOF {
		return err
	}
	tail = tail[:n]
	start := len(tail)
	for range tailLines {
		if i := bytes.LastIndexByte(tail[:max(0, start-1)], '\n'); i >= 0 {
			start = i + 1
		} else {
			start = 0
		}
	}
	_, err = r.f.Seek(from+int64(start), io.SeekStart)
	return err
}

// readAll reads to the end of the newest file.
func (r *reader) readAll(ctx context.Context) error {
	for {
		// Asked before reading to the end: if there is a newer file, this one
		// is complete and its end is the end.
		next, err := r.newer()
		if err != nil {
			return err
		}
		if err := r.drain(ctx); err != nil || next == nil {
			return err
		}
		r.flushPart()
		if err := r.open(*next); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
}

// newer is the file after the present one, nil if that is the newest.
func (r *reader) newer() (*fileName, error) {
	_, names, err := r.log.list(r.name)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if n.stamp > r.at.stamp {
			return &n, nil
		}
	}
	return nil, nil
}

// follow reads on for ever.
func (r *reader) follow(ctx context.Context) error {
	news := make(chan struct{}, 1)
	defer r.log.watch(r.name, news)()
	for {
		var err error
		writing, gone := r.log.writing(r.name)
		if gone == nil && writing == r.at {
			err = r.drain(ctx)
		} else {
			err = r.readAll(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case gone != nil:
			return gone
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil
		}
	}
}

// drain gives all whole lines up to the present end of the file.
func (r *reader) drain(ctx context.Context) error {
	if r.f == nil {
		return nil
	}
	for {
		text, err := r.in.ReadSlice('\n')
		if room := maxLine - len(r.part); len(text) > room {
			text = text[:room] // not a line of ours
		}
		r.part = append(r.part, text...)
		switch {
		case err == nil:
			r.flushPart()
		case errors.Is(err, io.EOF):
			return r.flush()
		case !errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("reading log %q: %w", r.name, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

func (r *reader) flushPart() {
	if len(r.part) > 0 {
		r.each(bytes.TrimSuffix(r.part, []byte("\n")))
		r.part = r.part[:0]
	}
}

// watch has news sent to whenever a line is written, until stop is called.
func (l *Log) watch(name string, news chan struct{}) (stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.followers[news] = name
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.followers, news)
	}
}

// writing is the file that lines of a subscription go to now.
func (l *Log) writing(name string) (fileName, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fileName{}, errClosed
	}
	s := l.sinkLocked(name)
	if s == nil {
		return fileName{}, unknown(name)
	}
	return s.name, nil
}
