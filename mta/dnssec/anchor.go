package dnssec

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// rootAnchors are the keys of the root, KSK-2017 and KSK-2024, as IANA
// publishes them (RFC 7958).
const rootAnchors = `
. IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D
. IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16
`

// maxAnchors bounds what a file of anchors may hold.
const maxAnchors = 200

// Anchors are the keys that are trusted without proof, as DS or DNSKEY
// records, at one or more names. The zero value trusts nobody.
type Anchors struct{ zones map[string][]dns.RR }

// RootAnchors gives the anchors that are built in.
func RootAnchors() Anchors {
	a, err := ParseAnchors(rootAnchors)
	if err != nil {
		panic(err) // a constant, held by a test
	}
	return a
}

// ParseAnchors reads DS and DNSKEY records in zone-file form, names without a
// final dot being full names too. Other records, an empty text and more than
// 200 records are refused, with the line. A digest that is cut off is taken, and
// matches no key: its zone is bogus and the others are as they were.
func ParseAnchors(text string) (Anchors, error) {
	a := Anchors{zones: make(map[string][]dns.RR)}
	p := dns.NewZoneParser(strings.NewReader(text), ".", "")
	p.SetDefaultTTL(3600)
	n := 0
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		switch rr.(type) {
		case *dns.DS, *dns.DNSKEY:
		default:
			return Anchors{}, fmt.Errorf("a trust anchor is a DS or DNSKEY record, not %s", dns.Type(rr.Header().Rrtype))
		}
		if n++; n > maxAnchors {
			return Anchors{}, fmt.Errorf("more than %d trust anchors", maxAnchors)
		}
		name := one(rr.Header().Name)
		a.zones[name] = append(a.zones[name], rr)
	}
	if err := p.Err(); err != nil {
		return Anchors{}, errors.New(strings.TrimPrefix(err.Error(), "dns: ")) // for operators, who know of no library
	}
	if n == 0 {
		return Anchors{}, errors.New("there is no DS or DNSKEY record")
	}
	return a, nil
}

// Check gives what is wrong with an anchor that an operator enters, nil if
// nothing is: a digest of a supported type that has not the length of its type.
func (a Anchors) Check() error {
	for _, name := range slices.Sorted(maps.Keys(a.zones)) {
		for _, ds := range a.vouchers(name).digests {
			if want := 2 * digestLength(ds.DigestType); want > 0 && len(ds.Digest) != want {
				return fmt.Errorf("the digest of %s, key %d, has %d hexadecimal digits, not %d", name, ds.KeyTag, len(ds.Digest), want)
			}
		}
	}
	return nil
}

// With gives both sets of anchors as one.
func (a Anchors) With(b Anchors) Anchors {
	sum := Anchors{zones: maps.Clone(a.zones)}
	if sum.zones == nil {
		sum.zones = make(map[string][]dns.RR)
	}
	for name, rrs := range b.zones {
		sum.zones[name] = append(slices.Clone(sum.zones[name]), rrs...)
	}
	return sum
}

// Lines gives the anchors in zone-file form, sorted by name.
func (a Anchors) Lines() []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(a.zones)) {
		for _, rr := range a.zones[name] {
			lines = append(lines, rr.String())
		}
	}
	return lines
}

// Equal reports whether both are the same records, in the same order.
func (a Anchors) Equal(b Anchors) bool { return slices.Equal(a.Lines(), b.Lines()) }

// covering gives the names with anchors at or above name, the longest first.
func (a Anchors) covering(name string) []string {
	var names []string
	for n := dns.CountLabel(name); n >= 0; n-- {
		if at := ancestor(name, n); len(a.zones[at]) > 0 {
			names = append(names, at)
		}
	}
	return names
}

// vouchers splits the anchors of a zone into digests and keys.
func (a Anchors) vouchers(name string) vouchers {
	var v vouchers
	for _, rr := range a.zones[name] {
		switch rr := rr.(type) {
		case *dns.DS:
			v.digests = append(v.digests, rr)
		case *dns.DNSKEY:
			v.keys = append(v.keys, rr)
		}
	}
	return v
}
