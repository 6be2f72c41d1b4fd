package shell

import (
	"context"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/chzyer/readline"
)

// Terminal is the Console of a session with a terminal at its other end, such
// as an SSH channel with a pty. It never touches the terminal of the process.
//
// The line editor is chzyer/readline, kept to what it does well: an editor for
// one line lives from the prompt to Enter, gets keys that are decoded already,
// and draws nothing. Bytes are read by input, decoded by keyboard, shown by
// painter. What that avoids, all found in version 1.5.1: Ctrl-Z stops the
// process and its parent; Ctrl-T on one character, Ctrl-R without history and
// completion on a narrow screen panic in a goroutine of its own; a prompt as
// wide as the screen makes it loop; NUL and the Delete key count as end of
// input; Close hangs while a read is open; and every prompt it draws begins
// with control sequences, so that no program recognizes it.
type Terminal struct {
	in      *input
	keys    keyboard
	out     *lineEnds
	size    func() (cols, rows int)
	history *History
}

// TerminalOptions are what a Terminal is told of its session.
type TerminalOptions struct {
	Size    func() (cols, rows int) // asked whenever it matters; nil if not known
	History *History                // command lines, added to; nil for one of its own
}

// NewTerminal starts reading in, of which the Terminal is the only reader from
// here on. The reading goroutine ends when in ends: who opened in closes it.
func NewTerminal(in io.Reader, out io.Writer, o TerminalOptions) *Terminal {
	if o.Size == nil {
		o.Size = func() (int, int) { return 0, 0 }
	}
	if o.History == nil {
		o.History = &History{}
	}
	source := newInput(in, true, false)
	return &Terminal{in: source, keys: keyboard{in: source}, out: &lineEnds{w: out, crlf: true}, size: o.Size, history: o.History}
}

// Close ends every read with io.EOF. It does not close the reader and writer.
func (t *Terminal) Close() error {
	t.in.close()
	return nil
}

// Write shows text; an LF becomes CR LF.
func (t *Terminal) Write(p []byte) (int, error) { return t.out.Write(p) }

// Size is that of the options.
func (t *Terminal) Size() (cols, rows int) { return t.size() }

// Interactive is true: somebody sits at the terminal.
func (t *Terminal) Interactive() bool { return true }

// OnInterrupt has f called at 0x03 while nothing is read.
func (t *Terminal) OnInterrupt(f func()) (stop func()) { return t.in.onInterrupt(f) }

// ReadKey reads one key.
func (t *Terminal) ReadKey(ctx context.Context) (rune, error) {
	t.in.startReading()
	defer t.in.stopReading()
	return t.keys.any(ctx)
}

// ReadLine lets the operator edit a line.
func (t *Terminal) ReadLine(ctx context.Context, p Prompt) (string, error) {
	t.in.startReading()
	defer t.in.stopReading()
	e := &lineEdit{
		ctx: ctx, keys: &t.keys, prompt: p, settled: make(chan struct{}, 1),
		paint: painter{out: t.out, hidden: p.Secret, cols: func() int { cols, _ := t.size(); return cols }},
	}
	e.paint.prompt(p.Text)
	var past []string
	if p.Complete != nil {
		past = t.history.Lines()
	}
	if err := e.run(past); err != nil {
		return "", err
	}
	line := string(e.line)
	if p.Complete != nil {
		t.history.Add(strings.TrimSpace(line))
	}
	return line, nil
}

// lineEdit is the editing of one line. It stands on both sides of readline: as
// its standard input it hands over one key at a time and waits until that is
// settled, as its listener it learns what the line has become. So the two
// goroutines of readline never meet here.
type lineEdit struct {
	ctx    context.Context
	keys   *keyboard
	prompt Prompt
	paint  painter

	settled chan struct{} // readline is done with the last key
	rest    []rune        // inserted with the key that was handed over
	line    []rune
	pos     int
	tooLong bool

	over bool
	err  error // how it ended
}

// run edits until Enter, an interrupt or the end of the input. readline sees
// each of them as the end of its input, after which it has no goroutine left.
func (e *lineEdit) run(past []string) error {
	rl, err := readline.NewEx(&readline.Config{
		Stdin: e, Stdout: io.Discard, Stderr: io.Discard, Listener: e,
		FuncGetWidth: func() int { return 0 }, FuncIsTerminal: func() bool { return false },
		FuncMakeRaw: func() error { return nil }, FuncExitRaw: func() error { return nil },
		FuncOnWidthChanged: func(func()) {}, DisableAutoSaveHistory: true, HistoryLimit: historyLines + 1,
	})
	if err != nil {
		return err
	}
	for _, line := range past {
		if err := rl.SaveHistory(line); err != nil {
			return err
		}
	}
	// A line that is not empty comes once before the end does.
	for err == nil {
		_, err = rl.Readline()
	}
	if closing := rl.Terminal.Close(); closing != nil {
		return closing
	}
	return e.err
}

// Read hands readline the next key that it is to act on.
func (e *lineEdit) Read(p []byte) (int, error) {
	<-e.settled
	for {
		k, err := e.keys.next(e.ctx)
		switch {
		case err != nil:
			return e.finish("", err)
		case k.text != "":
			first, size := utf8.DecodeRuneInString(k.text)
			e.rest = []rune(k.text[size:])
			return copy(p, string(first)), nil
		case k.meta:
			return copy(p, []byte{escapeKey, k.code}), nil
		}
		switch k.code {
		case enter:
			if e.tooLong {
				return e.finish("", ErrLineTooLong)
			}
			return e.finish("", nil)
		case ctrlC:
			return e.finish("^C", ErrInterrupt)
		case ctrlD:
			if len(e.line) == 0 {
				return e.finish("", io.EOF)
			}
			return copy(p, []byte{ctrlD}), nil
		case deleteKey:
			if len(e.line) > 0 {
				return copy(p, []byte{ctrlD}), nil
			}
		case tab:
			if text := e.complete(); text != "" {
				e.rest = []rune(text[1:])
				return copy(p, text[:1]), nil
			}
		case ctrlL:
			io.WriteString(e.paint.out, "\x1b[H\x1b[2J")
			e.repaint()
		case 'P' - '@', 'N' - '@':
			if e.prompt.Complete != nil {
				return copy(p, []byte{k.code}), nil
			}
		case 'A' - '@', 'B' - '@', 'E' - '@', 'F' - '@', ctrlH, 'K' - '@', 'U' - '@', 'W' - '@', 'Y' - '@', backspace:
			return copy(p, []byte{k.code}), nil
		}
	}
}

// finish ends the line for readline too.
func (e *lineEdit) finish(mark string, err error) (int, error) {
	e.paint.end(mark)
	e.over, e.err = true, err
	return 0, io.EOF
}

// Close has nothing to do: the input belongs to the session.
func (e *lineEdit) Close() error { return nil }

// OnChange is told by readline what the line is after a key, and once before
// the first.
func (e *lineEdit) OnChange(line []rune, pos int, _ rune) ([]rune, int, bool) {
	if e.over {
		return nil, 0, false
	}
	more := e.rest
	e.rest = nil
	if excess := len(string(line)) + len(string(more)) - MaxLine; excess > 0 {
		e.tooLong = true
		more = nil
	}
	if len(more) > 0 {
		line = append(append(append([]rune(nil), line[:pos]...), more...), line[pos:]...)
		pos += len(more)
	}
	e.line, e.pos = line, pos
	e.paint.line(line, pos)
	e.settled <- struct{}{}
	return append([]rune(nil), line...), pos, len(more) > 0
}

// complete is what Tab inserts: the rest of the only word possible with a blank
// behind it, or as much as all words have in common. Where that is nothing, the
// words are listed. Outside a command line it is a blank.
func (e *lineEdit) complete() string {
	if e.prompt.Complete == nil {
		return " "
	}
	head := string(e.line[:e.pos])
	words := e.prompt.Complete(head)
	typed := len(head) - (strings.LastIndexByte(head, ' ') + 1)
	if len(words) == 0 {
		io.WriteString(e.paint.out, "\a")
		return ""
	}
	if len(words) == 1 {
		rest := words[0][typed:]
		if !strings.HasSuffix(words[0], "=") { // a value follows at once
			rest += " "
		}
		return rest
	}
	common := words[0]
	for _, w := range words[1:] {
		for !strings.HasPrefix(w, common) {
			common = common[:len(common)-1]
		}
	}
	if len(common) > typed {
		return common[typed:]
	}
	e.paint.end("")
	io.WriteString(e.paint.out, spread(words, e.paint.width()))
	e.repaint()
	return ""
}

// repaint shows prompt and line again, where the cursor is now.
func (e *lineEdit) repaint() {
	e.paint.prompt(e.prompt.Text)
	e.paint.line(e.line, e.pos)
}

// spread sets words in as many columns as fit.
func spread(words []string, cols int) string {
	widest := 0
	for _, w := range words {
		widest = max(widest, textWidth(w))
	}
	perLine := max(1, cols/(widest+2))
	var rows [][]string
	for len(words) > 0 {
		n := min(perLine, len(words))
		rows = append(rows, words[:n])
		words = words[n:]
	}
	return Columns(rows)
}
