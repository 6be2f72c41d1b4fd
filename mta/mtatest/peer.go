package mtatest

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// What an Answer may return instead of a reply.
const (
	PeerDrop    = "\x00drop"    // the peer closes the connection without a word
	PeerSilence = "\x00silence" // the peer says nothing more until the client gives up
	PeerStall   = "\x00stall"   // the peer reads nothing more until the test ends
)

// PeerScript says how a Peer behaves. The zero PeerScript takes everything and
// announces no extension.
type PeerScript struct {
	Banner string   // default "220 peer.test ESMTP"
	Hello  []string // extensions, one line each; the greeting line is added before
	// TLS, if set, has STARTTLS announced and answered with a handshake.
	TLS *tls.Config
	// Answer gives the reply to a command line, "." for the end of data and ""
	// for the connection itself; lines are separated by \n. An empty answer is
	// the usual one.
	Answer func(c *PeerConn, command string) string
	// Talk, if set, has the connection to itself: for peers that do not keep to
	// the order of things.
	Talk func(c *PeerConn)
}

// PeerMessage is a message that a Peer took.
type PeerMessage struct {
	From string   // the arguments of MAIL
	TLS  string   // "TLS 1.3" where it came over an encrypted connection
	To   []string // the arguments of each RCPT that was accepted
	Text string   // without the dots that were added
	Wire string   // as it came, the end of data included
}

// Peer is a fake next hop.
type Peer struct {
	script   PeerScript
	listener net.Listener
	running  sync.WaitGroup
	stopped  chan struct{}

	mu       sync.Mutex
	conns    map[net.Conn]bool
	count    int
	commands []string
	messages []PeerMessage
	failed   []error // handshakes
}

// NewPeer makes a peer without a listener, for Serve.
func NewPeer(script PeerScript) *Peer {
	return &Peer{script: script, stopped: make(chan struct{}), conns: make(map[net.Conn]bool)}
}

// StartPeer makes a peer that listens on a free port of 127.0.0.1 until the
// test ends.
func StartPeer(t testing.TB, script PeerScript) *Peer {
	t.Helper()
	return StartPeerOn(t, "127.0.0.1:0", script)
}

// StartPeerOn is StartPeer on another address.
func StartPeerOn(t testing.TB, address string, script PeerScript) *Peer {
	t.Helper()
	p := NewPeer(script)
	var err error
	if p.listener, err = net.Listen("tcp", address); err != nil {
		t.Fatalf("starting a peer: %v", err)
	}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		p.listener.Close()
		p.Stop()
		p.running.Wait()
	})
	return p
}

// Stop ends all connections and whatever a script waits for. A peer that was
// started is stopped with its test.
func (p *Peer) Stop() {
	close(p.stopped)
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

func (p *Peer) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.Serve(conn) })
	}
}

// Addr is where the peer listens.
func (p *Peer) Addr() netip.AddrPort { return p.listener.Addr().(*net.TCPAddr).AddrPort() }

// Connections is how many connections there have been.
func (p *Peer) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// Commands are all command lines in the order they came.
func (p *Peer) Commands() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.commands...)
}

// Messages are the messages that were answered with 2xx.
func (p *Peer) Messages() []PeerMessage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]PeerMessage(nil), p.messages...)
}

// Handshakes are the errors of the handshakes that failed, as the peer saw them.
func (p *Peer) Handshakes() []error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]error(nil), p.failed...)
}

// Serve speaks on one connection until its end. A peer that is stopped closes it.
func (p *Peer) Serve(conn net.Conn) {
	c := p.admit(conn)
	if c == nil {
		conn.Close()
		return
	}
	defer func() {
		conn.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, conn)
	}()
	if p.script.Talk != nil {
		p.script.Talk(c)
		return
	}
	c.session()
}

// admit counts a connection that Stop will end; nil when that has been.
func (p *Peer) admit(conn net.Conn) *PeerConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.stopped:
		return nil
	default:
	}
	p.count++
	p.conns[conn] = true
	return &PeerConn{Conn: conn, Number: p.count, peer: p, in: bufio.NewReaderSize(conn, 64<<10)}
}

// PeerConn is one connection of a Peer, as scripts see it.
type PeerConn struct {
	net.Conn
	Number int // 1 for the first connection of the peer
	peer   *Peer
	in     *bufio.Reader
	now    PeerMessage
	// State is that of the handshake, nil before it.
	State *tls.ConnectionState
}

// StartTLS makes the handshake, after whatever the client was answered, and
// reports whether it came about.
func (c *PeerConn) StartTLS(config *tls.Config) bool {
	secure := tls.Server(c.Conn, config)
	if err := secure.Handshake(); err != nil {
		c.peer.mu.Lock()
		defer c.peer.mu.Unlock()
		c.peer.failed = append(c.peer.failed, err)
		return false
	}
	state := secure.ConnectionState()
	c.Conn, c.in, c.State, c.now = secure, bufio.NewReaderSize(secure, 64<<10), &state, PeerMessage{}
	return true
}

// Line reads a command line without its end; ok is false when the client is
// gone.
func (c *PeerConn) Line() (line string, ok bool) {
	line, err := c.in.ReadString('\n')
	if err != nil {
		return "", false
	}
	line = strings.TrimRight(line, "\r\n")
	c.peer.mu.Lock()
	defer c.peer.mu.Unlock()
	c.peer.commands = append(c.peer.commands, line)
	return line, true
}

// Waiting reports whether the client has sent more than was read: that it did
// not wait for a reply.
func (c *PeerConn) Waiting() bool { return c.in.Buffered() > 0 }

// Send writes reply lines, separated by \n, each with CRLF.
func (c *PeerConn) Send(text string) bool {
	_, err := io.WriteString(c.Conn, strings.ReplaceAll(text, "\n", "\r\n")+"\r\n")
	return err == nil
}

// Hang reads on and says nothing until the client or the test ends it.
func (c *PeerConn) Hang() { io.Copy(io.Discard, c.in) }

// Stall reads nothing until the test ends it.
func (c *PeerConn) Stall() { <-c.peer.stopped }

// Data reads a message text up to its end.
func (c *PeerConn) Data() (wire string, ok bool) {
	var b strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		b.WriteString(line)
		if err != nil {
			return b.String(), false
		}
		atStart := b.Len() == len(line) || strings.HasSuffix(b.String()[:b.Len()-len(line)], "\r\n")
		if line == ".\r\n" && atStart {
			return b.String(), true
		}
	}
}

func (c *PeerConn) session() {
	_, alive := c.answer("", cmp.Or(c.peer.script.Banner, "220 peer.test ESMTP"))
	for alive {
		line, ok := c.Line()
		alive = ok && c.command(line)
	}
}

// answer sends what the script says, else the usual reply, and tells what that
// was; it reports false when the connection is over.
func (c *PeerConn) answer(command, usual string) (reply string, alive bool) {
	if c.peer.script.Answer != nil {
		reply = c.peer.script.Answer(c, command)
	}
	reply = cmp.Or(reply, usual)
	switch reply {
	case PeerDrop:
		return reply, false
	case PeerSilence:
		c.Hang()
		return reply, false
	case PeerStall:
		c.Stall()
		return reply, false
	}
	if strings.HasPrefix(reply, "2") {
		c.note(command)
	}
	return reply, c.Send(reply) && !strings.HasPrefix(reply, "421")
}

// note keeps what a command that was accepted adds to the message.
func (c *PeerConn) note(command string) {
	verb, arg, _ := strings.Cut(command, ":")
	switch {
	case strings.EqualFold(verb, "MAIL FROM"):
		c.now = PeerMessage{From: arg}
		if c.State != nil {
			c.now.TLS = tls.VersionName(c.State.Version)
		}
	case strings.EqualFold(verb, "RCPT TO"):
		c.now.To = append(c.now.To, arg)
	case command == ".":
		c.peer.mu.Lock()
		defer c.peer.mu.Unlock()
		c.peer.messages = append(c.peer.messages, c.now)
	}
}

func (c *PeerConn) command(line string) (alive bool) {
	verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
	usual := "250 2.0.0 ok"
	switch verb {
	case "EHLO":
		lines := append([]string{"peer.test"}, c.peer.script.Hello...)
		if c.peer.script.TLS != nil && c.State == nil {
			lines = append(lines, "STARTTLS")
		}
		usual = "250-" + strings.Join(lines, "\n250-")
		last := strings.LastIndex(usual, "250-")
		usual = usual[:last] + "250 " + usual[last+4:]
	case "DATA":
		usual = "354 go on"
		if len(c.now.To) == 0 {
			usual = "503 5.5.1 no valid recipients"
		}
	case "RCPT":
		if c.now.From == "" {
			usual = "503 5.5.1 no sender"
		}
	case "QUIT":
		c.answer(line, "221 bye")
		return false
	case "RSET":
		c.now = PeerMessage{}
	case "STARTTLS":
		if c.peer.script.TLS != nil {
			usual = "220 go ahead"
		}
	}
	reply, alive := c.answer(line, usual)
	if verb == "STARTTLS" && alive && strings.HasPrefix(reply, "220") && c.peer.script.TLS != nil {
		return c.StartTLS(c.peer.script.TLS)
	}
	if verb == "DATA" && alive && strings.HasPrefix(reply, "354") {
		return c.text()
	}
	return alive
}

// text reads a message and answers its end.
func (c *PeerConn) text() (alive bool) {
	wire, ok := c.Data()
	if !ok {
		return false
	}
	c.now.Wire, c.now.Text = wire, unstuff(wire)
	_, alive = c.answer(".", "250 2.0.0 taken")
	c.now = PeerMessage{}
	return alive
}

// unstuff undoes RFC 5321 §4.5.2 for a whole text with its end of data, by the
// strict reading: lines end in CRLF.
func unstuff(wire string) string {
	lines := strings.Split(strings.TrimSuffix(wire, ".\r\n"), "\r\n")
	for i, l := range lines {
		lines[i] = strings.TrimPrefix(l, ".")
	}
	return strings.Join(lines, "\r\n")
}
