package route

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"esa/mta/lookup"
)

// zone is a resolver of literals: "MX name" to "10 host, 20 other", "A name"
// and "AAAA name" to addresses. "servfail", "bogus" and "nxdomain" are answers
// too; what is not there is an empty one.
type zone map[string]string

func (z zone) answer(q string) (lookup.Answer, []string) {
	switch text := z[q]; text {
	case "":
		return lookup.Answer{Status: lookup.Insecure}, nil
	case "servfail":
		return lookup.Answer{Why: "ServFail"}, nil
	case "bogus":
		return lookup.Answer{Status: lookup.Bogus, Why: "signature expired"}, nil
	case "nxdomain":
		return lookup.Answer{Status: lookup.Insecure, NXDomain: true}, nil
	default:
		return lookup.Answer{Status: lookup.Insecure}, strings.Split(text, ", ")
	}
}

func (z zone) MX(_ context.Context, name string) lookup.MXAnswer {
	a, words := z.answer("MX " + name)
	out := lookup.MXAnswer{Answer: a}
	for _, w := range words {
		var mx lookup.MX
		fmt.Sscanf(w, "%d %s", &mx.Preference, &mx.Host)
		mx.Host = strings.TrimSuffix(mx.Host, ".")
		out.Records = append(out.Records, mx)
	}
	return out
}

func (z zone) Addrs(_ context.Context, name string, v6 bool) lookup.AddrAnswer {
	kind := "A "
	if v6 {
		kind = "AAAA "
	}
	a, words := z.answer(kind + name)
	out := lookup.AddrAnswer{Answer: a}
	for _, w := range words {
		out.Addrs = append(out.Addrs, netip.MustParseAddr(w))
	}
	return out
}

// inOrder is a Rand that leaves every list as it is.
func inOrder(n int) int { return n - 1 }

func addrs(p Plan) string {
	var out []string
	for _, h := range p.Hops {
		out = append(out, h.Addr.String())
	}
	return strings.Join(out, " ")
}

// planTest is one row: a domain, what DNS says, and the hops or the failure.
type planTest struct {
	name   string
	domain string
	zone   zone
	set    Planner
	want   string // hops, or "enhanced reason permanent|waits"
	reply  string // part of the failure's text
}

func runPlans(t *testing.T, tests []planTest) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := tt.set
			p.Resolver, p.Rand = tt.zone, inOrder
			plan, f := p.Plan(t.Context(), tt.domain)
			got := addrs(plan)
			if f != nil {
				word := "waits"
				if f.Permanent {
					word = "permanent"
				}
				got = fmt.Sprintf("%s %s %s", f.Enhanced, f.Reason, word)
				if !strings.Contains(strings.Join(f.Reply, "|"), tt.reply) {
					t.Errorf("reply %q, want %q in it", f.Reply, tt.reply)
				}
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestPlanByMX(t *testing.T) {
	runPlans(t, []planTest{
		{name: "by preference", domain: "d.test",
			zone: zone{"MX d.test": "20 b.test, 10 a.test", "A a.test": "192.0.2.1", "A b.test": "192.0.2.2"},
			want: "192.0.2.1:25 192.0.2.2:25"},
		{name: "IPv6 first within a preference", domain: "d.test",
			zone: zone{"MX d.test": "10 a.test, 10 b.test, 20 c.test", "A a.test": "192.0.2.1", "AAAA a.test": "2001:db8::1",
				"A b.test": "192.0.2.2", "A c.test": "192.0.2.3", "AAAA c.test": "2001:db8::3"},
			want: "[2001:db8::1]:25 192.0.2.2:25 192.0.2.1:25 [2001:db8::3]:25 192.0.2.3:25"},
		{name: "IPv4 first by setting", domain: "d.test", set: Planner{Family: PreferV4},
			zone: zone{"A d.test": "192.0.2.1", "AAAA d.test": "2001:db8::1"},
			want: "192.0.2.1:25 [2001:db8::1]:25"},
		{name: "IPv4 alone by setting", domain: "d.test", set: Planner{Family: RequireV4},
			zone: zone{"A d.test": "192.0.2.1", "AAAA d.test": "2001:db8::1"}, want: "192.0.2.1:25"},
		{name: "implicit", domain: "d.test", zone: zone{"A d.test": "192.0.2.1"}, want: "192.0.2.1:25"},
		{name: "implicit for a name beyond ASCII", domain: "bücher.test",
			zone: zone{"A xn--bcher-kva.test": "192.0.2.1"}, want: "192.0.2.1:25"},
		{name: "null MX among others is ignored", domain: "d.test",
			zone: zone{"MX d.test": "0 ., 10 a.test", "A a.test": "192.0.2.1"}, want: "192.0.2.1:25"},
		{name: "an address is tried once", domain: "d.test",
			zone: zone{"MX d.test": "10 a.test, 10 a.test, 20 b.test", "A a.test": "192.0.2.1", "A b.test": "192.0.2.1, 192.0.2.2"},
			want: "192.0.2.1:25 192.0.2.2:25"},
		{name: "mapped addresses are IPv4", domain: "d.test",
			zone: zone{"AAAA d.test": "::ffff:192.0.2.1"}, want: "192.0.2.1:25"},
		{name: "loopback is an ordinary address", domain: "d.test",
			zone: zone{"A d.test": "127.0.0.3", "AAAA d.test": "::1"}, want: "[::1]:25 127.0.0.3:25"},
		{name: "literal", domain: "[192.0.2.1]", want: "192.0.2.1:25"},
		{name: "IPv6 literal", domain: "[IPv6:2001:db8::1]", want: "[2001:db8::1]:25"},
		{name: "E9 five addresses, both families", domain: "d.test",
			zone: zone{"AAAA d.test": "2001:db8::1, 2001:db8::2, 2001:db8::3, 2001:db8::4, 2001:db8::5, 2001:db8::6",
				"A d.test": "192.0.2.1, 192.0.2.2, 192.0.2.3"},
			want: "[2001:db8::1]:25 [2001:db8::2]:25 [2001:db8::3]:25 192.0.2.1:25 192.0.2.2:25"},
	})
}

func TestPlanFailures(t *testing.T) {
	runPlans(t, []planTest{
		{name: "NXDOMAIN", domain: "d.test", zone: zone{"MX d.test": "nxdomain"},
			want: "5.1.2 no-such-domain permanent", reply: "DNS Hard Error looking up d.test (MX):  NXDomain"},
		{name: "null MX", domain: "d.test", zone: zone{"MX d.test": "0 ."}, want: "5.1.10 null-mx permanent"},
		{name: "SERVFAIL", domain: "d.test", zone: zone{"MX d.test": "servfail"},
			want: "4.1.2 dns-failure waits", reply: "DNS Soft Error looking up d.test (MX):  ServFail"},
		{name: "bogus", domain: "d.test", zone: zone{"MX d.test": "bogus"}, want: "4.1.2 dnssec-invalid waits"},
		{name: "no MX, no address", domain: "d.test", zone: zone{},
			want: "5.1.2 no-address permanent", reply: "DNS Hard Error looking up d.test (A):  NoData"},
		{name: "exchanger does not exist", domain: "d.test", zone: zone{"MX d.test": "10 a.test", "AAAA a.test": "nxdomain", "A a.test": "nxdomain"},
			want: "5.1.2 no-address permanent", reply: "looking up a.test (A):  NXDomain"},
		{name: "exchangers do not exist or fail", domain: "d.test",
			zone: zone{"MX d.test": "10 a.test, 20 b.test", "A a.test": "nxdomain", "A b.test": "servfail"},
			want: "4.1.2 dns-failure waits", reply: "b.test (A):  ServFail"},
		{name: "one family fails, the other is empty", domain: "d.test", zone: zone{"AAAA d.test": "servfail"},
			want: "4.1.2 dns-failure waits", reply: "d.test (AAAA):  ServFail"},
		{name: "one family fails, the other answers", domain: "d.test", zone: zone{"AAAA d.test": "servfail", "A d.test": "192.0.2.1"},
			want: "192.0.2.1:25"},
		{name: "only the other family", domain: "d.test", set: Planner{NoIPv6: true}, zone: zone{"AAAA d.test": "2001:db8::1"},
			want: "4.4.0 no-address waits", reply: "2001:db8::1"},
		{name: "neither family is ours", domain: "d.test", set: Planner{NoIPv6: true, NoIPv4: true}, zone: zone{"A d.test": "192.0.2.1"},
			want: "4.4.0 no-address waits"},
		{name: "no family at all", domain: "d.test", set: Planner{NoIPv6: true}, zone: zone{},
			want: "5.1.2 no-address permanent"},
		{name: "the other family cannot be known", domain: "d.test", set: Planner{NoIPv6: true}, zone: zone{"AAAA d.test": "servfail"},
			want: "4.1.2 dns-failure waits"},
		{name: "literal of the other family", domain: "[IPv6:2001:db8::1]", set: Planner{NoIPv6: true}, zone: zone{},
			want: "4.4.0 no-address waits"},
	})
}

// self is our listeners for the loop tests.
var self = []netip.AddrPort{
	netip.MustParseAddrPort("192.0.2.9:25"),
	netip.MustParseAddrPort("[2001:db8::9]:25"),
	netip.MustParseAddrPort("127.0.0.1:2525"),
}

func TestPlanLeavesOutOurselves(t *testing.T) {
	here := Planner{Self: self}
	wild := Planner{Self: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:25")}}
	runPlans(t, []planTest{
		{name: "R18 the best is ourselves", domain: "d.test", set: here,
			zone: zone{"MX d.test": "10 us.test, 20 b.test", "A us.test": "192.0.2.9", "A b.test": "192.0.2.2"},
			want: "5.4.6 mail-loop permanent"},
		{name: "R18 equal ones go too", domain: "d.test", set: here,
			zone: zone{"MX d.test": "10 a.test, 20 b.test, 20 us.test, 30 c.test", "A a.test": "192.0.2.1",
				"A us.test": "192.0.2.9", "A b.test": "192.0.2.2", "A c.test": "192.0.2.3"},
			want: "192.0.2.1:25"},
		{name: "R18 by IPv6", domain: "d.test", set: here, zone: zone{"AAAA d.test": "2001:db8::9"}, want: "5.4.6 mail-loop permanent"},
		{name: "R18 mapped", domain: "d.test", set: here, zone: zone{"AAAA d.test": "::ffff:192.0.2.9"}, want: "5.4.6 mail-loop permanent"},
		{name: "R18 0.0.0.0", domain: "d.test", set: here, zone: zone{"A d.test": "0.0.0.0"}, want: "5.4.6 mail-loop permanent"},
		{name: "R18 ::", domain: "d.test", zone: zone{"AAAA d.test": "::"}, want: "5.4.6 mail-loop permanent"},
		{name: "R18 ::ffff:0.0.0.0", domain: "d.test", zone: zone{"AAAA d.test": "::ffff:0.0.0.0"}, want: "5.4.6 mail-loop permanent"},
		{name: "another port is somebody else", domain: "d.test", set: here, zone: zone{"A d.test": "127.0.0.1"}, want: "127.0.0.1:25"},
		{name: "R18 loopback behind a wildcard listener", domain: "d.test", set: wild,
			zone: zone{"AAAA d.test": "::1, ::ffff:127.0.0.1", "A d.test": "127.0.0.1"}, want: "5.4.6 mail-loop permanent"},
		{name: "R18 literal", domain: "[192.0.2.9]", set: here, want: "5.4.6 mail-loop permanent"},
		{name: "better host unknown for now", domain: "d.test", set: here,
			zone: zone{"MX d.test": "10 a.test, 20 us.test", "A a.test": "servfail", "A us.test": "192.0.2.9"},
			want: "4.1.2 dns-failure waits"},
		{name: "route to ourselves", domain: "d.test", set: Planner{Self: self,
			Table: NewTable([]Route{{Domain: "ALL", Hosts: []Host{{Name: "127.0.0.1", Port: 2525}}}})},
			want: "5.4.6 mail-loop permanent"},
	})
}

func TestPlanByRoute(t *testing.T) {
	table := NewTable([]Route{
		{Domain: "addr.test", Hosts: []Host{{Name: "192.0.2.7", Port: 2525}, {Name: "2001:db8::7", Priority: 5}}},
		{Domain: "name.test", Hosts: []Host{{Name: "relay.test"}}},
		{Domain: "bracket.test", Hosts: []Host{{Name: "relay.test", Bracketed: true, Port: 26}}},
		{Domain: "plain.test", Hosts: []Host{{Name: "a.test"}}},
		{Domain: "two.test", Hosts: []Host{{Name: "relay.test", Bracketed: true}, {Name: "a.test"}}},
		{Domain: "gone.test", Hosts: []Host{{Name: "nowhere.test"}}},
		{Domain: "null.test", Hosts: []Host{{Name: "refuses.test"}}},
		{Domain: "many.test", Hosts: []Host{{Name: "big.test"}, {Name: "a.test"}}},
		{Domain: "[192.0.2.99]", Hosts: []Host{{Name: "192.0.2.7"}}},
		{Domain: "mx.down.test", UseDNS: true},
		{Domain: ".down.test", Hosts: []Host{{Name: "192.0.2.8"}}},
	})
	z := zone{
		"MX relay.test": "10 mx.relay.test", "A mx.relay.test": "192.0.2.1", "A relay.test": "192.0.2.2",
		"A a.test": "192.0.2.3", "MX nowhere.test": "nxdomain", "MX refuses.test": "0 .",
		"A big.test": "192.0.2.11, 192.0.2.12, 192.0.2.13, 192.0.2.14, 192.0.2.15, 192.0.2.16",
		// what MX says of the routed domains must not matter
		"MX addr.test": "10 a.test", "MX mx.down.test": "10 a.test", "MX x.down.test": "10 a.test",
	}
	set := Planner{Table: table}
	runPlans(t, []planTest{
		{name: "addresses and ports", domain: "addr.test", zone: z, set: set, want: "192.0.2.7:2525 [2001:db8::7]:25"},
		{name: "plain name by MX", domain: "name.test", zone: z, set: set, want: "192.0.2.1:25"},
		{name: "bracketed by address", domain: "bracket.test", zone: z, set: set, want: "192.0.2.2:26"},
		{name: "plain name without MX", domain: "plain.test", zone: z, set: set, want: "192.0.2.3:25"},
		{name: "literal by route", domain: "[192.0.2.99]", zone: z, set: set, want: "192.0.2.7:25"},
		{name: "USEDNS against a partial domain", domain: "mx.down.test", zone: z, set: set, want: "192.0.2.3:25"},
		{name: "partial domain", domain: "x.down.test", zone: z, set: set, want: "192.0.2.8:25"},
		{name: "round-robin first", domain: "two.test", zone: z, set: set, want: "192.0.2.2:25 192.0.2.3:25"},
		{name: "round-robin second", domain: "two.test", zone: z, set: set, want: "192.0.2.3:25 192.0.2.2:25"},
		{name: "one host does not use up the plan", domain: "many.test", zone: z, set: set,
			want: "192.0.2.11:25 192.0.2.3:25 192.0.2.12:25 192.0.2.13:25 192.0.2.14:25"},
		{name: "the operator's host does not exist", domain: "gone.test", zone: z, set: set, want: "4.1.2 no-such-domain waits"},
		{name: "the operator's host has a null MX", domain: "null.test", zone: z, set: set, want: "4.1.2 null-mx waits"},
	})
}

func TestPlanDiscards(t *testing.T) {
	p := Planner{Resolver: zone{}, Table: NewTable([]Route{{Domain: "d.test", Discard: true}})}
	plan, f := p.Plan(t.Context(), "d.test")
	if f != nil || !plan.Discard || len(plan.Hops) != 0 {
		t.Errorf("Plan = %+v, %v", plan, f)
	}
}

func TestPlanMarksHopsFoundByMX(t *testing.T) {
	p := Planner{Resolver: zone{"A d.test": "192.0.2.1", "A r.test": "192.0.2.2"}, Rand: inOrder,
		Table: NewTable([]Route{{Domain: "r.test", Hosts: []Host{{Name: "r.test", Bracketed: true}}}})}
	byMX, _ := p.Plan(t.Context(), "d.test")
	byRoute, _ := p.Plan(t.Context(), "r.test")
	if h := byMX.Hops[0]; !h.MX || h.Host != "d.test" {
		t.Errorf("implicit MX: %+v", h)
	}
	if h := byRoute.Hops[0]; h.MX || h.Host != "r.test" {
		t.Errorf("route: %+v", h)
	}
}

func TestEqualExchangersAreShuffled(t *testing.T) {
	z := zone{"MX d.test": "10 a.test, 10 b.test, 10 c.test", "A a.test": "192.0.2.1", "A b.test": "192.0.2.2", "A c.test": "192.0.2.3"}
	p := Planner{Resolver: z}
	first := make(map[string]int)
	for range 300 {
		plan, f := p.Plan(t.Context(), "d.test")
		if f != nil || len(plan.Hops) != 3 {
			t.Fatalf("Plan = %v, %v", plan, f)
		}
		first[plan.Hops[0].Host]++
	}
	for _, host := range []string{"a.test", "b.test", "c.test"} {
		if first[host] < 50 { // 100 expected; below 50 once in 10^10 runs
			t.Errorf("first hosts of 300 plans: %v", first)
		}
	}
}

// counting counts what is asked of a resolver.
type counting struct {
	zone
	asked int
}

func (c *counting) Addrs(ctx context.Context, name string, v6 bool) lookup.AddrAnswer {
	c.asked++
	return c.zone.Addrs(ctx, name, v6)
}

func TestE9_TenThousandExchangersCostFewLookups(t *testing.T) {
	for _, address := range []string{"", "192.0.2.1"} {
		z := zone{}
		var list []string
		for i := range 10_000 {
			list = append(list, fmt.Sprintf("%d h%d.test", i%3, i))
			z[fmt.Sprintf("A h%d.test", i)] = address
		}
		z["MX d.test"] = strings.Join(list, ", ")
		c := &counting{zone: z}
		p := Planner{Resolver: c}
		p.Plan(t.Context(), "d.test")
		if c.asked == 0 || c.asked > 2*maxHosts {
			t.Errorf("address %q: %d lookups, want at most %d", address, c.asked, 2*maxHosts)
		}
	}
}

func TestE9_HundredsOfAddresses(t *testing.T) {
	var list []string
	for i := range 250 {
		list = append(list, fmt.Sprintf("192.0.2.%d", i+1))
	}
	p := Planner{Resolver: zone{"A d.test": strings.Join(list, ", ")}}
	plan, f := p.Plan(t.Context(), "d.test")
	if f != nil || len(plan.Hops) != MaxHops {
		t.Errorf("%d hops, %v", len(plan.Hops), f)
	}
}

func TestFailuresAreNotShared(t *testing.T) {
	p := Planner{Resolver: zone{"MX d.test": "nxdomain"}}
	_, a := p.Plan(t.Context(), "d.test")
	_, b := p.Plan(t.Context(), "d.test")
	a.Reply[0] = "changed"
	if a == b || slices.Equal(a.Reply, b.Reply) {
		t.Error("two plans share one failure")
	}
}

// TestPlanHosts: the names that a certificate may be for, whether or not they
// are among the hops.
func TestPlanHosts(t *testing.T) {
	mx := zone{"MX d.test": "20 b.test, 10 a.test", "A a.test": "192.0.2.1", "MX relay.test": "10 mx.relay.test", "A mx.relay.test": "192.0.2.3", "A relay.test": "192.0.2.4"}
	for _, tt := range []struct {
		domain string
		zone   zone
		hosts  []Host
		want   string
	}{
		{"d.test", mx, nil, "a.test b.test"},
		{"plain.test", zone{"A plain.test": "192.0.2.1"}, nil, ""},
		{"d.test", mx, []Host{{Name: "Relay.test", Bracketed: true}}, "relay.test"},
		{"d.test", mx, []Host{{Name: "relay.test"}}, "relay.test mx.relay.test"},
		{"d.test", mx, []Host{{Name: "192.0.2.9"}}, ""},
	} {
		p := Planner{Resolver: tt.zone, Rand: inOrder}
		if tt.hosts != nil {
			p.Table = NewTable([]Route{{Domain: All, Hosts: tt.hosts}})
		}
		plan, f := p.Plan(t.Context(), tt.domain)
		if got := strings.Join(plan.Hosts, " "); f != nil || got != tt.want {
			t.Errorf("%s by %v: %q, %v; want %q", tt.domain, tt.hosts, got, f, tt.want)
		}
	}
}

// TestSparePlan: a plan for who may find hosts unfit goes on beyond what may be
// tried, tells what DNS said, and names a shared address under each host.
func TestSparePlan(t *testing.T) {
	z := zone{"MX d.test": "10 a.test, 20 b.test, 30 c.test, 40 gone.test, 50 down.test", "A b.test": "192.0.2.11", "A c.test": "192.0.2.2",
		"A a.test":    "192.0.2.11, 192.0.2.12, 192.0.2.13, 192.0.2.14, 192.0.2.15, 192.0.2.16, 192.0.2.17",
		"A gone.test": "nxdomain", "AAAA gone.test": "nxdomain", "A down.test": "servfail", "AAAA down.test": "bogus"}
	p := Planner{Resolver: z, Rand: inOrder, Spare: true}
	plan, f := p.Plan(t.Context(), "d.test")
	if f != nil {
		t.Fatal(f)
	}
	want := "192.0.2.11:25 192.0.2.12:25 192.0.2.13:25 192.0.2.14:25 192.0.2.15:25 192.0.2.11:25 192.0.2.2:25"
	if got := addrs(plan); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if len(plan.Missing) != 1 || plan.Missing[0].Host != "down.test" {
		t.Errorf("missing: %+v", plan.Missing)
	}
	last := plan.Hops[len(plan.Hops)-1]
	if o := last.From; o == nil || o.Domain != "d.test" || o.Expanded != "d.test" || o.MX != lookup.Insecure || len(o.Addrs) != 2 || len(o.Addrs[1].Addrs) != 1 {
		t.Errorf("origin: %+v", o)
	}
	if cut := Cut(plan.Hops); len(cut) != MaxHops {
		t.Errorf("%d hops to try", len(cut))
	}
	p.Table = NewTable([]Route{{Domain: All, Hosts: []Host{{Name: "192.0.2.9"}, {Name: "b.test", Bracketed: true}}}})
	plan, _ = p.Plan(t.Context(), "d.test")
	if o := plan.Hops[1].From; plan.Hops[0].From != nil || o == nil || o.Domain != "b.test" || o.MX != lookup.Secure {
		t.Errorf("by route: %+v", plan.Hops)
	}
}
