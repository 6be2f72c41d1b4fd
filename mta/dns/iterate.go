package dns

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"esa/mta/dnssec"

	mdns "github.com/miekg/dns"
)

// Bounds of iteration, besides those of every lookup.
const (
	maxReferrals  = 30 // followed for one question
	maxNameNests  = 4  // name servers whose addresses need name servers whose addresses need ...
	maxUnglued    = 3  // name servers of one zone whose addresses are looked up
	maxZoneAddrs  = 12 // addresses asked of one zone
	maxDelegated  = 20000
	maxDelegation = 24 * time.Hour
)

var errReferrals = errors.New("the name servers refer to each other without end")

// Root is a name server of the root and its addresses.
type Root struct {
	Name  string
	Addrs []netip.AddrPort
}

// delegation is a zone and who serves it.
type delegation struct {
	zone    string
	names   []string // of its servers
	servers []*server
	expires time.Time
}

// delegations are the zones that iteration has come by.
type delegations struct {
	root *delegation

	mu    sync.Mutex
	zones map[string]*delegation
}

func newDelegations(roots []Root) *delegations {
	d := &delegations{root: &delegation{}, zones: make(map[string]*delegation)}
	for _, r := range roots {
		for _, addr := range r.Addrs {
			d.root.servers = append(d.root.servers, &server{addr: addr, authority: true})
		}
	}
	return d
}

// closest gives the deepest known zone that holds name.
func (d *delegations) closest(name string, now time.Time) *delegation {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name != "" {
		if known := d.zones[name]; known != nil && now.Before(known.expires) {
			return known
		}
		_, name, _ = strings.Cut(name, ".")
	}
	return d.root
}

// keep remembers a zone. When there are too many, any of them goes.
func (d *delegations) keep(known *delegation) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for old := range d.zones {
		if len(d.zones) < maxDelegated {
			break
		}
		delete(d.zones, old)
	}
	d.zones[known.zone] = known
}

// iterate asks the name servers of the Internet, from the deepest zone that is
// known down (RFC 1034 §5.3.3), until accept takes an answer. The DS records
// of a name are its parent's to give.
func (l *run) iterate(ctx context.Context, q question, accept func(*mdns.Msg) error) error {
	home := q.name
	if q.qtype == mdns.TypeDS {
		_, home, _ = strings.Cut(q.name, ".")
	}
	at := l.st.roots.closest(home, l.clock())
	for range maxReferrals {
		next, err := l.askZone(ctx, at, q, accept)
		if err != nil || next == nil {
			return err
		}
		l.st.roots.keep(next)
		at = next
	}
	return errReferrals
}

// askZone asks the servers of a zone in turn until one answers, or refers to a
// zone below, which is then the next to ask.
func (l *run) askZone(ctx context.Context, at *delegation, q question, accept func(*mdns.Msg) error) (next *delegation, err error) {
	known, err := l.reach(ctx, at)
	if err != nil {
		return nil, err
	}
	turns := (&servers{groups: []group{known}}).turns(l.clock(), l.rand)
	err = l.inTurn(ctx, turns, q, func(m *mdns.Msg) error {
		if next = l.referral(at, q, m); next != nil {
			return nil
		}
		if !m.Authoritative {
			return &fault{why: "Lame delegation", said: "LAME"}
		}
		l.zone = at.zone
		m.Answer, m.Ns = within(m.Answer, at.zone), within(m.Ns, at.zone)
		if err := sane(q, m); err != nil {
			return err
		}
		return accept(m)
	})
	return next, err
}

// within leaves out what servers of a zone have no say in.
func within(section []mdns.RR, zone string) []mdns.RR {
	return slices.DeleteFunc(section, func(rr mdns.RR) bool { return !below(received(rr.Header().Name), zone) })
}

// referral reads a message as one that points to the servers of a zone below,
// on the way to what is asked; nil if it is none.
func (l *run) referral(at *delegation, q question, m *mdns.Msg) *delegation {
	home := q.name
	if q.qtype == mdns.TypeDS {
		_, home, _ = strings.Cut(q.name, ".")
	}
	if m.Rcode != mdns.RcodeSuccess || len(m.Answer) > 0 {
		return nil
	}
	next := &delegation{expires: l.clock().Add(maxDelegation)}
	for _, rr := range m.Ns {
		switch rr := rr.(type) {
		case *mdns.SOA:
			return nil
		case *mdns.NS:
			zone := received(rr.Hdr.Name)
			if next.zone == "" {
				next.zone = zone
			}
			if zone == next.zone {
				next.names = append(next.names, received(rr.Ns))
				next.expires = sooner(next.expires, l.clock().Add(dnssec.Lifetime(rr.Hdr.Ttl)))
			}
		}
	}
	if next.zone == "" || next.zone == at.zone || !below(next.zone, at.zone) || !below(home, next.zone) {
		return nil
	}
	next.servers = glue(next.names, within(m.Extra, at.zone))
	return next
}

func sooner(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// glue gives the addresses of name servers that came with their names.
func glue(names []string, section []mdns.RR) []*server {
	var found []*server
	for _, rr := range section {
		if !slices.Contains(names, received(rr.Header().Name)) || len(found) == maxZoneAddrs {
			continue
		}
		a := &answer{}
		switch rr := rr.(type) {
		case *mdns.A:
			a.addAddr(rr.A, 4)
		case *mdns.AAAA:
			a.addAddr(rr.AAAA, 16)
		}
		found = append(found, addressed(a.addrs)...)
	}
	return found
}

func addressed(addrs []netip.Addr) []*server {
	var all []*server
	for _, addr := range addrs {
		all = append(all, &server{addr: netip.AddrPortFrom(addr, 53), authority: true})
	}
	return all
}

// reach gives the servers of a zone. Where no addresses came with their names
// these are looked up, for a few of them: more would let a zone make us ask
// others in its stead.
func (l *run) reach(ctx context.Context, at *delegation) ([]*server, error) {
	if len(at.servers) > 0 {
		return at.servers, nil
	}
	if l.nested >= maxNameNests {
		return nil, errReferrals
	}
	sub := *l
	sub.nested++
	sub.proof = l.believer.Begin(&sub, nil)
	var err error = errNoServer
	found := *at
	for _, name := range at.names[:min(len(at.names), maxUnglued)] {
		for _, qtype := range []uint16{mdns.TypeA, mdns.TypeAAAA} {
			var t *trail
			if t, err = sub.chase(ctx, question{name: name, qtype: qtype}); err == nil {
				found.servers = append(found.servers, addressed(t.answer().addrs)...)
			}
			if len(found.servers) > 0 {
				break
			}
		}
	}
	if len(found.servers) == 0 {
		if err == nil {
			err = &fault{why: "no address of the name servers of " + at.zone}
		}
		return nil, err
	}
	found.servers = found.servers[:min(len(found.servers), maxZoneAddrs)]
	l.st.roots.keep(&found)
	return found.servers, nil
}
