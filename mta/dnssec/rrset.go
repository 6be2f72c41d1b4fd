package dnssec

import (
	"time"

	"github.com/miekg/dns"
)

// rrset is the records of one name and type, with the signatures that claim
// to cover them.
type rrset struct {
	owner   string
	rrtype  uint16
	records []dns.RR
	sigs    []*dns.RRSIG
	ttl     time.Duration
}

type setKey struct {
	owner  string
	rrtype uint16
}

// sets are the sets of a section, in the order of their first record.
type sets struct {
	all   []*rrset
	index map[setKey]*rrset
}

// sorted gives the sets of a section. Records of other classes are left out, the
// same record counts once (RFC 2181 §5). Signatures without records are left out.
func sorted(section []dns.RR) sets {
	s := sets{index: make(map[setKey]*rrset)}
	seen := make(map[string]bool)
	for _, rr := range section {
		if rr.Header().Class == dns.ClassINET && rr.Header().Rrtype != dns.TypeRRSIG && fresh(rr, seen) {
			s.add(rr)
		}
	}
	for _, rr := range section {
		sig, ok := rr.(*dns.RRSIG)
		if !ok || sig.Hdr.Class != dns.ClassINET {
			continue
		}
		if set := s.index[setKey{one(sig.Hdr.Name), sig.TypeCovered}]; set != nil {
			set.sigs = append(set.sigs, sig)
		}
	}
	return s
}

// fresh reports whether a record is there for the first time. Its TTL does
// not count, nor does the spelling of its owner.
func fresh(rr dns.RR, seen map[string]bool) bool {
	c := dns.Copy(rr)
	c.Header().Ttl, c.Header().Name = 0, one(rr.Header().Name)
	raw := make([]byte, dns.Len(c)+1)
	n, err := dns.PackRR(c, raw, 0, nil, false)
	if err != nil || seen[string(raw[:n])] {
		return false
	}
	seen[string(raw[:n])] = true
	return true
}

func (s *sets) add(rr dns.RR) {
	key := setKey{one(rr.Header().Name), rr.Header().Rrtype}
	set := s.index[key]
	if set == nil {
		set = &rrset{owner: key.owner, rrtype: key.rrtype, ttl: Lifetime(rr.Header().Ttl)}
		s.index[key] = set
		s.all = append(s.all, set)
	}
	set.records = append(set.records, rr)
	set.ttl = min(set.ttl, Lifetime(rr.Header().Ttl))
}

// at gives the set of a name and type, nil if there is none.
func (s *sets) at(name string, rrtype uint16) *rrset { return s.index[setKey{name, rrtype}] }

// signer gives the zone that claims to have signed the set: the longest name
// of a signer that the owner is in. It is empty if there is none.
func (s *rrset) signer() string {
	best := ""
	for _, sig := range s.sigs {
		name := one(sig.SignerName)
		if below(s.owner, name) && len(name) > len(best) && !(s.rrtype == dns.TypeDS && name == s.owner) {
			best = name
		}
	}
	return best
}

// Lifetime reads a TTL; one with the highest bit set is 0 (RFC 2181 §8).
func Lifetime(ttl uint32) time.Duration {
	if ttl >= 1<<31 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}

// shown gives a name and type as they stand in sentences.
func shown(name string, rrtype uint16) string { return dns.Type(rrtype).String() + " " + name }
