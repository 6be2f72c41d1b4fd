package mta

import (
	"context"
	"net/netip"
	"time"

	"esa/mta/dns"
	"esa/mta/lookup"
	"esa/mta/policy"
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

// senderTime bounds what is asked about the domain of an envelope sender.
const senderTime = 20 * time.Second

// Sender says whether mail could be sent to a domain: it has mail exchangers
// or, without any, an address (RFC 5321 §5.1). A domain that says that it
// takes no mail (RFC 7505) exists all the same.
func (n names) Sender(ctx context.Context, domain string) policy.SenderDomain {
	name, ok := lookup.ASCII(domain)
	if !ok {
		return policy.DomainNonexistent
	}
	ctx, cancel := context.WithTimeout(ctx, senderTime)
	defer cancel()
	mx := n.resolver.MX(ctx, name)
	switch {
	case !mx.Usable():
		return policy.DomainUnresolved
	case mx.NXDomain:
		return policy.DomainNonexistent
	case len(mx.Records) > 0:
		return policy.DomainExists
	}
	verdict := policy.DomainNonexistent
	for _, v6 := range []bool{false, true} {
		a := n.resolver.Addrs(ctx, name, v6)
		if len(a.Addrs) > 0 {
			return policy.DomainExists
		}
		if !a.Usable() {
			verdict = policy.DomainUnresolved
		}
	}
	return verdict
}
