package sshd

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"time"
)

// What a source that fails to log in is charged, as OpenSSH charges it since
// 9.8 (PerSourcePenalties), but for each wrong password and not only for each
// connection. A source is refused once it owes penaltyMin, until all is over.
const (
	penaltyWrong   = 5 * time.Second  // for a wrong password, or a connection that only had keys we refuse
	penaltySilent  = time.Second      // for a connection that did not try to log in
	penaltyDawdled = 10 * time.Second // for one that took all of HandshakeTimeout
	penaltyMin     = 15 * time.Second
	penaltyMax     = 10 * time.Minute
)

// maxPenalties bounds the sources that are remembered: where there are more,
// those go first that have the least time left.
const maxPenalties = 1 << 14

// penalties remembers who has failed to log in. The guard's lock is held by
// whoever calls.
type penalties struct {
	owed map[netip.Prefix]penalty
}

type penalty struct {
	until    time.Time
	enforced bool
}

// network is what one client can be expected to have of a source: an IPv4
// address, or the /64 of an IPv6 address. Connections that are of no network
// have none.
func network(source netip.Addr) netip.Prefix {
	switch {
	case !source.IsValid():
		return netip.Prefix{}
	case source.Is4():
		return netip.PrefixFrom(source, 32)
	}
	p, err := source.WithZone("").Prefix(64)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// add charges a source. If that is why it is refused from now on, it says for
// how long.
func (p *penalties) add(source netip.Prefix, charge time.Duration, now time.Time) (begins time.Duration) {
	if charge <= 0 || !source.IsValid() {
		return 0
	}
	if p.owed == nil {
		p.owed = map[netip.Prefix]penalty{}
	}
	owed, known := p.owed[source]
	if !known && len(p.owed) >= maxPenalties {
		p.makeRoom(now)
	}
	if owed.until.Before(now) {
		owed = penalty{until: now}
	}
	owed.until = owed.until.Add(charge)
	if latest := now.Add(penaltyMax); owed.until.After(latest) {
		owed.until = latest
	}
	if !owed.enforced && owed.until.Sub(now) >= penaltyMin {
		owed.enforced, begins = true, owed.until.Sub(now)
	}
	p.owed[source] = owed
	return begins
}

// makeRoom forgets what is over, or else the one that is over first.
func (p *penalties) makeRoom(now time.Time) {
	var first netip.Prefix
	for source, owed := range p.owed {
		if !owed.until.After(now) {
			delete(p.owed, source)
		} else if !first.IsValid() || owed.until.Before(p.owed[first].until) {
			first = source
		}
	}
	if len(p.owed) >= maxPenalties {
		delete(p.owed, first)
	}
}

// left is how long a source is still refused; 0: it is not.
func (p *penalties) left(source netip.Prefix, now time.Time) time.Duration {
	owed, known := p.owed[source]
	if !known || !owed.enforced && owed.until.After(now) {
		return 0
	}
	if !owed.until.After(now) {
		delete(p.owed, source)
		return 0
	}
	return owed.until.Sub(now)
}

// penalty is what a connection that has ended is charged for. One that the end
// of the server cut off is charged nothing.
func (l *login) penalty(ctx context.Context) time.Duration {
	switch {
	case l.in, ctx.Err() != nil:
		return 0
	case l.passwords > 0:
		return time.Duration(l.passwords) * penaltyWrong
	case l.keys > 0:
		return penaltyWrong
	case errors.Is(l.why, os.ErrDeadlineExceeded):
		return penaltyDawdled
	}
	return penaltySilent
}
