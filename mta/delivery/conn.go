package delivery

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"esa/mta/envelope"
	"esa/mta/route"
)

// connKey is what two connections must share for one to do the work of the
// other: where it goes, what it comes from, what it says it is, and what TLS
// it was made under.
type connKey struct {
	Remote   netip.AddrPort
	Source   netip.Addr // asked for; invalid: left to the system
	Naming   string     // the names said in EHLO, for each source address
	security security
}

// conn is one connection to a next hop, past its EHLO. One attempt uses it at
// a time.
type conn struct {
	net    net.Conn // raw, or TLS on it
	raw    net.Conn
	client *Client
	key    connKey
	host   string // of the present attempt's hop: two names may have one address
	dcid   envelope.DCID
	local  netip.Addr
	leash  *leash
	in     *replyReader
	out    *bufio.Writer
	ext    extensions
	uses   int  // transactions begun
	reused bool // it comes from the pool and has not answered since
	open   bool // a transaction was left open: RSET before the next
	dead   bool // out of step or broken, though what was asked has been answered
}

// dial connects to a hop, greets it and encrypts the connection as its guard
// says. A failure has been logged and noted.
func (a *attempt) dial(ctx context.Context, hop route.NextHop, g guard) *conn {
	c, err := a.client.connect(ctx, a.set, hop, a.set.key(hop.Addr, g))
	if err != nil {
		a.unreachable(ctx, hop, err)
		return nil
	}
	c.leash = a.leash(ctx, c.raw)
	f := c.greet(a.set)
	if f != nil {
		f = a.broke(c, f)
	} else {
		f = a.secure(ctx, c, g)
	}
	if f != nil {
		c.leash.release()
		c.close(f.Code != 0 && f.Code != 421 || inClear(f))
		return nil
	}
	return c
}

// connect makes a connection with nothing said on it. The caller puts it on a
// leash.
func (c *Client) connect(ctx context.Context, set *running, hop route.NextHop, key connKey) (*conn, error) {
	within, cancel := context.WithTimeout(ctx, set.Timeouts.Connect)
	defer cancel()
	raw, err := c.opt.Dial(within, key.Source, hop.Addr)
	if err != nil {
		return nil, err
	}
	made := &conn{
		raw:    raw,
		client: c,
		key:    key,
		host:   hop.Host,
		dcid:   c.nextDCID(),
		local:  cmp.Or(address(raw.LocalAddr()), key.Source),
	}
	made.over(raw)
	c.open.Add(1)
	c.opt.Log.NewDelivery(made.dcid, made.local, hop.Addr)
	return made, nil
}

func (c *Client) nextDCID() envelope.DCID {
	if c.opt.Counters == nil {
		return 0
	}
	return c.opt.Counters.NextDCID()
}

// over begins a conversation over a connection: nothing that was said before
// counts, or waits to be read.
func (c *conn) over(n net.Conn) {
	c.net, c.ext = n, extensions{}
	c.in = newReplyReader(n)
	c.out = bufio.NewWriterSize(blockWriter{c}, blockSize)
}

// greet reads the banner and says hello.
func (c *conn) greet(set *running) *envelope.Failure {
	r, err := c.read(set.Timeouts.Greeting)
	if err != nil {
		return broken(err)
	}
	if f := judge(atGreeting, r); f != nil {
		return transient(f)
	}
	return c.hello(set)
}

// hello says EHLO, or HELO where that is refused.
func (c *conn) hello(set *running) *envelope.Failure {
	name := set.hello(c.local)
	err := c.put("EHLO " + name)
	if err == nil {
		err = c.flush(set.Timeouts.Hello)
	}
	if err != nil {
		return broken(err)
	}
	confirmAtOnce(c.raw)
	r, err := c.in.read()
	if err != nil {
		return broken(err)
	}
	f := judge(atHello, r)
	switch {
	case f == nil:
		c.ext = parseExtensions(r)
		return nil
	case !f.Permanent:
		return f
	}
	r, err = c.ask("HELO "+name, set.Timeouts.Hello)
	if err != nil {
		return broken(err)
	}
	if f = judge(atHello, r); f != nil {
		return transient(f)
	}
	return nil
}

// confirmAtOnce has the system confirm what comes next without waiting for data
// to send along. After a handshake of TLS 1.3 a server sends tickets, and then
// its reply to EHLO; one that does not switch Nagle's algorithm off, as Postfix
// does not, holds the reply back until it knows that the tickets came: 40 ms for
// every connection. What is sent later ends this by itself. Where it cannot be
// had everything else is the same.
func confirmAtOnce(conn net.Conn) {
	tcp, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1) })
	}
}

// capacity is how many more transactions the connection may carry.
func (c *conn) capacity(to Destination) int {
	limit := to.MessagesPerConnection
	if c.ext.mails > 0 {
		limit = min(limit, c.ext.mails)
	}
	return limit - c.uses
}

// errCommand is a command that would not be one line. Nothing that we queue
// makes one; a fault elsewhere must not become a command to the peer.
var errCommand = errors.New("command with a control character")

// put buffers a command.
func (c *conn) put(command string) error {
	if strings.ContainsAny(command, "\r\n\x00") {
		return fmt.Errorf("%w: %.128q", errCommand, command)
	}
	c.out.WriteString(command)
	_, err := c.out.WriteString("\r\n")
	return err
}

// ask sends a command and what is buffered before it and reads the reply, all
// within d.
func (c *conn) ask(command string, d time.Duration) (reply, error) {
	if err := c.put(command); err != nil {
		return reply{}, err
	}
	if err := c.flush(d); err != nil {
		return reply{}, err
	}
	return c.in.read()
}

func (c *conn) flush(d time.Duration) error {
	c.leash.arm(d)
	return c.out.Flush()
}

// read reads one reply, whole within d.
func (c *conn) read(d time.Duration) (reply, error) {
	c.leash.arm(d)
	return c.in.read()
}

// blockWriter gives every block its own deadline while a body is written; what
// is written at other times stands under the deadline of its step.
type blockWriter struct{ c *conn }

func (w blockWriter) Write(p []byte) (int, error) {
	w.c.leash.block()
	return w.c.net.Write(p)
}

// farewell bounds how long QUIT may take to be written. Nobody waits for its
// answer.
const farewell = time.Second

// close ends the connection, with QUIT where the conversation is in step.
func (c *conn) close(quit bool) {
	if quit {
		c.net.SetWriteDeadline(time.Now().Add(farewell))
		if _, err := c.net.Write([]byte("QUIT\r\n")); err == nil && c.net != c.raw {
			c.net.Close() // says that nothing was cut off (RFC 8446 §6.1)
		}
	}
	c.raw.Close()
	c.client.open.Add(-1)
	c.client.opt.Log.DeliveryClosed(c.dcid)
}

func address(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
