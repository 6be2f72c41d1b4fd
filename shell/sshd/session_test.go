package sshd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestExec_StreamsAndStatus(t *testing.T) {
	r := start(t, func(_ context.Context, s *Session) int {
		if !s.IsExec || s.Interactive || s.User != "admin" || s.Source != "console" || len(s.ID) != 12 {
			t.Errorf("session %+v", s)
		}
		fmt.Fprintf(s, "did %s in %v\n", s.Command, s.Env)
		io.WriteString(s.Stderr(), "but badly\n")
		return 3
	})
	s := session(t, r.dial(t))
	var out, errs bytes.Buffer
	s.Stdout, s.Stderr = &out, &errs
	if err := s.Setenv("ESA_GO_ON", "1"); err != nil {
		t.Error(err)
	}
	if err := s.Setenv("PATH", "/tmp"); err == nil {
		t.Error("PATH was accepted")
	}
	got := status(t, s.Run("status; version"))
	if got != 3 || out.String() != "did status; version in map[ESA_GO_ON:1]\n" || errs.String() != "but badly\n" {
		t.Errorf("status %d, output %q, errors %q", got, out.String(), errs.String())
	}
}

func TestBatch_InputEndsWithEOF(t *testing.T) {
	input := strings.Repeat("sethostname mail.example.com\n", 100_000)
	r := start(t, func(ctx context.Context, s *Session) int {
		got, err := io.ReadAll(s)
		if err != nil || string(got) != input || s.IsExec {
			t.Errorf("read %d bytes of %d, %v", len(got), len(input), err)
		}
		if ctx.Err() != nil {
			t.Errorf("the end of input ended the session: %v", context.Cause(ctx))
		}
		s.Write(got)
		return 0
	})
	s := session(t, r.dial(t))
	var out bytes.Buffer
	s.Stdin, s.Stdout = strings.NewReader(input), &out
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	if got := status(t, s.Wait()); got != 0 || out.String() != input {
		t.Errorf("status %d, %d bytes of %d came back", got, out.Len(), len(input))
	}
}

func TestTerminal_SizeAndChange(t *testing.T) {
	step := make(chan string)
	r := start(t, func(_ context.Context, s *Session) int {
		cols, rows := s.Window()
		step <- fmt.Sprintln(s.Interactive, s.Term, cols, rows)
		for range 2 {
			<-s.Resized()
			cols, rows = s.Window()
			step <- fmt.Sprint(cols, rows)
		}
		io.WriteString(s.Stderr(), "all in one stream\r\n")
		return 0
	})
	s := session(t, r.dial(t))
	var out bytes.Buffer
	s.Stdout = &out
	if err := s.RequestPty("xterm-256color", 24, 80, ssh.TerminalModes{ssh.ECHO: 1}); err != nil {
		t.Fatal(err)
	}
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	if got := <-step; got != "true xterm-256color 80 24\n" {
		t.Errorf("got %s", got)
	}
	for _, change := range []struct {
		rows, cols int
		want       string
	}{{50, 200, "200 50"}, {0, 0, "0 0"}} {
		if err := s.WindowChange(change.rows, change.cols); err != nil {
			t.Fatal(err)
		}
		if got := <-step; got != change.want {
			t.Errorf("got %s, want %s", got, change.want)
		}
	}
	if err := s.Wait(); err != nil || out.String() != "all in one stream\r\n" {
		t.Errorf("%v, output %q", err, out.String())
	}
}

func TestPanicEndsOnlyItsSession(t *testing.T) {
	goOn := make(chan struct{})
	r := start(t, func(_ context.Context, s *Session) int {
		if s.Command == "good" {
			<-goOn
			return 0
		}
		panic("no such listener")
	})
	client := r.dial(t)
	good := session(t, client)
	if err := good.Start("good"); err != nil {
		t.Fatal(err)
	}
	bad := session(t, client)
	var errs bytes.Buffer
	bad.Stderr = &errs
	if got := status(t, bad.Run("bad")); got != StatusBroken || errs.String() != "Internal error, this session ends.\n" {
		t.Errorf("status %d, errors %q", got, errs.String())
	}
	close(goOn)
	if err := good.Wait(); err != nil {
		t.Errorf("the other session: %v", err)
	}
}

// The difference between a script that ended and one that was cut off must
// not depend on who is faster, hence the many rounds.
func TestClientThatVanishesIsNotAnEndOfInput(t *testing.T) {
	type end struct{ read, cause error }
	ends := make(chan end)
	r := start(t, func(ctx context.Context, s *Session) int {
		_, err := io.ReadAll(s)
		ends <- end{err, context.Cause(ctx)}
		<-ctx.Done()
		return 0
	})
	for _, tt := range []struct {
		name   string
		vanish func(*ssh.Client, *ssh.Session) error
	}{
		{"connection", func(c *ssh.Client, _ *ssh.Session) error { return c.Close() }},
		{"channel", func(_ *ssh.Client, s *ssh.Session) error { return s.Close() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 100 {
				client := r.dial(t)
				s := session(t, client)
				in, err := s.StdinPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Shell(); err != nil {
					t.Fatal(err)
				}
				io.WriteString(in, "listenerconfig\n")
				if err := tt.vanish(client, s); err != nil {
					t.Fatal(err)
				}
				if got := <-ends; !errors.Is(got.read, ErrLost) || !errors.Is(got.cause, ErrLost) {
					t.Fatalf("Read: %v, cause: %v", got.read, got.cause)
				}
				client.Close()
			}
		})
	}
}

func TestManySessionsAtOnce(t *testing.T) {
	const most = 32
	var begun sync.WaitGroup
	begun.Add(most)
	goOn := make(chan struct{})
	r := start(t, func(_ context.Context, s *Session) int {
		if s.Command == "again" {
			return 9
		}
		begun.Done()
		<-goOn
		var n int
		fmt.Sscan(s.Command, &n)
		fmt.Fprintf(s, "%s%s", s.Command, strings.Repeat(".", 100_000))
		return n
	})
	client := r.dial(t)
	var ended sync.WaitGroup
	for n := range most {
		s := session(t, client)
		var out bytes.Buffer
		s.Stdout = &out
		if err := s.Start(fmt.Sprint(n)); err != nil {
			t.Fatal(err)
		}
		ended.Go(func() {
			if got := status(t, s.Wait()); got != n || out.Len() != len(fmt.Sprint(n))+100_000 {
				t.Errorf("session %d: status %d, %d bytes", n, got, out.Len())
			}
		})
	}
	begun.Wait()
	_, err := client.NewSession()
	if e, ok := errors.AsType[*ssh.OpenChannelError](err); !ok || e.Reason != ssh.ResourceShortage {
		t.Errorf("one more session: %v", err)
	}
	close(goOn)
	ended.Wait()
	// A slot is free when the server has seen our close, of which we hear
	// nothing: it answers requests in order, and this one comes after.
	if _, _, err := client.SendRequest(keepalive, true, nil); err != nil {
		t.Fatal(err)
	}
	for {
		s, err := client.NewSession()
		if e, ok := errors.AsType[*ssh.OpenChannelError](err); ok && e.Reason == ssh.ResourceShortage {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := status(t, s.Run("again")); got != 9 {
			t.Errorf("after all had ended: status %d", got)
		}
		return
	}
}

func TestWriteAfterTheHandlerFails(t *testing.T) {
	kept := make(chan *Session, 1)
	r := start(t, func(_ context.Context, s *Session) int {
		kept <- s
		return 0
	})
	if err := session(t, r.dial(t)).Run(""); err != nil {
		t.Fatal(err)
	}
	s := <-kept
	if _, err := io.WriteString(s, "late"); err != io.ErrClosedPipe {
		t.Errorf("Write: %v", err)
	}
	if _, err := io.WriteString(s.Stderr(), "late"); err != io.ErrClosedPipe {
		t.Errorf("Stderr: %v", err)
	}
	if _, err := s.Read(make([]byte, 1)); err != io.ErrClosedPipe {
		t.Errorf("Read: %v", err)
	}
}

func TestRequest(t *testing.T) {
	env := func(name, value string) []byte { return ssh.Marshal(envRequest{name, value}) }
	pty := func(term string) []byte {
		return ssh.Marshal(ptyRequest{Term: term, Cols: 80, Rows: 24, Modes: []byte{0, 0, 0, 1, 0}})
	}
	window := ssh.Marshal(windowChange{Cols: 1 << 31, Rows: 1<<24 - 1})
	exec := ssh.Marshal(execRequest{"version"})
	type ask struct {
		kind    string
		payload []byte
	}
	for _, tt := range []struct {
		name string
		asks []ask
		want string // + and - for each: accepted, refused; ! starts
		term string
	}{
		{"shell", []ask{{"shell", nil}}, "!", ""},
		{"one shell only", []ask{{"shell", nil}, {"shell", nil}, {"exec", exec}}, "!--", ""},
		{"env", []ask{{"env", env("LANG", "C")}, {"env", env("LD_PRELOAD", "x")}, {"env", env("LANG", strings.Repeat("x", 1025))}, {"env", nil}}, "+---", ""},
		{"env too late", []ask{{"exec", exec}, {"env", env("LANG", "C")}}, "!-", ""},
		{"exec without command", []ask{{"exec", nil}, {"exec", []byte{0xff, 0xff, 0xff, 0xff}}, {"exec", exec}}, "--!", ""},
		{"pty", []ask{{"pty-req", pty("vt100")}, {"pty-req", pty("xterm")}, {"shell", nil}, {"pty-req", pty("xterm")}}, "+-!-", "vt100"},
		{"pty damaged", []ask{{"pty-req", []byte("xterm")}, {"window-change", window}}, "--", ""},
		{"odd terminals", []ask{{"pty-req", pty("\x1b]0;x\x07")}}, "+", ""},
		{"long terminals", []ask{{"pty-req", pty(strings.Repeat("x", 65))}}, "+", ""},
		{"size", []ask{{"pty-req", pty("")}, {"window-change", window}, {"window-change", nil}, {"shell", nil}, {"window-change", window}}, "++-!+", ""},
		{"keepalive", []ask{{keepalive, nil}, {"shell", nil}, {keepalive, nil}}, "+!+", ""},
		{"not served", []ask{{"subsystem", ssh.Marshal(execRequest{"sftp"})}, {"x11-req", nil}, {"auth-agent-req@openssh.com", nil}, {"shell", nil}, {"signal", nil}}, "---!-", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &Session{
				conn:    &connection{server: &Server{AcceptEnv: []string{"LANG"}}},
				Env:     map[string]string{},
				resized: make(chan struct{}, 1),
			}
			got := ""
			for _, a := range tt.asks {
				switch ok, start := s.request(&ssh.Request{Type: a.kind, Payload: a.payload}); {
				case start && ok:
					got += "!"
				case ok:
					got += "+"
				default:
					got += "-"
				}
			}
			if got != tt.want || s.Term != tt.term {
				t.Errorf("got %s, %q, want %s, %q", got, s.Term, tt.want, tt.term)
			}
			if cols, rows := s.Window(); cols > maxWindow || rows > maxWindow {
				t.Errorf("window %d by %d", cols, rows)
			}
		})
	}
}
