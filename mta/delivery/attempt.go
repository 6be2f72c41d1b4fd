package delivery

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"esa/mta/dane"
	"esa/mta/envelope"
	"esa/mta/maillog"
	"esa/mta/route"
)

// maxRefusals is how many hosts an attempt asks that then do not take the
// message, as in Postfix. Hosts that cannot be reached do not count.
const maxRefusals = 2

// attempt is one Deliver. Recipients are known by their index in the job.
type attempt struct {
	client   *Client
	set      *running
	to       Destination
	job      envelope.Job
	ticket   ticket // of the address that is being tried
	outcomes []envelope.Outcome
	hosts    []string        // that the plan was made from
	hops     []route.NextHop // of the plan, without those that are out of the question
	tried    map[netip.AddrPort]bool
	dane     protection
	pending  []int             // not settled when the last transaction ended; their outcomes hold what is known so far
	settled  []bool            // by recipient
	last     *envelope.Failure // what ended the work with a host last
	ready    bool              // a host came as far as MAIL
	ours     bool              // a fault of ours stood in the way
	// unprotected says that a host is there but could not be had with the TLS
	// that the destination wants: it is not down.
	unprotected bool
	crowded     bool          // a limit kept an address from being tried, or from taking all
	busy        bool          // it was one of concurrency
	wait        time.Duration // until one of recipients is over, the soonest
	until       time.Time     // when no more hosts are tried, and waiting ends
}

func newAttempt(c *Client, job envelope.Job) *attempt {
	n := len(job.Recipients)
	a := &attempt{client: c, set: c.settings.Load(), job: job}
	a.outcomes, a.pending, a.settled = make([]envelope.Outcome, n), make([]int, 0, n), make([]bool, n)
	for i, r := range job.Recipients {
		a.outcomes[i].RID = r.RID
		a.pending = append(a.pending, i)
	}
	return a
}

var (
	errNotConfigured = errors.New("delivery is not configured yet")
	errLookup        = errors.New("timeout")
)

func (a *attempt) run(ctx context.Context) {
	if a.set == nil {
		a.failPending(localFailure(errNotConfigured))
		return
	}
	a.to = a.set.destination(a.job.Domain)
	a.until = time.Now().Add(a.set.Timeouts.Attempt)
	if f := a.protect(); f != nil {
		a.failPending(f)
		return
	}
	plan, f := a.plan(ctx)
	switch {
	case ctx.Err() != nil:
		a.failPending(stopped())
	case f != nil:
		a.noPlan(f)
	case plan.Discard:
		a.drop()
	default:
		a.hosts, a.hops = plan.Hosts, plan.Hops
		for _, missing := range plan.Missing {
			a.tellMissing(missing)
		}
		a.tryHosts(ctx)
	}
}

// plan asks where to go.
func (a *attempt) plan(ctx context.Context) (route.Plan, *envelope.Failure) {
	planner := a.set.planner
	planner.Family = a.to.Family
	if a.dane.mode != dane.Off {
		planner.Resolver, planner.Spare = a.client.opt.Checked, true
	}
	within, cancel := context.WithTimeoutCause(ctx, a.set.Timeouts.Lookup, errLookup)
	defer cancel()
	if a.job.Via != nil {
		return planner.PlanVia(within, *a.job.Via)
	}
	return planner.Plan(within, a.job.Domain)
}

// noPlan ends an attempt that has nowhere to go.
func (a *attempt) noPlan(f *envelope.Failure) {
	var unknown *route.LookupError
	if errors.As(f, &unknown) {
		a.client.opt.Log.DNSTemporaryFailure(unknown.Name, unknown.Type, unknown.Why)
	}
	if a.dane.mode != dane.Off {
		a.lost(f)
	}
	a.failPending(f)
}

// next gives the address to try now.
func (a *attempt) next() (route.NextHop, bool) {
	for _, hop := range route.Cut(a.hops) {
		if !a.tried[hop.Addr] {
			return hop, true
		}
	}
	return route.NextHop{}, false
}

// tryHosts goes through the plan until nobody is pending.
func (a *attempt) tryHosts(ctx context.Context) {
	refusals := 0
	a.tried = make(map[netip.AddrPort]bool)
	for hop, more := a.next(); more; hop, more = a.next() {
		if len(a.pending) == 0 {
			return
		}
		if ctx.Err() != nil {
			a.failPending(stopped())
			return
		}
		if d := a.decide(ctx, hop); d.Action == dane.Skip {
			a.skip(hop, d)
		} else if a.tried[hop.Addr] = true; a.visit(ctx, hop) {
			refusals++
		}
		if refusals == maxRefusals || !time.Now().Before(a.until) {
			break
		}
	}
	if ctx.Err() != nil {
		a.failPending(stopped())
		return
	}
	down := !a.ready && !a.ours && !a.crowded && !a.unprotected
	for _, i := range a.pending {
		o := &a.outcomes[i]
		if o.HostDown = down; a.crowded && o.Failure.Reason == envelope.ReasonNone {
			o.Crowded = true
			if !a.busy {
				o.Wait = a.wait
			}
		}
	}
	a.failPending(a.last)
}

// visit tries a hop within the limits of its address, and reports whether it
// was reached and did not take all that it could have had.
func (a *attempt) visit(ctx context.Context, hop route.NextHop) bool {
	if !a.enter(hop) {
		return false
	}
	defer func() { a.client.gate.leave(a.ticket) }()
	return a.tryHost(ctx, hop) && !a.ticket.spent()
}

// tryHost delivers to one address until nobody is pending or it does not go
// on; it reports whether the host was reached.
func (a *attempt) tryHost(ctx context.Context, hop route.NextHop) (reached bool) {
	fresh := false
	for len(a.pending) > 0 {
		c := a.connect(ctx, hop, fresh)
		if c == nil {
			return reached || a.last != nil && a.last.Code != 0 && !unprotected(a.last)
		}
		v := a.converse(c)
		if v == stale { // nothing was heard of the host as it is now
			fresh = true
			continue
		}
		reached, a.ready = true, true
		if v != ended || a.ticket.spent() {
			return true
		}
	}
	return reached
}

// connect gives an idle connection to the hop, unless a fresh one is wanted,
// or makes one.
func (a *attempt) connect(ctx context.Context, hop route.NextHop, fresh bool) *conn {
	g := a.guard(hop, a.decide(ctx, hop))
	for !fresh {
		c := a.client.pool.take(a.set.key(hop.Addr, g))
		if c == nil {
			break
		}
		if c.capacity(a.to) > 0 {
			c.leash = a.leash(ctx, c.raw)
			c.host, c.reused = hop.Host, true
			return c
		}
		c.close(true)
	}
	return a.dial(ctx, hop, g)
}

// converse makes transactions on a connection while there is something to
// send and the host goes along, then keeps the connection or ends it.
func (a *attempt) converse(c *conn) verdict {
	a.client.busy.enter(a.job.Domain)
	defer a.client.busy.leave(a.job.Domain)
	v := lost // unless a transaction says otherwise: a panic must not leave the connection open
	defer func() {
		if c.dead || v == lost || v == stale {
			c.leash.release()
			c.close(false)
		} else {
			a.giveBack(c)
		}
	}()
	for {
		next := a.transact(c)
		a.pending = slices.DeleteFunc(a.pending, func(i int) bool { return a.settled[i] })
		if next != ended || c.dead || len(a.pending) == 0 || c.capacity(a.to) <= 0 || a.ticket.spent() {
			v = next
			return v
		}
	}
}

// giveBack ends the work on a connection that is in step: it waits for more
// where the present settings would make it the same way.
func (a *attempt) giveBack(c *conn) {
	c.leash.release()
	now := a.client.settings.Load()
	if c.capacity(now.destination(a.job.Domain)) > 0 && now.made(c.key) && a.client.pool.put(c, now.Timeouts.Idle) {
		return
	}
	c.close(true)
}

// unreachable logs and notes a hop that could not be connected to.
func (a *attempt) unreachable(ctx context.Context, hop route.NextHop, err error) {
	f := broken(err)
	if ctx.Err() != nil {
		f = stopped()
	}
	f.Host, f.Addr = hop.Host, hop.Addr
	a.remember(f)
	a.noteOutcomes(a.pending, 0, f)
	if ctx.Err() != nil {
		return
	}
	a.client.opt.Log.ConnectionFailed(maillog.ConnectionError{
		Domain: a.job.Domain, Remote: hop.Addr, Local: a.set.source(hop.Addr.Addr()), Details: f.Reply[0], Reason: "network error",
	})
}

// broke logs and notes why a connection is of no use any more, and gives the
// reason; that is our own where the attempt was cancelled.
func (a *attempt) broke(c *conn, f *envelope.Failure) *envelope.Failure {
	if c.leash.cancelled() && f.Code == 0 {
		f = stopped()
		a.note(a.pending, c, f)
		a.client.opt.Log.DeliveryKilled(c.dcid)
		return f
	}
	a.note(a.pending, c, f)
	a.connectionError(c, f)
	return f
}

// connectionError logs why a connection is given up.
func (a *attempt) connectionError(c *conn, f *envelope.Failure) {
	e := maillog.ConnectionError{
		DCID: c.dcid, Domain: a.job.Domain, Remote: c.key.Remote, Local: c.local,
		Code: f.Code, Details: f.Reply[0], Reason: "network error",
	}
	if f.Code != 0 || f.Reason == envelope.ReasonProtocol {
		e.Reason = "unexpected SMTP response"
	}
	a.client.opt.Log.ConnectionFailed(e)
}

func (a *attempt) remember(f *envelope.Failure) {
	a.last = f
	if f.Reason != envelope.ReasonLocal {
		return
	}
	a.ours = true
	if !errors.Is(f, context.Canceled) {
		a.client.opt.Diag.Error("delivery failed for a reason of our own",
			"mid", a.job.Message.MID, "domain", a.job.Domain, "revision", a.set.Revision, "error", f.Err)
	}
}

// note keeps a failure as what is known so far of recipients that stay
// pending. One that a host gave in words is not replaced by one without.
func (a *attempt) note(recipients []int, c *conn, f *envelope.Failure) {
	f.Host, f.Addr = c.host, c.key.Remote
	a.remember(f)
	a.noteOutcomes(recipients, c.dcid, f)
}

func (a *attempt) noteOutcomes(recipients []int, dcid envelope.DCID, f *envelope.Failure) {
	for _, i := range recipients {
		if o := &a.outcomes[i]; !a.settled[i] && (f.Code != 0 || o.Failure.Code == 0) {
			o.DCID, o.Failure = dcid, *f
		}
	}
}

// settleAll ends recipients with a failure: bounced if it is permanent.
func (a *attempt) settleAll(recipients []int, c *conn, f *envelope.Failure) {
	if len(recipients) == 0 {
		return
	}
	result := envelope.Deferred
	if f.Permanent {
		result = envelope.Bounced
	}
	f.Host, f.Addr = c.host, c.key.Remote
	a.remember(f)
	for _, i := range recipients {
		if !a.settled[i] {
			o := &a.outcomes[i]
			o.Result, o.DCID, o.Failure = result, c.dcid, *f
		}
	}
	a.settle(recipients)
}

// settle takes recipients out of the attempt, their outcomes as they stand.
func (a *attempt) settle(recipients []int) {
	for _, i := range recipients {
		a.settled[i] = true
	}
}

// deliver ends recipients that the host took, with its answer.
func (a *attempt) deliver(recipients []int, c *conn, answer string) {
	for _, i := range recipients {
		o := &a.outcomes[i]
		o.Result, o.DCID, o.Reply, o.Failure = envelope.Delivered, c.dcid, answer, envelope.Failure{}
		o.DSN = c.ext.has("DSN")
	}
	a.settle(recipients)
	a.client.opt.Log.Delivered(c.dcid, a.job.Message.MID, a.rids(recipients), answer)
}

// drop ends all recipients of a /dev/null route. The queue logs that they are
// deleted, as it does for those that an operator deletes.
func (a *attempt) drop() {
	for _, i := range a.pending {
		a.outcomes[i].Result = envelope.Discarded
		a.outcomes[i].Failure.Reason = envelope.ReasonDeleted
	}
	a.pending = nil
}

// failPending ends all that are pending: with what is known of them, else with
// f. A plan that failed for good bounces them.
func (a *attempt) failPending(f *envelope.Failure) {
	for _, i := range a.pending {
		o := &a.outcomes[i]
		if a.settled[i] {
			continue
		}
		if o.Failure.Reason == envelope.ReasonNone && !o.Crowded {
			o.Failure = *f
		}
		if o.Failure.Permanent {
			o.Result = envelope.Bounced
		}
	}
	a.pending = nil
}

func (a *attempt) rids(recipients []int) []envelope.RID {
	out := make([]envelope.RID, len(recipients))
	for n, i := range recipients {
		out[n] = a.job.Recipients[i].RID
	}
	return out
}
