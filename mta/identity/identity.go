// Package identity decides whether the certificate of a mail server speaks for
// the destination of a message, by the two algorithms of the appliance that
// destination controls call "Verify" and "Verify Hosted Domains".
//
// The steps, in order:
//
//	Trust    the chain ends at a trusted authority, today (RFC 5280 §6)
//	Verify   the names of the certificate against the mail domain and the reverse name of the address
//	Hosted   against those, and the hosts that DNS or the SMTP route name (RFC 6125 §6)
//
// Verify, in the order of the appliance: a DNS name of the certificate is the
// mail domain; the common name is the mail domain; the common name is the
// reverse (PTR) name of the address connected to. DNS names may be wildcards,
// the common name may not. It is looked at even where there are DNS names.
//
// Hosted: the common name counts only where the certificate has no DNS name
// (RFC 6125 §6.4.4). Any of its names, wildcard or not, may be the mail domain,
// a host of its MX records or of its SMTP route, or the reverse name.
//
// Host names and reverse names come from DNS, which without DNSSEC anybody on
// the way may forge: only the mail domain is known for sure. Where that matters
// DANE is the remedy. A reverse name counts only if the name leads back to the
// address; that is the business of who looks it up.
//
// Everything here is pure: no network, no clock but the time passed in. What to
// do with a certificate that does not hold is for mta/delivery to decide.
package identity

import (
	"crypto/x509"
	"net/netip"
	"slices"
	"strings"

	"esa/mta/lookup"
)

// Algorithm is how names are compared.
type Algorithm int

// The algorithms, in the words of destination controls.
const (
	Verify Algorithm = iota
	Hosted
)

// Reference is what a certificate may speak for.
type Reference struct {
	Domain string   // of the recipient; an address is no name and matches nothing
	Hosts  []string // of the MX records or the SMTP route; Verify does not look at them
	// Reverse gives the names that the address connected to has in DNS and that
	// lead back to it. It is asked last and only if nothing else matched; nil:
	// none.
	Reverse func() []string
}

// maxNames bounds how many names of one certificate are looked at.
const maxNames = 1000

// Names gives the DNS names of a certificate, else its common name if it is
// one that could be a host's. They come from the network: escape them before
// they are shown.
func Names(cert *x509.Certificate) []string {
	if len(cert.DNSNames) > 0 {
		return cert.DNSNames[:min(len(cert.DNSNames), maxNames)]
	}
	if cert.Subject.CommonName == "" {
		return nil
	}
	return []string{cert.Subject.CommonName}
}

// Match finds the name of the certificate that speaks for the reference.
func Match(cert *x509.Certificate, by Algorithm, ref Reference) (name string, ok bool) {
	domain, reverse := HostName(ref.Domain), ref.Reverse
	if reverse == nil {
		reverse = func() []string { return nil }
	}
	if by == Hosted {
		names := Names(cert)
		if name, ok = find(names, covers, domain); ok {
			return name, true
		}
		if name, ok = find(names, covers, hostNames(ref.Hosts)...); ok {
			return name, true
		}
		return find(names, covers, hostNames(reverse())...)
	}
	if name, ok = find(cert.DNSNames[:min(len(cert.DNSNames), maxNames)], covers, domain); ok {
		return name, true
	}
	common := []string{cert.Subject.CommonName}
	if name, ok = find(common, same, domain); ok {
		return name, true
	}
	return find(common, same, hostNames(reverse())...)
}

// find gives the first of the presented names that fits one of the wanted.
func find(presented []string, fits func(presented, wanted string) bool, wanted ...string) (string, bool) {
	for _, w := range wanted {
		i := slices.IndexFunc(presented, func(p string) bool { return w != "" && fits(p, w) })
		if i >= 0 {
			return presented[i], true
		}
	}
	return "", false
}

func same(presented, wanted string) bool { return HostName(presented) == wanted }

// covers is same, and has "*" as the whole of the first label stand for any
// one label (RFC 6125 §6.4.3). At least two labels must follow: "*.com" speaks
// for nobody.
func covers(presented, wanted string) bool {
	below, wild := strings.CutPrefix(presented, "*.")
	if !wild {
		return same(presented, wanted)
	}
	below = HostName(below)
	_, parent, ok := strings.Cut(wanted, ".")
	return ok && below != "" && parent == below && strings.Contains(below, ".")
}

// HostName gives a name in the form in which names are compared, lower case,
// ASCII, without the final dot; empty for what is not the name of a host, such
// as an address.
func HostName(name string) string {
	name, ok := lookup.ASCII(strings.ToLower(strings.TrimSuffix(name, ".")))
	if _, err := netip.ParseAddr(name); err == nil || !ok || len(name) > 253 {
		return ""
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || strings.ContainsFunc(label, notHost) {
			return ""
		}
	}
	return name
}

// notHost tells the characters that no host name has, the underscore excepted:
// there are such names.
func notHost(r rune) bool {
	return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '_')
}

func hostNames(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = HostName(n)
	}
	return out
}
