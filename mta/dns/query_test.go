package dns

import (
	"fmt"
	"strings"
	"testing"

	"esa/mta/mtatest"
)

// TestQuery shows the records of every type as operators see them, names in
// lower case whatever their case in the zone or in the question.
func TestQuery(t *testing.T) {
	s := mtatest.NewDNSServer(t, zone+`example.test. 60 IN NS ns.example.test.
example.test. 60 IN TXT "v=spf1 \"-all\"" "and\027[31m more"
`)
	s.Script("broken.test", "A", mtatest.ServFail)
	r := newResolver(t, ample, s)
	for _, tt := range []struct{ name, queryType, want string }{
		{"mx1.example.test", "A", "A 192.0.2.1 1h0m0s; A 192.0.2.2 1h0m0s"},
		{"MX1.Example.test.", "AAAA", "AAAA 2001:db8::1 1h0m0s"},
		{"www.example.test", "CNAME", "CNAME mx1.example.test 30m0s"},
		{"www.example.test", "AAAA", "AAAA 2001:db8::1 1h0m0s"},
		{"example.test", "MX", "MX 20 mx2.example.test 1h0m0s; MX 10 mx1.example.test 1h0m0s"},
		{"null.example.test", "MX", "MX 0 . 1h0m0s"},
		{"example.test", "NS", "NS ns.example.test 1m0s"},
		{"192.0.2.1", "PTR", "PTR wrong.example.test 1h0m0s; PTR mx1.example.test 1h0m0s"},
		{"2001:db8::1", "PTR", "PTR mx1.example.test 1h0m0s"},
		{"example.test", "SOA", "SOA ns.example.test. admin.example.test. 1 7200 3600 1209600 600 1h0m0s"},
		{"example.test", "TXT", `TXT "v=spf1 \"-all\"" "and\027[31m more" 1m0s`},
		{"localhost", "A", "A 127.0.0.1 168h0m0s"},
		{"192.0.2.9", "A", "A 192.0.2.9 168h0m0s"},
		{"mx1.example.test", "TXT", "none"},
		{"none.example.test", "A", "NXDOMAIN"},
		{"not a name", "A", "NXDOMAIN"},
		{"broken.test", "A", "FAILED ServFail"},
		{"example.test", "SRV", "there is no query type"},
	} {
		a, err := r.Query(t.Context(), tt.name, tt.queryType)
		got := ""
		switch {
		case err != nil:
			got = err.Error()
		case !a.Usable():
			got = a.Status.String() + " " + a.Why
		case a.NXDomain:
			got = "NXDOMAIN"
		case len(a.Records) == 0:
			got = "none"
		}
		for i, rec := range a.Records {
			if i > 0 {
				got += "; "
			}
			got += fmt.Sprintf("%s %s %s", rec.Type, rec.Text, rec.TTL)
		}
		if !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s %s: %s, want %s", tt.name, tt.queryType, got, tt.want)
		}
	}
	if got := r.Stats(); got.Requests != 15 || got.Exceptions != 2 {
		t.Errorf("%+v", got)
	}
	r.Close()
	if a, err := r.Query(t.Context(), "example.test", "A"); err != nil || a.Usable() {
		t.Errorf("after Close: %+v, %v", a, err)
	}
}
