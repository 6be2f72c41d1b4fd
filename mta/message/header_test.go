package message

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

const added = "Message-ID: <1@gw.test>\r\n"

// pass sends in through a Header in pieces.
func pass(in string, piece int, limits HeaderLimits) (*Header, string) {
	var out strings.Builder
	h := NewHeader(&out, limits)
	h.Missing = added
	for len(in) > 0 {
		n := min(piece, len(in))
		if _, err := h.Write([]byte(in[:n])); err != nil {
			panic(err) // a strings.Builder takes everything
		}
		in = in[n:]
	}
	if err := h.Close(); err != nil {
		panic(err)
	}
	return h, out.String()
}

func TestHeader(t *testing.T) {
	for _, tt := range []struct {
		name, in, out string
		id, subject   string
		received      int
	}{
		{"complete", "Message-ID: <a@b>\r\nSubject: hi\r\n\r\nbody\r\n", "Message-ID: <a@b>\r\nSubject: hi\r\n\r\nbody\r\n", "<a@b>", "hi", 0},
		{"no Message-ID", "Subject: hi\r\n\r\nbody\r\n", "Subject: hi\r\n" + added + "\r\nbody\r\n", "<1@gw.test>", "hi", 0},
		{"names in any case", "MESSAGE-id:<a@b>\r\nsUBJECT:hi\r\n\r\n", "MESSAGE-id:<a@b>\r\nsUBJECT:hi\r\n\r\n", "<a@b>", "hi", 0},
		{"folded", "Message-Id:\r\n <a@b>\r\nSubject: one\r\n\ttwo\r\n three\r\n\r\n",
			"Message-Id:\r\n <a@b>\r\nSubject: one\r\n\ttwo\r\n three\r\n\r\n", "<a@b>", "one two three", 0},
		{"encoded subject", "Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?= =?ISO-8859-1?B?5A==?=\r\nMessage-ID: x\r\n\r\n",
			"Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?= =?ISO-8859-1?B?5A==?=\r\nMessage-ID: x\r\n\r\n", "x", "grüßeä", 0},
		{"control characters in the subject", "Subject: =?utf-8?q?a=1b[2Jb=0d=0ac?=\r\nMessage-ID: x\r\n\r\n",
			"Subject: =?utf-8?q?a=1b[2Jb=0d=0ac?=\r\nMessage-ID: x\r\n\r\n", "x", "a [2Jb  c", 0},
		{"unknown charset", "Subject: =?x-none?q?abc?=\r\nMessage-ID: x\r\n\r\n", "Subject: =?x-none?q?abc?=\r\nMessage-ID: x\r\n\r\n",
			"x", "=?x-none?q?abc?=", 0},
		{"the first of two counts", "Subject: a\r\nSubject: b\r\nMessage-ID: x\r\nMessage-ID: y\r\n\r\n",
			"Subject: a\r\nSubject: b\r\nMessage-ID: x\r\nMessage-ID: y\r\n\r\n", "x", "a", 0},
		{"Received counted, not in the body", "Received: a\r\nReceived: b\r\n\tc\r\nX-Received: d\r\nMessage-ID: x\r\n\r\nReceived: e\r\n",
			"Received: a\r\nReceived: b\r\n\tc\r\nX-Received: d\r\nMessage-ID: x\r\n\r\nReceived: e\r\n", "x", "", 2},
		{"a field in the body is no field", "A: b\r\n\r\nMessage-ID: x\r\n", "A: b\r\n" + added + "\r\nMessage-ID: x\r\n", "<1@gw.test>", "", 0},
		{"empty", "", added, "<1@gw.test>", "", 0},
		{"header alone", "A: b\r\n", "A: b\r\n" + added, "<1@gw.test>", "", 0},
		{"body alone", "\r\nbody\r\n", added + "\r\nbody\r\n", "<1@gw.test>", "", 0},
		{"no header", "hi there\r\n", added + "\r\nhi there\r\n", "<1@gw.test>", "", 0},
		{"no header, no line end", "hi", added + "\r\nhi", "<1@gw.test>", "", 0},
		{"ends in a line that is no field", "Message-ID: x\r\nhi there\r\n", "Message-ID: x\r\n\r\nhi there\r\n", "x", "", 0},
		{"begins with a folded line", " a: b\r\n", added + "\r\n a: b\r\n", "<1@gw.test>", "", 0},
		{"blank before the colon", "Message-ID : x\r\n\r\n", "Message-ID : x\r\n\r\n", "x", "", 0},
		{"colon first", ": x\r\n", added + "\r\n: x\r\n", "<1@gw.test>", "", 0},
		{"bare LF", "Message-ID: x\nSubject: y\n\nbody\n", "Message-ID: x\nSubject: y\n\nbody\n", "x", "y", 0},
		{"bare CR begins no field", "A: b\r\n\rc", "A: b\r\n" + added + "\r\n\rc", "<1@gw.test>", "", 0},
		{"name too long", strings.Repeat("n", 300) + ": x\r\n", added + "\r\n" + strings.Repeat("n", 300) + ": x\r\n", "<1@gw.test>", "", 0},
	} {
		for piece := 1; piece <= len(tt.in)+1; piece++ {
			h, out := pass(tt.in, piece, HeaderLimits{})
			if out != tt.out || h.MessageID() != tt.id || h.Subject() != tt.subject || h.Received != tt.received || h.TooLarge {
				t.Fatalf("%s, pieces of %d:\n%q, want\n%q\nid %q subject %q received %d", tt.name, piece, out, tt.out,
					h.MessageID(), h.Subject(), h.Received)
			}
		}
	}
}

func TestHeaderBounds(t *testing.T) {
	h, _ := pass("Subject: "+strings.Repeat("ü", 5000)+"\r\nMessage-ID: "+strings.Repeat("i", 5000)+"\r\n\r\n", 700, HeaderLimits{})
	if s := h.Subject(); len(s) > maxSubject || !strings.HasPrefix(s, "üü") || strings.Contains(s, "?") {
		t.Errorf("subject of %d bytes: %q", len(s), s)
	}
	if len(h.MessageID()) > maxValue {
		t.Errorf("Message-ID of %d bytes", len(h.MessageID()))
	}
	lines := strings.Repeat("A: b\r\n", 11)
	for _, tt := range []struct {
		in     string
		limits HeaderLimits
		want   bool
	}{
		{lines + "\r\n", HeaderLimits{Lines: 11}, false},
		{lines + "\r\n", HeaderLimits{Lines: 10}, true},
		{lines + "\r\n", HeaderLimits{Bytes: 66}, false},
		{lines + "\r\n", HeaderLimits{Bytes: 65}, true},
		{"A:" + strings.Repeat("x", 1000), HeaderLimits{Bytes: 999}, true},
		{"A: b\r\n\r\n" + lines, HeaderLimits{Lines: 1, Bytes: 8}, false},
	} {
		for _, piece := range []int{1, 7, 4096} {
			if h, out := pass(tt.in, piece, tt.limits); h.TooLarge != tt.want {
				t.Errorf("%.40q, %+v, pieces of %d: TooLarge %v", tt.in, tt.limits, piece, h.TooLarge)
			} else if h.TooLarge && int64(len(out)) > tt.limits.Bytes+int64(tt.limits.Lines)*6 {
				t.Errorf("%.40q: %d bytes written beyond the limit", tt.in, len(out))
			}
		}
	}
}

type failing struct{}

var errDisk = errors.New("disk")

func (failing) Write([]byte) (int, error) { return 0, errDisk }

func TestHeaderWriteError(t *testing.T) {
	for _, in := range []string{"A: b\r\n", "\r\nbody", "hi there\r\n"} {
		h := NewHeader(failing{}, HeaderLimits{})
		h.Missing = added
		if _, err := h.Write([]byte(in)); !errors.Is(err, errDisk) {
			t.Errorf("%q: %v", in, err)
		}
	}
	h := NewHeader(failing{}, HeaderLimits{})
	h.Missing = added
	if err := h.Close(); !errors.Is(err, errDisk) {
		t.Errorf("Close: %v", err)
	}
}

// FuzzHeader: what passes comes out unchanged but for what was added, whatever
// the pieces.
func FuzzHeader(f *testing.F) {
	for _, seed := range []string{"A: b\r\n\r\nbody", "hi", "\r\n", "Subject: =?utf-8?q?=00?=\r\n", "Message-ID: x\n\n", "A: b\r\n\r"} {
		f.Add(seed, uint8(2))
	}
	f.Fuzz(func(t *testing.T, in string, piece uint8) {
		h, out := pass(in, int(piece)+1, HeaderLimits{})
		if _, whole := pass(in, len(in)+1, HeaderLimits{}); whole != out {
			t.Fatalf("%q in pieces of %d: %q, whole %q", in, piece, out, whole)
		}
		back := strings.Replace(out, added, "", 1)
		if strings.Contains(in, added) {
			back = out
		}
		if back != in && strings.Replace(back, "\r\n", "", 1) != in && !blankAdded(back, in) {
			t.Fatalf("%q came out as %q", in, out)
		}
		for _, r := range h.Subject() + h.MessageID() {
			if r < ' ' || r == 0x7f {
				t.Fatalf("%q: control character in %q, %q", in, h.Subject(), h.MessageID())
			}
		}
	})
}

// blankAdded reports whether out is in with one CRLF more somewhere.
func blankAdded(out, in string) bool {
	for i := range len(in) + 1 {
		if out == in[:i]+"\r\n"+in[i:] {
			return true
		}
	}
	return false
}

func TestReceived(t *testing.T) {
	at := time.Date(2026, 5, 2, 5, 58, 35, 0, time.FixedZone("", -7*3600))
	addr := netip.MustParseAddr("10.0.0.141")
	for _, tt := range []struct {
		r    Received
		want string
	}{
		{Received{Host: "gw1.in.example.com", HELO: "GW1.in.example.com", Addr: addr, By: "esa1.example.com", Protocol: "ESMTP"},
			"Received: from gw1.in.example.com ([10.0.0.141])\r\n  by esa1.example.com with ESMTP; 02 May 2026 05:58:35 -0700\r\n"},
		{Received{HELO: "mail.example.net", Addr: addr, By: "esa6.example.org", Protocol: "SMTP"},
			"Received: from unknown (HELO mail.example.net) ([10.0.0.141])\r\n  by esa6.example.org with SMTP; 02 May 2026 05:58:35 -0700\r\n"},
		{Received{Addr: netip.MustParseAddr("2001:db8::1"), By: "esa6.example.org", Protocol: "SMTP"},
			"Received: from unknown ([2001:db8::1])\r\n  by esa6.example.org with SMTP; 02 May 2026 05:58:35 -0700\r\n"},
		{Received{HELO: "(x) by evil\r\nX: y", Addr: addr, By: "e", Protocol: "SMTP"},
			"Received: from unknown (HELO ?x??by?evil??X:?y) ([10.0.0.141])\r\n  by e with SMTP; 02 May 2026 05:58:35 -0700\r\n"},
		{Received{By: "esa2.example.org"}, "Received: from localhost by esa2.example.org; 02 May 2026 05:58:35 -0700\r\n"},
	} {
		tt.r.At = at
		if got := tt.r.String(); got != tt.want {
			t.Errorf("%q, want\n%q", got, tt.want)
		}
	}
	if n := len(SafeHELO(strings.Repeat("a", 1000))); n != maxHELO {
		t.Errorf("HELO of %d bytes", n)
	}
	if got := SafeHELO("[IPv6:::1] bü\x1b"); got != "[IPv6:::1]?b??" {
		t.Errorf("SafeHELO: %q", got)
	}
}
