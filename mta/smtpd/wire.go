package smtpd

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"esa/mta/message"
)

// Sizes of the wire. A command line is bounded as Postfix bounds it: ORCPT
// alone may be 500 bytes long, so that RFC 5321's 512 do not suffice.
const (
	inputBuffer = 16 << 10
	maxLine     = 2048        // with its line end
	maxTail     = 64 << 10    // of a longer line that is skipped before we give up
	maxReplies  = 8 << 10     // gathered before they are sent
	maxFarewell = 1 << 20     // read and dropped so that our last reply arrives
	linger      = time.Second // for it
)

var (
	errLongLine = errors.New("line too long")
	errEndless  = errors.New("line without end")
	errBareLF   = errors.New("line ended by a bare LF")
	errDeaf     = errors.New("client takes no replies")
	errDraining = errors.New("server is draining")
)

// wire is the network side of a session: it reads lines and texts, gathers
// replies, and keeps deadlines. Replies go out in one write, before the wire
// waits for input.
type wire struct {
	killed    atomic.Bool   // by abandon
	conn      net.Conn      // what was accepted; deadlines are its own
	stream    io.ReadWriter // conn, or TLS over it
	secured   *tls.Conn     // stream, if it is TLS
	writeWait time.Duration
	in        []byte // in[r:w] is read and not yet used
	r, w      int
	out       []byte
	broken    error // replies cannot be sent any more

	mu    sync.Mutex
	idle  bool // it waits for a command, with no message under way
	awake bool // Drain or Suspend has called

	gone chan struct{} // closed when the session has ended
}

func newWire(conn net.Conn, writeWait time.Duration) *wire {
	return &wire{conn: conn, stream: conn, writeWait: writeWait, in: make([]byte, inputBuffer), gone: make(chan struct{})}
}

// wake makes an idle wait end with errDraining, now and later.
func (w *wire) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.awake = true
	if w.idle {
		_ = w.conn.SetReadDeadline(time.Unix(1, 0)) // a broken connection wakes by itself
	}
}

// woken reports whether the session is to end where it can.
func (w *wire) woken() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.awake
}

// abandon closes the connection under whoever uses it.
func (w *wire) abandon() {
	w.killed.Store(true)
	_ = w.conn.Close() // nobody waits for its result
}

// wait sets the deadline of the next read.
func (w *wire) wait(until time.Time, idle bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if idle && w.awake {
		return errDraining
	}
	w.idle = idle
	return w.conn.SetReadDeadline(until)
}

// fill sends what is to be sent and reads more. There must be room in the
// buffer.
func (w *wire) fill(until time.Time, idle bool) (int, error) {
	if err := w.flush(); err != nil {
		return 0, err
	}
	if err := w.wait(until, idle); err != nil {
		return 0, err
	}
	n, err := w.stream.Read(w.in[w.w:])
	w.w += n
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle = false
	if idle && w.awake && n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, errDraining
	}
	if n > 0 {
		return n, nil // an error comes again
	}
	return 0, err
}

// readLine reads one command line and returns it without its CRLF; it is
// valid until the next read. The deadline is that of the whole line.
// errLongLine and errBareLF leave the wire at the begin of the next line.
func (w *wire) readLine(until time.Time, idle bool) ([]byte, error) {
	if len(w.out) > maxReplies {
		if err := w.flush(); err != nil {
			return nil, err
		}
	}
	seen, skipped := 0, 0
	for {
		if i := bytes.IndexByte(w.in[w.r+seen:w.w], '\n'); i >= 0 {
			end := w.r + seen + i
			line := w.in[w.r:end]
			w.r = end + 1
			switch {
			case skipped > 0 || len(line)+1 > maxLine:
				return nil, errLongLine
			case len(line) == 0 || line[len(line)-1] != '\r':
				return nil, errBareLF
			}
			return line[:len(line)-1], nil
		}
		seen = w.w - w.r
		if seen > maxLine {
			skipped += seen
			w.r, w.w, seen = 0, 0, 0
			if skipped > maxTail {
				return nil, errEndless
			}
		}
		w.compact()
		if _, err := w.fill(until, idle && seen == 0 && skipped == 0); err != nil {
			return nil, err
		}
	}
}

// compact moves what is unread to the front of the buffer.
func (w *wire) compact() {
	if w.r > 0 {
		w.w = copy(w.in, w.in[w.r:w.w])
		w.r = 0
	}
}

// pending reports whether input waits: read already, or in the socket.
func (w *wire) pending() bool {
	if w.r < w.w || w.secured != nil && w.decrypted() {
		return true
	}
	sc, ok := w.conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	var got int
	if err := raw.Control(func(fd uintptr) {
		var b [1]byte
		got, _, _ = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT) // -1: nothing there
	}); err != nil {
		return false
	}
	return got > 0
}

// decrypted reads what TLS has taken from the socket and not given yet.
func (w *wire) decrypted() bool {
	if w.w == len(w.in) {
		w.r, w.w = 0, 0
	}
	if w.conn.SetReadDeadline(time.Unix(1, 0)) != nil { // the next wait sets another
		return false
	}
	n, _ := w.stream.Read(w.in[w.w:]) // an error comes again
	w.w += n
	return n > 0
}

// reply gathers one reply; each line of text is a line of it.
func (w *wire) reply(code int, text string) {
	for {
		line, rest, more := strings.Cut(text, "\n")
		w.out = strconv.AppendInt(w.out, int64(code), 10)
		if more {
			w.out = append(w.out, '-')
		} else {
			w.out = append(w.out, ' ')
		}
		w.out = append(w.out, strings.TrimSuffix(line, "\r")...)
		w.out = append(w.out, '\r', '\n')
		if !more {
			return
		}
		text = rest
	}
}

// flush sends the gathered replies in one write.
func (w *wire) flush() error {
	if w.broken != nil || len(w.out) == 0 {
		return w.broken
	}
	if err := w.conn.SetWriteDeadline(time.Now().Add(w.writeWait)); err != nil {
		return err
	}
	if _, err := w.stream.Write(w.out); err != nil {
		w.broken = fmt.Errorf("%w: %v", errDeaf, err) // not a timeout of the client's silence
	}
	w.out = w.out[:0]
	return w.broken
}

// farewell sends the last replies and sees to it that they arrive: a
// connection closed over unread input is reset, and the reset overtakes them.
func (w *wire) farewell() {
	if w.flush() != nil {
		return
	}
	if w.secured != nil && w.secured.CloseWrite() != nil {
		return
	}
	half, ok := w.conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || w.wait(time.Now().Add(linger), false) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, w.conn, maxFarewell) // whatever ends it ends us
}

// pace is how long a text may take: a wait that bytes prolong.
type pace struct {
	most  time.Duration
	rate  int64 // bytes a second
	until time.Time
}

func newPace(most time.Duration, rate int64) pace {
	return pace{most: most, rate: rate, until: time.Now().Add(most)}
}

// progress prolongs the wait for n bytes by what they may take.
func (p *pace) progress(n int) {
	p.until = p.until.Add(time.Duration(n) * time.Second / time.Duration(p.rate))
	if latest := time.Now().Add(p.most); p.until.After(latest) {
		p.until = latest
	}
}

// dataReader gives the text of a DATA command, without stuffing. It returns
// io.EOF at the end of data and nowhere else.
type dataReader struct {
	wire  *wire
	pace  pace
	dots  message.Unstuffer
	ended bool
	err   error // io.EOF, or why there is no end
}

func (d *dataReader) Read(p []byte) (int, error) {
	w := d.wire
	for d.err == nil {
		if w.r == w.w {
			w.r, w.w = 0, 0
			n, err := w.fill(d.pace.until, false)
			if err != nil {
				d.err = err
				if err == io.EOF {
					d.err = io.ErrUnexpectedEOF
				}
				break
			}
			d.pace.progress(n)
		}
		wrote, read, end := d.dots.Decode(p, w.in[w.r:w.w])
		w.r += read
		if end {
			d.ended, d.err = true, io.EOF
		}
		if wrote > 0 || len(p) == 0 {
			return wrote, nil
		}
	}
	return 0, d.err
}
