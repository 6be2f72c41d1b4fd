package mta

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"esa/mta/mtatest"
	"esa/store"
)

// lists serves revocation lists by path.
type lists struct {
	*httptest.Server
	text atomic.Pointer[[]byte]
}

func newLists(t *testing.T) *lists {
	l := &lists{}
	l.Server = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		if text := l.text.Load(); text != nil {
			_, _ = out.Write(*text)
			return
		}
		out.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *lists) serve(text []byte) { l.text.Store(&text) }

// trusting has peers of an authority verified, and its list fetched.
func trusting(a *mtatest.Authority, address string) func(*store.Config) {
	return func(c *store.Config) {
		list := store.Authority(store.EncodeCertificates([]*x509.Certificate{a.Certificate}))
		c.Authorities = store.Authorities{Custom: true, List: []store.Authority{list}}
		c.Revocation.Sources = []store.CRLSource{{Name: "ca", URL: address, Refresh: store.DailyCRL()}}
	}
}

// takes reports whether the listener takes mail from a client with this
// certificate, or without one.
func (w *world) takes(certs ...tls.Certificate) bool {
	config := anyServer()
	config.Certificates = certs
	c := dial(w.t, w.addr)
	conn := c.conn
	defer conn.Close()
	if _, err := c.startTLS(config); err != nil {
		return false
	}
	// TLS 1.3 tells the client only now.
	if _, err := io.WriteString(c.conn, "MAIL FROM:<a@sender.test>\r\n"); err != nil {
		return false
	}
	reply, err := c.reply()
	return err == nil && strings.HasPrefix(reply, "250")
}

// TestRevocation_Listener: a client whose certificate was revoked is refused
// and logged, where the lists are used, also after a restart without the host
// of the list.
func TestRevocation_Listener(t *testing.T) {
	a, host := mtatest.NewAuthority(t, "Client CA"), newLists(t)
	good, bad := a.Issue(t, mtatest.CertificateSpec{CommonName: "good.test"}), a.Issue(t, mtatest.CertificateSpec{CommonName: "bad.test"})
	host.serve(a.Revoke(t, mtatest.ListSpec{Now: time.Now()}, bad.Leaf))
	w := start(t, func(w *world, c *store.Config) {
		withTLS(t, profile(t, "one", "one.test"), store.TLSRequiredVerify)(w, c)
		trusting(a, host.URL)(c)
	})
	await(t, "the list", func() bool { return w.gateway.RevocationLists()[0].Entries == 1 })
	check := func(when string, takesBad bool) {
		t.Helper()
		if !w.takes(good) || w.takes(bad) != takesBad {
			t.Errorf("%s: a good client %v, a revoked one %v", when, w.takes(good), w.takes(bad))
		}
	}
	check("not used", true)
	w.commit(func(c *store.Config) { c.Revocation.Listener = true })
	check("used", false)
	await(t, "the log", func() bool {
		return strings.Contains(w.mailLog(), "TLS failed: (0, 'client certificate not verified: the certificate with serial number ") &&
			strings.Contains(w.mailLog(), "(keyCompromise, list ca)')")
	})
	host.Close()
	w.reopen()
	w.awaitBound(1)
	check("after a restart", false)
	w.end()
	if states := Offline(w.options()).RevocationLists(); len(states) != 1 || states[0].Entries != 1 {
		t.Errorf("offline %+v", states)
	}
	w.run()
	w.awaitBound(1)
	w.commit(func(c *store.Config) { c.Revocation.Sources = nil })
	check("without sources", true)
}

// TestRevocation_Delivery: a host whose certificate was revoked gets no mail
// that must be verified; log and alert name the reason.
func TestRevocation_Delivery(t *testing.T) {
	a, host := mtatest.NewAuthority(t, "Server CA"), newLists(t)
	cert := a.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"rcpt.test"}})
	hop := mtatest.StartPeer(t, mtatest.PeerScript{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
	host.serve(a.Revoke(t, mtatest.ListSpec{Now: time.Now()}))
	w := start(t, func(w *world, c *store.Config) {
		c.Routes = append(c.Routes, routeTo("rcpt.test", hop))
		c.Destinations.Entries = []store.Destination{{Domain: "rcpt.test", TLS: store.TLSRequiredVerify}}
		c.Destinations.AlertTLS, c.Revocation.Delivery = true, true
		trusting(a, host.URL)(c)
		tellOps(c)
	})
	await(t, "the list", func() bool { return !w.gateway.RevocationLists()[0].Fetched.IsZero() })
	w.sendTo("rcpt.test", 1)
	await(t, "a message", func() bool { return len(hop.Messages()) == 1 })
	host.serve(a.Revoke(t, mtatest.ListSpec{Now: time.Now()}, cert.Leaf))
	if state, err := w.gateway.UpdateRevocationList(t.Context(), "ca"); err != nil || state.Entries != 1 {
		t.Fatal(state, err)
	}
	w.commit(func(c *store.Config) { c.Delivery.Concurrency = 9 }) // nothing is reused
	w.sendTo("rcpt.test", 1)
	m := alertMail(t, w.hop, "A required TLS connection to rcpt.test failed.")
	if !strings.Contains(m.Text, "certificate-revoked") {
		t.Errorf("the alert says %s", m.Text)
	}
	if n := len(hop.Messages()); n != 1 {
		t.Errorf("%d messages at the host", n)
	}
	if log := w.mailLog(); !strings.Contains(log, "TLS failed: verify error: the certificate with serial number ") {
		t.Errorf("log:\n%s", log)
	}
}

// TestRevocation_HostThatDoesNotAnswer: a commit does not wait for it, nor does
// the end of the gateway; and operators are told of a list that is not there.
func TestRevocation_HostThatDoesNotAnswer(t *testing.T) {
	asked := make(chan struct{})
	once := sync.OnceFunc(func() { close(asked) })
	stalls := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, in *http.Request) {
		once()
		<-in.Context().Done()
	}))
	t.Cleanup(stalls.Close)
	a, missing := mtatest.NewAuthority(t, "CA"), newLists(t)
	w := start(t, func(_ *world, c *store.Config) { tellOps(c) })
	began := time.Now()
	w.commit(func(c *store.Config) { trusting(a, stalls.URL)(c) })
	w.commit(func(c *store.Config) { c.Revocation.Delivery = true })
	if took := time.Since(began); took > patience/2 {
		t.Errorf("the commits took %v", took)
	}
	<-asked
	w.commit(func(c *store.Config) { c.Revocation.Sources[0].URL = missing.URL })
	m := alertMail(t, w.hop, `The certificate revocation list "ca" is missing.`)
	if !strings.Contains(m.Text, "the host answered 404") {
		t.Errorf("the alert says %s", m.Text)
	}
	if log := w.mailLog(); !strings.Contains(log, "CRL ca not fetched: the host answered 404\n") ||
		!strings.Contains(log, "CRL ca is missing: no certificate is checked against it\n") {
		t.Errorf("log:\n%s", log)
	}
	w.commit(func(c *store.Config) { c.Revocation.Sources[0].URL = stalls.URL })
	began = time.Now()
	w.end()
	if took := time.Since(began); took > patience/2 {
		t.Errorf("the end took %v", took)
	}
}
