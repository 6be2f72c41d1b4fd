// Package sshd is the session server of the console: it speaks SSH and hands
// every shell, every command line and every subsystem to a handler.
//
// It follows RFC 4253 (transport), RFC 4252 (authentication) and RFC 4254
// (sessions), all through golang.org/x/crypto/ssh. The steps of a connection:
//
//	guard       may it get as far as the handshake: sources, penalties, numbers
//	wire        bounds every write by time and remembers that the peer has gone
//	handshake   key exchange and authentication, within HandshakeTimeout
//	login       who it is: by the connection itself, by password, by public key
//	connection  takes session channels, up to MaxSessions, and answers keepalives
//	request     what a channel asks before and while it runs: env, pty, size, shell, exec, subsystem (RFC 4254 §6)
//	Session     what the handler sees: input, output, window, context
//	finish      end of output, exit status, close, in this order (RFC 4254 §5.3, §6.10)
//
// What a session does is the handler's matter; the server knows no commands,
// and users only through Accounts. The console on the unix socket of the data
// directory and the one on TCP ports are two Servers with different ways to log
// in, and one and the same code after that.
//
// A client is never trusted with our memory or our goroutines: connections,
// sessions, environment and times have bounds, and output that nobody takes
// ends the connection after StallTimeout. Who guesses passwords is kept out for
// a while (penalty.go), and who opens connections without logging in loses them
// to others (guard.go); neither disturbs a client that is logged in.
package sshd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// Reasons why a session's context ends, for errors.Is on context.Cause and on
// what Read and Write return. When the context of the server ends, the cause
// is that of the server's context.
var (
	ErrLost    = errors.New("the client has gone")
	ErrStalled = errors.New("the client takes no output")
)

// StatusBroken is the exit status of a session whose handler panicked: no
// command has it, and scripts know it from ssh as "the session failed".
const StatusBroken = 255

// Server takes SSH connections. HostKeys and Handle must be set; all fields are
// read only once Serve or ServeConn was called. A Server may serve several
// listeners at once and must not be copied.
type Server struct {
	HostKeys HostKeys
	Version  string // software version in the greeting: printable, no blank; "" means "esa"
	Diag     *slog.Logger

	// Source is what sessions say they come from, such as "console";
	// "" means the address of the peer.
	Source string

	// Authenticate decides by the connection alone (the credentials of a
	// unix socket's other end) whether its client is user; the reason of a
	// refusal goes to Diag, not to the client. Without it nobody gets in:
	// a way in without password has to be asked for.
	Authenticate func(conn net.Conn, user string) error

	// Accounts knows passwords and keys; without it neither lets anybody in.
	Accounts Accounts

	// Settings gives what an operator can change while the server runs. It is
	// asked for at every connection; nil means the zero Settings.
	Settings func() Settings

	// Events is told who logs in and out, if it is set.
	Events Events

	// Handle runs one session and returns its exit status, 0 to 255. It
	// must return when ctx ends. A Read or Write of the session that is
	// under way when it returns, or comes later, gets io.ErrClosedPipe. A
	// panic in it ends that session only.
	Handle func(ctx context.Context, s *Session) int

	// AcceptEnv names the environment variables taken from clients.
	AcceptEnv []string

	// Subsystems names those that Handle serves, such as "sftp".
	Subsystems []string

	// Bounds; zero means the default.
	MaxConnections   int           // logged in at a time: 64
	MaxWaiting       int           // at a time, not yet logged in: 100
	MaxSessions      int           // channels of one connection: 32
	HandshakeTimeout time.Duration // from accept to logged in: 30 s
	StallTimeout     time.Duration // for one write that the client does not take: 15 min
	StopTimeout      time.Duration // for sessions to end when the context of the server ends: 5 s

	// Keepalive is how often a client is asked whether it is still there; one
	// that does not answer three times as long is gone. 0: it is not asked.
	Keepalive time.Duration

	Clock func() time.Time // nil: time.Now; penalties are counted by it

	guard guard
}

// Settings is what an operator can change. What a connection began with holds
// for all of it. The zero value is our own choice, without bounds.
type Settings struct {
	Algorithms Algorithms
	MinRSABits int                   // smaller RSA keys are neither offered by us nor accepted
	Banner     string                // shown before login; in lines that end in LF
	Allows     func(netip.Addr) bool // who may log in; nil: everybody
	Idle       time.Duration         // a connection without session for longer is closed; 0: never
}

// Algorithms are names of RFC 4250 §4.11, best first. An empty list is our own
// choice.
type Algorithms struct{ Signatures, Ciphers, MACs, KEX []string }

// Serve takes connections from ln until ctx ends or ln is closed, then waits
// for those it took: they end by themselves, or because ctx ended. It closes
// ln. The error says why ln failed, and is nil where it was closed.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	defer ln.Close()
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	var conns sync.WaitGroup
	defer conns.Wait()

	var pause time.Duration
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
			conns.Go(func() { s.ServeConn(ctx, conn) })
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return nil
		case passing(err):
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.diag().Warn("accepting a console connection", "error", err, "pause", pause)
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		default:
			s.diag().Error("accepting console connections ended", "error", err)
			return fmt.Errorf("accepting console connections: %w", err)
		}
	}
}

// passing reports whether accepting can be expected to work again without
// anybody touching the listener: what is short now is given back later.
func passing(err error) bool {
	for _, e := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.EINTR,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// ServeConn serves one connection and closes it. It returns when the client
// has gone and every handler has returned. When ctx ends, sessions see their
// context end and have StopTimeout to say goodbye.
//
// The connection must hold a little of what is written before it is read, as
// sockets do and net.Pipe does not: both ends of SSH write first.
func (s *Server) ServeConn(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	c := &connection{
		server:   s,
		wire:     &wire{Conn: conn, stall: cmp.Or(s.StallTimeout, 15*time.Minute)},
		settings: s.settings(),
		source:   addrOf(conn.RemoteAddr()),
		log:      s.diag().With("remote", conn.RemoteAddr()),
	}
	// One that loses its place must not wait on for its passphrase to be looked at.
	handshaking, giveUp := context.WithTimeout(ctx, s.handshakeTimeout())
	defer giveUp()
	c.giveUp = giveUp
	if refusal := s.guard.admit(c, s.limits()); refusal != "" {
		c.diag("console connection refused", "reason", refusal)
		// Lines before the version are for people (RFC 4253 §4.2).
		if err := conn.SetDeadline(time.Now().Add(time.Second)); err == nil {
			io.WriteString(conn, refusal+"\r\n")
		}
		return
	}
	defer func() {
		if refused := s.guard.leave(c, c.login.penalty(ctx)); refused > 0 {
			c.tell(fmt.Sprintf("too many connections without a login: %s is refused for %d seconds", network(c.source), seconds(refused)))
		}
	}()
	var watch sync.WaitGroup
	ended := make(chan struct{})
	watch.Go(func() { c.stopWhenDone(ctx, ended) })
	defer watch.Wait()
	defer close(ended)
	c.serve(ctx, handshaking)
}

func (s *Server) handshakeTimeout() time.Duration { return cmp.Or(s.HandshakeTimeout, 30*time.Second) }

// handshake runs key exchange and authentication. The client may take its
// time over neither.
func (c *connection) handshake(ctx context.Context) (<-chan ssh.NewChannel, <-chan *ssh.Request, error) {
	deadline := time.Now().Add(c.server.handshakeTimeout())
	if err := c.wire.SetDeadline(deadline); err != nil {
		return nil, nil, fmt.Errorf("bounding the handshake: %w", err)
	}
	conn, chans, reqs, err := ssh.NewServerConn(c.wire, c.config(ctx))
	if err != nil {
		c.login.failed(err)
		return nil, nil, err
	}
	c.ssh = conn
	if !c.server.guard.enter(c, c.server.limits()) {
		err = errors.New("too many connections")
	} else {
		err = c.wire.established()
	}
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return chans, reqs, nil
}

func (s *Server) settings() Settings {
	if s.Settings == nil {
		return Settings{}
	}
	return s.Settings()
}

func (s *Server) limits() limits {
	return limits{waiting: cmp.Or(s.MaxWaiting, 100), loggedIn: cmp.Or(s.MaxConnections, 64)}
}

func (s *Server) diag() *slog.Logger {
	if s.Diag == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Diag
}
