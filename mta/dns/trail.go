package dns

import (
	"strings"
	"time"

	"esa/mta/lookup"

	mdns "github.com/miekg/dns"
)

// noTTL is the lifetime of an answer "none" that does not tell one: it came
// without SOA.
const noTTL = -1

// trail is how far a lookup has come: the question is moved from alias to
// alias (RFC 1034 §3.6.2) until records stand there, or none.
type trail struct {
	question
	aliases  int
	ttl      time.Duration // shortest of all records on the way
	status   lookup.Status
	records  []mdns.RR // of the type that was asked for
	nxdomain bool
	done     bool
}

// follow goes as far as a message leads. It is not done when the message ends
// in an alias, or when other servers serve the name that an alias leads to:
// then the question is to be asked on.
func (t *trail) follow(m *mdns.Msg, d *directory) error {
	began, servers := t.name, d.serving(t.name)
	for {
		alias := t.gather(m.Answer)
		if len(t.records) > 0 {
			t.done = true
			return nil
		}
		if alias == nil {
			t.deny(m, t.name != began)
			return nil
		}
		if t.aliases++; t.aliases > maxAliases {
			return errAliases
		}
		t.lives(alias)
		t.name = received(alias.Target)
		if d.serving(t.name) != servers {
			return nil
		}
	}
}

// gather takes the records that answer the question, or gives the alias that
// stands at the name instead.
func (t *trail) gather(section []mdns.RR) *mdns.CNAME {
	var alias *mdns.CNAME
	for _, rr := range section {
		if !at(rr, t.name) {
			continue
		}
		if rr.Header().Rrtype == t.qtype {
			t.records = append(t.records, rr)
			t.lives(rr)
		}
		if c, ok := rr.(*mdns.CNAME); ok && alias == nil {
			alias = c
		}
	}
	return alias
}

// deny ends the trail with "none" (RFC 2308 §2), unless the message led here
// by an alias and does not say that there is nothing.
func (t *trail) deny(m *mdns.Msg, byAlias bool) {
	t.nxdomain = m.Rcode == mdns.RcodeNameError
	for _, rr := range m.Ns {
		soa, ok := rr.(*mdns.SOA)
		if ok && below(t.name, received(soa.Hdr.Name)) {
			t.lives(soa)
			t.ttl = min(t.ttl, lifetime(soa.Minttl))
			t.done = true
			return
		}
	}
	if t.nxdomain || !byAlias {
		t.ttl = noTTL
		t.done = true
	}
}

func (t *trail) lives(rr mdns.RR) { t.ttl = min(t.ttl, lifetime(rr.Header().Ttl)) }

// lifetime reads a TTL; one with the highest bit set is 0 (RFC 2181 §8).
func lifetime(ttl uint32) time.Duration {
	if ttl >= 1<<31 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}

// at reports whether a record stands at a name, in class IN.
func at(rr mdns.RR, name string) bool {
	h := rr.Header()
	return h.Class == mdns.ClassINET && strings.EqualFold(strings.TrimSuffix(h.Name, "."), name)
}
