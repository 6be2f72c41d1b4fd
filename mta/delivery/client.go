// Package delivery makes one attempt to bring one message to one destination,
// as the client of RFC 5321, and says of each recipient what became of it.
//
// The steps of an attempt, in order:
//
//	protect      whether DANE is looked for, by the destination, the message and its route (dane.go, RFC 7672)
//	plan         the addresses to try (mta/route), at most five
//	decide       what DANE demands of a host, before anything is said to it (mta/dane); a host may be out of the question
//	enter        the limits of the address, where it has its own (gate.go)
//	connect      from the delivery interface, or an idle connection that is the same in every respect (pool.go)
//	greet        banner, EHLO, HELO where EHLO is refused (conn.go); the first line of the EHLO reply is the greeting (RFC 1869 §4.3)
//	secure       STARTTLS, handshake, certificate and a new EHLO, as the host's guard says (secure.go, RFC 3207)
//	check        what the host announced against what the message needs (check.go)
//	transaction  MAIL, RCPT, DATA, in one write where PIPELINING is offered (transaction.go, RFC 2920)
//	body         dot-stuffed, with a deadline that moves with progress (body.go)
//	judge        each reply by its code, never by its text (failure.go)
//
// The next address is tried after a connection error, a refused banner or
// EHLO, a 421, a reply that makes no sense, and a 4xx to MAIL or to every RCPT;
// at most two hosts that answered so are tried. So it is after a TLS failure
// that the destination or DANE does not put up with; such hosts are not
// counted. 5xx to MAIL, RCPT, DATA or the final dot is the end for the recipients it was meant for. A connection that
// is lost after the final dot is never made up for at another host: the
// message may be there. What cannot be named is transient.
//
// An 8-bit message for a host without 8BITMIME is returned, as is one that
// needs SMTPUTF8 (RFC 6152 §3, RFC 6531 §3.2): this build does not convert.
//
// Whatever the peer does, replies, waiting and work are bounded. Nothing that
// it sends is trusted to be printable.
package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"esa/mta/counters"
	"esa/mta/envelope"
	"esa/mta/lookup"
	"esa/mta/maillog"
	"esa/mta/route"
)

// Options are what a Client works with for its whole life.
type Options struct {
	Resolver Resolver
	Checked  Checked // for destinations with DANE; nil: their mail waits
	Log      *maillog.Log
	Counters *counters.Counters // nil: connections have no number of their own
	// Dial connects; local is invalid where the system chooses. Nil is TCP.
	Dial   func(ctx context.Context, local netip.Addr, remote netip.AddrPort) (net.Conn, error)
	Rand   func(n int) int  // in [0, n), safe for concurrent use; nil is math/rand/v2
	Clock  func() time.Time // that certificates are judged by; nil is time.Now
	Alerts Alerts           // nil: nobody is told
	Diag   *slog.Logger     // nil discards
}

// Resolver answers from DNS, as that of route does. PTR gives the names of an
// address, whether they lead back to it or not.
type Resolver interface {
	route.Resolver
	PTR(ctx context.Context, addr netip.Addr) lookup.NameAnswer
}

// Alerts are told what operators should hear of. The methods return at once
// and are called from many goroutines.
type Alerts interface {
	// TLSRequired says that mail for a domain could not be given to one of its
	// hosts with the TLS that its destination requires, or DANE demands. host
	// is empty where DANE fails for the domain as a whole.
	TLSRequired(domain, host string, why envelope.Failure)
}

// Client delivers. Its methods may be used concurrently.
type Client struct {
	opt      Options
	settings atomic.Pointer[running]
	pool     pool
	gate     gate
	busy     busy
	blocks   sync.Pool // *[]byte, to read message texts into
	possible atomic.Int64
	open     atomic.Int64
}

// Stats are counted since New.
type Stats struct {
	Open     int   // connections, idle ones included
	Idle     int   // connections that wait for another message
	Possible int64 // recipients counted as delivered by "Possible Delivery"
}

// New makes a Client. Until Configure is called every attempt is deferred.
func New(opt Options) *Client {
	if opt.Dial == nil {
		opt.Dial = dialTCP
	}
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	if opt.Diag == nil {
		opt.Diag = slog.New(slog.DiscardHandler)
	}
	c := &Client{opt: opt}
	c.pool.idle = make(map[connKey][]*idleConn)
	c.gate.held = make(map[gateKey]*held)
	c.blocks.New = func() any { return new(make([]byte, blockSize)) }
	return c
}

// Configure puts settings in force for every attempt that begins after it.
// Attempts under way finish under their own; idle connections that the new
// settings would not have made the same way are closed. The Client keeps s,
// which must not change any more.
func (c *Client) Configure(s *Settings) {
	r := newRunning(s, c.opt, c.settings.Load())
	c.settings.Store(r)
	c.pool.closeUnless(r.made)
}

// CloseIdle closes all idle connections.
func (c *Client) CloseIdle() { c.pool.closeUnless(func(connKey) bool { return false }) }

// Close closes all idle connections and keeps none from now on. Attempts under
// way end by their context; when they have ended nothing of the Client runs.
func (c *Client) Close() {
	c.pool.close()
	c.CloseIdle()
	c.pool.watchers.Wait()
}

// Stats gives the present figures.
func (c *Client) Stats() Stats {
	return Stats{Open: int(c.open.Load()), Idle: c.pool.size(), Possible: c.possible.Load()}
}

// Working gives how many connections are at work for each destination that has
// any.
func (c *Client) Working() map[string]int { return c.busy.all() }

// ForgetRecipients lets the recipient limits of addresses begin anew.
func (c *Client) ForgetRecipients() { c.gate.forget() }

// Deliver makes one attempt and gives one outcome for each recipient of the
// job, in their order. When ctx ends the attempt is given up at once, or within
// Timeouts.Grace where MAIL has been sent. It writes the connection and
// delivery lines of the mail log; what a failure means for a recipient is
// the queue's to log.
func (c *Client) Deliver(ctx context.Context, job envelope.Job) (outcomes []envelope.Outcome) {
	a := newAttempt(c, job)
	defer func() {
		outcomes = a.outcomes
		if p := recover(); p != nil {
			c.opt.Diag.Error("delivery attempt panicked", "mid", job.Message.MID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			a.failPending(localFailure(fmt.Errorf("panic: %v", p)))
		}
	}()
	a.run(ctx)
	return
}

func dialTCP(ctx context.Context, local netip.Addr, remote netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{}
	if local.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
	}
	return d.DialContext(ctx, "tcp", remote.String())
}
