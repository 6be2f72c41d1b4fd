package smtpd

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Attack B8 and A8 on a real socket: input that waits unread is seen too.

func TestInputBeforeTheGreeting(t *testing.T) {
	b := newBench(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	if _, err := io.WriteString(near, "EHLO early.test\r\n"); err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	// Loopback delivers before Write returns; waiting for the byte makes sure.
	peeked := bufio.NewReader(far)
	if _, err := peeked.Peek(1); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(near, "MAIL FROM:<a@sender.test>\r\n"); err != nil {
		t.Fatal(err)
	}
	b.srv.ServeConn(t.Context(), far, b.settings)
	if got, _ := io.ReadAll(near); len(got) != 0 { // the reset is an error, too
		t.Errorf("answered %q", got)
	}
	contains(t, b.log(), "ICID 1 Unknown command: input before the greeting", "ICID 1 close")
}

// The last reply arrives although the client goes on sending (attack A3, A9).
func TestLastReplyArrives(t *testing.T) {
	b := newBench(t)
	b.change(func(s *Settings) { s.HAT.Default.MaxSize = 1000 })
	c := b.tcp()
	r := bufio.NewReader(c)
	for _, command := range []string{"", "EHLO probe.test\r\n", "MAIL FROM:<a@sender.test>\r\n", "RCPT TO:<ok@ours.test>\r\n", "DATA\r\n"} {
		if _, err := io.WriteString(c, command); err != nil {
			t.Fatal(err)
		}
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line[3] == ' ' {
				break
			}
		}
	}
	text := bytes.Repeat([]byte("x"), mostExcess+4000)
	if _, err := c.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "552 ") {
		t.Errorf("got %q, %v", line, err)
	}
}

// halfOpen is a feed that can be closed one way.
type halfOpen struct {
	feed
	half bool
}

func (h *halfOpen) CloseWrite() error {
	h.half = true
	return nil
}

// Input that is unread at a close would turn it into a reset: it is read
// after the last reply, within bounds.
func TestFarewellReadsTheRest(t *testing.T) {
	for _, tt := range []struct{ rest, left int }{{100 << 10, 0}, {maxFarewell + (100 << 10), (100 << 10) - inputBuffer}} {
		h := &halfOpen{feed: feed{in: bytes.NewReader([]byte("QUIT\r\n" + strings.Repeat("x", tt.rest)))}}
		b := newBench(t)
		b.srv.ServeConn(t.Context(), h, b.settings)
		if !h.half || h.in.Len() > max(0, tt.left+64) || tt.left > 0 && h.in.Len() == 0 {
			t.Errorf("%d bytes after QUIT: half closed %v, %d left", tt.rest, h.half, h.in.Len())
		}
	}
}

// connect opens a connection and leaves its greeting to be read.
func connect(b *bench) (*bufio.Reader, net.Conn) {
	c := b.tcp()
	return bufio.NewReader(c), c
}

// line reads one line, which must begin so.
func line(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	if got, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// A place is free when the client has the last reply, although we may wait
// for it to close; and those who are turned away take none (attack D2).
func TestPlaceIsFreeWithTheLastReply(t *testing.T) {
	b := newBench(t)
	b.change(func(s *Settings) { s.MaxConnections = 1 })
	first, conn := connect(b)
	line(t, first, "220 ")
	for range 2 {
		refused, _ := connect(b) // and left open
		line(t, refused, "421 #4.4.5 ")
	}
	if _, err := io.WriteString(conn, "QUIT\r\n"); err != nil {
		t.Fatal(err)
	}
	line(t, first, "221 ")
	again, _ := connect(b)
	line(t, again, "220 ")
	if _, err := first.ReadByte(); err != io.EOF {
		t.Errorf("after QUIT: %v", err)
	}
}

// D2: the process has as many connections as it can hold; one more is told so
// and let go, and the places of others are free again when they leave.
func TestConnectionsOfAllListenersAreBounded(t *testing.T) {
	b := newBench(t)
	b.srv.MaxConnections = 1
	first, conn := connect(b)
	line(t, first, "220 ")
	refused, _ := connect(b)
	line(t, refused, "421 #4.4.5 Too many connections to this host.")
	if _, err := refused.ReadByte(); err == nil {
		t.Error("the refused connection goes on")
	}
	if _, err := io.WriteString(conn, "QUIT\r\n"); err != nil {
		t.Fatal(err)
	}
	line(t, first, "221 ")
	conn.Close()
	for b.srv.Connections() > 0 {
		runtime.Gosched() // the server sees the close
	}
	again, _ := connect(b)
	line(t, again, "220 ")
}
