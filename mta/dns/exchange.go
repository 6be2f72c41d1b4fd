package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	mdns "github.com/miekg/dns"
)

const (
	// maxForeign datagrams that are no answer to the question mean that
	// somebody guesses: the question is asked over TCP.
	maxForeign = 16
	// caseWait is how long a well spelt answer is still waited for after one
	// in another spelling, before TCP is tried.
	caseWait = 200 * time.Millisecond
	// udpBuffer is more than ednsSize for servers that do not keep to it.
	udpBuffer = 4096
	// maxFrames is how many messages a server may send over TCP before the
	// one that was asked for.
	maxFrames = 4
)

var errGuessing = errors.New("many answers to other questions")

// exchange asks one server and waits for at most patience over UDP, and as
// long again over TCP if the answer is truncated or doubtful. The error is a
// *fault, or that of ctx, or says that the name cannot be asked for.
func (r *Resolver) exchange(ctx context.Context, to peer, q question, patience time.Duration) (*mdns.Msg, error) {
	asked, err := newQuery(q, r.rand)
	if err != nil {
		return nil, err
	}
	if to.authority {
		asked.raw[2] &^= 1 // RD: it is not to ask others
	}
	r.stats.network.Add(1)
	m, err := to.overUDP(ctx, asked, time.Now().Add(patience))
	switch {
	case errors.Is(err, errTruncated), errors.Is(err, errCase), errors.Is(err, errGuessing):
		r.stats.network.Add(1)
		m, err = to.overTCP(ctx, asked, time.Now().Add(patience))
	}
	if err == nil {
		return m, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, to.blame(err)
}

// peer is a server as seen from here.
type peer struct {
	addr   netip.AddrPort
	source netip.Addr // may be invalid, or of the other family: then the system chooses

	authority bool // a server of a zone, not one that resolves for others
	dialer    DialFunc
}

// DialFunc connects to a name server with a dialer made ready.
type DialFunc func(ctx context.Context, d *net.Dialer, network string, addr netip.AddrPort) (net.Conn, error)

func dialDirect(ctx context.Context, d *net.Dialer, network string, addr netip.AddrPort) (net.Conn, error) {
	return d.DialContext(ctx, network, addr.String())
}

// overUDP asks from a socket of its own: the system gives it a random port,
// and being connected it hears nobody but the server (RFC 5452 §9.2).
func (p peer) overUDP(ctx context.Context, q *query, deadline time.Time) (*mdns.Msg, error) {
	conn, done, err := p.dial(ctx, "udp", deadline)
	if err != nil {
		return nil, err
	}
	defer done()
	if _, err := conn.Write(q.raw); err != nil {
		return nil, err
	}
	buf := make([]byte, udpBuffer)
	doubt := error(nil)
	for foreign := 0; foreign < maxForeign; {
		n, err := conn.Read(buf)
		if err != nil && doubt != nil && ctx.Err() == nil {
			return nil, doubt
		}
		if err != nil {
			return nil, err
		}
		m, err := q.read(buf[:n])
		switch {
		case errors.Is(err, errForeign):
			foreign++
		case errors.Is(err, errCase) && doubt == nil:
			doubt = err
			shorten(ctx, conn, deadline)
		case errors.Is(err, errCase):
			foreign++
		default:
			return m, err
		}
	}
	return nil, errGuessing
}

// shorten moves the deadline of conn to caseWait from now, if that is sooner.
func shorten(ctx context.Context, conn net.Conn, deadline time.Time) {
	if soon := time.Now().Add(caseWait); soon.Before(deadline) {
		conn.SetReadDeadline(soon) // an error shows in the read that follows
	}
	if ctx.Err() != nil { // its own deadline must not have been overwritten
		conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// overTCP asks over a connection of its own (RFC 7766). Who answers there has
// seen our side of the handshake: spelling proves nothing more.
func (p peer) overTCP(ctx context.Context, q *query, deadline time.Time) (*mdns.Msg, error) {
	conn, done, err := p.dial(ctx, "tcp", deadline)
	if err != nil {
		return nil, err
	}
	defer done()
	frame := binary.BigEndian.AppendUint16(nil, uint16(len(q.raw)))
	if _, err := conn.Write(append(frame, q.raw...)); err != nil {
		return nil, err
	}
	for range maxFrames {
		raw, err := readFrame(conn)
		if err != nil {
			return nil, err
		}
		m, err := q.read(raw)
		if errors.Is(err, errCase) {
			plain := *q
			plain.sent = spelling(raw)
			m, err = plain.read(raw)
		}
		if !errors.Is(err, errForeign) {
			return m, err
		}
	}
	return nil, errForeign
}

// spelling gives the name in the question of a message that has one.
func spelling(raw []byte) string {
	name, _, err := mdns.UnpackDomainName(raw, headerSize)
	if err != nil {
		return ""
	}
	return name
}

// readFrame reads one message of a TCP connection (RFC 1035 §4.2.2).
func readFrame(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	raw := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(r, raw)
	return raw, err
}

// dial connects, with the deadline set and cut short when ctx ends. done
// closes the connection.
func (p peer) dial(ctx context.Context, network string, deadline time.Time) (net.Conn, func(), error) {
	d := net.Dialer{Deadline: deadline}
	if p.source.IsValid() && p.source.Is4() == p.addr.Addr().Unmap().Is4() {
		local := netip.AddrPortFrom(p.source, 0)
		if network == "udp" {
			d.LocalAddr = net.UDPAddrFromAddrPort(local)
		} else {
			d.LocalAddr = net.TCPAddrFromAddrPort(local)
		}
	}
	conn, err := p.dialer(ctx, &d, network, p.addr)
	if err != nil {
		return nil, nil, err
	}
	conn.SetDeadline(deadline) // an error shows in the first read or write
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	return conn, func() { stop(); conn.Close() }, nil
}

// blame makes the end of an exchange a fault that names the server.
func (p peer) blame(err error) *fault {
	var f *fault
	if errors.As(err, &f) {
		return f
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return &fault{why: "timeout asking " + shown(p.addr), passes: true, err: err}
	case errors.Is(err, errTruncated):
		return &fault{why: "truncated answer over TCP from " + shown(p.addr), said: "TRUNCATED", err: err}
	case errors.Is(err, errForeign):
		return &fault{why: "wrong answer from " + shown(p.addr), said: "WRONG QUESTION", err: err}
	default:
		return &fault{why: fmt.Sprintf("cannot ask %s", shown(p.addr)), passes: true, err: err}
	}
}
