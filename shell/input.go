package shell

import (
	"bytes"
	"context"
	"io"
	"sync"
	"unicode"
	"unicode/utf8"
)

// maxAhead bounds what is read ahead of the questions, in bytes: enough for a
// pasted certificate chain. Beyond it the reader waits.
const maxAhead = 256 << 10

// input owns the reader of a session. One goroutine reads it and keeps what
// comes until it is asked for: so Ctrl-C is noticed while a command works, and
// nothing that was pasted is lost between two questions.
type input struct {
	signals bool // 0x03 interrupts the running command while nothing is read
	discard bool // what comes is dropped, but for interrupts

	arrived chan struct{} // something came, capacity 1
	taken   chan struct{} // something was taken, capacity 1
	closed  chan struct{}
	once    sync.Once

	mu        sync.Mutex
	buf       []byte
	err       error // why nothing more comes
	reading   bool
	interrupt func() // of the running command; nil while none runs
}

// newInput starts reading r. The goroutine ends when r does, or soon after
// close when r gives something.
func newInput(r io.Reader, signals, discard bool) *input {
	in := &input{
		signals: signals, discard: discard,
		arrived: make(chan struct{}, 1), taken: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	go in.pump(r)
	return in
}

func (in *input) close() { in.once.Do(func() { close(in.closed) }) }

func (in *input) pump(r io.Reader) {
	chunk := make([]byte, 4096)
	for {
		n, err := r.Read(chunk)
		full := in.put(chunk[:n], err)
		if err != nil {
			return
		}
		for full {
			select {
			case <-in.taken:
				full = in.put(nil, nil)
			case <-in.closed:
				return
			}
		}
	}
}

// put keeps what came and tells whether that is enough for now.
func (in *input) put(p []byte, err error) (full bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if i := bytes.LastIndexByte(p, ctrlC); i >= 0 && in.signals && !in.reading && in.interrupt != nil {
		in.buf = nil
		p = p[i+1:]
		in.interrupt()
	}
	if !in.discard {
		in.buf = append(in.buf, p...)
	}
	if err != nil {
		// Kept as it is: a script that was cut off is not one that has ended. No
		// interrupt: the input of `ssh -tt host < script` ends long before its last
		// command does.
		in.err = err
	}
	notify(in.arrived)
	return len(in.buf) >= maxAhead
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// startReading and stopReading stand around a question: between them 0x03 is a
// key like any other.
func (in *input) startReading() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.reading = true
}

func (in *input) stopReading() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.reading = false
	in.interruptAhead()
}

// onInterrupt sets what 0x03 calls while nothing is read.
func (in *input) onInterrupt(f func()) (stop func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.interrupt = f
	in.interruptAhead()
	return func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.interrupt = nil
	}
}

// interruptAhead interrupts if the next key, typed ahead, is 0x03.
func (in *input) interruptAhead() {
	if in.signals && in.interrupt != nil && len(in.buf) > 0 && in.buf[0] == ctrlC {
		in.buf = in.buf[1:]
		in.interrupt()
	}
}

// next waits for a byte.
func (in *input) next(ctx context.Context) (byte, error) {
	for {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		in.mu.Lock()
		if len(in.buf) > 0 {
			b := in.buf[0]
			in.advance(1)
			in.mu.Unlock()
			return b, nil
		}
		err := in.err
		in.mu.Unlock()
		if in.discard {
			return 0, io.EOF
		}
		if err != nil {
			return 0, err
		}
		select {
		case <-in.arrived:
		case <-ctx.Done():
		case <-in.closed:
			return 0, io.EOF
		}
	}
}

func (in *input) advance(n int) {
	in.buf = in.buf[n:]
	if len(in.buf) == 0 {
		in.buf = nil
	}
	notify(in.taken)
}

// unread gives back a byte.
func (in *input) unread(b byte) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.buf = append([]byte{b}, in.buf...)
}

// skip takes b if it has come next, and tells so.
func (in *input) skip(b byte) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.buf) == 0 || in.buf[0] != b {
		return false
	}
	in.advance(1)
	return true
}

// waiting tells whether a byte can be had at once.
func (in *input) waiting() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.buf) > 0
}

// text takes the printable characters that have come already, up to the first
// other one.
func (in *input) text() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	n := 0
	for n < len(in.buf) && utf8.FullRune(in.buf[n:]) {
		r, size := utf8.DecodeRune(in.buf[n:])
		if !printable(r) {
			break
		}
		n += size
	}
	s := string(in.buf[:n])
	in.advance(n)
	return s
}

// printable tells whether r may stand in a line. Control and format characters
// may not: what an operator enters is shown to others later. (U+FFFD is what an
// invalid byte decodes to.)
func printable(r rune) bool { return unicode.IsPrint(r) && r != utf8.RuneError }
