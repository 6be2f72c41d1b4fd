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
	"time"

	"esa/mta/envelope"
	"esa/mta/route"
)

// connKey is what two connections must share for one to do the work of the
// other: where it goes, what it comes from, and what it says it is.
type connKey struct {
	Remote netip.AddrPort
	Source netip.Addr // asked for; invalid: left to the system
	Naming string     // the names said in EHLO, for each source address
}

// conn is one connection to a next hop, past its EHLO. One attempt uses it at
// a time.
type conn struct {
	net    net.Conn
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

// dial connects to a hop and greets it. A failure has been logged and noted.
func (a *attempt) dial(ctx context.Context, hop route.NextHop) *conn {
	key := a.set.key(hop.Addr)
	within, cancel := context.WithTimeout(ctx, a.set.Timeouts.Connect)
	defer cancel()
	raw, err := a.client.opt.Dial(within, key.Source, hop.Addr)
	if err != nil {
		a.unreachable(ctx, hop, err)
		return nil
	}
	c := &conn{
		net:    raw,
		client: a.client,
		key:    key,
		host:   hop.Host,
		dcid:   a.client.opt.Counters.NextDCID(),
		local:  cmp.Or(address(raw.LocalAddr()), key.Source),
		in:     newReplyReader(raw),
	}
	c.out = bufio.NewWriterSize(blockWriter{c}, blockSize)
	a.client.open.Add(1)
	a.client.opt.Log.NewDelivery(c.dcid, c.local, hop.Addr)
	c.leash = a.leash(ctx, raw)
	if f := c.greet(a.set); f != nil {
		f = a.broke(c, f)
		c.leash.release()
		c.close(f.Code != 0 && f.Code != 421)
		return nil
	}
	return c
}

// greet reads the banner and says EHLO, or HELO where that is refused.
func (c *conn) greet(set *running) *envelope.Failure {
	r, err := c.read(set.Timeouts.Greeting)
	if err != nil {
		return broken(err)
	}
	if f := judge(atGreeting, r); f != nil {
		return transient(f)
	}
	name := set.hello(c.local)
	r, err = c.ask("EHLO "+name, set.Timeouts.Hello)
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
		c.net.Write([]byte("QUIT\r\n"))
	}
	c.net.Close()
	c.client.open.Add(-1)
	c.client.opt.Log.DeliveryClosed(c.dcid)
}

func address(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
