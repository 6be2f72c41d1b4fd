package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"esa/mta/dnssec"
	"esa/mta/lookup"

	mdns "github.com/miekg/dns"
)

// ProofQuery asks what DNSSEC proves of a name.
type ProofQuery struct {
	Name    string          // with Type PTR an address too
	Type    string          // "MX", "TYPE65280"; any case
	At      time.Time       // signatures are held against this time; zero: now
	Server  netip.AddrPort  // asked instead of the configured ones; invalid: those
	Anchors *dnssec.Anchors // trusted instead of the configured ones; nil: those
}

// Proof is what came of it. Text in it comes from the network, in the form of
// zone files: nothing in it harms a terminal.
type Proof struct {
	Chain   []string // the steps from the anchor down, a sentence each
	Records []string
	State   string // "SECURE", "INSECURE", "BOGUS", or "INDETERMINATE": no anchor, or it could not be found out
	Code    string // "NOERROR", "NXDOMAIN", "NODATA", "SERVFAIL"
	Why     string // unless State is SECURE
}

// ErrQueryType is what Prove returns for a type that does not exist or that
// no signature covers.
var ErrQueryType = errors.New("not a record type that can be validated")

// ErrQueryName is what Prove returns for what DNS cannot hold.
var ErrQueryName = errors.New("not a domain name")

// Prove validates the records of a name from nothing: no cache is used or
// filled.
func (r *Resolver) Prove(ctx context.Context, p ProofQuery) (Proof, error) {
	qtype, ok := parseType(p.Type)
	if !ok {
		return Proof{}, fmt.Errorf("%q: %w", p.Type, ErrQueryType)
	}
	if addr, err := netip.ParseAddr(p.Name); err == nil && qtype == mdns.TypePTR {
		p.Name = reverseName(addr.Unmap().WithZone(""))
	}
	name, ok := canonical(p.Name)
	if !ok {
		return Proof{}, fmt.Errorf("%q: %w", p.Name, ErrQueryName)
	}
	if !r.begin() {
		return Proof{}, errClosed
	}
	defer r.running.Done()
	proof := Proof{}
	st := r.provingState(p)
	tell := func(s string) { proof.Chain = append(proof.Chain, s) }
	l := r.newRun(st, true, tell)
	l.supposed = p.Server.IsValid() || p.Anchors != nil || !p.At.IsZero()
	t, err := l.chase(ctx, question{name: name, qtype: qtype, checked: true})
	if err != nil {
		a := failed(err, time.Time{})
		proof.State, proof.Code, proof.Why = "INDETERMINATE", "SERVFAIL", a.Why
		if a.Status == lookup.Bogus {
			proof.State = "BOGUS"
		}
		return proof, nil
	}
	proof.State, proof.Why, proof.Code = t.status.String(), t.why, t.code()
	if t.status == lookup.Insecure && strings.HasPrefix(t.why, dnssec.NoAnchor("")) {
		proof.State = "INDETERMINATE"
	}
	for _, rr := range t.records[:min(len(t.records), maxRecords)] {
		shown := record(rr)
		ttl := int(shown.TTL / time.Second)
		proof.Records = append(proof.Records, fmt.Sprintf("%s %d IN %s %s", mdns.CanonicalName(rr.Header().Name), ttl, mdns.Type(rr.Header().Rrtype), shown.Text))
	}
	return proof, nil
}

// provingState is the state of the resolver with the changes that a query
// asks for, and nothing known yet.
func (r *Resolver) provingState(p ProofQuery) *state {
	st := *r.state.Load()
	if p.Server.IsValid() {
		st.set.Servers, st.set.Alternates, st.set.Roots = []Server{{Addr: p.Server}}, nil, nil
		st.servers = newDirectory(st.set, directory{})
	}
	st.forget(r.clock)
	policy, clock := st.set.DNSSEC, r.clock
	if p.Anchors != nil {
		policy.Anchor = *p.Anchors
	}
	if !p.At.IsZero() {
		clock = func() time.Time { return p.At }
	}
	st.validator = dnssec.New(clock, policy)
	return &st
}

// code says what the answer was, as tools for DNS call it.
func (t *trail) code() string {
	switch {
	case t.nxdomain:
		return "NXDOMAIN"
	case len(t.records) == 0:
		return "NODATA"
	default:
		return "NOERROR"
	}
}

// parseType reads a type: by its name, or by its number (RFC 3597 §5). Types
// that stand for no records of their own, or for signatures, are none here.
func parseType(text string) (uint16, bool) {
	text = strings.ToUpper(text)
	qtype, ok := mdns.StringToType[text]
	if number, numeric := strings.CutPrefix(text, "TYPE"); numeric && !ok {
		n, err := strconv.ParseUint(number, 10, 16)
		qtype, ok = uint16(n), err == nil
	}
	switch qtype {
	case mdns.TypeNone, mdns.TypeOPT, mdns.TypeRRSIG, mdns.TypeSIG, mdns.TypeNSEC3:
		return 0, false
	}
	const firstMeta, lastMeta = 128, 255 // RFC 6895 §3.1
	return qtype, ok && (qtype < firstMeta || qtype > lastMeta)
}

// ObserveKeys shows the keys of a trust point to it, as the servers give them,
// and tells when to do so again (RFC 5011 §2.3). Each server is asked until
// one shows a set that the point believes.
func (r *Resolver) ObserveKeys(ctx context.Context, point *dnssec.TrustPoint) (changes []string, next time.Duration, err error) {
	if !r.begin() {
		return nil, time.Hour, errClosed
	}
	defer r.running.Done()
	l := r.newRun(r.state.Load(), false, nil)
	q := question{name: received(point.Zone), qtype: mdns.TypeDNSKEY}
	next = time.Hour
	err = l.ask(ctx, q, func(m *mdns.Msg) error {
		learnt, again, err := point.Observe(r.clock(), m)
		changes, next = append(changes, learnt...), again
		return unproven(err)
	})
	return changes, next, err
}
