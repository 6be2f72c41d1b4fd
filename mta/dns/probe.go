package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	mdns "github.com/miekg/dns"
)

const probeTimeout = 2 * time.Second

// ErrNoDNSSEC is what Probe returns for a server that answers but leaves the
// signatures out: good for mail, not for DANE.
var ErrNoDNSSEC = errors.New("the server answers, but does not pass DNSSEC records on")

var errNoAnswer = errors.New("no answer within 2 seconds")

// Probe asks a server, configured or not, for the name servers of the root,
// and tells within 2 s whether it is a resolver and passes signatures on. It
// goes by the settings for nothing but the source address, and leaves cache and
// health of servers alone. ErrNoDNSSEC is the one error that the caller tells
// apart; any other names the server and what went wrong.
func (r *Resolver) Probe(ctx context.Context, server netip.AddrPort) error {
	ctx, cancel := context.WithTimeoutCause(ctx, probeTimeout, errNoAnswer)
	defer cancel()
	q := question{name: "", qtype: mdns.TypeNS}
	to := peer{addr: server, source: r.state.Load().set.Source, dialer: r.dial}
	m, err := r.exchange(ctx, to, q, probeTimeout)
	if err == nil {
		err = sane(q, m)
	}
	if err != nil {
		return fmt.Errorf("probing DNS server %s: %w", shown(server), err)
	}
	for _, rr := range m.Answer {
		if rr.Header().Rrtype == mdns.TypeRRSIG {
			return nil
		}
	}
	return ErrNoDNSSEC
}
