package dane

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"crypto/x509"
	"net/netip"

	"esa/mta/lookup"
)

// Fields of a record (RFC 6698 §2.1).
const (
	usageTA = 2 // DANE-TA: an authority
	usageEE = 3 // DANE-EE: the certificate itself

	selectCert = 0
	selectKey  = 1

	matchFull   = 0
	matchSHA256 = 1
	matchSHA512 = 2
)

func addrIs6(a netip.Addr) bool { return a.Is6() }

// Usable gives the records that a certificate is held against: those whose
// fields are known and whose data can be what they say (RFC 6698 §4.1), and of
// the digests for one usage and selector only those of the strongest kind
// (RFC 7671 §9). Usages 0 and 1 mean nothing for mail (RFC 7672 §3.1.3).
func Usable(records []lookup.TLSA) []lookup.TLSA {
	strongest := make(map[[2]uint8]uint8)
	var known []lookup.TLSA
	for _, r := range records {
		if !wellFormed(r) {
			continue
		}
		known = append(known, r)
		kind := [2]uint8{r.Usage, r.Selector}
		strongest[kind] = max(strongest[kind], r.MatchingType)
	}
	var usable []lookup.TLSA
	for _, r := range known {
		if r.MatchingType == matchFull || r.MatchingType == strongest[[2]uint8{r.Usage, r.Selector}] {
			usable = append(usable, r)
		}
	}
	return usable
}

func wellFormed(r lookup.TLSA) bool {
	if r.Usage != usageTA && r.Usage != usageEE || r.Selector > selectKey {
		return false
	}
	switch r.MatchingType {
	case matchFull:
		if r.Selector == selectKey {
			_, err := x509.ParsePKIXPublicKey(r.Data)
			return err == nil
		}
		_, err := x509.ParseCertificate(r.Data)
		return err == nil
	case matchSHA256:
		return len(r.Data) == sha256.Size
	case matchSHA512:
		return len(r.Data) == sha512.Size
	default:
		return false
	}
}

// fits reports whether a record names a certificate.
func fits(r lookup.TLSA, c *x509.Certificate) bool {
	data := c.Raw
	if r.Selector == selectKey {
		data = c.RawSubjectPublicKeyInfo
	}
	switch r.MatchingType {
	case matchSHA256:
		sum := sha256.Sum256(data)
		data = sum[:]
	case matchSHA512:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return subtle.ConstantTimeCompare(data, r.Data) == 1
}
