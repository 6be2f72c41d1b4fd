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

// AnswerFrom gives the message that a server answers with which has the zones
// and asks nobody else: with authority, or with a referral.
func (l *Lab) AnswerFrom(zones []string, q mdns.Question) *mdns.Msg {
	m := new(mdns.Msg)
	m.Response, m.Question = true, []mdns.Question{q}
	name := oneForm(q.Name)
	for range maxChain {
		z := l.hosted(zones, name, q.Qtype)
		if z == nil {
			if len(m.Answer) == 0 {
				m.Rcode = mdns.RcodeRefused
			}
			return m
		}
		if cut := z.cutOn(name, q.Qtype); cut != "" {
			l.refer(z, m, cut)
			return m
		}
		m.Authoritative = true
		if name = l.answerIn(z, m, name, q.Qtype); name == "" {
			return m
		}
	}
	return m
}

// hosted gives the deepest of the zones that a name is in; of DS records that
// is the one above.
func (l *Lab) hosted(zones []string, name string, qtype uint16) *labZone {
	var best *labZone
	for _, zone := range zones {
		zone = oneForm(zone)
		if mdns.IsSubDomain(zone, name) && (best == nil || len(zone) > len(best.Name)) && (qtype != mdns.TypeDS || zone != name || name == ".") {
			best = l.zones[zone]
		}
	}
	return best
}

// cutOn gives the delegation that stands between a zone and a name.
func (z *labZone) cutOn(name string, qtype uint16) string {
	cut := ""
	for n := name; n != z.Name && n != "."; n = parentName(n) {
		if z.set(n, mdns.TypeNS) != nil && !(n == name && qtype == mdns.TypeDS) {
			cut = n
		}
	}
	return cut
}

// refer points to the servers of a zone below, with their addresses.
func (l *Lab) refer(z *labZone, m *mdns.Msg, cut string) {
	ns := z.set(cut, mdns.TypeNS)
	m.Ns = append(m.Ns, ns...)
	if ds := z.set(cut, mdns.TypeDS); ds != nil {
		l.put(z, &m.Ns, ds, cut)
	}
	for _, rr := range ns {
		m.Extra = append(m.Extra, z.set(oneForm(rr.(*mdns.NS).Ns), mdns.TypeA)...)
	}
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
