package shell_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"esa/shell"
	"esa/shell/shelltest"
)

// pasting is a command that takes a paste of at most 20 bytes and asks on.
func pasting(got *string) []command {
	return []command{{Name: "paste", Dialog: func(d *shell.Dialog, _ *palette) error {
		text := d.Paste("Paste now.", 20)
		if d.Err() != nil {
			return d.Err()
		}
		*got = text + "|" + d.String("And then?", "")
		return d.Err()
	}}}
}

// TestPaste ends at Ctrl-D, after which questions go on; what is refused is
// read to its end, so that nothing of it is taken for a command.
func TestPaste(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines []string
		got   string
		shown string
	}{
		{"lines", []string{"one", "", "  two", "^D", "more"}, "one\n\n  two\n|more", ""},
		{"nothing", []string{"^D", "more"}, "|more", ""},
		{"as much as there may be", []string{strings.Repeat("x", 19), "^D", ""}, strings.Repeat("x", 19) + "\n|", ""},
		{"more", []string{strings.Repeat("x", 20), "paste", "^D"}, "", "The text is longer than 20 bytes.\nmail.example.com> "},
		{"more in several", []string{"twelve bytes", "and the rest", "paste", "^D"}, "", "The text is longer than 20 bytes.\nmail.example.com> "},
		{"interrupt", []string{"one", "^C"}, "", "^C\nmail.example.com> "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got string
			screen := shelltest.NewScreen(append([]string{"paste"}, tt.lines...)...)
			s := session(screen, &palette{})
			s.Commands = pasting(&got)
			_ = s.Interactive(t.Context())
			if got != tt.got || !strings.Contains(screen.String(), "\nPaste now.\n") || !strings.Contains(screen.String(), tt.shown) {
				t.Errorf("%q\n%s", got, screen)
			}
		})
	}
}

// TestPasteInABatch ends at a line of 0x04, or with the input; a line that is
// too long fails it.
func TestPasteInABatch(t *testing.T) {
	for _, tt := range []struct {
		name, in, got, shown string
		status               int
	}{
		{"0x04", "paste\none\n\x04\nmore\n", "one\n|more", "", 0},
		{"CR LF", "paste\r\none\r\n\x04\r\nmore\r\n", "one\n|more", "", 0},
		{"end of input", "paste\none\n", "one\n|", "The input ended inside the command", 1},
		{"0x04 in a line", "paste\na\x04b\n\x04\nmore\n", "ab\n|more", "", 0},
		{"long line", "paste\n" + strings.Repeat("x", shell.MaxLine+1) + "\npaste\n\x04\n", "", "The line is longer than", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got string
				var out strings.Builder
				s := session(shell.NewPlain(strings.NewReader(tt.in), &out, shell.PlainOptions{}), &palette{})
				s.Commands = pasting(&got)
				if status := s.Batch(t.Context(), false); status != tt.status || got != tt.got || !strings.Contains(out.String(), tt.shown) {
					t.Errorf("status %d, %q\n%s", status, got, out.String())
				}
			})
		})
	}
}
