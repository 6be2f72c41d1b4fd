package delivery

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"esa/mta/envelope"
	"esa/mta/lookup"
	"esa/mta/mtatest"
)

// proven answers from tables, with what DNSSEC proves. What is not in them is
// proven not to be there.
type proven struct {
	mx    map[string]lookup.MXAnswer
	addrs map[string]lookup.AddrAnswer // "A mx.test"
	tlsa  map[string]lookup.TLSAAnswer // by host
}

func secure(name string) lookup.Answer { return lookup.Answer{Status: lookup.Secure, Canonical: name} }

func (p proven) MX(_ context.Context, name string) lookup.MXAnswer {
	if a, ok := p.mx[name]; ok {
		return a
	}
	return lookup.MXAnswer{Answer: secure(name)}
}

func (p proven) Addrs(_ context.Context, name string, v6 bool) lookup.AddrAnswer {
	kind := "A "
	if v6 {
		kind = "AAAA "
	}
	if a, ok := p.addrs[kind+name]; ok {
		return a
	}
	return lookup.AddrAnswer{Answer: secure(name)}
}

func (p proven) TLSA(_ context.Context, name string) lookup.TLSAAnswer {
	if a, ok := p.tlsa[strings.TrimPrefix(name, "_25._tcp.")]; ok {
		return a
	}
	return lookup.TLSAAnswer{Answer: lookup.Answer{Status: lookup.Secure, NXDomain: true, Canonical: name}}
}

func mxs(status lookup.Status, hosts ...string) lookup.MXAnswer {
	a := lookup.MXAnswer{Answer: lookup.Answer{Status: status, Canonical: "d.test", Why: "why"}}
	for i, h := range hosts {
		a.Records = append(a.Records, lookup.MX{Preference: uint16(10 * i), Host: h})
	}
	return a
}

func addrs(status lookup.Status, name string, list ...string) lookup.AddrAnswer {
	a := lookup.AddrAnswer{Answer: lookup.Answer{Status: status, Canonical: name, Why: "why"}}
	for _, text := range list {
		a.Addrs = append(a.Addrs, netip.MustParseAddr(text))
	}
	return a
}

func tlsas(status lookup.Status, records ...lookup.TLSA) lookup.TLSAAnswer {
	return lookup.TLSAAnswer{Answer: lookup.Answer{Status: status, Why: "why"}, Records: records}
}

// endEntity is the record 3 1 1 of a certificate.
func endEntity(cert tls.Certificate) lookup.TLSA {
	sum := sha256.Sum256(cert.Leaf.RawSubjectPublicKeyInfo)
	return lookup.TLSA{Usage: 3, Selector: 1, MatchingType: 1, Data: sum[:]}
}

// daneProtocol keeps what a witness of DANE is told.
type daneProtocol struct{ protocol }

func (p *daneProtocol) MX(host string, a lookup.MXAnswer) { p.add("mx %s %s", host, a.Status) }
func (p *daneProtocol) Address(host, family string, addr netip.Addr, a lookup.Answer) {
	if !addr.IsValid() {
		p.add("no %s %s", family, a.Status)
		return
	}
	p.add("%s %s %s", family, addr, a.Status)
}
func (p *daneProtocol) NextAddress(_, family string, addr netip.Addr) {
	p.add("next %s %s", family, addr)
}
func (p *daneProtocol) NextMX() { p.add("next mx") }
func (p *daneProtocol) TLSA(_ string, a lookup.TLSAAnswer, usable []lookup.TLSA, names []string) {
	p.add("tlsa %s %d of %d for %s", a.Status, len(usable), len(a.Records), strings.Join(names, " "))
}
func (p *daneProtocol) Matched(record lookup.TLSA, depth int, name string) {
	p.add("matched %s at %d", record.String()[:5], depth)
}
func (p *daneProtocol) Judged(host string, why *envelope.Failure) {
	if why == nil {
		p.add("%s protected", host)
		return
	}
	p.add("%s %s", host, why.Reason)
}
func (p *daneProtocol) Presented(chain []*x509.Certificate) {}

// daneCase is a domain, its hosts, and what a trial comes to.
type daneCase struct {
	name   string
	dns    proven
	all    bool
	script mtatest.PeerScript
	want   string // events, then the verdict
}

func TestTryDANE(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	for _, tt := range append(daneDNSCases(t, a), daneHostCases(t, a)...) {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.secured(NoTLS, a)
				p := &daneProtocol{}
				f := w.client.TryDANE(w.t.Context(), tt.dns, DANETrial{Domain: "d.test", All: tt.all}, p)
				got := strings.Join(p.lines, ", ") + " ->"
				if f != nil {
					got += " " + string(f.Reason)
				}
				if got != tt.want {
					t.Errorf("told %s\nwant %s", got, tt.want)
				}
			}, tt.script)
		})
	}
}

// success is what a trial tells that passes, in its parts.
const (
	daneBegun   = "mx mx.test SECURE, A 192.0.2.1 SECURE, connecting 192.0.2.1:25, connected 192.0.2.1, "
	daneUsable  = daneBegun + "tlsa SECURE 1 of 1 for mx.test d.test, checking, "
	daneShaken  = daneUsable + "established TLSv1.3 TLS_AES_128_GCM_SHA256, "
	daneSuccess = daneShaken + "matched 3 1 1 at 0, mx.test protected"
)

// domainWith is d.test with an MX record, or what is there instead.
func domainWith(answer lookup.MXAnswer) map[string]lookup.MXAnswer {
	return map[string]lookup.MXAnswer{"d.test": answer}
}

// hostAt is mx.test with addresses.
func hostAt(status lookup.Status, list ...string) map[string]lookup.AddrAnswer {
	return map[string]lookup.AddrAnswer{"A mx.test": addrs(status, "mx.test", list...)}
}

// withTLSA are the records of mx.test.
func withTLSA(status lookup.Status, records ...lookup.TLSA) map[string]lookup.TLSAAnswer {
	return map[string]lookup.TLSAAnswer{"mx.test": tlsas(status, records...)}
}

// daneDNSCases are decided by what DNS has.
func daneDNSCases(t *testing.T, a *mtatest.Authority) []daneCase {
	cert := a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"other.test"}})
	good, mx, one := endEntity(cert), domainWith(mxs(lookup.Secure, "mx.test")), hostAt(lookup.Secure, "192.0.2.1")
	unusable := lookup.TLSA{Usage: 1, Selector: 1, MatchingType: 1, Data: make([]byte, 32)}
	missing, null := mxs(lookup.Secure), mxs(lookup.Secure, "")
	below := a.Intermediate(t, "Below")
	domains, issuer := below.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"d.test"}}), sha256.Sum256(below.Certificate.RawSubjectPublicKeyInfo)
	anchor := lookup.TLSA{Usage: 2, Selector: 1, MatchingType: 1, Data: issuer[:]}
	missing.NXDomain = true
	return []daneCase{
		{"success", proven{mx, one, withTLSA(lookup.Secure, good)}, false, speaks(cert), daneSuccess + " ->"},
		{"MX bogus", proven{domainWith(mxs(lookup.Bogus)), one, nil}, false, speaks(cert), "mx  BOGUS -> dnssec-invalid"},
		{"MX fails", proven{domainWith(mxs(lookup.Failed)), one, nil}, false, speaks(cert), "mx  FAILED -> dns-failure"},
		{"domain does not exist", proven{domainWith(missing), one, nil}, false, speaks(cert), "mx  SECURE -> no-such-domain"},
		{"null MX", proven{domainWith(null), one, nil}, false, speaks(cert), "mx  SECURE -> null-mx"},
		{"no MX", proven{nil, map[string]lookup.AddrAnswer{"A d.test": addrs(lookup.Secure, "d.test", "192.0.2.1")},
			map[string]lookup.TLSAAnswer{"d.test": tlsas(lookup.Secure, good)}}, false, speaks(cert),
			"mx  SECURE, A 192.0.2.1 SECURE, connecting 192.0.2.1:25, connected 192.0.2.1, tlsa SECURE 1 of 1 for d.test, checking, " +
				"established TLSv1.3 TLS_AES_128_GCM_SHA256, matched 3 1 1 at 0, d.test protected ->"},
		{"MX insecure, the rest good", proven{domainWith(mxs(lookup.Insecure, "mx.test")), one, withTLSA(lookup.Secure, good)}, false, speaks(cert),
			strings.NewReplacer("mx mx.test SECURE", "mx mx.test INSECURE", "for mx.test d.test", "for mx.test", "protected", "dane-required").Replace(daneSuccess) + " -> dane-required"},
		{"a certificate of the domain", proven{mx, one, withTLSA(lookup.Secure, anchor)}, false, speaks(domains),
			daneShaken + "matched 2 1 1 at 1, mx.test protected ->"},
		{"MX insecure, a certificate of the domain", proven{domainWith(mxs(lookup.Insecure, "mx.test")), one, withTLSA(lookup.Secure, anchor)}, false, speaks(domains),
			strings.NewReplacer("mx mx.test SECURE", "mx mx.test INSECURE", "for mx.test d.test", "for mx.test").Replace(daneShaken) +
				"failed certificate-host-mismatch, mx.test certificate-host-mismatch -> certificate-host-mismatch"},
		{"address insecure", proven{mx, hostAt(lookup.Insecure, "192.0.2.1", "192.0.2.2"), withTLSA(lookup.Secure, good)}, false, speaks(cert),
			"mx mx.test SECURE, A 192.0.2.1 INSECURE, next A 192.0.2.2, A 192.0.2.2 INSECURE, mx.test dane-required -> dane-required"},
		{"address bogus", proven{mx, map[string]lookup.AddrAnswer{"A mx.test": addrs(lookup.Bogus, "mx.test")}, nil}, false, speaks(cert),
			"mx mx.test SECURE, no A BOGUS, mx.test dnssec-invalid -> dnssec-invalid"},
		{"no address", proven{mx, nil, nil}, false, speaks(cert), "mx mx.test SECURE, no A SECURE, mx.test no-address -> no-address"},
		{"A fails, AAAA holds", proven{mx, map[string]lookup.AddrAnswer{"A mx.test": addrs(lookup.Failed, "mx.test"), "AAAA mx.test": addrs(lookup.Secure, "mx.test", "::ffff:c000:201")},
			withTLSA(lookup.Secure, good)}, false, speaks(cert),
			"mx mx.test SECURE, no A FAILED, next AAAA ::ffff:192.0.2.1, AAAA ::ffff:192.0.2.1 SECURE, connecting [::ffff:192.0.2.1]:25, connected ::ffff:192.0.2.1, " +
				"tlsa SECURE 1 of 1 for mx.test d.test, checking, established TLSv1.3 TLS_AES_128_GCM_SHA256, matched 3 1 1 at 0, mx.test protected ->"},
		{"TLSA bogus", proven{mx, one, map[string]lookup.TLSAAnswer{"mx.test": tlsas(lookup.Bogus)}}, false, speaks(cert),
			daneBegun + "tlsa BOGUS 0 of 0 for , mx.test dnssec-invalid -> dnssec-invalid"},
		{"TLSA insecure", proven{mx, one, map[string]lookup.TLSAAnswer{"mx.test": tlsas(lookup.Insecure, good)}}, false, speaks(cert),
			daneBegun + "tlsa INSECURE 0 of 1 for , mx.test dane-required -> dane-required"},
		{"no TLSA", proven{mx, one, nil}, false, speaks(cert), daneBegun + "tlsa SECURE 0 of 0 for , mx.test dane-required -> dane-required"},
		{"TLSA fails", proven{mx, one, map[string]lookup.TLSAAnswer{"mx.test": tlsas(lookup.Failed)}}, false, speaks(cert),
			daneBegun + "tlsa FAILED 0 of 0 for , mx.test dns-failure -> dns-failure"},
		{"TLSA unusable", proven{mx, one, withTLSA(lookup.Secure, unusable)}, false, speaks(cert),
			daneBegun + "tlsa SECURE 0 of 1 for mx.test d.test, mx.test tlsa-invalid -> tlsa-invalid"},
	}
}

// daneHostCases are decided by what hosts do.
func daneHostCases(t *testing.T, a *mtatest.Authority) []daneCase {
	cert := a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"other.test"}})
	good, mx, one := endEntity(cert), domainWith(mxs(lookup.Secure, "mx.test")), hostAt(lookup.Secure, "192.0.2.1")
	wrong := lookup.TLSA{Usage: 3, Selector: 1, MatchingType: 1, Data: make([]byte, 32)}
	return []daneCase{
		{"no STARTTLS", proven{mx, one, withTLSA(lookup.Secure, good)}, false, mtatest.PeerScript{},
			daneUsable + "failed starttls-not-supported, mx.test starttls-not-supported -> starttls-not-supported"},
		{"handshake fails", proven{mx, one, withTLSA(lookup.Secure, good)}, false, after220(func(*mtatest.PeerConn) string { return mtatest.PeerDrop }),
			daneUsable + "failed tls-handshake-failed, mx.test tls-handshake-failed -> tls-handshake-failed"},
		{"mismatch", proven{mx, one, withTLSA(lookup.Secure, wrong)}, false, speaks(cert),
			daneShaken + "failed tlsa-invalid, mx.test tlsa-invalid -> tlsa-invalid"},
		{"greeted with 554", proven{mx, one, withTLSA(lookup.Secure, good)}, false, says("", "554 go away"),
			strings.TrimSuffix(daneUsable, "checking, ") + "failed refused, mx.test refused -> refused"},
		{"the second address", proven{mx, map[string]lookup.AddrAnswer{"A mx.test": addrs(lookup.Secure, "mx.test", "192.0.2.9", "192.0.2.1")}, withTLSA(lookup.Secure, good)}, false, speaks(cert),
			"mx mx.test SECURE, A 192.0.2.9 SECURE, connecting 192.0.2.9:25, failed connection-failed, next A 192.0.2.1, " +
				strings.TrimPrefix(daneSuccess, "mx mx.test SECURE, ") + " ->"},
		{"all, of which one fails", proven{mx, map[string]lookup.AddrAnswer{"A mx.test": addrs(lookup.Secure, "mx.test", "192.0.2.1", "192.0.2.9")}, withTLSA(lookup.Secure, good)}, true, speaks(cert),
			strings.TrimSuffix(daneSuccess, "mx.test protected") + "next A 192.0.2.9, A 192.0.2.9 SECURE, connecting 192.0.2.9:25, failed connection-failed, " +
				"mx.test connection-failed -> connection-failed"},
		{"the second host", proven{domainWith(mxs(lookup.Secure, "none.test", "mx.test")), one, withTLSA(lookup.Secure, good)}, false, speaks(cert),
			"mx none.test SECURE, no A SECURE, none.test no-address, next mx, " + daneSuccess + " ->"},
	}
}

// TestTryDANE_HostOfARoute: no MX records are asked for, and the TLSA records are
// those of the port.
func TestTryDANE_HostOfARoute(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	cert := a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"other.test"}})
	inWorld(t, func(w *world) {
		w.secured(NoTLS, a)
		p := &daneProtocol{}
		dns := proven{
			map[string]lookup.MXAnswer{"mx.test": mxs(lookup.Bogus)}, hostAt(lookup.Secure, "192.0.2.1"),
			map[string]lookup.TLSAAnswer{"_2525._tcp.mx.test": tlsas(lookup.Secure, endEntity(cert))},
		}
		f := w.client.TryDANE(w.t.Context(), dns, DANETrial{Domain: "mx.test", Port: 2525, Host: true}, p)
		want := "mx  SECURE, A 192.0.2.1 SECURE, connecting 192.0.2.1:2525, connected 192.0.2.1, tlsa SECURE 1 of 1 for mx.test, checking, " +
			"established TLSv1.3 TLS_AES_128_GCM_SHA256, matched 3 1 1 at 0, mx.test protected"
		if got := strings.Join(p.lines, ", "); f != nil || got != want {
			t.Errorf("%v, told %s\nwant %s", f, got, want)
		}
	}, speaks(cert))
}

// TestTryDANE_OldTLS: DANE is for TLS 1.2 and later, whatever sslconfig allows.
func TestTryDANE_OldTLS(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	cert := a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"mx.test"}})
	old := speaks(cert)
	old.TLS.MinVersion, old.TLS.MaxVersion = tls.VersionTLS11, tls.VersionTLS11
	inWorld(t, func(w *world) {
		w.secured(NoTLS, a)
		w.configure(func(s *Settings) { s.TLS.Min = tls.VersionTLS10 })
		dns := proven{
			map[string]lookup.MXAnswer{"d.test": mxs(lookup.Secure, "mx.test")},
			map[string]lookup.AddrAnswer{"A mx.test": addrs(lookup.Secure, "mx.test", "192.0.2.1")},
			map[string]lookup.TLSAAnswer{"mx.test": tlsas(lookup.Secure, endEntity(cert))},
		}
		f := w.client.TryDANE(w.t.Context(), dns, DANETrial{Domain: "d.test"}, &daneProtocol{})
		if f == nil || f.Reason != envelope.ReasonHandshake {
			t.Errorf("failure %+v", f)
		}
	}, old)
}

// TestTryDANE_Stopped: an operator who has seen enough, while a host is silent.
func TestTryDANE_Stopped(t *testing.T) {
	inWorld(t, func(w *world) {
		ctx, stop := context.WithCancel(w.t.Context())
		dns := proven{
			map[string]lookup.MXAnswer{"d.test": mxs(lookup.Secure, "mx.test")},
			map[string]lookup.AddrAnswer{"A mx.test": addrs(lookup.Secure, "mx.test", "192.0.2.1")},
			map[string]lookup.TLSAAnswer{"mx.test": tlsas(lookup.Secure, lookup.TLSA{Usage: 3, Selector: 1, MatchingType: 1, Data: make([]byte, 32)})},
		}
		p := &stopping{stop: stop}
		if f := w.client.TryDANE(ctx, dns, DANETrial{Domain: "d.test"}, p); f == nil || f.Reason != envelope.ReasonLocal {
			t.Errorf("failure %+v", f)
		}
	}, says("", mtatest.PeerSilence))
}

// stopping ends a trial once it is connected.
type stopping struct {
	daneProtocol
	stop func()
}

func (s *stopping) Connected(netip.AddrPort, netip.Addr) { s.stop() }

// together answers what it is asked about the other family and about TLSA
// records when both have been asked for.
type together struct {
	proven
	left *sync.WaitGroup
}

func (r together) Addrs(ctx context.Context, name string, v6 bool) lookup.AddrAnswer {
	if v6 {
		r.left.Done()
		r.left.Wait()
	}
	return r.proven.Addrs(ctx, name, v6)
}

func (r together) TLSA(ctx context.Context, name string) lookup.TLSAAnswer {
	r.left.Done()
	r.left.Wait()
	return r.proven.TLSA(ctx, name)
}

// TestTryDANE_AsksAtOnce: an operator waits for one answer and not for two.
func TestTryDANE_AsksAtOnce(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	cert := a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"mx.test"}})
	inWorld(t, func(w *world) {
		w.secured(NoTLS, a)
		dns := together{proven{
			map[string]lookup.MXAnswer{"d.test": mxs(lookup.Secure, "mx.test")},
			map[string]lookup.AddrAnswer{"A mx.test": addrs(lookup.Secure, "mx.test", "192.0.2.1")},
			map[string]lookup.TLSAAnswer{"mx.test": tlsas(lookup.Secure, endEntity(cert))},
		}, &sync.WaitGroup{}}
		dns.left.Add(2)
		if f := w.client.TryDANE(w.t.Context(), dns, DANETrial{Domain: "d.test"}, &daneProtocol{}); f != nil {
			t.Errorf("failure %+v", f)
		}
	}, speaks(cert))
}

// unanswered answers no question about TLSA records.
type unanswered struct{ proven }

func (unanswered) TLSA(ctx context.Context, _ string) lookup.TLSAAnswer {
	<-ctx.Done()
	return lookup.TLSAAnswer{Answer: lookup.Answer{Why: "timeout"}}
}

// TestTryDANE_UnansweredTLSA: nobody waits for an answer that turns out not to be
// needed.
func TestTryDANE_UnansweredTLSA(t *testing.T) {
	inWorld(t, func(w *world) {
		dns := unanswered{proven{
			mx: map[string]lookup.MXAnswer{"d.test": mxs(lookup.Secure, "mx.test")},
			addrs: map[string]lookup.AddrAnswer{
				"A mx.test":    addrs(lookup.Secure, "mx.test", "192.0.2.1"),
				"AAAA mx.test": addrs(lookup.Insecure, "mx.test", "2001:db8::1"),
			},
		}}
		if f := w.client.TryDANE(w.t.Context(), dns, DANETrial{Domain: "d.test"}, &daneProtocol{}); f == nil || f.Reason != envelope.ReasonDANE {
			t.Errorf("failure %+v", f)
		}
	})
}
