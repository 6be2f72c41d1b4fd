package crl

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"time"
)

// RevokedError says which certificate was revoked. Nothing in it is the word of
// the peer but the serial number.
type RevokedError struct {
	Serial string // in hexadecimal
	At     time.Time
	Reason string // a word of RFC 5280 §5.3.1
	List   string // the source that says so
}

func (e *RevokedError) Error() string {
	return fmt.Sprintf("the certificate with serial number %s was revoked at %s (%s, list %s)", e.Serial, moment(e.At), e.Reason, e.List)
}

// reasons are the words of RFC 5280 §5.3.1 by number.
func reasons() []string {
	return []string{"unspecified", "keyCompromise", "cACompromise", "affiliationChanged", "superseded", "cessationOfOperation",
		"certificateHold", "unspecified", "removeFromCRL", "privilegeWithdrawn", "aACompromise"}
}

func (e entry) word() string {
	if all := reasons(); int(e.reason) < len(all) {
		return all[e.reason]
	}
	return reasons()[0]
}

// Revoked looks for a certificate that was revoked in a verified chain, which
// begins with the peer's own certificate and ends with a trusted one. The error
// is a *RevokedError. It never waits.
func (l *Lists) Revoked(chain []*x509.Certificate) error {
	held := *l.held.Load()
	if len(held) == 0 {
		return nil
	}
	now := l.o.Clock()
	for i := 0; i+1 < len(chain); i++ {
		cert, issuer := chain[i], chain[i+1]
		for _, list := range held {
			if list.nextUpdate.Before(now) || !list.speaksOf(cert, issuer) {
				continue
			}
			if e, ok := list.revoked[string(cert.SerialNumber.Bytes())]; ok {
				return &RevokedError{Serial: fmt.Sprintf("%X", cert.SerialNumber), At: time.Unix(e.at, 0), Reason: e.word(), List: list.name}
			}
		}
	}
	return nil
}

// speaksOf reports whether a list is that of the issuer of a certificate: of its
// name and its key. An authority may have several certificates for them.
func (l *list) speaksOf(cert, issuer *x509.Certificate) bool {
	return bytes.Equal(l.authority.RawSubject, cert.RawIssuer) &&
		bytes.Equal(l.authority.RawSubjectPublicKeyInfo, issuer.RawSubjectPublicKeyInfo)
}
