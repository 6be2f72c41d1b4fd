package policy

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"esa/mta/envelope"
)

// ErrMember is what a member that cannot be read gives.
var ErrMember = errors.New("not an address, range, host or partial domain")

// Member is one line of a sender group:
//
//	10.1.1.9 2001:db8::9        an address
//	10.1.1.0/24 2001:db8::/32   a network
//	10.1.1.                     the same network, as a partial address
//	10.1.1.1-9                  a range within the last part
//	10.1.1.1-10.1.2.9           a range, both ends included
//	mail.example.com            a host, by its verified reverse name
//	.example.com                every host below a domain, by its verified reverse name
//	ALL                         everybody
type Member struct {
	text        string
	all         bool
	first, last netip.Addr // both valid for addresses, networks and ranges
	host        string     // with a leading dot for partial domains
}

// String gives the member as it was written, names in lower case.
func (m Member) String() string { return m.text }

// Matches reports whether the client is meant. A name matches only if it is
// verified: anybody may let an address point to any name.
func (m Member) Matches(c Client) bool {
	switch {
	case m.all:
		return true
	case m.first.IsValid():
		return c.Addr.BitLen() == m.first.BitLen() && m.first.Compare(c.Addr) <= 0 && c.Addr.Compare(m.last) <= 0
	case m.host == "" || !c.Verified || c.Host == "":
		return false
	case m.host[0] == '.':
		return strings.HasSuffix(c.Host, m.host)
	default:
		return c.Host == m.host
	}
}

// ParseMember reads one member. Errors wrap ErrMember.
func ParseMember(text string) (Member, error) {
	text = strings.TrimSpace(text)
	if strings.EqualFold(text, "ALL") {
		return Member{text: "ALL", all: true}, nil
	}
	if first, last, ok := parseAddresses(text); ok {
		return Member{text: text, first: first, last: last}, nil
	}
	// What has the shape of an address and is none must not become a host name.
	if text == "" || strings.ContainsAny(text, "/:[") || strings.Trim(text, "0123456789.-") == "" {
		return Member{}, ErrMember
	}
	name, err := envelope.ParseDomain(strings.TrimPrefix(text, "."))
	if err != nil {
		return Member{}, ErrMember
	}
	if text[0] == '.' {
		name = "." + name
	}
	return Member{text: name, host: name}, nil
}

// parseAddresses gives the first and last address of the forms with digits.
func parseAddresses(text string) (first, last netip.Addr, ok bool) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return a.Unmap(), a.Unmap(), true
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		return prefixRange(p)
	}
	if p, partial := partialPrefix(text); partial {
		return prefixRange(p)
	}
	from, to, ranged := strings.Cut(text, "-")
	if !ranged {
		return first, last, false
	}
	first, err := netip.ParseAddr(from)
	if err != nil || first.Zone() != "" {
		return first, last, false
	}
	if !strings.ContainsAny(to, ".:") {
		to = from[:strings.LastIndexAny(from, ".:")+1] + to
	}
	last, err = netip.ParseAddr(to)
	if err != nil || last.Zone() != "" {
		return first, last, false
	}
	first, last = first.Unmap(), last.Unmap()
	return first, last, first.BitLen() == last.BitLen() && first.Compare(last) <= 0
}

// prefixRange gives the ends of a network; bits beyond the mask are ignored,
// as the ESA does.
func prefixRange(p netip.Prefix) (first, last netip.Addr, ok bool) {
	if p.Addr().Is4In6() {
		return first, last, false
	}
	p = p.Masked()
	raw := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(raw)*8; bit++ {
		raw[bit/8] |= 0x80 >> (bit % 8)
	}
	last, ok = netip.AddrFromSlice(raw)
	return p.Addr(), last, ok
}

// partialPrefix reads "10.", "10.1", "10.1.1." as networks.
func partialPrefix(text string) (netip.Prefix, bool) {
	parts := strings.Split(strings.TrimSuffix(text, "."), ".")
	if len(parts) > 3 || !strings.Contains(text, ".") {
		return netip.Prefix{}, false
	}
	var raw [4]byte
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil || strconv.FormatUint(n, 10) != part {
			return netip.Prefix{}, false
		}
		raw[i] = byte(n)
	}
	return netip.PrefixFrom(netip.AddrFrom4(raw), 8*len(parts)), true
}
