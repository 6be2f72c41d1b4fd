package dns

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"esa/mta/dnssec"
	"esa/mta/lookup"
	"esa/mta/maillog"
	"esa/mta/mtatest"

	mdns "github.com/miekg/dns"
)

var signedZones = []mtatest.Zone{
	{Name: "."},
	{Name: "test."},
	{Name: "ex.test.", Text: `
@ MX 10 mx
@ MX 20 alias
mx A 127.0.0.1
mx AAAA ::1
alias CNAME host.un.test.
_25._tcp.mx TLSA 3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
_25._tcp.mx TLSA 2 0 1 ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100
`},
	{Name: "un.test.", Unsigned: true, Text: "host A 127.0.0.2\n@ MX 10 host\n"},
}

// newSigned makes a resolver that trusts a lab and asks servers for it.
func newSigned(t testing.TB, o Options, lab *mtatest.Lab, servers ...*mtatest.DNSServer) *Resolver {
	t.Helper()
	anchors, err := dnssec.ParseAnchors(lab.Anchor("."))
	if err != nil {
		t.Fatal(err)
	}
	r := New(o)
	t.Cleanup(r.Close)
	r.Configure(Settings{
		Servers: inOrder(servers...), Timeout: ample, MinTTL: 2 * time.Hour,
		DNSSEC: dnssec.Policy{Skew: dnssec.DefaultSkew, Anchor: anchors},
	})
	return r
}

func TestChecked(t *testing.T) {
	lab := mtatest.NewLab(t, time.Now(), signedZones...)
	r := newSigned(t, Options{}, lab, mtatest.NewLabServer(t, lab)).Checked()
	mx := r.MX(t.Context(), "EX.test")
	if mx.Status != lookup.Secure || len(mx.Records) != 2 || mx.TTL > time.Hour {
		t.Errorf("MX: %+v", mx)
	}
	if a := r.Addrs(t.Context(), "mx.ex.test", true); a.Status != lookup.Secure || len(a.Addrs) != 1 {
		t.Errorf("AAAA: %+v", a)
	}
	a := r.Addrs(t.Context(), "alias.ex.test", false)
	if a.Status != lookup.Insecure || a.Alias != lookup.Secure || a.Canonical != "host.un.test" || len(a.Addrs) != 1 {
		t.Errorf("a secure alias of an insecure host: %+v", a)
	}
	tlsa := r.TLSA(t.Context(), "_25._tcp.mx.ex.test")
	if tlsa.Status != lookup.Secure || len(tlsa.Records) != 2 || !strings.HasPrefix(tlsa.Records[0].String(), "3 1 1 0011") {
		t.Errorf("TLSA: %+v", tlsa)
	}
	if tlsa := r.TLSA(t.Context(), "_25._tcp.nothing.ex.test"); tlsa.Status != lookup.Secure || !tlsa.NXDomain || len(tlsa.Records) != 0 {
		t.Errorf("no TLSA: %+v", tlsa)
	}
	if tlsa := r.TLSA(t.Context(), "_25._tcp.host.un.test"); tlsa.Status != lookup.Insecure || len(tlsa.Records) != 0 {
		t.Errorf("no TLSA in an unsigned zone: %+v", tlsa)
	}
	if mx := r.MX(t.Context(), "localhost"); mx.Status != lookup.Insecure {
		t.Errorf("localhost: %+v", mx)
	}
}

// V-60: mail that asks for no proof goes on where servers strip signatures; who
// asks for it is told, and the two do not share a cache.
func TestStrippingServer(t *testing.T) {
	lab := mtatest.NewLab(t, time.Now(), signedZones...)
	server := mtatest.NewLabServer(t, lab)
	server.Usually(mtatest.Stripped)
	r := newSigned(t, Options{}, lab, server)
	if mx := r.MX(t.Context(), "ex.test"); mx.Status != lookup.Insecure || len(mx.Records) != 2 {
		t.Errorf("not checked: %+v", mx)
	}
	mx := r.Checked().MX(t.Context(), "ex.test")
	if mx.Status != lookup.Bogus || mx.Usable() || len(mx.Records) > 0 || mx.Why != "DNSKEY . has no signature of the zone ." {
		t.Errorf("checked: %+v", mx)
	}
	if mx := r.MX(t.Context(), "ex.test"); mx.Status != lookup.Insecure || len(mx.Records) != 2 {
		t.Errorf("not checked, afterwards: %+v", mx)
	}
}

// C7, V-60, V-62: what one server has lost another may have; the first is asked last from
// then on.
func TestNextServerAfterBogus(t *testing.T) {
	lab := mtatest.NewLab(t, time.Now(), signedZones...)
	lame, good := mtatest.NewLabServer(t, lab), mtatest.NewLabServer(t, lab)
	lame.Usually(mtatest.Stripped)
	var told watcher
	r := newSigned(t, Options{Watch: &told}, lab, lame, good)
	if mx := r.Checked().MX(t.Context(), "ex.test"); mx.Status != lookup.Secure {
		t.Errorf("with a good second server: %+v", mx)
	}
	asked := len(lame.Queries())
	if a := r.Checked().Addrs(t.Context(), "mx.ex.test", false); a.Status != lookup.Secure {
		t.Errorf("address: %+v", a)
	}
	if again := len(lame.Queries()); again != asked {
		t.Errorf("the server that strips signatures was asked %d times more", again-asked)
	}
	if want := lame.Addr().String() + ": DNSKEY . has no signature of the zone ."; len(told.lame) == 0 || told.lame[0] != want || len(told.anchorless) > 0 {
		t.Errorf("told %+v, want %s", told, want)
	}
}

// watcher notes what it is told.
type watcher struct {
	lame, anchorless []string
}

func (w *watcher) Lame(server netip.AddrPort, why string) {
	w.lame = append(w.lame, server.String()+": "+why)
}
func (w *watcher) Anchorless(zone, why string) { w.anchorless = append(w.anchorless, zone+": "+why) }

// V-24: where the clock is wrong the root's keys are what fails, and that is
// told, not that names are bogus.
func TestWrongClock(t *testing.T) {
	lab := mtatest.NewLab(t, time.Now(), signedZones...)
	var told watcher
	later := func() time.Time { return time.Now().AddDate(0, 3, 0) }
	r := newSigned(t, Options{Watch: &told, Clock: later}, lab, mtatest.NewLabServer(t, lab))
	if mx := r.Checked().MX(t.Context(), "ex.test"); mx.Status != lookup.Bogus {
		t.Errorf("%+v", mx)
	}
	if len(told.anchorless) != 1 || !strings.HasPrefix(told.anchorless[0], ".: the signature of DNSKEY . expired at") || len(told.lame) > 0 {
		t.Errorf("%+v", told)
	}
}

// V-27: a bogus answer is kept for a short time of its own.
func TestBogusIsRemembered(t *testing.T) {
	lab := mtatest.NewLab(t, time.Now(), signedZones...)
	server := mtatest.NewLabServer(t, lab)
	now := time.Now()
	r := newSigned(t, Options{Clock: func() time.Time { return now }}, lab, server)
	server.Script("ex.test", "MX", mtatest.Changed(func(m *mdns.Msg) { m.Answer[0].(*mdns.MX).Preference++ }), mtatest.Honest)
	for _, tt := range []struct {
		after  time.Duration
		status lookup.Status
	}{{0, lookup.Bogus}, {bogusTTL - time.Second, lookup.Bogus}, {time.Second, lookup.Secure}} {
		now = now.Add(tt.after)
		if mx := r.Checked().MX(t.Context(), "ex.test"); mx.Status != tt.status {
			t.Errorf("after %v: %+v", tt.after, mx)
		}
	}
}

// V-67: keys that nobody gives make the answer fail, not bogus.
func TestKeysUnanswered(t *testing.T) {
	lab := mtatest.NewLab(t, time.Now(), signedZones...)
	server := mtatest.NewLabServer(t, lab)
	r := newSigned(t, Options{}, lab, server)
	server.Script("ex.test", "DNSKEY", mtatest.ServFail)
	if mx := r.Checked().MX(t.Context(), "ex.test"); mx.Status != lookup.Failed || mx.Why != "DNSKEY of ex.test.: ServFail" {
		t.Errorf("%+v", mx)
	}
}

// V-64: a key set that does not fit into a datagram.
func TestTruncatedKeys(t *testing.T) {
	lab := mtatest.NewLab(t, time.Now(), signedZones...)
	server := mtatest.NewLabServer(t, lab)
	server.Script("ex.test", "DNSKEY", mtatest.OverUDP(mtatest.Changed(func(m *mdns.Msg) { m.Answer, m.Truncated = nil, true })))
	r := newSigned(t, Options{}, lab, server)
	if mx := r.Checked().MX(t.Context(), "ex.test"); mx.Status != lookup.Secure {
		t.Errorf("%+v", mx)
	}
}

func BenchmarkCheckedHit(b *testing.B) {
	lab := mtatest.NewLab(b, time.Now(), signedZones...)
	r := newSigned(b, Options{}, lab, mtatest.NewLabServer(b, lab)).Checked()
	r.MX(b.Context(), "ex.test")
	for b.Loop() {
		if r.MX(context.Background(), "ex.test").Status != lookup.Secure {
			b.Fatal("not secure")
		}
	}
}

func BenchmarkCheckedCold(b *testing.B) {
	lab := mtatest.NewLab(b, time.Now(), signedZones...)
	r := newSigned(b, Options{}, lab, mtatest.NewLabServer(b, lab))
	for b.Loop() {
		r.Flush()
		if r.Checked().MX(context.Background(), "ex.test").Status != lookup.Secure {
			b.Fatal("not secure")
		}
	}
}

func TestProve(t *testing.T) {
	zones := append(slices.Clone(signedZones), mtatest.Zone{Name: "odd.test.", Text: "@ TYPE65280 \\# 2 abcd\n"})
	lab := mtatest.NewLab(t, time.Now(), zones...)
	server := mtatest.NewLabServer(t, lab)
	r := newSigned(t, Options{}, lab, server)
	own, err := dnssec.ParseAnchors(lab.Anchor("ex.test"))
	if err != nil {
		t.Fatal(err)
	}
	silent := mtatest.NewLabServer(t, lab)
	silent.Usually(mtatest.ServFail)
	for _, tt := range []struct {
		query ProofQuery
		want  string
		why   string
		last  string // of the chain
	}{
		{ProofQuery{Name: "EX.test.", Type: "mx"}, "SECURE NOERROR", "", "MX ex.test.: secure, signed by ex.test."},
		{ProofQuery{Name: "odd.test", Type: "type65280"}, "SECURE NOERROR", "", "TYPE65280 odd.test.: secure, signed by odd.test."},
		{ProofQuery{Name: "none.ex.test", Type: "A"}, "SECURE NXDOMAIN", "", "A none.ex.test.: none, secure, proven by ex.test."},
		{ProofQuery{Name: "mx.ex.test", Type: "MX"}, "SECURE NODATA", "", "MX mx.ex.test.: none, secure, proven by ex.test."},
		{ProofQuery{Name: "192.0.2.1", Type: "PTR"}, "SECURE NXDOMAIN", "", "PTR 1.2.0.192.in-addr.arpa.: none, secure, proven by ."},
		{ProofQuery{Name: "un.test", Type: "MX"}, "INSECURE NOERROR", "the zone un.test. is not signed, as test. proves", "MX un.test.: not protected, the zone un.test. is not signed, as test. proves"},
		{ProofQuery{Name: "ex.test", Type: "MX", Anchors: &own}, "SECURE NOERROR", "", "MX ex.test.: secure, signed by ex.test."},
		{ProofQuery{Name: "un.test", Type: "MX", Anchors: &own}, "INDETERMINATE NOERROR", "no trust anchor covers un.test.", "MX un.test.: not protected, no trust anchor covers un.test."},
		{ProofQuery{Name: "ex.test", Type: "MX", At: time.Now().AddDate(0, 2, 0)}, "BOGUS SERVFAIL", "the signature of DNSKEY . expired at", "Trust anchor for ."},
		{ProofQuery{Name: "ex.test", Type: "MX", Server: silent.Addr()}, "INDETERMINATE SERVFAIL", "ServFail", ""},
	} {
		p, err := r.Prove(t.Context(), tt.query)
		last := ""
		if len(p.Chain) > 0 {
			last = p.Chain[len(p.Chain)-1]
		}
		if err != nil || p.State+" "+p.Code != tt.want || !strings.HasPrefix(p.Why, tt.why) || p.State == "SECURE" != (p.Why == "") || last != tt.last {
			t.Errorf("%+v: %+v, %v", tt.query, p, err)
		}
	}
	for _, bad := range []string{"", "ANY", "AXFR", "RRSIG", "OPT", "TYPE", "TYPE99999", "NOSUCH"} {
		if _, err := r.Prove(t.Context(), ProofQuery{Name: "ex.test", Type: bad}); !errors.Is(err, ErrQueryType) {
			t.Errorf("type %q: %v", bad, err)
		}
	}
	if _, err := r.Prove(t.Context(), ProofQuery{Name: "a..b", Type: "A"}); err == nil {
		t.Error("an impossible name is asked for")
	}
	odd, _ := r.Prove(t.Context(), ProofQuery{Name: "odd.test", Type: "TYPE65280"})
	if want := []string{`odd.test. 3600 IN TYPE65280 \# 2 abcd`}; !slices.Equal(odd.Records, want) {
		t.Errorf("an unknown type: %q, want %q", odd.Records, want)
	}
}

// TestProve_SuppositionsAlarmNobody: what fails at another time, or with other
// servers or anchors than the configured ones, is not told as a fault of these.
func TestProve_SuppositionsAlarmNobody(t *testing.T) {
	lab := mtatest.NewLab(t, time.Now(), signedZones...)
	lame, good := mtatest.NewLabServer(t, lab), mtatest.NewLabServer(t, lab)
	lame.Usually(mtatest.Stripped)
	anchor := func(lab *mtatest.Lab) *dnssec.Anchors {
		anchors, err := dnssec.ParseAnchors(lab.Anchor("."))
		if err != nil {
			t.Fatal(err)
		}
		return &anchors
	}
	own, foreign := anchor(lab), anchor(mtatest.NewLab(t, time.Now(), mtatest.Zone{Name: "."}))
	both, alone := []*mtatest.DNSServer{lame, good}, []*mtatest.DNSServer{lame}
	for _, tt := range []struct {
		name             string
		query            ProofQuery
		servers          []*mtatest.DNSServer
		state            string
		lame, anchorless bool // told
	}{
		{"another time", ProofQuery{At: time.Now().AddDate(0, 2, 0)}, both, "BOGUS", false, false},
		{"a time that will do", ProofQuery{At: time.Now()}, both, "SECURE", false, false},
		{"another server", ProofQuery{Server: lame.Addr()}, both, "BOGUS", false, false},
		{"other anchors", ProofQuery{Anchors: foreign}, both, "BOGUS", false, false},
		{"anchors that will do", ProofQuery{Anchors: own}, both, "SECURE", false, false},
		{"as it is", ProofQuery{}, both, "SECURE", true, false},
		{"as it is, with one server", ProofQuery{}, alone, "BOGUS", false, true},
	} {
		var told watcher
		log, lines := warnings(t)
		r := newSigned(t, Options{Watch: &told, Log: log}, lab, tt.servers...)
		tt.query.Name, tt.query.Type = "ex.test", "MX"
		if p, err := r.Prove(t.Context(), tt.query); err != nil || p.State != tt.state {
			t.Errorf("%s: %+v, %v", tt.name, p, err)
		}
		if len(told.lame) > 0 != tt.lame || len(told.anchorless) > 0 != tt.anchorless {
			t.Errorf("%s: told %+v", tt.name, told)
		}
		if got := lines(); strings.Contains(got, "invalid DNSSEC Response") != (tt.lame || tt.anchorless) {
			t.Errorf("%s: in the mail log:\n%s", tt.name, got)
		}
	}
}

// warnings makes a mail log of warnings only, and gives what reads its lines.
func warnings(t *testing.T) (log *maillog.Log, lines func() string) {
	t.Helper()
	dir := t.TempDir()
	log, err := maillog.Open(dir, maillog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	err = log.Configure([]maillog.Subscription{{Name: "mail", FileName: "mail", Level: maillog.Warning, MaxSize: 1 << 20, MaxFiles: 2}}, maillog.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	return log, func() string { return logLines(t, filepath.Join(dir, "mail")) }
}

// What does not validate is shown with its status: mail without DANE sees it.
func TestQueryStatus(t *testing.T) {
	lab := mtatest.NewLab(t, time.Now(), signedZones...)
	server := mtatest.NewLabServer(t, lab)
	r := newSigned(t, Options{}, lab, server)
	server.Script("mx.ex.test", "A", mtatest.Stripped)
	for _, tt := range []struct {
		name, queryType string
		status          lookup.Status
	}{
		{"ex.test", "MX", lookup.Secure}, {"un.test", "MX", lookup.Insecure}, {"mx.ex.test", "A", lookup.Bogus},
		{"_25._tcp.mx.ex.test", "TLSA", lookup.Secure}, {"ex.test", "DS", lookup.Secure}, {"ex.test", "DNSKEY", lookup.Secure},
	} {
		a, err := r.Query(t.Context(), tt.name, tt.queryType)
		if err != nil || a.Status != tt.status || len(a.Records) == 0 || a.Status == lookup.Bogus != (a.Why != "") {
			t.Errorf("%+v: %+v, %v", tt, a, err)
		}
	}
}
