package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"esa/mta/envelope"
)

// Fault is why a certificate does not hold: one word of the closed list, and a
// text for operators. The text may hold names from the certificate: escape it
// before it is shown.
type Fault struct {
	Reason envelope.Reason
	Text   string
}

func (f *Fault) Error() string { return f.Text }

// maxChain bounds how many certificates of a chain are looked at.
const maxChain = 32

// Trust verifies a chain as a server presented it, its own certificate first.
// A nil pool trusts nobody. It gives the chain that was found, from the
// server's certificate to the authority, or why there is none.
func Trust(presented []*x509.Certificate, roots *x509.CertPool, now time.Time) ([]*x509.Certificate, *Fault) {
	if len(presented) == 0 {
		return nil, &Fault{envelope.ReasonCertificate, "the server presented no certificate"}
	}
	if roots == nil {
		roots = x509.NewCertPool()
	}
	leaf, between := presented[0], x509.NewCertPool()
	for _, c := range presented[1:min(len(presented), maxChain)] {
		between.AddCert(c)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now})
	if err != nil {
		return nil, fault(leaf, err, now)
	}
	return chains[0], nil
}

// fault puts an error of crypto/x509 into the words of the gateway.
func fault(leaf *x509.Certificate, err error, now time.Time) *Fault {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return expired(invalid.Cert, leaf, now)
	case errors.As(err, &unknown):
		return untrusted(leaf)
	}
	return &Fault{envelope.ReasonCertificate, err.Error()}
}

func expired(cert, leaf *x509.Certificate, now time.Time) *Fault {
	whose := "the certificate"
	if cert != leaf {
		whose = fmt.Sprintf("the certificate of the authority %s", cert.Subject.CommonName)
	}
	if now.Before(cert.NotBefore) {
		return &Fault{envelope.ReasonCertExpired, fmt.Sprintf("%s is not valid before %s", whose, day(cert.NotBefore))}
	}
	return &Fault{envelope.ReasonCertExpired, fmt.Sprintf("%s expired on %s", whose, day(cert.NotAfter))}
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02") }

func untrusted(leaf *x509.Certificate) *Fault {
	if string(leaf.RawIssuer) == string(leaf.RawSubject) {
		return &Fault{envelope.ReasonCertUntrusted, "self-signed certificate"}
	}
	return &Fault{envelope.ReasonCertUntrusted,
		fmt.Sprintf("unable to get the certificate of the issuer %s: it is not trusted, or an intermediate is missing", leaf.Issuer.CommonName)}
}

// Mismatch is the fault of a certificate whose names do not speak for a
// domain.
func Mismatch(leaf *x509.Certificate, domain string) *Fault {
	names := Names(leaf)
	text := "the certificate is for nobody"
	if len(names) > 0 {
		text = fmt.Sprintf("the certificate is for %s", names[0])
	}
	if len(names) > 1 {
		text += fmt.Sprintf(" and %d more", len(names)-1)
	}
	return &Fault{envelope.ReasonCertHost, text + ", not for " + domain}
}
