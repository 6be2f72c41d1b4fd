package sshd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

// G3: 10,000 channels, and a flood of unknown requests.
func TestG3_FloodsAreRefusedAndTheSessionWorks(t *testing.T) {
	r := start(t, func(context.Context, *Session) int { return 5 })
	client := r.dial(t)
	s := session(t, client)
	opened := 1
	for range 10_000 {
		ch, reqs, err := client.OpenChannel("session", nil)
		if err == nil {
			opened++
			go ssh.DiscardRequests(reqs)
			defer ch.Close()
		}
		if ok, _, err := client.SendRequest("tcpip-forward", true, nil); ok || err != nil {
			t.Fatalf("global request: %v, %v", ok, err)
		}
		if ok, err := s.SendRequest("no-such-request", true, bytes.Repeat([]byte("x"), 1000)); ok || err != nil {
			t.Fatalf("request: %v, %v", ok, err)
		}
	}
	if opened != 32 {
		t.Errorf("%d channels were opened, want 32", opened)
	}
	if got := status(t, s.Run("status")); got != 5 {
		t.Errorf("status %d", got)
	}
}

func TestForwardingIsRefused(t *testing.T) {
	client := start(t, nil).dial(t)
	for _, kind := range []string{"direct-tcpip", "direct-streamlocal@openssh.com", "x11", "tun@openssh.com"} {
		_, _, err := client.OpenChannel(kind, nil)
		if e, ok := errors.AsType[*ssh.OpenChannelError](err); !ok || e.Reason != ssh.UnknownChannelType {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if ok, _, err := client.SendRequest(keepalive, true, nil); !ok || err != nil {
		t.Errorf("keepalive: %v, %v", ok, err)
	}
}

// G3: no window updates while a long listing is printed.
func TestG3_OutputNobodyTakesEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		wrote := make(chan error, 1)
		served, client := pipe(t, newServer(t, func(ctx context.Context, s *Session) int {
			_, err := s.Write(make([]byte, 16<<20))
			if !errors.Is(context.Cause(ctx), ErrStalled) {
				t.Errorf("cause %v", context.Cause(ctx))
			}
			wrote <- err
			return 0
		}, func(s *Server) { s.StallTimeout = time.Minute }))
		ch, reqs, err := client.OpenChannel("session", nil) // and never read
		if err != nil {
			t.Fatal(err)
		}
		go ssh.DiscardRequests(reqs)
		if ok, err := ch.SendRequest("shell", true, nil); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if err := <-wrote; !errors.Is(err, ErrStalled) || errors.Is(err, io.EOF) {
			t.Errorf("Write: %v", err)
		}
		if d := time.Since(begun); d != time.Minute {
			t.Errorf("stalled for %v", d)
		}
		<-served
	})
}

// A client that stops reading the connection itself: what waits is the
// handler's output, or our answer to a close, of which no handler knows.
func TestG3_ConnectionNobodyReadsEnds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		handle func(context.Context, *Session) error
		then   func(ssh.Channel) error
	}{
		{"output", func(_ context.Context, s *Session) error {
			_, err := s.Write(make([]byte, 16<<20))
			return err
		}, func(ssh.Channel) error { return nil }},
		{"close", func(ctx context.Context, _ *Session) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}, ssh.Channel.Close},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ended := make(chan error, 1)
				srv := newServer(t, func(ctx context.Context, s *Session) int {
					ended <- tt.handle(ctx, s)
					return 0
				}, func(s *Server) { s.StallTimeout = time.Minute })
				near, far := net.Pipe()
				stuck := &stuckConn{buffered: buffer(far), stuck: make(chan struct{}), release: make(chan struct{})}
				served := serve(t, srv, near)
				client := handshake(t, stuck)
				ch, reqs, err := client.OpenChannel("session", nil)
				if err != nil {
					t.Fatal(err)
				}
				go ssh.DiscardRequests(reqs)
				if err := stuck.stick(); err != nil {
					t.Fatal(err)
				}
				if _, err := ch.SendRequest("shell", false, nil); err != nil {
					t.Fatal(err)
				}
				if err := tt.then(ch); err != nil {
					t.Fatal(err)
				}
				if err := <-ended; !errors.Is(err, ErrLost) && !errors.Is(err, ErrStalled) {
					t.Errorf("the handler saw %v", err)
				}
				<-served
				close(stuck.release)
				client.Wait()
			})
		})
	}
}

// stuckConn stops reading at will, also when it is in a Read. It is of a bubble:
// a Read that has its deadline and something to read at once may take what there
// is to read, so that stick returns when no Read is under way.
type stuckConn struct {
	*buffered
	stuck, release chan struct{}
}

func (c *stuckConn) stick() error {
	close(c.stuck)
	err := c.SetReadDeadline(time.Now())
	synctest.Wait()
	return err
}

func (c *stuckConn) Read(p []byte) (int, error) {
	n, err := c.buffered.Read(p)
	select {
	case <-c.stuck:
		<-c.release
	default:
	}
	return n, err
}

func TestHandshakeIsBounded(t *testing.T) {
	for _, tt := range []struct {
		name string
		say  string
	}{
		{"silent client", ""},
		{"version only", "SSH-2.0-slow\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				begun := time.Now()
				served := serve(t, newServer(t, nil), near)
				go io.Copy(io.Discard, far)
				io.WriteString(far, tt.say)
				<-served
				if d := time.Since(begun); d != 30*time.Second {
					t.Errorf("waited %v", d)
				}
			})
		})
	}
}

// pipe connects a client to srv in this process. The channel is closed when
// the connection has been served.
func pipe(t *testing.T, srv *Server) (<-chan struct{}, *ssh.Client) {
	near, far := net.Pipe()
	served := serve(t, srv, near)
	return served, handshake(t, buffer(far))
}

func serve(t *testing.T, srv *Server, conn net.Conn) <-chan struct{} {
	served := make(chan struct{})
	go func() {
		defer close(served)
		srv.ServeConn(t.Context(), conn)
	}()
	return served
}

// handshake logs in, in a bubble. The SSH library ends its key exchange in the
// background by taking a mutex, which it also holds while it writes: on a busy
// machine the next thing written would come first, and where nobody reads it,
// the bubble's clock stands still, since waiting for a mutex stops it.
func handshake(t *testing.T, conn net.Conn) *ssh.Client {
	t.Helper()
	c, chans, reqs, err := ssh.NewClientConn(conn, "pipe", clientConfig())
	if err != nil {
		t.Fatal(err)
	}
	client := ssh.NewClient(c, chans, reqs)
	synctest.Wait()
	return client
}

// buffered is an end of a net.Pipe that holds what is written to it until the
// other end reads, as a socket does.
type buffered struct {
	net.Conn
	queue chan []byte
	gone  chan struct{}
	once  sync.Once
}

func buffer(conn net.Conn) *buffered {
	b := &buffered{Conn: conn, queue: make(chan []byte, 1000), gone: make(chan struct{})}
	go func() {
		for {
			select {
			case <-b.gone:
				return
			case p := <-b.queue:
				if _, err := conn.Write(p); err != nil {
					return
				}
			}
		}
	}()
	return b
}

func (b *buffered) Write(p []byte) (int, error) {
	select {
	case <-b.gone:
		return 0, net.ErrClosed
	case b.queue <- bytes.Clone(p):
		return len(p), nil
	}
}

func (b *buffered) Close() error {
	b.once.Do(func() { close(b.gone) })
	return b.Conn.Close()
}
