// Package smtpd receives mail: the server side of SMTP (RFC 5321) as an ESA
// listener speaks it (reference esa-operations 4.3–4.5), with PIPELINING
// (RFC 2920), STARTTLS (RFC 3207), 8BITMIME (RFC 6152), SIZE (RFC 1870), SMTPUTF8 (RFC 6531) and
// DSN (RFC 3461).
//
// The way of a connection, and where each step stands:
//
//	ServeConn    counts the connection, asks for its reverse name, lets the HAT decide   serve.go
//	startTLS     shakes hands, and holds clients to TLS where a policy wants it          starttls.go
//	conversation reads commands, keeps the time, counts what a client does wrong         conversation.go
//	parse…       takes MAIL and RCPT apart into go-smtp's options                        arguments.go
//	session      decides: go-smtp's Session, so that another server can drive it         session.go
//	verify       asks who the envelope sender is, where the policy wants to know         sender.go
//	rates        holds it to the limits that outlive a session                           rates.go
//	receive      streams the text into the spool's draft                                 receive.go
//	wire         lines, replies, the text of DATA, deadlines                             wire.go
//
// Peers (peers.go) tells operators who is connected. Suspend (suspend.go) lets
// them close listeners for a while.
//
// # Rules
//
// A transaction is judged whole by the settings of its MAIL. Each MAIL loads
// the settings anew; if they are gone or would not admit this client, it is
// answered 421 and the connection closes, never within a transaction.
//
// A fault of ours is never the sender's fault: it is answered 4xx, and no
// message is kept. Only CRLF . CRLF ends a text; input that ends or stalls
// before is no message, and nothing that follows is read as a command. What
// cannot wait for 354 is refused.
//
// Every size, count and time is bounded by Limits and by the policy of the
// sender group. Deadlines within a text move with progress: a slow client may
// take as long as it keeps up the least rate.
//
// # Departures
//
// CHUNKING and ENHANCEDSTATUSCODES are not offered: replies are those of the
// ESA. MAIL without HELO is taken, as on the ESA. Command lines must end with
// CRLF, a bare LF is refused. An
// unverified reverse name is logged but not told in the Received field.
package smtpd

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"esa/mta/counters"
	"esa/mta/envelope"
	"esa/mta/maillog"
	"esa/mta/policy"
)

// ErrNoSpace is what a Spool's errors match (errors.Is) when the message
// cannot be kept for want of room: the client is answered 452. An error that
// matches syscall.ENOSPC or syscall.EDQUOT is taken the same. Every other
// error is answered 451.
var ErrNoSpace = errors.New("no room in the queue")

// Spool keeps the messages that are accepted. Its methods are called
// concurrently.
type Spool interface {
	// Room reports, by its error, that a message of this size could not be
	// kept now; size is what MAIL announced, 0 if nothing.
	Room(size int64) error
	// Begin makes a draft for the text of a message whose envelope is known.
	Begin(m envelope.Message) (Draft, error)
}

// Draft is a message being received. Text is written with its header fields
// added. Commit or Abort ends it; after an error of Write, and of Commit, the
// message is not kept: Abort is called once more and must be harmless.
type Draft interface {
	io.Writer
	// Commit returns nil when the message is on stable storage. m is the
	// complete envelope.
	Commit(m envelope.Message) error
	Abort()
}

// Names looks up the names of clients. Reverse takes a bounded time; verified
// says that the name leads back to the address.
type Names interface {
	Reverse(ctx context.Context, addr netip.Addr) (host string, verified bool)
}

// Lists answers what host access tables ask beyond the name. Each call takes a
// bounded time.
type Lists interface {
	// Naming says why an address has no name.
	Naming(ctx context.Context, addr netip.Addr) policy.Naming
	// Listed reports whether a DNS list names the address (RFC 5782).
	Listed(ctx context.Context, addr netip.Addr, zone string) bool
}

// Domains looks up the domains of envelope senders. Each call takes a bounded
// time.
type Domains interface {
	Sender(ctx context.Context, domain string) policy.SenderDomain
}

// Options are what a Server works with. Queue and Counters must be there.
type Options struct {
	Queue    Spool
	Names    Names        // nil: no names are known
	Lists    Lists        // nil: nobody is listed
	Domains  Domains      // nil: no sender is verified
	Log      *maillog.Log // nil: no log
	Counters *counters.Counters
	Clock    func() time.Time // for dates in log and headers; nil: time.Now
	Diag     *slog.Logger     // nil: nobody is told of our faults
	// MaxConnections bounds those of all listeners together, so that descriptors
	// are left for everything else; 0: no bound.
	MaxConnections int
	// Crash lets a panic of a session end the process: for tests.
	Crash bool
}

// Server serves connections that others accept. It lives as long as the
// gateway; what it does with a connection comes with the connection.
type Server struct {
	Options
	buffers sync.Pool // *[textBuffer]byte

	mu        sync.Mutex
	wires     map[*wire]string // the listener of each
	suspended Suspension
	perAddr   map[netip.AddrPort]int // open connections, by address listened on
	perHost   map[hostKey]int        // and by client
	seats     int                    // of all of them
	secured   int                    // of them, those that have used STARTTLS
	rates     *policy.Rates
	present   map[*session]Peer // who is connected
	draining  chan struct{}     // closed by Drain
	ended     sync.WaitGroup
}

type hostKey struct {
	listener netip.AddrPort
	client   netip.Addr
}

// New makes a Server.
func New(o Options) *Server {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Diag == nil {
		o.Diag = slog.New(slog.DiscardHandler)
	}
	return &Server{
		Options:  o,
		buffers:  sync.Pool{New: func() any { return new([textBuffer]byte) }},
		wires:    make(map[*wire]string),
		perAddr:  make(map[netip.AddrPort]int),
		perHost:  make(map[hostKey]int),
		rates:    policy.NewRates(),
		present:  make(map[*session]Peer),
		draining: make(chan struct{}),
	}
}

// Connections gives the number of open connections.
func (srv *Server) Connections() int {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return len(srv.wires)
}

// Drain ends the service: idle sessions are answered 421 and closed, sessions
// with a message under way when it has its reply. When ctx ends, the rest is
// closed. It returns when all sessions have ended; connections that come
// later are answered 421.
func (srv *Server) Drain(ctx context.Context) {
	srv.mu.Lock()
	if !srv.isDraining() {
		close(srv.draining)
	}
	for w := range srv.wires {
		w.wake()
	}
	srv.mu.Unlock()

	over := make(chan struct{})
	go func() {
		srv.ended.Wait()
		close(over)
	}()
	select {
	case <-over:
		return
	case <-ctx.Done():
	}
	srv.mu.Lock()
	for w := range srv.wires {
		w.abandon()
	}
	srv.mu.Unlock()
	<-over
}

func (srv *Server) isDraining() bool {
	select {
	case <-srv.draining:
		return true
	default:
		return false
	}
}

// entry is what becomes of a new connection.
type entry int

const (
	entered  entry = iota
	draining       // the server ends, or the listener is suspended
	full           // as many as the process can hold are there
)

// enter registers a connection, if there is room for it.
func (srv *Server) enter(w *wire, listener string) entry {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	switch {
	case srv.isDraining(), srv.suspended.holds(listener):
		return draining
	case srv.MaxConnections > 0 && len(srv.wires) >= srv.MaxConnections:
		return full
	}
	srv.wires[w] = listener
	srv.ended.Add(1)
	return entered
}

func (srv *Server) leave(w *wire) {
	srv.mu.Lock()
	delete(srv.wires, w)
	srv.mu.Unlock()
	close(w.gone)
	srv.ended.Done()
}

// seat counts a connection and gives how many there are now: of all
// listeners, of this one, and of this client there.
func (srv *Server) seat(k hostKey) (all, listener, host int) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.seats++
	srv.perAddr[k.listener]++
	srv.perHost[k]++
	return srv.seats, srv.perAddr[k.listener], srv.perHost[k]
}

func (srv *Server) unseat(k hostKey) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.seats--
	if srv.perAddr[k.listener]--; srv.perAddr[k.listener] == 0 {
		delete(srv.perAddr, k.listener)
	}
	if srv.perHost[k]--; srv.perHost[k] == 0 {
		delete(srv.perHost, k)
	}
}

// remoteAddr gives the client's address; the unspecified one where the
// connection has none.
func remoteAddr(conn net.Conn) netip.Addr {
	if a, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil {
		return a.Addr().Unmap().WithZone("")
	}
	return netip.IPv4Unspecified()
}
