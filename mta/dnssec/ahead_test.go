package dnssec

import (
	"strings"
	"testing"
	"time"

	"esa/mta/mtatest"

	"github.com/miekg/dns"
)

// TestAhead: what is not known of the chain, no more, and what is asked for in
// the end is among it.
func TestAhead(t *testing.T) {
	w := newWorld(t, root, tld, plain, mtatest.Zone{Name: "un.test.", Unsigned: true, Text: "mx A 127.0.0.1\n"})
	v := New(func() time.Time { return noon }, w.policy)
	ahead := func(name string) string {
		var words []string
		name, apex := strings.CutPrefix(name, "apex ")
		for _, q := range v.Begin(w, nil).Ahead(name, apex) {
			words = append(words, dns.TypeToString[q.Qtype]+" "+q.Name)
		}
		return strings.Join(words, ", ")
	}
	learn := func(name string) {
		q := question(name, dns.TypeA)
		if _, err := v.Begin(w, nil).Judge(t.Context(), q, w.answer(q), nil); err != nil {
			t.Fatal(err)
		}
	}
	const cold = "DNSKEY ., DS test., DNSKEY test., DS ex.test."
	for _, tt := range []struct{ learnt, name, want string }{
		{"", "ex.test.", cold},
		{"", "apex ex.test.", cold + ", DNSKEY ex.test."},
		{"", "_25._tcp.mx.ex.test.", cold + ", DS mx.ex.test."},
		{"", "a.b.c.d.e.f.g.h.i.test.", "DNSKEY ., DS test., DNSKEY test., DS i.test., DS h.i.test., DS g.h.i.test., DS f.g.h.i.test., DS e.f.g.h.i.test."},
		{"mx.un.test.", "mx.un.test.", ""},
		{"", "ex.test.", "DS ex.test."},
		{"", "apex ex.test.", "DS ex.test., DNSKEY ex.test."},
		{"mx.ex.test.", "ex.test.", ""},
		{"", "www.ex.test.", "DS www.ex.test."},
	} {
		if tt.learnt != "" {
			learn(tt.learnt)
		}
		if got := ahead(tt.name); got != tt.want {
			t.Errorf("%s, after %q: %s, want %s", tt.name, tt.learnt, got, tt.want)
		}
	}
	const unsupported = "ex.test. DS 1 200 200 00"
	w.trust(t, w.Anchor("."), unsupported)
	v = New(func() time.Time { return noon }, w.policy)
	if got := ahead("ex.test."); got != cold {
		t.Errorf("beside an anchor that nobody can use: %s, want %s", got, cold)
	}
	w.trust(t, unsupported)
	v = New(func() time.Time { return noon }, w.policy)
	if got := ahead("ex.test."); got != "" {
		t.Errorf("with no other anchor: %s", got)
	}
	w.policy.Anchor = Anchors{}
	v = New(func() time.Time { return noon }, w.policy)
	if got := ahead("ex.test."); got != "" {
		t.Errorf("without an anchor: %s", got)
	}
}
