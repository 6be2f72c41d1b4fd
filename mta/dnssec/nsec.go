package dnssec

import (
	"esa/mta/lookup"

	"github.com/miekg/dns"
)

// denyNSEC holds a claim against NSEC records (RFC 4035 §5.4).
func (e *evidence) denyNSEC(c claim) (denial, error) {
	at := e.nsecAt(c.name)
	over := e.nsecOver(c.name)
	empty := over != nil && below(one(over.NextDomain), c.name) // a name without records, but with names below it
	switch {
	case c.rcode == dns.RcodeNameError && (at != nil || empty):
		return denial{}, bogus("%s is said not to exist, but its proof says that it does", c.name)
	case at != nil:
		return bits(at.TypeBitMap).lacks(c)
	case empty:
		return denial{status: lookup.Secure}, nil
	case over == nil:
		return denial{}, bogus("no NSEC record proves that %s does not exist", shown(c.name, c.rrtype))
	}
	star := wildcard(encloserNSEC(c.name, over))
	if c.rcode != dns.RcodeNameError {
		if at := e.nsecAt(star); at != nil {
			return bits(at.TypeBitMap).lacks(c)
		}
		return denial{}, bogus("nothing proves that the wildcard %s has no %s", star, dns.Type(c.rrtype))
	}
	if e.nsecOver(star) == nil {
		return denial{}, bogus("nothing proves that the wildcard %s does not exist", star)
	}
	return denial{status: lookup.Secure}, nil
}

// expandedNSEC wants the proof that no name closer to owner exists than the
// parent of the wildcard, which has that many labels.
func (e *evidence) expandedNSEC(owner string, labels int) (lookup.Status, error) {
	over := e.nsecOver(owner)
	if over == nil || below(one(over.NextDomain), owner) {
		return lookup.Failed, bogus("%s comes from a wildcard, and nothing proves that the name itself does not exist", owner)
	}
	if dns.CountLabel(encloserNSEC(owner, over)) != labels {
		return lookup.Failed, bogus("%s comes from a wildcard that does not reach it", owner)
	}
	return lookup.Secure, nil
}

// nsecAt gives the record of a name.
func (e *evidence) nsecAt(name string) *dns.NSEC {
	for _, n := range e.nsecs {
		if one(n.Hdr.Name) == name {
			return n
		}
	}
	return nil
}

// nsecOver gives the record whose span holds a name. That of a cut or a DNAME
// above the name says nothing of it (RFC 6840 §4.1).
func (e *evidence) nsecOver(name string) *dns.NSEC {
	for _, n := range e.nsecs {
		owner, next := one(n.Hdr.Name), one(n.NextDomain)
		types := bits(n.TypeBitMap)
		if below(name, owner) && (types.delegates() || types.has(dns.TypeDNAME)) {
			continue
		}
		if below(next, e.zone.name) && spans(owner, next, name) {
			return n
		}
	}
	return nil
}

// spans reports whether name stands between owner and next; the last record
// of a zone leads back to its first name.
func spans(owner, next, name string) bool {
	if compare(owner, name) >= 0 {
		return false
	}
	return compare(name, next) < 0 || compare(owner, next) >= 0
}

// encloserNSEC gives the closest name above name that exists, as the record
// that spans it shows.
func encloserNSEC(name string, over *dns.NSEC) string {
	n := max(shared(name, one(over.Hdr.Name)), shared(name, one(over.NextDomain)))
	return ancestor(name, n)
}
