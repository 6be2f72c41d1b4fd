package mta

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"esa/mta/mtatest"
	"esa/store"
)

// profile makes a self-signed certificate profile with a key of its own.
func profile(t *testing.T, name, host string) store.Certificate {
	t.Helper()
	key, err := store.NewKey(store.P256)
	if err != nil {
		t.Fatal(err)
	}
	c, err := store.NewCertificate(name, key, store.Subject{CommonName: host, Days: 30}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// withTLS gives the first listener a certificate and a mode.
func withTLS(t *testing.T, cert store.Certificate, mode store.TLSMode) func(*world, *store.Config) {
	return func(_ *world, c *store.Config) {
		c.Certificates = append(c.Certificates, cert)
		c.Listeners[0].Certificate = cert.Name
		c.Listeners[0].HAT.Default.TLS.Mode = mode
	}
}

// startTLS goes on over TLS and gives what the server shows and how.
func (c *client) startTLS(config *tls.Config) (tls.ConnectionState, error) {
	c.t.Helper()
	c.do("EHLO client.test", "250")
	c.do("STARTTLS", "220")
	secured := tls.Client(c.conn, config)
	if err := secured.Handshake(); err != nil {
		return tls.ConnectionState{}, err
	}
	c.conn, c.in = secured, bufio.NewReader(secured)
	return secured.ConnectionState(), nil
}

// anyServer takes whatever certificate the server shows.
func anyServer() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// shown is the common name of the certificate that a new connection gets.
func (w *world) shown(t *testing.T) string {
	t.Helper()
	state, err := dial(t, w.addr).startTLS(anyServer())
	if err != nil {
		t.Fatal(err)
	}
	return state.PeerCertificates[0].Subject.CommonName
}

// TestSwap_Certificate: new connections get the new certificate, those with TLS
// go on, in the middle of a message too; the socket stays.
func TestSwap_Certificate(t *testing.T) {
	w := start(t, withTLS(t, profile(t, "one", "one.test"), store.TLSRequired))
	before := inodes(t, w.addr.Port())
	busy, greeted := dial(t, w.addr), dial(t, w.addr)
	if state, err := busy.startTLS(anyServer()); err != nil || state.PeerCertificates[0].Subject.CommonName != "one.test" {
		t.Fatal(state, err)
	}
	busy.do("EHLO client.test", "250")
	busy.do("MAIL FROM:<a@sender.test>", "250")
	busy.do("RCPT TO:<b@rcpt.test>", "250")
	w.commit(func(c *store.Config) {
		c.Certificates = append(c.Certificates, profile(t, "two", "two.test"))
		c.Listeners[0].Certificate = "two"
	})
	if got := w.shown(t); got != "two.test" {
		t.Errorf("a new connection is shown %s", got)
	}
	// It was accepted before, and is served as it was accepted.
	if state, err := greeted.startTLS(anyServer()); err != nil || state.PeerCertificates[0].Subject.CommonName != "one.test" {
		t.Errorf("a connection of before the commit is shown %v, %v", state.PeerCertificates, err)
	}
	busy.do("DATA", "354")
	busy.do("Subject: busy\r\n\r\nx\r\n.", "250")
	busy.mail("a@sender.test", "b@rcpt.test", "Subject: again\r\n\r\nx")
	await(t, "the messages of the old session", func() bool { return len(w.hop.Messages()) == 2 })
	for _, m := range w.hop.Messages() {
		if !strings.Contains(m.Text, " with ESMTP/TLS/TLS_AES_128_GCM_SHA256;") {
			t.Errorf("stored %s", m.Text)
		}
	}
	if after := inodes(t, w.addr.Port()); len(after) == 0 || after[keyOf(after)] != before[keyOf(before)] {
		t.Errorf("sockets %v became %v", before, after)
	}
}

// keyOf gives the only key of a table.
func keyOf(m map[string]string) string {
	for k := range m {
		return k
	}
	return ""
}

// TestSwap_SSLSettings: versions and ciphers of new connections are those of
// the commit.
func TestSwap_SSLSettings(t *testing.T) {
	w := start(t, withTLS(t, profile(t, "one", "one.test"), store.TLSPreferred))
	only := func(version uint16) *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version}
	}
	speaks := func(version uint16) bool {
		_, err := dial(t, w.addr).startTLS(only(version))
		return err == nil
	}
	for _, version := range []uint16{tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
		if speaks(version) != (version > tls.VersionTLS11) {
			t.Errorf("out of the box, %x: %v", version, speaks(version))
		}
	}
	w.commit(func(c *store.Config) {
		c.SSL.Inbound = store.SSLSettings{Versions: []store.TLSVersion{store.TLS11, store.TLS12}, Ciphers: "ECDHE-ECDSA-AES256-SHA"}
	})
	for _, version := range []uint16{tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
		if speaks(version) != (version < tls.VersionTLS13) {
			t.Errorf("after the commit, %x: %v", version, speaks(version))
		}
	}
	state, err := dial(t, w.addr).startTLS(anyServer())
	if err != nil || state.CipherSuite != tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA {
		t.Errorf("cipher %x, %v", state.CipherSuite, err)
	}
}

// TestCommit_CiphersThatSelectNothing cannot be committed.
func TestCommit_CiphersThatSelectNothing(t *testing.T) {
	w := start(t, nil)
	s := w.edit("admin", func(c *store.Config) { c.SSL.Inbound.Ciphers = "nonsense" })
	defer s.Close(false)
	problems := w.problems(s)
	if len(problems) != 1 || problems[0].Place != "inbound SSL settings" || problems[0].Fix != "sslconfig -> INBOUND" {
		t.Errorf("%+v", problems)
	}
}

// TestSwap_ClientAuthorities: a client is verified against the lists that the
// configuration enables.
func TestSwap_ClientAuthorities(t *testing.T) {
	system, custom := mtatest.NewAuthority(t, "System CA"), mtatest.NewAuthority(t, "Custom CA")
	w := newWorld(t, withTLS(t, profile(t, "one", "one.test"), store.TLSRequiredVerify))
	w.authorities = []*x509.Certificate{system.Certificate}
	w.run()
	w.awaitBound(1)
	client := func(by *mtatest.Authority) tls.Certificate {
		return by.Issue(t, mtatest.CertificateSpec{CommonName: "client.test"})
	}
	check := func(when string, none, ofSystem, ofCustom bool) {
		t.Helper()
		if a, b, c := w.takes(), w.takes(client(system)), w.takes(client(custom)); a != none || b != ofSystem || c != ofCustom {
			t.Errorf("%s: none %v, system %v, custom %v", when, a, b, c)
		}
	}
	check("system list", false, true, false)
	w.commit(func(c *store.Config) {
		list := store.Authority(store.EncodeCertificates([]*x509.Certificate{custom.Certificate}))
		c.Authorities = store.Authorities{Custom: true, List: []store.Authority{list}}
	})
	check("custom list", false, false, true)
	w.commit(func(c *store.Config) { c.Authorities.Custom = false })
	check("no list", false, false, false)
	w.commit(func(c *store.Config) { c.Listeners[0].HAT.Default.TLS.Mode = store.TLSPreferredVerify })
	check("preferred", true, false, false)
}

// encrypted connects, goes over to TLS and says EHLO and QUIT there.
func encrypted(addr netip.AddrPort) error {
	conn, err := net.DialTimeout("tcp", addr.String(), patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	say := func(conn net.Conn, in *bufio.Reader, line, prefix string) error {
		if _, err := io.WriteString(conn, line); err != nil {
			return err
		}
		for {
			got, err := in.ReadString('\n')
			if err != nil || !strings.HasPrefix(got, prefix) {
				return fmt.Errorf("%q was answered %q: %w", line, got, err)
			}
			if got[3] == ' ' {
				return nil
			}
		}
	}
	in := bufio.NewReader(conn)
	err = errors.Join(say(conn, in, "", "220"), say(conn, in, "EHLO client.test\r\n", "250"), say(conn, in, "STARTTLS\r\n", "220"))
	if err != nil {
		return err
	}
	secured := tls.Client(conn, anyServer())
	in = bufio.NewReader(secured)
	return errors.Join(secured.Handshake(), say(secured, in, "EHLO client.test\r\n", "250"), say(secured, in, "QUIT\r\n", "221"))
}

// TestC2_CertificateStorm: certificates are swapped at full speed while clients
// shake hands without pause. Nobody is lost, and who comes after a commit is
// shown its certificate.
func TestC2_CertificateStorm(t *testing.T) {
	const commits, busy = 30, 8
	w := start(t, withTLS(t, profile(t, "one", "one.test"), store.TLSRequired))
	storm := startClients(busy, func() error { return encrypted(w.addr) })
	for i := range commits {
		storm.between(busy)
		name := fmt.Sprintf("n%d", i)
		w.commit(func(c *store.Config) {
			c.Certificates = []store.Certificate{profile(t, name, name+".test")}
			c.Listeners[0].Certificate = name
		})
		if got := w.shown(t); got != name+".test" {
			t.Fatalf("after commit %d a client is shown %s", i, got)
		}
	}
	storm.wantNoLoss(t)
}
