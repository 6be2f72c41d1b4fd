package mta

import (
	"context"
	"net/netip"

	"esa/mta/dns"
)

// names is the resolver as receiving sees it: dnsconfig can switch reverse
// lookups off, which the resolver does not know.
type names struct {
	gateway  *Gateway
	resolver *dns.Resolver
}

func (n names) Reverse(ctx context.Context, addr netip.Addr) (host string, verified bool) {
	if n.gateway.current.Load().config.DNS.ReverseTimeout == 0 {
		return "", false
	}
	return n.resolver.Reverse(ctx, addr)
}
