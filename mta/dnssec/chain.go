package dnssec

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"esa/mta/lookup"

	"github.com/miekg/dns"
)

// maxKept bounds how long a zone's keys are kept, whatever their TTL.
const maxKept = 24 * time.Hour

// cut is what is known of a name in or at the end of a secure zone.
type cut struct {
	parent  string // the zone it was asked in
	zone    *zone  // that begins there; nil: none does
	empty   bool   // the name does not exist, nor does any below it
	expires time.Time
}

// ask puts one question of the chain to the asker.
func (l *Lookup) ask(ctx context.Context, name string, rrtype uint16, accept func(*dns.Msg) error) error {
	if err := spend(&l.left.questions, 1); err != nil {
		return err
	}
	return l.asker.Ask(ctx, dns.Question{Name: name, Qtype: rrtype, Qclass: dns.ClassINET}, accept)
}

// descend goes from a trust anchor down to the last zone at or above name. Of
// several anchors the closest counts, but any that leads to a secure zone will
// do: where a closer one fails, an insecure zone does not (RFC 6840 App. C.2).
func (l *Lookup) descend(ctx context.Context, name string) (*zone, error) {
	anchors := l.v.policy.Anchor.covering(name)
	if len(anchors) == 0 {
		return &zone{name: ".", why: NoAnchor(name)}, nil
	}
	var unsupported *zone
	var last error
	for _, top := range anchors {
		z, err := l.descendFrom(ctx, top, name)
		switch {
		case err == nil && z.insecure() && z.name == top:
			unsupported = cmp.Or(unsupported, z) // as if there were no such anchor (RFC 4035 §5.2)
		case err == nil && z.insecure() && last != nil:
		case err == nil:
			return z, nil
		case last == nil || !errors.As(err, new(*BogusError)):
			last = err
		}
	}
	if last != nil {
		return nil, last
	}
	return unsupported, nil
}

// NoAnchor is the reason why data is insecure that no trust anchor covers: it
// is neither proven nor disproven (RFC 4035 §4.3 calls it indeterminate).
func NoAnchor(name string) string { return "no trust anchor covers " + name }

func (l *Lookup) descendFrom(ctx context.Context, top, name string) (*zone, error) {
	z, err := l.anchored(ctx, top)
	if err != nil {
		return nil, err
	}
	for _, at := range between(top, name) {
		if z.insecure() {
			break
		}
		c, err := l.cutAt(ctx, z, at)
		if err != nil {
			return nil, err
		}
		if c.empty {
			break
		}
		if c.zone != nil {
			z = c.zone
		}
	}
	return z, nil
}

// anchored gives the zone that a trust anchor is for.
func (l *Lookup) anchored(ctx context.Context, name string) (*zone, error) {
	if c := l.v.known(name, "", l.now); c != nil {
		return c.zone, nil
	}
	l.tell("Trust anchor for %s", name)
	z, err := l.keysOf(ctx, name, l.v.policy.Anchor.vouchers(name))
	if err != nil {
		return nil, &AnchorError{Zone: name, Err: err}
	}
	if z.insecure() {
		l.tell("%s", z.why)
		return z, nil // asked again each time: an operator mends it
	}
	l.v.keep(name, &cut{zone: z, expires: z.expires}, l.now)
	return z, nil
}

// cutAt finds out whether a zone begins at name, which stands below z with
// no other cut between.
func (l *Lookup) cutAt(ctx context.Context, z *zone, name string) (*cut, error) {
	if c := l.v.known(name, z.name, l.now); c != nil {
		return c, nil
	}
	var d delegation
	err := l.ask(ctx, name, dns.TypeDS, func(m *dns.Msg) error {
		var err error
		d, err = l.delegated(z, name, m)
		return err
	})
	if err != nil {
		return nil, err
	}
	c := &cut{parent: z.name, empty: d.empty, expires: l.now.Add(d.ttl)}
	switch {
	case d.none:
	case len(d.ds) == 0:
		c.zone = &zone{name: name, why: d.why}
		l.tell("DS %s: none, %s. The chain of trust ends here", name, d.why)
	default:
		l.tell("DS %s: signed by %s", name, z.name)
		if c.zone, err = l.keysOf(ctx, name, vouchers{digests: d.ds}); err != nil {
			return nil, err
		}
		if c.zone.insecure() {
			l.tell("%s", c.zone.why)
		} else if c.zone.expires.Before(c.expires) {
			c.expires = c.zone.expires
		}
	}
	l.v.keep(name, c, l.now)
	return c, nil
}

// delegation is what the answer to a DS question says: none (no zone begins
// there), DS records, or a proof that there are none at a cut.
type delegation struct {
	none  bool
	empty bool // the name does not exist
	ds    []*dns.DS
	why   string
	ttl   time.Duration
}

// delegated reads the answer to a DS question, signed by z or not believed.
func (l *Lookup) delegated(z *zone, name string, m *dns.Msg) (delegation, error) {
	answer := sorted(m.Answer)
	if set := answer.at(name, dns.TypeDS); set != nil {
		p, err := l.verify(set, z)
		if err != nil {
			return delegation{}, err
		}
		if p.expanded {
			return delegation{}, bogus("the DS records of %s come from a wildcard", name)
		}
		d := delegation{ttl: p.ttl}
		for _, rr := range set.records {
			d.ds = append(d.ds, rr.(*dns.DS))
		}
		return d, nil
	}
	// Where an alias stands, or what is below a DNAME, no zone begins.
	alias := answer.at(name, dns.TypeCNAME)
	if dname := answer.dname(name); dname != nil {
		alias = dname
	}
	if alias != nil {
		p, err := l.verify(alias, z)
		return delegation{none: true, ttl: p.ttl}, err
	}
	found, err := l.deny(z, claim{name: name, rrtype: dns.TypeDS, rcode: m.Rcode}, sorted(m.Ns))
	if err != nil {
		return delegation{}, err
	}
	d := delegation{ttl: found.ttl}
	switch {
	case found.status == lookup.Insecure:
		d.why = "the zone " + z.name + " leaves open whether " + name + " is signed (opt-out)"
	case found.cut:
		d.why = "the zone " + name + " is not signed, as " + z.name + " proves"
	default:
		d.none, d.empty = true, m.Rcode == dns.RcodeNameError
	}
	return d, nil
}

// uncut makes sure that no zone that is cut off from z stands between it and
// the name that it signed for: a parent's signature does not hold there. Only
// what can be found out counts, as some servers cannot answer for such names,
// and only where zones are found in practice.
func (l *Lookup) uncut(ctx context.Context, z *zone, set *rrset) error {
	names := between(z.name, set.owner)
	for _, name := range names[:min(len(names), maxUncut)] {
		if strings.HasPrefix(name, "_") || strings.HasPrefix(name, "*") || set.rrtype == dns.TypeDS && name == set.owner {
			continue // no host name, no zone
		}
		c, err := l.cutAt(ctx, z, name)
		if errors.Is(err, ErrTooMuchWork) {
			return err
		}
		if err == nil && c.zone != nil {
			return bogus("%s is signed by %s, but the zone %s begins between", shown(set.owner, set.rrtype), z.name, name)
		}
	}
	return nil
}

// known gives what is kept of a name, nil if that is nothing or too old.
func (v *Validator) known(name, parent string, now time.Time) *cut {
	v.mu.Lock()
	defer v.mu.Unlock()
	if c := v.zones[name]; c != nil && c.parent == parent && now.Before(c.expires) {
		return c
	}
	return nil
}

// keep remembers a cut. When there are too many, any of them goes: it is
// asked for again.
func (v *Validator) keep(name string, c *cut, now time.Time) {
	if latest := now.Add(maxKept); c.expires.After(latest) {
		c.expires = latest
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for old := range v.zones {
		if len(v.zones) < maxZones {
			break
		}
		delete(v.zones, old)
	}
	v.zones[name] = c
}
