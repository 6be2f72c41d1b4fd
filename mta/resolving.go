package mta

import (
	"context"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"esa/mta/dns"
	"esa/mta/dnssec"
)

// Stub makes a resolver that asks servers and trusts the keys of the root
// that are built in, for who has no gateway. The caller closes it.
func Stub(servers []netip.AddrPort) *dns.Resolver {
	s := dns.Settings{DNSSEC: dnssec.Policy{Skew: dnssec.DefaultSkew, Anchor: dnssec.RootAnchors()}}
	for i, addr := range servers {
		s.Servers = append(s.Servers, dns.Server{Addr: addr, Priority: i})
	}
	r := dns.New(dns.Options{})
	r.Configure(s)
	return r
}

// resolving adds to the settings of the resolver the root keys that are
// trusted now; private anchors are in them already.
func (l *live) resolving(s dns.Settings) dns.Settings {
	s.DNSSEC.Anchor = s.DNSSEC.Anchor.With(l.trust.anchors())
	return s
}

// resolver gives the resolver of the gateway, or one for this call where the
// gateway does not run. done is called when it is not needed any more.
func (g *Gateway) resolver() (r *dns.Resolver, done func()) {
	if g.live != nil {
		return g.live.resolver, func() {}
	}
	s := g.current.Load().dns
	s.DNSSEC.Anchor = s.DNSSEC.Anchor.With(g.rootTrust().anchors())
	r = dns.New(dns.Options{Clock: g.Clock, Diag: g.Diag})
	r.Configure(s)
	return r, r.Close
}

// rootTrust is what is known of the root's keys.
func (g *Gateway) rootTrust() *rootTrust {
	if g.live != nil {
		return g.live.trust
	}
	return openRootTrust(g.rootKeysPath(), g.Diag)
}

func (g *Gateway) rootKeysPath() string { return filepath.Join(g.Dir, "root-keys") }

// Prove validates the records of a name with the servers and anchors that
// run, or that q names. The error refuses q.
func (g *Gateway) Prove(ctx context.Context, q dns.ProofQuery) (dns.Proof, error) {
	r, done := g.resolver()
	defer done()
	return r.Prove(ctx, q)
}

// RootKeys gives the keys of the DNS root as they are followed.
func (g *Gateway) RootKeys() []dnssec.KnownKey { return g.rootTrust().known() }

// followRootKeys has the resolver trust what the DNS root signs with, as that
// changes.
func (g *Gateway) followRootKeys(ctx context.Context) {
	g.live.trust.run(ctx, g.live.resolver, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		resolving := g.live.resolving(g.current.Load().dns)
		g.live.resolver.Configure(resolving)
		g.tellRevokedRoot(resolving.DNSSEC.Anchor)
	})
}

// tellRevokedRoot alarms operators when no key of the DNS root is among those
// that are trusted: then nothing counts as signed (RFC 5011 §5). It does so once,
// until one is trusted again. The caller holds mu.
func (g *Gateway) tellRevokedRoot(trusted dnssec.Anchors) {
	told := g.revoked
	g.revoked = !slices.ContainsFunc(trusted.Lines(), func(line string) bool { return strings.HasPrefix(line, ".\t") })
	if g.revoked && !told {
		alerting{g}.RootRevoked()
	}
}
