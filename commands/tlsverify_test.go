package commands

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/netip"
	"strings"
	"testing"

	"esa/mta/envelope"
	"esa/shell/shelltest"
	"esa/store"
)

// fakeTLS is the network that tlsverify sees: what a host does is in its name.
type fakeTLS struct{}

func (fakeTLS) TryTLS(ctx context.Context, t TLSTrial, w TLSWitness) (bool, *envelope.Failure, error) {
	port := t.Port
	if port == 0 {
		port = 25
	}
	to := netip.AddrPortFrom(netip.MustParseAddr("1.1.1.1"), port)
	if addr, err := netip.ParseAddr(t.Host); err == nil {
		to = netip.AddrPortFrom(addr, port)
	}
	act, _, _ := strings.Cut(t.Host, ".")
	if act == "nowhere" {
		return false, &envelope.Failure{Reason: envelope.ReasonDNS, Reply: []string{"DNS Soft Error looking up nowhere.example.com (A):  ServFail"}}, nil
	}
	if act == "two" {
		w.Connecting(to)
		w.Failed(to, envelope.Failure{Reason: envelope.ReasonConnect, Reply: []string{"connection refused"}})
		to = netip.AddrPortFrom(netip.MustParseAddr("2001:db8::2"), port)
	}
	w.Connecting(to)
	early := map[string]envelope.Failure{
		"silent": {Reason: envelope.ReasonTimeout, Reply: []string{"timeout"}},
		"closed": {Reason: envelope.ReasonConnect, Reply: []string{"connection refused"}},
	}
	if f, ok := early[act]; ok {
		w.Failed(to, f)
		return false, nil, nil
	}
	w.Connected(to, netip.MustParseAddr("10.10.10.10"))
	if act == "busy" {
		w.Failed(to, envelope.Failure{Code: 554, Reason: envelope.ReasonRefused, Reply: []string{"no service\x1b[2J", "go away"}})
		return false, nil, nil
	}
	w.Checking()
	before := map[string]envelope.Failure{
		"plain":   {Reason: envelope.ReasonNoSTARTTLS, Reply: []string{"plain.example.com does not offer STARTTLS"}},
		"refuses": {Code: 454, Reason: envelope.ReasonNoTLS, Reply: []string{"TLS not available due to temporary reason"}},
		"old":     {Reason: envelope.ReasonHandshake, Reply: []string{"alert from the peer: protocol version not supported"}},
	}
	if f, ok := before[act]; ok {
		w.Failed(to, f)
		return false, nil, nil
	}
	return afterHandshake(act, to, w), nil, nil
}

// afterHandshake shows the certificate of a host.
func afterHandshake(act string, to netip.AddrPort, w TLSWitness) bool {
	cert := &x509.Certificate{Subject: pkix.Name{CommonName: "mxe.example.com"}}
	if act != "mxe" {
		cert.DNSNames = []string{"mx.example.com", "*.example.com"}
	}
	w.Established("TLSv1", "RC4-SHA")
	w.Presented([]*x509.Certificate{cert})
	failures := map[string]envelope.Failure{
		"expired": {Reason: envelope.ReasonCertExpired, Reply: []string{"verify error: the certificate expired on 2026-11-01"}},
		"other":   {Reason: envelope.ReasonCertHost, Reply: []string{"verify error: the certificate is for mx.example.com and 1 more, not for example.com"}},
		"self":    {Reason: envelope.ReasonCertUntrusted, Reply: []string{"verify error: self-signed certificate"}},
	}
	switch f, failed := failures[act]; {
	case failed:
		w.Failed(to, f)
		return false
	case act == "mxe":
		w.Verified("mxe.example.com")
	default:
		w.Verified("*.example.com")
	}
	return true
}

// ownListener is a network with nothing but the listener of this gateway and
// its certificate.
type ownListener struct{ chain []*x509.Certificate }

func (o ownListener) TryTLS(_ context.Context, t TLSTrial, w TLSWitness) (bool, *envelope.Failure, error) {
	to := netip.AddrPortFrom(netip.MustParseAddr(t.Host), t.Port)
	w.Connecting(to)
	w.Connected(to, to.Addr())
	w.Checking()
	w.Established("TLSv1.3", "TLS_AES_128_GCM_SHA256")
	w.Presented(o.chain)
	w.Failed(to, envelope.Failure{Reason: envelope.ReasonCertUntrusted, Reply: []string{"verify error: self-signed certificate"}})
	return false, nil, nil
}

// ownListenerTrial has the factory's listener present a certificate profile,
// one of those there or of more, and gives the screen of tlsverify on it.
func (w *world) ownListenerTrial(profile string, more ...store.Certificate) string {
	w.t.Helper()
	admin := w.env("admin", false)
	err := admin.Edit(func(c *store.Config) error {
		c.Certificates = append(c.Certificates, more...)
		c.Listeners[0].Certificate = profile
		for i := range c.Listeners[0].HAT.Policies {
			c.Listeners[0].HAT.Policies[i].Params.TLS.Mode = store.TLSPreferred
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	commit := shelltest.NewScreen()
	commit.Plain = true
	if status := w.shell(admin, commit).Exec(w.t.Context(), "commit test"); status != 0 {
		w.t.Fatal(commit.String())
	}
	running, _ := w.store.Running()
	chain, err := running.Certificate(profile).Chain.Certificates()
	if err != nil {
		w.t.Fatal(err)
	}
	env := w.env("admin", false)
	env.TLS = ownListener{chain}
	screen := shelltest.NewScreen()
	screen.Plain = true
	if status := w.shell(env, screen).Exec(w.t.Context(), "tlsverify example.com 127.0.0.1:2525"); status != 1 {
		w.t.Errorf("exit status %d", status)
	}
	return screen.String()
}

// TestTLSVerify_OwnListener: the chain of a listener is shown with names and
// dates, and what senders will find wrong.
func TestTLSVerify_OwnListener(t *testing.T) {
	w := newWorld(t)
	screen := w.ownListenerTrial(store.DemoCertificate)
	running, _ := w.store.Running()
	chain, err := running.Certificates[0].Chain.Certificates()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"This is the listener OutgoingMail on interface Management, host name mail.example.com.\n",
		"Certificate 1 of 1: " + store.CommonName(chain[0]) + "\n",
		"  SHA-256: " + store.Fingerprint(chain[0]) + "\n",
		"(Active, ", " days remaining)\n",
		"Verdict: Listener \"OutgoingMail\" uses the demo certificate, which no sender can verify.\n  Use listenerconfig -> EDIT -> CERTIFICATE.\n",
		"Certificate verification failed: self-signed certificate.\nTLS connection to 127.0.0.1 failed: certificate-not-trusted.\n",
		"\nFailed to connect to 127.0.0.1.\nTLS verification completed.\n",
	} {
		if !strings.Contains(screen, want) {
			t.Errorf("%q is missing in\n%s", want, screen)
		}
	}
}

// TestTLSVerify_OwnListenerWithoutIntermediate: a chain that peers cannot
// complete is not called right.
func TestTLSVerify_OwnListenerWithoutIntermediate(t *testing.T) {
	w := newWorld(t)
	key, err := w.newKey(store.P256)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := store.ReadCertificates(w.pkiFile("leaf"))
	if err != nil {
		t.Fatal(err)
	}
	profile, err := store.NewProfile("alone", key, leaf)
	if err != nil {
		t.Fatal(err)
	}
	screen := w.ownListenerTrial("alone", profile)
	if want := "Verdict: The issuer \"" + store.IssuerName(leaf[0]) + "\" is neither in the chain nor in a list of authorities"; !strings.Contains(screen, want) {
		t.Errorf("%q is missing in\n%s", want, screen)
	}
	if strings.Contains(screen, "nothing is wrong") {
		t.Error(screen)
	}
}
