package dns

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"esa/mta/lookup"

	mdns "github.com/miekg/dns"
)

// Bounds of one lookup.
const (
	maxAliases  = 11 // what unbound follows
	maxAsked    = 32 // exchanges with servers
	maxTimeouts = 12 // the whole lookup, in units of Settings.Timeout
	passes      = 2  // a server that was silent is asked once more
)

var (
	errClosed    = errors.New("the resolver is closed")
	errNoServer  = errors.New("no DNS server configured")
	errAliases   = errors.New("too many aliases")
	errTooMuch   = errors.New("too many questions for one lookup")
	errLookupDue = errors.New("the lookup took too long")
)

// find answers q from the cache, or waits for a lookup until ctx ends.
func (r *Resolver) find(ctx context.Context, q question) *answer {
	r.stats.requests.Add(1)
	r.log.DNSQuery(q.name, q.typeName())
	st := r.state.Load()
	f := st.cache.find(r.base, q, r.clock())
	if f.answer != nil {
		r.stats.hits.Add(1)
		r.count(f.answer)
		return f.answer
	}
	r.stats.misses.Add(1)
	if f.expired {
		r.stats.expired.Add(1)
	}
	if f.first {
		r.fly(st, f.flight)
	}
	select {
	case <-f.flight.done:
		r.count(f.flight.answer)
		return f.flight.answer
	case <-ctx.Done():
		st.cache.leave(f.flight)
		a := failed(context.Cause(ctx), time.Time{})
		r.count(a)
		return a
	}
}

func (r *Resolver) count(a *answer) {
	if a.Status == lookup.Failed {
		r.stats.exceptions.Add(1)
	}
}

// fly runs a lookup in its own goroutine, because who began it may leave
// while others still wait.
func (r *Resolver) fly(st *state, f *flight) {
	if !r.begin() {
		st.cache.land(f, failed(errClosed, time.Time{}))
		return
	}
	go func() {
		defer r.running.Done()
		a := failed(errors.New("internal error"), r.clock().Add(failureTTL))
		defer func() {
			// A message that trips a library must not take the gateway with it.
			if p := recover(); p != nil {
				r.diag.Error("panic in a lookup", "name", f.question.name, "type", f.question.typeName(), "panic", p, "stack", string(debug.Stack()))
			}
			st.cache.land(f, a)
		}()
		a = r.resolve(f.ctx, st, f.question)
	}()
}

// failed is the answer of a lookup that did not end well, kept until expires.
func failed(why error, expires time.Time) *answer {
	a := &answer{expires: expires}
	a.Why = why.Error()
	var f *fault
	if errors.As(why, &f) {
		a.Why = f.why
	}
	return a
}

// run is one lookup under way.
type run struct {
	*Resolver
	st    *state
	asked int // exchanges so far
}

// resolve asks servers until q is answered, aliases followed.
func (r *Resolver) resolve(ctx context.Context, st *state, q question) *answer {
	t, err := r.chase(ctx, st, q)
	if err != nil {
		return failed(err, r.clock().Add(failureTTL))
	}
	a := t.answer()
	r.keep(q, a, st.set.MinTTL)
	return a
}

// chase asks servers for q and for what its aliases lead to.
func (r *Resolver) chase(ctx context.Context, st *state, q question) (*trail, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, maxTimeouts*st.set.Timeout, errLookupDue)
	defer cancel()
	l := &run{Resolver: r, st: st}
	t := &trail{question: q, ttl: maxTTL, status: lookup.Secure}
	for !t.done {
		reply, err := l.ask(ctx, t.question)
		if err == nil {
			t.status = weaker(t.status, reply.status)
			err = t.follow(reply.Msg, &st.servers)
		}
		if err != nil {
			r.diag.Debug("lookup failed", "name", q.name, "type", q.typeName(), "err", err)
			return nil, err
		}
	}
	return t, nil
}

// keep sets how long a may be kept: as long as its records say, within bounds.
func (r *Resolver) keep(q question, a *answer, floor time.Duration) {
	told := a.told(q)
	r.log.DNSAnswered(told, max(0, a.TTL))
	switch {
	case a.Status == lookup.Failed, a.none() && a.TTL == noTTL:
		a.TTL = failureTTL
	case a.none():
		a.TTL = max(floor, min(a.TTL, maxNoTTL))
	default:
		a.TTL = max(floor, a.TTL)
	}
	a.TTL = min(a.TTL, maxTTL)
	if a.TTL > 0 {
		a.expires = r.clock().Add(a.TTL)
	}
	switch {
	case a.none():
		r.log.DNSNoData(q.name, q.typeName())
	case a.Usable() && a.TTL > 0:
		told.Expires = a.expires
		r.log.DNSCached(told)
	}
}

// weaker gives the status of what depends on both.
func weaker(a, b lookup.Status) lookup.Status {
	for _, s := range []lookup.Status{lookup.Failed, lookup.Bogus, lookup.Insecure} {
		if a == s || b == s {
			return s
		}
	}
	return lookup.Secure
}

// reply is what a server answered, and how far that can be believed.
type reply struct {
	*mdns.Msg
	status lookup.Status
}

// ask asks the servers for q in turn until one answers. Those that were
// silent are asked once more.
func (l *run) ask(ctx context.Context, q question) (reply, error) {
	turns := l.st.servers.serving(q.name).turns(l.clock(), l.rand)
	group := -1
	last := errNoServer
	var suspects []candidate
	for range passes {
		var again []candidate
		for _, c := range turns {
			if c.group != group {
				group = c.group
				l.log.DNSQueryServer(q.name, q.typeName(), group)
			}
			answered, err := l.askOne(ctx, c, q)
			if err == nil {
				l.blame(suspects)
				return answered, nil
			}
			f := (*fault)(nil)
			if errors.Is(err, errLookupDue) && last != errNoServer {
				return reply{}, last
			}
			if !errors.As(err, &f) {
				return reply{}, err
			}
			last = err
			if f.passes {
				again = append(again, c)
			} else {
				suspects = append(suspects, c)
			}
		}
		turns = again
	}
	return reply{}, last
}

// askOne asks one server. An error that is no fault of the server ends the
// lookup. Servers of lower priority get more time, as on the ESA.
func (l *run) askOne(ctx context.Context, c candidate, q question) (reply, error) {
	if l.asked++; l.asked > maxAsked {
		return reply{}, errTooMuch
	}
	timeout := l.st.set.Timeout
	l.log.DNSQuerySent(q.name, q.typeName(), c.addr, maxTimeouts*timeout)
	m, err := l.exchange(ctx, peer{addr: c.addr, source: l.st.set.Source}, q, timeout*time.Duration(1+min(c.group, 1)))
	if err == nil {
		err = sane(q, m)
	}
	answered := reply{Msg: m}
	if err == nil {
		answered.status, err = l.judge(q, m)
	}
	f := (*fault)(nil)
	switch {
	case err == nil:
		c.ended(true, l.clock())
	case !errors.As(err, &f):
	case f.passes:
		l.strike(c, err)
	default:
		l.log.InvalidDNSResponse(f.said, c.addr, q.name)
	}
	return answered, err
}

// judge says how far a message can be believed. Without a validator that is
// Insecure. A fault sends the lookup to the next server.
func (l *run) judge(question, *mdns.Msg) (lookup.Status, error) { return lookup.Insecure, nil }

// blame holds a refusal against servers once another has answered the same
// question: before, the name may be what is broken.
func (l *run) blame(suspects []candidate) {
	for _, c := range suspects {
		l.strike(c, errors.New("another server answered what this one did not"))
	}
}

func (l *run) strike(c candidate, err error) {
	if avoid := c.ended(false, l.clock()); avoid > 0 {
		l.diag.Warn("DNS server keeps failing and is asked last", "server", shown(c.addr), "for", avoid, "err", err)
	}
}

// sane gives the fault of a message that answers the question in form only.
func sane(q question, m *mdns.Msg) error {
	var answers, data, referral, denial bool
	for _, rr := range m.Answer {
		if at(rr, q.name) {
			answers = answers || rr.Header().Rrtype == q.qtype || rr.Header().Rrtype == mdns.TypeCNAME
		}
		data = data || rr.Header().Rrtype == q.qtype && q.qtype != mdns.TypeCNAME
	}
	for _, rr := range m.Ns {
		referral = referral || rr.Header().Rrtype == mdns.TypeNS
		denial = denial || rr.Header().Rrtype == mdns.TypeSOA
	}
	switch {
	case len(m.Answer) > 0 && !answers:
		return malformed(fmt.Errorf("no record of %s %s among %d", q.name, q.typeName(), len(m.Answer)))
	case data && m.Rcode == mdns.RcodeNameError:
		return malformed(errors.New("records of a name that is said not to exist"))
	case !answers && referral && !denial && m.Rcode == mdns.RcodeSuccess:
		// It points to others instead of asking them: no resolver, or not for us.
		return &fault{why: "Referral", said: "REFERRAL"}
	}
	return nil
}
