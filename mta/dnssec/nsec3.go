package dnssec

import (
	"strings"

	"esa/mta/lookup"

	"github.com/miekg/dns"
)

const optOut = 1

// hashKey is what a hash is computed of; a lookup computes each once.
type hashKey struct {
	name, salt string
	iterations uint16
}

// oneParameterSet leaves only records that can be used, all with the
// parameters of the first (RFC 5155 §8.1, §8.2; RFC 9276 §3.2).
func (e *evidence) oneParameterSet() error {
	var kept []*dns.NSEC3
	for _, n := range e.nsec3s {
		usable := n.Hash == dns.SHA1 && n.Flags&^optOut == 0 && parent(one(n.Hdr.Name)) == e.zone.name
		if !usable || len(kept) > 0 && (n.Iterations != kept[0].Iterations || !strings.EqualFold(n.Salt, kept[0].Salt)) {
			continue
		}
		if n.Iterations > maxIterations {
			return bogus("the NSEC3 records of %s use %d iterations, more than %d", e.zone.name, n.Iterations, maxIterations)
		}
		kept = append(kept, n)
	}
	if e.nsec3s = kept; len(kept) == 0 {
		return bogus("the NSEC3 records of %s cannot be used", e.zone.name)
	}
	return nil
}

func (e *evidence) hash(name string) (string, error) {
	first := e.nsec3s[0]
	k := hashKey{name: name, salt: first.Salt, iterations: first.Iterations}
	if h, ok := e.hashes[k]; ok {
		return h, nil
	}
	if err := spend(&e.left.hashes, 1); err != nil {
		return "", err
	}
	h := dns.HashName(name, dns.SHA1, first.Iterations, first.Salt)
	e.hashes[k] = h
	return h, nil
}

// nsec3At gives the record of a name.
func (e *evidence) nsec3At(name string) (*dns.NSEC3, error) {
	h, err := e.hash(name)
	if err != nil {
		return nil, err
	}
	for _, n := range e.nsec3s {
		if ownHash(n) == h {
			return n, nil
		}
	}
	return nil, nil
}

// nsec3Over gives the record whose span holds the hash of a name.
func (e *evidence) nsec3Over(name string) (*dns.NSEC3, error) {
	h, err := e.hash(name)
	if err != nil {
		return nil, err
	}
	for _, n := range e.nsec3s {
		own, next := ownHash(n), strings.ToUpper(n.NextDomain)
		if own < next && own < h && h < next || own >= next && (own < h || h < next) {
			return n, nil
		}
	}
	return nil, nil
}

func ownHash(n *dns.NSEC3) string {
	label, _, _ := strings.Cut(n.Hdr.Name, ".")
	return strings.ToUpper(label)
}

// gap is the proof that a name does not exist: the closest name above it that
// does, and the record that spans the next one down (RFC 5155 §8.3).
type gap struct {
	encloser string
	over     *dns.NSEC3
}

func (g gap) status() lookup.Status {
	if g.over.Flags&optOut != 0 {
		return lookup.Insecure
	}
	return lookup.Secure
}

// gapAt finds the proof that name does not exist.
func (e *evidence) gapAt(name string) (gap, error) {
	for n := dns.CountLabel(name) - 1; n >= dns.CountLabel(e.zone.name); n-- {
		encloser := ancestor(name, n)
		at, err := e.nsec3At(encloser)
		if err != nil {
			return gap{}, err
		}
		if at == nil {
			continue
		}
		if types := bits(at.TypeBitMap); types.has(dns.TypeDNAME) || types.delegates() {
			return gap{}, bogus("the NSEC3 record of %s says nothing of names below it", encloser)
		}
		over, err := e.nsec3Over(ancestor(name, n+1))
		if err == nil && over == nil {
			err = bogus("no NSEC3 record proves that %s does not exist", ancestor(name, n+1))
		}
		return gap{encloser: encloser, over: over}, err
	}
	return gap{}, bogus("no NSEC3 record shows a name above %s", name)
}

// denyNSEC3 holds a claim against NSEC3 records (RFC 5155 §8.4 to §8.7).
func (e *evidence) denyNSEC3(c claim) (denial, error) {
	if err := e.oneParameterSet(); err != nil {
		return denial{}, err
	}
	at, err := e.nsec3At(c.name)
	switch {
	case err != nil:
		return denial{}, err
	case at != nil && c.rcode == dns.RcodeNameError:
		return denial{}, bogus("%s is said not to exist, but its proof says that it does", c.name)
	case at != nil:
		return bits(at.TypeBitMap).lacks(c)
	case c.name == e.zone.name:
		return denial{}, bogus("no NSEC3 record stands for the zone %s itself", c.name)
	}
	g, err := e.gapAt(c.name)
	if err != nil {
		return denial{}, err
	}
	star := wildcard(g.encloser)
	if c.rcode == dns.RcodeNameError {
		over, err := e.nsec3Over(star)
		if err == nil && over == nil {
			err = bogus("nothing proves that the wildcard %s does not exist", star)
		}
		return denial{status: g.status()}, err
	}
	at, err = e.nsec3At(star)
	if err != nil {
		return denial{}, err
	}
	if at != nil {
		d, err := bits(at.TypeBitMap).lacks(c)
		d.status, d.cut = g.status(), false
		return d, err
	}
	if g.status() == lookup.Insecure {
		return denial{status: lookup.Insecure}, nil
	}
	return denial{}, bogus("no NSEC3 record proves that %s does not exist", shown(c.name, c.rrtype))
}

// expandedNSEC3 is expandedNSEC with NSEC3: only the next name down from the
// wildcard's parent has to be spanned (RFC 5155 §8.8).
func (e *evidence) expandedNSEC3(owner string, labels int) (lookup.Status, error) {
	if err := e.oneParameterSet(); err != nil {
		return lookup.Failed, err
	}
	over, err := e.nsec3Over(ancestor(owner, labels+1))
	if err != nil {
		return lookup.Failed, err
	}
	if over == nil {
		return lookup.Failed, bogus("%s comes from a wildcard, and nothing proves that the name itself does not exist", owner)
	}
	return gap{over: over}.status(), nil
}
