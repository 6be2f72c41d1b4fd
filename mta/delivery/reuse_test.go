package delivery

import (
	"crypto/tls"
	"testing"
	"time"

	"esa/mta/envelope"
	"esa/mta/mtatest"
)

// jobFor is a message for one recipient at a domain.
func jobFor(domain string) envelope.Job {
	j := job(plainText, "a")
	j.Domain = domain
	j.Recipients[0].Address.Domain = domain
	return j
}

// TestConnectionsAreSharedUnderEqualTLS: which two messages may go over one
// connection to a host.
func TestConnectionsAreSharedUnderEqualTLS(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	both := a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"d.test", "e.test"}})
	for _, tt := range []struct {
		name          string
		first, second TLSMode // for d.test, and for e.test
		same          bool    // both are for d.test
		want          int     // connections
	}{
		{"in clear", NoTLS, NoTLS, false, 1},
		{"encrypted", PreferTLS, PreferTLS, false, 1},
		{"required", RequireTLS, RequireTLS, false, 1},
		{"in clear, then encrypted", NoTLS, PreferTLS, false, 2},
		{"encrypted, then required", PreferTLS, RequireTLS, false, 2},
		{"verified for the same domain", RequireVerified, RequireVerified, true, 1},
		{"verified for another domain", RequireVerified, RequireVerified, false, 2},
		{"verified, then hosted", RequireVerified, RequireVerifiedHosted, true, 2},
		{"verified, then preferred", RequireVerified, PreferTLS, true, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.secured(tt.first, a)
				check(t, w.deliver(jobFor("d.test")), "delivered")
				w.secured(tt.second, a)
				other := "e.test"
				if tt.same {
					other = "d.test"
				}
				check(t, w.deliver(jobFor(other)), "delivered")
				if n := w.peers[0].Connections(); n != tt.want {
					t.Errorf("%d connections, want %d", n, tt.want)
				}
			}, speaks(both))
		})
	}
}

// TestIdleConnectionsAndNewTLSSettings: a commit that says the same about TLS
// keeps the connections that wait, any other closes them; those in clear stay.
func TestIdleConnectionsAndNewTLSSettings(t *testing.T) {
	a, b := mtatest.NewAuthority(t, "Root CA"), mtatest.NewAuthority(t, "Other CA")
	cert := a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"d.test"}})
	own := b.Issue(t, mtatest.CertificateSpec{CommonName: "gateway.test"})
	again, another := own, a.Issue(t, mtatest.CertificateSpec{})
	for _, tt := range []struct {
		name   string
		mode   TLSMode
		change func(*TLS)
		idle   int
	}{
		{"nothing new", RequireVerified, func(t *TLS) { t.Roots = a.Pool() }, 1},
		{"the same certificate", RequireTLS, func(t *TLS) { t.Certificate = &again }, 1},
		{"a certificate", RequireTLS, func(t *TLS) { t.Certificate = &another }, 0},
		{"no certificate", RequireTLS, func(t *TLS) { t.Certificate = nil }, 0},
		{"other authorities", RequireVerified, func(t *TLS) { t.Roots = b.Pool() }, 0},
		{"another version", RequireTLS, func(t *TLS) { t.Min = tls.VersionTLS13 }, 0},
		{"other ciphers", RequireTLS, func(t *TLS) { t.Ciphers = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256} }, 0},
		{"other ciphers, in clear", NoTLS, func(t *TLS) { t.Ciphers = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256} }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.settings.TLS.Certificate = &own
				w.secured(tt.mode, a)
				check(t, w.deliver(job(plainText, "a")), "delivered")
				w.configure(func(s *Settings) { tt.change(&s.TLS) })
				if s := w.client.Stats(); s.Idle != tt.idle {
					t.Errorf("%d connections wait, want %d", s.Idle, tt.idle)
				}
			}, speaks(cert))
		})
	}
}

// TestAnEncryptedConnectionIsReusedAfterTheWait: the goroutine that watches an
// idle connection leaves no trace on it.
func TestAnEncryptedConnectionIsReusedAfterTheWait(t *testing.T) {
	a := mtatest.NewAuthority(t, "Root CA")
	inWorld(t, func(w *world) {
		w.secured(RequireTLS, a)
		for range 3 {
			check(t, w.deliver(job(plainText, "a")), "delivered")
			time.Sleep(4 * time.Second) // in the bubble; it waits five
		}
		if n := w.peers[0].Connections(); n != 1 {
			t.Errorf("%d connections", n)
		}
		time.Sleep(12 * time.Second) // nobody reads the farewell: 221 is on its way
		if s := w.client.Stats(); s.Idle != 0 || s.Open != 0 {
			t.Errorf("after the idle time: %+v", s)
		}
		if got := w.peers[0].Commands(); got[len(got)-1] != "QUIT" {
			t.Errorf("ended with %q", got)
		}
	}, speaks(a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"d.test"}})))
}

// TestSessionsAreResumed: and the certificate is judged again.
func TestSessionsAreResumed(t *testing.T) {
	a, other := mtatest.NewAuthority(t, "Root CA"), mtatest.NewAuthority(t, "Other CA")
	cert := a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"d.test"}})
	resumed := make(chan bool, 10)
	script := mtatest.PeerScript{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}}
	script.Answer = func(c *mtatest.PeerConn, line string) string {
		if line == "DATA" {
			resumed <- c.State.DidResume
		}
		return ""
	}
	p := mtatest.StartPeer(t, script)
	settings := Settings{Routes: to(p.Addr()), TLS: TLS{Roots: a.Pool()}}
	settings.Destination = func(string) Destination { return Destination{TLS: RequireVerified, MessagesPerConnection: 1} }
	c := tcpClient(t, settings)
	for _, want := range []bool{false, true} {
		check(t, c.Deliver(t.Context(), job(plainText, "a")), "delivered")
		if got := <-resumed; got != want {
			t.Errorf("resumed: %v, want %v", got, want)
		}
	}
	settings.TLS.Roots = other.Pool()
	c.Configure(&settings)
	check(t, c.Deliver(t.Context(), job(plainText, "a")), "deferred 4.7.5 0 certificate-not-trusted")
}
