package delivery

import (
	"context"
	"crypto/x509"
	"net/netip"
	"strings"
	"time"

	"esa/mta/envelope"
	"esa/mta/identity"
	"esa/mta/route"
)

// Trial asks how a host does TLS, as a destination that requires a verified
// certificate would find it.
type Trial struct {
	Domain string // that the certificate must speak for
	Host   string // a name, whose addresses are tried, or an address, in brackets or not
	Port   uint16 // 0: 25
}

// Witness is told what happens in a Trial, in this order. What fails is told
// by Failed, and the next address begins with Connecting.
type Witness interface {
	Connecting(to netip.AddrPort)
	Connected(to netip.AddrPort, from netip.Addr)
	Checking() // STARTTLS is asked for
	// Established is a handshake that has come as far as the certificate.
	Established(protocol, cipher string)
	// Presented is the chain of the host as it came, its own certificate first.
	Presented(chain []*x509.Certificate)
	Verified(name string) // of the certificate, that speaks for the domain
	// Failed is an address that cannot be had so. The failure of a certificate
	// comes after Presented, any other one of TLS after Checking.
	Failed(to netip.AddrPort, f envelope.Failure)
}

// TryTLS makes a trial and reports whether an address of the host passed it.
// A failure without an address is that of looking the host up. The mail log has
// the connections as it has those of deliveries.
func (c *Client) TryTLS(ctx context.Context, t Trial, w Witness) (passed bool, f *envelope.Failure) {
	set := c.settings.Load()
	if set == nil {
		return false, localFailure(errNotConfigured)
	}
	hops, f := c.trialHops(ctx, set, t)
	if f != nil {
		return false, f
	}
	for _, hop := range hops {
		if ctx.Err() != nil {
			return false, stopped()
		}
		if c.tryAddress(ctx, set, hop, attestation{t, w}) {
			return true, nil
		}
	}
	return false, nil
}

// trialHops are the addresses of the host, in the order of a plan, whether or
// not they are our own.
func (c *Client) trialHops(ctx context.Context, set *running, t Trial) ([]route.NextHop, *envelope.Failure) {
	planner := set.planner
	planner.Self, planner.Family = nil, set.destination(t.Domain).Family
	ctx, cancel := context.WithTimeoutCause(ctx, set.Timeouts.Lookup, errLookup)
	defer cancel()
	plan, f := planner.PlanVia(ctx, envelope.Machine{Host: strings.Trim(t.Host, "[]"), Port: t.Port})
	return plan.Hops, f
}

// attestation is a trial and who is told of it.
type attestation struct {
	Trial
	Witness
}

// tryAddress is the trial of one address.
func (c *Client) tryAddress(ctx context.Context, set *running, hop route.NextHop, t attestation) bool {
	g := guard{mode: RequireVerified, sni: identity.HostName(hop.Host), speak: []string{t.Domain}}
	t.Connecting(hop.Addr)
	conn, err := c.connect(ctx, set, hop, set.key(hop.Addr, g))
	if err != nil {
		t.Failed(hop.Addr, *broken(err))
		return false
	}
	t.Connected(hop.Addr, conn.local)
	until := time.Now().Add(set.Timeouts.Attempt)
	conn.leash = newLeash(ctx, conn.raw, set.Timeouts, &until)
	defer conn.leash.release()
	if f := conn.greet(set); f != nil {
		t.Failed(hop.Addr, *f)
		conn.close(f.Code != 0 && f.Code != 421)
		return false
	}
	t.Checking()
	e, f := conn.upgrade(ctx, g, set)
	if e != nil && e.state.Version != 0 {
		t.Established(e.protocol(), e.cipher())
		t.Presented(e.state.PeerCertificates)
	}
	if f != nil {
		c.logTLS(conn.dcid, f)
		t.Failed(hop.Addr, *f)
		conn.close(inClear(f))
		return false
	}
	c.opt.Log.DeliverySecured(conn.dcid, e.protocol(), e.cipher(), "")
	t.Verified(e.name)
	conn.close(true)
	return true
}
