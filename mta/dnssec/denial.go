package dnssec

import (
	"errors"
	"slices"
	"time"

	"esa/mta/lookup"

	"github.com/miekg/dns"
)

// claim is what a message without records says: that there is nothing of a
// type at a name, or with dns.RcodeNameError that there is no such name.
type claim struct {
	name   string
	rrtype uint16
	rcode  int
}

// denial is a claim that is proven. It is Insecure where an opt-out leaves
// open whether an unsigned zone stands there (RFC 5155 §12.2).
type denial struct {
	status lookup.Status
	cut    bool // of a DS claim: a zone begins there
	ttl    time.Duration
}

// evidence is the records of absence in a message that one zone signed.
type evidence struct {
	*Lookup
	zone   *zone
	nsecs  []*dns.NSEC
	nsec3s []*dns.NSEC3
	ttl    time.Duration
	why    error // why the last record did not count
}

// deny holds a claim against the proof that stands in the authority section.
func (l *Lookup) deny(z *zone, c claim, authority sets) (denial, error) {
	e, err := l.evidence(z, authority)
	if err != nil {
		return denial{}, err
	}
	d := denial{}
	switch {
	case len(e.nsecs) > 0:
		d, err = e.denyNSEC(c)
	case len(e.nsec3s) > 0:
		d, err = e.denyNSEC3(c)
	case e.why != nil:
		err = e.why
	default:
		err = bogus("nothing proves that %s does not exist", shown(c.name, c.rrtype))
	}
	d.ttl = e.ttl
	return d, err
}

// evidence gathers the records of absence that z signed.
func (l *Lookup) evidence(z *zone, authority sets) (*evidence, error) {
	e := &evidence{Lookup: l, zone: z, ttl: maxKept}
	for _, set := range authority.all {
		if soa, ok := set.records[0].(*dns.SOA); ok {
			e.ttl = min(e.ttl, set.ttl, Lifetime(soa.Minttl)) // RFC 2308 §5; no more than a hint
		}
		if set.rrtype != dns.TypeNSEC && set.rrtype != dns.TypeNSEC3 || set.signer() != z.name {
			continue
		}
		p, err := l.verify(set, z)
		switch {
		case errors.Is(err, ErrTooMuchWork):
			return nil, err
		case err != nil:
			e.why = err
			continue
		case p.expanded: // CVE-2017-15105
			e.why = bogus("%s comes from a wildcard and proves nothing", shown(set.owner, set.rrtype))
			continue
		}
		e.ttl = min(e.ttl, p.ttl)
		for _, rr := range set.records {
			switch rr := rr.(type) {
			case *dns.NSEC:
				e.nsecs = append(e.nsecs, rr)
			case *dns.NSEC3:
				e.nsec3s = append(e.nsec3s, rr)
			}
		}
	}
	return e, nil
}

// expansion holds a set that came from a wildcard against the proof that the
// name itself does not exist (RFC 4035 §5.3.4, RFC 5155 §8.8). The status is
// Insecure where an opt-out leaves that open.
func (l *Lookup) expansion(z *zone, set *rrset, p proof, authority sets) (lookup.Status, error) {
	e, err := l.evidence(z, authority)
	if err != nil {
		return lookup.Failed, err
	}
	switch {
	case len(e.nsecs) > 0:
		return e.expandedNSEC(set.owner, p.labels)
	case len(e.nsec3s) > 0:
		return e.expandedNSEC3(set.owner, p.labels)
	case e.why != nil:
		return lookup.Failed, e.why
	}
	return lookup.Failed, bogus("%s comes from a wildcard, and nothing proves that the name itself does not exist", shown(set.owner, set.rrtype))
}

// bits is the types that stand at a name.
type bits []uint16

func (b bits) has(rrtype uint16) bool { return slices.Contains(b, rrtype) }

// delegates reports whether the name is a cut seen from above.
func (b bits) delegates() bool { return b.has(dns.TypeNS) && !b.has(dns.TypeSOA) }

// lacks holds a claim about a name that exists against the types that stand
// there (RFC 6840 §4.1, §4.3, §4.4).
func (b bits) lacks(c claim) (denial, error) {
	what := shown(c.name, c.rrtype)
	switch {
	case b.has(c.rrtype), b.has(dns.TypeCNAME):
		return denial{}, bogus("the answer has no %s, but its proof says that it or an alias exists", what)
	case c.rrtype == dns.TypeDS && b.has(dns.TypeSOA) && c.name != ".":
		return denial{}, bogus("the proof that there is no %s is of the zone itself, not of its parent", what)
	case c.rrtype != dns.TypeDS && b.delegates():
		return denial{}, bogus("the proof that there is no %s is of the parent, not of the zone", what)
	}
	return denial{status: lookup.Secure, cut: b.has(dns.TypeNS)}, nil
}
