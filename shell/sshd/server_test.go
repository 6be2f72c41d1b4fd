package sshd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"
)

// running is a server on loopback that lets everybody in.
type running struct {
	*Server
	addr string
	stop func() // ends the server's context and waits for Serve
}

type handler = func(ctx context.Context, s *Session) int

// errStop is the cause of the context of a stopped test server.
var errStop = errors.New("the test stops the server")

func start(t *testing.T, handle handler, change ...func(*Server)) *running {
	t.Helper()
	s := newServer(t, handle, change...)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	stop := sync.OnceFunc(func() {
		cancel(errStop)
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(stop)
	return &running{Server: s, addr: ln.Addr().String(), stop: stop}
}

func newServer(t *testing.T, handle handler, change ...func(*Server)) *Server {
	t.Helper()
	key, err := LoadOrCreateKey(filepath.Join(t.TempDir(), "ssh", "console_key"))
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		HostKeys:     []ssh.Signer{key},
		Version:      "esa_test",
		Diag:         slog.New(slog.NewTextHandler(t.Output(), nil)),
		Source:       "console",
		Authenticate: func(net.Conn, string) error { return nil },
		Handle:       handle,
		AcceptEnv:    []string{"ESA_GO_ON", "LANG"},
	}
	for _, f := range change {
		f(s)
	}
	return s
}

func (r *running) dial(t *testing.T) *ssh.Client {
	t.Helper()
	client, err := ssh.Dial("tcp", r.addr, clientConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func clientConfig() *ssh.ClientConfig {
	return &ssh.ClientConfig{User: "admin", HostKeyCallback: ssh.InsecureIgnoreHostKey()}
}

func session(t *testing.T, client *ssh.Client) *ssh.Session {
	t.Helper()
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func status(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	e, ok := errors.AsType[*ssh.ExitError](err)
	if !ok {
		t.Fatalf("no exit status: %v", err)
	}
	return e.ExitStatus()
}

func TestServeGoesOnWhenDescriptorsRunOut(t *testing.T) {
	s := newServer(t, func(context.Context, *Session) int { return 0 })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	short := &shortListener{Listener: ln, failures: []error{syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED}}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, short) }()

	client, err := ssh.Dial("tcp", ln.Addr().String(), clientConfig())
	if err != nil {
		t.Fatal(err)
	}
	if err := session(t, client).Run("version"); err != nil {
		t.Error(err)
	}
	if len(short.failures) != 0 {
		t.Errorf("accepted before the failures: %v left", short.failures)
	}
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// shortListener fails to accept a few times, as accept(2) does.
type shortListener struct {
	net.Listener
	failures []error
}

func (l *shortListener) Accept() (net.Conn, error) {
	if len(l.failures) > 0 {
		err := l.failures[0]
		l.failures = l.failures[1:]
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", err)}
	}
	return l.Listener.Accept()
}

func TestServeEndsWithItsListener(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"closed", net.ErrClosed, ""},
		{"broken", syscall.EBADF, "accepting console connections: accept: accept4: bad file descriptor"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, nil)
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if err := s.Serve(t.Context(), &shortListener{Listener: ln, failures: []error{tt.err}}); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestStopEndsSessionsWithStatusAndIdleConnections(t *testing.T) {
	reading := make(chan struct{})
	r := start(t, func(ctx context.Context, s *Session) int {
		io.WriteString(s, "hello\n")
		close(reading)
		_, err := s.Read(make([]byte, 1))
		if !errors.Is(err, errStop) || !errors.Is(context.Cause(ctx), errStop) {
			t.Errorf("Read: %v, cause %v", err, context.Cause(ctx))
		}
		io.WriteString(s, "goodbye\n")
		return 7
	})
	idle := r.dial(t)
	s := session(t, r.dial(t))
	var out bytes.Buffer
	s.Stdout = &out
	in, err := s.StdinPipe() // never closed: the handler waits for input
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	<-reading
	r.stop()
	if got := status(t, s.Wait()); got != 7 || out.String() != "hello\ngoodbye\n" {
		t.Errorf("status %d, output %q", got, out.String())
	}
	if err := idle.Wait(); err == nil {
		t.Error("idle connection ended without error")
	}
}

func TestRefusedUserGetsNoSession(t *testing.T) {
	for _, tt := range []struct {
		name         string
		authenticate func(net.Conn, string) error
		banner       string
	}{
		{"by Authenticate", func(_ net.Conn, user string) error { return errors.New("uid 65534 is not " + user) }, "You may not log in as this user here.\n"},
		{"without Authenticate", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, func(context.Context, *Session) int {
				t.Error("a session was opened")
				return 0
			}, func(s *Server) { s.Authenticate = tt.authenticate })
			banner := ""
			config := clientConfig()
			config.BannerCallback = func(text string) error {
				banner = text
				return nil
			}
			config.Auth = []ssh.AuthMethod{ssh.Password("ironport")}
			if client, err := ssh.Dial("tcp", r.addr, config); err == nil {
				client.Close()
				t.Error("logged in")
			}
			if banner != tt.banner {
				t.Errorf("banner %q, want %q", banner, tt.banner)
			}
		})
	}
}

func TestAuthenticateSeesTheConnectionItself(t *testing.T) {
	r := start(t, func(context.Context, *Session) int { return 0 }, func(s *Server) {
		s.Authenticate = func(conn net.Conn, user string) error {
			if _, ok := conn.(*net.TCPConn); !ok || user != "admin" {
				t.Errorf("asked about %T, %q", conn, user)
			}
			return nil
		}
	})
	r.dial(t)
}

func TestTooManyConnections(t *testing.T) {
	r := start(t, func(context.Context, *Session) int { return 0 }, func(s *Server) { s.MaxConnections = 1 })
	first := r.dial(t)
	session(t, first) // now the server knows too that it is logged in
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	said, err := io.ReadAll(conn)
	if want := "Too many connections, try again later.\r\n"; string(said) != want || err != nil {
		t.Errorf("got %q, %v, want %q", said, err, want)
	}
	if err := session(t, first).Run("version"); err != nil {
		t.Errorf("the first connection: %v", err)
	}
}

func TestOldAlgorithmsAreNotSpoken(t *testing.T) {
	r := start(t, nil)
	for _, tt := range []struct {
		name   string
		change func(*ssh.Config)
	}{
		{"SHA-1 key exchange", func(c *ssh.Config) {
			c.KeyExchanges = []string{ssh.InsecureKeyExchangeDH14SHA1, ssh.InsecureKeyExchangeDH1SHA1, ssh.InsecureKeyExchangeDHGEXSHA1}
		}},
		{"CBC and RC4", func(c *ssh.Config) {
			c.Ciphers = []string{ssh.InsecureCipherAES128CBC, ssh.InsecureCipherTripleDESCBC, ssh.InsecureCipherRC4}
		}},
		{"SHA-1 MAC", func(c *ssh.Config) {
			c.Ciphers = []string{ssh.CipherAES128CTR}
			c.MACs = []string{ssh.HMACSHA1, ssh.InsecureHMACSHA196}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config := clientConfig()
			tt.change(&config.Config)
			_, err := ssh.Dial("tcp", r.addr, config)
			if _, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err); !ok {
				t.Errorf("got %v, want no common algorithm", err)
			}
		})
	}
	c := Algorithms{}.config()
	for _, name := range append(append(c.KeyExchanges, c.Ciphers...), c.MACs...) {
		if strings.Contains(name, "sha1") || strings.Contains(name, "cbc") {
			t.Errorf("%s is offered", name)
		}
	}
}

func TestGreetingNamesTheVersion(t *testing.T) {
	r := start(t, nil)
	if got := string(r.dial(t).ServerVersion()); got != "SSH-2.0-esa_test" {
		t.Errorf("got %q", got)
	}
}
