package mta

import (
	"context"
	"net/netip"
	"slices"

	"esa/mta/delivery"
	"esa/mta/dns"
	"esa/mta/envelope"
	"esa/store"
)

// DANETrials asks whether domains are protected by DANE. Its methods are safe
// for concurrent use; the trials share what the resolver remembers.
type DANETrials struct {
	client   *delivery.Client
	resolver *dns.Resolver
	done     func()
}

// DANETrials makes trials with the settings and the resolver that run; where
// the gateway does not, with the same settings. The caller closes them.
func (g *Gateway) DANETrials() *DANETrials {
	r, done := g.resolver()
	if g.live != nil {
		return &DANETrials{g.live.client, r, done}
	}
	client := delivery.New(delivery.Options{Resolver: r, Clock: g.Clock, Diag: g.Diag})
	client.Configure(g.current.Load().delivery)
	return &DANETrials{client, r, func() { client.Close(); done() }}
}

// StubDANETrials makes trials that ask servers, with the factory's settings,
// for who has no gateway. The caller closes them.
func StubDANETrials(hostname string, servers []netip.AddrPort) (*DANETrials, error) {
	config := store.Factory(store.FactoryFacts{Hostname: hostname})
	outbound, err := sslOptions(config.SSL.Outbound)
	if err != nil {
		return nil, err
	}
	r := Stub(servers)
	client := delivery.New(delivery.Options{Resolver: r})
	client.Configure(&delivery.Settings{Hostname: config.Hostname, TLS: deliveryTLS(config, outbound, nil)})
	return &DANETrials{client, r, func() { client.Close(); r.Close() }}, nil
}

// Handling tells of a domain what c says of it: its destination controls with
// the default filled in, and its SMTP route, nil if it has none.
func Handling(c *store.Config) func(domain string) (store.Destination, *store.Route) {
	to, routes := newDestinations(c), routeTable(c.Routes)
	return func(domain string) (store.Destination, *store.Route) {
		found, _ := routes.Route(domain)
		i := slices.IndexFunc(c.Routes, func(r store.Route) bool { return r.Domain == found.Domain })
		if found.Domain == "" || i < 0 {
			return to.find(domain), nil
		}
		return to.find(domain), &c.Routes[i]
	}
}

// Try makes one trial; see delivery.Client.TryDANE.
func (t *DANETrials) Try(ctx context.Context, trial delivery.DANETrial, w delivery.DANEWitness) *envelope.Failure {
	return t.client.TryDANE(ctx, t.resolver.Checked(), trial, w)
}

// Close ends the trials; none may be under way.
func (t *DANETrials) Close() { t.done() }
