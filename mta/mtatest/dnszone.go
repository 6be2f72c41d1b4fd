package mtatest

import (
	"slices"
	"strings"

	mdns "github.com/miekg/dns"
)

// maxChain is more aliases than any client should follow.
const maxChain = 200

// answer makes the reply that an honest recursive server would give.
func (s *DNSServer) answer(q *mdns.Msg) *mdns.Msg {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := new(mdns.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	m.Compress = true
	m.CheckingDisabled = q.CheckingDisabled
	if opt := q.IsEdns0(); opt != nil {
		m.SetEdns0(4096, opt.Do())
	}
	asked := q.Question[0]
	if s.lab != nil {
		known := s.lab.Answer(asked)
		if s.zones != nil {
			known = s.lab.AnswerFrom(s.zones, asked)
			m.RecursionAvailable, m.Authoritative = false, known.Authoritative
		}
		m.Rcode, m.Answer, m.Ns, m.Extra = known.Rcode, known.Answer, known.Ns, append(known.Extra, m.Extra...)
		return m
	}
	name := asked.Name
	for range maxChain {
		found := s.at(name)
		if rrs := ofType(found, asked.Qtype, name); len(rrs) > 0 {
			m.Answer = append(m.Answer, rrs...)
			return m
		}
		alias := ofType(found, mdns.TypeCNAME, name)
		if len(alias) == 0 {
			if len(found) == 0 && !s.hasBelow(name) {
				m.Rcode = mdns.RcodeNameError
			}
			break
		}
		m.Answer = append(m.Answer, alias[0])
		name = alias[0].(*mdns.CNAME).Target
	}
	if soa := s.soa(name); soa != nil {
		m.Ns = append(m.Ns, soa)
	}
	return m
}

// at gives all records that stand at a name, or that a wildcard gives it.
func (s *DNSServer) at(name string) []mdns.RR {
	for _, owner := range []string{name, wildcard(name)} {
		var found []mdns.RR
		for _, rr := range s.records {
			if strings.EqualFold(rr.Header().Name, owner) {
				found = append(found, rr)
			}
		}
		if len(found) > 0 || s.hasBelow(name) {
			return found
		}
	}
	return nil
}

func wildcard(name string) string {
	_, parent, _ := strings.Cut(name, ".")
	return "*." + parent
}

// hasBelow reports whether the name exists because others stand below it.
func (s *DNSServer) hasBelow(name string) bool {
	return slices.ContainsFunc(s.records, func(rr mdns.RR) bool {
		return mdns.IsSubDomain(oneForm(name), oneForm(rr.Header().Name))
	})
}

// soa gives the SOA record of the closest zone above a name.
func (s *DNSServer) soa(name string) mdns.RR {
	var best mdns.RR
	for _, rr := range s.records {
		owner := oneForm(rr.Header().Name)
		if rr.Header().Rrtype == mdns.TypeSOA && mdns.IsSubDomain(owner, oneForm(name)) &&
			(best == nil || len(owner) > len(best.Header().Name)) {
			best = rr
		}
	}
	return best
}

// ofType picks records of a type and gives them the name that was asked for,
// spelling included, as servers do that compress it away.
func ofType(all []mdns.RR, qtype uint16, name string) []mdns.RR {
	var found []mdns.RR
	for _, rr := range all {
		if rr.Header().Rrtype == qtype || qtype == mdns.TypeANY {
			rr = mdns.Copy(rr)
			rr.Header().Name = name
			found = append(found, rr)
		}
	}
	return found
}
