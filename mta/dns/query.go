package dns

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"esa/mta/dnssec"
	"esa/mta/lookup"

	mdns "github.com/miekg/dns"
)

// Record is one record as operators see it.
type Record struct {
	Type string // "MX"
	Text string // "10 mx.example.com", in the form of zone files: nothing in it harms a terminal
	TTL  time.Duration
}

// RecordAnswer is the records of a name.
type RecordAnswer struct {
	lookup.Answer
	Records []Record
}

// QueryTypes lists the types that Query knows.
func QueryTypes() []string {
	return []string{"A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "TXT", "TLSA", "DS", "DNSKEY"}
}

// Query asks the servers, past the cache, for the records of a name, or with
// PTR of an address. It follows aliases as every lookup does. The answer is
// validated; what is Bogus is given all the same, as mail without DANE sees it.
func (r *Resolver) Query(ctx context.Context, name, typeName string) (RecordAnswer, error) {
	if !slices.Contains(QueryTypes(), typeName) {
		return RecordAnswer{}, fmt.Errorf("there is no query type %q", typeName)
	}
	q := question{qtype: mdns.StringToType[typeName]}
	if addr, err := netip.ParseAddr(name); err == nil && q.qtype == mdns.TypePTR {
		name = reverseName(addr.Unmap().WithZone(""))
	}
	var ok bool
	if q.name, ok = canonical(name); !ok {
		a := RecordAnswer{Answer: fact(name)}
		a.NXDomain = true
		return a, nil
	}
	if a := own(q.name, q.qtype); a != nil {
		found := RecordAnswer{Answer: a.Answer}
		for _, addr := range a.addrs {
			found.Records = append(found.Records, Record{typeName, addr.String(), a.TTL})
		}
		return found, nil
	}
	q.checked = true
	checked := r.query(ctx, q)
	if checked.Usable() {
		return checked, nil
	}
	q.checked = false
	plain := r.query(ctx, q)
	if plain.Usable() {
		plain.Status, plain.Why = checked.Status, checked.Why
	}
	return plain, nil
}

func (r *Resolver) query(ctx context.Context, q question) RecordAnswer {
	if !r.begin() {
		return RecordAnswer{Answer: failed(errClosed, time.Time{}).Answer}
	}
	defer r.running.Done()
	r.stats.requests.Add(1)
	r.stats.misses.Add(1)
	t, err := r.newRun(r.state.Load(), q.checked, nil).chase(ctx, q)
	if err != nil {
		a := failed(err, time.Time{})
		r.count(a)
		return RecordAnswer{Answer: a.Answer}
	}
	found := RecordAnswer{Answer: lookup.Answer{Status: t.status, NXDomain: t.nxdomain, Canonical: t.name, TTL: max(0, t.ttl)}}
	for _, rr := range t.records[:min(len(t.records), maxRecords)] {
		found.Records = append(found.Records, record(rr))
	}
	return found
}

// record shows a record without its header; a name at its end has no final
// dot, as everywhere here. Names are in lower case: where a server compressed
// one, the case is that of the question, which mixCase made up.
func record(rr mdns.RR) Record {
	text := strings.TrimPrefix(rr.String(), rr.Header().String())
	switch rr := rr.(type) {
	case *mdns.RFC3597: // spells its header in another way
		text = fmt.Sprintf(`\# %d %s`, len(rr.Rdata)/2, rr.Rdata)
	case *mdns.MX, *mdns.NS, *mdns.CNAME, *mdns.PTR:
		text = strings.ToLower(text)
		if len(text) > 1 && !strings.HasSuffix(text, " .") {
			text = strings.TrimSuffix(text, ".")
		}
	case *mdns.SOA:
		text = strings.ToLower(text)
	}
	return Record{mdns.TypeToString[rr.Header().Rrtype], text, dnssec.Lifetime(rr.Header().Ttl)}
}
