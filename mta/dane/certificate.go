package dane

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"time"

	"esa/mta/envelope"
	"esa/mta/identity"
	"esa/mta/lookup"
)

// Match is what a certificate was authenticated by.
type Match struct {
	Record lookup.TLSA
	Depth  int    // of the certificate that the record names: 0 is the server's own
	Name   string // of the certificate that speaks for the destination; empty under usage 3, which looks at none
}

// maxChain bounds how many certificates of a handshake are looked at.
const maxChain = 16

// Verify holds the certificates of a handshake, the server's own first,
// against usable records: one that fits is enough. Under usage 3 neither
// names nor dates count (RFC 7672 §3.1.1); under usage 2 the record names an
// authority in the chain, which must lead there today and be for one of names
// (§3.1.2, §3.2.2). The fault is that of the record that came closest.
func Verify(chain []*x509.Certificate, records []lookup.TLSA, names []string, now time.Time) (Match, *identity.Fault) {
	if len(chain) == 0 {
		return Match{}, &identity.Fault{Reason: envelope.ReasonCertificate, Text: "the server presented no certificate"}
	}
	chain = chain[:min(len(chain), maxChain)]
	closest := &identity.Fault{Reason: envelope.ReasonTLSA, Text: "the certificate fits no TLSA record"}
	for _, r := range records {
		if r.Usage == usageEE && fits(r, chain[0]) {
			return Match{Record: r}, nil
		}
	}
	for _, r := range records {
		if r.Usage != usageTA {
			continue
		}
		for _, anchor := range anchors(r, chain) {
			name, fault := below(anchor, chain, names, now)
			if fault == nil {
				return Match{Record: r, Depth: anchor.depth, Name: name}, nil
			}
			closest = fault
		}
	}
	return Match{}, closest
}

// anchor is a certificate that a record makes an authority.
type anchor struct {
	certificate *x509.Certificate
	depth       int
}

// anchors gives the authorities that a record names: in the handshake, and,
// where the record holds it whole, out of DNS (RFC 7671 §5.2.2, §5.2.3). The
// server's own certificate is none, wherever it stands in the chain, unless
// the key of such a record has signed it: then it stands for that key.
func anchors(r lookup.TLSA, chain []*x509.Certificate) []anchor {
	var all []anchor
	for i, c := range chain[1:] {
		if fits(r, c) && !c.Equal(chain[0]) {
			all = append(all, anchor{c, i + 1})
		}
	}
	if len(all) > 0 || r.MatchingType != matchFull {
		return all
	}
	if r.Selector == selectCert {
		if c, err := x509.ParseCertificate(r.Data); err == nil && !c.Equal(chain[0]) {
			all = append(all, anchor{c, len(chain)})
		}
		return all
	}
	key, err := x509.ParsePKIXPublicKey(r.Data)
	if err != nil {
		return nil
	}
	issuer := &x509.Certificate{PublicKey: key, PublicKeyAlgorithm: algorithm(key)}
	for i, c := range chain {
		if issuer.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil {
			all = append(all, anchor{c, i + 1})
		}
	}
	return all
}

// below verifies that the chain leads from the server's certificate to the
// anchor, and that it is for one of names.
func below(a anchor, chain []*x509.Certificate, names []string, now time.Time) (string, *identity.Fault) {
	roots := x509.NewCertPool()
	roots.AddCert(a.certificate)
	others := []*x509.Certificate{chain[0]}
	for _, c := range chain[1:] {
		if !c.Equal(chain[0]) && !c.Equal(a.certificate) {
			others = append(others, c)
		}
	}
	if _, fault := identity.Trust(others, roots, now); fault != nil {
		return "", fault
	}
	name, ok := identity.Match(chain[0], identity.Hosted, identity.Reference{Domain: names[0], Hosts: names[1:]})
	if !ok {
		return "", identity.Mismatch(chain[0], names[0])
	}
	return name, nil
}

// algorithm gives the kind of a public key, as x509 wants it named.
func algorithm(key any) x509.PublicKeyAlgorithm {
	switch key.(type) {
	case *rsa.PublicKey:
		return x509.RSA
	case *ecdsa.PublicKey:
		return x509.ECDSA
	case ed25519.PublicKey:
		return x509.Ed25519
	default:
		return x509.UnknownPublicKeyAlgorithm
	}
}
