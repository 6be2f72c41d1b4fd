// Package smtpload makes SMTP load for benchmarks: clients that send as fast as
// they are answered, and a server that takes everything and keeps nothing.
//
//	load.go  the clients
//	sink.go  the server
//	bare.go  a server that ends after a handshake, to hold others against
//
// Both are made to cost little, since they share the processors with what is
// measured: nothing is allocated for a message, and one write carries all that
// is to be said at a time. Neither is a correct peer for anything else.
package smtpload

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Load is messages to be sent.
type Load struct {
	Addr          string
	Sessions      int           // connections at once
	Messages      int           // of all sessions together; 0: as many as Time allows
	Time          time.Duration // how long messages are begun; 0: as long as it takes
	Size          int           // bytes of a message, with its header
	PerConnection int           // messages, then QUIT and a new connection; 0: 50, as we do
	Domains       []string      // of the recipients, in turn; nil: example.net
}

// sessionTime bounds every wait of a session.
const sessionTime = 5 * time.Minute

// Send sends the messages and returns how many, when the last one is accepted.
// The first error ends it.
func (l Load) Send(ctx context.Context) (sent int, err error) {
	if l.PerConnection <= 0 {
		l.PerConnection = 50
	}
	m := &mail{text: Text(l.Size), envelopes: envelopes(l.Domains)}
	return l.each(ctx, func(take func() bool) error {
		for take() {
			if err := l.connection(m, take); err != nil {
				return err
			}
		}
		return nil
	})
}

// Greet connects, says EHLO and QUIT, once for each message that Send would
// send, and returns how often.
func (l Load) Greet(ctx context.Context) (greeted int, err error) {
	return l.each(ctx, func(take func() bool) error {
		for take() {
			c, err := l.connect()
			if err != nil {
				return err
			}
			if err := c.quit(); err != nil {
				return err
			}
		}
		return nil
	})
}

// Handshake connects, says EHLO and STARTTLS, makes a handshake of TLS 1.3 and
// says QUIT under it, once for each message that Send would send, and returns
// how often. No session is resumed. The server must show this certificate, which
// is not verified otherwise.
func (l Load) Handshake(ctx context.Context, certificate []byte) (made int, err error) {
	config := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}
	config.VerifyConnection = func(s tls.ConnectionState) error {
		if !bytes.Equal(s.PeerCertificates[0].Raw, certificate) {
			return errors.New("the server shows another certificate")
		}
		return nil
	}
	return l.each(ctx, func(take func() bool) error {
		for take() {
			c, err := l.connect()
			if err != nil {
				return err
			}
			if err := c.secure(config); err != nil {
				c.Close()
				return err
			}
			if err := c.quit(); err != nil {
				return err
			}
		}
		return nil
	})
}

// each runs the sessions; take gives out what is to be done, one at a time, and
// each returns how often it did.
func (l Load) each(ctx context.Context, session func(take func() bool) error) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var taken atomic.Int64
	until := time.Now().Add(l.Time)
	take := func() bool {
		if ctx.Err() != nil || l.Time > 0 && time.Now().After(until) {
			return false
		}
		if n := taken.Add(1); l.Messages > 0 && n > int64(l.Messages) {
			taken.Add(-1)
			return false
		}
		return true
	}
	var all sync.WaitGroup
	for range l.Sessions {
		all.Go(func() {
			if err := session(take); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	return int(taken.Load()), context.Cause(ctx)
}

// connection sends up to PerConnection messages; the first has been taken.
func (l Load) connection(m *mail, take func() bool) error {
	c, err := l.connect()
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		if err := c.message(m.envelope(), m.text); err != nil {
			c.Close()
			return err
		}
		if n == l.PerConnection || !take() {
			return c.quit()
		}
	}
}

// client is one connection.
type client struct {
	net.Conn
	in [4096]byte
}

func (l Load) connect() (*client, error) {
	conn, err := net.DialTimeout("tcp", l.Addr, sessionTime)
	if err != nil {
		return nil, err
	}
	c := &client{Conn: conn}
	err = conn.SetDeadline(time.Now().Add(sessionTime))
	if err == nil {
		err = c.replies(1, '2')
	}
	if err == nil {
		err = c.ask(hello, 1, '2')
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// secure goes on under TLS.
func (c *client) secure(config *tls.Config) error {
	if err := c.ask(starttls, 1, '2'); err != nil {
		return err
	}
	conn := tls.Client(c.Conn, config)
	if err := conn.Handshake(); err != nil {
		return err
	}
	c.Conn = conn
	return nil
}

var (
	hello    = []byte("EHLO client.example\r\n")
	starttls = []byte("STARTTLS\r\n")
	farewell = []byte("QUIT\r\n")
)

// mail is what is sent: the same text to one domain after the other.
type mail struct {
	text      []byte
	envelopes [][]byte
	next      atomic.Int64
}

func (m *mail) envelope() []byte {
	return m.envelopes[int(m.next.Add(1)-1)%len(m.envelopes)]
}

// envelopes are the commands before a message for each of the domains.
func envelopes(domains []string) [][]byte {
	if len(domains) == 0 {
		domains = []string{"example.net"}
	}
	var all [][]byte
	for _, domain := range domains {
		all = append(all, fmt.Appendf(nil, "MAIL FROM:<sender@example.org>\r\nRCPT TO:<rcpt@%s>\r\nDATA\r\n", domain))
	}
	return all
}

// message sends one message: the envelope in one write, as both servers offer
// PIPELINING, then the text.
func (c *client) message(envelope, text []byte) error {
	if err := c.SetDeadline(time.Now().Add(sessionTime)); err != nil {
		return err
	}
	if err := c.ask(envelope, 3, '3'); err != nil {
		return err
	}
	return c.ask(text, 1, '2')
}

func (c *client) quit() error {
	defer c.Close()
	return c.ask(farewell, 1, '2')
}

func (c *client) ask(command []byte, replies int, class byte) error {
	if _, err := c.Write(command); err != nil {
		return err
	}
	return c.replies(replies, class)
}

// replies reads so many replies; the last must be of a class, the others of 2.
func (c *client) replies(n int, class byte) error {
	have := 0
	for {
		got, err := c.Read(c.in[have:])
		have += got
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil && got == 0 {
			return err
		}
		text, found := c.in[:have], 0
		for {
			line, rest, whole := bytes.Cut(text, []byte("\r\n"))
			if !whole {
				break
			}
			text = rest
			if len(line) < 4 || line[3] == '-' {
				continue
			}
			found++
			if line[0] != '2' && (found < n || line[0] != class) {
				return fmt.Errorf("unexpected reply %q", line)
			}
		}
		switch {
		case found == n:
			return nil
		case have == len(c.in):
			return errors.New("replies too long")
		}
	}
}

// Text makes a message text of this size, or one byte more, and its end of
// data, in lines of 76 letters. It is never shorter than its header.
func Text(size int) []byte {
	text := []byte("From: <sender@example.org>\r\nTo: <rcpt@example.net>\r\nSubject: load\r\n" +
		"Date: Sun, 01 Mar 2026 12:00:00 +0000\r\nMessage-ID: <load@client.example>\r\n\r\n")
	line := append(bytes.Repeat([]byte("abcd"), 19), "\r\n"...)
	for len(text) < size {
		text = append(text, line[max(0, len(line)-2-max(0, size-len(text)-2)):]...)
	}
	return append(text, ".\r\n"...)
}

// OneByOne sends the messages over one connection, each when the one before has
// come to the sink, and gives how long each was on its way: from the first byte
// of its MAIL.
func (l Load) OneByOne(ctx context.Context, to *Sink) ([]time.Duration, error) {
	m := &mail{text: Text(l.Size), envelopes: envelopes(l.Domains)}
	c, err := l.connect()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var took []time.Duration
	for range l.Messages {
		next, begun := to.Count()+1, time.Now()
		if err := c.message(m.envelope(), m.text); err != nil {
			return nil, err
		}
		came, err := to.Await(ctx, next)
		if err != nil {
			return nil, err
		}
		took = append(took, came.Sub(begun))
	}
	return took, c.quit()
}
