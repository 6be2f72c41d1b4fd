package mtatest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// CertificateSpec says what a certificate holds. A zero time is the first day
// of 1999 or of 2099: the present lies between them, and so does the year in
// which synctest bubbles begin.
type CertificateSpec struct {
	CommonName string
	DNSNames   []string
	NotBefore  time.Time
	NotAfter   time.Time
	SelfSigned bool // by its own key instead of the authority's
}

// Authority signs certificates for tests. Its keys are ECDSA P-256.
type Authority struct {
	Certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	above       []*x509.Certificate // its own issuers, those without the root
}

// NewAuthority makes a self-signed authority.
func NewAuthority(t testing.TB, name string) *Authority {
	t.Helper()
	a := &Authority{}
	a.Certificate, a.key = sign(t, template(CertificateSpec{CommonName: name}, true), nil)
	return a
}

// Intermediate makes an authority below a.
func (a *Authority) Intermediate(t testing.TB, name string) *Authority {
	t.Helper()
	below := &Authority{}
	below.Certificate, below.key = sign(t, template(CertificateSpec{CommonName: name}, true), a)
	below.above = append([]*x509.Certificate{below.Certificate}, a.above...)
	return below
}

// Pool trusts the authority.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Certificate)
	return pool
}

// Issue makes a certificate with its key; the intermediates follow it.
func (a *Authority) Issue(t testing.TB, spec CertificateSpec) tls.Certificate {
	t.Helper()
	by := a
	if spec.SelfSigned {
		by = nil
	}
	cert, key := sign(t, template(spec, false), by)
	chain := tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
	for _, c := range a.above {
		chain.Certificate = append(chain.Certificate, c.Raw)
	}
	return chain
}

func template(spec CertificateSpec, authority bool) *x509.Certificate {
	c := &x509.Certificate{
		Subject:               pkix.Name{CommonName: spec.CommonName},
		DNSNames:              spec.DNSNames,
		NotBefore:             spec.NotBefore,
		NotAfter:              spec.NotAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  authority,
	}
	if c.NotBefore.IsZero() {
		c.NotBefore = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if authority {
		c.KeyUsage |= x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	} else {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	return c
}

// sign makes a certificate with a key of its own; by nil, it is self-signed.
func sign(t testing.TB, c *x509.Certificate, by *Authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if c.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		t.Fatal(err)
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.Certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return signed, key
}

// ListSpec says what a revocation list holds beside the serial numbers. A zero
// time is an hour before Now, or a day after it.
type ListSpec struct {
	Now        time.Time
	ThisUpdate time.Time
	NextUpdate time.Time
	Number     int64
	Extensions []pkix.Extension
	Entries    []x509.RevocationListEntry // beside revoked
}

// Revoke makes a revocation list of the authority, in DER.
func (a *Authority) Revoke(t testing.TB, spec ListSpec, revoked ...*x509.Certificate) []byte {
	t.Helper()
	list := &x509.RevocationList{
		Number: big.NewInt(spec.Number + 1), ThisUpdate: spec.ThisUpdate, NextUpdate: spec.NextUpdate,
		ExtraExtensions: spec.Extensions, RevokedCertificateEntries: spec.Entries,
	}
	if list.ThisUpdate.IsZero() {
		list.ThisUpdate = spec.Now.Add(-time.Hour)
	}
	if list.NextUpdate.IsZero() {
		list.NextUpdate = spec.Now.Add(24 * time.Hour)
	}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: c.SerialNumber, RevocationTime: list.ThisUpdate.Add(-time.Hour), ReasonCode: 1,
		})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.Certificate, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
