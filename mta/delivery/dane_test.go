package delivery

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"esa/mta/dane"
	"esa/mta/dns"
	"esa/mta/dnssec"
	"esa/mta/envelope"
	"esa/mta/mtatest"
	"esa/mta/route"
)

// lab is a world whose domains are in signed zones. A host has the address
// 192.0.2.N of peer N.
type lab struct {
	*world
	server *mtatest.DNSServer
	zones  *mtatest.Lab
	bell   bell
}

// newLab makes a world of zones below "test."; of those that are not named the
// last label decides: all below un.test. is not signed.
func newLab(t *testing.T, zones []mtatest.Zone, scripts ...mtatest.PeerScript) *lab {
	t.Helper()
	w := &lab{world: newWorld(t, scripts...)}
	all := append([]mtatest.Zone{{Name: "."}, {Name: "test."}, {Name: "un.test.", Unsigned: true, Text: unsignedText}}, zones...)
	w.zones = mtatest.NewLab(t, time.Now(), all...)
	w.server = mtatest.NewLabServer(t, w.zones)
	resolver := dns.New(dns.Options{})
	anchors, err := dnssec.ParseAnchors(w.zones.Anchor("."))
	if err != nil {
		t.Fatal(err)
	}
	resolver.Configure(dns.Settings{
		Servers: []dns.Server{{Addr: w.server.Addr()}}, Timeout: 20 * time.Second,
		DNSSEC: dnssec.Policy{Skew: dnssec.DefaultSkew, Anchor: anchors},
	})
	w.client.opt.Dial = w.overTCP
	w.client.opt.Resolver, w.client.opt.Checked, w.client.opt.Alerts = resolver, resolver.Checked(), &w.bell
	t.Cleanup(func() {
		w.client.Close()
		resolver.Close()
		for _, p := range w.peers {
			p.Stop()
		}
		w.serving.Wait()
	})
	w.wants(dane.Opportunistic, NoTLS)
	return w
}

// overTCP dials a host through the network of this machine: the end of TLS
// waits for who does not read, as at the other end of a pipe.
func (w *lab) overTCP(ctx context.Context, _ netip.Addr, remote netip.AddrPort) (net.Conn, error) {
	w.mu.Lock()
	w.dialed = append(w.dialed, remote.String())
	w.mu.Unlock()
	host := int(remote.Addr().As4()[3])
	if host > len(w.peers) {
		return nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w.serving.Go(func() {
		if theirs, err := l.Accept(); err == nil {
			l.Close()
			w.peers[host-1].Serve(theirs)
		}
	})
	ours, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		l.Close()
	}
	return ours, err
}

// unsignedText is a provider that is not signed.
const unsignedText = `
@ MX 10 mx
mx A 192.0.2.1
`

// wants puts modes in force for everybody.
func (w *lab) wants(mode dane.Mode, tls TLSMode) {
	w.configure(func(s *Settings) {
		s.Routes, s.Destination = route.NewTable(nil), func(string) Destination { return Destination{DANE: mode, TLS: tls} }
	})
}

// relayed is a message for a domain from a host that may relay.
func relayed(domain string) envelope.Job {
	j := jobFor(domain)
	j.Message.Listener, j.Message.Relay = "OutgoingMail", true
	return j
}

// went delivers a message and says how it went: the outcome, and the peers
// that it was offered to, with "+" where it came there by TLS.
func (w *lab) went(j envelope.Job) string {
	w.t.Helper()
	out := w.deliver(j)
	text := sum(out[0])
	for i, p := range w.peers {
		if p.Connections() == 0 {
			continue
		}
		text += fmt.Sprintf(" %d", i+1)
		if m := p.Messages(); len(m) > 0 && m[len(m)-1].TLS != "" {
			text += "+"
		}
	}
	return text
}

// outcomes gives the lines of the log that tell of TLS and DANE.
func (w *lab) outcomes() string {
	var out strings.Builder
	for line := range strings.Lines(w.log()) {
		if strings.Contains(line, " DANE ") || strings.Contains(line, " TLS ") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// published gives the TLSA record of a certificate: "3 1 1 ab12...".
func published(cert tls.Certificate, depth int, fields string) string {
	c, err := x509.ParseCertificate(cert.Certificate[depth])
	if err != nil {
		panic(err)
	}
	var usage, selector, kind int
	fmt.Sscan(fields, &usage, &selector, &kind)
	data := c.Raw
	if selector == 1 {
		data = c.RawSubjectPublicKeyInfo
	}
	switch kind {
	case 1:
		sum := sha256.Sum256(data)
		data = sum[:]
	case 2:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return fmt.Sprintf("%s %x", fields, data)
}

// vector is a case of the reference: zones, hosts, and how mail for the domain
// goes under both modes, where TLS mode None is in force beside them.
type vector struct {
	id       string
	domain   string // "": ex.test
	zones    []mtatest.Zone
	spoil    func(*mtatest.DNSServer)
	hosts    []mtatest.PeerScript // nil: two that hold the good certificate
	opp, man string
	log      string // that has to be among the lines under opportunistic
}

const (
	skipped  = "deferred 4.7.5 0 "
	nobody   = skipped + "dane-required"
	unproven = skipped + "dns-failure"
	noDNS412 = "deferred 4.1.2 0 "
)

func ex(text string) mtatest.Zone { return mtatest.Zone{Name: "ex.test.", Text: text} }

func servfail(name, qtype string) func(*mtatest.DNSServer) {
	return func(s *mtatest.DNSServer) {
		s.Script(name, qtype, slices.Repeat([]mtatest.Act{mtatest.ServFail}, 100)...)
	}
}

func forged(name, qtype string) func(*mtatest.DNSServer) {
	return func(s *mtatest.DNSServer) {
		s.Script(name, qtype, slices.Repeat([]mtatest.Act{mtatest.Stripped}, 100)...)
	}
}

// servers are the vectors of reference dane-dnssec 3.1.
func servers(good tls.Certificate) []vector {
	tlsa, other := published(good, 0, "3 1 1"), "3 1 1 "+strings.Repeat("ab", 32)
	plain := "@ MX 10 mx\nmx A 192.0.2.1\n_25._tcp.mx TLSA " + tlsa
	two := "@ MX 10 a\n@ MX 20 b\na A 192.0.2.1\nb A 192.0.2.2\n"
	both := two + "_25._tcp.a TLSA " + tlsa + "\n_25._tcp.b TLSA " + tlsa
	alias := "@ MX 10 mx\nmx CNAME host.net.test.\n"
	provider := func(text string) mtatest.Zone { return mtatest.Zone{Name: "net.test.", Text: text} }
	return []vector{
		{id: "D-01", zones: []mtatest.Zone{ex(plain)}, opp: "delivered 1+", man: "delivered 1+",
			log: "DCID 1 TLS success protocol TLSv1.3 cipher TLS_AES_128_GCM_SHA256 for ex.test\n"},
		{id: "D-02 D-03 INSECURE MX", domain: "un.test", opp: "delivered 1", man: nobody,
			log: "MID 7 DANE falls back to the TLS settings for un.test host mx.un.test: the MX record of un.test is INSECURE\n"},
		{id: "D-04 BOGUS MX", zones: []mtatest.Zone{ex(plain)}, spoil: forged("ex.test", "MX"),
			opp: noDNS412 + "dnssec-invalid", man: noDNS412 + "dnssec-invalid", log: "MID 7 DANE failed for ex.test reason: dnssec-invalid: looking up ex.test (MX): "},
		{id: "D-04 failing MX", zones: []mtatest.Zone{ex(plain)}, spoil: servfail("ex.test", "MX"),
			opp: noDNS412 + "dns-failure", man: noDNS412 + "dns-failure", log: "MID 7 DANE failed for ex.test reason: dns-failure: looking up ex.test (MX): "},
		{id: "D-05", zones: []mtatest.Zone{ex(two + "_25._tcp.b TLSA " + tlsa)}, opp: "delivered 1", man: "delivered 2+",
			log: "MID 7 DANE falls back to the TLS settings for ex.test host a.ex.test: there is no TLSA record for a.ex.test\n"},
		{id: "D-06", zones: []mtatest.Zone{ex(both)}, spoil: servfail("_25._tcp.a.ex.test", "TLSA"), opp: "delivered 2+", man: "delivered 2+",
			log: "MID 7 DANE failed for ex.test host a.ex.test reason: dns-failure: the TLSA record of a.ex.test could not be looked up: "},
		{id: "D-06 bogus", zones: []mtatest.Zone{ex(both)}, spoil: forged("_25._tcp.a.ex.test", "TLSA"), opp: "delivered 2+", man: "delivered 2+",
			log: "MID 7 DANE failed for ex.test host a.ex.test reason: dnssec-invalid: the TLSA record of a.ex.test is BOGUS: "},
		{id: "D-06 many addresses", zones: []mtatest.Zone{ex(both + "\na A 192.0.2.11\na A 192.0.2.12\na A 192.0.2.13\na A 192.0.2.14\na A 192.0.2.15")},
			spoil: servfail("_25._tcp.a.ex.test", "TLSA"), opp: "delivered 2+", man: "delivered 2+"},
		{id: "D-07", zones: []mtatest.Zone{ex(both)}, spoil: func(s *mtatest.DNSServer) {
			servfail("_25._tcp.a.ex.test", "TLSA")(s)
			servfail("_25._tcp.b.ex.test", "TLSA")(s)
		}, opp: unproven, man: unproven},
		{id: "D-08", zones: []mtatest.Zone{ex("@ A 192.0.2.1\n_25._tcp TLSA " + tlsa)}, opp: "delivered 1+", man: "delivered 1+", log: " for ex.test\n"},
		{id: "D-09", zones: []mtatest.Zone{ex("@ MX 10 gone\n@ A 192.0.2.1")}, opp: noDNS412 + "no-address", man: noDNS412 + "no-address"},
		{id: "D-10", zones: []mtatest.Zone{ex("@ MX 0 .")}, opp: "bounced 5.1.10 556 null-mx", man: "bounced 5.1.10 556 null-mx"},
		{id: "D-10 beside another", zones: []mtatest.Zone{ex("@ MX 0 .\n" + plain)}, opp: "delivered 1+", man: "delivered 1+"},
		{id: "no such domain", domain: "gone.test", opp: "bounced 5.1.2 0 no-such-domain", man: "bounced 5.1.2 0 no-such-domain"},
		{id: "D-11", domain: "[192.0.2.1]", opp: "delivered 1", man: nobody,
			log: "MID 7 DANE falls back to the TLS settings for [192.0.2.1] host [192.0.2.1]: [192.0.2.1] is an address, which has no TLSA record\n"},
		{id: "D-11 in an MX record", zones: []mtatest.Zone{ex("@ MX 10 192.0.2.1.")}, opp: "delivered 1", man: nobody},
		{id: "D-12", zones: []mtatest.Zone{ex("@ MX 10 mx.un.test.")}, spoil: servfail("_25._tcp.mx.un.test", "TLSA"), opp: "delivered 1", man: nobody,
			log: "MID 7 DANE falls back to the TLS settings for ex.test host mx.un.test: the A record of mx.un.test is INSECURE\n"},
		{id: "D-13", zones: []mtatest.Zone{ex(both)}, spoil: forged("a.ex.test", "A"), opp: "delivered 2+", man: "delivered 2+",
			log: "MID 7 DANE failed for ex.test host a.ex.test reason: dnssec-invalid: looking up a.ex.test (A): "},
		{id: "D-14", zones: []mtatest.Zone{ex(plain)}, spoil: servfail("mx.ex.test", "AAAA"), opp: "delivered 1+", man: "delivered 1+"},
		{id: "D-15", domain: "exchange.org.test", zones: []mtatest.Zone{ex(plain), {Name: "org.test.", Text: "exchange CNAME mail\nmail CNAME ex.test."}},
			opp: "delivered 1+", man: "delivered 1+", log: " for exchange.org.test\n"},
		{id: "D-16", zones: []mtatest.Zone{ex(alias + "_25._tcp.mx TLSA " + tlsa), provider("host A 192.0.2.1")}, opp: "delivered 1+", man: "delivered 1+"},
		{id: "D-17", zones: []mtatest.Zone{ex(alias), provider("host A 192.0.2.1\n_25._tcp.host TLSA " + tlsa)}, opp: "delivered 1+", man: "delivered 1+"},
		{id: "D-18", zones: []mtatest.Zone{ex(alias + "_25._tcp.mx TLSA " + other), provider("host A 192.0.2.1\n_25._tcp.host TLSA " + tlsa)},
			opp: "delivered 1+", man: "delivered 1+"},
		{id: "D-19", zones: []mtatest.Zone{ex("@ MX 10 a\na CNAME b\nb CNAME c\nc A 192.0.2.1\n_25._tcp.b TLSA " + tlsa)}, opp: "delivered 1", man: nobody},
		{id: "D-20", zones: []mtatest.Zone{ex("@ MX 10 mx\nmx CNAME mx.un.test.\n_25._tcp.mx TLSA " + tlsa)}, opp: "delivered 1+", man: "delivered 1+"},
		{id: "D-21", zones: []mtatest.Zone{ex("@ MX 10 alias.out.test."), {Name: "out.test.", Unsigned: true, Text: "alias CNAME host.net.test."},
			provider("host A 192.0.2.1\n_25._tcp.host TLSA " + tlsa)}, opp: "delivered 1", man: nobody},
		{id: "D-22", zones: []mtatest.Zone{ex("@ MX 10 mx\nmx CNAME alias.out.test."), {Name: "out.test.", Unsigned: true, Text: "alias CNAME host.net.test."},
			provider("host A 192.0.2.1\n_25._tcp.host TLSA " + tlsa)}, opp: "delivered 1", man: nobody},
		{id: "D-23", zones: []mtatest.Zone{ex("@ MX 10 a\na CNAME b\nb CNAME a")}, opp: noDNS412 + "dns-failure", man: noDNS412 + "dns-failure"},
		{id: "D-24", zones: []mtatest.Zone{ex("@ MX 10 mx.old\nold DNAME net.test."), provider("mx A 192.0.2.1\n_25._tcp.mx TLSA " + tlsa)}, opp: "delivered 1+", man: "delivered 1+"},
		{id: "D-25", zones: []mtatest.Zone{ex("@ MX 10 mx\nmx A 192.0.2.1\n_25._tcp.mx CNAME x._dane\nx._dane TLSA " + tlsa)}, opp: "delivered 1+", man: "delivered 1+"},
		{id: "D-26", zones: []mtatest.Zone{ex("@ MX 10 mx\nmx A 192.0.2.1\n_25._tcp.mx CNAME t.out.test."), {Name: "out.test.", Unsigned: true, Text: "t TLSA " + tlsa}},
			opp: "delivered 1", man: nobody},
		{id: "D-27", zones: []mtatest.Zone{ex("@ MX 10 mx\nmx A 192.0.2.1\n_25._tcp.mx CNAME x._dane\nx._dane TLSA " + tlsa)},
			spoil: servfail("_25._tcp.mx.ex.test", "TLSA"), opp: unproven, man: unproven},
		{id: "D-27 target", zones: []mtatest.Zone{ex("@ MX 10 mx\nmx A 192.0.2.1\n_25._tcp.mx CNAME x._dane\nx._dane TLSA " + tlsa)}, spoil: func(s *mtatest.DNSServer) {
			s.Script("_25._tcp.mx.ex.test", "TLSA", slices.Repeat([]mtatest.Act{mtatest.AliasOnly}, 100)...)
			servfail("x._dane.ex.test", "TLSA")(s)
		}, opp: unproven, man: unproven},
		{id: "D-28", zones: []mtatest.Zone{ex(alias + "_25._tcp.mx TLSA " + tlsa), provider("host A 192.0.2.1")},
			spoil: servfail("_25._tcp.host.net.test", "TLSA"), opp: unproven, man: unproven},
		{id: "D-30", zones: []mtatest.Zone{{Name: "ex.test.", NSEC3: &mtatest.NSEC3{OptOut: true}, Text: "@ MX 10 mx\nmx A 192.0.2.1"}}, opp: "delivered 1", man: nobody},
		{id: "D-31", zones: []mtatest.Zone{ex("@ MX 10 mx\nmx A 192.0.2.1"), {Name: "_tcp.mx.ex.test.", Unsigned: true, Text: "_25 TLSA " + tlsa}},
			opp: "delivered 1", man: nobody, log: "the TLSA record of mx.ex.test is INSECURE\n"},
		{id: "D-32 algorithm", zones: []mtatest.Zone{{Name: "ex.test.", DS: mtatest.DSName{Algorithm: 200}, Text: plain}}, opp: "delivered 1", man: nobody,
			log: "the MX record of ex.test is INSECURE\n"},
		{id: "D-32 digest", zones: []mtatest.Zone{{Name: "ex.test.", DS: mtatest.DSName{Digest: 200}, Text: plain}}, opp: "delivered 1", man: nobody,
			log: "the MX record of ex.test is INSECURE\n"},
		{id: "no DS record", zones: []mtatest.Zone{{Name: "ex.test.", NoDS: true, Text: plain}}, opp: "delivered 1", man: nobody},
	}
}

func TestDANEServers(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	good := a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"mx.ex.test"}})
	for _, v := range servers(good) {
		v.run(t, good)
	}
}

// run tries a vector under both modes. Nothing goes out in clear to a host with
// secure records, and TLS mode None is obeyed where DANE does not apply.
func (v vector) run(t *testing.T, good tls.Certificate) {
	domain := v.domain
	if domain == "" {
		domain = "ex.test"
	}
	hosts := v.hosts
	if hosts == nil {
		hosts = []mtatest.PeerScript{speaks(good), speaks(good)}
	}
	for mode, want := range map[dane.Mode]string{dane.Opportunistic: v.opp, dane.Mandatory: v.man} {
		t.Run(fmt.Sprintf("%s/%d", v.id, mode), func(t *testing.T) {
			w := newLab(t, v.zones, hosts...)
			w.wants(mode, NoTLS)
			if v.spoil != nil {
				v.spoil(w.server)
			}
			if got := w.went(relayed(domain)); got != want {
				t.Errorf("went %s, want %s\n%s", got, want, w.log())
			}
			lines := w.outcomes()
			if mode == dane.Opportunistic && !strings.Contains(lines, v.log) {
				t.Errorf("log:\n%swant in it:\n%s", lines, v.log)
			}
			if !strings.Contains(lines, "DANE") && !strings.Contains(lines, " for "+domain+"\n") &&
				!strings.Contains(want, "bounced") && !strings.Contains(want, "no-address") {
				t.Errorf("nothing is said of DANE:\n%s", w.log())
			}
			if strings.HasPrefix(v.id, "D-12") && w.server.Asked("_25._tcp.mx.un.test", "TLSA") > 0 {
				t.Error("TLSA was asked for")
			}
		})
	}
}
