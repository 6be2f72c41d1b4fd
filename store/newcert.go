package store

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// KeyType is a kind of private key that can be made.
type KeyType string

// The kinds in the order of the menu.
const (
	RSA2048 KeyType = "2048"
	RSA4096 KeyType = "4096"
	P256    KeyType = "ECDSA P-256"
)

// KeyTypes lists the kinds in the order of the menu.
func KeyTypes() []KeyType { return []KeyType{RSA2048, RSA4096, P256} }

// ParseKeyType reads a kind of key: "2048", "4096", "P-256"; case does not
// matter.
func ParseKeyType(text string) (KeyType, error) {
	for _, t := range KeyTypes() {
		if strings.EqualFold(text, string(t)) || t == P256 && strings.EqualFold(text, "P-256") {
			return t, nil
		}
	}
	return "", refuse("The value must be 2048, 4096 or P-256.")
}

// NewKey makes a private key.
func NewKey(t KeyType) (crypto.Signer, error) {
	var key crypto.Signer
	var err error
	switch t {
	case RSA2048:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case RSA4096:
		key, err = rsa.GenerateKey(rand.Reader, 4096)
	case P256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		return nil, refuse("The kind of key %q is not known.", string(t))
	}
	if err != nil {
		return nil, fmt.Errorf("making private key: %w", err)
	}
	return key, nil
}

// Bounds of what a new certificate says.
const (
	MaxCertificateDays = 18250 // 50 years
	MaxDNSNames        = 100
	MaxCommonName      = 64 // characters, as RFC 5280 appendix A.1 bounds them
	MaxOrganization    = 64
	MaxPlace           = 128
)

// Subject is what a new certificate and its request say.
type Subject struct {
	CommonName   string
	Organization string
	Unit         string
	Locality     string
	Province     string
	Country      string   // two letters
	DNSNames     []string // in certificate and request; that of CommonName is added
	Days         int      // until the self-signed certificate expires
}

func (s Subject) name() pkix.Name {
	list := func(value string) []string {
		if value == "" {
			return nil
		}
		return []string{value}
	}
	return pkix.Name{
		CommonName: s.CommonName, Organization: list(s.Organization), OrganizationalUnit: list(s.Unit),
		Locality: list(s.Locality), Province: list(s.Province), Country: list(s.Country),
	}
}

// dnsNames gives the names of the subjectAltName: the common name, if it can
// be the name of a host, leads.
func (s Subject) dnsNames() []string {
	names := slices.Clone(s.DNSNames)
	same := func(name string) bool { return strings.EqualFold(name, s.CommonName) }
	if _, err := ParseDNSName(s.CommonName); err == nil && !slices.ContainsFunc(names, same) {
		names = append([]string{s.CommonName}, names...)
	}
	return names
}

// ParseDNSName reads a host name as certificates have it: its first label may
// be "*".
func ParseDNSName(text string) (string, error) {
	name, err := ParseHostname(text)
	if err == nil {
		return name, nil
	}
	if len(text) > 2 && text[:2] == "*." {
		if name, err := ParseHostname(text[2:]); err == nil {
			return "*." + name, nil
		}
	}
	return "", err
}

// ParseSubjectField reads one field of a subject, of at most so many
// characters.
func ParseSubjectField(text string, most int) (string, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return "", errBlank
	case utf8.RuneCountInString(text) > most:
		return "", refuse("The value must not be longer than %d characters.", most)
	}
	return text, checkText(text, maxCommentBytes)
}

// ParseCountry reads a country code of two letters.
func ParseCountry(text string) (string, error) {
	code := strings.ToUpper(strings.TrimSpace(text))
	if len(code) != 2 || strings.ContainsFunc(code, func(r rune) bool { return r < 'A' || r > 'Z' }) {
		return "", refuse("Country should be a ISO two character country code")
	}
	return code, nil
}

// ParseDNSNames reads names for a certificate, separated by commas; one that
// comes twice is taken once.
func ParseDNSNames(text string) ([]string, error) {
	var names []string
	for part := range strings.SplitSeq(text, ",") {
		name, err := ParseDNSName(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		if name = strings.ToLower(name); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) > MaxDNSNames {
		return nil, refuse("There is a maximum of %d DNS names.", MaxDNSNames)
	}
	return names, nil
}

// backdated is how far a certificate begins in the past, for clients whose
// clock is late.
const backdated = time.Hour

// NewCertificate makes a profile from a key: a self-signed certificate that is
// valid from now on, and the request that a CA signs; both SHA-256.
func NewCertificate(name string, key crypto.Signer, s Subject, now time.Time) (Certificate, error) {
	serial := make([]byte, 16)
	rand.Read(serial)                 // never fails
	serial[0] = serial[0]&0x7f | 0x40 // positive, of one length
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		Subject:      s.name(),
		DNSNames:     s.dnsNames(),
		NotBefore:    now.Add(-backdated).UTC(),
		NotAfter:     now.AddDate(0, 0, s.Days).UTC(),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if _, ok := key.(*rsa.PrivateKey); ok {
		template.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return Certificate{}, fmt.Errorf("making certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return Certificate{}, fmt.Errorf("making certificate: %w", err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: s.name(), DNSNames: s.dnsNames()}, key)
	if err != nil {
		return Certificate{}, fmt.Errorf("making signing request: %w", err)
	}
	secret, err := EncodeKey(key)
	if err != nil {
		return Certificate{}, err
	}
	return Certificate{
		Name: name, Key: secret, Chain: EncodeCertificates([]*x509.Certificate{leaf}),
		Request: PEM(pem.EncodeToMemory(&pem.Block{Type: requestBlock, Bytes: request})),
	}, nil
}

// demoDays is how long the demo certificate of a new gateway is valid.
const demoDays = 3650

// NewDemo makes the demo certificate from a key: it encrypts, and certifies
// nothing that a peer could verify.
func NewDemo(key crypto.Signer, now time.Time) (Certificate, error) {
	demo, err := NewCertificate(DemoCertificate, key, Subject{CommonName: "esa Gateway Demo", Organization: "esa mail gateway", Days: demoDays}, now)
	demo.Request = ""
	return demo, err
}
