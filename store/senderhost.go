package store

import (
	"net/netip"
	"strconv"
	"strings"
)

const (
	errSender = ValueError("Invalid IP or IP range, or host name. A sender can be an IP address, a CIDR address (10.1.1.0/24), a range (10.1.1.10-20), a host name, a partial domain (.example.com), dnslist[zone], nx.domain, serv.fail, not.double.verified or ALL.")
	errCIDR   = ValueError("A CIDR address is an IP address followed by a slash and a number of bits. (Ex: 10.1.1.0/24)")
)

// ParseSenderHost reads one member of a sender group and gives its one form:
// an address, a network without host bits, a range "10.1.1.1-10.1.1.9" (also
// typed "10.1.1.1-9"), a host or partial domain in lower case, dnslist[zone], or
// ALL.
func ParseSenderHost(text string) (string, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return "", errBlank
	case strings.EqualFold(text, allHosts):
		return allHosts, nil
	case hasListPrefix(text):
		zone, err := ParseDomain(strings.TrimSuffix(text[len(listPrefix):], "]"))
		if err != nil || text[len(text)-1] != ']' {
			return "", errSender
		}
		return listPrefix + zone + "]", nil
	case strings.Contains(text, "/"):
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Addr().Is4In6() {
			return "", errCIDR
		}
		return p.Masked().String(), nil
	}
	if a, err := netip.ParseAddr(text); err == nil {
		if a.Zone() != "" || a.Is4In6() {
			return "", errSender
		}
		return a.String(), nil
	}
	if from, to, ok := parseRange(text); ok {
		return from.String() + "-" + to.String(), nil
	}
	domain, err := parseDomain(text)
	if err != nil || strings.Trim(text, "0123456789.-") == "" { // a mistyped range is no host name
		return "", errSender
	}
	return domain, nil
}

// listPrefix begins a member that is a DNS list: dnslist[zone]. The members
// nx.domain, serv.fail and not.double.verified have the form of host names.
const listPrefix = "dnslist["

func hasListPrefix(text string) bool {
	return len(text) > len(listPrefix) && strings.EqualFold(text[:len(listPrefix)], listPrefix)
}

// ParseSenderHosts reads members separated by commas or blanks.
func ParseSenderHosts(text string) ([]string, error) {
	var hosts []string
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		host, err := ParseSenderHost(part)
		if err != nil {
			return nil, refuse("%q: %v", part, err)
		}
		hosts = append(hosts, host)
	}
	if len(hosts) == 0 {
		return nil, errBlank
	}
	return hosts, nil
}

// parseRange reads "10.1.1.1-9", "10.1.1.1-10.1.1.9" or two IPv6 addresses.
func parseRange(text string) (from, to netip.Addr, ok bool) {
	first, last, found := strings.Cut(text, "-")
	from, err := netip.ParseAddr(first)
	if !found || err != nil || from.Zone() != "" {
		return from, to, false
	}
	if n, err := strconv.ParseUint(last, 10, 8); err == nil && from.Is4() {
		b := from.As4()
		b[3] = byte(n)
		to = netip.AddrFrom4(b)
	} else if to, err = netip.ParseAddr(last); err != nil || to.Zone() != "" {
		return from, to, false
	}
	return from, to, from.Is4() == to.Is4() && !from.Is4In6() && !to.Is4In6() && from.Compare(to) <= 0
}

// senderRange gives the first and last address of a member that is addresses.
func senderRange(host string) (from, to netip.Addr, ok bool) {
	if p, err := netip.ParsePrefix(host); err == nil {
		return p.Masked().Addr(), lastAddr(p), true
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return a, a, true
	}
	return parseRange(host)
}

// lastAddr gives the highest address of a network.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
