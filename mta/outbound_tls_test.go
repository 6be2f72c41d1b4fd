package mta

import (
	"crypto/tls"
	"encoding/pem"
	"testing"

	"esa/mta/delivery"
	"esa/mta/mtatest"
	"esa/store"
)

// arrives sends a message for rcpt.test and awaits it at the host that it is
// routed to; want is the TLS version it comes by, empty in clear.
func (w *world) arrives(hop *mtatest.Peer, want string) {
	w.t.Helper()
	n := len(hop.Messages())
	w.sendTo("rcpt.test", 1)
	await(w.t, "a message", func() bool { return len(hop.Messages()) == n+1 })
	if m := hop.Messages()[n]; m.TLS != want {
		w.t.Errorf("it came by %q, want %q", m.TLS, want)
	}
}

// TestOutboundTLS_FollowsTheConfiguration: mode, certificate, versions and
// authorities, each by a commit while the gateway runs.
func TestOutboundTLS_FollowsTheConfiguration(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	seen := make(chan string, 10)
	script := mtatest.PeerScript{TLS: &tls.Config{
		Certificates: []tls.Certificate{a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"rcpt.test"}})},
		ClientAuth:   tls.RequestClientCert,
	}}
	script.Answer = func(c *mtatest.PeerConn, line string) string {
		if line == "DATA" && c.State != nil && len(c.State.PeerCertificates) > 0 {
			seen <- c.State.PeerCertificates[0].Subject.CommonName
		} else if line == "DATA" {
			seen <- ""
		}
		return ""
	}
	hop := mtatest.StartPeer(t, script)
	w := start(t, func(_ *world, c *store.Config) { c.Routes = []store.Route{routeTo("ALL", hop)} })
	send := func(want string, shown string) {
		t.Helper()
		w.arrives(hop, want)
		if got := <-seen; got != shown {
			t.Errorf("the host saw %q, want %q", got, shown)
		}
	}
	send("", "")
	w.commit(func(c *store.Config) { c.Destinations.Default.TLS = store.TLSPreferred })
	send("TLS 1.3", "")
	w.commit(func(c *store.Config) {
		c.Certificates = append(c.Certificates, profile(t, "own", "gw.test"))
		c.Destinations.Certificate = "own"
	})
	send("TLS 1.3", "gw.test")
	w.commit(func(c *store.Config) { c.SSL.Outbound.Versions = []store.TLSVersion{store.TLS12} })
	send("TLS 1.2", "gw.test")
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate.Raw})
	w.commit(func(c *store.Config) {
		c.Authorities.Custom, c.Authorities.List = true, []store.Authority{store.Authority(root)}
		c.Destinations.Entries = []store.Destination{{Domain: "rcpt.test", TLS: store.TLSRequiredVerify}}
	})
	send("TLS 1.2", "gw.test")
	w.commit(func(c *store.Config) { c.Authorities.Custom = false })
	w.sendTo("rcpt.test", 1)
	await(t, "a message that waits", func() bool {
		s := w.gateway.live.queue.Stats()
		return s.ActiveRecipients == 1 && s.AttemptedRecipients == 1
	})
	if n := len(hop.Messages()); n != 5 {
		t.Errorf("%d messages at the host: one went to a host that nobody vouches for", n)
	}
}

// TestOutboundTLS_ConcurrencyIsObeyedAndSwapped: that of deliveryconfig, over
// all destinations that use TLS.
func TestOutboundTLS_ConcurrencyIsObeyedAndSwapped(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	b := &busiest{release: make(chan struct{})}
	script := b.script()
	script.TLS = &tls.Config{Certificates: []tls.Certificate{a.Issue(t, mtatest.CertificateSpec{})}}
	w := start(t, func(_ *world, c *store.Config) {
		c.Routes = []store.Route{routeTo("ALL", mtatest.StartPeer(t, script))}
		c.Destinations.Default.TLS, c.Delivery.TLSConcurrency = store.TLSRequired, 2
	})
	for _, domain := range []string{"a.test", "b.test", "c.test", "d.test"} {
		w.sendTo(domain, 1)
	}
	await(t, "two at work", func() bool { return b.working() == 2 })
	w.commit(func(c *store.Config) { c.Delivery.TLSConcurrency = 3 })
	await(t, "three at work", func() bool { return b.working() == 3 })
	close(b.release)
	await(t, "an empty queue", func() bool { return w.gateway.live.queue.Stats().Messages == 0 })
	if b.most != 3 {
		t.Errorf("%d at once, want 3", b.most)
	}
}

// TestTLSMode: every mode that can be chosen means one of delivery's own.
func TestTLSMode(t *testing.T) {
	want := map[store.TLSMode]delivery.TLSMode{
		store.TLSOff: delivery.NoTLS, store.TLSPreferred: delivery.PreferTLS, store.TLSPreferredVerify: delivery.PreferVerified,
		store.TLSRequired: delivery.RequireTLS, store.TLSRequiredVerify: delivery.RequireVerified,
		store.TLSRequiredVerifyHosted: delivery.RequireVerifiedHosted,
	}
	for _, m := range store.DestinationTLSModes() {
		meant, ok := want[m]
		d := store.Destination{TLS: m}
		if !ok || deliveryDestination(d).TLS != meant || queueLimits(d).TLS != (m != store.TLSOff) {
			t.Errorf("%s: delivery %d, queue %v", m, deliveryDestination(d).TLS, queueLimits(d).TLS)
		}
	}
}
