package shell_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"esa/shell"
)

func TestPlainLines(t *testing.T) {
	longest := strings.Repeat("x", shell.MaxLine)
	in := "one\ntwo\r\n\n\ttab\x1b[31mred\xff\u202e\n" + longest + "\r\n" + longest + "x\n" + longest + longest + "\nlast"
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		c := shell.NewPlain(strings.NewReader(in), &out, shell.PlainOptions{})
		for _, want := range []struct {
			line string
			err  error
		}{
			{"one", nil}, {"two", nil}, {"", nil}, {" tab[31mred", nil}, {longest, nil},
			{"", shell.ErrLineTooLong}, {"", shell.ErrLineTooLong}, {"last", nil}, {"", io.EOF},
		} {
			line, err := c.ReadLine(t.Context(), shell.Prompt{Text: "[]> "})
			if line != want.line || !errors.Is(err, want.err) {
				t.Errorf("%.30q, %v; want %.30q, %v", line, err, want.line, want.err)
			}
		}
		if got := out.String(); got != strings.Repeat("[]> \n", 9) {
			t.Errorf("output %q", got)
		}
	})
}

func TestPlainSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		c := shell.NewPlain(strings.NewReader("show 2\nbogus\n"), &out, shell.PlainOptions{CRLF: true})
		if status := session(c, &palette{}).Batch(t.Context(), false); status != 1 {
			t.Errorf("status %d", status)
		}
		want := "mail.example.com> \r\nline 1\r\nline 2\r\nend of listing\r\n" +
			"mail.example.com> \r\nUnknown command or missing feature key: bogus\r\nmail.example.com> \r\n"
		if out.String() != want {
			t.Errorf("output %q, want %q", out.String(), want)
		}
	})
}

// A client that types its password after the first output of an exec line must
// not answer a question with it; Ctrl-C still ends what runs.
func TestDiscardedInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, keys := io.Pipe()
		var out strings.Builder
		c := shell.NewPlain(in, &out, shell.PlainOptions{CRLF: true, Discard: true})
		status := make(chan int, 1)
		go func() { status <- session(c, &palette{}).Exec(t.Context(), "colours; wait") }()
		_, _ = io.WriteString(keys, "password\n")
		synctest.Wait()
		select {
		case got := <-status:
			t.Fatalf("ended with status %d", got)
		default:
		}
		_, _ = io.WriteString(keys, "\x03")
		if got := <-status; got != 1 {
			t.Errorf("status %d", got)
		}
		if !strings.Contains(out.String(), "The input ended inside the command") || !strings.HasSuffix(out.String(), "\r\n^C\r\n") {
			t.Errorf("output %q", out.String())
		}
		_ = keys.Close()
	})
}

// Half a line of a script that was cut off is not run.
func TestInputThatIsCutOffIsNoEndOfInput(t *testing.T) {
	cut := errors.New("the client has gone")
	in := io.MultiReader(strings.NewReader("commit\ncommit now"), iotest.ErrReader(cut))
	c := shell.NewPlain(in, io.Discard, shell.PlainOptions{})
	if line, err := c.ReadLine(t.Context(), shell.Prompt{}); line != "commit" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
	if line, err := c.ReadLine(t.Context(), shell.Prompt{}); line != "" || !errors.Is(err, cut) {
		t.Errorf("%q, %v", line, err)
	}
	terminal := shell.NewTerminal(iotest.ErrReader(cut), io.Discard, shell.TerminalOptions{})
	if err := session(terminal, &palette{}).Interactive(t.Context()); !errors.Is(err, cut) {
		t.Errorf("the session ended with %v", err)
	}
}

func TestPlainReadEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, keys := io.Pipe()
		c := shell.NewPlain(in, io.Discard, shell.PlainOptions{})
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := c.ReadLine(ctx, shell.Prompt{})
			done <- err
		}()
		synctest.Wait()
		cancel(shell.ErrIdle)
		if err := <-done; !errors.Is(err, shell.ErrIdle) {
			t.Errorf("ended with %v", err)
		}
		_ = keys.Close()
	})
}

// What is pasted far ahead of the questions makes the writer wait, and is lost
// by nobody; Close lets the reading goroutine go.
func TestInputAheadIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, keys := io.Pipe()
		c := shell.NewPlain(in, io.Discard, shell.PlainOptions{})
		line := strings.Repeat("x", 1023) + "\n"
		written := 0
		go func() {
			for range 1024 {
				if _, err := io.WriteString(keys, line); err != nil {
					return
				}
				written++
			}
		}()
		synctest.Wait()
		if written > 300 {
			t.Errorf("%d KB read ahead", written)
		}
		for range 512 {
			if got, err := c.ReadLine(t.Context(), shell.Prompt{}); err != nil || len(got) != 1023 {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
		}
		_ = c.Close()
		_ = in.Close()
	})
}
