package dns

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"esa/mta/lookup"
	"esa/mta/maillog"

	mdns "github.com/miekg/dns"
)

const (
	maxRecords = 64  // kept of one answer
	maxTLSA    = 256 // of which any may be the one that fits
	maxReverse = 4   // names of an address that are looked up in turn
)

var errNoHost = errors.New("no usable host name in the MX records")

// MX looks up the mail exchangers of a domain. A domain without any is a
// usable answer without records; RFC 5321 §5.1 takes the domain itself then,
// which is the caller's to do. Host names that cannot be host names are left
// out, and if no other is there the lookup has failed: the domain does have
// mail exchangers.
func (r *Resolver) MX(ctx context.Context, name string) lookup.MXAnswer {
	return r.mx(ctx, question{name: name, qtype: mdns.TypeMX})
}

// Addrs looks up the addresses of one family of a host.
func (r *Resolver) Addrs(ctx context.Context, name string, v6 bool) lookup.AddrAnswer {
	return r.addrs(ctx, question{name: name, qtype: addressType(v6)})
}

// Checked is the resolver for who rests on what DNSSEC proves: its answers
// are validated, and one that does not hold is Bogus. They are kept apart from
// those of the resolver itself, which are never validated: mail that asks for
// no proof goes on where servers strip signatures or answer for private names.
type Checked struct{ r *Resolver }

// Checked gives the validating side of r.
func (r *Resolver) Checked() Checked { return Checked{r} }

// MX is Resolver.MX, validated.
func (c Checked) MX(ctx context.Context, name string) lookup.MXAnswer {
	return c.r.mx(ctx, question{name: name, qtype: mdns.TypeMX, checked: true})
}

// Addrs is Resolver.Addrs, validated.
func (c Checked) Addrs(ctx context.Context, name string, v6 bool) lookup.AddrAnswer {
	return c.r.addrs(ctx, question{name: name, qtype: addressType(v6), checked: true})
}

// TLSA looks up the TLSA records at a name such as
// "_25._tcp.mail.example.com" (RFC 6698 §3). Of more than 256 the rest is left
// out.
func (c Checked) TLSA(ctx context.Context, name string) lookup.TLSAAnswer {
	a, common := c.r.records(ctx, question{name: name, qtype: mdns.TypeTLSA, checked: true})
	return lookup.TLSAAnswer{Answer: common, Records: slices.Clone(a.tlsa)}
}

func (r *Resolver) mx(ctx context.Context, q question) lookup.MXAnswer {
	a, common := r.records(ctx, q)
	return lookup.MXAnswer{Answer: common, Records: slices.Clone(a.mx)}
}

func (r *Resolver) addrs(ctx context.Context, q question) lookup.AddrAnswer {
	a, common := r.records(ctx, q)
	return lookup.AddrAnswer{Answer: common, Addrs: slices.Clone(a.addrs)}
}

func addressType(v6 bool) uint16 {
	if v6 {
		return mdns.TypeAAAA
	}
	return mdns.TypeA
}

// PTR looks up the names that an address points to. Whether they lead back to
// it is not looked at: see Reverse. Names that cannot be host names are left
// out.
func (r *Resolver) PTR(ctx context.Context, addr netip.Addr) lookup.NameAnswer {
	a, common := r.records(ctx, question{name: reverseName(addr), qtype: mdns.TypePTR})
	return lookup.NameAnswer{Answer: common, Names: slices.Clone(a.names)}
}

// Reverse gives the name of an address for the log and for host access
// tables: the first that leads back to the address, which is then verified,
// else the first at all. It is empty if there is none, or if that could not
// be found out within Settings.ReverseTimeout.
func (r *Resolver) Reverse(ctx context.Context, addr netip.Addr) (host string, verified bool) {
	ctx, cancel := context.WithTimeout(ctx, r.reverseTimeout())
	defer cancel()
	addr = addr.Unmap().WithZone("")
	names := r.PTR(ctx, addr).Names
	for _, name := range names[:min(len(names), maxReverse)] {
		if slices.Contains(r.Addrs(ctx, name, addr.Is6()).Addrs, addr) {
			return name, true
		}
	}
	if len(names) > 0 {
		return names[0], false
	}
	return "", false
}

// reverseTimeout is how long Reverse may take: a client waits for it before it
// is greeted, so when every server is known to fail it is cut short.
func (r *Resolver) reverseTimeout() time.Duration {
	st := r.state.Load()
	if st.servers.main != nil && st.servers.main.failing(r.clock()) {
		return min(st.set.ReverseTimeout, hopelessTimeout)
	}
	return st.set.ReverseTimeout
}

// records finds the answer for a name as somebody wrote it. What DNS cannot
// hold does not exist: no later attempt would find it.
func (r *Resolver) records(ctx context.Context, q question) (*answer, lookup.Answer) {
	one, ok := canonical(q.name)
	if !ok {
		a := &answer{Answer: fact(q.name)}
		a.NXDomain = true
		return a, a.Answer
	}
	if a := own(one, q.qtype); a != nil {
		return a, a.Answer
	}
	q.name = one
	a := r.find(ctx, q)
	return a, a.left(r.clock())
}

// own answers what no server is asked for, nil for all else.
func own(name string, qtype uint16) *answer {
	var addrs []netip.Addr
	if addr, ok := literal(name); ok {
		addrs = []netip.Addr{addr}
	} else if below(name, "localhost") {
		addrs = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	} else {
		return nil
	}
	a := &answer{Answer: fact(name)}
	for _, addr := range addrs {
		if addr.Is4() && qtype == mdns.TypeA || addr.Is6() && qtype == mdns.TypeAAAA {
			a.addrs = append(a.addrs, addr)
		}
	}
	return a
}

// fact is the common part of an answer that needs no server.
func fact(name string) lookup.Answer {
	return lookup.Answer{Status: lookup.Insecure, Canonical: name, TTL: maxTTL}
}

// answer reduces what the trail found to what is kept of it.
func (t *trail) answer() *answer {
	a := &answer{}
	a.Status, a.NXDomain, a.Canonical, a.TTL = t.status, t.nxdomain, t.name, t.ttl
	a.Alias = t.first
	for _, rr := range t.records {
		switch rr := rr.(type) {
		case *mdns.MX:
			a.mx = append(a.mx, lookup.MX{Preference: rr.Preference, Host: received(rr.Mx)})
		case *mdns.A:
			a.addAddr(rr.A, 4)
		case *mdns.AAAA:
			a.addAddr(rr.AAAA, 16)
		case *mdns.PTR:
			a.addName(received(rr.Ptr))
		case *mdns.TLSA:
			a.addTLSA(rr)
		}
	}
	if len(a.mx) > 0 {
		a.mx = exchangers(a.mx)
		if len(a.mx) == 0 {
			a.Status, a.Why = lookup.Failed, errNoHost.Error()
		}
	}
	return a
}

func (a *answer) addAddr(ip []byte, length int) {
	if length == 4 && len(ip) == 16 {
		ip = ip[12:] // miekg/dns keeps an A record in either form
	}
	if addr, ok := netip.AddrFromSlice(ip); ok && len(ip) == length && len(a.addrs) < maxRecords {
		a.addrs = append(a.addrs, addr)
	}
}

func (a *answer) addTLSA(rr *mdns.TLSA) {
	data, err := hex.DecodeString(rr.Certificate)
	if err == nil && len(a.tlsa) < maxTLSA {
		a.tlsa = append(a.tlsa, lookup.TLSA{Usage: rr.Usage, Selector: rr.Selector, MatchingType: rr.MatchingType, Data: data})
	}
}

func (a *answer) addName(name string) {
	if isHost(name) && len(a.names) < maxRecords && !slices.Contains(a.names, name) {
		a.names = append(a.names, name)
	}
}

// exchangers puts mail exchangers in order of preference and drops what
// cannot be one: impossible names, a host named again with a worse
// preference, the root beside others (RFC 7505 §3: it means something only
// alone), and the worst of too many.
func exchangers(all []lookup.MX) []lookup.MX {
	slices.SortStableFunc(all, func(a, b lookup.MX) int { return cmp.Compare(a.Preference, b.Preference) })
	var kept []lookup.MX
	roots := 0
	seen := make(map[string]bool)
	for _, m := range all {
		if m.Host == "" {
			roots++
		}
		if isHost(m.Host) && !seen[m.Host] && len(kept) < maxRecords {
			seen[m.Host] = true
			kept = append(kept, m)
		}
	}
	if roots == len(all) {
		return all[:1]
	}
	return kept
}

// none reports whether a usable answer says that there is nothing.
func (a *answer) none() bool {
	return a.Usable() && len(a.mx) == 0 && len(a.addrs) == 0 && len(a.names) == 0 && len(a.tlsa) == 0
}

// told is the answer as the mail log tells it.
func (a *answer) told(q question) maillog.CachedAnswer {
	c := maillog.CachedAnswer{Name: q.name, Type: q.typeName(), Status: a.Status, MX: a.mx, Texts: slices.Clone(a.names)}
	for _, addr := range a.addrs {
		c.Texts = append(c.Texts, addr.String())
	}
	for _, t := range a.tlsa {
		c.Texts = append(c.Texts, fmt.Sprintf("%02x%02x%02x%x", t.Usage, t.Selector, t.MatchingType, t.Data))
	}
	return c
}
