package attach_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"esa/shell/attach"
	"esa/shell/sshd"
)

// pseudoTerminal is a real terminal: keys are written to and the screen is
// read from keyboard, the program has line.
type pseudoTerminal struct {
	keyboard, line *os.File
	screen         *bufio.Reader
}

func newTerminal(t *testing.T, cols, rows uint16) *pseudoTerminal {
	t.Helper()
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	keyboard := os.NewFile(uintptr(master), "ptmx")
	t.Cleanup(func() { keyboard.Close() })
	number, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	line, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { line.Close() })
	p := &pseudoTerminal{keyboard: keyboard, line: line, screen: bufio.NewReader(keyboard)}
	p.resize(t, cols, rows)
	return p
}

func (p *pseudoTerminal) resize(t *testing.T, cols, rows uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(p.keyboard.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: cols, Row: rows}); err != nil {
		t.Fatal(err)
	}
}

func (p *pseudoTerminal) state(t *testing.T) unix.Termios {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(p.line.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *state
}

// expect reads the screen up to and with the line that ends in want.
func (p *pseudoTerminal) expect(t *testing.T, want string) {
	t.Helper()
	for {
		got, err := p.screen.ReadString('\n')
		if err != nil {
			t.Fatalf("waiting for %q: %v", want, err)
		}
		if strings.HasSuffix(got, want+"\r\n") {
			return
		}
	}
}

// keys answers each key with its number; "q" ends the session with status 6,
// "d" cuts the connection.
func keys(_ context.Context, s *sshd.Session) int {
	cols, rows := s.Window()
	fmt.Fprintf(s, "%v %s %dx%d\r\n", s.Interactive, s.Term, cols, rows)
	key := make([]byte, 1)
	for {
		if _, err := s.Read(key); err != nil {
			return 1
		}
		switch key[0] {
		case 'q':
			return 6
		case 'w':
			<-s.Resized()
			cols, rows := s.Window()
			fmt.Fprintf(s, "now %dx%d\r\n", cols, rows)
		default:
			fmt.Fprintf(s, "key %d\r\n", key[0])
		}
	}
}

type result struct {
	status int
	err    error
}

// begin starts an interactive session on p.
func (p *pseudoTerminal) begin(ctx context.Context, conn net.Conn) <-chan result {
	done := make(chan result, 1)
	go func() {
		status, err := attach.Run(ctx, conn, attach.Options{User: "admin", Term: "vt220", Stdin: p.line, Stdout: p.line, Stderr: p.line})
		done <- result{status, err}
	}()
	return done
}

func TestTerminalIsRawDuringTheSessionAndRestoredAfterIt(t *testing.T) {
	raise := func(s syscall.Signal) func(*testing.T, *stage) {
		return func(t *testing.T, _ *stage) {
			if err := syscall.Kill(os.Getpid(), s); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		name   string
		end    func(*testing.T, *stage)
		status int
		err    string
	}{
		{"exit", func(_ *testing.T, s *stage) { s.keyboard.WriteString("q") }, 6, ""},
		{"lost connection", func(_ *testing.T, s *stage) { s.server.Close() }, 1, attach.ErrLost.Error()},
		{"context", func(_ *testing.T, s *stage) { s.cancel(errors.New("enough")) }, 1, "enough"},
		{"SIGTERM", raise(syscall.SIGTERM), 1, "ended by signal: terminated"},
		{"SIGHUP", raise(syscall.SIGHUP), 1, "ended by signal: hangup"},
		{"SIGINT", raise(syscall.SIGINT), 1, "ended by signal: interrupt"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			before := s.state(t)
			done := s.begin(s.ctx, s.client)
			s.expect(t, "true vt220 200x50")
			s.keyboard.WriteString("\x03\r")
			s.expect(t, "key 3") // and not a signal
			s.expect(t, "key 13")
			if now := s.state(t); now.Lflag&(unix.ECHO|unix.ICANON|unix.ISIG) != 0 || now.Oflag&unix.OPOST != 0 {
				t.Errorf("the terminal is not raw: %+v", now)
			}
			tt.end(t, s)
			got := <-done
			text := ""
			if got.err != nil {
				text = got.err.Error()
			}
			if got.status != tt.status || text != tt.err {
				t.Errorf("got %+v", got)
			}
			if after := s.state(t); after != before {
				t.Errorf("before %+v\nafter  %+v", before, after)
			}
		})
	}
}

// stage is a terminal and a server in this process.
type stage struct {
	*pseudoTerminal
	client, server net.Conn
	ctx            context.Context
	cancel         context.CancelCauseFunc
}

func newStage(t *testing.T) *stage {
	t.Helper()
	client, server, err := attach.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{pseudoTerminal: newTerminal(t, 200, 50), client: client, server: server}
	s.ctx, s.cancel = context.WithCancelCause(t.Context())
	srv := newServer(t, keys)
	served := make(chan struct{})
	go func() {
		defer close(served)
		srv.ServeConn(context.Background(), server)
	}()
	t.Cleanup(func() { <-served })
	return s
}

// panicsAtKey is a screen that breaks at the first key that is answered.
type panicsAtKey struct{ *os.File }

func (p panicsAtKey) Write(b []byte) (int, error) {
	if strings.HasPrefix(string(b), "key") {
		panic("no such window")
	}
	return p.File.Write(b)
}

func TestTerminalIsRestoredBeforeAPanicGoesOn(t *testing.T) {
	s := newStage(t)
	before := s.state(t)
	panicked := make(chan string, 1)
	go func() {
		defer func() { panicked <- fmt.Sprint(recover()) }()
		attach.Run(s.ctx, s.client, attach.Options{User: "admin", Term: "vt220", Stdin: s.line, Stdout: panicsAtKey{s.line}})
	}()
	s.expect(t, "true vt220 200x50")
	if now := s.state(t); now == before {
		t.Fatal("the terminal is not raw: nothing to restore")
	}
	s.keyboard.WriteString("x")
	if got := <-panicked; !strings.HasPrefix(got, "no such window") {
		t.Errorf("recovered %s", got)
	}
	if after := s.state(t); after != before {
		t.Errorf("before %+v\nafter  %+v", before, after)
	}
}

func TestWindowChangesAreFollowed(t *testing.T) {
	s := newStage(t)
	done := s.begin(s.ctx, s.client)
	s.expect(t, "true vt220 200x50")
	for _, size := range []struct {
		cols, rows uint16
		want       string
	}{{80, 24, "now 80x24"}, {0, 0, "now 0x0"}} {
		s.resize(t, size.cols, size.rows)
		// This process is not in the terminal's foreground, so that the
		// kernel tells it nothing.
		if err := syscall.Kill(os.Getpid(), syscall.SIGWINCH); err != nil {
			t.Fatal(err)
		}
		s.keyboard.WriteString("w")
		s.expect(t, size.want)
	}
	s.keyboard.WriteString("q")
	if got := <-done; got.status != 6 || got.err != nil {
		t.Errorf("got %+v", got)
	}
}

func TestCommandOnATerminalLeavesItAlone(t *testing.T) {
	p := newTerminal(t, 80, 24)
	before := p.state(t)
	dir := gateway(t, func(_ context.Context, s *sshd.Session) int {
		fmt.Fprintf(s, "interactive %v\n", s.Interactive)
		if now := p.state(t); now != before {
			t.Errorf("the terminal was changed: %+v", now)
		}
		return 0
	})
	status, err := attach.Run(t.Context(), dial(t, dir), attach.Options{User: "admin", IsExec: true, Command: "version", Stdin: p.line, Stdout: p.line, Stderr: p.line})
	if status != 0 || err != nil {
		t.Errorf("status %d, %v", status, err)
	}
	p.expect(t, "interactive false")
}

func TestHangUpIsALostSessionAndNotAnEndOfInput(t *testing.T) {
	p := newTerminal(t, 80, 24)
	read := make(chan error, 1)
	dir := gateway(t, func(_ context.Context, s *sshd.Session) int {
		io.WriteString(s, "ready\r\n")
		_, err := io.ReadAll(s)
		read <- err
		return 0
	})
	done := p.begin(t.Context(), dial(t, dir))
	p.expect(t, "ready")
	p.keyboard.Close()
	if got := <-done; got.status == 0 || !errors.Is(got.err, attach.ErrHungUp) {
		t.Errorf("status %d, %v", got.status, got.err)
	}
	if err := <-read; !errors.Is(err, sshd.ErrLost) {
		t.Errorf("the handler saw %v", err)
	}
}
