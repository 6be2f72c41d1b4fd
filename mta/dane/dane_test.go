package dane

import (
	"context"
	"net/netip"
	"slices"
	"testing"

	"esa/mta/envelope"
	"esa/mta/lookup"
)

// records answers TLSA questions from a table and notes what was asked; what
// is not in it does not exist, with proof.
type records struct {
	known map[string]lookup.TLSAAnswer
	asked []string
}

func (r *records) TLSA(_ context.Context, name string) lookup.TLSAAnswer {
	r.asked = append(r.asked, name)
	if a, ok := r.known[name]; ok {
		return a
	}
	return lookup.TLSAAnswer{Answer: lookup.Answer{Status: lookup.Secure, NXDomain: true, Canonical: name}}
}

func tlsa(status lookup.Status, records ...lookup.TLSA) lookup.TLSAAnswer {
	return lookup.TLSAAnswer{Answer: lookup.Answer{Status: status, Why: "why"}, Records: records}
}

func addr(status lookup.Status, canonical string, alias lookup.Status, addrs ...string) lookup.AddrAnswer {
	a := lookup.AddrAnswer{Answer: lookup.Answer{Status: status, Canonical: canonical, Alias: alias, Why: "why"}}
	for _, text := range addrs {
		a.Addrs = append(a.Addrs, netip.MustParseAddr(text))
	}
	return a
}

var good = lookup.TLSA{Usage: 3, Selector: 1, MatchingType: 1, Data: make([]byte, 32)}

func TestDecide(t *testing.T) {
	const secure, insecure, bogus, failed = lookup.Secure, lookup.Insecure, lookup.Bogus, lookup.Failed
	own := addr(secure, "mx.ex.test", failed, "192.0.2.1")
	unusable := lookup.TLSA{Usage: 1, Selector: 1, MatchingType: 1, Data: make([]byte, 32)}
	type verdict struct {
		action Action
		reason envelope.Reason
		base   string
	}
	byMode, skip := verdict{}, func(r envelope.Reason) verdict { return verdict{action: Skip, reason: r} }
	auth := func(base string) verdict { return verdict{action: Authenticate, base: base} }
	for _, tt := range []struct {
		id                       string
		mx                       lookup.Status
		addrs                    []lookup.AddrAnswer
		tlsa                     map[string]lookup.TLSAAnswer
		opportunistic, mandatory verdict
		asked                    []string
	}{
		{"D-01", secure, []lookup.AddrAnswer{own}, map[string]lookup.TLSAAnswer{"_25._tcp.mx.ex.test": tlsa(secure, good)},
			auth("mx.ex.test"), auth("mx.ex.test"), []string{"_25._tcp.mx.ex.test"}},
		{"D-02, D-03: INSECURE MX", insecure, []lookup.AddrAnswer{own}, nil, byMode, skip("dane-required"), nil},
		{"D-04: BOGUS MX", bogus, []lookup.AddrAnswer{own}, nil, skip("dnssec-invalid"), skip("dnssec-invalid"), nil},
		{"D-04: failing MX", failed, []lookup.AddrAnswer{own}, nil, skip("dns-failure"), skip("dns-failure"), nil},
		{"D-05: no TLSA", secure, []lookup.AddrAnswer{own}, nil, byMode, skip("dane-required"), []string{"_25._tcp.mx.ex.test"}},
		{"D-06: TLSA fails", secure, []lookup.AddrAnswer{own}, map[string]lookup.TLSAAnswer{"_25._tcp.mx.ex.test": tlsa(failed)},
			skip("dns-failure"), skip("dns-failure"), []string{"_25._tcp.mx.ex.test"}},
		{"TLSA bogus", secure, []lookup.AddrAnswer{own}, map[string]lookup.TLSAAnswer{"_25._tcp.mx.ex.test": tlsa(bogus)},
			skip("dnssec-invalid"), skip("dnssec-invalid"), []string{"_25._tcp.mx.ex.test"}},
		{"D-12: INSECURE address", secure, []lookup.AddrAnswer{addr(insecure, "mx.ex.test", failed, "192.0.2.1")}, nil, byMode, skip("dane-required"), nil},
		{"D-13: BOGUS address", secure, []lookup.AddrAnswer{addr(bogus, "", failed)}, nil, skip("dnssec-invalid"), skip("dnssec-invalid"), nil},
		{"D-14: AAAA fails", secure, []lookup.AddrAnswer{own, addr(failed, "", failed)}, map[string]lookup.TLSAAnswer{"_25._tcp.mx.ex.test": tlsa(secure, good)},
			auth("mx.ex.test"), auth("mx.ex.test"), []string{"_25._tcp.mx.ex.test"}},
		{"D-14: A fails", secure, []lookup.AddrAnswer{addr(failed, "", failed), addr(secure, "mx.ex.test", failed, "2001:db8::1")},
			map[string]lookup.TLSAAnswer{"_25._tcp.mx.ex.test": tlsa(secure, good)}, auth("mx.ex.test"), auth("mx.ex.test"), []string{"_25._tcp.mx.ex.test"}},
		{"one family INSECURE", secure, []lookup.AddrAnswer{own, addr(insecure, "mx.ex.test", failed, "2001:db8::1")}, nil, byMode, skip("dane-required"), nil},
		{"D-16: alias, TLSA at the original", secure, []lookup.AddrAnswer{addr(secure, "host.net", secure, "192.0.2.1")},
			map[string]lookup.TLSAAnswer{"_25._tcp.mx.ex.test": tlsa(secure, good)}, auth("mx.ex.test"), auth("mx.ex.test"),
			[]string{"_25._tcp.host.net", "_25._tcp.mx.ex.test"}},
		{"D-17, D-18: alias, TLSA at the target", secure, []lookup.AddrAnswer{addr(secure, "host.net", secure, "192.0.2.1")},
			map[string]lookup.TLSAAnswer{"_25._tcp.mx.ex.test": tlsa(secure, unusable), "_25._tcp.host.net": tlsa(secure, good)},
			auth("host.net"), auth("host.net"), []string{"_25._tcp.host.net"}},
		{"D-20: secure alias, insecure target", secure, []lookup.AddrAnswer{addr(insecure, "host.net", secure, "192.0.2.1")},
			map[string]lookup.TLSAAnswer{"_25._tcp.mx.ex.test": tlsa(secure, good)}, auth("mx.ex.test"), auth("mx.ex.test"), []string{"_25._tcp.mx.ex.test"}},
		{"D-21: insecure alias", secure, []lookup.AddrAnswer{addr(insecure, "host.net", insecure, "192.0.2.1")}, nil, byMode, skip("dane-required"), nil},
		{"D-26: TLSA alias into an INSECURE zone", secure, []lookup.AddrAnswer{addr(secure, "host.net", secure, "192.0.2.1")},
			map[string]lookup.TLSAAnswer{"_25._tcp.host.net": tlsa(insecure, good)}, byMode, skip("dane-required"),
			[]string{"_25._tcp.host.net", "_25._tcp.mx.ex.test"}},
		{"D-28: error at the first name", secure, []lookup.AddrAnswer{addr(secure, "host.net", secure, "192.0.2.1")},
			map[string]lookup.TLSAAnswer{"_25._tcp.host.net": tlsa(failed), "_25._tcp.mx.ex.test": tlsa(secure, good)},
			skip("dns-failure"), skip("dns-failure"), []string{"_25._tcp.host.net"}},
		{"D-30: INSECURE denial", secure, []lookup.AddrAnswer{own}, map[string]lookup.TLSAAnswer{"_25._tcp.mx.ex.test": tlsa(insecure)},
			byMode, skip("dane-required"), []string{"_25._tcp.mx.ex.test"}},
		{"D-31: INSECURE records", secure, []lookup.AddrAnswer{own}, map[string]lookup.TLSAAnswer{"_25._tcp.mx.ex.test": tlsa(insecure, good)},
			byMode, skip("dane-required"), []string{"_25._tcp.mx.ex.test"}},
		{"D-46, D-47: none usable", secure, []lookup.AddrAnswer{own}, map[string]lookup.TLSAAnswer{"_25._tcp.mx.ex.test": tlsa(secure, unusable)},
			verdict{action: Encrypt, base: "mx.ex.test"}, verdict{action: Skip, reason: "tlsa-invalid", base: "mx.ex.test"}, []string{"_25._tcp.mx.ex.test"}},
	} {
		for mode, want := range map[Mode]verdict{Opportunistic: tt.opportunistic, Mandatory: tt.mandatory} {
			r := &records{known: tt.tlsa}
			d := Decide(t.Context(), r, Host{Mode: mode, Domain: "ex.test", Expanded: "ex.test", MX: tt.mx, Name: "mx.ex.test", Port: 25, Addrs: tt.addrs})
			if got := (verdict{d.Action, d.Reason, d.Base}); got != want || !slices.Equal(r.asked, tt.asked) {
				t.Errorf("%s, mode %d: %+v (%s), asked %q; want %+v, asked %q", tt.id, mode, got, d.Text, r.asked, want, tt.asked)
			}
			if d.Action != Authenticate && d.Text == "" || d.Action == Skip && d.Reason == "" {
				t.Errorf("%s, mode %d: no reason", tt.id, mode)
			}
		}
	}
}

// D-15, D-29, D-77: names and port.
func TestDecideNames(t *testing.T) {
	r := &records{known: map[string]lookup.TLSAAnswer{"_2525._tcp.mx10.example.com": tlsa(lookup.Secure, good)}}
	d := Decide(t.Context(), r, Host{
		Mode: Mandatory, Domain: "exchange.example.org", Expanded: "example.com", MX: lookup.Secure, Name: "mx10.example.com", Port: 2525,
		Addrs: []lookup.AddrAnswer{addr(lookup.Secure, "mx10.example.com", lookup.Failed, "192.0.2.1")},
	})
	if want := []string{"mx10.example.com", "exchange.example.org", "example.com"}; d.Action != Authenticate || d.Domain != "exchange.example.org" || !slices.Equal(d.Names, want) {
		t.Errorf("%+v", d)
	}
	if d := Decide(t.Context(), r, Host{Mode: Off}); d.Action != ByTLSMode {
		t.Errorf("off: %+v", d)
	}
}

// C8, D-78: a host that an INSECURE MX record names speaks for itself alone,
// and never under Mandatory.
func TestDecideInsecureMX(t *testing.T) {
	r := &records{known: map[string]lookup.TLSAAnswer{"_25._tcp.mx.prov.test": tlsa(lookup.Secure, good)}}
	h := Host{
		Mode: Opportunistic, Insecure: true, Domain: "ex.test", Expanded: "ex.test", MX: lookup.Insecure, Name: "mx.prov.test", Port: 25,
		Addrs: []lookup.AddrAnswer{addr(lookup.Secure, "mx.prov.test", lookup.Failed, "192.0.2.1")},
	}
	if d := Decide(t.Context(), r, h); d.Action != Authenticate || d.Domain != "" || !slices.Equal(d.Names, []string{"mx.prov.test"}) {
		t.Errorf("opportunistic: %+v", d)
	}
	h.Mode = Mandatory
	if d := Decide(t.Context(), r, h); d.Action != Skip || d.Reason != envelope.ReasonDANE {
		t.Errorf("mandatory: %+v", d)
	}
	h.Mode, h.MX = Opportunistic, lookup.Bogus
	if d := Decide(t.Context(), r, h); d.Action != Skip || d.Reason != envelope.ReasonDNSSEC {
		t.Errorf("bogus: %+v", d)
	}
}

// D-11: an address has no TLSA records.
func TestDecideLiteral(t *testing.T) {
	r := &records{}
	if d := Decide(t.Context(), r, Host{Mode: Opportunistic, Literal: true, Name: "[192.0.2.1]"}); d.Action != ByTLSMode || d.Text == "" {
		t.Errorf("opportunistic: %+v", d)
	}
	if d := Decide(t.Context(), r, Host{Mode: Mandatory, Literal: true, Name: "[192.0.2.1]"}); d.Action != Skip || d.Reason != envelope.ReasonDANE {
		t.Errorf("mandatory: %+v", d)
	}
	if len(r.asked) > 0 {
		t.Errorf("asked for %q", r.asked)
	}
}
