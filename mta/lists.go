package mta

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"esa/mta/policy"
)

// listTimeout bounds a question to a DNS list.
const listTimeout = 5 * time.Second

// Naming says why an address has no name; the resolver has the answer of
// Reverse still.
func (n names) Naming(ctx context.Context, addr netip.Addr) policy.Naming {
	if n.gateway.current.Load().config.DNS.ReverseTimeout == 0 {
		return policy.Unknown
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	if n.resolver.PTR(ctx, addr).Usable() {
		return policy.NoName
	}
	return policy.Unanswered
}

// Listed reports whether a DNS list names the address: the name made of its
// reversed digits and the zone has an address in 127.0.0.0/8 (RFC 5782 §2.1,
// §2.4). A list that does not answer names nobody.
func (n names) Listed(ctx context.Context, addr netip.Addr, zone string) bool {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	for _, a := range n.resolver.Addrs(ctx, listName(addr, zone), false).Addrs {
		if a.Is4() && a.IsLoopback() {
			return true
		}
	}
	return false
}

// listName is "1.2.0.192.zone", or the nibbles of an IPv6 address.
func listName(addr netip.Addr, zone string) string {
	addr = addr.Unmap().WithZone("")
	var parts []string
	if addr.Is4() {
		parts = strings.Split(addr.String(), ".")
	} else {
		parts = strings.Split(strings.ReplaceAll(addr.StringExpanded(), ":", ""), "")
	}
	var b strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		b.WriteString(parts[i] + ".")
	}
	return b.String() + zone
}
