package smtpd

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"esa/mta/counters"
	"esa/mta/envelope"
)

// one sends a whole message after the greeting and gives the final reply.
func (c *client) one(text string) string {
	c.t.Helper()
	c.envelope()
	c.send(text + "\r\n.\r\n")
	return c.reply()
}

const plain = "Message-ID: <1@sender.test>\r\nSubject: hi\r\n\r\nhello\r\n"

func TestEnvelopeOfAcceptedMessage(t *testing.T) {
	b := newBench(t)
	c := b.dial("127.0.0.1:4711")
	defer c.close()
	c.greet()
	c.want("MAIL FROM:<a@sender.test> RET=HDRS ENVID=a+2Bb SIZE=77 SMTPUTF8", "250 ")
	c.want("RCPT TO:<joe@else.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Joe+2Bx@else.test", "250 ")
	c.want("RCPT TO:<ann@ours.test> NOTIFY=NEVER ORCPT=utf-8;gr\\x{FC}n@ours.test", "250 ")
	c.want("RCPT TO:<bob@ours.test>", "250 ")
	c.want("DATA", "354 ")
	c.send("Subject: =?utf-8?q?=C3=BC?=\r\nMessage-ID: x\r\n\r\n8-bit: \xfc\r\n.\r\n")
	if got := c.reply(); got != "250 ok:  Message 1 accepted" {
		t.Fatal(got)
	}
	got := b.spool.messages()[0]
	want := envelope.Message{
		MID: 1, ICID: 1, Received: got.m.Received, Sender: envelope.Address{Local: "a", Domain: "sender.test"},
		Recipients: []envelope.Recipient{
			{RID: 0, Address: envelope.Address{Local: "joe", Domain: "else.test"}, Notify: envelope.NotifySuccess | envelope.NotifyDelay,
				Original: "rfc822;Joe+x@else.test"},
			{RID: 1, Address: envelope.Address{Local: "ann", Domain: "ours.test"}, Notify: envelope.NotifyNever, Original: "utf-8;grün@ours.test"},
			{RID: 2, Address: envelope.Address{Local: "bob", Domain: "ours.test"}},
		},
		Size: int64(len(got.text)), Subject: "ü", Listener: "IncomingMail", Relay: true, BounceProfile: "Slow",
		EightBit: true, UTF8: true, Return: "HDRS", EnvelopeID: "a+b",
	}
	if got.m.Received.IsZero() || !reflect.DeepEqual(got.m, want) {
		t.Errorf("envelope\n%+v, want\n%+v", got.m, want)
	}
	c.want("MAIL FROM:<a@sender.test>", "250 ")
	c.want("RCPT TO:<>", "501 ")
	s := b.count.Snapshot().Counters
	if s[counters.InjMsgs].Uptime != 1 || s[counters.InjRecips].Uptime != 3 {
		t.Errorf("counters %+v", s)
	}
}

func TestRejectedRecipientsAreCounted(t *testing.T) {
	b := newBench(t)
	c := b.dial(strangerAddr)
	defer c.close()
	c.greet()
	c.want("MAIL FROM:<a@sender.test>", "250 ")
	c.want("RCPT TO:<joe@else.test>", "550 ")
	if n := b.count.Snapshot().Counters[counters.RejectedRecips].Uptime; n != 1 {
		t.Errorf("%d rejected recipients counted", n)
	}
}

// Promises R6 and R7: a fault of ours is answered 4xx, nothing is kept, and
// the session goes on when the fault is gone.
func TestFaultsAreTemporary(t *testing.T) {
	eio, full := errors.New("input/output error"), &net.OpError{Op: "write", Err: syscall.ENOSPC}
	for _, tt := range []struct {
		name    string
		fail    func(s *memory)
		command string // that is answered
		want    string
	}{
		{"no room at MAIL", func(s *memory) { s.room = ErrNoSpace }, "MAIL", "452 #4.3.1 queue full"},
		{"room unknown", func(s *memory) { s.room = eio }, "MAIL", "451 #4.3.0 Server Error"},
		{"no room at DATA", func(s *memory) { s.begin = ErrNoSpace }, "DATA", "452 #4.3.1 queue full"},
		{"draft", func(s *memory) { s.begin = eio }, "DATA", "451 #4.3.0 Server Error"},
		{"write", func(s *memory) { s.write = eio }, "end", "451 #4.3.0 Server Error"},
		{"disk full", func(s *memory) { s.write = full }, "end", "452 #4.3.1 queue full"},
		{"commit", func(s *memory) { s.commit = eio }, "end", "451 #4.3.0 Server Error"},
		{"disk full at commit", func(s *memory) { s.commit = full }, "end", "452 #4.3.1 queue full"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			c := b.dial(strangerAddr)
			defer c.close()
			c.greet()
			b.spool.fail(tt.fail)
			got := c.ask("MAIL FROM:<a@sender.test>")
			if tt.command != "MAIL" {
				c.want("RCPT TO:<ok@ours.test>", "250 ")
				got = c.ask("DATA")
			}
			if tt.command == "end" {
				c.send(plain + ".\r\n")
				got = c.reply()
			}
			if got != tt.want {
				t.Errorf("answered %q, want %q", got, tt.want)
			}
			c.want("RCPT TO:<ok@ours.test>", "503 ")
			if n := len(b.spool.messages()); n != 0 || b.spool.open() != 0 {
				t.Errorf("%d messages, %d drafts kept", n, b.spool.open())
			}
			b.spool.fail(func(s *memory) { s.room, s.begin, s.write, s.commit = nil, nil, nil, nil })
			if got := c.one(plain); !strings.HasPrefix(got, "250 ok:") {
				t.Errorf("after the fault: %q", got)
			}
		})
	}
}

func TestPanicEndsOneSession(t *testing.T) {
	b := newBench(t)
	b.srv.Crash = false
	var diag strings.Builder
	b.srv.Diag = slog.New(slog.NewTextHandler(&diag, nil))
	other := b.dial(strangerAddr)
	defer other.close()
	other.greet()
	c := b.dial(strangerAddr)
	c.greet()
	c.want("MAIL FROM:<a@sender.test>", "250 ")
	c.want("RCPT TO:<ok@ours.test>", "250 ")
	b.spool.fail(func(s *memory) { s.panics = true })
	c.want("DATA", "421 gw.test Service not available")
	c.close()
	contains(t, diag.String(), "planted", "harness_test.go")
	contains(t, b.log(), "Message finished MID 1 aborted", "ICID 2 close")
	b.spool.fail(func(s *memory) { s.panics = false })
	if got := other.one(plain); !strings.HasPrefix(got, "250 ok:") {
		t.Errorf("the other session: %q", got)
	}
	if n := b.srv.Connections(); n != 1 {
		t.Errorf("%d connections counted", n)
	}
}

// Attack D1: the deadline moves with progress, and only with progress.
func TestPaceOfText(t *testing.T) {
	for _, tt := range []struct {
		name         string
		bytes, every int // so many bytes each so many seconds
		want         string
	}{
		{"2 KB a second", 2048, 1, "250 ok:"},
		{"29 KB each minute, below the rate by little", 29 << 10, 60, "421 #4.4.2"},
		{"one byte each 10 seconds", 1, 10, "421 #4.4.2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				c := b.dial(strangerAddr)
				defer c.close()
				c.greet()
				c.envelope()
				c.send("Message-ID: x\r\n\r\n")
				piece := strings.Repeat("x", tt.bytes)
				for range 5000 {
					time.Sleep(time.Duration(tt.every) * time.Second)
					if _, err := io.WriteString(c.conn, piece); err != nil {
						break
					}
				}
				c.send("\r\n.\r\n")
				if got := c.reply(); !strings.HasPrefix(got, tt.want) {
					t.Errorf("answered %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// Attack A9: after the limit reading is bounded.
func TestExcessIsBounded(t *testing.T) {
	b := newBench(t)
	b.change(func(s *Settings) { s.HAT.Default.MaxSize = 1000 })
	c := b.dial(strangerAddr)
	defer c.close()
	c.greet()
	c.envelope()
	piece := strings.Repeat("x", 1<<16)
	sent := 0
	for sent < 4*mostExcess {
		n, err := io.WriteString(c.conn, piece)
		sent += n
		if err != nil {
			break
		}
	}
	if sent > mostExcess+(1<<20) {
		t.Errorf("%d bytes taken after a limit of 1000", sent)
	}
	if got := c.reply(); got != "552 #5.3.4 message size exceeds limit" {
		t.Errorf("answered %q", got)
	}
}

// One reply is one write, and so are the replies of a pipelined group.
func TestRepliesInOneWrite(t *testing.T) {
	b := newBench(t)
	c := b.dial(strangerAddr)
	c.reply()
	c.send("HELP\r\n")
	c.reply()
	c.send("MAIL FROM:<a@sender.test>\r\nRCPT TO:<ok@ours.test>\r\nRCPT TO:<no@else.test>\r\nDATA\r\n")
	for range 4 {
		c.reply()
	}
	c.send(plain + ".\r\nQUIT\r\n")
	c.reply()
	c.reply()
	c.close()
	var lines []int
	for _, w := range c.server.written() {
		lines = append(lines, strings.Count(w, "\r\n"))
	}
	if want := []int{1, 4, 4, 2}; !reflect.DeepEqual(lines, want) {
		t.Errorf("lines per write %v, want %v: %q", lines, want, c.server.written())
	}
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		idle, busy, pipelining := b.dial(strangerAddr), b.dial(strangerAddr), b.dial(strangerAddr)
		idle.greet()
		busy.greet()
		busy.envelope()
		pipelining.greet()
		pipelining.want("MAIL FROM:<a@sender.test>", "250 ")
		synctest.Wait()
		over, begun := make(chan struct{}), time.Now()
		go func() {
			defer close(over)
			b.srv.Drain(context.Background())
		}()
		if got := idle.reply(); got != "421 gw.test Service not available, closing transaction channel" {
			t.Errorf("idle session: %q", got)
		}
		idle.close()
		late := b.dial(strangerAddr)
		if got := late.reply(); !strings.HasPrefix(got, "421 gw.test ") {
			t.Errorf("a connection that comes later: %q", got)
		}
		late.close()
		busy.send(plain + ".\r\nMAIL FROM:<b@sender.test>\r\n")
		if got := busy.reply(); !strings.HasPrefix(got, "250 ok:") {
			t.Errorf("a running transaction: %q", got)
		}
		if got := busy.reply(); !strings.HasPrefix(got, "421 gw.test ") {
			t.Errorf("after it: %q", got)
		}
		busy.close()
		select {
		case <-over:
			t.Error("Drain did not wait for the open transaction")
		default:
		}
		pipelining.want("RCPT TO:<ok@ours.test>", "250 ")
		pipelining.want("RSET", "250 ")
		if got := pipelining.reply(); !strings.HasPrefix(got, "421 gw.test ") {
			t.Errorf("after RSET: %q", got)
		}
		pipelining.close()
		<-over
		if waited := time.Since(begun); waited != 0 {
			t.Errorf("an idle session was waited for, %s", waited)
		}
		if n := b.srv.Connections(); n != 0 || len(b.spool.messages()) != 1 {
			t.Errorf("%d connections, %d messages", n, len(b.spool.messages()))
		}
	})
}

func TestDrainEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		c := b.dial(strangerAddr)
		c.greet()
		c.envelope()
		c.send("Subject: half")
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		b.srv.Drain(ctx)
		if n := b.srv.Connections(); n != 0 || len(b.spool.messages()) != 0 || b.spool.open() != 0 {
			t.Errorf("%d connections, %d messages, %d drafts", n, len(b.spool.messages()), b.spool.open())
		}
		c.close()
		if log := b.log(); !strings.Contains(log, "SMTP server connection killed ICID: 1") {
			t.Errorf("log:\n%s", log)
		}
	})
}

func TestDrainEndsPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.change(func(s *Settings) { s.Limits = Limits{Soft: 1, Pause: time.Hour} })
		c := b.dial(strangerAddr)
		defer c.close()
		c.greet()
		c.send("MAIL FROM:x\r\nMAIL FROM:x\r\nMAIL FROM:x\r\n")
		synctest.Wait()
		begun := time.Now()
		b.srv.Drain(context.Background())
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("draining took %s", took)
		}
	})
}

func TestNoListenerAtAccept(t *testing.T) {
	b := newBench(t)
	b.change(nil)
	c := b.dial(strangerAddr)
	if got := c.reply(); got != "421 #4.3.2 Service not available, closing transaction channel" {
		t.Errorf("answered %q", got)
	}
	c.close()
}

// A peer that does not read is not waited for for ever.
func TestPeerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		near, far := net.Pipe()
		begun := time.Now()
		conn := &pipeConn{Conn: far, remote: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(strangerAddr))}
		b.srv.ServeConn(context.Background(), conn, b.settings)
		if took := time.Since(begun); took != time.Minute {
			t.Errorf("given up after %s", took)
		}
		_ = near.Close()
	})
}

// The part that decides is driven by go-smtp's server too.
func TestSessionBehindGoSMTP(t *testing.T) {
	b := newBench(t)
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		s := newSession(b.srv, b.settings(), b.settings)
		s.client.Addr = remoteAddr(c.Conn())
		s.decision = s.set.HAT.Decide(s.client)
		s.register()
		s.helo, s.esmtp = c.Hostname(), true
		return s, nil
	}))
	server.EnableDSN = true
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() {
		_ = server.Close()
		<-served
	}()
	b.change(func(s *Settings) { s.HAT.Groups = s.HAT.Groups[1:] }) // 127.0.0.1 is a stranger
	c, err := smtp.Dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	refusedWith := func(err error, code int) {
		t.Helper()
		var e *smtp.SMTPError
		if !errors.As(err, &e) || e.Code != code {
			t.Errorf("error %v, want %d", err, code)
		}
	}
	if err := c.Mail("a@sender.test", &smtp.MailOptions{Return: smtp.DSNReturnFull, EnvelopeID: "id"}); err != nil {
		t.Fatal(err)
	}
	refusedWith(c.Mail("b@sender.test", nil), 503)
	refusedWith(c.Rcpt("ok@else.test", nil), 550)
	if err := c.Rcpt("ok@ours.test", &smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyNever}}); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	refusedWith(c.Rcpt("ok@ours.test", nil), 502) // go-smtp's own word for MAIL first
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
	got := b.spool.messages()[0]
	if got.m.Return != "FULL" || got.m.EnvelopeID != "id" || got.m.Recipients[0].Notify != envelope.NotifyNever {
		t.Errorf("envelope %+v", got.m)
	}
	contains(t, got.text, "Received: from unknown (HELO localhost) ([127.0.0.1])", plain)
}
