package shell

import (
	"bytes"
	"context"
	"io"
	"strings"
)

// Plain is the Console of a session without terminal: prompts and results are
// written as an appliance does over `ssh -T`, nothing is echoed, paged or
// coloured, and nobody is asked twice. Since no echo shows the Enter of an
// answer, the line is ended for it.
type Plain struct {
	in      *input
	out     *lineEnds
	discard bool
}

// PlainOptions tell a Plain about its session.
type PlainOptions struct {
	// CRLF ends lines with CR LF: an exec request with a pty.
	CRLF bool
	// Discard reads and drops the input: questions find its end. Ctrl-C still
	// interrupts.
	Discard bool
}

// NewPlain starts reading in, of which the Plain is the only reader from here
// on. The reading goroutine ends when in ends: who opened in closes it.
func NewPlain(in io.Reader, out io.Writer, o PlainOptions) *Plain {
	return &Plain{in: newInput(in, o.Discard, o.Discard), out: &lineEnds{w: out, crlf: o.CRLF}, discard: o.Discard}
}

// Close ends every read with io.EOF. It does not close the reader and writer.
func (c *Plain) Close() error {
	c.in.close()
	return nil
}

// Write shows text.
func (c *Plain) Write(p []byte) (int, error) { return c.out.Write(p) }

// Size is not known.
func (c *Plain) Size() (cols, rows int) { return 0, 0 }

// Interactive is false: the next line may be meant for the next question.
func (c *Plain) Interactive() bool { return false }

// OnInterrupt has f called at 0x03, with Discard only.
func (c *Plain) OnInterrupt(f func()) (stop func()) { return c.in.onInterrupt(f) }

// ReadKey reads one byte.
func (c *Plain) ReadKey(ctx context.Context) (rune, error) {
	b, err := c.in.next(ctx)
	return rune(b), err
}

// ReadLine reads to the next LF, or the end of the input; a CR before it is
// dropped, and so are control characters in the line. A line that is only 0x04
// is Ctrl-D.
func (c *Plain) ReadLine(ctx context.Context, p Prompt) (string, error) {
	if _, err := io.WriteString(c.out, p.Text); err != nil {
		return "", err
	}
	if p.Text != "" {
		defer io.WriteString(c.out, "\n")
	}
	var line []byte
	tooLong, began := false, false
	for {
		b, err := c.in.next(ctx)
		if err != nil && !(err == io.EOF && began) {
			return "", err
		}
		if b == lineFeed || err != nil {
			break
		}
		began = true
		if tooLong = tooLong || len(line) > MaxLine; !tooLong {
			line = append(line, b)
		}
	}
	line = bytes.TrimSuffix(line, []byte{enter})
	if tooLong || len(line) > MaxLine {
		return "", ErrLineTooLong
	}
	if len(line) == 1 && line[0] == ctrlD {
		return "", io.EOF
	}
	return clean(line), nil
}

// clean keeps the printable characters of a line, with a blank for a tab, and
// for a line end inside of it.
func clean(line []byte) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == tab, r == lineFeed:
			return ' '
		case !printable(r):
			return -1
		}
		return r
	}, string(line))
}

// lineEnds writes text whose lines end in LF, with CR LF where that is wanted.
type lineEnds struct {
	w    io.Writer
	crlf bool
	last byte
}

func (l *lineEnds) Write(p []byte) (int, error) {
	if !l.crlf || len(p) == 0 {
		return l.w.Write(p)
	}
	out := make([]byte, 0, len(p)+16)
	for _, b := range p {
		if b == lineFeed && l.last != enter {
			out = append(out, enter)
		}
		out = append(out, b)
		l.last = b
	}
	if _, err := l.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}
