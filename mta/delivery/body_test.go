package delivery

import (
	"bytes"
	"strings"
	"testing"
)

func stuffed(parts ...[]byte) []byte {
	var out bytes.Buffer
	s := newStuffer(&out)
	for _, p := range parts {
		s.Write(p)
	}
	s.Close()
	return out.Bytes()
}

func TestStuffer(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ".\r\n"},
		{"a\r\n", "a\r\n.\r\n"},
		{"a", "a\r\n.\r\n"},
		{"a\r", "a\r\r\n.\r\n"},
		{"a\n", "a\n\r\n.\r\n"},
		{".\r\n", "..\r\n.\r\n"},
		{"..\r\n", "...\r\n.\r\n"},
		{"a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n"},
		{"a.b\r\n", "a.b\r\n.\r\n"},
		// A4, rows of A1: every one must be harmless for every reading.
		{"a\n.\nb\r\n", "a\n..\nb\r\n.\r\n"},
		{"a\n.\r\nb\r\n", "a\n..\r\nb\r\n.\r\n"},
		{"a\r\n.\nb\r\n", "a\r\n..\nb\r\n.\r\n"},
		{"a\r\n.\rb\r\n", "a\r\n..\rb\r\n.\r\n"},
		{"a\r.\rb\r\n", "a\r..\rb\r\n.\r\n"},
		{"a\r.\r\nb\r\n", "a\r..\r\nb\r\n.\r\n"},
		{"a\r.\nb\r\n", "a\r..\nb\r\n.\r\n"},
		{"a\r\n\x00.\r\nb\r\n", "a\r\n\x00..\r\nb\r\n.\r\n"},
		{"a\r\n\x00\x00.\r\nb\r\n", "a\r\n\x00\x00..\r\nb\r\n.\r\n"},
		{"a\r\n.\x00\r\nb\r\n", "a\r\n..\x00\r\nb\r\n.\r\n"},
		{"a\r\n.\r\r\nb\r\n", "a\r\n..\r\r\nb\r\n.\r\n"},
		{"a\r\r\n.\r\nb\r\n", "a\r\r\n..\r\nb\r\n.\r\n"},
		{"\x00.\r\n", "\x00..\r\n.\r\n"},
		{"a\x00.\r\n", "a\x00.\r\n.\r\n"},
	} {
		for cut := range len(tt.in) + 1 {
			if got := string(stuffed([]byte(tt.in[:cut]), []byte(tt.in[cut:]))); got != tt.want {
				t.Errorf("%q cut at %d: %q, want %q", tt.in, cut, got, tt.want)
			}
		}
	}
}

// unstuff is a receiver by RFC 5321 §4.5.2, byte by byte: it gives the text and
// how much of the wire it took.
func unstuff(wire []byte) (text []byte, taken int) {
	line := 0 // where in text the line begins
	for i := 0; i < len(wire); i++ {
		text = append(text, wire[i])
		if !bytes.HasSuffix(text[line:], []byte("\r\n")) {
			continue
		}
		if string(text[line:]) == ".\r\n" {
			return text[:line], i + 1
		}
		if text[line] == '.' {
			text = append(text[:line], text[line+1:]...)
		}
		line = len(text)
	}
	return text, -1
}

// endsEarly reads the wire as the most lenient receiver: CR, LF and CRLF all
// end lines, NULs are lost. It reports a lone dot before the last line.
func endsEarly(wire []byte) bool {
	body := strings.ReplaceAll(string(wire), "\x00", "")
	body, _ = strings.CutSuffix(body, ".\r\n")
	lines := strings.FieldsFunc(strings.ReplaceAll("\n"+body, ".", " . "), func(r rune) bool { return r == '\r' || r == '\n' })
	for _, l := range lines {
		if l == " . " {
			return true
		}
	}
	return false
}

// strict gives what a strict receiver should have: the text with its last line
// ended, and one dot more where a bare CR, bare LF or NULs stand before a dot.
func strict(in []byte) []byte {
	var out []byte
	fresh, crlf := true, true
	for i, c := range in {
		if c == '.' && fresh && !crlf {
			out = append(out, '.')
		}
		out = append(out, c)
		switch {
		case c == '\r' || c == '\n':
			fresh = true
		case c != 0:
			fresh = false
		}
		crlf = c == '\n' && i > 0 && in[i-1] == '\r'
	}
	if len(in) > 0 && !bytes.HasSuffix(in, []byte("\r\n")) {
		out = append(out, "\r\n"...)
	}
	return out
}

func FuzzStuffer(f *testing.F) {
	for _, s := range []string{"", ".", "a\r\n.\r\nb", "a\n.\nb", "\r.\r", "\r\n\x00.\r\n", "..\r\n..", "x\r\n.\r", "\r\r\n.\r\n"} {
		f.Add([]byte(s), uint8(1))
	}
	f.Fuzz(func(t *testing.T, in []byte, size uint8) {
		var parts [][]byte
		for rest := in; len(rest) > 0; {
			n := min(len(rest), int(size)+1)
			parts, rest = append(parts, rest[:n]), rest[n:]
		}
		wire := stuffed(parts...)
		text, taken := unstuff(wire)
		if taken != len(wire) {
			t.Fatalf("%q: a strict receiver ends after %d of %q", in, taken, wire)
		}
		if want := strict(in); !bytes.Equal(text, want) {
			t.Fatalf("%q arrives as %q, want %q", in, text, want)
		}
		if endsEarly(wire) {
			t.Fatalf("%q: a lenient receiver ends early in %q", in, wire)
		}
	})
}

func BenchmarkStuffer(b *testing.B) {
	text := bytes.Repeat([]byte("A line of text of an ordinary length, with a full stop at its end.\r\n"), blockSize/69)
	s := newStuffer(discard{})
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		s.Write(text)
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
