package dns

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"esa/mta/dnssec"
	"esa/mta/lookup"
	"esa/mta/maillog"

	mdns "github.com/miekg/dns"
)

// Bounds of one lookup.
const (
	maxAsked    = 32 // exchanges with servers
	maxProven   = 96 // the same where the answer is validated: keys are asked for too
	maxIterated = 200
	maxTimeouts = 12 // the whole lookup, in units of Settings.Timeout
	passes      = 2  // a server that was silent is asked once more
)

var (
	errClosed    = errors.New("the resolver is closed")
	errNoServer  = errors.New("no DNS server configured")
	errTooMuch   = errors.New("too many questions for one lookup")
	errInternal  = errors.New("internal error")
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
		a := failed(errInternal, r.clock().Add(failureTTL))
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
	var chain *chainError
	if errors.As(why, &f) && f.bogus || errors.As(why, &chain) && chain.bogus {
		a.Status = lookup.Bogus
	}
	return a
}

// run is one lookup under way.
type run struct {
	*Resolver
	st     *state
	proof  *dnssec.Lookup
	asked  *int   // exchanges so far
	most   int    // exchanges at most
	nested int    // this looks up the name servers for a lookup that ... so many times
	zone   string // that the last answer speaks for; the root where a resolver answered
	early  *ahead // the chain of trust, asked for beforehand

	supposed bool // another time, server or anchor than ours: what fails is no fault of ours
}

// newRun begins a lookup. tell, if not nil, hears the chain of trust.
func (r *Resolver) newRun(st *state, checked bool, tell func(string)) *run {
	l := &run{Resolver: r, st: st, asked: new(int), most: maxAsked, early: &ahead{}}
	if checked {
		l.most = maxProven
	}
	if st.roots != nil {
		l.most = maxIterated
	}
	if checked {
		l.proof = st.validator.Begin(l, tell)
	} else {
		l.proof = r.believer.Begin(l, nil)
	}
	return l
}

// resolve asks servers until q is answered, aliases followed.
func (r *Resolver) resolve(ctx context.Context, st *state, q question) *answer {
	t, err := r.newRun(st, q.checked, nil).chase(ctx, q)
	if err != nil {
		return r.forget(failed(err, time.Time{}))
	}
	a := t.answer()
	r.keep(q, a, st.set.MinTTL)
	return a
}

// forget sets how long a lookup that did not end well is remembered.
func (r *Resolver) forget(a *answer) *answer {
	keep := failureTTL
	if a.Status == lookup.Bogus {
		keep = bogusTTL
	}
	a.expires = r.clock().Add(keep)
	return a
}

// chase asks servers for q and for what its aliases lead to.
func (l *run) chase(ctx context.Context, q question) (*trail, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, maxTimeouts*l.st.set.Timeout, errLookupDue)
	defer cancel()
	if q.checked {
		l.early = l.askAhead(ctx, q)
		defer l.early.asking.Wait()
		defer cancel() // what was not needed is not waited for
	}
	t := &trail{question: q, ttl: maxTTL, status: lookup.Secure}
	for !t.done {
		steps, err := l.steps(ctx, t.question)
		if err == nil {
			err = t.follow(steps)
		}
		if err != nil {
			l.diag.Debug("lookup failed", "name", q.name, "type", q.typeName(), "err", err)
			l.anchorless(err)
			return nil, err
		}
	}
	return t, nil
}

// anchorless tells that the keys of a trust anchor do not validate.
func (l *run) anchorless(err error) {
	var anchor *dnssec.AnchorError
	if !l.supposed && errors.As(err, &anchor) && failed(err, time.Time{}).Status == lookup.Bogus && l.watch != nil {
		l.watch.Anchorless(anchor.Zone, err.Error())
	}
}

// steps asks for q until an answer can be believed, and gives what it proves.
// They end where other servers serve the name that an alias leads to.
func (l *run) steps(ctx context.Context, q question) ([]dnssec.Step, error) {
	var steps []dnssec.Step
	mine := l.st.servers.serving(q.name)
	err := l.ask(ctx, q, func(m *mdns.Msg) error {
		var err error
		elsewhere := func(target string) bool {
			target = received(target)
			return l.st.servers.serving(target) != mine || !below(target, l.zone)
		}
		steps, err = l.proof.Judge(ctx, q.wire(), m, elsewhere)
		return err
	})
	return steps, err
}

// Ask gets the records of the chain of trust for the validator. Every server
// has been asked when it fails: the lookup ends.
func (l *run) Ask(ctx context.Context, q mdns.Question, accept func(*mdns.Msg) error) error {
	defer func(zone string) { l.zone = zone }(l.zone)
	err := l.ask(ctx, question{name: received(q.Name), qtype: q.Qtype}, accept)
	var f *fault
	if errors.As(err, &f) {
		why := f.why
		if !f.bogus {
			why = fmt.Sprintf("%s of %s: %s", mdns.Type(q.Qtype), q.Name, f.why)
		}
		return &chainError{why: why, bogus: f.bogus}
	}
	return err
}

// chainError ends a lookup because the chain of trust cannot be followed. It
// is no fault of the server that answered the question.
type chainError struct {
	why   string
	bogus bool
}

func (e *chainError) Error() string { return e.why }

// keep sets how long a may be kept: as long as its records say, within bounds.
func (r *Resolver) keep(q question, a *answer, floor time.Duration) {
	if q.checked {
		floor = 0 // never beyond what the signatures allow (RFC 4035 §5.3.3)
	}
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

// ask asks the servers that are configured for q, or those of the Internet,
// until accept takes an answer.
func (l *run) ask(ctx context.Context, q question, accept func(*mdns.Msg) error) error {
	serving := l.st.servers.serving(q.name)
	if l.st.roots != nil && serving == l.st.servers.main {
		return l.iterate(ctx, q, accept)
	}
	if l.answer(ctx, q, accept) {
		return nil
	}
	return l.inTurn(ctx, serving.turns(l.clock(), l.rand), q, func(m *mdns.Msg) error {
		l.zone = ""
		if err := sane(q, m); err != nil {
			return err
		}
		return accept(m)
	})
}

// inTurn asks servers in turn until accept takes an answer. Those that were
// silent are asked once more.
func (l *run) inTurn(ctx context.Context, turns []candidate, q question, accept func(*mdns.Msg) error) error {
	group := -1
	last := errNoServer
	var suspects []suspect
	for range passes {
		var again []candidate
		for _, c := range turns {
			if c.group != group && l.st.roots == nil {
				group = c.group
				l.log.DNSQueryServer(q.name, q.typeName(), group)
			}
			err := l.askOne(ctx, c, q, accept)
			if err == nil {
				l.blame(suspects)
				return nil
			}
			f := (*fault)(nil)
			if errors.Is(err, errLookupDue) && last != errNoServer {
				return last
			}
			if !errors.As(err, &f) {
				return err
			}
			last = graver(last, err)
			if f.passes {
				again = append(again, c)
			} else {
				suspects = append(suspects, suspect{c, f})
			}
		}
		turns = again
	}
	return last
}

// graver gives of two errors the one to tell: that a server's answer was
// forged or stripped says more than that another did not answer.
func graver(before, after error) error {
	var f *fault
	if errors.As(before, &f) && f.bogus {
		return before
	}
	return after
}

// askOne asks one server. An error that is no fault of the server ends the
// lookup.
func (l *run) askOne(ctx context.Context, c candidate, q question, accept func(*mdns.Msg) error) error {
	if *l.asked++; *l.asked > l.most {
		return errTooMuch
	}
	m, err := l.put(ctx, c, q)
	if err == nil {
		err = unproven(accept(m))
	}
	if err == nil {
		c.ended(true, l.clock())
		return nil
	}
	l.faulted(c, q, err)
	return err
}

// put asks one server and waits for what it says. Servers of lower priority get
// more time, as on the ESA.
func (l *run) put(ctx context.Context, c candidate, q question) (*mdns.Msg, error) {
	timeout := l.st.set.Timeout
	l.log.DNSQuerySent(q.name, q.typeName(), c.addr, maxTimeouts*timeout)
	to := peer{addr: c.addr, source: l.st.set.Source, authority: c.authority, dialer: l.dial}
	return l.exchange(ctx, to, q, timeout*time.Duration(1+min(c.group, 1)))
}

// faulted holds a fault against the server, or tells of it.
func (l *run) faulted(c candidate, q question, err error) {
	f := (*fault)(nil)
	switch {
	case !errors.As(err, &f):
	case f.passes:
		l.strike(c, err)
	case f.bogus && l.supposed:
	case f.bogus:
		l.log.InvalidDNSSECResponse(maillog.DNSSECError{Name: q.name, Type: q.typeName(), Server: c.addr, Why: f.why})
	default:
		l.log.InvalidDNSResponse(f.said, c.addr, q.name)
	}
}

// unproven makes the validator's verdict on an answer a fault of the server
// that gave it: another may have what this one lost.
func unproven(err error) error {
	var b *dnssec.BogusError
	if errors.As(err, &b) {
		return &fault{why: b.Why, bogus: true, err: err}
	}
	return err
}

// suspect is a server whose answer was of no use.
type suspect struct {
	candidate
	fault *fault
}

// blame holds an answer against servers once another has answered the same
// question: before, the name may be what is broken. One that lost the
// signatures is asked last from now on.
func (l *run) blame(suspects []suspect) {
	if l.supposed {
		return
	}
	for _, s := range suspects {
		if !s.fault.bogus {
			l.strike(s.candidate, errors.New("another server answered what this one did not"))
			continue
		}
		s.shun(l.clock())
		l.diag.Warn("DNS server does not pass DNSSEC on and is asked last", "server", shown(s.addr), "for", maxAvoid, "why", s.fault.why)
		if l.watch != nil {
			l.watch.Lame(s.addr, s.fault.why)
		}
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
