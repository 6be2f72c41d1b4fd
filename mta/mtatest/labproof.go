package mtatest

import (
	"slices"
	"strings"

	mdns "github.com/miekg/dns"
)

// proveNone says that a name that exists has no records of the type.
func (l *Lab) proveNone(z *labZone, m *mdns.Msg, name string) {
	l.putSOA(z, m)
	if z.Unsigned {
		return
	}
	if z.NSEC3 != nil && z.NSEC3.OptOut && !slices.Contains(z.chain(), name) {
		l.proveEncloser(z, m, name)
		return
	}
	l.putProof(z, m, name, true)
}

// proveAbsence says that neither a name nor a wildcard for it exists.
func (l *Lab) proveAbsence(z *labZone, m *mdns.Msg, name string) {
	l.putSOA(z, m)
	if z.Unsigned {
		return
	}
	encloser := l.proveEncloser(z, m, name)
	l.putProof(z, m, "*."+strings.TrimPrefix(encloser, "."), false)
}

// proveNext says that a name that a wildcard stands for does not exist itself.
func (l *Lab) proveNext(z *labZone, m *mdns.Msg, name string) {
	if !z.Unsigned {
		l.putProof(z, m, z.nextCloser(name), false)
	}
}

// proveEncloser says which name above name is the last that exists.
func (l *Lab) proveEncloser(z *labZone, m *mdns.Msg, name string) string {
	encloser := z.encloser(name)
	if z.NSEC3 == nil {
		l.putProof(z, m, name, false)
		return encloser
	}
	for !slices.Contains(z.chain(), encloser) { // opt-out leaves empty names out too
		encloser = parentName(encloser)
	}
	l.putProof(z, m, encloser, true)
	starts := mdns.Split(name)
	l.putProof(z, m, name[starts[len(starts)-mdns.CountLabel(encloser)-1]:], false)
	return encloser
}

// nextCloser gives what has to be shown not to exist: the name itself with
// NSEC, the name below the encloser with NSEC3.
func (z *labZone) nextCloser(name string) string {
	if z.NSEC3 == nil {
		return name
	}
	starts := mdns.Split(name)
	return name[starts[len(starts)-mdns.CountLabel(z.encloser(name))-1]:]
}

func (l *Lab) putSOA(z *labZone, m *mdns.Msg) { l.put(z, &m.Ns, z.set(z.Name, mdns.TypeSOA), z.Name) }

// putProof adds the record of absence that stands at a name, or whose span
// holds it, once.
func (l *Lab) putProof(z *labZone, m *mdns.Msg, name string, at bool) {
	rr := z.nsec(name, at)
	if z.NSEC3 != nil {
		rr = z.nsec3(name, at)
	}
	if rr == nil {
		l.t.Fatalf("the zone %s has no proof for %s", z.Name, name)
	}
	for _, old := range m.Ns {
		if old.Header().Name == rr.Header().Name && old.Header().Rrtype == rr.Header().Rrtype {
			return
		}
	}
	m.Ns = append(m.Ns, rr, l.Sign(z.Name, []mdns.RR{rr}, nil))
}

// chain gives the names that have a record of absence, in canonical order.
func (z *labZone) chain() []string {
	var names []string
	for _, rr := range z.records {
		name := rr.Header().Name
		if z.underCut(name) || z.NSEC3 != nil && z.NSEC3.OptOut && z.optedOut(name) {
			continue
		}
		names = append(names, name)
		if z.NSEC3 != nil { // empty names have one too
			for n := parentName(name); n != z.Name && mdns.IsSubDomain(z.Name, n); n = parentName(n) {
				names = append(names, n)
			}
		}
	}
	slices.SortFunc(names, canonicalOrder)
	return slices.Compact(names)
}

// underCut reports whether a name stands below a delegation.
func (z *labZone) underCut(name string) bool {
	for n := parentName(name); n != z.Name && mdns.IsSubDomain(z.Name, n) && n != "."; n = parentName(n) {
		if z.set(n, mdns.TypeNS) != nil {
			return true
		}
	}
	return false
}

// optedOut reports whether a name is a delegation without DS.
func (z *labZone) optedOut(name string) bool {
	return name != z.Name && z.set(name, mdns.TypeNS) != nil && z.set(name, mdns.TypeDS) == nil
}

func (z *labZone) types(name string, own uint16) []uint16 {
	var types []uint16
	for _, rr := range z.records {
		if rr.Header().Name == name {
			types = append(types, rr.Header().Rrtype)
		}
	}
	delegation := len(types) == 1 && types[0] == mdns.TypeNS
	if len(types) > 0 && !delegation || own == mdns.TypeNSEC {
		types = append(types, mdns.TypeRRSIG)
	}
	if own == mdns.TypeNSEC {
		types = append(types, own)
	}
	slices.Sort(types)
	return slices.Compact(types)
}

func (z *labZone) header(name string, rrtype uint16) mdns.RR_Header {
	return mdns.RR_Header{Name: name, Rrtype: rrtype, Class: mdns.ClassINET, Ttl: 300}
}

func (z *labZone) nsec(name string, at bool) mdns.RR {
	chain := z.chain()
	for i, owner := range chain {
		next := chain[(i+1)%len(chain)]
		spans := canonicalOrder(owner, name) < 0 && (i == len(chain)-1 || canonicalOrder(name, next) < 0)
		if at && owner == name || !at && spans {
			return &mdns.NSEC{Hdr: z.header(owner, mdns.TypeNSEC), NextDomain: next, TypeBitMap: z.types(owner, mdns.TypeNSEC)}
		}
	}
	if at { // an empty name: the span that holds it shows it
		return z.nsec(name, false)
	}
	return nil
}

func (z *labZone) nsec3(name string, at bool) mdns.RR {
	type node struct{ hash, name string }
	var nodes []node
	for _, n := range z.chain() {
		nodes = append(nodes, node{z.hash(n), n})
	}
	slices.SortFunc(nodes, func(a, b node) int { return strings.Compare(a.hash, b.hash) })
	hash := z.hash(name)
	for i, n := range nodes {
		next := nodes[(i+1)%len(nodes)].hash
		last := i == len(nodes)-1
		spans := n.hash < hash && (last || hash < next) || last && hash < next
		if at && n.hash == hash || !at && spans {
			rr := &mdns.NSEC3{
				Hdr:  z.header(oneForm(n.hash+"."+strings.TrimPrefix(z.Name, ".")), mdns.TypeNSEC3),
				Hash: mdns.SHA1, Iterations: z.NSEC3.Iterations, SaltLength: uint8(len(z.NSEC3.Salt) / 2), Salt: z.NSEC3.Salt,
				HashLength: 20, NextDomain: next, TypeBitMap: z.types(n.name, mdns.TypeNSEC3),
			}
			if z.NSEC3.OptOut {
				rr.Flags = 1
			}
			return rr
		}
	}
	return nil
}

func (z *labZone) hash(name string) string {
	return mdns.HashName(name, mdns.SHA1, z.NSEC3.Iterations, z.NSEC3.Salt)
}

// canonicalOrder compares names of letters, digits, "-", "_" and "*" as
// RFC 4034 §6.1 orders them.
func canonicalOrder(a, b string) int {
	x, y := mdns.SplitDomainName(a), mdns.SplitDomainName(b)
	for i := 1; i <= len(x) && i <= len(y); i++ {
		if c := strings.Compare(x[len(x)-i], y[len(y)-i]); c != 0 {
			return c
		}
	}
	return len(x) - len(y)
}
