package dns

import (
	"strings"
	"time"

	"esa/mta/dnssec"
	"esa/mta/lookup"

	mdns "github.com/miekg/dns"
)

// noTTL is the lifetime of an answer "none" that does not tell one: it came
// without SOA.
const noTTL = dnssec.NoTTL

// trail is how far a lookup has come: the question is moved from alias to
// alias (RFC 1034 §3.6.2) until records stand there, or none.
type trail struct {
	question
	aliases  int
	first    lookup.Status // of the alias at the name that was asked for
	ttl      time.Duration // shortest of all records on the way
	status   lookup.Status // weakest of all steps
	why      string        // why it is not Secure: the first step that was not
	records  []mdns.RR     // of the type that was asked for
	nxdomain bool
	done     bool
}

// follow goes as far as a message leads. It is not done when the message ends
// in an alias: then the question is to be asked on.
func (t *trail) follow(steps []dnssec.Step) error {
	for _, s := range steps {
		t.status = weaker(t.status, s.Status)
		if t.why == "" {
			t.why = s.Why
		}
		if s.Target == "" {
			t.end(s)
			return nil
		}
		if t.aliases++; t.aliases > dnssec.MaxAliases {
			return dnssec.ErrAliases
		}
		if t.aliases == 1 {
			t.first = s.Status
		}
		t.ttl = min(t.ttl, s.TTL)
		t.name = received(s.Target)
	}
	return nil
}

// end takes the step that is no alias. An answer "none" without SOA is kept
// for as long as failures are (RFC 2308 §2, §7).
func (t *trail) end(s dnssec.Step) {
	t.done = true
	t.records = s.Records
	t.ttl = min(t.ttl, s.TTL)
	t.nxdomain = len(s.Records) == 0 && s.Rcode == mdns.RcodeNameError
}

// at reports whether a record stands at a name, in class IN.
func at(rr mdns.RR, name string) bool {
	h := rr.Header()
	return h.Class == mdns.ClassINET && strings.EqualFold(strings.TrimSuffix(h.Name, "."), name)
}
