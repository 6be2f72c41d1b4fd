package smtpload

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"sync"
	"time"
)

// Sink is a server that takes every message and counts it. It offers STARTTLS.
type Sink struct {
	listener net.Listener
	tls      *tls.Config
	running  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	count int
	last  time.Time // of the newest message
	more  chan struct{}
}

// Listen opens a sink on an address, such as "127.0.0.1:0".
func Listen(addr string) (*Sink, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		l.Close()
		return nil, err
	}
	cert, err := SelfSigned(key)
	if err != nil {
		l.Close()
		return nil, err
	}
	s := &Sink{listener: l, tls: &tls.Config{Certificates: []tls.Certificate{cert}}, conns: make(map[net.Conn]struct{}), more: make(chan struct{}, 1)}
	s.running.Go(s.accept)
	return s, nil
}

// Addr is where the sink listens.
func (s *Sink) Addr() *net.TCPAddr { return s.listener.Addr().(*net.TCPAddr) }

// Certificate is what the sink shows when STARTTLS is asked for, with its key.
func (s *Sink) Certificate() tls.Certificate { return s.tls.Certificates[0] }

// Count is how many messages came so far.
func (s *Sink) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// Await waits until so many messages have come since Listen, and gives the time
// of the newest. One goroutine at a time may wait.
func (s *Sink) Await(ctx context.Context, messages int) (time.Time, error) {
	for {
		s.mu.Lock()
		count, last := s.count, s.last
		s.mu.Unlock()
		if count >= messages {
			return last, nil
		}
		select {
		case <-s.more:
		case <-ctx.Done():
			return last, context.Cause(ctx)
		}
	}
}

// Close ends the sink and all its connections.
func (s *Sink) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.running.Wait()
	return err
}

func (s *Sink) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return // closed
		}
		s.mu.Lock()
		open := s.conns != nil
		if open {
			s.conns[conn] = struct{}{}
		}
		s.mu.Unlock()
		if !open {
			conn.Close()
			return
		}
		s.running.Go(func() {
			(&serving{sink: s, conn: conn}).run()
			conn.Close()
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
		})
	}
}

func (s *Sink) took() {
	now := time.Now()
	s.mu.Lock()
	s.count++
	s.last = now
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// serving is one connection of the sink.
type serving struct {
	sink   *Sink
	conn   net.Conn
	in     [64 << 10]byte
	have   int // bytes of in that are read and not used
	out    []byte
	inText bool
	secure bool // STARTTLS was answered: the handshake is next, or was made
	shaken bool
}

// SelfSigned makes a certificate for a key that nobody can verify.
func SelfSigned(key crypto.Signer) (tls.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sink.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

var endOfData = []byte("\r\n.\r\n")

func (c *serving) run() {
	c.out = append(c.out, "220 sink.example ESMTP\r\n"...)
	for {
		if _, err := c.conn.Write(c.out); err != nil {
			return
		}
		c.out = c.out[:0]
		if c.secure && !c.shaken {
			c.shaken, c.have = true, 0
			conn := tls.Server(c.conn, c.sink.tls)
			if conn.Handshake() != nil {
				return
			}
			c.conn = conn
		}
		for len(c.out) == 0 {
			n, err := c.conn.Read(c.in[c.have:])
			c.have += n
			if err != nil && n == 0 {
				return
			}
			if !c.use() {
				c.conn.Write(c.out)
				return
			}
		}
	}
}

// use answers what was read, as far as it is whole. It is false after QUIT.
func (c *serving) use() bool {
	rest := c.in[:c.have]
	for len(rest) > 0 {
		if c.inText {
			i := bytes.Index(rest, endOfData)
			if i < 0 {
				// Its begin may be at the end of what is here.
				rest = rest[max(0, len(rest)-len(endOfData)+1):]
				break
			}
			rest = rest[i+len(endOfData):]
			c.inText = false
			c.sink.took()
			c.out = append(c.out, "250 taken\r\n"...)
			continue
		}
		line, after, whole := bytes.Cut(rest, []byte("\r\n"))
		if !whole {
			break
		}
		rest = after
		if !c.answer(line) {
			return false
		}
		if c.secure && !c.shaken {
			return true // nothing after STARTTLS counts
		}
	}
	c.have = copy(c.in[:], rest)
	return true
}

func (c *serving) answer(line []byte) bool {
	switch {
	case bytes.HasPrefix(line, []byte("EHLO")):
		c.out = append(c.out, "250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-STARTTLS\r\n250 SIZE 0\r\n"...)
	case bytes.Equal(line, []byte("STARTTLS")) && !c.secure:
		c.secure = true
		c.out = append(c.out, "220 go ahead\r\n"...)
	case bytes.Equal(line, []byte("DATA")):
		c.inText = true
		c.out = append(c.out, "354 go on\r\n"...)
	case bytes.Equal(line, []byte("QUIT")):
		c.out = append(c.out, "221 bye\r\n"...)
		return false
	default:
		c.out = append(c.out, "250 ok\r\n"...)
	}
	return true
}
