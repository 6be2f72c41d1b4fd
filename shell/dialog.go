package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Dialog is the conversation of one command with its operator. Its calls stand
// in the order of the screen. It keeps the first error (Ctrl-C, end of input,
// idle time, a session that ends): from then on nothing is shown, questions
// return their default at once and menus end. So a command looks at Err once,
// before it applies what it collected:
//
//	for d.Menu(summary, ops...) {
//		set := current
//		set.Size = d.Int("Please enter the size.", set.Size, 1, 100)
//		set.On = d.YesNo("Do you want it on?", set.On)
//		if d.Err() != nil {
//			break
//		}
//		current = set
//	}
//	return d.Err()
//
// A question shows an empty line, its text, and its default in brackets; Enter
// takes the default. A refused answer shows why and asks again. In a session
// that is not interactive it fails the command instead: the next line would be
// taken for an answer that it is not.
type Dialog struct {
	screen *screen
	ctx    context.Context
	err    error
	op     string
}

// Err is why the dialog is over, nil while it is not. A command returns it.
func (d *Dialog) Err() error {
	if d.err == nil && d.ctx.Err() != nil {
		return context.Cause(d.ctx)
	}
	return d.err
}

// Context is for work that takes time. It ends at Ctrl-C, and with the session.
func (d *Dialog) Context() context.Context { return d.ctx }

// Interactive tells whether a person sits at the other end.
func (d *Dialog) Interactive() bool { return d.screen.Interactive() }

// Columns is the width of the terminal, 80 where it is not known.
func (d *Dialog) Columns() int {
	if cols, _ := d.screen.Size(); cols > 0 {
		return cols
	}
	return 80
}

// Text shows verbatim lines, and ends the last one.
func (d *Dialog) Text(lines string) {
	if n := len(lines); n == 0 || lines[n-1] != '\n' {
		lines += "\n"
	}
	_, _ = io.WriteString(d, lines)
}

// Printf shows formatted text as it is; it adds no line end.
func (d *Dialog) Printf(format string, args ...any) { _, _ = fmt.Fprintf(d, format, args...) }

// Write shows p, for printers that take an io.Writer. It returns ErrStopped when
// the operator wants no more of a listing: a long one ends then.
func (d *Dialog) Write(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	n, err := d.screen.Write(p)
	if err != nil && !errors.Is(err, ErrStopped) {
		d.err = err
	}
	return n, err
}

// Live turns paging off until the command ends: for output that is watched as
// it comes.
func (d *Dialog) Live() { d.screen.live = true }

// SetPaging has listings of this session stop at the end of a page, or not, from
// here on; Paging tells whether they do. A session without terminal has no pages.
func (d *Dialog) SetPaging(on bool) { d.screen.paged = on }

// Paging is described with SetPaging.
func (d *Dialog) Paging() bool { return d.screen.page() > 0 }

// Refuse tells why an answer is refused, for checks that need several answers.
// Where the operator can be asked again it returns true.
func (d *Dialog) Refuse(why error) bool {
	if d.Err() != nil {
		return false
	}
	d.Text(explain(why))
	if !d.Interactive() {
		d.err = ErrFailed
	}
	return d.Err() == nil
}

// read asks for one line; ok is false once the dialog is over.
func (d *Dialog) read(p Prompt) (line string, ok bool) {
	for d.Err() == nil {
		line, err := d.screen.read(d.ctx, p)
		switch {
		case errors.Is(err, ErrLineTooLong):
			d.Refuse(err)
		case err != nil:
			d.err = err
		default:
			d.screen.ear.line(p, line)
			return line, true
		}
	}
	d.err = d.Err()
	return "", false
}

// question shows an empty line and the text of a question.
func (d *Dialog) question(text string) {
	if d.Err() != nil {
		return
	}
	d.screen.ear.asked(text)
	if d.err = d.screen.question(); d.err == nil {
		d.Text("\n" + text)
	}
}
