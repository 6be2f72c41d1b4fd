package dnssec

import (
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// maxAhead bounds what Ahead gives.
const maxAhead = 8

// Ahead gives questions that Judge is likely to ask for the chain of trust of a
// name, from the closest anchor that can be used down, as far as is not known
// yet: an asker that has their answers when they are asked spares the time of
// going one by one. It guesses: that a zone begins at every name above, and that
// those below the anchor's, such as top-level domains, are signed, as is one at
// the name itself where apex says that it will be a zone's, such as that of an MX
// record.
func (l *Lookup) Ahead(name string, apex bool) []dns.Question {
	anchors := l.v.policy.Anchor
	covering := anchors.covering(name)
	first := slices.IndexFunc(covering, func(at string) bool { return !l.v.policy.relied(anchors.vouchers(at)).none() })
	if first < 0 {
		return nil
	}
	var all []dns.Question
	add := func(name string, rrtype uint16) {
		if len(all) < maxAhead {
			all = append(all, dns.Question{Name: name, Qtype: rrtype, Qclass: dns.ClassINET})
		}
	}
	parent, top := covering[first], true
	if l.v.known(parent, "", l.now) == nil {
		add(parent, dns.TypeDNSKEY)
	}
	for _, at := range between(parent, name) {
		if strings.HasPrefix(at, "_") || strings.HasPrefix(at, "*") {
			break // no host name, no zone
		}
		c := l.v.known(at, parent, l.now)
		switch {
		case c == nil:
			add(at, dns.TypeDS)
			if top || apex && at == name {
				add(at, dns.TypeDNSKEY)
			}
			parent = at
		case c.empty, c.zone != nil && c.zone.insecure():
			return all
		case c.zone != nil:
			parent = at
		}
		top = false
	}
	return all
}
