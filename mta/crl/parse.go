package crl

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	maxList = 16 << 20 // bytes of a list
	skew    = 10 * time.Minute
)

// list is one list, reduced to what Revoked needs.
type list struct {
	name       string // of its source
	authority  *x509.Certificate
	issued     time.Time
	nextUpdate time.Time
	revoked    map[string]entry // by the bytes of the serial number
	from       validator
}

// entry is one revoked certificate.
type entry struct {
	at     int64 // seconds since 1970
	reason int8  // RFC 5280 §5.3.1
}

// validator is what a host can tell by whether the list has changed.
type validator struct {
	URL      string
	ETag     string
	Modified string
	Fetched  time.Time
}

var (
	oidDelta             = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidDistributionPoint = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidReason            = asn1.ObjectIdentifier{2, 5, 29, 21}
)

// sequence is the first byte of a list in DER.
const sequence = 0x30

// parse reads a list as a host gives it: DER (RFC 5280 §4.2.1.13) or, as some
// do, one block of PEM. It does not look at signature and dates.
func parse(data []byte) (*x509.RevocationList, error) {
	if block, _ := pem.Decode(data); block != nil && data[0] != sequence {
		if block.Type != "X509 CRL" {
			return nil, errors.New("what came is not a revocation list")
		}
		data = block.Bytes
	}
	crl, err := x509.ParseRevocationList(data)
	if err != nil {
		return nil, fmt.Errorf("what came is not a revocation list: %w", err)
	}
	if len(crl.Raw) != len(data) {
		return nil, errors.New("what came is not a revocation list: there is something behind it")
	}
	for _, e := range crl.Extensions {
		switch {
		case e.Id.Equal(oidDelta):
			return nil, errors.New("it is a delta list: a complete one is needed")
		case e.Id.Equal(oidDistributionPoint):
			if err := checkDistributionPoint(e.Value); err != nil {
				return nil, err
			}
		case e.Critical:
			// RFC 5280 §5.2: a list that says what we do not understand must not
			// be used.
			return nil, fmt.Errorf("it has the unknown critical extension %v", e.Id)
		}
	}
	if crl.NextUpdate.IsZero() {
		return nil, errors.New("it does not say when its next update is due")
	}
	return crl, nil
}

// distributionPoint is IssuingDistributionPoint (RFC 5280 §5.2.5).
type distributionPoint struct {
	Name       asn1.RawValue  `asn1:"optional,tag:0"`
	Users      bool           `asn1:"optional,tag:1"`
	CAs        bool           `asn1:"optional,tag:2"`
	Reasons    asn1.BitString `asn1:"optional,tag:3"`
	Indirect   bool           `asn1:"optional,tag:4"`
	Attributes bool           `asn1:"optional,tag:5"`
}

// checkDistributionPoint refuses lists whose serial numbers are not those of
// the issuer's certificates.
func checkDistributionPoint(der []byte) error {
	var point distributionPoint
	rest, err := asn1.Unmarshal(der, &point)
	switch {
	case err != nil:
		return fmt.Errorf("its distribution point cannot be read: %w", err)
	case len(rest) > 0:
		return errors.New("its distribution point cannot be read: there is something behind it")
	case point.Indirect:
		return errors.New("it is an indirect list: one of the issuer itself is needed")
	case point.Attributes:
		return errors.New("it is a list of attribute certificates")
	}
	return nil
}

// verify finds the authority that issued a list, and refuses one that is not
// valid now.
func verify(crl *x509.RevocationList, known []*x509.Certificate, now time.Time) (*x509.Certificate, error) {
	var why error
	n := slices.IndexFunc(known, func(a *x509.Certificate) bool {
		if !bytes.Equal(a.RawSubject, crl.RawIssuer) {
			return false
		}
		err := crl.CheckSignatureFrom(a)
		if err != nil {
			why = err
		}
		return err == nil
	})
	switch {
	case n < 0 && why != nil:
		return nil, fmt.Errorf("its signature is not that of its issuer, %q: %w", crl.Issuer, why)
	case n < 0:
		return nil, fmt.Errorf("its issuer, %q, is none of the certificate authorities", crl.Issuer)
	case crl.ThisUpdate.After(now.Add(skew)):
		return nil, fmt.Errorf("it is not valid before %s", moment(crl.ThisUpdate))
	case crl.NextUpdate.Before(now):
		return nil, fmt.Errorf("it is outdated: its next update was due at %s", moment(crl.NextUpdate))
	}
	return known[n], nil
}

// moment is a time as lists have it.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }

// removed is the reason of an entry that ends a revocation (RFC 5280 §5.3.1);
// it has a meaning in delta lists only.
const removed = 8

// reduce keeps what is looked up.
func reduce(crl *x509.RevocationList, authority *x509.Certificate) (*list, error) {
	l := &list{authority: authority, issued: crl.ThisUpdate, nextUpdate: crl.NextUpdate, revoked: make(map[string]entry, len(crl.RevokedCertificateEntries))}
	for _, e := range crl.RevokedCertificateEntries {
		for _, x := range e.Extensions {
			if x.Critical && !x.Id.Equal(oidReason) {
				return nil, fmt.Errorf("it has an entry with the unknown critical extension %v", x.Id)
			}
		}
		if e.ReasonCode != removed {
			l.revoked[string(e.SerialNumber.Bytes())] = entry{at: e.RevocationTime.Unix(), reason: int8(min(max(e.ReasonCode, 0), removed+3))}
		}
	}
	return l, nil
}

// read does all that a list goes through before it is used.
func read(data []byte, known []*x509.Certificate, now time.Time) (*list, error) {
	crl, err := parse(data)
	if err != nil {
		return nil, err
	}
	authority, err := verify(crl, known, now)
	if err != nil {
		return nil, err
	}
	return reduce(crl, authority)
}
