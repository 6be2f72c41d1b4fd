package dns

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"esa/mta/lookup"
	"esa/mta/mtatest"

	mdns "github.com/miekg/dns"
)

const zone = `
example.test.       3600 IN SOA   ns.example.test. admin.example.test. 1 7200 3600 1209600 600
example.test.       3600 IN MX    20 mx2.example.test.
example.test.       3600 IN MX    10 MX1.example.test.
mx1.example.test.   3600 IN A     192.0.2.1
mx1.example.test.   3600 IN A     192.0.2.2
mx1.example.test.   3600 IN AAAA  2001:db8::1
www.example.test.   1800 IN CNAME mx1.example.test.
null.example.test.  3600 IN MX    0 .
mixed.example.test. 3600 IN MX    0 .
mixed.example.test. 3600 IN MX    10 mx1.example.test.
odd.example.test.   3600 IN MX    10 mx1.example.test.
odd.example.test.   3600 IN MX    5  under_score.example.test.
odd.example.test.   3600 IN MX    5  sp\032ace.example.test.
odd.example.test.   3600 IN MX    30 mx1.example.test.
odd.example.test.   3600 IN MX    40 192.0.2.9.
bad.example.test.   3600 IN MX    5  sp\032ace.example.test.
bad.example.test.   3600 IN MX    0  .
xn--bcher-kva.example.test. 3600 IN A 192.0.2.7
zero.example.test.  0    IN A     192.0.2.3
huge.example.test.  4294967295 IN A 192.0.2.4
week.example.test.  2147483647 IN A 192.0.2.5
1.2.0.192.in-addr.arpa. 3600 IN PTR wrong.example.test.
1.2.0.192.in-addr.arpa. 3600 IN PTR MX1.example.test.
2.2.0.192.in-addr.arpa. 3600 IN PTR wrong.example.test.
3.2.0.192.in-addr.arpa. 3600 IN PTR bad\010name.example.test.
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 3600 IN PTR mx1.example.test.
wrong.example.test. 3600 IN A     192.0.2.77
`

// brief is the timeout of tests that have to run into it.
const brief = 200 * time.Millisecond

// answered is the timeout of tests that run into it and then get an answer from
// the same server: even a busy machine gives it in that time.
const answered = 2 * time.Second

// ample is the timeout of tests that must not.
const ample = 10 * time.Second

// newResolver makes a resolver that asks servers in this order.
func newResolver(t testing.TB, timeout time.Duration, servers ...*mtatest.DNSServer) *Resolver {
	t.Helper()
	return newResolverWith(t, Options{}, timeout, servers...)
}

func newResolverWith(t testing.TB, o Options, timeout time.Duration, servers ...*mtatest.DNSServer) *Resolver {
	t.Helper()
	r := New(o)
	t.Cleanup(r.Close)
	r.Configure(Settings{Servers: inOrder(servers...), Timeout: timeout})
	return r
}

func equal(servers ...*mtatest.DNSServer) []Server {
	list := inOrder(servers...)
	for i := range list {
		list[i].Priority = 0
	}
	return list
}

func inOrder(servers ...*mtatest.DNSServer) []Server {
	var list []Server
	for i, s := range servers {
		list = append(list, Server{Addr: s.Addr(), Priority: i})
	}
	return list
}

// testClock is a clock that tests move.
type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func newTestClock() *testClock {
	return &testClock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func addrs(a lookup.AddrAnswer) string {
	var texts []string
	for _, addr := range a.Addrs {
		texts = append(texts, addr.String())
	}
	slices.Sort(texts)
	return strings.Join(texts, " ")
}

func TestMX(t *testing.T) {
	s := mtatest.NewDNSServer(t, zone)
	r := newResolver(t, ample, s)
	for _, tt := range []struct {
		name     string
		want     []lookup.MX
		nxdomain bool
		status   lookup.Status
	}{
		{"example.test", []lookup.MX{{Preference: 10, Host: "mx1.example.test"}, {Preference: 20, Host: "mx2.example.test"}}, false, lookup.Insecure},
		{"EXAMPLE.test.", []lookup.MX{{Preference: 10, Host: "mx1.example.test"}, {Preference: 20, Host: "mx2.example.test"}}, false, lookup.Insecure},
		{"null.example.test", []lookup.MX{{}}, false, lookup.Insecure},
		{"mixed.example.test", []lookup.MX{{Preference: 10, Host: "mx1.example.test"}}, false, lookup.Insecure},
		{"odd.example.test", []lookup.MX{{Preference: 5, Host: "under_score.example.test"}, {Preference: 10, Host: "mx1.example.test"}, {Preference: 40, Host: "192.0.2.9"}}, false, lookup.Insecure},
		{"bad.example.test", nil, false, lookup.Failed},
		{"mx1.example.test", nil, false, lookup.Insecure},
		{"none.example.test", nil, true, lookup.Insecure},
		{"localhost", nil, false, lookup.Insecure},
	} {
		a := r.MX(t.Context(), tt.name)
		if a.Status != tt.status || a.NXDomain != tt.nxdomain || !slices.Equal(a.Records, tt.want) {
			t.Errorf("MX(%s) = %+v, want %v %v %v", tt.name, a, tt.status, tt.want, tt.nxdomain)
		}
	}
	if !r.MX(t.Context(), "null.example.test").Null() {
		t.Error("the null MX is not recognised")
	}
	if q := s.Queries()[0]; !q.RD || !q.CD || !q.DO || q.Size != ednsSize || q.TCP {
		t.Errorf("question sent as %+v, want RD, CD, DO and EDNS %d over UDP", q, ednsSize)
	}
	if s.Asked("localhost", "MX") != 0 {
		t.Error("a server was asked for localhost")
	}
}

func TestMX_CallersMayChangeWhatTheyGet(t *testing.T) {
	r := newResolver(t, ample, mtatest.NewDNSServer(t, zone))
	first := r.MX(t.Context(), "example.test")
	slices.Reverse(first.Records)
	if again := r.MX(t.Context(), "example.test"); again.Records[0].Preference != 10 {
		t.Error("a change by one caller is seen by the next")
	}
}

func TestAddrs(t *testing.T) {
	s := mtatest.NewDNSServer(t, zone)
	r := newResolver(t, ample, s)
	for _, tt := range []struct {
		name      string
		v6        bool
		want      string
		canonical string
		asked     bool
	}{
		{"mx1.example.test", false, "192.0.2.1 192.0.2.2", "mx1.example.test", true},
		{"mx1.example.test", true, "2001:db8::1", "mx1.example.test", true},
		{"WWW.example.test", false, "192.0.2.1 192.0.2.2", "mx1.example.test", true},
		{"bücher.example.test", false, "192.0.2.7", "xn--bcher-kva.example.test", true},
		{"BÜCHER.example.test", false, "192.0.2.7", "xn--bcher-kva.example.test", false},
		{"localhost", false, "127.0.0.1", "localhost", false},
		{"a.LocalHost.", true, "::1", "a.localhost", false},
		{"192.0.2.200", false, "192.0.2.200", "192.0.2.200", false},
		{"192.0.2.200", true, "", "192.0.2.200", false},
		{"2001:db8::5", true, "2001:db8::5", "2001:db8::5", false},
	} {
		before := len(s.Queries())
		a := r.Addrs(t.Context(), tt.name, tt.v6)
		if a.Status != lookup.Insecure || addrs(a) != tt.want || a.Canonical != tt.canonical {
			t.Errorf("Addrs(%s, %v) = %+v, want %q at %s", tt.name, tt.v6, a, tt.want, tt.canonical)
		}
		if asked := len(s.Queries()) > before; asked != tt.asked {
			t.Errorf("Addrs(%s, %v): a server was asked: %v, want %v", tt.name, tt.v6, asked, tt.asked)
		}
	}
}

func TestImpossibleNamesDoNotExist(t *testing.T) {
	s := mtatest.NewDNSServer(t, zone)
	r := newResolver(t, ample, s)
	long := strings.Repeat("a23456789.", 26)
	for _, name := range []string{
		"a..b", ".a", "a b", "a\nb", `a\.b`, "\xff\xfe", long, strings.Repeat("x", 64) + ".test",
		strings.Repeat("ü", 60) + ".test", `a"b`,
	} {
		if a := r.MX(t.Context(), name); a.Status != lookup.Insecure || !a.NXDomain {
			t.Errorf("MX(%q) = %+v, want a name that does not exist", name, a)
		}
	}
	if a := r.PTR(t.Context(), netip.Addr{}); !a.NXDomain {
		t.Errorf("PTR of no address = %+v", a)
	}
	if n := len(s.Queries()); n != 0 {
		t.Errorf("%d questions were sent", n)
	}
}

func TestReverse(t *testing.T) {
	s := mtatest.NewDNSServer(t, zone)
	r := newResolver(t, ample, s)
	for _, tt := range []struct {
		addr     string
		host     string
		verified bool
	}{
		{"192.0.2.1", "mx1.example.test", true},
		{"::ffff:192.0.2.1", "mx1.example.test", true},
		{"192.0.2.2", "wrong.example.test", false},
		{"192.0.2.3", "", false},
		{"192.0.2.99", "", false},
		{"2001:db8::1", "mx1.example.test", true},
	} {
		host, verified := r.Reverse(t.Context(), netip.MustParseAddr(tt.addr))
		if host != tt.host || verified != tt.verified {
			t.Errorf("Reverse(%s) = %q, %v; want %q, %v", tt.addr, host, verified, tt.host, tt.verified)
		}
	}
}

func TestReverse_TriesFewNames(t *testing.T) {
	var text strings.Builder
	for i := range 50 {
		text.WriteString("1.2.0.192.in-addr.arpa. IN PTR h" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + ".example.test.\n")
	}
	s := mtatest.NewDNSServer(t, text.String())
	r := newResolver(t, ample, s)
	if _, verified := r.Reverse(t.Context(), netip.MustParseAddr("192.0.2.1")); verified {
		t.Error("verified, though no name has an address")
	}
	asked := 0
	for _, q := range s.Queries() {
		if q.Type == "A" {
			asked++
		}
	}
	if asked != maxReverse {
		t.Errorf("%d names were looked up, want %d", asked, maxReverse)
	}
}

func TestReverse_EndsAtItsTimeout(t *testing.T) {
	s := mtatest.NewDNSServer(t, zone)
	s.Script("1.2.0.192.in-addr.arpa", "PTR", mtatest.NoAnswer)
	r := New(Options{})
	t.Cleanup(r.Close)
	r.Configure(Settings{Servers: inOrder(s), Timeout: time.Hour, ReverseTimeout: brief})
	if host, verified := r.Reverse(t.Context(), netip.MustParseAddr("192.0.2.1")); host != "" || verified {
		t.Errorf("Reverse = %q, %v from a server that is silent", host, verified)
	}
}

func TestLookupEndsWithItsContext(t *testing.T) {
	s := mtatest.NewDNSServer(t, zone)
	s.Script("example.test", "MX", mtatest.NoAnswer, mtatest.Honest)
	r := newResolver(t, time.Hour, s)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan lookup.MXAnswer)
	go func() { done <- r.MX(ctx, "example.test") }()
	s.Await(t, 1)
	cancel()
	if a := <-done; a.Status != lookup.Failed || a.Why == "" {
		t.Errorf("MX = %+v after its context ended", a)
	}
	if a := r.MX(t.Context(), "example.test"); a.Status != lookup.Insecure {
		t.Errorf("the next caller got %+v: an abandoned lookup was kept", a)
	}
}

func TestClose_EndsWhatIsUnderWay(t *testing.T) {
	s := mtatest.NewDNSServer(t, zone)
	s.Script("example.test", "MX", mtatest.NoAnswer)
	r := newResolver(t, time.Hour, s)
	r.Addrs(t.Context(), "mx1.example.test", false)
	done := make(chan lookup.MXAnswer)
	go func() { done <- r.MX(t.Context(), "example.test") }()
	s.Await(t, 2)
	r.Close()
	if a := <-done; a.Status != lookup.Failed {
		t.Errorf("MX = %+v from a closed resolver", a)
	}
	if a := r.MX(t.Context(), "null.example.test"); a.Status != lookup.Failed || a.Why != errClosed.Error() {
		t.Errorf("MX = %+v from a closed resolver", a)
	}
	if a := r.Addrs(t.Context(), "mx1.example.test", false); a.Status != lookup.Insecure {
		t.Errorf("Addrs = %+v, though the cache knows", a)
	}
}

func TestNoServers(t *testing.T) {
	r := New(Options{})
	t.Cleanup(r.Close)
	if a := r.MX(t.Context(), "example.test"); a.Status != lookup.Failed || a.Why != errNoServer.Error() {
		t.Errorf("MX = %+v without servers", a)
	}
}

func TestIPv6Server(t *testing.T) {
	s := mtatest.NewDNSServerAt(t, netip.IPv6Loopback(), zone)
	r := newResolver(t, ample, s)
	if a := r.Addrs(t.Context(), "mx1.example.test", true); addrs(a) != "2001:db8::1" {
		t.Errorf("Addrs = %+v", a)
	}
}

func TestSourceAddress(t *testing.T) {
	source := netip.MustParseAddr("127.0.0.9")
	s := mtatest.NewDNSServer(t, zone)
	v6 := mtatest.NewDNSServerAt(t, netip.IPv6Loopback(), zone)
	s.Script("example.test", "MX", mtatest.OverUDP(mtatest.Truncated))
	r := New(Options{})
	t.Cleanup(r.Close)
	r.Configure(Settings{Servers: inOrder(s), Source: source, Timeout: ample})
	r.MX(t.Context(), "example.test")
	for _, q := range s.Queries() {
		if q.From.Addr() != source {
			t.Errorf("question over TCP %v came from %v, want %v", q.TCP, q.From, source)
		}
	}
	r.Configure(Settings{Servers: inOrder(v6), Source: source, Timeout: ample})
	if a := r.MX(t.Context(), "example.test"); a.Status != lookup.Insecure {
		t.Errorf("MX = %+v: a source address of the other family stood in the way", a)
	}
}

func TestProbe(t *testing.T) {
	s := mtatest.NewDNSServer(t, `. IN NS a.root.test.`)
	r := newResolver(t, ample)
	if err := r.Probe(t.Context(), s.Addr()); err != ErrNoDNSSEC {
		t.Errorf("Probe = %v, want ErrNoDNSSEC", err)
	}
	s.Script(".", "NS", mtatest.Changed(func(m *mdns.Msg) {
		rr, err := mdns.NewRR(". 3600 IN RRSIG NS 8 0 3600 20300101000000 20250101000000 20326 . AAAA")
		if err != nil {
			panic(err)
		}
		m.Answer = append(m.Answer, rr)
	}))
	if err := r.Probe(t.Context(), s.Addr()); err != nil {
		t.Errorf("Probe = %v for a server that passes signatures on", err)
	}
	s.Script(".", "NS", mtatest.Refused)
	if err := r.Probe(t.Context(), s.Addr()); err == nil || !strings.Contains(err.Error(), "Refused") {
		t.Errorf("Probe = %v, want Refused", err)
	}
	s.Close()
	if err := r.Probe(t.Context(), s.Addr()); err == nil {
		t.Error("Probe succeeded at a closed port")
	}
}
