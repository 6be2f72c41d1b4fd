package tlsconf

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// ErrClientCertificate is what errors of VerifyClient match.
var ErrClientCertificate = errors.New("client certificate not verified")

// VerifyClient checks the chain that a client shows, its own certificate
// first: it leads to one of the Roots, is valid now, may identify a server or
// a client, and is not revoked. Authorities have stopped to sign for clients
// apart, so a mail server's certificate is one of a server. Whose name it
// bears is not asked: a listener knows no name that its clients must have.
func (o Options) VerifyClient(shown []*x509.Certificate) error {
	now := time.Now
	if o.Clock != nil {
		now = o.Clock
	}
	between := x509.NewCertPool()
	for _, c := range shown[1:] {
		between.AddCert(c)
	}
	roots := o.Roots
	if roots == nil {
		roots = x509.NewCertPool() // not the machine's: nobody is trusted
	}
	chains, err := shown[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrClientCertificate, err)
	}
	if o.Revoked == nil {
		return nil
	}
	for _, chain := range chains {
		if err = o.Revoked(chain); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%w: %w", ErrClientCertificate, err)
}
