package store

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// DemoCertificate is the name of the profile that the factory configuration
// has: it serves to try TLS, and cannot be verified or deleted.
const DemoCertificate = "Demo"

// Bounds of certificate profiles. Sizes are bytes of PEM.
const (
	MaxCertificates  = 200
	MaxChain         = 10       // certificates of one profile
	MaxChainBytes    = 64 << 10 // of one profile, and of one pasted certificate
	MaxKeyBytes      = 8 << 10  // an RSA key of 8192 bits has 6400
	MaxRequestBytes  = 16 << 10
	MinRSABits       = 1024
	MaxRSABits       = 8192
	shortFingerprint = 8 // bytes
)

// Certificate is a certificate profile: a private key, the chain that
// certifies it and, where the key was made here, the request that a CA signs.
type Certificate struct {
	Name    string `label:"Name"`
	Key     Secret `label:"Private key"` // PKCS #8 in PEM
	Chain   PEM    `label:"Certificates"`
	Request PEM    `label:"Signing request"` // PKCS #10; empty for a key that was made elsewhere
}

func (c Certificate) key() string { return c.Name }

func (c Certificate) place() string { return fmt.Sprintf("certificate %q", c.Name) }

// PEM is one or more certificates, leaf first, or one signing request, as PEM
// text and nothing else. Printed, it says in one line what it holds.
type PEM string

func (p PEM) String() string {
	if p == "" {
		return ""
	}
	if certs, err := p.Certificates(); err == nil {
		leaf := certs[0]
		text := fmt.Sprintf("%s, issued by %s, expires %s, SHA-256 %s", CommonName(leaf), IssuerName(leaf), leaf.NotAfter.UTC().Format(time.DateOnly), Fingerprint(leaf))
		if more := len(certs) - 1; more > 0 {
			text += fmt.Sprintf(", and %d more %s", more, sumOf(certs[1:]))
		}
		return text
	}
	what := fmt.Sprintf("%d bytes", len(p))
	if request, err := p.request(); err == nil {
		what = "for " + printable(request.Subject.String())
	}
	return fmt.Sprintf("%s, SHA-256 %s", what, shortSum([]byte(p)))
}

// request reads a signing request in the form that is stored.
func (p PEM) request() (*x509.CertificateRequest, error) {
	block, rest := pem.Decode([]byte(p))
	if len(p) > MaxRequestBytes || block == nil || block.Type != requestBlock || len(rest) > 0 {
		return nil, refuse("The signing request cannot be read.")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading signing request: %w", err)
	}
	return request, nil
}

// sumOf tells one list of certificates from another.
func sumOf(certs []*x509.Certificate) string {
	var all []byte
	for _, c := range certs {
		all = append(all, c.Raw...)
	}
	return shortSum(all)
}

func shortSum(data []byte) string {
	sum := sha256.Sum256(data)
	return fmt.Sprintf("%x", sum[:shortFingerprint])
}

// Fingerprint is the beginning of the SHA-256 sum of a certificate, enough to
// tell it from another.
func Fingerprint(c *x509.Certificate) string { return shortSum(c.Raw) }

// LongFingerprint is the SHA-256 sum of a certificate.
func LongFingerprint(c *x509.Certificate) string { return fmt.Sprintf("%x", sha256.Sum256(c.Raw)) }

// Certificates gives what p holds in the order of the text, at least one, or
// says why it is not certificates in the one form that is stored.
func (p PEM) Certificates() ([]*x509.Certificate, error) {
	if len(p) > MaxChainBytes {
		return nil, refuse("The certificates must not be longer than %d bytes.", MaxChainBytes)
	}
	var certs []*x509.Certificate
	for rest := []byte(p); len(rest) > 0; {
		block, after := pem.Decode(rest)
		if block == nil || block.Type != certificateBlock {
			return nil, errNotCertificates
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errNotCertificates
		}
		if certs = append(certs, cert); len(certs) > MaxChain {
			return nil, refuse("A certificate profile must not have more than %d certificates.", MaxChain)
		}
		rest = after
	}
	if len(certs) == 0 || EncodeCertificates(certs) != p {
		return nil, errNotCertificates
	}
	return certs, nil
}

const (
	certificateBlock = "CERTIFICATE"
	requestBlock     = "CERTIFICATE REQUEST"
	keyBlock         = "PRIVATE KEY"
)

const errNotCertificates = ValueError("The certificates cannot be read.")

// EncodeCertificates gives certificates the form they are stored in.
func EncodeCertificates(certs []*x509.Certificate) PEM {
	var b bytes.Buffer
	for _, c := range certs {
		_ = pem.Encode(&b, &pem.Block{Type: certificateBlock, Bytes: c.Raw}) // a buffer takes all
	}
	return PEM(b.String())
}

// CommonName is the name that a certificate is listed by: the common name of
// its subject, else the first name it has; fit to be shown.
func CommonName(c *x509.Certificate) string {
	switch {
	case c.Subject.CommonName != "":
		return printable(c.Subject.CommonName)
	case len(c.DNSNames) > 0:
		return printable(c.DNSNames[0])
	}
	return nameOf(c.Subject)
}

// IssuerName is the name that the issuer of a certificate is listed by; fit to
// be shown.
func IssuerName(c *x509.Certificate) string {
	if c.Issuer.CommonName != "" {
		return printable(c.Issuer.CommonName)
	}
	return nameOf(c.Issuer)
}

// nameOf is for a name without common name: what says most first.
func nameOf(name pkix.Name) string {
	for _, list := range [][]string{name.OrganizationalUnit, name.Organization} {
		if len(list) > 0 && list[0] != "" {
			return printable(list[0])
		}
	}
	return printable(name.String())
}

// maxShownName bounds a name of a certificate where it is shown.
const maxShownName = 200

// printable gives a text from a certificate a form that a terminal shows and
// does not obey.
func printable(text string) string {
	if len(text) > maxShownName {
		text = strings.ToValidUTF8(text[:maxShownName], "") + "..."
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strings.Trim(strconv.Quote(text), `"`)
	}
	return text
}

// SelfSigned reports whether a certificate names itself as its issuer and is
// signed with its own key. Whether it is of a CA does not matter.
func SelfSigned(c *x509.Certificate) bool {
	return issued(c, c)
}

// Leaf gives the certificate that certifies the key of the profile.
func (c Certificate) Leaf() (*x509.Certificate, error) {
	certs, err := c.Chain.Certificates()
	if err != nil {
		return nil, err
	}
	return certs[0], nil
}

// Signer gives the private key of the profile.
func (c Certificate) Signer() (crypto.Signer, error) {
	block, rest := pem.Decode([]byte(c.Key.Reveal()))
	if len(c.Key) > MaxKeyBytes || block == nil || block.Type != keyBlock || len(rest) > 0 {
		return nil, errNotKey
	}
	return parseKey(block.Bytes)
}

const (
	errNotKey  = ValueError("The private key cannot be read.")
	errKeyLong = ValueError("The private key is longer than any that is taken.")
)

// parseKey reads a key in PKCS #8 and holds it to what this program uses.
func parseKey(der []byte) (crypto.Signer, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errNotKey
	}
	return checkKey(parsed)
}

// checkKey holds a key to the kinds and sizes that this program uses.
func checkKey(parsed any) (crypto.Signer, error) {
	switch key := parsed.(type) {
	case *rsa.PrivateKey:
		if bits := key.N.BitLen(); bits < MinRSABits || bits > MaxRSABits {
			return nil, refuse("The private key has %d bits: it must have from %d to %d.", bits, MinRSABits, MaxRSABits)
		}
		return key, nil
	case *ecdsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, refuse("The private key is of a kind that is not known: it must be RSA, ECDSA or Ed25519.")
}

// EncodeKey gives a private key the form it is stored in.
func EncodeKey(key crypto.Signer) (Secret, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", fmt.Errorf("encoding private key: %w", err)
	}
	return Secret(pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der})), nil
}

// Fits reports whether a certificate certifies the key of this signer.
func Fits(cert *x509.Certificate, key crypto.Signer) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(cert.PublicKey)
}

// TLS gives the profile as a TLS endpoint presents it: without the root, if
// the chain has one above the leaf.
func (c Certificate) TLS() (tls.Certificate, error) {
	certs, err := c.Chain.Certificates()
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := c.Signer()
	if err != nil {
		return tls.Certificate{}, err
	}
	if !Fits(certs[0], key) {
		return tls.Certificate{}, errKeyFits
	}
	pair := tls.Certificate{PrivateKey: key, Leaf: certs[0]}
	for i, cert := range certs {
		if i == 0 || !SelfSigned(cert) {
			pair.Certificate = append(pair.Certificate, cert.Raw)
		}
	}
	return pair, nil
}

const errKeyFits = ValueError("The private key does not fit the certificate.")

// Certificate gives the profile of that name, or nil.
func (c *Config) Certificate(name string) *Certificate {
	for i := range c.Certificates {
		if c.Certificates[i].Name == name {
			return &c.Certificates[i]
		}
	}
	return nil
}

// CertificateUses says who refers to the profile of that name, as places of
// Problems.
func (c *Config) CertificateUses(name string) []string {
	var uses []string
	if name == "" {
		return nil
	}
	for _, l := range c.Listeners {
		if l.Certificate == name {
			uses = append(uses, l.place())
		}
	}
	if c.Destinations.Certificate == name {
		uses = append(uses, destinationsPlace)
	}
	return uses
}

// ParseCertificateName reads the name of a certificate profile; case matters.
func ParseCertificateName(text string) (string, error) {
	return nameRule{"The certificate profile name must start with a letter, number or underscore.", ".",
		"letters, numbers, dashes, underscores and periods", startsAny}.parse(text)
}

func (c *Config) validateCertificates(p *problems) {
	if len(c.Certificates) > MaxCertificates {
		p.at("certificates", "certconfig -> CERTIFICATE -> DELETE")("There is a maximum of %d certificate profiles.", MaxCertificates)
	}
	names := map[string]bool{}
	for _, cert := range c.Certificates {
		report := p.at(cert.place(), "certconfig -> CERTIFICATE -> EDIT")
		if _, err := ParseCertificateName(cert.Name); err != nil {
			report("%v", err)
		}
		if names[cert.Name] {
			report("The name %q is used by another certificate profile.", cert.Name)
		}
		names[cert.Name] = true
		if _, err := cert.TLS(); err != nil {
			report("%v", err)
		}
		if cert.Request != "" && checkRequest(cert) != nil {
			report("The signing request cannot be read, or is not for this key.")
		}
	}
}

// checkRequest holds a stored request to its form and to the key.
func checkRequest(c Certificate) error {
	request, err := c.Request.request()
	if err != nil {
		return err
	}
	key, err := c.Signer()
	if err != nil {
		return err
	}
	if public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(request.PublicKey) {
		return errKeyFits
	}
	return nil
}

// Validity says whether a certificate can be used at a time.
type Validity string

// The words of the list of certificates.
const (
	Active      Validity = "Active"
	Expired     Validity = "Expired"
	NotYetValid Validity = "Not yet valid"
)

// ValidityOf gives the word for a certificate, and the whole days that remain
// until it expires, never less than 0.
func ValidityOf(cert *x509.Certificate, now time.Time) (Validity, int) {
	days := max(0, int(cert.NotAfter.Sub(now)/(24*time.Hour)))
	switch {
	case now.After(cert.NotAfter):
		return Expired, 0
	case now.Before(cert.NotBefore):
		return NotYetValid, days
	}
	return Active, days
}

// CertificateNames lists the profiles for a question: the demo certificate
// last.
func (c *Config) CertificateNames() []string {
	var names []string
	demo := false
	for _, cert := range c.Certificates {
		if cert.Name == DemoCertificate {
			demo = true
		} else {
			names = append(names, cert.Name)
		}
	}
	if demo {
		names = append(names, DemoCertificate)
	}
	return names
}
