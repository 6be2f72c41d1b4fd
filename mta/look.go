package mta

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"esa/mta/counters"
	"esa/mta/delivery"
	"esa/mta/dns"
	"esa/mta/envelope"
	"esa/mta/lookup"
	"esa/mta/queue"
	"esa/mta/smtpd"
)

// What operators look at beyond Status. Offline there is nothing to see.

// Bounds of looking up what a host has in DNS.
const (
	hostLookupTime = 5 * time.Second
	maxHostNames   = 10 // of a destination, whose addresses are looked up
)

// Rates gives the rates of all counters that have one, nil offline.
func (g *Gateway) Rates() map[counters.Name]counters.Rate {
	if g.live == nil {
		return nil
	}
	return g.live.counters.Rates()
}

// ResetCounters begins the Reset column of all counters anew and gives the
// time of it. It is on disk when ResetCounters returns.
func (g *Gateway) ResetCounters() (time.Time, error) {
	if g.live == nil {
		return time.Time{}, ErrOffline
	}
	g.live.counters.Reset()
	return g.live.counters.Snapshot().LastReset, g.live.counters.Save()
}

// Peers lists who is connected.
func (g *Gateway) Peers() ([]smtpd.Peer, error) {
	if g.live == nil {
		return nil, ErrOffline
	}
	return g.live.server.Peers(), nil
}

// Hosts lists the destinations in memory.
func (g *Gateway) Hosts() ([]queue.Host, error) {
	if g.live == nil {
		return nil, ErrOffline
	}
	return g.live.queue.Hosts(), nil
}

// Host is one destination and where its mail goes: Route, or MX and
// Addresses.
type Host struct {
	queue.Host
	Oldest    queue.Oldest
	Route     string // destinations of its SMTP route; empty: DNS decides
	MX        lookup.MXAnswer
	Addresses []HostAddresses
	Expires   time.Time // of Addresses
}

// HostAddresses are those of one preference, 0 for a domain without MX
// records.
type HostAddresses struct {
	Preference uint16
	Addrs      []netip.Addr
}

// Host looks at one destination. A lookup that is not in the cache may take
// some seconds.
func (g *Gateway) Host(ctx context.Context, domain string) (Host, error) {
	if g.live == nil {
		return Host{}, ErrOffline
	}
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	h := Host{}
	h.Host, h.Oldest = g.live.queue.Host(domain)
	current := g.current.Load()
	if r, ok := current.delivery.Routes.Route(domain); ok && !r.UseDNS {
		for _, own := range current.config.Routes {
			if own.Domain == r.Domain {
				h.Route = own.String()
			}
		}
		return h, nil
	}
	if addr, ok := envelope.Literal(domain); ok {
		h.MX.Status, h.Addresses = lookup.Insecure, []HostAddresses{{Addrs: []netip.Addr{addr}}}
		return h, nil
	}
	bounded, cancel := context.WithTimeout(ctx, hostLookupTime)
	defer cancel()
	if name, ok := lookup.ASCII(domain); ok {
		domain = name
	}
	h.MX = g.live.resolver.MX(bounded, domain)
	g.lookUpHost(bounded, &h, domain)
	return h, context.Cause(ctx)
}

// lookUpHost fills in the addresses of the mail exchangers, best first, or of
// the domain itself where it has none.
func (g *Gateway) lookUpHost(ctx context.Context, h *Host, domain string) {
	if !h.MX.Usable() || h.MX.NXDomain || h.MX.Null() {
		return
	}
	slices.SortStableFunc(h.MX.Records, func(a, b lookup.MX) int {
		return cmp.Or(cmp.Compare(a.Preference, b.Preference), strings.Compare(a.Host, b.Host))
	})
	names := h.MX.Records[:min(len(h.MX.Records), maxHostNames)]
	if len(names) == 0 {
		names = []lookup.MX{{Host: domain}}
	}
	for _, mx := range names {
		for _, v6 := range []bool{true, false} {
			a := g.live.resolver.Addrs(ctx, mx.Host, v6)
			if len(a.Addrs) == 0 {
				continue
			}
			if n := len(h.Addresses); n == 0 || h.Addresses[n-1].Preference != mx.Preference {
				h.Addresses = append(h.Addresses, HostAddresses{Preference: mx.Preference})
			}
			last := &h.Addresses[len(h.Addresses)-1]
			last.Addrs = append(last.Addrs, a.Addrs...)
			if end := g.Clock().Add(a.TTL); h.Expires.IsZero() || end.Before(h.Expires) {
				h.Expires = end
			}
		}
	}
}

// FlushDNS empties the DNS cache.
func (g *Gateway) FlushDNS() error {
	if g.live == nil {
		return ErrOffline
	}
	g.live.resolver.Flush()
	return nil
}

// QueryDNS asks the gateway's resolver for the records of a name.
func (g *Gateway) QueryDNS(ctx context.Context, name, typeName string) (dns.RecordAnswer, error) {
	if g.live == nil {
		return dns.RecordAnswer{}, ErrOffline
	}
	return g.live.resolver.Query(ctx, name, typeName)
}

// TryTLS tries TLS with a host under the running configuration.
func (g *Gateway) TryTLS(ctx context.Context, t delivery.Trial, w delivery.Witness) (passed bool, f *envelope.Failure, err error) {
	if g.live == nil {
		return false, nil, ErrOffline
	}
	passed, f = g.live.client.TryTLS(ctx, t, w)
	return passed, f, nil
}

// countDNS counts in what the resolver counts.
func (l *live) countDNS() {
	for name, value := range map[counters.Name]func(dns.Stats) uint64{
		counters.DNSRequests:        func(s dns.Stats) uint64 { return s.Requests },
		counters.DNSNetworkRequests: func(s dns.Stats) uint64 { return s.NetworkRequests },
		counters.DNSCacheHits:       func(s dns.Stats) uint64 { return s.Hits },
		counters.DNSCacheMisses:     func(s dns.Stats) uint64 { return s.Misses },
		counters.DNSCacheExceptions: func(s dns.Stats) uint64 { return s.Exceptions },
		counters.DNSCacheExpired:    func(s dns.Stats) uint64 { return s.Expired },
	} {
		l.counters.Include(name, func() int64 { return int64(value(l.resolver.Stats())) })
	}
}
