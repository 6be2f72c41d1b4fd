package shell

import (
	"context"
	"io"
	"sync"
)

// MaxLine bounds a line that an operator or a script enters, in bytes.
const MaxLine = 64 << 10

// Console is the terminal, or the pipe, that a session talks through. Its
// reading methods are for one goroutine at a time.
type Console interface {
	// Write shows text, whose lines end in LF: the console makes of it the line
	// end that its session needs.
	io.Writer

	// ReadLine shows the prompt and reads a line, without its end, of printable
	// characters. It returns ErrInterrupt at Ctrl-C, io.EOF at Ctrl-D on an empty
	// line or when the input has ended, ErrLineTooLong, the cause that ctx ended
	// for, or why the input was cut off. io.EOF is never wrapped. After each of
	// them the cursor stands at the start of a line.
	ReadLine(ctx context.Context, p Prompt) (string, error)

	// ReadKey reads one key, whatever its length in bytes, and shows nothing.
	// Errors are those of ReadLine; a key without a character is 0.
	ReadKey(ctx context.Context) (rune, error)

	// OnInterrupt has f called when Ctrl-C comes while nothing is being read. What
	// was typed before it is dropped. f must not block. The call ends with stop.
	OnInterrupt(f func()) (stop func())

	// Size gives columns and rows, 0 where they are not known.
	Size() (cols, rows int)

	// Interactive tells whether a person may be asked again.
	Interactive() bool
}

// Prompt is what ReadLine asks with.
type Prompt struct {
	Text   string // shown before the cursor; one line
	Secret bool   // what is typed is not shown
	Paste  bool   // the line is one of a text that is pasted

	// Complete is set at the command prompt: Tab offers the words that it returns
	// for the text before the cursor, and the line goes into the history.
	Complete func(head string) []string
}

// historyLines bounds a History.
const historyLines = 500

// History is the command lines that the arrow keys bring back, oldest first.
// A caller that keeps one per user hands it to every console of that user. The
// zero value is empty and ready; it is safe for concurrent use.
type History struct {
	mu    sync.Mutex
	lines []string
}

// Add remembers a line, unless it is empty or the last one again.
func (h *History) Add(line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.lines); line == "" || n > 0 && h.lines[n-1] == line {
		return
	}
	h.lines = append(h.lines, line)
	if extra := len(h.lines) - historyLines; extra > 0 {
		h.lines = append([]string(nil), h.lines[extra:]...)
	}
}

// Lines returns a copy of the lines, oldest first.
func (h *History) Lines() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.lines...)
}
