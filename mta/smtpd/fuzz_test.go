package smtpd

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"esa/mta/envelope"
	"esa/mta/message"
)

// feed is a connection whose input is there at once and whose output goes to
// a buffer: for fuzzing and measuring.
type feed struct {
	in  *bytes.Reader
	out bytes.Buffer
}

func (f *feed) Read(p []byte) (int, error)     { return f.in.Read(p) }
func (f *feed) Write(p []byte) (int, error)    { return f.out.Write(p) }
func (*feed) Close() error                     { return nil }
func (*feed) LocalAddr() net.Addr              { return nil }
func (*feed) SetDeadline(time.Time) error      { return nil }
func (*feed) SetReadDeadline(time.Time) error  { return nil }
func (*feed) SetWriteDeadline(time.Time) error { return nil }
func (*feed) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(strangerAddr))
}

// play serves a whole session's bytes and gives the replies.
func (b *bench) play(in string) string {
	f := &feed{in: bytes.NewReader([]byte(in))}
	b.srv.ServeConn(context.Background(), f, b.settings)
	return f.out.String()
}

// FuzzMailArgument and FuzzRcptArgument: what is taken is clean, and an
// address is in its one form.
func FuzzMailArgument(f *testing.F) {
	for _, seed := range []string{"FROM:<a@b.test> SIZE=1 BODY=8BITMIME RET=FULL ENVID=a+2Bb SMTPUTF8", "from: <>", "FROM:<a> SIZE=",
		`FROM:<"a>b"@c.test> ENVID=+0A`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		path, o, bad := parseMail(arg)
		if bad != nil {
			if !isPrintable(bad.reply) {
				t.Fatalf("%q: reply %q", arg, bad.reply)
			}
			return
		}
		onePath(t, path)
		if !isPrintable(o.EnvelopeID) || o.Size < 0 {
			t.Fatalf("%q: %+v", arg, o)
		}
	})
}

func FuzzRcptArgument(f *testing.F) {
	for _, seed := range []string{"TO:<a@b.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@c.test", `TO:<a@b.test> ORCPT=utf-8;\x{FC}@c`,
		"to: <postmaster>", "TO:<a@b.test> NOTIFY=NEVER,NEVER"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		path, o, bad := parseRcpt(arg)
		if bad != nil {
			if !isPrintable(bad.reply) {
				t.Fatalf("%q: reply %q", arg, bad.reply)
			}
			return
		}
		onePath(t, path)
		text, ok := original(o)
		if !ok || strings.ContainsAny(text, "\r\n\x00\x1b") {
			t.Fatalf("%q: ORCPT %q, %v", arg, text, ok)
		}
		if n, ok := notify(o.Notify); !ok || n < 0 {
			t.Fatalf("%q: NOTIFY %v", arg, o.Notify)
		}
	})
}

func onePath(t *testing.T, path string) {
	t.Helper()
	a, rest, err := envelope.ParsePath("<" + path + ">")
	if err != nil || rest != "" || a.String() != path {
		t.Fatalf("path %q parses to %q, rest %q, %v", path, a, rest, err)
	}
}

// FuzzCommandLine: a line is answered by one reply, or the session ends.
func FuzzCommandLine(f *testing.F) {
	for _, seed := range []string{"EHLO a", "HELO \x00", "MAIL FROM:<>", "DATA", "help", "GET / HTTP/1.1", "\xff", "BDAT 1", "QUIT", "RCPT TO:<a@b>"} {
		f.Add(seed)
	}
	b := newBench(f)
	b.change(relax)
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\n") {
			return
		}
		out := replies(t, b.play(line+"\r\n"))
		if len(out) < 1 || len(out) > 2 {
			t.Fatalf("%q: %q", line, out)
		}
	})
}

// replies takes the server's output apart and checks its form.
func replies(t testing.TB, out string) []string {
	t.Helper()
	var all []string
	var lines []string
	for line := range strings.Lines(out) {
		text, ok := strings.CutSuffix(line, "\r\n")
		if !ok || len(text) < 4 || strings.ContainsAny(text, "\r\n\x00\x1b") || text[0] < '2' || text[0] > '5' ||
			text[3] != ' ' && text[3] != '-' {
			t.Fatalf("bad reply line %q in %q", line, out)
		}
		if lines = append(lines, text); text[3] == ' ' {
			all, lines = append(all, strings.Join(lines, "\n")), nil
		}
	}
	if lines != nil {
		t.Fatalf("unfinished reply %q", lines)
	}
	return all
}

// FuzzData: of any bytes after 354, exactly what stands before the first
// CRLF . CRLF is the message, mended as the mode says, and there is none
// without it. A header in front of them leaves nothing to add.
func FuzzData(f *testing.F) {
	for _, seed := range []string{"hi\r\n.\r\n", ".\r\n", "a\n.\nb\r\n.\r\n", "..\r\n.\r\nNOOP\r\n", "a\r.\r\n", "\r\r\n.\r\n", "a: b\r\n\r\nc\r\n.\r\n"} {
		f.Add(seed, uint8(0))
	}
	b := newBench(f)
	f.Fuzz(func(t *testing.T, in string, mode uint8) {
		b.change(func(s *Settings) {
			relax(s)
			s.Received, s.BareLines = false, message.Mode(mode%3)
		})
		b.spool.fail(func(s *memory) { s.stored = nil })
		in = "Message-ID: x\r\n\r\n" + in
		receiveOnly(b, in)
		want, end := meaning(in, message.Mode(mode%3))
		got := b.spool.messages()
		switch {
		case !end && len(got) != 0:
			t.Fatalf("%q: stored %+v", in, got)
		case end && (len(got) != 1 || got[0].text != want || got[0].m.Size != int64(len(want))):
			t.Fatalf("%q: stored %+v, want %q", in, got, want)
		}
	})
}

// meaning is what RFC 5321 §4.5.2 and the mode make of the bytes after 354,
// written down as simply as it can be.
func meaning(in string, mode message.Mode) (text string, accepted bool) {
	text, _, accepted = strings.Cut("\r\n"+in, "\r\n.\r\n")
	text = strings.TrimPrefix(strings.ReplaceAll(text+"\r\n", "\r\n.", "\r\n"), "\r\n")
	clean := strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	clean = strings.ReplaceAll(clean, "\n", "\r\n")
	switch mode {
	case message.Clean:
		return clean, accepted
	case message.Reject:
		return text, accepted && text == clean
	default:
		return text, accepted
	}
}

// receiveOnly drives a session with the text that a wire yields for in.
func receiveOnly(b *bench, in string) {
	s := newSession(b.srv, b.settings(), b.settings)
	s.decision = s.set.HAT.Decide(s.client)
	if s.Mail("", &smtp.MailOptions{}) != nil || s.Rcpt("ok@ours.test", &smtp.RcptOptions{}) != nil {
		b.t.Fatal("envelope refused")
	}
	f := &feed{in: bytes.NewReader([]byte(in))}
	r := &dataReader{wire: newWire(f, time.Minute), pace: newPace(time.Minute, 500)}
	_ = s.Data(r) // the spool tells
}

// FuzzSession: whatever bytes come, the replies are well formed, nothing is
// left open, and the books balance.
func FuzzSession(f *testing.F) {
	head := "EHLO a.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<ok@ours.test>\r\nDATA\r\n"
	for _, seed := range []string{head, "NOOP\r\nQUIT\r\n", head + "x\r\n.\r\n", strings.Repeat("x", 5000) + "\r\nHELP\r\n", "EHLO a\nRSET\r\n",
		"MAIL FROM:<>\r\nMAIL FROM:<>\r\nRSET\r\nBDAT 1\r\n"} {
		f.Add(seed)
	}
	b := newBench(f)
	b.change(relax)
	f.Fuzz(func(t *testing.T, in string) {
		b.spool.fail(func(s *memory) { s.stored = nil })
		out := replies(t, b.play(in))
		accepted := 0
		for _, r := range out {
			if strings.HasPrefix(r, "250 ok:  Message ") {
				accepted++
			}
		}
		if n := len(b.spool.messages()); n != accepted || b.spool.open() != 0 || b.srv.Connections() != 0 {
			t.Fatalf("%q: %d messages for %d replies, %d drafts, %d connections", in, n, accepted, b.spool.open(), b.srv.Connections())
		}
	})
}

// devNull is a Spool that keeps nothing, for measuring.
type devNull struct{}

func (devNull) Room(int64) error                      { return nil }
func (devNull) Begin(envelope.Message) (Draft, error) { return devNull{}, nil }
func (devNull) Write(p []byte) (int, error)           { return len(p), nil }
func (devNull) Commit(envelope.Message) error         { return nil }
func (devNull) Abort()                                {}

// BenchmarkData measures the way of a 1 MB text from the wire into the draft.
func BenchmarkData(b *testing.B) {
	bench := newBench(b)
	bench.srv.Queue, bench.srv.Log = devNull{}, nil
	line := strings.Repeat("x", 74) + "\r\n"
	text := []byte("Message-ID: x\r\nSubject: y\r\n\r\n" + strings.Repeat(line, 1<<20/len(line)) + ".\r\n")
	s := newSession(bench.srv, bench.settings(), bench.settings)
	s.decision = s.set.HAT.Decide(s.client)
	s.decision.Params.MaxMessages = -1
	f := &feed{}
	w := newWire(f, time.Minute)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		f.in = bytes.NewReader(text)
		if err := s.Mail("", &smtp.MailOptions{}); err != nil {
			b.Fatal(err)
		}
		if err := s.Rcpt("ok@ours.test", &smtp.RcptOptions{}); err != nil {
			b.Fatal(err)
		}
		if err := s.Data(&dataReader{wire: w, pace: newPace(time.Minute, 500)}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSession measures a whole session with a small message over TCP.
func BenchmarkSession(b *testing.B) {
	bench := newBench(b)
	bench.srv.Queue, bench.srv.Log = devNull{}, nil
	b.ReportAllocs()
	for b.Loop() {
		c := bench.tcp()
		var banner [64]byte
		if _, err := c.Read(banner[:]); err != nil {
			b.Fatal(err)
		}
		if _, err := io.WriteString(c, "EHLO a.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<ok@ours.test>\r\nQUIT\r\n"); err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, c); err != nil {
			b.Fatal(err)
		}
		_ = c.Close()
	}
}
