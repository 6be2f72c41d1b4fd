package store

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
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
	return "expires " + day(cert.NotAfter)
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

// Roots gives what peers are verified against: those of Trusted. With both
// lists disabled the pool is empty, and nobody is verified; it is never nil,
// which would mean the machine's list to crypto/x509.
func (a Authorities) Roots(system []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, cert := range a.Trusted(system) {
		pool.AddCert(cert)
	}
	return pool
}

// Trusted gives the authorities of the lists that are enabled; system holds
// those of the machine.
func (a Authorities) Trusted(system []*x509.Certificate) []*x509.Certificate {
	var trusted []*x509.Certificate
	if a.System {
		trusted = append(trusted, system...)
	}
	if a.Custom {
		for _, authority := range a.List {
			if cert, err := authority.Certificate(); err == nil {
				trusted = append(trusted, cert)
			}
		}
	}
	return trusted
}

// Known gives the authorities that peers are expected to have: those of the
// machine and of the custom list, whether or not we trust them. It is nil where
// those of the machine are not known.
func (a Authorities) Known(system []*x509.Certificate) []*x509.Certificate {
	if system == nil {
		return nil
	}
	known := slices.Clone(system)
	for _, authority := range a.List {
		if cert, err := authority.Certificate(); err == nil {
			known = append(known, cert)
		}
	}
	return known
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

// AddAuthorities adds certificates to the custom list, and says of each that is
// left out why: those that are no authority's, not valid now, or there already.
// An intermediate is taken if its issuer is in the list then, or known.
func (a *Authorities) AddAuthorities(certs []*x509.Certificate, check AuthorityCheck) (added int, refused []string) {
	have := make([]*x509.Certificate, 0, len(a.List)+len(certs))
	for _, authority := range a.List {
		if cert, err := authority.Certificate(); err == nil {
			have = append(have, cert)
		}
	}
	all := slices.Concat(have, certs, check.Known)
	for _, cert := range certs {
		why := check.fault(cert, have, all)
		if why == "" && len(a.List) >= MaxAuthorities {
			why = "the list is full"
		}
		if why != "" {
			refused = append(refused, CommonName(cert)+": "+why)
			continue
		}
		a.List = append(a.List, Authority(EncodeCertificates([]*x509.Certificate{cert})))
		have = append(have, cert)
		added++
	}
	return added, refused
}

// AuthorityCheck is what an authority is held to before it joins the custom
// list.
type AuthorityCheck struct {
	Now   time.Time
	Known []*x509.Certificate // roots that are not in the custom list
	FQDN  bool                // names of hosts only: common name and DNS names
}

// fault says why a certificate is left out, "" if it is not. have is the list,
// all everything that could have issued it.
func (k AuthorityCheck) fault(cert *x509.Certificate, have, all []*x509.Certificate) string {
	word, _ := ValidityOf(cert, k.Now)
	switch {
	case slices.ContainsFunc(have, cert.Equal):
		return "it is there already"
	case !cert.BasicConstraintsValid || !cert.IsCA:
		return "it is not a certificate of a certificate authority (CA flag)"
	case word == Expired:
		return "it expired on " + day(cert.NotAfter)
	case word == NotYetValid:
		return "it is not valid before " + day(cert.NotBefore)
	case !SelfSigned(cert) && issuerIn(all, cert) < 0:
		return "the certificate of its issuer, " + IssuerName(cert) + ", is missing"
	case k.FQDN && CheckFQDN(cert) != nil:
		return "its names are not in FQDN format"
	}
	return ""
}

// CheckFQDN refuses a certificate whose common name or DNS names are not fully
// qualified names of hosts.
func CheckFQDN(cert *x509.Certificate) error {
	names := cert.DNSNames
	if cert.Subject.CommonName != "" || len(names) == 0 {
		names = append([]string{cert.Subject.CommonName}, names...)
	}
	for _, name := range names {
		if err := ParseFQDN(name); err != nil {
			return err
		}
	}
	return nil
}

// ParseFQDN refuses what is not the fully qualified name of a host: two labels
// or more, the first of which may be "*".
func ParseFQDN(text string) error {
	if _, err := ParseDNSName(text); err != nil || !strings.Contains(strings.TrimPrefix(text, "*."), ".") {
		return refuse("%s is not in Fully Qualified Domain Name (FQDN) format.", strconv.Quote(text))
	}
	return nil
}
