// Package sshd is the session server of the console: it speaks SSH and hands
// every shell, every command line and every subsystem to a handler.
//
// It follows RFC 4253 (transport), RFC 4252 (authentication) and RFC 4254
// (sessions), all through golang.org/x/crypto/ssh. The steps of a connection:
//
//	wire        bounds every write by time and remembers that the peer has gone
//	handshake   key exchange and authentication, within HandshakeTimeout
//	connection  takes session channels, up to MaxSessions, and answers keepalives
//	request     what a channel asks before and while it runs: env, pty, size, shell, exec, subsystem (RFC 4254 §6)
//	Session     what the handler sees: input, output, window, context
//	finish      end of output, exit status, close, in this order (RFC 4254 §5.3, §6.10)
//
// What a session does is the handler's matter; the server knows no commands
// and no users. Nor does it know where connections come from: the console on
// the unix socket of the data directory and the one on a TCP port are two
// Servers with different ways to log in, and one and the same code after that.
//
// A client is never trusted with our memory or our goroutines: connections,
// sessions, environment and times have bounds, and output that nobody takes
// ends the connection after StallTimeout.
package sshd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
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

// Server takes SSH connections. Signer and Handle must be set; all fields are
// read only once Serve or ServeConn was called. A Server may serve several
// listeners at once and must not be copied.
type Server struct {
	Signer  ssh.Signer // host key, from LoadOrCreateKey
	Version string     // software version in the greeting: printable, no blank; "" means "esa"
	Diag    *slog.Logger

	// Source is what sessions say they come from, such as "console";
	// "" means the address of the peer.
	Source string

	// Authenticate decides by the connection alone (the credentials of a
	// unix socket's other end) whether its client is user; the reason of a
	// refusal goes to Diag, not to the client. Without it nobody gets in:
	// a way in without password has to be asked for.
	Authenticate func(conn net.Conn, user string) error

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
	MaxConnections   int           // at a time, those not yet logged in included: 64
	MaxSessions      int           // channels of one connection: 32
	HandshakeTimeout time.Duration // from accept to logged in: 30 s
	StallTimeout     time.Duration // for one write that the client does not take: 15 min
	StopTimeout      time.Duration // for sessions to end when the context of the server ends: 5 s

	connections atomic.Int64
}

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
	defer s.connections.Add(-1)
	if s.connections.Add(1) > int64(cmp.Or(s.MaxConnections, 64)) {
		s.diag().Warn("too many console connections", "remote", conn.RemoteAddr())
		// Lines before the version are for people (RFC 4253 §4.2).
		if err := conn.SetDeadline(time.Now().Add(time.Second)); err == nil {
			io.WriteString(conn, "Too many connections, try again later.\r\n")
		}
		return
	}

	c := &connection{
		server: s,
		wire:   &wire{Conn: conn, stall: cmp.Or(s.StallTimeout, 15*time.Minute)},
		log:    s.diag().With("remote", conn.RemoteAddr()),
	}
	var watch sync.WaitGroup
	ended := make(chan struct{})
	watch.Go(func() { c.stopWhenDone(ctx, ended) })
	defer watch.Wait()
	defer close(ended)
	c.serve(ctx)
}

// handshake runs key exchange and authentication. The client may take its
// time over neither.
func (c *connection) handshake() (<-chan ssh.NewChannel, <-chan *ssh.Request, error) {
	deadline := time.Now().Add(cmp.Or(c.server.HandshakeTimeout, 30*time.Second))
	if err := c.wire.SetDeadline(deadline); err != nil {
		return nil, nil, fmt.Errorf("bounding the handshake: %w", err)
	}
	conn, chans, reqs, err := ssh.NewServerConn(c.wire, c.server.config(c.wire.Conn))
	if err != nil {
		return nil, nil, err
	}
	c.ssh = conn
	if err := c.wire.established(); err != nil {
		conn.Close()
		return nil, nil, err
	}
	return chans, reqs, nil
}

// config is how clients of conn may log in. The user is the one of the last
// attempt: what a callback saw of an earlier one is never used.
func (s *Server) config(conn net.Conn) *ssh.ServerConfig {
	config := &ssh.ServerConfig{
		Config:        algorithms(),
		ServerVersion: "SSH-2.0-" + cmp.Or(s.Version, "esa"),
		NoClientAuth:  s.Authenticate != nil,
		NoClientAuthCallback: func(m ssh.ConnMetadata) (*ssh.Permissions, error) {
			if err := s.Authenticate(conn, m.User()); err != nil {
				s.diag().Warn("console login refused", "user", m.User(), "remote", conn.RemoteAddr(), "error", err)
				return nil, &ssh.BannerError{Err: err, Message: "You may not log in as this user here.\n"}
			}
			return nil, nil
		},
	}
	config.AddHostKey(s.Signer)
	return config
}

// algorithms lists what we speak, best first: no SHA-1, no CBC, no group
// exchange (slow for us at the client's will). Strict key exchange is always on.
func algorithms() ssh.Config {
	return ssh.Config{
		KeyExchanges: []string{
			ssh.KeyExchangeMLKEM768X25519,
			ssh.KeyExchangeCurve25519,
			ssh.KeyExchangeECDHP256,
			ssh.KeyExchangeECDHP384,
			ssh.KeyExchangeECDHP521,
			ssh.KeyExchangeDH14SHA256,
		},
		Ciphers: []string{
			ssh.CipherAES128GCM,
			ssh.CipherAES256GCM,
			ssh.CipherChaCha20Poly1305,
			ssh.CipherAES128CTR,
			ssh.CipherAES192CTR,
			ssh.CipherAES256CTR,
		},
		MACs: []string{
			ssh.HMACSHA256ETM,
			ssh.HMACSHA512ETM,
			ssh.HMACSHA256,
			ssh.HMACSHA512,
		},
	}
}

func (s *Server) diag() *slog.Logger {
	if s.Diag == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Diag
}
