package mta

import (
	"crypto/sha256"
	"crypto/x509"
	"testing"
	"time"

	"esa/mta/lookup"
	"esa/mta/mtatest"
	"esa/store"
)

func TestPublishedTLSA(t *testing.T) {
	root := mtatest.NewAuthority(t, "root")
	below := root.Intermediate(t, "below")
	issued := below.Issue(t, mtatest.CertificateSpec{DNSNames: []string{"mx.example.test"}})
	service := store.TLSAService{Name: "_25._tcp.mx.example.test", Host: "mx.example.test", Listener: "In", Certificate: "mx",
		Chain: []*x509.Certificate{issued.Leaf, below.Certificate}}
	sum := func(c *x509.Certificate) []byte {
		s := sha256.Sum256(c.RawSubjectPublicKeyInfo)
		return s[:]
	}
	own := lookup.TLSA{Usage: 3, Selector: 1, MatchingType: 1, Data: sum(issued.Leaf)}
	issuer := lookup.TLSA{Usage: 2, Selector: 1, MatchingType: 1, Data: sum(below.Certificate)}
	other := lookup.TLSA{Usage: 3, Selector: 1, MatchingType: 1, Data: sum(root.Certificate)}
	for _, tt := range []struct {
		name    string
		status  lookup.Status
		records []lookup.TLSA
		want    store.TLSAState
		warns   bool
	}{
		{"none", lookup.Secure, nil, store.TLSANone, false},
		{"own", lookup.Secure, []lookup.TLSA{own}, store.TLSAFits, false},
		{"issuer", lookup.Secure, []lookup.TLSA{issuer}, store.TLSAFits, false},
		{"old and new", lookup.Secure, []lookup.TLSA{other, own}, store.TLSAFits, false},
		{"another key", lookup.Secure, []lookup.TLSA{other}, store.TLSABroken, true},
		{"not protected", lookup.Insecure, []lookup.TLSA{other}, store.TLSAUnusable, false},
		{"bogus", lookup.Bogus, nil, store.TLSAUnknown, false},
	} {
		p := published(service, lookup.TLSAAnswer{Answer: lookup.Answer{Status: tt.status}, Records: tt.records}, time.Now())
		warnings := store.TLSAVerdicts([]store.PublishedTLSA{p})
		if p.State != tt.want || len(p.Published) != len(tt.records) || len(warnings) > 0 != tt.warns {
			t.Errorf("%s: %s, %q, warnings %v", tt.name, p.State, p.Published, warnings)
		}
	}
}
