package tlsconf

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// patience bounds a handshake that must come to its end.
const patience = 30 * time.Second

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	a := authority{key: newKey(t)}
	a.cert = sign(t, a, &a.key.PublicKey, &x509.Certificate{Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}).Leaf
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign completes a template: valid for an hour unless it says otherwise, and
// self-signed if the authority has no certificate yet.
func sign(t *testing.T, a authority, public *ecdsa.PublicKey, template *x509.Certificate) tls.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent := a.cert
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, a.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, Leaf: leaf}
}

// leaf makes a certificate of the authority with its key.
func (a authority) leaf(t *testing.T, template *x509.Certificate) *tls.Certificate {
	t.Helper()
	key := newKey(t)
	c := sign(t, a, &key.PublicKey, template)
	c.PrivateKey = key
	return &c
}

// shake holds a handshake of the two, and what the client reads after it.
func shake(t *testing.T, server, client *tls.Config) (state tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	limit := time.Now().Add(patience)
	_, _ = here.SetDeadline(limit), there.SetDeadline(limit)
	done := make(chan error, 1)
	go func() {
		c := tls.Server(here, server)
		err := c.Handshake()
		if err == nil {
			_, err = c.Write([]byte("x"))
		}
		here.Close()
		done <- err
	}()
	c := tls.Client(there, client)
	if clientErr = c.Handshake(); clientErr == nil {
		state = c.ConnectionState()
		_, clientErr = c.Read(make([]byte, 1))
	}
	there.Close()
	return state, <-done, clientErr
}

func TestVersionsAndCiphersHold(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.leaf(t, &x509.Certificate{DNSNames: []string{"mail.example.com"}})
	aead, err := ParseCiphers("ECDHE+AESGCM")
	if err != nil {
		t.Fatal(err)
	}
	old, err := ParseCiphers("ECDHE+SHA1")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name           string
		server, client Options
		protocol       string // empty: no connection
		cipher         string
	}{
		{"defaults", Options{}, Options{}, "TLSv1.3", "TLS_AES_128_GCM_SHA256"},
		{"1.2", Options{Ciphers: aead}, Options{Max: tls.VersionTLS12}, "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"},
		{"CBC by default", Options{}, Options{Max: tls.VersionTLS12, Ciphers: old}, "", ""},
		{"CBC where chosen", Options{Ciphers: old}, Options{Max: tls.VersionTLS12}, "TLSv1.2", "ECDHE-ECDSA-AES128-SHA"},
		{"1.1 by default", Options{}, Options{Min: tls.VersionTLS10, Max: tls.VersionTLS11}, "", ""},
		{"1.0 allowed", Options{Min: tls.VersionTLS10}, Options{Min: tls.VersionTLS10, Max: tls.VersionTLS10}, "TLSv1", "ECDHE-ECDSA-AES128-SHA"},
		{"1.0 without its ciphers", Options{Min: tls.VersionTLS10, Ciphers: aead}, Options{Min: tls.VersionTLS10, Max: tls.VersionTLS10}, "", ""},
		{"1.3 not allowed", Options{Max: tls.VersionTLS12}, Options{}, "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"},
		{"no cipher in common", Options{Ciphers: aead}, Options{Max: tls.VersionTLS12, Ciphers: old}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.server.Certificate = cert
			state, serverErr, clientErr := shake(t, Server(tt.server), Client(tt.client))
			if (serverErr == nil && clientErr == nil) != (tt.protocol != "") {
				t.Fatalf("server %v, client %v", serverErr, clientErr)
			}
			if tt.protocol != "" && (ProtocolName(state.Version) != tt.protocol || CipherName(state.CipherSuite) != tt.cipher) {
				t.Errorf("%s %s, want %s %s", ProtocolName(state.Version), CipherName(state.CipherSuite), tt.protocol, tt.cipher)
			}
		})
	}
}

func TestClientCertificates(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	server := ca.leaf(t, &x509.Certificate{DNSNames: []string{"mail.example.com"}})
	usage := func(u x509.ExtKeyUsage) *x509.Certificate {
		return &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{u}}
	}
	good := ca.leaf(t, usage(x509.ExtKeyUsageClientAuth))
	revoked := func(chain []*x509.Certificate) error {
		if chain[0].Equal(good.Leaf) && len(chain) == 2 {
			return errors.New("it is on the list")
		}
		return nil
	}
	for _, tt := range []struct {
		name    string
		wants   ClientCertificate
		shows   *tls.Certificate
		revoked func([]*x509.Certificate) error
		ok      bool
	}{
		{"not asked", NotAsked, stranger.leaf(t, &x509.Certificate{}), nil, true},
		{"if given, none", IfGiven, nil, nil, true},
		{"if given, good", IfGiven, good, nil, true},
		{"if given, unknown authority", IfGiven, stranger.leaf(t, &x509.Certificate{}), nil, false},
		{"needed, none", Needed, nil, nil, false},
		{"needed, good", Needed, good, nil, true},
		{"needed, a server's", Needed, ca.leaf(t, usage(x509.ExtKeyUsageServerAuth)), nil, true},
		{"needed, for code", Needed, ca.leaf(t, usage(x509.ExtKeyUsageCodeSigning)), nil, false},
		{"needed, expired", Needed, ca.leaf(t, &x509.Certificate{NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)}), nil, false},
		{"needed, revoked", Needed, good, revoked, false},
		{"needed, another is revoked", Needed, ca.leaf(t, &x509.Certificate{}), revoked, true},
	} {
		for _, most := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(fmt.Sprintf("%s, %s", tt.name, ProtocolName(most)), func(t *testing.T) {
				s := Server(Options{Certificate: server, Clients: tt.wants, Roots: roots, Revoked: tt.revoked, Max: most})
				_, serverErr, _ := shake(t, s, Client(Options{Certificate: tt.shows}))
				if (serverErr == nil) != tt.ok {
					t.Errorf("server: %v", serverErr)
				}
				if serverErr != nil && tt.shows != nil && !errors.Is(serverErr, ErrClientCertificate) {
					t.Errorf("%v is no ErrClientCertificate", serverErr)
				}
			})
		}
	}
}

func TestNoRootsTrustNobody(t *testing.T) {
	ca := newAuthority(t)
	err := Options{}.VerifyClient([]*x509.Certificate{ca.leaf(t, &x509.Certificate{}).Leaf})
	if !errors.Is(err, ErrClientCertificate) {
		t.Errorf("verified without roots: %v", err)
	}
}

func TestFailure(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.leaf(t, &x509.Certificate{DNSNames: []string{"mail.example.com"}})
	strict := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "mail.example.com"}
	for _, tt := range []struct {
		name   string
		meet   func(client net.Conn)
		number int
		text   string
	}{
		{"alert", func(c net.Conn) { _ = tls.Client(c, strict).Handshake() }, 42, "alert from the peer: bad certificate"},
		{"old version", func(c net.Conn) {
			_ = tls.Client(c, Client(Options{Min: tls.VersionTLS10, Max: tls.VersionTLS11})).Handshake()
		}, 0, "client offered only unsupported versions: [302 301]"},
		{"hung up", func(c net.Conn) {}, -1, "Unexpected EOF"},
		{"garbage", func(c net.Conn) { _, _ = c.Write([]byte("NOOP\r\nNOOP\r\n")) }, 0, "first record does not look like a TLS handshake"},
		{"silence", func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }, 110, "handshake timed out"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			here, there := net.Pipe()
			defer here.Close()
			wait := patience
			if tt.name == "silence" {
				wait = 10 * time.Millisecond
			}
			_, _ = here.SetDeadline(time.Now().Add(wait)), there.SetDeadline(time.Now().Add(patience))
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer there.Close()
				tt.meet(there)
			}()
			err := tls.Server(here, Server(Options{Certificate: cert})).Handshake()
			here.Close()
			<-done
			if number, text := Failure(err); number != tt.number || text != tt.text {
				t.Errorf("(%d, %q) of %v; want (%d, %q)", number, text, err, tt.number, tt.text)
			}
		})
	}
}

func TestFailureIsShort(t *testing.T) {
	if _, text := Failure(errors.New(strings.Repeat("offered", 1000))); len(text) != maxFailure+len("...") {
		t.Errorf("%d bytes", len(text))
	}
}
