package sshd

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// connection is one client with its session channels.
type connection struct {
	server   *Server
	wire     *wire
	settings Settings
	source   netip.Addr // invalid where the connection does not come over a network
	log      *slog.Logger
	login    login           // only used by the goroutine of serve
	ssh      *ssh.ServerConn // set by handshake

	place  place     // these two are the guard's
	began  time.Time // when it was admitted
	giveUp func()    // ends what the handshake waits for

	mu       sync.Mutex
	open     int  // channels that the client has not let go yet
	stopping bool // no new channels, close with the last one
	idle     *time.Timer
	waits    int // how often idle was set
}

// serve returns when the connection is closed and all it started has ended.
func (c *connection) serve(ctx, handshaking context.Context) {
	chans, reqs, err := c.handshake(handshaking)
	if err != nil {
		c.diag("console connection without session", "error", err)
		c.tellRefused()
		return
	}
	c.tellAccepted()
	defer c.tellLogout(time.Now())
	var running sync.WaitGroup
	gone := make(chan struct{})
	defer c.ssh.Wait() // its error is why the client has gone, which is its own business
	defer running.Wait()
	defer close(gone)
	running.Go(func() { c.answerGlobal(reqs) })
	running.Go(func() { c.keepAlive(gone) })
	c.waitIdly()
	defer c.stopWaiting()
	for channel := range chans {
		if reason, text := c.admit(channel.ChannelType()); reason != 0 {
			c.send(func() error { return channel.Reject(reason, text) })
			continue
		}
		running.Go(func() {
			defer c.release()
			c.serveSession(ctx, channel)
		})
	}
}

// admit counts a new channel, or says why there shall be none. Forwarding
// of ports and agents is not for a mail gateway.
func (c *connection) admit(kind string) (ssh.RejectionReason, string) {
	if kind != "session" {
		return ssh.UnknownChannelType, "only sessions are served"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping {
		return ssh.ResourceShortage, "the server is stopping"
	}
	if c.open >= cmp.Or(c.server.MaxSessions, 32) {
		return ssh.ResourceShortage, "too many sessions on this connection"
	}
	c.open++
	c.stopWaitingLocked()
	return 0, ""
}

// release gives a channel back, once the client has closed its side too: a
// client that never does cannot have any number of channels half closed.
func (c *connection) release() {
	c.mu.Lock()
	c.open--
	last := c.stopping && c.open == 0
	if c.open == 0 {
		c.waitIdlyLocked()
	}
	c.mu.Unlock()
	if last {
		c.wire.Close()
	}
}

// stopWhenDone closes the connection when ctx ends: at once if it has no
// session, else when the last has ended, and in any case after StopTimeout.
func (c *connection) stopWhenDone(ctx context.Context, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	c.mu.Lock()
	c.stopping = true
	idle := c.open == 0
	c.mu.Unlock()
	if !idle {
		timer := time.NewTimer(cmp.Or(c.server.StopTimeout, 5*time.Second))
		defer timer.Stop()
		select {
		case <-ended:
			return
		case <-timer.C:
			c.log.Warn("console connection closed with sessions that did not end")
		}
	}
	c.wire.Close()
}

// answerGlobal answers requests that concern no channel. Clients ask
// keepalive@openssh.com to see that we are alive: any answer will do.
func (c *connection) answerGlobal(reqs <-chan *ssh.Request) {
	for r := range reqs {
		c.reply(r, r.Type == keepalive)
	}
}

// serveSession lives as long as its channel: from the client's open to the
// client's close, which may come before or after the handler's end.
func (c *connection) serveSession(ctx context.Context, channel ssh.NewChannel) {
	var ch ssh.Channel
	var reqs <-chan *ssh.Request
	err := c.send(func() (err error) {
		ch, reqs, err = channel.Accept()
		return err
	})
	if err != nil {
		c.log.Info("console session not opened", "error", err)
		return
	}
	s := c.newSession(ctx, ch)
	var running sync.WaitGroup
	defer running.Wait()
	for r := range reqs {
		ok, start := s.request(r)
		c.reply(r, ok)
		if start {
			running.Go(s.pump)
			running.Go(s.run)
		}
	}
	s.cancel(c.wire.reason())
}

func (c *connection) newSession(ctx context.Context, ch ssh.Channel) *Session {
	id := rand.Text()[:12]
	s := &Session{
		User:    c.ssh.User(),
		Source:  c.sourceName(),
		Local:   localAddr(c.wire.LocalAddr()),
		ID:      id,
		Env:     map[string]string{},
		log:     c.log.With("user", c.ssh.User(), "session", id),
		conn:    c,
		ch:      ch,
		resized: make(chan struct{}, 1),
	}
	s.open(ctx)
	return s
}

// sourceName is where the connection comes from, for people.
func (c *connection) sourceName() string {
	switch {
	case c.server.Source != "":
		return c.server.Source
	case c.source.IsValid():
		return c.source.String()
	}
	return c.wire.RemoteAddr().String()
}

// addrOf is the address of the other end of a TCP connection, in its one form;
// invalid of other connections.
func addrOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// localAddr is the address and port that a TCP connection came in by.
func localAddr(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return netip.AddrPortFrom(addrOf(a).WithZone(""), tcp.AddrPort().Port())
	}
	return netip.AddrPort{}
}

func (c *connection) reply(r *ssh.Request, ok bool) {
	if err := c.send(func() error { return r.Reply(ok, nil) }); err != nil {
		c.log.Debug("answering a request", "request", fmt.Sprintf("%.64q", r.Type), "error", err)
	}
}

// send runs something that writes to the client. If it is not through in
// time, because the client opens no window or never ends a key exchange it
// began, the connection is closed, which ends every write on it.
func (c *connection) send(write func() error) error {
	timer := time.AfterFunc(c.wire.stall, c.wire.stop)
	defer timer.Stop()
	if err := write(); err != nil {
		// Not wrapped: the io.EOF of a closed channel is not an end of input.
		return fmt.Errorf("%w: %v", c.wire.reason(), err)
	}
	return nil
}

// wire is a network connection that remembers why it ended, and on which,
// once established, no write takes longer than stall.
type wire struct {
	net.Conn
	stall   time.Duration
	bounded atomic.Bool // writes have their own deadline; before, the handshake has one for all
	gone    atomic.Bool // reading failed: set before the reader knows
	stalled atomic.Bool
}

// established ends the time of the handshake.
func (w *wire) established() error {
	w.bounded.Store(true)
	if err := w.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("lifting the bound of the handshake: %w", err)
	}
	return nil
}

// Read notes that the peer has gone.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if err != nil {
		w.gone.Store(true)
	}
	return n, err
}

// Write fails after stall, and what failed once is closed: half a packet
// cannot be followed by another.
func (w *wire) Write(p []byte) (int, error) {
	if w.bounded.Load() {
		if err := w.SetWriteDeadline(time.Now().Add(w.stall)); err != nil {
			return 0, err
		}
	}
	n, err := w.Conn.Write(p)
	if err != nil {
		w.Close()
	}
	return n, err
}

// stop closes the connection of a client that takes nothing.
func (w *wire) stop() {
	w.stalled.Store(true)
	w.Close()
}

// reason is why a session on the connection cannot go on.
func (w *wire) reason() error {
	if w.stalled.Load() {
		return ErrStalled
	}
	return ErrLost
}
