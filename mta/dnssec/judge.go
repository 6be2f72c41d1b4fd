package dnssec

import (
	"context"
	"strings"
	"time"

	"esa/mta/lookup"

	"github.com/miekg/dns"
)

// Judge gives what a message proves about a question: the aliases that it
// follows, then records or their absence. It ends early, with an alias, where
// the message says nothing about its target, or where stop, if not nil, says
// that others are to be asked about it.
//
// Statuses are those of single steps, Secure or Insecure. An error is a *BogusError,
// ErrTooMuchWork, ErrAliases, or of the asker; then the message proves nothing.
func (l *Lookup) Judge(ctx context.Context, q dns.Question, m *dns.Msg, stop func(target string) bool) ([]Step, error) {
	w := &walk{Lookup: l, name: one(q.Name), rrtype: q.Qtype, answer: sorted(m.Answer), authority: sorted(m.Ns), rcode: m.Rcode}
	for range MaxAliases + 1 {
		done, err := w.step(ctx)
		if err != nil {
			return nil, err
		}
		if done || stop != nil && stop(w.name) {
			return w.steps, nil
		}
	}
	return nil, ErrAliases
}

// walk is how far a message has been followed.
type walk struct {
	*Lookup
	name      string
	rrtype    uint16
	answer    sets
	authority sets
	rcode     int
	steps     []Step
}

// step takes the next set on the way and reports whether it was the last.
func (w *walk) step(ctx context.Context) (done bool, err error) {
	if set := w.answer.at(w.name, w.rrtype); set != nil {
		s, err := w.judgeSet(ctx, set)
		w.steps = append(w.steps, s)
		return true, err
	}
	if set := w.answer.dname(w.name); set != nil && w.rrtype != dns.TypeCNAME {
		return false, w.alias(ctx, set)
	}
	if set := w.answer.at(w.name, dns.TypeCNAME); set != nil {
		return false, w.alias(ctx, set)
	}
	if len(w.steps) > 0 && !w.denies() {
		return true, nil
	}
	s, err := w.judgeDenial(ctx)
	w.steps = append(w.steps, s)
	return true, err
}

// alias takes an alias and goes on to its target. The CNAME that a server
// makes out of a DNAME is not signed and not looked at (RFC 6672 §5.3.1).
func (w *walk) alias(ctx context.Context, set *rrset) error {
	if len(set.records) != 1 {
		return bogus("%s is not the only one", shown(set.owner, set.rrtype))
	}
	s, err := w.judgeSet(ctx, set)
	if err != nil {
		return err
	}
	switch rr := set.records[0].(type) {
	case *dns.CNAME:
		s.Target = one(rr.Target)
	case *dns.DNAME:
		s.Target = moved(w.name, set.owner, one(rr.Target))
		s.Name = w.name
	}
	if _, ok := dns.IsDomainName(s.Target); !ok {
		return bogus("%s leads to a name that is too long", shown(set.owner, set.rrtype))
	}
	w.steps = append(w.steps, s)
	w.name = s.Target
	return nil
}

// moved gives the name that a DNAME makes of one below its owner (RFC 6672
// §2.2).
func moved(name, owner, target string) string {
	starts := dns.Split(name)
	keep := len(starts) - dns.CountLabel(owner)
	end := len(name)
	if keep < len(starts) {
		end = starts[keep]
	}
	return name[:end] + strings.TrimPrefix(target, ".")
}

// dname gives the DNAME set of the closest name above name.
func (s *sets) dname(name string) *rrset {
	for n := dns.CountLabel(name) - 1; n >= 0; n-- {
		if set := s.at(ancestor(name, n), dns.TypeDNAME); set != nil {
			return set
		}
	}
	return nil
}

// denies reports whether the message says that there is nothing at a name
// that it led to, instead of saying nothing about it.
func (w *walk) denies() bool {
	if w.rcode == dns.RcodeNameError {
		return true
	}
	for _, set := range w.authority.all {
		if set.rrtype == dns.TypeSOA && below(w.name, set.owner) {
			return true
		}
	}
	return false
}

// judgeSet says how far a set of records can be believed.
func (w *walk) judgeSet(ctx context.Context, set *rrset) (Step, error) {
	s := Step{Name: set.owner, Type: set.rrtype, Status: lookup.Insecure, Records: set.records, TTL: set.ttl}
	signer := set.signer()
	within := signer
	if signer == "" {
		within = w.home(set.owner, set.rrtype)
	}
	z, err := w.descend(ctx, within)
	if err != nil {
		return s, err
	}
	if z.insecure() {
		s.Why = z.why
		w.tell("%s: not protected, %s", shown(set.owner, set.rrtype), z.why)
		return s, nil
	}
	if signer == "" {
		return s, bogus("%s has no signature, but the zone %s is signed", shown(set.owner, set.rrtype), z.name)
	}
	if z.name != signer {
		return s, bogus("%s is signed by %s, which is not a zone", shown(set.owner, set.rrtype), signer)
	}
	p, err := w.verify(set, z)
	if err != nil {
		return s, err
	}
	s.Status, s.TTL = lookup.Secure, p.ttl
	if p.expanded {
		s.Status, err = w.expansion(z, set, p, w.authority)
		if s.Status == lookup.Insecure {
			s.Why = "an opt-out leaves open what stands at " + set.owner
		}
	} else {
		err = w.uncut(ctx, z, set)
	}
	if err == nil {
		w.tell("%s: %s, signed by %s", shown(set.owner, set.rrtype), strings.ToLower(s.Status.String()), z.name)
	}
	return s, err
}

// home gives the name whose zone data of a type belongs to: DS records stand
// in the zone above.
func (w *walk) home(owner string, rrtype uint16) string {
	if rrtype == dns.TypeDS {
		return parent(owner)
	}
	return owner
}

// judgeDenial says how far the absence of records can be believed.
func (w *walk) judgeDenial(ctx context.Context) (Step, error) {
	s := Step{Name: w.name, Type: w.rrtype, Status: lookup.Insecure, Rcode: w.rcode}
	signer := w.denier()
	within := signer
	if signer == "" {
		within = w.home(w.name, w.rrtype)
	}
	s.TTL = w.toldTTL()
	z, err := w.descend(ctx, within)
	if err != nil {
		return s, err
	}
	if z.insecure() {
		s.Why = z.why
		w.tell("%s: none, not protected, %s", shown(w.name, w.rrtype), z.why)
		return s, nil
	}
	if signer != "" && z.name != signer {
		return s, bogus("the proof that there is no %s is signed by %s, which is not a zone", shown(w.name, w.rrtype), signer)
	}
	d, err := w.deny(z, claim{name: w.name, rrtype: w.rrtype, rcode: w.rcode}, w.authority)
	if err != nil {
		return s, err
	}
	s.Status, s.TTL = d.status, d.ttl
	if d.status == lookup.Insecure {
		s.Why = "an opt-out of the zone " + z.name + " leaves open what stands at " + w.name
	}
	w.tell("%s: none, %s, proven by %s", shown(w.name, w.rrtype), strings.ToLower(s.Status.String()), z.name)
	return s, nil
}

// denier gives the zone that claims to have signed the proof of absence.
func (w *walk) denier() string {
	best := ""
	for _, set := range w.authority.all {
		if set.rrtype != dns.TypeNSEC && set.rrtype != dns.TypeNSEC3 {
			continue
		}
		name := set.signer()
		ofChild := w.rrtype == dns.TypeDS && name == w.name && name != "."
		if name != "" && below(w.name, name) && len(name) > len(best) && !ofChild {
			best = name
		}
	}
	return best
}

// toldTTL is how long the SOA record says that an absence may be kept; -1 if
// there is none.
func (w *walk) toldTTL() time.Duration {
	for _, set := range w.authority.all {
		if soa, ok := set.records[0].(*dns.SOA); ok && below(w.name, set.owner) {
			return min(set.ttl, Lifetime(soa.Minttl))
		}
	}
	return NoTTL
}
