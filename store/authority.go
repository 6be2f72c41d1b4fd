package store

import (
	"crypto/x509"
	"fmt"
)

// Bounds of the custom list of certificate authorities.
const MaxAuthorities = 500

// Authorities says which certificate authorities are trusted to certify peers.
type Authorities struct {
	System bool        `label:"System list"` // what the machine trusts
	Custom bool        `label:"Custom list"`
	List   []Authority `label:"Custom authorities" object:"custom authority"`
}

// Authority is one certificate of the custom list, in PEM.
type Authority PEM

// key names the certificate in a way that no other has.
func (a Authority) key() string {
	cert, err := a.Certificate()
	if err != nil {
		return "SHA-256 " + shortSum([]byte(a))
	}
	return fmt.Sprintf("%s (SHA-256 %s)", CommonName(cert), Fingerprint(cert))
}

func (a Authority) String() string {
	cert, err := a.Certificate()
	if err != nil {
		return fmt.Sprintf("%d bytes", len(a))
	}
	return "expires " + cert.NotAfter.UTC().Format("2006-01-02")
}

// Certificate gives the one certificate that a is.
func (a Authority) Certificate() (*x509.Certificate, error) {
	certs, err := PEM(a).Certificates()
	if err != nil {
		return nil, err
	}
	if len(certs) != 1 {
		return nil, errNotCertificates
	}
	return certs[0], nil
}

// Roots gives what peers are verified against: system holds the authorities of
// the machine and is used if that list is enabled. With both lists disabled
// the pool is empty, and nobody is verified; it is never nil, which would mean
// the machine's list to crypto/x509.
func (a Authorities) Roots(system []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	if a.System {
		for _, cert := range system {
			pool.AddCert(cert)
		}
	}
	if a.Custom {
		for _, authority := range a.List {
			if cert, err := authority.Certificate(); err == nil {
				pool.AddCert(cert)
			}
		}
	}
	return pool
}

func (c *Config) validateAuthorities(p *problems) {
	report := p.at("certificate authorities", "certconfig -> CERTAUTHORITY -> CUSTOM")
	if len(c.Authorities.List) > MaxAuthorities {
		report("There is a maximum of %d certificates in the custom list.", MaxAuthorities)
	}
	seen := map[Authority]bool{}
	for _, a := range c.Authorities.List {
		if cert, err := a.Certificate(); err != nil {
			report("%s: %v", a.key(), err)
		} else if !cert.IsCA {
			report("%s: The certificate is not one of a certificate authority.", a.key())
		}
		if seen[a] {
			report("%s: The certificate is there twice.", a.key())
		}
		seen[a] = true
	}
}
