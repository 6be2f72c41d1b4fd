package shell_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"esa/shell"
	"esa/shell/shelltest"
)

func session(console shell.Console, p *palette) *shell.Shell[*palette] {
	return &shell.Shell[*palette]{
		Commands: commands(), Env: p, Console: console,
		Prompt: func() string { return "mail.example.com" },
	}
}

func TestInteractive(t *testing.T) {
	shelltest.Dir(t, "testdata/interactive", func(t *testing.T, console shell.Console) {
		_ = session(console, &palette{colours: []colour{{name: "Blue", value: 7}}}).Interactive(t.Context())
	})
}

func TestPager(t *testing.T) {
	shelltest.Runner{Rows: 10}.Dir(t, "testdata/pager", func(t *testing.T, console shell.Console) {
		_ = session(console, &palette{}).Interactive(t.Context())
	})
}

func TestBatch(t *testing.T) {
	shelltest.Runner{Plain: true}.Dir(t, "testdata/batch", func(t *testing.T, console shell.Console) {
		goOn := strings.HasSuffix(t.Name(), "go_on")
		want := 1
		if strings.HasSuffix(t.Name(), "all_right") {
			want = 0
		}
		if got := session(console, &palette{}).Batch(t.Context(), goOn); got != want {
			t.Errorf("status %d, want %d", got, want)
		}
	})
}

func TestExec(t *testing.T) {
	for _, tt := range []struct {
		line   string
		status int
		output string
	}{
		{"colours new Red 3; colours new \"Dark; green\" 4;", 0, "Colour Red created.\nColour Dark; green created.\n"},
		{"colours new Red x; commit", 1, "The value must be a number from 1 to 255.\nChanges committed.\n"},
		{"exit; commit", 0, ""},
		{"bogus; exit", 1, "Unknown command or missing feature key: bogus\n"},
		{`colours new "a\n" 3`, 1, "Command contained invalid escape character: \\n\n"},
		{"colours new\n\"Dark\x1b[2J\u202e\xff\nred\" 4", 0, "Colour Dark[2J red created.\n"},
		{"colours new " + strings.Repeat("x", shell.MaxLine) + " 3", 1, "The line is longer than 65536 bytes.\n"},
		{"", 0, ""},
		{"colours", 1, "\nThere are currently no colours configured.\n\nChoose the operation you want to perform:\n" +
			"- NEW - Create a new colour.\n[]> \nThe input ended inside the command, which did nothing.\n"},
	} {
		screen := shelltest.NewScreen()
		screen.Plain = true
		status := session(screen, &palette{}).Exec(t.Context(), tt.line)
		if status != tt.status || screen.String() != tt.output {
			t.Errorf("%q: status %d, want %d; output\n%s\nwant\n%s", tt.line, status, tt.status, screen, tt.output)
		}
	}
}

func TestAnAbandonedDialogAppliesNothing(t *testing.T) {
	answers := []string{"colours", "new", "Red", "3", "y", "yes"}
	for n := 1; n < len(answers); n++ {
		for _, end := range []string{"^C", "^D"} {
			p := &palette{}
			typed := append(append([]string(nil), answers[:n]...), end, "exit")
			if err := session(shelltest.NewScreen(typed...), p).Interactive(t.Context()); err != nil {
				t.Errorf("%q: session ended with %v", typed, err)
			}
			if p.kept > 0 || len(p.colours) > 0 {
				t.Errorf("%q: applied %v", typed, p.colours)
			}
		}
	}
}

func TestAfterAnInterruptQuestionsReturnTheirDefaults(t *testing.T) {
	var got string
	screen := shelltest.NewScreen("ask", "^C", "more")
	s := session(screen, &palette{})
	s.Commands = []command{{Name: "ask", Dialog: func(d *shell.Dialog, _ *palette) error {
		d.String("First.", "")
		got = fmt.Sprint(d.String("", "text"), d.Required("", "word"), d.Int("", 7, 1, 9), d.Int("", 0, 1, 9), d.YesNo("", true),
			d.Tri("", shell.No, shell.Yes), d.Choose("", []string{"a", "b"}, 1), d.Pick("", nil, -1), d.ChooseName("", []shell.Choice{{Name: "c"}}, "gone"),
			d.Free(""), d.Secret(""), d.Passphrase(""), d.Lines("", shell.EndDot), d.Menu("", shell.Op{Word: "MORE"}), d.Op(), d.Refuse(io.EOF))
		d.Text("Nothing of this is shown.")
		return d.Err()
	}}}
	if err := s.Interactive(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("ended with %v", err)
	}
	if want := fmt.Sprint("text", "word", 7, 0, true, shell.No, 1, -1, "gone", "", "", []string(nil), false, "", false); got != want {
		t.Errorf("answers %q, want %q", got, want)
	}
	want := "mail.example.com> ask\n\nFirst.\n[]> ^C\nmail.example.com> more\nUnknown command or missing feature key: more\nmail.example.com> \n"
	if screen.String() != want {
		t.Errorf("screen\n%s\nwant\n%s", screen, want)
	}
}

func TestEndRunsLastAndFails(t *testing.T) {
	for _, tt := range []struct {
		run func(s *shell.Shell[*palette]) int
	}{
		{func(s *shell.Shell[*palette]) int { return s.Exec(t.Context(), "commit") }},
		{func(s *shell.Shell[*palette]) int { return s.Batch(t.Context(), false) }},
	} {
		screen := shelltest.NewScreen("commit")
		screen.Plain = true
		s := session(screen, &palette{})
		s.End = func(*shell.Dialog, *palette) error { return shell.Refusedf("Uncommitted changes were dropped.") }
		if status := tt.run(s); status != 1 || !strings.HasSuffix(screen.String(), "\nUncommitted changes were dropped.\n") {
			t.Errorf("status %d, output %s", status, screen)
		}
	}
}

// The end of a file that a command reads is not the end of the session's input.
func TestWrappedEndOfInputIsAFailureLikeOthers(t *testing.T) {
	broken := func(*shell.Dialog, *palette) error { return fmt.Errorf("reading the pot: %w", io.EOF) }
	screen := shelltest.NewScreen("broken", "exit")
	s := session(screen, &palette{})
	s.Begin = broken
	s.Commands = append(commands(), command{Name: "broken", Dialog: broken})
	if err := s.Interactive(t.Context()); err != nil {
		t.Errorf("ended with %v", err)
	}
	want := "The command failed: reading the pot: EOF.\nmail.example.com> broken\n" +
		"The command failed: reading the pot: EOF.\nmail.example.com> exit\n"
	if screen.String() != want {
		t.Errorf("screen\n%s\nwant\n%s", screen, want)
	}
}

func TestLinesAreBoundedWithTheirEnds(t *testing.T) {
	const most = 1 << 20 >> 6
	for n, refused := range map[int]bool{most: false, most + 1: true} {
		answers := slices.Repeat([]string{strings.Repeat("x", 63)}, n)
		screen := shelltest.NewScreen(append(answers, ".")...)
		s := session(screen, &palette{})
		s.Commands = []command{{Name: "paste", Dialog: func(d *shell.Dialog, _ *palette) error {
			if lines := d.Lines("Text.", shell.EndDot); !refused && len(lines) != n {
				t.Errorf("%d lines of %d", len(lines), n)
			}
			return d.Err()
		}}}
		if status := s.Exec(t.Context(), "paste"); status == 1 != refused {
			t.Errorf("%d lines: status %d", n, status)
		}
	}
}

func TestPanicEndsTheCommandOnly(t *testing.T) {
	screen := shelltest.NewScreen("crash", "commit")
	var cause error
	s := session(screen, &palette{})
	s.Diag = func(command string, err error) { cause = err }
	_ = s.Batch(t.Context(), true)
	if out := screen.String(); !strings.Contains(out, "An internal error ended the command.") || !strings.Contains(out, "Changes committed.") {
		t.Errorf("output %s", out)
	}
	if cause == nil || !strings.Contains(cause.Error(), "out of paint") || !strings.Contains(cause.Error(), "palette_test.go") {
		t.Errorf("diagnostics got %v", cause)
	}

	s.Panics = true
	defer func() {
		if recover() == nil {
			t.Error("Panics: the panic was held")
		}
	}()
	s.Exec(t.Context(), "crash")
}

func TestHowAnInteractiveSessionEnds(t *testing.T) {
	stopped := errors.New("the gateway stops")
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(stopped)
	for _, tt := range []struct {
		name    string
		ctx     context.Context
		p       *palette
		answers []string
		want    error
	}{
		{"exit", t.Context(), &palette{}, []string{"exit"}, nil},
		{"end of input is exit", t.Context(), &palette{}, nil, nil},
		{"end of input, exit asks", t.Context(), &palette{kept: 1}, nil, io.EOF},
		{"exit asks and is told no", t.Context(), &palette{kept: 1}, []string{"^D", "n", "^D", "y"}, nil},
		{"interrupt does not leave", t.Context(), &palette{}, []string{"^C", "^C", "exit"}, nil},
		{"context", ended, &palette{}, []string{"exit"}, stopped},
	} {
		err := session(shelltest.NewScreen(tt.answers...), tt.p).Interactive(tt.ctx)
		if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestIdleSessionEnds(t *testing.T) {
	for _, typed := range []string{"", "colours\n"} {
		synctest.Test(t, func(t *testing.T) {
			in, typing := io.Pipe()
			var out strings.Builder
			console := shell.NewTerminal(in, &out, shell.TerminalOptions{})
			s := session(console, &palette{})
			s.Idle = 30 * time.Minute
			start := time.Now()
			go func() { _, _ = io.WriteString(typing, typed) }()
			if err := s.Interactive(t.Context()); !errors.Is(err, shell.ErrIdle) {
				t.Errorf("ended with %v", err)
			}
			if waited := time.Since(start); waited != s.Idle {
				t.Errorf("ended after %s", waited)
			}
			if !strings.HasSuffix(out.String(), "\r\nThis session was idle for too long and ends.\r\n") {
				t.Errorf("output %q", out.String())
			}
			_ = typing.Close()
			_ = console.Close()
		})
	}
}

// TestMay: what is refused does not run, by none of its ways, and the session
// goes on. Who may what is asked anew for every line.
func TestMay(t *testing.T) {
	p := &palette{}
	screen := shelltest.NewScreen("colours new Red 3", "COLOURS bogus", "colours", "allow", "colours new Blue 4", "exit")
	allowed := false
	s := session(screen, p)
	s.Commands = append(s.Commands, shell.Command[*palette]{Name: "allow", Forms: []shell.Form[*palette]{{
		Usage: "allow", Run: func(*shell.Dialog, *palette, []string) error { allowed = true; return nil },
	}}})
	s.May = func(c *shell.Command[*palette]) error {
		if c.Name == "colours" && !allowed {
			return shell.Refusedf("Not you.")
		}
		return nil
	}
	if err := s.Interactive(t.Context()); err != nil {
		t.Error(err)
	}
	if got := strings.Count(screen.String(), "\nNot you.\n"); got != 3 || len(p.colours) != 1 || p.colours[0].name != "Blue" {
		t.Errorf("refused %d times, %v\n%s", got, p.colours, screen)
	}
	if names := shell.Complete(shell.Permitted(s.Commands, s.May), "col"); len(names) != 2 {
		t.Errorf("completed: %v", names)
	}
	allowed = false
	if names := shell.Complete(shell.Permitted(s.Commands, s.May), "col"); len(names) != 0 {
		t.Errorf("completed though refused: %v", names)
	}
}
