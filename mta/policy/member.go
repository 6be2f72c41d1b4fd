package policy

import (
	"errors"
	"net/netip"
	"slices"
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
//	nx.domain                   hosts whose address has no name
//	serv.fail                   hosts whose name could not be looked up
//	not.double.verified         hosts whose name does not lead back to them
//	dnslist[bl.example]         hosts that a DNS list names (RFC 5782)
//	ALL                         everybody
type Member struct {
	text        string
	all         bool
	first, last netip.Addr // both valid for addresses, networks and ranges
	host        string     // with a leading dot for partial domains
	naming      Naming     // what the name must be like; 0 for other members
	zone        string     // of a DNS list
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
	case m.naming != 0:
		return c.naming() == m.naming
	case m.zone != "":
		return slices.Contains(c.Listed, m.zone)
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
	if naming, ok := namings()[strings.ToLower(text)]; ok {
		return Member{text: strings.ToLower(text), naming: naming}, nil
	}
	if zone, ok := cutList(text); ok {
		name, err := envelope.ParseDomain(zone)
		if err != nil {
			return Member{}, ErrMember
		}
		return Member{text: "dnslist[" + name + "]", zone: name}, nil
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

// Naming is what is known of the name of a client beside the name itself.
type Naming int

const (
	Unknown    Naming = iota // nothing: no lookup, or a verified name
	NoName                   // the address has none
	Unanswered               // the lookup failed
	Unverified               // the name does not lead back
)

// namings are the members that stand for a Naming.
func namings() map[string]Naming {
	return map[string]Naming{"nx.domain": NoName, "serv.fail": Unanswered, "not.double.verified": Unverified}
}

func (c Client) naming() Naming {
	if c.Host != "" && !c.Verified {
		return Unverified
	}
	return c.Naming
}

// cutList gives the zone of "dnslist[zone]".
func cutList(text string) (string, bool) {
	const word = "dnslist["
	if len(text) <= len(word) || !strings.EqualFold(text[:len(word)], word) {
		return "", false
	}
	return strings.CutSuffix(text[len(word):], "]")
}

// Zones lists the DNS lists that the table asks, each once.
func (h HAT) Zones() []string {
	var zones []string
	for _, g := range h.Groups {
		for _, m := range g.Members {
			if m.zone != "" && g.Behavior != Continue && !slices.Contains(zones, m.zone) {
				zones = append(zones, m.zone)
			}
		}
	}
	return zones
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
