package shell_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"esa/shell"
)

// desk is a Terminal with somebody at it, in a synctest bubble: type waits
// until all that follows from it has happened.
type desk struct {
	t      *testing.T
	screen *vt
	keys   *io.PipeWriter
	*shell.Terminal
}

func newDesk(t *testing.T, cols, rows int) *desk {
	in, keys := io.Pipe()
	screen := &vt{cols: cols, rows: rows}
	size := func() (int, int) { return screen.cols, screen.rows }
	d := &desk{t, screen, keys, shell.NewTerminal(in, screen, shell.TerminalOptions{Size: size, History: &shell.History{}})}
	t.Cleanup(func() {
		_ = keys.Close()
		_ = d.Close()
	})
	return d
}

func (d *desk) types(text string) {
	d.t.Helper()
	if _, err := io.WriteString(d.keys, text); err != nil {
		d.t.Fatal(err)
	}
	synctest.Wait()
}

// shows compares the screen from its top; the cursor is an underscore. Blanks at
// the end of a line are not seen.
func (d *desk) shows(want string) {
	d.t.Helper()
	want = strings.ReplaceAll(want, " \n", "\n")
	if got := d.screen.String(); got != want {
		d.t.Errorf("the screen shows\n%s\nwant\n%s", got, want)
	}
}

// result is what a read returned.
type result struct {
	line string
	err  error
}

// asks starts a read, whose result comes on the channel.
func (d *desk) asks(p shell.Prompt) <-chan result {
	done := make(chan result, 1)
	go func() {
		line, err := d.ReadLine(d.t.Context(), p)
		done <- result{line, err}
	}()
	synctest.Wait()
	return done
}

func (d *desk) answered(done <-chan result, line string, err error) {
	d.t.Helper()
	select {
	case r := <-done:
		if r.line != line || !errors.Is(r.err, err) || err == nil && r.err != nil {
			d.t.Errorf("read %q, %v; want %q, %v", r.line, r.err, line, err)
		}
	default:
		d.t.Errorf("the read goes on, screen\n%s", d.screen)
	}
}

const (
	up, down, right, left = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D"
	home, end, del        = "\x1b[H", "\x1bOF", "\x1b[3~"
)

func TestEditing(t *testing.T) {
	for _, tt := range []struct{ name, typed, line string }{
		{"plain", "hello\r", "hello"},
		{"line feed is enter", "hello\n", "hello"},
		{"characters of several bytes", "grüße 日本\r", "grüße 日本"},
		{"backspace over them", "日本ü\x7f\x7f!\r", "日!"},
		{"arrows", "held" + left + left + "l" + right + "o" + del + "\r", "hello"},
		{"home and end", "b" + home + "a" + end + "c\r", "abc"},
		{"word back", "one two three\x1bbX\x1b[1;5D\x1b[1;5DY\r", "one Ytwo Xthree"},
		{"word forward and deleted", "one two three\x01\x1b[1;5C\x1bd\r", "one  three"},
		{"kill and yank", "one two\x01\x0b\x19!\r", "one two!"},
		{"rub out a word", "one two\x17\r", "one "},
		{"rub out the line", "one two\x15x\r", "x"},
		{"control-d deletes", "abc\x01\x04\r", "bc"},
		{"delete on an empty line is nothing", del + "x\r", "x"},
		{"keys that readline dies of", "a\x14b\x1a\x13\x12\x00c\r", "abc"},
		{"unknown sequences", "a\x1b[200~b\x1b[201~\x1b[15~\x1bOPc\r", "abc"},
		{"bytes that are no characters", "a\xff\xfe\xe2\x82b\xc3\r", "ab"},
		{"blanks of all kinds", "a\u00a0b\tc\r", "a b c"},
		{"no direction marks", "a\u202eb\r", "ab"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, 80, 24)
				done := d.asks(shell.Prompt{Text: "[]> "})
				d.types(tt.typed)
				d.answered(done, tt.line, nil)
				d.shows("[]> " + tt.line + "\n_")
			})
		})
	}
}

// Key by key, the screen after each key is that of the line at once.
func TestPaintingKeyByKey(t *testing.T) {
	long := strings.Repeat("0123456789", 5)
	for _, prompt := range []string{"[]> ", "0123456789012345678> ", strings.Repeat("q", 40), strings.Repeat("q", 57) + "> ", ""} {
		for _, keys := range []string{long, "日本語日本語日本語日本語", long + home + "abc" + end + "\x7f\x7f", long + strings.Repeat(left, 35) + "\x0bxy", long[:16] + left + left + "X", long[:36] + left + "\x7f"} {
			synctest.Test(t, func(t *testing.T) {
				slow, fast := newDesk(t, 20, 24), newDesk(t, 20, 24)
				slowly := slow.asks(shell.Prompt{Text: prompt})
				for _, key := range strings.SplitAfter(strings.ReplaceAll(keys, "\x1b", "\x00\x1b"), "") {
					slow.types(strings.ReplaceAll(key, "\x00", ""))
				}
				slow.types(end + "\r")
				r := <-slowly
				done := fast.asks(shell.Prompt{Text: prompt})
				fast.types(r.line + "\r")
				fast.answered(done, r.line, nil)
				if slow.screen.String() != fast.screen.String() {
					t.Errorf("prompt %q, keys %q: the screen shows\n%s\nwant\n%s", prompt, keys, slow.screen, fast.screen)
				}
			})
		}
	}
}

func TestPromptAndEchoAreBare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, 80, 24)
		done := d.asks(shell.Prompt{Text: "mail.example.com> ", Complete: func(string) []string { return nil }})
		for _, key := range "version" {
			d.types(string(key))
		}
		d.types("\n")
		d.answered(done, "version", nil)
		if got, want := d.screen.raw.String(), "mail.example.com> version\r\n"; got != want {
			t.Errorf("written %q, want %q", got, want)
		}
	})
}

func TestHowALineEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, 80, 24)
		done := d.asks(shell.Prompt{Text: "> "})
		d.types("abc\x03")
		d.answered(done, "", shell.ErrInterrupt)
		d.shows("> abc^C\n_")

		done = d.asks(shell.Prompt{Text: "> "})
		d.types("\x04")
		d.answered(done, "", io.EOF)
		d.shows("> abc^C\n> \n_")

		done = d.asks(shell.Prompt{Text: "> ", Secret: true})
		d.types("geh\x7fheim\r")
		d.answered(done, "geheim", nil)
		d.shows("> abc^C\n> \n> \n_")

		ctx, cancel := context.WithCancelCause(t.Context())
		waiting := make(chan error, 1)
		go func() {
			_, err := d.ReadLine(ctx, shell.Prompt{Text: "> "})
			waiting <- err
		}()
		d.types("half")
		cancel(shell.ErrIdle)
		if err := <-waiting; !errors.Is(err, shell.ErrIdle) {
			t.Errorf("ended context: %v", err)
		}

		done = d.asks(shell.Prompt{Text: "> "})
		d.types("half")
		_ = d.keys.Close()
		synctest.Wait()
		d.answered(done, "", io.EOF)
	})
}

func TestCarriageReturnLineFeedIsOneEnter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, 80, 24)
		for _, typed := range []string{"one\r", "\ntwo\r\n", "three\n", "\n"} {
			done := d.asks(shell.Prompt{Text: "> "})
			d.types(typed)
			d.answered(done, strings.TrimSpace(typed), nil)
		}
	})
}

func TestPasteOfManyLines(t *testing.T) {
	const n = 2000
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, 80, 24)
		var paste strings.Builder
		for i := range n {
			fmt.Fprintf(&paste, "%04d %s\r", i, strings.Repeat("x", 59))
		}
		go func() { _, _ = io.WriteString(d.keys, paste.String()) }()
		for i := range n {
			done := d.asks(shell.Prompt{})
			d.answered(done, fmt.Sprintf("%04d %s", i, strings.Repeat("x", 59)), nil)
		}
	})
}

func TestLineLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, 80, 24)
		longest := strings.Repeat("x", shell.MaxLine)
		done := d.asks(shell.Prompt{Text: "> "})
		d.types(longest + "\r")
		d.answered(done, longest, nil)
		done = d.asks(shell.Prompt{Text: "> "})
		d.types(longest + "x\r")
		d.answered(done, "", shell.ErrLineTooLong)
		done = d.asks(shell.Prompt{Text: "> "})
		d.types("next\r")
		d.answered(done, "next", nil)
	})
}

func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, 80, 24)
		command := shell.Prompt{Text: "> ", Complete: func(string) []string { return nil }}
		for _, line := range []string{"one", "two", "two", ""} {
			done := d.asks(command)
			d.types(line + "\r")
			d.answered(done, line, nil)
		}
		done := d.asks(shell.Prompt{Text: "[]> "})
		d.types(up + up + "answer\r")
		d.answered(done, "answer", nil)

		for _, tt := range []struct{ keys, line string }{
			{up, "two"}, {up + up, "one"}, {up, "one"}, {up + up + up + up + down, "two"}, {"x" + up + down, "x"},
			{down, ""}, {up + "\x7fy", "y"}, {"\x10", "y"},
		} {
			done := d.asks(command)
			d.types(tt.keys + "\r")
			d.answered(done, tt.line, nil)
		}
	})
}

func TestCompletion(t *testing.T) {
	for _, tt := range []struct{ typed, line, screen string }{
		{"sh\t", "show ", "> show _"},
		{"SH\t", "SHow ", "> SHow _"},
		{"c\t", "c", "> c\ncolors  colours  commit  crash\n> c_"},
		{"col\t", "colo", "> colo_"},
		{"x\t", "x", "> x_"},
		{"colours d\t", "colours delete ", "> colours delete _"},
		{"colours \t", "colours ", "> colours\ndelete  new\n> colours _"},
		{"fail \t", "fail ", "> fail\ntold  untold\n> fail _"},
		{"colours new \t", "colours new ", "> colours new _"},
		{"colours new Red 3 \t", "colours new Red 3 matt=", "> colours new Red 3 matt=_"},
		{"colours new Red 3 M\ty\t", "colours new Red 3 Matt=y", "> colours new Red 3 Matt=y_"},
		{"colours new Red 3 matt=\t", "colours new Red 3 matt=", "> colours new Red 3 matt=_"},
		{"colours new Red 3 matt=yes \t", "colours new Red 3 matt=yes ", "> colours new Red 3 matt=yes _"},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk(t, 40, 24)
			done := d.asks(shell.Prompt{Text: "> ", Complete: func(head string) []string { return shell.Complete(commands(), head) }})
			d.types(tt.typed)
			d.shows(tt.screen)
			d.types("\r")
			d.answered(done, tt.line, nil)
		})
	}
}

func TestClearScreenKeepsTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, 80, 24)
		_, _ = io.WriteString(d, "old\nlines\n")
		done := d.asks(shell.Prompt{Text: "> "})
		d.types("abc" + left + "\x0c")
		d.shows("> ab_c")
		d.types("\r")
		d.answered(done, "abc", nil)
	})
}

func TestInterruptOfARunningCommand(t *testing.T) {
	for _, typed := range [][]string{{"\x03"}, {"typed ahead\r\x03"}, {"typed ahead\r", "\x03"}} {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk(t, 80, 24)
			over := make(chan error, 1)
			go func() { over <- session(d, &palette{}).Interactive(t.Context()) }()
			d.types("wait\r")
			d.shows("mail.example.com> wait\nWaiting, press Ctrl-C to end.\n_")
			for _, text := range typed {
				d.types(text)
			}
			d.shows("mail.example.com> wait\nWaiting, press Ctrl-C to end.\n^C\nmail.example.com> _")
			d.types("wait\r\x03")
			d.types("exit\r")
			if err := <-over; err != nil {
				t.Errorf("session ended with %v", err)
			}
		})
	}
}

// The same key is an answer while a question is asked, and an interrupt right
// behind the answer.
func TestInterruptAtAQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, 80, 24)
		go func() { _ = session(d, &palette{}).Interactive(t.Context()) }()
		d.types("wait asking\r")
		d.types("ye\x03")
		d.shows("mail.example.com> wait asking\n\nReally? [Y]> ye^C\nmail.example.com> _")
		d.types("wait asking\r")
		d.types("y\r\x03")
		if !strings.HasSuffix(d.screen.String(), "Really? [Y]> y\n^C\nmail.example.com> _") {
			t.Errorf("the screen shows\n%s", d.screen)
		}
		d.types("exit\r")
	})
}

func TestLineEndsOfATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, 80, 24)
		for _, text := range []string{"a\nb\r\nc\r", "\nd\n\n"} {
			if n, err := io.WriteString(d, text); n != len(text) || err != nil {
				t.Errorf("wrote %d, %v", n, err)
			}
		}
		if got := d.screen.raw.String(); got != "a\r\nb\r\nc\r\nd\r\n\r\n" {
			t.Errorf("written %q", got)
		}
	})
}

func TestPagerKeys(t *testing.T) {
	for _, key := range []string{" ", "\n", "\x1b[B", "\x1b", "ü", "\x7f"} {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk(t, 80, 5)
			go func() { _ = session(d, &palette{}).Interactive(t.Context()) }()
			d.types("show 5\r")
			d.shows("mail.example.com> show 5\nline 1\nline 2\nline 3\nline 4\n-Press Any Key For More-_")
			d.types(key)
			d.shows("mail.example.com> show 5\nline 1\nline 2\nline 3\nline 4\nline 5\nend of listing\nmail.example.com> _")
			d.types("show 5\rq")
			if raw := d.screen.raw.String(); !strings.HasSuffix(raw, "\r\nmail.example.com> ") {
				t.Errorf("after q: %q", raw)
			}
			d.types("exit\r")
		})
	}
}

func TestPagesByTerminalSize(t *testing.T) {
	for _, tt := range []struct{ cols, rows, n, pages int }{
		{80, 0, 22, 0}, {80, 0, 23, 1}, {80, 16777215, 200, 0}, {80, 1, 2, 2}, {5, 11, 4, 1}, {0, 11, 9, 0}, {0, 11, 10, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk(t, tt.cols, tt.rows)
			go func() { _ = session(d, &palette{}).Interactive(t.Context()) }()
			d.types(fmt.Sprintf("show %d\r", tt.n))
			d.types(strings.Repeat(" ", tt.pages) + "exit\r")
			if got := strings.Count(d.screen.raw.String(), "-Press Any Key For More-"); got != tt.pages {
				t.Errorf("%dx%d: %d lines on %d further pages, want %d", tt.cols, tt.rows, tt.n, got, tt.pages)
			}
		})
	}
}
