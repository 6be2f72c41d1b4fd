package maillog

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestEscapes(t *testing.T) {
	for _, tt := range []struct{ in, line, literal string }{
		{"plain text", "plain text", "'plain text'"},
		{"", "", "''"},
		{"<Lands'End.6cl2@x>", "<Lands'End.6cl2@x>", `"<Lands'End.6cl2@x>"`},
		{`both ' and "`, `both ' and "`, `'both \' and "'`},
		{`quoted "word"`, `quoted "word"`, `'quoted "word"'`},
		{`back\slash`, `back\slash`, `'back\\slash'`},
		{"a\r\nb\tc", `a\r\nb\tc`, `'a\r\nb\tc'`},
		{"\x1b[2J\x00\x7f", `\x1b[2J\x00\x7f`, `'\x1b[2J\x00\x7f'`},
		{"Grüße, 世界", "Grüße, 世界", "'Grüße, 世界'"},
		{"\xff\xc3", `\xff\xc3`, `'\xff\xc3'`},
		{"\u0085\u009b", `\x85\x9b`, `'\x85\x9b'`},
		{"\u2028\u202e\U000e0001", `\u2028\u202e\U000e0001`, `'\u2028\u202e\U000e0001'`},
		{"\ufffd", "\ufffd", "'\ufffd'"},
	} {
		if got := line(tt.in); got != tt.line {
			t.Errorf("line(%q) = %s, want %s", tt.in, got, tt.line)
		}
		if got := line(line(tt.in)); got != tt.line {
			t.Errorf("line(line(%q)) = %s", tt.in, got)
		}
		if got := literal(tt.in); got != tt.literal {
			t.Errorf("literal(%q) = %s, want %s", tt.in, got, tt.literal)
		}
	}
	for in, want := range map[string]string{"": "unknown", "mx.example.com": "mx.example.com", "a b\n": `a\x20b\n`} {
		if got := word(in); got != want {
			t.Errorf("word(%q) = %s, want %s", in, got, want)
		}
	}
}

// FuzzOneEventOneLine: whatever the network sends, an event is one line of
// printable text.
func FuzzOneEventOneLine(f *testing.F) {
	for _, s := range []string{"x", "\r\nWed Feb  4 09:16:46 2026 Info: forged", "\x1b]0;\a", "\u0085", "\xff\n", "'\\'\n"} {
		f.Add(s)
	}
	h := newHarness(f, Subscription{"fuzz", TextMail, "mail", Trace, 1 << 30, 2})
	path := filepath.Join(h.dir, "fuzz", "mail.current")
	f.Fuzz(func(t *testing.T, s string) {
		before, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		events := hostileEvents(h.Log, s)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		data = data[before.Size():]
		if n := bytes.Count(data, []byte("\n")); n != events || data[len(data)-1] != '\n' {
			t.Errorf("%d events, %d lines: %q", events, n, data)
		}
		for _, r := range string(bytes.ReplaceAll(data, []byte("\n"), nil)) {
			if !unicode.IsPrint(r) || r == utf8.RuneError && !bytes.ContainsRune([]byte(s), r) {
				t.Fatalf("%U in the log: %q", r, data)
			}
		}
		if before.Size() > 1<<20 {
			if err := h.Rollover("fuzz"); err != nil {
				t.Fatal(err)
			}
		}
	})
}
