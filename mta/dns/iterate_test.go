package dns

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"esa/mta/dnssec"
	"esa/mta/lookup"
	"esa/mta/mtatest"

	mdns "github.com/miekg/dns"
)

// internet is a lab whose zones are served by servers of their own.
type internet struct {
	*mtatest.Lab
	servers map[string]*mtatest.DNSServer // by the address that the zones give it
}

var internetZones = []mtatest.Zone{
	{Name: ".", NS: "ns.root.", Glue: "192.0.2.1"},
	{Name: "test.", NS: "ns.test.", Glue: "192.0.2.2"},
	{Name: "ex.test.", NS: "ns.ex.test.", Glue: "192.0.2.3", Text: "@ MX 10 mx\nmx A 127.0.0.1\nout CNAME mx.far.test.\nin CNAME mx\n"},
	{Name: "far.test.", NS: "ns.ex.test.", Text: "mx A 127.0.0.2\n"}, // its server's address has to be looked up
	{Name: "un.test.", NS: "ns.un.test.", Glue: "192.0.2.4", Unsigned: true, Text: "@ MX 10 mx\nmx A 127.0.0.3\n"},
	{Name: "deep.a.b.ex.test.", NS: "ns.ex.test.", Text: "@ MX 5 mx.ex.test.\n"}, // on the same server as its parent
	{Name: "lost.test.", NS: "ns.lost2.test.", Text: "@ MX 5 mx\n"},
	{Name: "lost2.test.", NS: "ns.lost.test.", Text: "@ MX 5 mx\n"},
}

func newInternet(t testing.TB) *internet {
	t.Helper()
	i := &internet{Lab: mtatest.NewLab(t, time.Now(), internetZones...), servers: make(map[string]*mtatest.DNSServer)}
	i.servers["192.0.2.1"] = mtatest.NewZoneServer(t, i.Lab, ".")
	i.servers["192.0.2.2"] = mtatest.NewZoneServer(t, i.Lab, "test.")
	i.servers["192.0.2.3"] = mtatest.NewZoneServer(t, i.Lab, "ex.test.", "far.test.", "deep.a.b.ex.test.")
	i.servers["192.0.2.4"] = mtatest.NewZoneServer(t, i.Lab, "un.test.")
	return i
}

// dial leads addresses of the zones to the servers of the test.
func (i *internet) dial(ctx context.Context, d *net.Dialer, network string, addr netip.AddrPort) (net.Conn, error) {
	if s := i.servers[addr.Addr().String()]; s != nil && addr.Port() == 53 {
		addr = s.Addr()
	}
	return d.DialContext(ctx, network, addr.String())
}

// resolver makes one that begins at the root servers, which stand on another
// port than that of DNS.
func (i *internet) resolver(t testing.TB) *Resolver {
	t.Helper()
	anchors, err := dnssec.ParseAnchors(i.Anchor("."))
	if err != nil {
		t.Fatal(err)
	}
	r := New(Options{Dial: i.dial})
	t.Cleanup(r.Close)
	r.Configure(Settings{
		Roots: []Root{{Name: "ns.root", Addrs: []netip.AddrPort{i.servers["192.0.2.1"].Addr()}}}, Timeout: ample,
		DNSSEC: dnssec.Policy{Skew: dnssec.DefaultSkew, Anchor: anchors},
	})
	return r
}

func TestIterate(t *testing.T) {
	i := newInternet(t)
	r := i.resolver(t)
	for _, tt := range []struct {
		name    string
		checked lookup.Status
		found   bool
	}{
		{"mx.ex.test", lookup.Secure, true},
		{"in.ex.test", lookup.Secure, true},
		{"out.ex.test", lookup.Secure, true},
		{"mx.far.test", lookup.Secure, true},
		{"mx.un.test", lookup.Insecure, true},
		{"none.ex.test", lookup.Secure, false},
		{"none.test", lookup.Secure, false},
		{"none.un.test", lookup.Insecure, false},
		{"nothing", lookup.Secure, false},
	} {
		if a := r.Addrs(t.Context(), tt.name, false); a.Status != lookup.Insecure || len(a.Addrs) > 0 != tt.found {
			t.Errorf("%s: %+v", tt.name, a)
		}
		if a := r.Checked().Addrs(t.Context(), tt.name, false); a.Status != tt.checked || len(a.Addrs) > 0 != tt.found {
			t.Errorf("%s, checked: %+v", tt.name, a)
		}
	}
	if mx := r.Checked().MX(t.Context(), "deep.a.b.ex.test"); mx.Status != lookup.Secure || len(mx.Records) != 1 {
		t.Errorf("V-4C: a zone on the server of its parent: %+v", mx)
	}
	for addr, s := range i.servers {
		for _, q := range s.Queries() {
			if q.RD || !q.CD || !q.DO {
				t.Errorf("%s was asked %+v", addr, q)
			}
		}
	}
}

// What is known of zones is not asked for again.
func TestIterateRemembersZones(t *testing.T) {
	i := newInternet(t)
	r := i.resolver(t)
	r.MX(t.Context(), "ex.test")
	before := len(i.servers["192.0.2.1"].Queries())
	r.Addrs(t.Context(), "mx.ex.test", false)
	if after := len(i.servers["192.0.2.1"].Queries()); after != before || before == 0 {
		t.Errorf("the root was asked %d times more", after-before)
	}
	r.Flush()
	r.Addrs(t.Context(), "mx.ex.test", false)
	if len(i.servers["192.0.2.1"].Queries()) == before {
		t.Error("after a flush the root is not asked")
	}
}

func TestIterateHostile(t *testing.T) {
	i := newInternet(t)
	extra := func(text ...string) mtatest.Act {
		return mtatest.Changed(func(m *mdns.Msg) {
			for _, line := range text {
				rr, err := mdns.NewRR(line)
				if err != nil {
					panic(err)
				}
				m.Ns, m.Extra = append(m.Ns, rr), append(m.Extra, rr)
			}
		})
	}
	for _, tt := range []struct {
		id, name string
		act      mtatest.Act
		ok       bool
	}{
		{"records of other zones beside", "mx.ex.test", extra("victim.test. 60 IN A 203.0.113.66", "test. 60 IN NS evil.test."), true},
		{"a referral upwards", "mx.ex.test", mtatest.Changed(func(m *mdns.Msg) {
			m.Answer, m.Authoritative = nil, false
			m.Ns = []mdns.RR{&mdns.NS{Hdr: mdns.RR_Header{Name: ".", Rrtype: mdns.TypeNS, Class: mdns.ClassINET, Ttl: 60}, Ns: "ns.root."}}
		}), false},
		{"a referral to itself", "mx.ex.test", mtatest.Changed(func(m *mdns.Msg) {
			m.Answer, m.Authoritative = nil, false
			m.Ns = []mdns.RR{&mdns.NS{Hdr: mdns.RR_Header{Name: "ex.test.", Rrtype: mdns.TypeNS, Class: mdns.ClassINET, Ttl: 60}, Ns: "ns.ex.test."}}
		}), false},
		{"no authority", "mx.ex.test", mtatest.Changed(func(m *mdns.Msg) { m.Authoritative = false }), false},
	} {
		r := i.resolver(t)
		i.servers["192.0.2.3"].Script(tt.name, "A", tt.act)
		a := r.Addrs(t.Context(), tt.name, false)
		if a.Usable() && len(a.Addrs) == 1 != tt.ok || !tt.ok && a.Usable() {
			t.Errorf("%s: %+v", tt.id, a)
		}
		if v := r.Addrs(t.Context(), "victim.test", false); len(v.Addrs) > 0 {
			t.Errorf("%s: forged addresses are believed: %+v", tt.id, v)
		}
	}
	r := i.resolver(t)
	if mx := r.MX(t.Context(), "lost.test"); mx.Usable() || !strings.Contains(mx.Why, "refer to each other") && !strings.Contains(mx.Why, "too many questions") {
		t.Errorf("zones that need each other: %+v", mx)
	}
	if n := len(i.servers["192.0.2.2"].Queries()); n > 300 {
		t.Errorf("%d questions", n)
	}
}

func TestRoots(t *testing.T) {
	if roots := RootServers(); len(roots) != 13 || len(roots[12].Addrs) != 2 {
		t.Errorf("built in: %+v", roots)
	}
	roots, err := ParseRoots("; comment\n. 3600000 NS A.ROOT.\nA.ROOT. 3600000 IN A 127.0.0.1:5353\na.root AAAA ::1\nb.root [::1]:54 ; more\n")
	if err != nil || len(roots) != 2 || roots[0].Name != "a.root" || roots[0].Addrs[0].String() != "127.0.0.1:5353" ||
		roots[0].Addrs[1].String() != "[::1]:53" || roots[1].Addrs[0].Port() != 54 {
		t.Errorf("%+v, %v", roots, err)
	}
	for _, bad := range []string{"", "; nothing\n", "a.root.\n", "a.root. A\n", "a.root. A 1.2.3\n", "a..root. A 1.2.3.4\n", strings.Repeat("a. 1.2.3.4\n", maxRoots+1)} {
		if _, err := ParseRoots(bad); err == nil {
			t.Errorf("ParseRoots(%.20q) succeeds", bad)
		}
	}
}
