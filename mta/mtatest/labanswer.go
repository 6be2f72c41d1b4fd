package mtatest

import (
	"slices"
	"strings"

	mdns "github.com/miekg/dns"
)

// Answer gives the message that answers a question, aliases followed.
func (l *Lab) Answer(q mdns.Question) *mdns.Msg {
	m := new(mdns.Msg)
	m.Response, m.RecursionAvailable, m.Question = true, true, []mdns.Question{q}
	name := oneForm(q.Name)
	for range maxChain {
		z := l.holding(name)
		if q.Qtype == mdns.TypeDS && name != "." {
			z = l.holding(parentName(name))
		}
		if z == nil {
			m.Rcode = mdns.RcodeServerFailure
			return m
		}
		next := l.answerIn(z, m, name, q.Qtype)
		if next == "" {
			return m
		}
		name = next
	}
	return m
}

// answerIn adds what one zone says, and gives the target of an alias.
func (l *Lab) answerIn(z *labZone, m *mdns.Msg, name string, qtype uint16) (next string) {
	for n := parentName(name); n != name && mdns.IsSubDomain(z.Name, n); n = parentName(n) {
		if set := z.set(n, mdns.TypeDNAME); set != nil {
			l.put(z, &m.Answer, set, n)
			target := strings.TrimSuffix(name, n) + set[0].(*mdns.DNAME).Target
			m.Answer = append(m.Answer, &mdns.CNAME{
				Hdr:    mdns.RR_Header{Name: name, Rrtype: mdns.TypeCNAME, Class: mdns.ClassINET, Ttl: 3600},
				Target: target,
			})
			return oneForm(target)
		}
		if n == "." {
			break
		}
	}
	owner := name
	if !z.exists(name) {
		star := "*." + strings.TrimPrefix(z.encloser(name), ".")
		if !z.exists(star) {
			m.Rcode = mdns.RcodeNameError
			l.proveAbsence(z, m, name)
			return ""
		}
		l.proveNext(z, m, name)
		owner = star
	}
	if set := z.set(owner, qtype); set != nil {
		l.put(z, &m.Answer, set, name)
		return ""
	}
	if set := z.set(owner, mdns.TypeCNAME); set != nil {
		l.put(z, &m.Answer, set, name)
		return oneForm(set[0].(*mdns.CNAME).Target)
	}
	l.proveNone(z, m, owner)
	if owner != name && z.NSEC3 != nil && !z.Unsigned {
		l.proveEncloser(z, m, name)
	}
	return ""
}

// put adds a set and its signature, under the name that was asked for.
func (l *Lab) put(z *labZone, section *[]mdns.RR, set []mdns.RR, name string) {
	all := set
	if !z.Unsigned && !z.cutAbove(set[0]) {
		all = append(slices.Clone(set), l.Sign(z.Name, set, nil))
	}
	for _, rr := range all {
		rr = mdns.Copy(rr)
		rr.Header().Name = name
		*section = append(*section, rr)
	}
}

// cutAbove reports whether a record is of a delegation and so not signed.
func (z *labZone) cutAbove(rr mdns.RR) bool {
	return rr.Header().Rrtype == mdns.TypeNS && rr.Header().Name != z.Name
}

// set gives the records of a name and type.
func (z *labZone) set(name string, qtype uint16) []mdns.RR {
	var set []mdns.RR
	for _, rr := range z.records {
		if rr.Header().Name == name && rr.Header().Rrtype == qtype {
			set = append(set, rr)
		}
	}
	return set
}

// exists reports whether a name has records, or names below it that have.
func (z *labZone) exists(name string) bool {
	return slices.ContainsFunc(z.records, func(rr mdns.RR) bool { return mdns.IsSubDomain(name, rr.Header().Name) })
}

// encloser gives the closest name above name that exists.
func (z *labZone) encloser(name string) string {
	for name = parentName(name); !z.exists(name); name = parentName(name) {
	}
	return name
}
