package store

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ExpiresSoon is how many days before its end a certificate is spoken of.
const ExpiresSoon = 30

// strongRSABits is what authorities sign and peers expect at least.
const strongRSABits = 2048

// Verdict is what a peer will find wrong with one certificate profile, or with
// the lack of one.
type Verdict struct {
	Certificate string // the profile; empty where there is none
	Problem
}

// CertificateVerdicts tells what peers will find wrong with the certificates of
// a configuration at a time. known are the authorities that peers are expected
// to have, nil where that is not known. It asks nobody: whether DNS agrees with
// the names is for others to find out.
func (c *Config) CertificateVerdicts(now time.Time, known []*x509.Certificate) []Verdict {
	var all []Verdict
	for _, cert := range c.Certificates {
		certs, err := cert.Chain.Certificates()
		if err != nil {
			continue // Validate tells
		}
		v := verdicts{name: cert.Name, place: cert.place()}
		v.time(certs, now)
		v.strength(certs[0])
		v.chain(certs, known)
		for _, l := range c.Listeners {
			if l.Certificate == cert.Name && l.offersTLS() {
				v.names(c, l, certs[0])
				v.trust(l, certs[0])
			}
		}
		if c.Destinations.Certificate == cert.Name {
			v.delivery(c, certs[0])
		}
		all = append(all, v.found...)
	}
	return append(all, c.withoutCertificate()...)
}

// verdicts collects what is found about one profile.
type verdicts struct {
	name, place string
	found       []Verdict
}

func (v *verdicts) add(fix, format string, args ...any) {
	v.found = append(v.found, Verdict{v.name, Problem{Place: v.place, Text: fmt.Sprintf(format, args...), Fix: fix}})
}

const fixCertificate = "certconfig -> CERTIFICATE -> EDIT"

// time looks at the leaf and at those of its chain.
func (v *verdicts) time(certs []*x509.Certificate, now time.Time) {
	for i, cert := range certs {
		what := "The certificate"
		if i > 0 {
			what = fmt.Sprintf("The intermediate certificate %q", CommonName(cert))
		}
		switch word, days := ValidityOf(cert, now); {
		case word == Expired:
			v.add(fixCertificate, "%s expired on %s.", what, day(cert.NotAfter))
		case word == NotYetValid:
			v.add(fixCertificate, "%s is not valid before %s.", what, day(cert.NotBefore))
		case days < ExpiresSoon:
			v.add(fixCertificate, "%s expires on %s, in %d days.", what, day(cert.NotAfter), days)
		}
	}
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func (v *verdicts) strength(leaf *x509.Certificate) {
	if key, ok := leaf.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < strongRSABits {
		v.add("certconfig -> CERTIFICATE -> NEW", "The key of the certificate has %d bits: many peers refuse less than %d.", key.N.BitLen(), strongRSABits)
	}
}

func (v *verdicts) chain(certs, known []*x509.Certificate) {
	chain := NewChain(certs, known)
	if known == nil {
		chain.Missing = ""
	}
	for _, note := range chain.Notes() {
		v.add(fixCertificate, "%s", note)
	}
}

// names compares with the host name of the listener's interface: that is what
// a sender finds in the MX record, and what the certificate must be for.
func (v *verdicts) names(c *Config, l Listener, leaf *x509.Certificate) {
	on, ok := c.Interface(l.Interface)
	if !ok || v.name == DemoCertificate || CertifiesHost(leaf, on.Hostname) {
		return
	}
	v.add("interfaceconfig -> EDIT", "The certificate is for %s, but the host name of interface %q, which %s is on, is %q.",
		NamesText(leaf), on.Name, l.place(), on.Hostname)
}

// trust says where a sender that verifies will turn away.
func (v *verdicts) trust(l Listener, leaf *x509.Certificate) {
	switch {
	case v.name == DemoCertificate:
		v.add("listenerconfig -> EDIT -> CERTIFICATE", "%s uses the demo certificate, which no sender can verify.", sentencePlace(l.place()))
	case SelfSigned(leaf):
		v.add(fixCertificate, "The certificate is self-signed: senders that verify it will not deliver to %s.", l.place())
	}
}

// delivery says where a host that verifies the certificate that deliveries
// present will turn away.
func (v *verdicts) delivery(c *Config, leaf *x509.Certificate) {
	switch {
	case v.name == DemoCertificate:
		v.add("destconfig -> SETUP", "Deliveries present the demo certificate, which no host can verify.")
		return
	case SelfSigned(leaf):
		v.add(fixCertificate, "The certificate is self-signed: hosts that verify senders will not take mail from here.")
	}
	var names []string
	for _, i := range c.Interfaces {
		if c.Delivery.Interface != "" && c.Delivery.Interface != i.Name {
			continue
		}
		if CertifiesHost(leaf, i.Hostname) {
			return
		}
		names = append(names, strconv.Quote(i.Hostname))
	}
	if len(names) > 0 {
		v.add("interfaceconfig -> EDIT", "The certificate is for %s, but mail is delivered under the host name %s.", NamesText(leaf), strings.Join(names, " or "))
	}
}

// sentencePlace begins a sentence with a place.
func sentencePlace(place string) string { return strings.ToUpper(place[:1]) + place[1:] }

// withoutCertificate tells of listeners that need a certificate and have none,
// and of verification with nothing to verify against.
func (c *Config) withoutCertificate() []Verdict {
	var v verdicts
	verifies := false
	for _, l := range c.Listeners {
		v.place = l.place()
		switch {
		case l.Certificate != "":
		case slices.ContainsFunc(l.tlsModes(), TLSMode.Required):
			v.add("listenerconfig -> EDIT -> CERTIFICATE", "A mail flow policy requires TLS, but the listener has no certificate: it takes no mail under that policy.")
		case l.offersTLS():
			v.add("listenerconfig -> EDIT -> CERTIFICATE", "A mail flow policy uses TLS, but the listener has no certificate: STARTTLS is not offered.")
		}
		verifies = verifies || slices.ContainsFunc(l.tlsModes(), TLSMode.Verified)
	}
	for _, d := range append([]Destination{c.Destinations.Default}, c.Destinations.Entries...) {
		verifies = verifies || d.TLS.Verified()
	}
	if trusted := c.Authorities.System || c.Authorities.Custom && len(c.Authorities.List) > 0; verifies && !trusted {
		v.place = "certificate authorities"
		v.add("certconfig -> CERTAUTHORITY", "Certificates of peers must be verified, but no list of certificate authorities is enabled: none will be trusted.")
	}
	return v.found
}

// tlsModes gives the modes of the policies that take mail.
func (l Listener) tlsModes() []TLSMode {
	var modes []TLSMode
	for _, g := range l.HAT.Groups {
		if behavior, params, ok := l.HAT.Resolve(g); ok && (behavior == Accept || behavior == Relay) {
			modes = append(modes, params.TLS.Mode)
		}
	}
	return modes
}

// offersTLS reports whether some sender may, or must, use TLS.
func (l Listener) offersTLS() bool {
	return slices.ContainsFunc(l.tlsModes(), func(m TLSMode) bool { return m != TLSInherit && m != TLSOff })
}

// NamesOf gives the DNS names that a certificate is for, its common name first;
// fit to be shown.
func NamesOf(cert *x509.Certificate) []string {
	names := []string{CommonName(cert)}
	for _, name := range cert.DNSNames {
		if name = printable(name); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// maxNamesText is how many names of one certificate a text has.
const maxNamesText = 10

// NamesText lists the names that a certificate is for, of many the first ones;
// fit to be shown.
func NamesText(cert *x509.Certificate) string {
	names := NamesOf(cert)
	text := strings.Join(names[:min(len(names), maxNamesText)], ", ")
	if more := len(names) - maxNamesText; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// CertifiesHost reports whether a certificate is for a host: by its DNS names,
// and by its common name where it has none (as peers of today do not, but those
// of SMTP often do).
func CertifiesHost(cert *x509.Certificate, host string) bool {
	if len(cert.DNSNames) == 0 {
		return strings.EqualFold(cert.Subject.CommonName, host)
	}
	return cert.VerifyHostname(host) == nil
}
