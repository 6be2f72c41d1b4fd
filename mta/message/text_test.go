package message

import (
	"bytes"
	"strings"
	"testing"
)

// unstuff runs an Unstuffer over in, in pieces of the given size, and gives
// the text, the rest after the end of data, and whether there was one.
func unstuff(in string, piece int) (text, rest string, end bool) {
	var u Unstuffer
	var out []byte
	dst := make([]byte, piece)
	for src := []byte(in); len(src) > 0; {
		wrote, read, ended := u.Decode(dst, src[:min(piece, len(src))])
		out = append(out, dst[:wrote]...)
		src = src[read:]
		if ended {
			return string(out), string(src), true
		}
	}
	return string(out), "", false
}

// reference is the definition of RFC 5321 §4.5.2 written down as simply as it
// can be.
func reference(in string) (text, rest string, end bool) {
	text, rest, end = strings.Cut("\r\n"+in, "\r\n.\r\n")
	if end {
		text += "\r\n"
	}
	text = strings.ReplaceAll(text, "\r\n.", "\r\n")
	return strings.TrimPrefix(text, "\r\n"), rest, end
}

func TestUnstuffer(t *testing.T) {
	for _, tt := range []struct{ in, text, rest string }{
		{"hi\r\n.\r\nQUIT\r\n", "hi\r\n", "QUIT\r\n"},
		{".\r\nQUIT\r\n", "", "QUIT\r\n"},
		{"\r\n.\r\n", "\r\n", ""},
		{"..\r\n.x\r\na.\r\n...\r\n.\r\n", ".\r\nx\r\na.\r\n..\r\n", ""},
		{"hi\r\r\n.\r\nX", "hi\r\r\n", "X"}, // A2: the second CR begins the CRLF
		{"a\r\n.\r\r\nb\r\n.\r\n", "a\r\n\r\r\nb\r\n", ""},
		{"a\n.\nb\r\n.\r\n", "a\n.\nb\r\n", ""},
		{"a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n", ""},
		{"a\r\n.\rb\r\n.\r\n", "a\r\n\rb\r\n", ""},
		{"\x00\r\n.\x00\r\n.\r\n", "\x00\r\n\x00\r\n", ""},
	} {
		for piece := 1; piece <= len(tt.in)+1; piece++ {
			text, rest, end := unstuff(tt.in, piece)
			if text != tt.text || rest != tt.rest || !end {
				t.Errorf("%q in pieces of %d: %q, rest %q, end %v", tt.in, piece, text, rest, end)
			}
		}
		if text, rest, end := reference(tt.in); text != tt.text || rest != tt.rest || !end {
			t.Errorf("reference on %q: %q, rest %q, end %v", tt.in, text, rest, end)
		}
	}
}

// Attack A1: none of these ends a text.
func TestUnstufferA1(t *testing.T) {
	for _, e := range []string{"\n.\n", "\n.\r\n", "\r\n.\n", "\r\n.\r", "\r.\r", "\r.\r\n", "\r.\n", "\n.\r",
		"\r\n\x00.\r\n", "\r\n.\x00\r\n", "\r\n.\r\r\n"} {
		in := "hi" + e + "MAIL FROM:<x@evil.test>\r\n"
		for piece := 1; piece <= len(in); piece++ {
			if _, rest, end := unstuff(in, piece); end {
				t.Errorf("%q ends the text, leaving %q", e, rest)
			}
		}
	}
}

func FuzzUnstuffer(f *testing.F) {
	for _, seed := range []string{"hi\r\n.\r\nQUIT", "\r\n..\r\n.\r\n", ".\r.\n.\r\n", "a\r\n.\r\r\n.\r\n", "\r\r\n.\r\n"} {
		f.Add(seed, uint8(3))
	}
	f.Fuzz(func(t *testing.T, in string, piece uint8) {
		text, rest, end := unstuff(in, int(piece)+1)
		wantText, wantRest, wantEnd := reference(in)
		if !wantEnd {
			// A dot or dot CR at the very end is not decided, and a CRLF that
			// the reference adds in front is no text.
			for _, held := range []string{"\r\n.", "\r\n.\r"} {
				if whole := "\r\n" + in; strings.HasSuffix(whole, held) {
					wantText, _, _ = reference(strings.TrimSuffix(whole, held)[min(2, len(whole)-len(held)):] + "\r\n")
					if len(whole) == len(held) {
						wantText = ""
					}
				}
			}
		}
		if text != wantText || rest != wantRest || end != wantEnd {
			t.Fatalf("%q in pieces of %d: %q, %q, %v; want %q, %q, %v", in, piece, text, rest, end, wantText, wantRest, wantEnd)
		}
	})
}

func convert(mode Mode, in string, piece int) (string, bool) {
	l := LineEnds{Mode: mode}
	var out []byte
	for src := []byte(in); len(src) > 0; {
		n := min(piece, len(src))
		out = append(out, l.Convert(src[:n])...)
		src = src[n:]
	}
	return string(append(out, l.End()...)), l.Bare
}

func TestLineEnds(t *testing.T) {
	for _, tt := range []struct {
		in, clean string
		bare      bool
	}{
		{"", "", false},
		{"a\r\nb\r\n", "a\r\nb\r\n", false},
		{"a\nb\r\n", "a\r\nb\r\n", true},
		{"\n", "\r\n", true},
		{"\r", "\r\n", true},
		{"a\rb\r\n", "a\r\nb\r\n", true},
		{"a\r\r\n", "a\r\n\r\n", true},
		{"a\n\r\n", "a\r\n\r\n", true},
		{"a\n\rb", "a\r\n\r\nb", true},
		{"a\n.\nb\r\n", "a\r\n.\r\nb\r\n", true}, // A4: to be stuffed again on the way out
		{"a\r.\rb\r\n", "a\r\n.\r\nb\r\n", true},
		{"no end", "no end", false},
	} {
		for piece := 1; piece <= len(tt.in)+1; piece++ {
			if got, bare := convert(Clean, tt.in, piece); got != tt.clean || bare != tt.bare {
				t.Errorf("Clean %q in pieces of %d: %q, bare %v", tt.in, piece, got, bare)
			}
			for _, mode := range []Mode{Reject, Allow} {
				if got, bare := convert(mode, tt.in, piece); got != tt.in || bare != tt.bare {
					t.Errorf("mode %d on %q in pieces of %d: %q, bare %v", mode, tt.in, piece, got, bare)
				}
			}
		}
	}
}

func FuzzLineEnds(f *testing.F) {
	for _, seed := range []string{"a\r\nb\nc\rd", "\r\r\n\n", "x\r"} {
		f.Add(seed, uint8(2))
	}
	f.Fuzz(func(t *testing.T, in string, piece uint8) {
		want := strings.ReplaceAll(in, "\r\n", "\n")
		want = strings.ReplaceAll(strings.ReplaceAll(want, "\r", "\n"), "\n", "\r\n")
		got, bare := convert(Clean, in, int(piece)+1)
		if got != want || bare != (want != in) {
			t.Fatalf("%q: %q, bare %v, want %q", in, got, bare, want)
		}
		if got, allowed := convert(Allow, in, int(piece)+1); got != in || allowed != bare {
			t.Fatalf("Allow %q: %q, bare %v", in, got, allowed)
		}
	})
}

func TestIsEightBit(t *testing.T) {
	for n := range 70 {
		p := bytes.Repeat([]byte("a"), n)
		if IsEightBit(p) {
			t.Errorf("%d letters", n)
		}
		for i := range p {
			p[i] = 0x80
			if !IsEightBit(p) {
				t.Errorf("byte %d of %d not seen", i, n)
			}
			p[i] = 0x7f
		}
	}
}

func BenchmarkUnstufferAndLineEnds(b *testing.B) {
	line := strings.Repeat("x", 74) + "\r\n"
	in := []byte(strings.Repeat(line, 16<<10/len(line)))
	dst := make([]byte, 64<<10)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	var u Unstuffer
	l := LineEnds{Mode: Clean}
	for b.Loop() {
		n, _, _ := u.Decode(dst, in)
		p := l.Convert(dst[:n])
		IsEightBit(p)
	}
}
