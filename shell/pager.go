package shell

import (
	"bytes"
	"context"
	"io"
	"strings"
	"time"
)

const (
	morePrompt = "-Press Any Key For More-"
	// unlimitedRows and more are what clients announce that want no paging.
	unlimitedRows = 10000
)

// screen is a console as a session uses it: it knows where a line begins,
// pages listings, and lets no read wait longer than the idle time.
type screen struct {
	Console
	ear   ear
	idle  time.Duration // 0: for ever
	paged bool          // listings stop at the end of a page, if there are pages

	ctx     context.Context // of the running command
	live    bool            // what runs shows its output as it comes
	dirty   bool            // the cursor is not at the start of a line
	used    int             // rows written since the last question or page
	stopped bool            // the operator has seen enough of this listing
}

// begin is the start of a command.
func (s *screen) begin(ctx context.Context) { s.ctx, s.live = ctx, false }

// end is its end: what is read next is a command line.
func (s *screen) end() { s.ear.about = "" }

// Write shows p, a page at a time where somebody reads it. Any key goes on, as
// on the appliance, but q, which is our addition: until the next question
// nothing more is written then, and Write returns ErrStopped. After Ctrl-C at
// the pager it returns ErrInterrupt.
func (s *screen) Write(p []byte) (int, error) {
	rest := p
	for len(rest) > 0 {
		if s.stopped {
			return len(p) - len(rest), ErrStopped
		}
		n := len(rest)
		page := s.page()
		if i := bytes.IndexByte(rest, lineFeed); i >= 0 && page > 0 {
			n = i + 1
		}
		rows := s.height(rest[:n])
		if page > 0 && !s.dirty && s.used > 0 && s.used+rows > page {
			if err := s.more(); err != nil {
				return len(p) - len(rest), err
			}
		}
		if _, err := s.Console.Write(rest[:n]); err != nil {
			return len(p) - len(rest), err
		}
		if s.dirty = rest[n-1] != lineFeed; !s.dirty {
			s.used += rows
		}
		rest = rest[n:]
	}
	return len(p), nil
}

// height is the number of rows that a line takes.
func (s *screen) height(line []byte) int {
	cols, _ := s.Size()
	if cols <= 0 {
		return 1
	}
	return 1 + max(0, textWidth(string(bytes.TrimRight(line, "\r\n")))-1)/cols
}

// page is the number of rows of a page, 0 for no pages.
func (s *screen) page() int {
	if !s.paged || s.live || !s.Interactive() {
		return 0
	}
	_, rows := s.Size()
	switch {
	case rows <= 0:
		rows = 24
	case rows >= unlimitedRows:
		return 0
	}
	return max(1, rows-1)
}

// more waits for a key at the end of a page.
func (s *screen) more() error {
	if _, err := io.WriteString(s.Console, morePrompt); err != nil {
		return err
	}
	ctx, cancel := s.bounded(s.ctx)
	defer cancel()
	key, err := s.ReadKey(ctx)
	if _, err := io.WriteString(s.Console, "\r"+strings.Repeat(" ", len(morePrompt))+"\r"); err != nil {
		return err
	}
	s.used = 0
	if err == nil && key != 'q' && key != 'Q' {
		return nil
	}
	// What follows is a prompt, which no program finds on a line that was erased.
	s.stopped, s.dirty = true, true
	if err == nil {
		err = ErrStopped
	}
	return err
}

// freshLine brings the cursor to the start of a line.
func (s *screen) freshLine() error {
	if !s.dirty {
		return nil
	}
	s.dirty = false
	_, err := io.WriteString(s.Console, "\n")
	return err
}

// question starts a question: a listing before it is over.
func (s *screen) question() error {
	s.stopped = false
	return s.freshLine()
}

// read asks with a prompt at the start of a line.
func (s *screen) read(ctx context.Context, p Prompt) (string, error) {
	if err := s.question(); err != nil {
		return "", err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	line, err := s.ReadLine(ctx, p)
	s.used = 0
	return line, err
}

// bounded is ctx until the operator has been idle for too long.
func (s *screen) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.idle <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, s.idle, ErrIdle)
}
