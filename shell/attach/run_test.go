package attach_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"golang.org/x/crypto/ssh"

	"esa/shell/attach"
	"esa/shell/sshd"
)

type handler = func(ctx context.Context, s *sshd.Session) int

func newServer(t *testing.T, handle handler) *sshd.Server {
	t.Helper()
	key, err := sshd.LoadOrCreateKey(filepath.Join(t.TempDir(), "console_key"))
	if err != nil {
		t.Fatal(err)
	}
	return &sshd.Server{
		HostKeys:     []ssh.Signer{key},
		Diag:         slog.New(slog.NewTextHandler(t.Output(), nil)),
		Source:       "console",
		Authenticate: onlyUs,
		Handle:       handle,
		AcceptEnv:    []string{attach.GoOn},
	}
}

// onlyUs lets the user in who runs the tests, as admin.
func onlyUs(conn net.Conn, user string) error {
	uid, err := attach.PeerUID(conn)
	if err == nil && (uid != os.Geteuid() || user != "admin") {
		err = fmt.Errorf("uid %d is not %s", uid, user)
	}
	return err
}

// gateway serves a console in a directory until the test ends.
func gateway(t *testing.T, handle handler) (dir string) {
	t.Helper()
	dir = deepDir(t)
	ln := listen(t, dir)
	s := newServer(t, handle)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return dir
}

func dial(t *testing.T, dir string) net.Conn {
	t.Helper()
	conn, err := attach.Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// echo reads all its input and tells what it was asked.
func echo(_ context.Context, s *sshd.Session) int {
	in, err := io.ReadAll(s)
	fmt.Fprintf(s, "user %s exec %v %q env %v input %q %v\n", s.User, s.IsExec, s.Command, s.Env, in, err)
	io.WriteString(s.Stderr(), "told\n")
	switch s.Command {
	case "panic":
		panic("as asked")
	case "fail":
		return 1
	}
	return 0
}

func TestRun(t *testing.T) {
	dir := gateway(t, echo)
	inProcess := newServer(t, echo)
	var served sync.WaitGroup
	t.Cleanup(served.Wait)
	ways := map[string]func(t *testing.T) net.Conn{
		"socket": func(t *testing.T) net.Conn { return dial(t, dir) },
		"pipe": func(t *testing.T) net.Conn {
			client, server, err := attach.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			served.Go(func() { inProcess.ServeConn(context.Background(), server) })
			return client
		},
	}
	for _, tt := range []struct {
		name    string
		options attach.Options
		input   string
		status  int
		out     string
		errs    string
	}{
		{"batch", attach.Options{}, "version\n", 0, `user admin exec false "" env map[] input "version\n" <nil>`, "told\n"},
		{"exec", attach.Options{IsExec: true, Command: "status; version"}, "", 0, `user admin exec true "status; version" env map[] input "" <nil>`, "told\n"},
		{"exec with answers", attach.Options{IsExec: true, Command: "commit"}, "Y\n", 0, `user admin exec true "commit" env map[] input "Y\n" <nil>`, "told\n"},
		{"empty command", attach.Options{IsExec: true}, "", 0, `user admin exec true "" env map[] input "" <nil>`, "told\n"},
		{"go on", attach.Options{GoOn: true}, "", 0, `user admin exec false "" env map[ESA_GO_ON:1] input "" <nil>`, "told\n"},
		{"failure", attach.Options{IsExec: true, Command: "fail"}, "", 1, `user admin exec true "fail" env map[] input "" <nil>`, "told\n"},
		{"panic", attach.Options{IsExec: true, Command: "panic"}, "", sshd.StatusBroken, `user admin exec true "panic" env map[] input "" <nil>`, "told\nInternal error, this session ends.\n"},
	} {
		for way, connect := range ways {
			t.Run(tt.name+" over "+way, func(t *testing.T) {
				var out, errs bytes.Buffer
				o := tt.options
				if tt.input != "" {
					o.Stdin = strings.NewReader(tt.input)
				}
				o.User, o.Stdout, o.Stderr = "admin", &out, &errs
				status, err := attach.Run(t.Context(), connect(t), o)
				if err != nil || status != tt.status || out.String() != tt.out+"\n" || errs.String() != tt.errs {
					t.Errorf("status %d, %v\noutput %q\nerrors %q", status, err, out.String(), errs.String())
				}
			})
		}
	}
}

func TestRun_ManyAtOnce(t *testing.T) {
	text := strings.Repeat("smtproutes\n", 10_000)
	dir := gateway(t, func(_ context.Context, s *sshd.Session) int {
		n, err := io.Copy(s, s)
		if err != nil || n != int64(len(text)) {
			t.Errorf("copied %d bytes of %d, %v", n, len(text), err)
		}
		return len(s.Command)
	})
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			conn, err := attach.Dial(dir)
			if err != nil {
				t.Error(err)
				return
			}
			var out bytes.Buffer
			o := attach.Options{User: "admin", IsExec: true, Command: strings.Repeat("x", n), Stdin: strings.NewReader(text), Stdout: &out}
			status, err := attach.Run(t.Context(), conn, o)
			if err != nil || status != n || out.String() != text {
				t.Errorf("session %d: status %d, %v, %d bytes", n, status, err, out.Len())
			}
		})
	}
	all.Wait()
}

func TestRun_RefusedUser(t *testing.T) {
	dir := gateway(t, func(context.Context, *sshd.Session) int {
		t.Error("a session was opened")
		return 0
	})
	status, err := attach.Run(t.Context(), dial(t, dir), attach.Options{User: "guest\x1b[2J"})
	want := `the gateway refused the login as "guest\x1b[2J": You may not log in as this user here.`
	if status == 0 || !errors.Is(err, attach.ErrRefused) || err.Error() != want {
		t.Errorf("status %d, %v", status, err)
	}
}

func TestRun_NoticeInsteadOfASession(t *testing.T) {
	client, server, err := attach.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(server, "Too many connections,\x1b[2J try again later.\r\n")
	server.Close()
	_, err = attach.Run(t.Context(), client, attach.Options{User: "admin"})
	want := `the gateway refused the login as "admin": Too many connections,?[2J try again later.`
	if !errors.Is(err, attach.ErrRefused) || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestRun_LostConnection(t *testing.T) {
	client, server, err := attach.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, func(ctx context.Context, s *sshd.Session) int {
		server.Close()
		<-ctx.Done()
		return 0
	})
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.ServeConn(t.Context(), server)
	}()
	in, typing := io.Pipe()
	defer typing.Close()
	status, err := attach.Run(t.Context(), client, attach.Options{User: "admin", Stdin: in})
	if status == 0 || !errors.Is(err, attach.ErrLost) {
		t.Errorf("status %d, %v", status, err)
	}
	<-served
}

func TestRun_EndsWithItsContextAndTheHandlerLearnsIt(t *testing.T) {
	errEnough := errors.New("enough")
	started := make(chan struct{})
	cause := make(chan error, 1)
	dir := gateway(t, func(ctx context.Context, s *sshd.Session) int {
		close(started)
		_, err := io.ReadAll(s)
		cause <- errors.Join(err, context.Cause(ctx))
		return 0
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-started
		cancel(errEnough)
	}()
	in, typing := io.Pipe()
	defer typing.Close()
	status, err := attach.Run(ctx, dial(t, dir), attach.Options{User: "admin", Stdin: in})
	if status == 0 || err != errEnough {
		t.Errorf("status %d, %v", status, err)
	}
	if err := <-cause; !errors.Is(err, sshd.ErrLost) {
		t.Errorf("the handler saw %v", err)
	}
}

// What was read of a broken script must not be taken for all of it.
func TestRun_InputThatFailsIsNotAnEndOfInput(t *testing.T) {
	read := make(chan error, 1)
	dir := gateway(t, func(_ context.Context, s *sshd.Session) int {
		_, err := io.ReadAll(s)
		read <- err
		return 0
	})
	in := io.MultiReader(strings.NewReader("clearchanges\n"), iotest.ErrReader(errors.New("disk failure")))
	status, err := attach.Run(t.Context(), dial(t, dir), attach.Options{User: "admin", Stdin: in})
	if status == 0 || err == nil || err.Error() != "reading input: disk failure" {
		t.Errorf("status %d, %v", status, err)
	}
	if err := <-read; !errors.Is(err, sshd.ErrLost) {
		t.Errorf("the handler saw %v", err)
	}
}

func TestRun_OutputThatFailsEndsIt(t *testing.T) {
	dir := gateway(t, func(ctx context.Context, s *sshd.Session) int {
		for ctx.Err() == nil {
			s.Write(bytes.Repeat([]byte("."), 10_000))
		}
		return 0
	})
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	status, err := attach.Run(t.Context(), dial(t, dir), attach.Options{User: "admin", Stdout: full})
	if status == 0 || err == nil || err.Error() != "writing output: write /dev/full: no space left on device" {
		t.Errorf("status %d, %v", status, err)
	}
}

// A shell that runs us in a loop goes on reading the same input.
func TestRun_LeavesInputThatCameAfterTheEnd(t *testing.T) {
	dir := gateway(t, func(_ context.Context, s *sshd.Session) int {
		line := make([]byte, 4)
		io.ReadFull(s, line)
		return 0
	})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	io.WriteString(w, "exit")
	if status, err := attach.Run(t.Context(), dial(t, dir), attach.Options{User: "admin", Stdin: r}); status != 0 || err != nil {
		t.Errorf("status %d, %v", status, err)
	}
	io.WriteString(w, "next")
	w.Close()
	if rest, err := io.ReadAll(r); string(rest) != "next" || err != nil {
		t.Errorf("left: %q, %v", rest, err)
	}
}

type panickingWriter struct{}

func (panickingWriter) Write([]byte) (int, error) { panic("no such window") }

// The session ends well at about the same time, hence the rounds.
func TestRun_PanicOfAWriterComesToTheCaller(t *testing.T) {
	dir := gateway(t, echo)
	for range 20 {
		func() {
			defer func() {
				if v := fmt.Sprint(recover()); !strings.HasPrefix(v, "no such window") {
					t.Errorf("recovered %v", v)
				}
			}()
			status, err := attach.Run(t.Context(), dial(t, dir), attach.Options{User: "admin", Stdout: panickingWriter{}})
			t.Errorf("no panic: status %d, %v", status, err)
		}()
	}
}
