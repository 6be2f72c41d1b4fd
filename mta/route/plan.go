// Package route decides where mail for a domain goes: by the smtproutes table,
// else by MX records (RFC 5321 §5.1).
//
// The steps of a Plan, in order:
//
//	table      the route of the domain: itself, a partial domain above it, ALL; /dev/null and USEDNS end here
//	literal    "[192.0.2.1]" is its own next hop (RFC 5321 §4.1.3)
//	exchange   MX by preference, equal ones shuffled; none: the domain itself; null MX refuses (RFC 7505)
//	addresses  of each host, both families; one that fails is no matter where the other answered
//	self       an address and port of one of our listeners: that level and all worse are dropped (RFC 5321 §5.1)
//	cut        at most MaxHops, of both families where there are both
//
// A host of a route is looked up as its text says: an address is used as it
// is, a bracketed name by its address records, a plain name by its MX records,
// falling to its addresses. Nothing is looked up in the table again. Hosts of
// one priority take turns. When all are down there is no way round by MX.
//
// An answer that failed defers; only a fact (NXDOMAIN, null MX, no address at
// all, only ourselves) bounces. A fact about a host that the operator named in
// a route defers as well: the operator can mend it, the sender cannot.
//
// Everything here is pure but for the Resolver and the turns.
package route

import (
	"cmp"
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"

	"esa/mta/envelope"
	"esa/mta/lookup"
)

// MaxHops is how many addresses one attempt may try, as in Postfix; maxHosts
// how many hosts one plan looks up, however many MX records there are.
const (
	MaxHops  = 5
	maxHosts = 20
	smtpPort = 25
)

// Resolver answers from DNS. Names are lower case, ASCII, without final dot.
// Aliases are followed by the resolver; it bounds its own work and ends with
// the context.
type Resolver interface {
	MX(ctx context.Context, name string) lookup.MXAnswer
	Addrs(ctx context.Context, name string, v6 bool) lookup.AddrAnswer
}

// Family is which address family goes first, as destconfig words it.
type Family int

const (
	PreferV6 Family = iota
	RequireV6
	PreferV4
	RequireV4
)

// Planner makes plans. It is immutable once in use and may be used
// concurrently.
type Planner struct {
	Resolver Resolver
	Table    Table
	Self     []netip.AddrPort // of our listeners; a wildcard address stands for every loopback address
	Rand     func(n int) int  // in [0, n), safe for concurrent use; nil: math/rand/v2
	Family   Family
	NoIPv4   bool // mail cannot leave by this family: the source interface has none
	NoIPv6   bool
	// Spare is for who may find hosts unfit before it tries them: plans hold
	// more hops than may be tried, and the caller uses Cut.
	Spare bool
}

// Plan is where to try, in order.
type Plan struct {
	Discard bool // /dev/null: no hops
	Hops    []NextHop
	// Hosts are the names that the plan was made from, whether or not they are
	// among the hops: the hosts of the route, and of MX records. They are in the
	// form of a Resolver; at most 20 of a set of MX records.
	Hosts []string
	// Missing are hosts without a hop, and why: what could not be looked up.
	Missing []*envelope.Failure
}

// NextHop is one address to try.
type NextHop struct {
	Host string // the name that the address is of; a literal in its brackets
	Addr netip.AddrPort
	MX   bool    // found by MX records, the implicit one included
	From *Origin // nil for an address that was written down
}

// Origin is what DNS answered on the way to a host. The hops of one host share
// it, and nobody changes it.
type Origin struct {
	Domain   string              // whose mail exchangers were asked for; the host itself where none were
	Expanded string              // where aliases of Domain lead; the same if there are none
	MX       lookup.Status       // of what named the host; Secure where the operator did, in a route
	Addrs    []lookup.AddrAnswer // of the host, each family that was asked for
}

// Plan gives the next hops of a domain or address literal: at least one unless
// Discard is set or there is a failure.
func (p *Planner) Plan(ctx context.Context, domain string) (Plan, *envelope.Failure) {
	s := search{p: p, ctx: ctx}
	addr, literal := envelope.Literal(domain)
	switch r := p.Table.find(domain); {
	case r != nil && r.Discard:
		return Plan{Discard: true}, nil
	case r != nil && !r.UseDNS:
		s.byRoute = true
		s.route(r)
	case literal:
		s.add(s.own(domain, addr, smtpPort))
	default:
		s.add(s.exchange(inDNS(domain), smtpPort))
	}
	if len(s.hops) == 0 {
		return Plan{}, s.failure(domain)
	}
	plan := Plan{Hops: s.hops, Hosts: s.hosts, Missing: s.missing}
	if !p.Spare {
		plan.Hops = Cut(s.hops)
	}
	return plan, nil
}

// PlanVia gives the next hops of a machine that an operator names: its
// addresses, whatever the table and MX records say.
func (p *Planner) PlanVia(ctx context.Context, m envelope.Machine) (Plan, *envelope.Failure) {
	s := search{p: p, ctx: ctx, byRoute: true}
	s.add(s.host(Host{Name: m.Host, Port: m.Port, Bracketed: true}))
	if len(s.hops) > 0 {
		return Plan{Hops: Cut(s.hops), Hosts: s.hosts}, nil
	}
	f := s.failure(m.Host)
	if f.Permanent { // ourselves: the operator can mend it, the sender cannot
		f.Permanent, f.Code, f.Enhanced = false, 0, "4"+f.Enhanced[1:]
	}
	return Plan{}, f
}

// search collects the hops of one plan and why others are missing.
type search struct {
	p       *Planner
	ctx     context.Context
	byRoute bool
	hops    []NextHop
	hosts   []string
	looked  int // hosts whose addresses were asked for
	missing []*envelope.Failure
	soft    *envelope.Failure
	hard    *envelope.Failure
	loop    bool
}

// add appends hops that are not there yet.
func (s *search) add(hops []NextHop) {
	for _, h := range hops {
		same := func(o NextHop) bool { return o.Addr == h.Addr && (o.Host == h.Host || !s.p.Spare) }
		if !slices.ContainsFunc(s.hops, same) {
			s.hops = append(s.hops, h)
		}
	}
}

// named keeps the name of a host.
func (s *search) named(host string) {
	if !slices.Contains(s.hosts, host) {
		s.hosts = append(s.hosts, host)
	}
}

// full reports whether there is enough of n hops.
func (s *search) full(n int) bool { return n >= MaxHops && !s.p.Spare || s.looked >= maxHosts }

// route adds the hosts of an SMTP route: groups by priority, and the hosts of
// a group by turns, so that one with many addresses does not use up the plan.
func (s *search) route(r *row) {
	for _, group := range r.next() {
		if s.full(len(s.hops)) {
			return
		}
		lists := make([][]NextHop, 0, len(group))
		for _, h := range group {
			lists = append(lists, s.host(h))
		}
		s.add(interleave(lists))
	}
}

func (s *search) host(h Host) []NextHop {
	port := h.Port
	if port == 0 {
		port = smtpPort
	}
	if addr, err := netip.ParseAddr(h.Name); err == nil {
		return s.own(h.Name, addr, port)
	}
	name := inDNS(h.Name)
	s.named(name)
	if !h.Bracketed {
		return s.exchange(name, port)
	}
	hops, _ := s.addresses(name, port, Origin{Domain: name, Expanded: name, MX: lookup.Secure})
	return hops
}

// own is the hop of an address that was written down as such.
func (s *search) own(host string, addr netip.Addr, port uint16) []NextHop {
	hop := NextHop{Host: host, Addr: netip.AddrPortFrom(addr.Unmap(), port)}
	switch {
	case s.p.isSelf(hop.Addr):
		s.loop = true
	case !s.p.allows(hop.Addr.Addr().Is6()):
		s.defers(unusable(host, hop.Addr.Addr()))
	default:
		return []NextHop{hop}
	}
	return nil
}

// exchange gives the hops of a name by its MX records.
func (s *search) exchange(name string, port uint16) []NextHop {
	answer := s.p.Resolver.MX(s.ctx, name)
	switch {
	case !answer.Usable():
		s.defers(softError(name, "MX", answer.Answer))
		return nil
	case answer.NXDomain:
		s.refuses(noDomain(name))
		return nil
	case answer.Null():
		s.refuses(nullMX(name))
		return nil
	}
	var hops []NextHop
	from := Origin{Domain: name, Expanded: cmp.Or(answer.Canonical, name), MX: answer.Status}
	for _, level := range s.levels(name, answer.Records) {
		lists, self := s.level(level, port, from)
		if self {
			s.loop = true
			break
		}
		found := interleave(lists)
		s.p.sortFamilies(found)
		for i := range found {
			found[i].MX = true
		}
		if hops = append(hops, found...); s.full(len(hops)) {
			break
		}
	}
	return hops
}

// levels gives the hosts of each preference, best first, equal ones shuffled
// (RFC 5321 §5.1). No record means that the name is its own exchanger.
func (s *search) levels(name string, records []lookup.MX) [][]string {
	list := slices.DeleteFunc(slices.Clone(records), func(mx lookup.MX) bool { return mx.Host == "" })
	if len(list) == 0 {
		return [][]string{{name}}
	}
	shuffle(s.p.Rand, list)
	slices.SortStableFunc(list, func(a, b lookup.MX) int { return int(a.Preference) - int(b.Preference) })
	var levels [][]string
	for i, mx := range list[:min(len(list), maxHosts)] {
		s.named(mx.Host)
		if i == 0 || mx.Preference != list[i-1].Preference {
			levels = append(levels, nil)
		}
		last := len(levels) - 1
		levels[last] = append(levels[last], mx.Host)
	}
	return levels
}

// level looks up all hosts of one preference: that one of them is ourselves
// must be known before another is used.
func (s *search) level(hosts []string, port uint16, from Origin) (lists [][]NextHop, self bool) {
	for _, host := range hosts {
		if s.looked >= maxHosts {
			break
		}
		hops, own := s.addresses(host, port, from)
		lists = append(lists, hops)
		self = self || own
	}
	return lists, self
}

// addresses gives the hops of a host in the order of families, and whether one
// of its addresses is our own. from is what led to the host.
func (s *search) addresses(host string, port uint16, from Origin) (hops []NextHop, self bool) {
	s.looked++
	var why *envelope.Failure
	exists := true
	for _, v6 := range s.p.families() {
		answer := s.p.Resolver.Addrs(s.ctx, host, v6)
		from.Addrs = append(from.Addrs, answer)
		if !answer.Usable() {
			why = softError(host, recordType(v6), answer.Answer)
			continue
		}
		exists = exists && !answer.NXDomain
		addrs := slices.Clone(answer.Addrs)
		shuffle(s.p.Rand, addrs)
		for _, a := range addrs {
			hop := NextHop{Host: host, Addr: netip.AddrPortFrom(a.Unmap().WithZone(""), port), From: &from}
			if s.p.isSelf(hop.Addr) {
				self, s.loop = true, true
				continue
			}
			hops = append(hops, hop)
		}
	}
	switch {
	case len(hops) > 0 || self:
	case !exists:
		s.refuses(noAddress(host, "NXDomain"))
	case why != nil:
		why.Host = host
		s.missing = append(s.missing, why)
		s.defers(why)
	default:
		s.otherFamily(host)
	}
	if s.p.Spare {
		hops = Cut(hops) // no more of one host can be used
	}
	return hops, self
}

// otherFamily decides what it means that a host has no address that mail can
// leave for: a fact only if it has none at all.
func (s *search) otherFamily(host string) {
	for _, v6 := range []bool{true, false} {
		if slices.Contains(s.p.families(), v6) {
			continue
		}
		answer := s.p.Resolver.Addrs(s.ctx, host, v6)
		if !answer.Usable() {
			s.defers(softError(host, recordType(v6), answer.Answer))
			return
		}
		if len(answer.Addrs) > 0 {
			s.defers(unusable(host, answer.Addrs[0]))
			return
		}
	}
	s.refuses(noAddress(host, "NoData"))
}

func (s *search) defers(f *envelope.Failure) {
	if s.soft == nil {
		s.soft = f
	}
}

func (s *search) refuses(f *envelope.Failure) {
	if s.byRoute {
		f.Permanent, f.Code, f.Enhanced, f.Phrase = false, 0, "4.1.2", badHost
		s.defers(f)
		return
	}
	if s.hard == nil {
		s.hard = f
	}
}

// failure is why there is no hop at all. What may be better next time goes
// before what is a fact.
func (s *search) failure(domain string) *envelope.Failure {
	switch {
	case s.soft != nil:
		return s.soft
	case s.loop:
		return mailLoop(domain)
	case s.hard != nil:
		return s.hard
	}
	return softError(domain, "MX", lookup.Answer{Why: "no host to try"})
}

// isSelf reports whether a next hop is one of our listeners. The unspecified
// address is nobody else (RFC 6890: this host).
func (p *Planner) isSelf(hop netip.AddrPort) bool {
	if hop.Addr().IsUnspecified() {
		return true
	}
	return slices.ContainsFunc(p.Self, func(own netip.AddrPort) bool {
		addr := own.Addr().Unmap()
		return own.Port() == hop.Port() &&
			(addr == hop.Addr() || addr.IsUnspecified() && hop.Addr().IsLoopback())
	})
}

// families are those that mail can leave by, the preferred one first; true is
// IPv6.
func (p *Planner) families() []bool {
	var list []bool
	switch p.Family {
	case RequireV6:
		list = []bool{true}
	case RequireV4:
		list = []bool{false}
	case PreferV4:
		list = []bool{false, true}
	default:
		list = []bool{true, false}
	}
	return slices.DeleteFunc(list, func(v6 bool) bool { return v6 && p.NoIPv6 || !v6 && p.NoIPv4 })
}

func (p *Planner) allows(v6 bool) bool { return slices.Contains(p.families(), v6) }

// sortFamilies puts the preferred family first, keeping the order otherwise.
func (p *Planner) sortFamilies(hops []NextHop) {
	v4First := p.Family == PreferV4
	rank := func(h NextHop) int {
		if h.Addr.Addr().Is4() == v4First {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(hops, func(a, b NextHop) int { return rank(a) - rank(b) })
}

// interleave takes the first of every list, then the second, and so on.
func interleave(lists [][]NextHop) []NextHop {
	var out []NextHop
	for i, more := 0, true; more; i++ {
		more = false
		for _, l := range lists {
			if i < len(l) {
				out = append(out, l[i])
				more = true
			}
		}
	}
	return out
}

// Cut gives the hops to try, at most MaxHops. A family that would be cut off whole keeps two places:
// a path that one family does not have must not hide the other's.
func Cut(hops []NextHop) []NextHop {
	if len(hops) <= MaxHops {
		return hops
	}
	head, kept := hops[:MaxHops:MaxHops], 0
	v4 := head[0].Addr.Addr().Is4()
	other := func(h NextHop) bool { return h.Addr.Addr().Is4() != v4 }
	if slices.ContainsFunc(head, other) {
		return head
	}
	var rest []NextHop
	for _, h := range hops[MaxHops:] {
		if other(h) && kept < 2 {
			rest = append(rest, h)
			kept++
		}
	}
	return slices.Concat(head[:MaxHops-kept], rest)
}

func shuffle[T any](random func(n int) int, list []T) {
	if random == nil {
		random = rand.IntN
	}
	for i := len(list) - 1; i > 0; i-- {
		j := random(i + 1)
		list[i], list[j] = list[j], list[i]
	}
}

func recordType(v6 bool) string {
	if v6 {
		return "AAAA"
	}
	return "A"
}
