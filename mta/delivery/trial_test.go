package delivery

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"esa/mta/envelope"
	"esa/mta/mtatest"
	"esa/mta/route"
)

// protocol keeps what a witness is told.
type protocol struct{ lines []string }

func (p *protocol) add(format string, args ...any) {
	p.lines = append(p.lines, fmt.Sprintf(format, args...))
}

func (p *protocol) Connecting(to netip.AddrPort)                 { p.add("connecting %v", to) }
func (p *protocol) Connected(to netip.AddrPort, _ netip.Addr)    { p.add("connected %v", to.Addr()) }
func (p *protocol) Checking()                                    { p.add("checking") }
func (p *protocol) Established(version, cipher string)           { p.add("established %s %s", version, cipher) }
func (p *protocol) Verified(name string)                         { p.add("verified %s", name) }
func (p *protocol) Failed(to netip.AddrPort, f envelope.Failure) { p.add("failed %s", f.Reason) }
func (p *protocol) Presented(chain []*x509.Certificate)          { p.add("presented %d", len(chain)) }

func TestTryTLS(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	cert := func(spec mtatest.CertificateSpec) mtatest.PeerScript { return speaks(a.Issue(t, spec)) }
	good := cert(mtatest.CertificateSpec{DNSNames: []string{"d.test"}})
	const (
		begun = "connecting 192.0.2.1:26, connected 192.0.2.1, "
		shown = begun + "checking, established TLSv1.3 TLS_AES_128_GCM_SHA256, presented 1, "
	)
	for _, tt := range []struct {
		name   string
		host   string
		script mtatest.PeerScript
		want   string
	}{
		{"good", "mx.test", good, shown + "verified d.test"},
		{"by address", "192.0.2.1", good, shown + "verified d.test"},
		{"by address in brackets", "[192.0.2.1]", good, shown + "verified d.test"},
		{"self-signed", "mx.test", cert(mtatest.CertificateSpec{DNSNames: []string{"d.test"}, SelfSigned: true}), shown + "failed certificate-not-trusted"},
		{"misnamed", "mx.test", cert(mtatest.CertificateSpec{DNSNames: []string{"e.test"}}), shown + "failed certificate-host-mismatch"},
		{"no STARTTLS", "mx.test", mtatest.PeerScript{}, begun + "checking, failed starttls-not-supported"},
		{"refused", "mx.test", starttls("454 no"), begun + "checking, failed starttls-refused"},
		{"handshake fails", "mx.test", after220(func(*mtatest.PeerConn) string { return mtatest.PeerDrop }), begun + "checking, failed tls-handshake-failed"},
		{"greeted with 554", "mx.test", says("", "554 go away"), begun + "failed refused"},
		{"the second address", "two.test", good, "connecting 192.0.2.9:26, failed connection-failed, " + shown + "verified d.test"},
		{"no address", "none.test", good, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.client.opt.Resolver = hosts{"mx.test": "192.0.2.1", "two.test": "192.0.2.9 192.0.2.1"}
				w.client.opt.Rand = func(n int) int { return n - 1 }
				w.secured(NoTLS, a)
				p := &protocol{}
				passed, f := w.client.TryTLS(w.t.Context(), Trial{Domain: "d.test", Host: tt.host, Port: 26}, p)
				if got := strings.Join(p.lines, ", "); got != tt.want {
					t.Errorf("told %s\nwant %s", got, tt.want)
				}
				if passed != strings.HasSuffix(tt.want, "verified d.test") || (f != nil) != (tt.want == "") {
					t.Errorf("passed %v, failure %v", passed, f)
				}
			}, tt.script)
		})
	}
}

// TestTryTLS_OurOwnListener: a delivery would not go there, a trial does.
func TestTryTLS_OurOwnListener(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	inWorld(t, func(w *world) {
		w.settings.Self = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:25")}
		w.secured(NoTLS, a)
		if passed, f := w.client.TryTLS(w.t.Context(), Trial{Domain: "d.test", Host: "192.0.2.1"}, &protocol{}); !passed || f != nil {
			t.Errorf("passed %v, failure %v", passed, f)
		}
	}, speaks(a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"d.test"}})))
}

// TestTryTLS_Stopped: an operator who has seen enough.
func TestTryTLS_Stopped(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	inWorld(t, func(w *world) {
		w.settings.Routes = route.Table{}
		w.secured(NoTLS, a)
		ctx, stop := context.WithCancel(w.t.Context())
		stop()
		if passed, f := w.client.TryTLS(ctx, Trial{Domain: "d.test", Host: "192.0.2.1"}, &protocol{}); passed || f == nil || f.Reason != envelope.ReasonLocal {
			t.Errorf("passed %v, failure %v", passed, f)
		}
	}, mtatest.PeerScript{})
}
