package delivery

import (
	"context"
	"net"
	"sync"
	"time"
)

// leash sets the deadlines of a connection for one attempt: each wait has its
// own, all together are bounded by the session and the attempt, and cancelling the attempt
// ends the waiting: at once while no transaction is open, within the grace
// period in one; cutting it ends it at once.
type leash struct {
	times Timeouts
	until *time.Time // the end of the attempt, which uses one leash at a time
	stop  func()
	ctx   context.Context // its end cancels the attempt

	mu      sync.Mutex
	conn    net.Conn
	session time.Time // its end, but for the wait for the final reply
	open    bool      // MAIL was sent and its transaction has not ended
	body    bool      // a body is being written
	grace   time.Time // set once cancelled
	off     bool
}

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// leash puts a connection on a leash of the attempt until release is called.
func (a *attempt) leash(ctx context.Context, conn net.Conn) *leash {
	l := newLeash(ctx, conn, a.set.Timeouts, &a.until)
	if a.job.Cut != nil {
		unstop, uncut := l.stop, context.AfterFunc(a.job.Cut, func() { l.cancel(0) })
		l.stop = func() {
			unstop()
			uncut()
		}
	}
	return l
}

// newLeash puts a connection on a leash that ends at until, if not before.
func newLeash(ctx context.Context, conn net.Conn, t Timeouts, until *time.Time) *leash {
	l := &leash{times: t, until: until, ctx: ctx, conn: conn, session: time.Now().Add(t.Session)}
	unstop := context.AfterFunc(ctx, func() { l.cancel(t.Grace) })
	l.stop = func() { unstop() }
	return l
}

// release ends the leash: the context has no effect on the connection after
// it, which has no deadline then.
func (l *leash) release() {
	l.stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.off = true
	l.conn.SetDeadline(time.Time{})
}

func (l *leash) cancel(grace time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.off {
		return
	}
	until := time.Now().Add(grace)
	if !l.grace.IsZero() {
		until = earlier(until, l.grace)
	}
	l.grace = until
	if l.open {
		l.conn.SetDeadline(l.grace)
	} else {
		l.conn.SetDeadline(past)
	}
}

// minRate is how fast a text must get through on the average, in bytes a
// second, for the session to last until its end.
const minRate = 8 << 10

// begin marks that MAIL is about to be sent for a text of some size, which
// session and attempt get time for. It reports false if the attempt was cancelled before.
func (l *leash) begin(size int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	more := time.Duration(size/minRate) * time.Second
	l.session, *l.until = l.session.Add(more), l.until.Add(more)
	l.open = l.grace.IsZero()
	return l.open
}

// end marks that the transaction is over.
func (l *leash) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open, l.body = false, false
}

// cancelled reports whether the attempt was. A lookup may have been cut short by
// the end of the context before the connection is.
func (l *leash) cancelled() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.grace.IsZero() || l.ctx.Err() != nil
}

// arm sets the deadline of the next wait.
func (l *leash) arm(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.setLocked(earlier(time.Now().Add(d), l.endLocked()))
}

// armFinal sets that of the reply to the final dot, which the session does not
// cut: a peer that is cut off there has the message, and gets it again.
func (l *leash) armFinal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.body = false
	l.setLocked(time.Now().Add(l.times.Final))
}

// beginBody makes every block written from now on set its own deadline.
func (l *leash) beginBody() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.body = true
}

func (l *leash) block() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.body {
		l.setLocked(earlier(time.Now().Add(l.times.Block), l.endLocked()))
	}
}

// endLocked is the end of all waits but that for the final reply.
func (l *leash) endLocked() time.Time { return earlier(l.session, *l.until) }

func (l *leash) setLocked(t time.Time) {
	switch {
	case l.grace.IsZero():
	case l.open:
		t = earlier(t, l.grace)
	default:
		t = past
	}
	l.conn.SetDeadline(t)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
