package delivery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"esa/mta/lookup"
	"esa/mta/mtatest"
	"esa/mta/route"
)

// zone is a resolver with the exchangers of d.test, and what addresses are
// called.
type zone struct {
	mx      []string // of d.test, best first; their addresses are 192.0.2.1 and so on
	reverse map[string]string
	forward map[string]string // beside those of mx
}

func (z zone) MX(_ context.Context, name string) lookup.MXAnswer {
	a := lookup.MXAnswer{Answer: lookup.Answer{Status: lookup.Insecure}}
	for i, host := range z.mx {
		a.Records = append(a.Records, lookup.MX{Preference: uint16(i), Host: host})
	}
	return a
}

func (z zone) Addrs(_ context.Context, name string, v6 bool) lookup.AddrAnswer {
	a := lookup.AddrAnswer{Answer: lookup.Answer{Status: lookup.Insecure}}
	if i := slices.Index(z.mx, name); i >= 0 && !v6 {
		a.Addrs = []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})}
	} else if addr := z.forward[name]; addr != "" && !v6 {
		a.Addrs = []netip.Addr{netip.MustParseAddr(addr)}
	}
	return a
}

func (z zone) PTR(_ context.Context, addr netip.Addr) lookup.NameAnswer {
	a := lookup.NameAnswer{Answer: lookup.Answer{Status: lookup.Insecure}}
	if name := z.reverse[addr.String()]; name != "" {
		a.Names = []string{name}
	}
	return a
}

// TestNamesOfACertificate: which name of a certificate is enough for which
// mode, as it comes from DNS and routes.
func TestNamesOfACertificate(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	mx := zone{mx: []string{"mx1.d.test", "mx2.other.test"}}
	ptr := mx
	ptr.reverse, ptr.forward = map[string]string{"192.0.2.1": "real.test"}, map[string]string{"real.test": "192.0.2.1"}
	liar := mx
	liar.reverse, liar.forward = map[string]string{"192.0.2.1": "real.test"}, map[string]string{"real.test": "192.0.2.77"}
	byRoute := route.NewTable([]route.Route{{Domain: route.All, Hosts: []route.Host{{Name: "relay.test", Bracketed: true}}}})
	relay := zone{forward: map[string]string{"relay.test": "192.0.2.1"}}
	for _, tt := range []struct {
		name           string
		zone           zone
		routes         route.Table
		cert           mtatest.CertificateSpec
		verify, hosted bool
	}{
		{"the mail domain", mx, route.Table{}, mtatest.CertificateSpec{DNSNames: []string{"d.test"}}, true, true},
		{"the MX host", mx, route.Table{}, mtatest.CertificateSpec{DNSNames: []string{"mx1.d.test"}}, false, true},
		{"another MX host", mx, route.Table{}, mtatest.CertificateSpec{DNSNames: []string{"mx2.other.test"}}, false, true},
		{"a wildcard for the MX host", mx, route.Table{}, mtatest.CertificateSpec{DNSNames: []string{"*.d.test"}}, false, true},
		{"the reverse name as common name", ptr, route.Table{}, mtatest.CertificateSpec{CommonName: "real.test"}, true, true},
		{"the reverse name as DNS name", ptr, route.Table{}, mtatest.CertificateSpec{DNSNames: []string{"real.test"}}, false, true},
		{"a reverse name that leads elsewhere", liar, route.Table{}, mtatest.CertificateSpec{CommonName: "real.test"}, false, false},
		{"the host of the route", relay, byRoute, mtatest.CertificateSpec{DNSNames: []string{"relay.test"}}, false, true},
		{"the mail domain, by a route", relay, byRoute, mtatest.CertificateSpec{DNSNames: []string{"d.test"}}, true, true},
	} {
		for mode, want := range map[TLSMode]bool{RequireVerified: tt.verify, RequireVerifiedHosted: tt.hosted} {
			t.Run(tt.name, func(t *testing.T) {
				script := speaks(a.Issue(t, tt.cert))
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, script)
					w.client.opt.Resolver = tt.zone
					w.settings.Routes = tt.routes
					w.secured(mode, a)
					out := w.deliver(job(plainText, "a"))
					if got := sum(out[0]) == "delivered"; got != want {
						t.Errorf("mode %d: %s", mode, sum(out[0]))
					}
					w.client.Close()
					w.peers[0].Stop()
					w.serving.Wait()
				})
			})
		}
	}
}

// TestServerName: the host's name is told to the server, an address is not.
func TestServerName(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	cert := a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"d.test"}})
	for host, want := range map[string]string{"Relay.test": "relay.test", "192.0.2.1": ""} {
		var told []string
		script := speaks(cert)
		script.TLS.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			told = append(told, h.ServerName)
			return nil, nil
		}
		inWorld(t, func(w *world) {
			w.client.opt.Resolver = zone{forward: map[string]string{"relay.test": "192.0.2.1"}}
			w.settings.Routes = routes(route.Host{Name: host, Bracketed: true})
			w.secured(RequireTLS, a)
			check(t, w.deliver(job(plainText, "a")), "delivered")
			if len(told) != 1 || told[0] != want {
				t.Errorf("%s: told %q, want %q", host, told, want)
			}
		}, script)
	}
}

// TestHostsWithoutTLSAreNotCounted: two hosts that refuse a message are
// enough, but a host that cannot be had by TLS has not refused it.
func TestHostsWithoutTLSAreNotCounted(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	fine := speaks(a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"d.test"}}))
	inWorld(t, func(w *world) {
		bell := w.secured(RequireVerified, a)
		check(t, w.deliver(job(plainText, "a")), "delivered")
		want := "d.test 192.0.2.1 starttls-refused, d.test 192.0.2.2 starttls-refused, d.test 192.0.2.3 starttls-not-supported"
		if got := strings.Join(bell.rung, ", "); got != want {
			t.Errorf("alerts %s", got)
		}
	}, starttls("454 no"), starttls("454 no"), mtatest.PeerScript{}, fine)
}

// TestAStoppedAttemptRaisesNoAlert: that we hang up says nothing about the
// host.
func TestAStoppedAttemptRaisesNoAlert(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	for name, script := range map[string]mtatest.PeerScript{
		"at STARTTLS":      starttls(mtatest.PeerSilence),
		"in the handshake": after220(func(*mtatest.PeerConn) string { return mtatest.PeerSilence }),
		"at the lookup":    speaks(a.Issue(t, mtatest.CertificateSpec{CommonName: "real.test"})),
	} {
		inWorld(t, func(w *world) {
			w.client.opt.Resolver = slowDNS{}
			bell := w.secured(RequireVerified, a)
			ctx, stop := context.WithTimeout(w.t.Context(), time.Second)
			defer stop()
			check(t, w.client.Deliver(ctx, job(plainText, "a")), "deferred 4.3.0 0 local-error")
			if len(bell.rung) > 0 || strings.Contains(w.log(), "TLS") {
				t.Errorf("%s: alerts %q, log:\n%s", name, bell.rung, w.log())
			}
		}, script)
	}
}

// slowDNS answers nothing until it is not waited for any more.
type slowDNS struct{ noDNS }

func (slowDNS) PTR(ctx context.Context, _ netip.Addr) lookup.NameAnswer {
	<-ctx.Done()
	return lookup.NameAnswer{}
}

// TestALookupCutShortRaisesNoAlert: the end of the attempt ends a lookup within
// the handshake, and may reach the connection only after that has failed.
func TestALookupCutShortRaisesNoAlert(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	inWorld(t, func(w *world) {
		ctx := &unnoticed{Context: w.t.Context()}
		w.client.opt.Resolver = cutDNS{end: func() { ctx.ended.Store(true) }}
		bell := w.secured(RequireVerified, a)
		check(t, w.client.Deliver(ctx, job(plainText, "a")), "deferred 4.3.0 0 local-error")
		if len(bell.rung) > 0 || strings.Contains(w.log(), "TLS failed") {
			t.Errorf("alerts %q, log:\n%s", bell.rung, w.log())
		}
	}, speaks(a.Issue(t, mtatest.CertificateSpec{CommonName: "real.test"})))
}

// unnoticed is a context whose end nobody has been told of yet.
type unnoticed struct {
	context.Context
	ended atomic.Bool
}

func (*unnoticed) Done() <-chan struct{} { return nil }

func (c *unnoticed) Err() error {
	if c.ended.Load() {
		return context.Canceled
	}
	return nil
}

// cutDNS ends the attempt where it is asked for the names of an address.
type cutDNS struct {
	noDNS
	end func()
}

func (d cutDNS) PTR(context.Context, netip.Addr) lookup.NameAnswer {
	d.end()
	return lookup.NameAnswer{}
}

// TestNothingSaidInClearCountsAfterTheHandshake (RFC 3207 §4.2).
func TestNothingSaidInClearCountsAfterTheHandshake(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	script := speaks(a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"d.test"}}))
	script.Answer = func(c *mtatest.PeerConn, line string) string {
		if c.State == nil && strings.HasPrefix(line, "EHLO") {
			return "250-peer.test\n250-SIZE 5\n250 STARTTLS"
		}
		return ""
	}
	inWorld(t, func(w *world) {
		w.secured(RequireTLS, a)
		check(t, w.deliver(job(plainText, "a")), "delivered")
	}, script)
}

func TestClientCertificate(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	ours := a.Issue(t, mtatest.CertificateSpec{CommonName: "gateway.test"})
	script := speaks(a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"d.test"}}))
	script.TLS.ClientAuth, script.TLS.ClientCAs = tls.RequireAndVerifyClientCert, a.Pool()
	seen := make(chan string, 1)
	script.Answer = func(c *mtatest.PeerConn, line string) string {
		if c.State != nil && line == "DATA" {
			seen <- c.State.PeerCertificates[0].Subject.CommonName
		}
		return ""
	}
	// Over TCP: that TLS 1.3 refuses the client after its handshake is seen
	// while the next command is written.
	p := mtatest.StartPeer(t, script)
	settings := Settings{Routes: to(p.Addr()), Destination: func(string) Destination { return Destination{TLS: RequireVerified} }}
	settings.TLS = TLS{Roots: a.Pool(), Certificate: &ours}
	check(t, tcpClient(t, settings).Deliver(t.Context(), job(plainText, "a")), "delivered")
	if name := <-seen; name != "gateway.test" {
		t.Errorf("the host saw %q", name)
	}
	settings.TLS.Certificate = nil
	check(t, tcpClient(t, settings).Deliver(t.Context(), job(plainText, "a")), "deferred 4.7.5 0 tls-handshake-failed")
}

// TestOldVersionsWhereAllowed: sslconfig may allow what is not offered out of
// the box.
func TestOldVersionsWhereAllowed(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	script := speaks(a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"d.test"}}))
	script.TLS.MinVersion, script.TLS.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
	inWorld(t, func(w *world) {
		w.settings.TLS.Min, w.settings.TLS.Ciphers = tls.VersionTLS10, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
		w.secured(RequireVerified, a)
		check(t, w.deliver(job(plainText, "a")), "delivered")
		if !strings.Contains(w.log(), "DCID 1 TLS success protocol TLSv1 cipher ECDHE-ECDSA-AES128-SHA\n") {
			t.Errorf("log:\n%s", w.log())
		}
	}, script)
}

// TestRevoked: a chain that was good is refused with the reason given.
func TestRevoked(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	inWorld(t, func(w *world) {
		w.settings.TLS.Revoked = func(chain []*x509.Certificate) error {
			if len(chain) == 2 && chain[1].Equal(a.Certificate) {
				return errors.New("revoked on 1999-12-24")
			}
			return nil
		}
		w.secured(RequireVerified, a)
		check(t, w.deliver(job(plainText, "a")), "deferred 4.7.5 0 certificate-revoked")
		if !strings.Contains(w.log(), "TLS failed: verify error: revoked on 1999-12-24\n") {
			t.Errorf("log:\n%s", w.log())
		}
	}, speaks(a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"d.test"}})))
}
