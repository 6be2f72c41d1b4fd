package delivery

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"esa/mta/dane"
	"esa/mta/envelope"
	"esa/mta/mtatest"
	"esa/mta/route"
)

// recordsOf makes a domain with two hosts: of the first these are the records,
// of the second the one of the good certificate.
func recordsOf(good tls.Certificate, records ...string) []mtatest.Zone {
	text := "@ MX 10 a\n@ MX 20 b\na A 192.0.2.1\nb A 192.0.2.2\n_25._tcp.b TLSA " + published(good, 0, "3 1 1") + "\n"
	for _, r := range records {
		text += "_25._tcp.a TLSA " + r + "\n"
	}
	return []mtatest.Zone{ex(text)}
}

// protected are the vectors of reference dane-dnssec 3.2 to 3.5 that are about
// more than the certificate itself: dane's own tests have those.
func protected(t *testing.T, a *mtatest.Authority, good tls.Certificate) []vector {
	stranger := mtatest.NewAuthority(t, "Other CA").Issue(t, mtatest.CertificateSpec{DNSNames: []string{"a.ex.test"}})
	named := func(name string, end time.Time) tls.Certificate {
		return a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{name}, NotAfter: end})
	}
	whole := func(c tls.Certificate) tls.Certificate {
		c.Certificate = append(c.Certificate[:1:1], a.Certificate.Raw)
		return c
	}
	tlsa := published(good, 0, "3 1 1")
	const wrong = "3 1 1 abababababababababababababababababababababababababababababababab"
	const unusable = "1 1 1 abababababababababababababababababababababababababababababababab"
	anchor := published(whole(good), 1, "2 0 1")
	ancient := speaks(good)
	ancient.TLS.MaxVersion, ancient.TLS.MinVersion = tls.VersionTLS11, tls.VersionTLS10
	unreadable := good // a record can name it, but Go ends the handshake before anybody asks
	unreadable.Certificate = [][]byte{bytes.Replace(good.Certificate[0], []byte{0xa0, 3, 2, 1, 2}, []byte{0xa0, 3, 2, 1, 9}, 1)}
	twelve := speaks(good)
	twelve.TLS.MaxVersion = tls.VersionTLS12
	injects := within(good, "none", "")
	injects.Answer = replies(map[string]string{"STARTTLS": "220 go ahead\n250-evil\n250 SIZE 1"})
	fine := speaks(good)
	pair := func(first mtatest.PeerScript) []mtatest.PeerScript { return []mtatest.PeerScript{first, fine} }
	failed := func(reason, why string) string {
		return "DCID 1 MID 7 DANE failed for ex.test host a.ex.test reason: " + reason + ": " + why
	}
	const first, second = "delivered 1+", "delivered 1 2+"
	all := []vector{
		{id: "D-40 D-46 none usable, no TLS", zones: recordsOf(good, unusable), hosts: pair(mtatest.PeerScript{}), opp: second, man: "delivered 2+",
			log: failed("starttls-not-supported", "a.ex.test does not offer STARTTLS\n")},
		{id: "D-40 D-47 none usable, TLS", zones: recordsOf(good, unusable), hosts: pair(speaks(stranger)), opp: first, man: "delivered 2+",
			log: "MID 7 DANE requires unauthenticated TLS for ex.test host a.ex.test: no TLSA record of a.ex.test can be used: any certificate will do\n" +
				"DCID 1 TLS success protocol TLSv1.3 cipher TLS_AES_128_GCM_SHA256\n"},
		{id: "D-41", zones: recordsOf(good, unusable, tlsa), opp: first, man: first},
		{id: "D-48", zones: recordsOf(good, tlsa, "3 1 2 "+strings.Repeat("ab", 64)), opp: second, man: second},
		{id: "D-49", zones: recordsOf(good, tlsa, "3 0 2 "+strings.Repeat("ab", 64)), opp: first, man: first},
		{id: "D-53", zones: recordsOf(good, append(manyRecords(99), tlsa)...), opp: first, man: first},
		{id: "D-60 D-61 D-62", zones: recordsOf(good, published(stranger, 0, "3 1 1")), hosts: pair(speaks(stranger)), opp: first, man: first},
		{id: "no match", zones: recordsOf(good, wrong), opp: second, man: second, log: failed("tlsa-invalid", "the certificate fits no TLSA record\n")},
		{id: "D-70 D-76 trust anchor", zones: recordsOf(good, anchor), hosts: pair(speaks(whole(named("a.ex.test", time.Time{})))), opp: first, man: first},
		{id: "D-77 next-hop domain", zones: recordsOf(good, anchor), hosts: pair(speaks(whole(named("ex.test", time.Time{})))), opp: first, man: first},
		{id: "D-76 another name", zones: recordsOf(good, anchor), hosts: pair(speaks(whole(named("b.ex.test", time.Time{})))), opp: second, man: second,
			log: failed("certificate-host-mismatch", "the certificate is for b.ex.test, not for a.ex.test\n")},
		{id: "D-72 anchor not sent", zones: recordsOf(good, anchor), hosts: pair(speaks(named("a.ex.test", time.Time{}))), opp: second, man: second},
		{id: "D-83 expired", zones: recordsOf(good, anchor),
			hosts: pair(speaks(whole(named("a.ex.test", time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC))))), opp: second, man: second,
			log: failed("certificate-expired", "the certificate expired on 2001-01-01\n")},
		{id: "D-91", zones: recordsOf(good, tlsa), hosts: pair(mtatest.PeerScript{}), opp: second, man: second,
			log: failed("starttls-not-supported", "a.ex.test does not offer STARTTLS\n")},
		{id: "D-92", zones: recordsOf(good, tlsa), hosts: pair(starttls("454 TLS not available")), opp: second, man: second,
			log: failed("starttls-refused", "STARTTLS was answered with 454 TLS not available\n")},
		{id: "D-93", zones: recordsOf(good, tlsa), hosts: pair(after220(func(*mtatest.PeerConn) string { return mtatest.PeerDrop })), opp: second, man: second,
			log: failed("tls-handshake-failed", "Unexpected EOF\n")},
		{id: "D-66", zones: recordsOf(good, tlsa), hosts: pair(speaks(unreadable)), opp: second, man: second,
			log: failed("tls-handshake-failed", "")},
		{id: "D-94 1.1", zones: recordsOf(good, tlsa), hosts: pair(ancient), opp: second, man: second},
		{id: "D-94 1.2", zones: recordsOf(good, tlsa), hosts: pair(twelve), opp: first, man: first},
		{id: "D-94 unusable, 1.1", zones: recordsOf(good, unusable), hosts: pair(ancient), opp: second, man: "delivered 2+"},
		{id: "D-98", zones: recordsOf(good, tlsa), hosts: pair(injects), opp: first, man: first},
	}
	return all
}

func manyRecords(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("3 1 1 %064x", i))
	}
	return all
}

func TestDANEConnections(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	good := a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"mx.ex.test"}})
	for _, v := range protected(t, a, good) {
		v.run(t, good)
	}
}

// A failure leaves the same word in the log, in what waits with the message,
// and in the alert; and nothing was sent in clear.
func TestDANEReasonIsTheSameEverywhere(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	good := a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"mx.ex.test"}})
	zone := "@ MX 10 a\na A 192.0.2.1\n_25._tcp.a TLSA "
	tlsa, wrong := published(good, 0, "3 1 1"), "3 1 1 "+strings.Repeat("ab", 32)
	for _, tt := range []struct {
		reason  string
		records string
		spoil   func(*mtatest.DNSServer)
		host    mtatest.PeerScript
	}{
		{"tlsa-invalid", wrong, nil, speaks(good)},
		{"starttls-not-supported", tlsa, nil, mtatest.PeerScript{}},
		{"starttls-refused", tlsa, nil, starttls("454 no")},
		{"tls-handshake-failed", tlsa, nil, after220(func(*mtatest.PeerConn) string { return mtatest.PeerDrop })},
		{"dns-failure", tlsa, servfail("_25._tcp.a.ex.test", "TLSA"), speaks(good)},
		{"dnssec-invalid", tlsa, forged("_25._tcp.a.ex.test", "TLSA"), speaks(good)},
		{"dnssec-invalid", tlsa, forged("ex.test", "MX"), speaks(good)},
	} {
		w := newLab(t, []mtatest.Zone{ex(zone + tt.records)}, tt.host)
		if tt.spoil != nil {
			tt.spoil(w.server)
		}
		out := w.deliver(relayed("ex.test"))[0]
		if string(out.Failure.Reason) != tt.reason || out.Failure.Permanent || out.HostDown {
			t.Errorf("%s: %+v", tt.reason, out)
		}
		if text := strings.Join(out.Failure.Reply, " "); !strings.HasPrefix(text, tt.reason+": ") {
			t.Errorf("%s: the message waits for %q", tt.reason, text)
		}
		if !strings.Contains(w.outcomes(), " reason: "+tt.reason+": ") {
			t.Errorf("%s: log:\n%s", tt.reason, w.log())
		}
		if len(w.bell.rung) != 1 || !strings.HasSuffix(w.bell.rung[0], tt.reason) || !strings.HasPrefix(w.bell.rung[0], "ex.test ") {
			t.Errorf("%s: alerts %q", tt.reason, w.bell.rung)
		}
		if len(w.peers[0].Messages()) > 0 || strings.Contains(strings.Join(w.peers[0].Commands(), " "), "MAIL") {
			t.Errorf("%s: the mail went out", tt.reason)
		}
	}
}

// C3: opportunistic is for mail from hosts that may relay, and what is made
// here; mandatory is for all that leaves by DNS. Routes other than USEDNS make
// DANE fail (C2).
func TestDANEByFlowAndRoute(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	good := a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"mx.ex.test"}})
	tlsa := published(good, 0, "3 1 1")
	zones := []mtatest.Zone{ex("@ MX 10 mx\nmx A 192.0.2.1\n_25._tcp.mx TLSA " + tlsa), {Name: "relay.test.",
		Text: "@ MX 10 in\nin A 192.0.2.1\n_25._tcp.in TLSA " + tlsa + "\n_2525._tcp.in TLSA " + tlsa}}
	const (
		accept  = "MID 7 DANE is not used for ex.test: the message was not taken under a RELAY policy\n"
		routed  = "MID 7 DANE failed for ex.test reason: dane-required: mail for the domain goes by an SMTP route\n"
		success = "TLSv1.3 cipher TLS_AES_128_GCM_SHA256 for ex.test\n"
	)
	const relay, taken, own = 'r', 'a', 'o'
	const opp, man = dane.Opportunistic, dane.Mandatory
	for _, tt := range []struct {
		name  string
		route string // host of the route
		rfc   bool   // RouteHosts
		flow  rune
		mode  dane.Mode
		want  string
		log   string
	}{
		{"relayed", "", false, relay, opp, "delivered 1+", success},
		{"accepted", "", false, taken, opp, "delivered 1", accept},
		{"made here", "", false, own, opp, "delivered 1+", success},
		{"accepted, mandatory", "", false, taken, man, "delivered 1+", success},
		{"off", "", false, relay, dane.Off, "delivered 1", ""},
		{"USEDNS", "USEDNS", false, relay, opp, "delivered 1+", success},
		{"route", "relay.test", false, relay, opp, nobody, routed},
		{"route, mandatory", "relay.test", false, relay, man, nobody, routed},
		{"route, accepted", "relay.test", false, taken, opp, "delivered 1", accept},
		{"route, accepted, mandatory", "relay.test", false, taken, man, "delivered 1", accept},
		{"route by the RFC", "relay.test", true, relay, opp, "delivered 1+", "for relay.test\n"},
		{"D-29 port of the route", "[in.relay.test]:2525", true, relay, man, "delivered 1+", "for in.relay.test\n"},
		{"port without records", "[in.relay.test]:26", true, relay, opp, "delivered 1", "there is no TLSA record for in.relay.test\n"},
		{"route to an address", "192.0.2.1", true, relay, opp, "delivered 1", "192.0.2.1 is an address, which has no TLSA record\n"},
		{"route to an address, mandatory", "192.0.2.1", true, relay, man, nobody, "reason: dane-required: 192.0.2.1 is an address"},
		{"nothing", "/dev/null", false, relay, man, "discarded", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newLab(t, zones, speaks(good))
			w.wants(tt.mode, NoTLS)
			w.configure(func(s *Settings) {
				s.DANE.RouteHosts = tt.rfc
				if tt.route != "" {
					s.Routes = route.NewTable([]route.Route{routeTo(tt.route)})
				}
			})
			j := relayed("ex.test")
			j.Message.Relay = tt.flow == relay
			if tt.flow == own {
				j.Message.Listener = ""
			}
			if got := w.went(j); got != tt.want {
				t.Errorf("went %s, want %s", got, tt.want)
			}
			lines := w.outcomes()
			if !strings.Contains(lines, tt.log) || tt.log == "" && lines != "" {
				t.Errorf("log:\n%swant in it:\n%s", w.log(), tt.log)
			}
		})
	}
}

// routeTo is a route of ex.test to a host as smtproutes words it.
func routeTo(host string) route.Route {
	r := route.Route{Domain: "ex.test", UseDNS: host == "USEDNS", Discard: host == "/dev/null"}
	if r.UseDNS || r.Discard {
		return r
	}
	h := route.Host{Name: host}
	if name, port, ok := strings.Cut(host, "]:"); ok {
		h.Bracketed, h.Name = true, strings.TrimPrefix(name, "[")
		fmt.Sscan(port, &h.Port)
	}
	r.Hosts = []route.Host{h}
	return r
}

// The modes of TLS beside DANE: it stays in force where DANE does not apply,
// never weakens what DANE demands, and is satisfied by a match.
func TestDANEAndTLSModes(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	good := a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"mx.ex.test"}})
	zone := "@ MX 10 mx\nmx A 192.0.2.1\n"
	tlsa, unusable := "_25._tcp.mx TLSA "+published(good, 0, "3 1 1"), "_25._tcp.mx TLSA 1 1 1 "+strings.Repeat("ab", 32)
	clear, encrypted := mtatest.PeerScript{}, speaks(good)
	for _, tt := range []struct {
		name    string
		records string
		host    mtatest.PeerScript
		want    string // by mode
	}{
		{"no records, no TLS", "", clear, "clear clear clear waits waits waits"},
		{"no records, TLS", "", encrypted, "clear TLS TLS TLS waits waits"},
		{"records, no TLS", tlsa, clear, "waits waits waits waits waits waits"},
		{"records, TLS", tlsa, encrypted, "TLS TLS TLS TLS TLS TLS"},
		{"unusable, no TLS", unusable, clear, "waits waits waits waits waits waits"},
		{"unusable, TLS", unusable, encrypted, "TLS TLS TLS TLS waits waits"},
	} {
		var got []string
		for _, mode := range modes() {
			w := newLab(t, []mtatest.Zone{ex(zone + tt.records)}, tt.host)
			w.wants(dane.Opportunistic, mode)
			w.deliver(relayed("ex.test"))
			switch m := w.peers[0].Messages(); {
			case len(m) == 0:
				got = append(got, "waits")
			case m[0].TLS == "":
				got = append(got, "clear")
			default:
				got = append(got, "TLS")
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, got, tt.want)
		}
	}
}

// D-78, C8: the host that an INSECURE MX record names may be authenticated, and
// the log does not say that the domain was.
func TestDANEForHostsOfInsecureMX(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	good := a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"mx.ex.test"}})
	zones := []mtatest.Zone{ex("mx A 192.0.2.1\n_25._tcp.mx TLSA " + published(good, 0, "3 1 1")),
		{Name: "far.test.", Unsigned: true, Text: "@ MX 10 mx.ex.test."}}
	for insecure, want := range map[bool]string{false: "delivered 1", true: "delivered 1+"} {
		w := newLab(t, zones, speaks(good))
		w.configure(func(s *Settings) { s.DANE.InsecureMX = insecure })
		if got := w.went(relayed("far.test")); got != want || strings.Contains(w.log(), " for far.test\n") {
			t.Errorf("%v: went %s, want %s\n%s", insecure, got, want, w.log())
		}
		if w.wants(dane.Mandatory, NoTLS); sum(w.deliver(relayed("far.test"))[0]) != nobody {
			t.Errorf("%v: mandatory went", insecure)
		}
	}
}

// D-17, D-90: the name for the server is the base domain. D-95: only suites that
// authenticate are offered; Go knows no others.
func TestDANEServerName(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	good := a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"mx.ex.test"}})
	host := speaks(good)
	var asked []string
	var suites []uint16
	host.TLS.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		asked = append(asked, h.ServerName)
		suites = h.CipherSuites
		return nil, nil
	}
	w := newLab(t, []mtatest.Zone{ex("@ MX 10 mx\nmx CNAME host.net.test."),
		{Name: "net.test.", Text: "host A 192.0.2.1\n_25._tcp.host TLSA " + published(good, 0, "3 1 1")}}, host)
	if got := w.went(relayed("ex.test")); got != "delivered 1+" {
		t.Fatal(got)
	}
	if len(asked) != 1 || asked[0] != "host.net.test" {
		t.Errorf("asked for %q", asked)
	}
	known := append(tls.CipherSuites(), tls.InsecureCipherSuites()...)
	for _, id := range suites {
		if !slices.ContainsFunc(known, func(s *tls.CipherSuite) bool { return s.ID == id }) {
			t.Errorf("offers suite %#04x", id)
		}
	}
	if len(suites) == 0 {
		t.Error("offers no suite")
	}
}

// D-99: a connection serves another message only where base domain, records
// and accepted names are the same; D-96: a new one is verified anew.
func TestDANEConnectionsAreShared(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	good := a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"mx.ex.test"}})
	tlsa := published(good, 0, "3 1 1")
	zones := []mtatest.Zone{ex("@ MX 10 mx\nmx A 192.0.2.1\n_25._tcp.mx TLSA " + tlsa), {Name: "two.test.", Text: "@ MX 10 mx.ex.test."}}
	resuming := speaks(good)
	resuming.TLS.SessionTicketsDisabled = false
	w := newLab(t, zones, resuming)
	for _, step := range []struct {
		domain string
		mode   dane.Mode
		tls    TLSMode
		want   int
	}{
		{"ex.test", dane.Opportunistic, PreferTLS, 1},
		{"ex.test", dane.Opportunistic, PreferTLS, 1},
		{"ex.test", dane.Mandatory, RequireVerified, 1}, // the same certificates would do
		{"two.test", dane.Mandatory, RequireVerified, 2},
		{"ex.test", dane.Off, PreferTLS, 3},
		{"ex.test", dane.Opportunistic, PreferTLS, 3},
	} {
		w.wants(step.mode, step.tls)
		check(t, w.deliver(relayed(step.domain)), "delivered")
		if n := w.peers[0].Connections(); n != step.want {
			t.Errorf("%+v: %d connections", step, n)
		}
	}
}

// DNS that does not answer holds an attempt for a bounded number of hosts.
func TestDANEBoundsItsLookups(t *testing.T) {
	text := ""
	for i := range 20 {
		text += fmt.Sprintf("@ MX %d h%d\nh%d A 192.0.2.%d\n", i, i, i, i+1)
	}
	w := newLab(t, []mtatest.Zone{ex(text)})
	for i := range 20 {
		servfail(fmt.Sprintf("_25._tcp.h%d.ex.test", i), "TLSA")(w.server)
	}
	check(t, w.deliver(relayed("ex.test")), unproven)
	asked := 0
	for i := range 20 {
		asked += min(1, w.server.Asked(fmt.Sprintf("_25._tcp.h%d.ex.test", i), "TLSA"))
	}
	if asked != maxDecisions || len(w.dialed) > 0 {
		t.Errorf("%d hosts were asked about, dialed %q", asked, w.dialed)
	}
}

// D-94, C12: TLS 1.2 is the least where TLSA records demand TLS, whatever
// sslconfig allows elsewhere.
func TestDANEVersions(t *testing.T) {
	good := mtatest.NewAuthority(t, "Root CA").Issue(t, mtatest.CertificateSpec{DNSNames: []string{"mx.ex.test"}})
	ancient := speaks(good)
	ancient.TLS.MaxVersion, ancient.TLS.MinVersion = tls.VersionTLS11, tls.VersionTLS10
	for mode, want := range map[dane.Mode]string{dane.Off: "delivered 1+", dane.Opportunistic: skipped + "tls-handshake-failed 1"} {
		w := newLab(t, []mtatest.Zone{ex("@ A 192.0.2.1\n_25._tcp TLSA " + published(good, 0, "3 1 1"))}, ancient)
		w.wants(mode, RequireTLS)
		w.configure(func(s *Settings) { s.TLS.Min = tls.VersionTLS10 })
		if got := w.went(relayed("ex.test")); got != want {
			t.Errorf("%d: went %s, want %s", mode, got, want)
		}
	}
}

// Mail that an operator sends to a machine goes there, whatever its domain has.
func TestDANEIsNotForRedirectedMail(t *testing.T) {
	w := newLab(t, []mtatest.Zone{ex("@ A 192.0.2.1")}, mtatest.PeerScript{}, mtatest.PeerScript{})
	w.wants(dane.Mandatory, NoTLS)
	j := relayed("ex.test")
	j.Via = &envelope.Machine{Host: "192.0.2.2"}
	if got := w.went(j); got != "delivered 2" {
		t.Errorf("went %s", got)
	}
	if want := "MID 7 DANE is not used for ex.test: an operator sends the message to another machine\n"; w.outcomes() != want {
		t.Errorf("log:\n%s", w.log())
	}
}

// Nothing is sent where nobody can prove anything.
func TestDANEWithoutProofs(t *testing.T) {
	w := newLab(t, []mtatest.Zone{ex("@ A 192.0.2.1")}, mtatest.PeerScript{})
	w.client.opt.Checked = nil
	check(t, w.deliver(relayed("ex.test")), "deferred 4.3.0 0 local-error")
}
