package dnssec

import (
	"encoding/base64"
	"errors"
	"math/big"
	"time"

	"github.com/miekg/dns"
)

// proof is what a valid signature says beyond that it is valid.
type proof struct {
	labels   int // of the name that was signed, without an asterisk
	expanded bool
	ttl      time.Duration
}

// verify finds a signature of the set by a key of the zone (RFC 4035 §5.3). One
// is enough (RFC 6840 §5.4). The error says why the last one did not do.
func (l *Lookup) verify(set *rrset, z *zone) (proof, error) {
	why := bogus("%s has no signature of the zone %s", shown(set.owner, set.rrtype), z.name)
	tried := 0
	for _, sig := range set.sigs {
		if one(sig.SignerName) != z.name || !below(set.owner, z.name) {
			continue // of another zone: says nothing here
		}
		if tried++; tried > maxSignatures {
			return proof{}, ErrTooMuchWork
		}
		err := l.check(set, sig, z)
		if errors.Is(err, ErrTooMuchWork) {
			return proof{}, err
		}
		if err != nil {
			why = err
			continue
		}
		p := proof{labels: int(sig.Labels), expanded: int(sig.Labels) < ownerLabels(set.owner)}
		p.ttl = min(set.ttl, Lifetime(sig.Hdr.Ttl), Lifetime(sig.OrigTtl), l.validFor(sig))
		return p, nil
	}
	return proof{}, why
}

// check holds one signature against every key that it may be of.
func (l *Lookup) check(set *rrset, sig *dns.RRSIG, z *zone) error {
	what := shown(set.owner, set.rrtype)
	if int(sig.Labels) > ownerLabels(set.owner) {
		return bogus("the signature of %s counts more labels than the name has", what)
	}
	if err := l.inTime(sig, what); err != nil {
		return err
	}
	twins := 0
	why := bogus("no key of %s made the signature of %s (algorithm %d, key tag %d)", z.name, what, sig.Algorithm, sig.KeyTag)
	for _, key := range z.keys {
		if key.tag != sig.KeyTag || key.Algorithm != sig.Algorithm {
			continue
		}
		if twins++; twins > maxTwins {
			return ErrTooMuchWork
		}
		if err := spend(&l.left.signatures, 1+len(set.records)/recordsAsDear); err != nil {
			return err
		}
		if !wholeSignature(sig) || sig.Verify(key.DNSKEY, set.records) != nil {
			why = bogus("the signature of %s by key %d of %s does not match", what, key.tag, z.name)
			continue
		}
		return nil
	}
	return why
}

// inTime holds the validity of a signature against the clock, both bounds
// included, in serial arithmetic (RFC 4034 §3.1.5).
func (l *Lookup) inTime(sig *dns.RRSIG, what string) error {
	now, skew := uint32(l.now.Unix()), uint32(l.v.policy.Skew/time.Second)
	switch {
	case int32(sig.Expiration-sig.Inception) < 0:
		return bogus("the signature of %s ends before it begins", what)
	case int32(now+skew-sig.Inception) < 0:
		return bogus("the signature of %s is not valid before %s", what, l.moment(sig.Inception))
	case int32(sig.Expiration-(now-skew)) < 0:
		return bogus("the signature of %s expired at %s", what, l.moment(sig.Expiration))
	}
	return nil
}

// validFor is how long a signature goes on to be valid, not counting the skew.
func (l *Lookup) validFor(sig *dns.RRSIG) time.Duration {
	return max(0, time.Duration(int32(sig.Expiration-uint32(l.now.Unix())))*time.Second)
}

// moment gives a serial time as the moment closest to now.
func (l *Lookup) moment(serial uint32) string {
	now := l.now.Unix()
	return time.Unix(now+int64(int32(serial-uint32(now))), 0).UTC().Format("2006-01-02 15:04:05 UTC")
}

// wholeSignature looks at what miekg/dns lets pass: an ECDSA signature of
// another length than its algorithm has (RFC 6605 §4).
func wholeSignature(sig *dns.RRSIG) bool {
	want := 0
	switch sig.Algorithm {
	case dns.ECDSAP256SHA256, dns.ED25519:
		want = 64
	case dns.ECDSAP384SHA384:
		want = 96
	default:
		return true
	}
	raw, err := base64.StdEncoding.DecodeString(sig.Signature)
	return err == nil && len(raw) == want
}

// supported reports whether signatures of an algorithm are relied upon (RFC
// 8624 §3.1 as far as the library goes).
func (p Policy) supported(algorithm uint8) bool {
	switch algorithm {
	case dns.RSASHA256, dns.RSASHA512, dns.ECDSAP256SHA256, dns.ECDSAP384SHA384, dns.ED25519:
		return true
	case dns.RSASHA1, dns.RSASHA1NSEC3SHA1:
		return p.SHA1
	default:
		return false
	}
}

// key is a key of a zone with its tag.
type key struct {
	*dns.DNSKEY
	tag uint16
}

// usable reports why a key cannot make signatures that count, nil if it can
// (RFC 4034 §2.1, RFC 5011 §2.1).
func (p Policy) usable(k *dns.DNSKEY) error {
	switch {
	case k.Flags&dns.ZONE == 0:
		return errors.New("is not a zone key")
	case k.Flags&dns.REVOKE != 0:
		return errors.New("is revoked")
	case k.Protocol != 3:
		return errors.New("is not for DNSSEC")
	case !p.supported(k.Algorithm):
		return errors.New("has an algorithm that is not supported")
	}
	switch k.Algorithm {
	case dns.RSASHA1, dns.RSASHA1NSEC3SHA1, dns.RSASHA256, dns.RSASHA512:
		return usableRSA(k.PublicKey)
	}
	return nil
}

// Bounds of RSA keys (RFC 3110, 5702 §2.1; Go refuses less than 1024 bits).
const (
	minRSA = 1024
	maxRSA = 4096
)

// usableRSA looks at an RSA key as RFC 3110 §2 writes it.
func usableRSA(text string) error {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) < 3 {
		return errors.New("cannot be read")
	}
	length, rest := int(raw[0]), raw[1:]
	if length == 0 {
		length, rest = int(rest[0])<<8|int(rest[1]), rest[2:]
	}
	if length == 0 || length >= len(rest) {
		return errors.New("cannot be read")
	}
	exponent, modulus := new(big.Int).SetBytes(rest[:length]), new(big.Int).SetBytes(rest[length:])
	switch {
	case exponent.BitLen() > 31, exponent.Bit(0) == 0, exponent.BitLen() < 2:
		return errors.New("has an RSA exponent that is not supported")
	case modulus.BitLen() < minRSA:
		return errors.New("is an RSA key of less than 1024 bits")
	case modulus.BitLen() > maxRSA:
		return errors.New("is an RSA key of more than 4096 bits")
	}
	return nil
}
