package shell_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"esa/shell"
	"esa/shell/shelltest"
)

// FuzzDialog: no answers make a dialog panic, and an abandoned one applies
// nothing.
func FuzzDialog(f *testing.F) {
	f.Add("colours\nnew\nRed\n3\ny\nd\nedit\n1\n\n\n\ndelete\nred\ny\n\n")
	f.Add("colours\nnew\nRed\n^C\neverything\na\n1\n\n\n\nx\ny\n.\n\n")
	f.Fuzz(func(t *testing.T, answers string) {
		for _, plain := range []bool{false, true} {
			screen := shelltest.NewScreen(strings.Split(strings.ReplaceAll(answers, "wait", "show"), "\n")...)
			screen.Plain = plain
			p := &palette{}
			s := session(screen, p)
			s.Commands = commands()[:3]
			s.Panics = true
			s.Batch(t.Context(), true)
			if p.kept == 0 && len(p.colours) > 0 && !strings.Contains(screen.String(), "created.") {
				t.Errorf("applied %v, screen\n%s", p.colours, screen)
			}
		}
	})
}

// FuzzTerminal: no bytes make the line editor panic or hang.
func FuzzTerminal(f *testing.F) {
	f.Add([]byte("col\tnew\t a\x14b\x12\x03\x1a\x00\x7f\r\x1b[A\x1b[3~\x04\r"), uint8(80))
	f.Add([]byte("\x1b[A\x1b[A\x1b[D\x1bb\x1bd\x19\x19\x0b日本\x1b[H\xe6\r\n\x04"), uint8(4))
	f.Fuzz(func(t *testing.T, typed []byte, cols uint8) {
		var out bytes.Buffer
		console := shell.NewTerminal(bytes.NewReader(typed), &out, shell.TerminalOptions{
			Size: func() (int, int) { return int(cols), 24 },
		})
		s := session(console, &palette{})
		s.Commands = commands()[:3]
		hangs := time.AfterFunc(10*time.Second, func() { panic(fmt.Sprintf("hangs at %q", typed)) })
		defer hangs.Stop()
		_ = s.Interactive(t.Context())
		if i := bytes.IndexByte(out.Bytes(), '\n'); i == 0 || i > 0 && out.Bytes()[i-1] != '\r' {
			t.Errorf("a bare LF in %q", out.Bytes())
		}
	})
}
