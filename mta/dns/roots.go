package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// rootServers are the name servers of the root with their addresses, as IANA
// publishes them (RFC 8109 §2).
const rootServers = `
a.root-servers.net. A 198.41.0.4
a.root-servers.net. AAAA 2001:503:ba3e::2:30
b.root-servers.net. A 170.247.170.2
b.root-servers.net. AAAA 2801:1b8:10::b
c.root-servers.net. A 192.33.4.12
c.root-servers.net. AAAA 2001:500:2::c
d.root-servers.net. A 199.7.91.13
d.root-servers.net. AAAA 2001:500:2d::d
e.root-servers.net. A 192.203.230.10
e.root-servers.net. AAAA 2001:500:a8::e
f.root-servers.net. A 192.5.5.241
f.root-servers.net. AAAA 2001:500:2f::f
g.root-servers.net. A 192.112.36.4
g.root-servers.net. AAAA 2001:500:12::d0d
h.root-servers.net. A 198.97.190.53
h.root-servers.net. AAAA 2001:500:1::53
i.root-servers.net. A 192.36.148.17
i.root-servers.net. AAAA 2001:7fe::53
j.root-servers.net. A 192.58.128.30
j.root-servers.net. AAAA 2001:503:c27::2:30
k.root-servers.net. A 193.0.14.129
k.root-servers.net. AAAA 2001:7fd::1
l.root-servers.net. A 199.7.83.42
l.root-servers.net. AAAA 2001:500:9f::42
m.root-servers.net. A 202.12.27.33
m.root-servers.net. AAAA 2001:dc3::35
`

// maxRoots bounds what a file of root hints may hold.
const maxRoots = 100

// RootServers gives the root hints that are built in.
func RootServers() []Root {
	roots, err := ParseRoots(rootServers)
	if err != nil {
		panic(err) // a constant, held by a test
	}
	return roots
}

// ParseRoots reads root hints: lines of a name and an address, with or without
// TTL, class and type between them, as in the file that IANA publishes. An
// address may carry a port: "192.0.2.1:5353", "[2001:db8::1]:5353". Comments
// after ";" and NS records are left out. More than 100 addresses, or none, are
// refused, with the line.
func ParseRoots(text string) ([]Root, error) {
	var roots []Root
	n, line := 0, 0
	for entry := range strings.Lines(text) {
		line++
		entry, _, _ = strings.Cut(entry, ";")
		fields := strings.Fields(entry)
		if len(fields) == 0 || len(fields) > 2 && strings.EqualFold(fields[len(fields)-2], "NS") {
			continue
		}
		name, ok := canonical(fields[0])
		addr, err := parseRootAddr(fields[len(fields)-1])
		if !ok || err != nil || len(fields) < 2 || len(fields) > 5 {
			return nil, fmt.Errorf("line %d is not a name and an address", line)
		}
		if n++; n > maxRoots {
			return nil, fmt.Errorf("line %d: more than %d addresses", line, maxRoots)
		}
		if last := len(roots) - 1; last >= 0 && roots[last].Name == name {
			roots[last].Addrs = append(roots[last].Addrs, addr)
		} else {
			roots = append(roots, Root{Name: name, Addrs: []netip.AddrPort{addr}})
		}
	}
	if n == 0 {
		return nil, errors.New("there is no address of a root server")
	}
	return roots, nil
}

func parseRootAddr(text string) (netip.AddrPort, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(addr, 53), nil
	}
	return netip.ParseAddrPort(text)
}
