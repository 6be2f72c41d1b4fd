// Package tlsconf makes the TLS settings of connections that carry mail from
// plain options: protocol versions, ciphers, certificates, and whether a
// client must show one.
//
//	Server, Client   *tls.Config from Options                                  tlsconf.go
//	ParseMethod      "tlsv1_2tlsv1_3", the words of sslconfig                   version.go
//	ParseCiphers     an OpenSSL cipher string (openssl-ciphers, CIPHER LIST     cipherstring.go
//	                 FORMAT) over the suites there are
//	CipherName       OpenSSL's name of a suite: logs and Received fields        cipher.go
//	VerifyClient     the chain that a client shows                              verify.go
//	Catalogue        what a method and a cipher string come to, for operators    catalogue.go
//	Failure          why a handshake failed, as the pair that logs show         failure.go
//
// What an ESA leaves to OpenSSL is done by crypto/tls here, so there is no
// SSL 2 or 3, no finite-field Diffie-Hellman and no renegotiation, and among
// the ciphers of a connection its own order of preference holds: the strongest
// that the machine computes quickly. The ciphers of TLS 1.3 are not selectable.
//
// Nothing here reads files or asks the network.
package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"time"
)

// Options are what a configuration says about TLS. The zero value of a field
// takes what is named with it.
type Options struct {
	Min, Max    uint16           // protocol versions; 0: TLS 1.2 and TLS 1.3
	Ciphers     []uint16         // up to TLS 1.2; nil: our own choice
	Certificate *tls.Certificate // of a server its own; of a client what it shows when asked; nil: none
	ServerName  string           // Client only: sent as SNI (RFC 6066 §3)
	Clients     ClientCertificate
	Roots       *x509.CertPool // Server only: who signs clients' certificates
	// Revoked says why a chain that leads to Roots must not be trusted after
	// all; nil: nothing is revoked. Server only; called concurrently.
	Revoked func(chain []*x509.Certificate) error
	Clock   func() time.Time // nil: time.Now
}

// ClientCertificate is what a server wants of its clients.
type ClientCertificate int

const (
	NotAsked ClientCertificate = iota // for a certificate
	IfGiven                           // it must verify, if there is one
	Needed                            // there must be one, and it must verify
)

// Server makes the settings of a listening side. A session of one set of
// settings is not resumed under another: each has ticket keys of its own, so
// what was allowed yesterday is not carried over by an old ticket. Our own choice
// of ciphers is that of DEFAULT with authenticated encryption only, where no
// version before TLS 1.2 is allowed.
func Server(o Options) *tls.Config {
	c := o.config()
	if o.Ciphers == nil && c.MinVersion >= tls.VersionTLS12 {
		// CBC suites are what scanners find fault with. Earlier versions have
		// nothing else.
		c.CipherSuites = matching(suite.isAuthenticated)
	}
	if o.Certificate != nil {
		c.Certificates = []tls.Certificate{*o.Certificate}
	}
	switch o.Clients {
	case IfGiven:
		c.ClientAuth = tls.RequestClientCert
	case Needed:
		c.ClientAuth = tls.RequireAnyClientCert
	default:
		return c
	}
	// ClientCAs stays empty: the names of a machine's hundred authorities would
	// be sent to every client (RFC 8446 §4.2.4), and it has one certificate.
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return nil // RequireAnyClientCert has refused it, RequestClientCert has not
		}
		return o.VerifyClient(s.PeerCertificates)
	}
	return c
}

// Client makes the settings of a calling side. They verify nothing: what of
// the server's certificate has to hold depends on the destination, and may be
// nothing, so the caller looks at the chain when the handshake is over, before
// it sends anything. Our own choice of ciphers is that of DEFAULT: what it
// leaves out may make a host of few ciphers get its mail in clear.
func Client(o Options) *tls.Config {
	c := o.config()
	c.InsecureSkipVerify = true
	c.ServerName = o.ServerName
	if o.Certificate != nil {
		// Shown whatever authorities the server names, as OpenSSL does.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return o.Certificate, nil }
	}
	return c
}

// config is what both sides have in common.
func (o Options) config() *tls.Config {
	c := &tls.Config{MinVersion: o.Min, MaxVersion: o.Max, CipherSuites: o.Ciphers, Time: o.Clock}
	if c.MinVersion == 0 {
		c.MinVersion = tls.VersionTLS12
	}
	if c.CipherSuites == nil {
		c.CipherSuites = matching(suite.byDefault)
	}
	return c
}
