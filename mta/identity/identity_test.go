package identity

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"
	"time"

	"esa/mta/envelope"
	"esa/mta/mtatest"
)

func named(common string, dns ...string) *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{CommonName: common}, DNSNames: dns}
}

func TestMatch(t *testing.T) {
	const domain, mx, ptr = "example.com", "mx1.example.com", "mail.host.test"
	for _, tt := range []struct {
		name           string
		cert           *x509.Certificate
		verify, hosted string // the name that matched
	}{
		{"DNS name is the domain", named("", domain), domain, domain},
		{"DNS name in another case, with a final dot", named("", "EXAMPLE.com."), "EXAMPLE.com.", "EXAMPLE.com."},
		{"common name is the domain", named(domain), domain, domain},
		{"common name is the domain, beside DNS names", named(domain, "other.test"), domain, ""},
		{"common name is the reverse name", named(ptr), ptr, ptr},
		{"common name is the reverse name, beside DNS names", named(ptr, "other.test"), ptr, ""},
		{"DNS name is the reverse name", named("", ptr), "", ptr},
		{"DNS name is an MX host", named("", mx), "", mx},
		{"DNS name is the other MX host", named("", "mx2.example.com"), "", "mx2.example.com"},
		{"common name is an MX host", named(mx), "", mx},
		{"wildcard for the MX hosts", named("", "*.example.com"), "", "*.example.com"},
		{"wildcard for the reverse name", named("", "*.host.test"), "", "*.host.test"},
		{"wildcard common name for the reverse name", named("*.host.test"), "", "*.host.test"},
		{"wildcard does not hold the domain above", named("", "*.com"), "", ""},
		{"wildcard in the middle", named("", "mx1.*.com"), "", ""},
		{"wildcard as part of a label", named("", "mx*.example.com"), "", ""},
		{"two wildcards", named("", "*.*.com"), "", ""},
		{"the second of many names", named("", "a.test", domain), domain, domain},
		{"nothing fits", named("a.test", "b.test"), "", ""},
		{"no name at all", named(""), "", ""},
		{"a name that ends like the domain", named("", "badexample.com", "example.com.evil.test"), "", ""},
		{"a NUL in the name", named("example.com\x00.evil.test", "example.com\x00.evil.test"), "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ref := Reference{Domain: domain, Hosts: []string{mx, "MX2.example.com."}, Reverse: func() []string { return []string{"x.test", ptr} }}
			for by, want := range map[Algorithm]string{Verify: tt.verify, Hosted: tt.hosted} {
				if name, ok := Match(tt.cert, by, ref); name != want || ok != (want != "") {
					t.Errorf("algorithm %d: %q, %v; want %q", by, name, ok, want)
				}
			}
		})
	}
}

func TestMatch_WildcardIsOneLabel(t *testing.T) {
	cert := named("", "*.example.com")
	for domain, want := range map[string]bool{
		"a.example.com": true, "A.Example.Com": true, "a.b.example.com": false, "example.com": false, ".example.com": false, "": false,
	} {
		if _, ok := Match(cert, Verify, Reference{Domain: domain}); ok != want {
			t.Errorf("%q: %v", domain, ok)
		}
	}
}

func TestMatch_DomainsBeyondASCII(t *testing.T) {
	if _, ok := Match(named("", "xn--bcher-kva.example"), Verify, Reference{Domain: "bücher.example"}); !ok {
		t.Error("an A-label does not match its U-label")
	}
}

func TestMatch_AddressesAreNoNames(t *testing.T) {
	for _, addr := range []string{"192.0.2.1", "[192.0.2.1]", "2001:db8::1", "[IPv6:2001:db8::1]"} {
		cert := named(addr, addr)
		for _, by := range []Algorithm{Verify, Hosted} {
			if name, ok := Match(cert, by, Reference{Domain: addr, Hosts: []string{addr}}); ok {
				t.Errorf("%s matches %q", addr, name)
			}
		}
	}
}

// A lookup costs time: the reverse name is asked for only when it is needed.
func TestMatch_AsksForTheReverseNameLast(t *testing.T) {
	asked := false
	ref := Reference{Domain: "example.com", Reverse: func() []string { asked = true; return nil }}
	for _, by := range []Algorithm{Verify, Hosted} {
		if _, ok := Match(named("", "example.com"), by, ref); !ok || asked {
			t.Errorf("algorithm %d: matched %v, asked %v", by, ok, asked)
		}
	}
}

func TestTrust(t *testing.T) {
	root, other := mtatest.NewAuthority(t, "Root CA"), mtatest.NewAuthority(t, "Other CA")
	middle := root.Intermediate(t, "Middle CA")
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	spec := mtatest.CertificateSpec{CommonName: "mx.test", DNSNames: []string{"mx.test"}}
	expired, early, self := spec, spec, spec
	expired.NotAfter, early.NotBefore, self.SelfSigned = now.AddDate(0, 0, -1), now.AddDate(0, 0, 1), true
	chain := func(a *mtatest.Authority, s mtatest.CertificateSpec) []*x509.Certificate {
		var list []*x509.Certificate
		for _, der := range a.Issue(t, s).Certificate {
			c, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, c)
		}
		return list
	}
	whole := chain(middle, spec)
	for _, tt := range []struct {
		name   string
		chain  []*x509.Certificate
		roots  *x509.CertPool
		reason envelope.Reason
		text   string
	}{
		{"whole", whole, root.Pool(), "", ""},
		{"in disorder, with one too many", []*x509.Certificate{whole[0], other.Certificate, whole[1]}, root.Pool(), "", ""},
		{"incomplete", whole[:1], root.Pool(), envelope.ReasonCertUntrusted, "issuer Middle CA: it is not trusted, or an intermediate is missing"},
		{"of another authority", whole, other.Pool(), envelope.ReasonCertUntrusted, "issuer Middle CA"},
		{"nobody is trusted", whole, nil, envelope.ReasonCertUntrusted, "issuer Middle CA"},
		{"self-signed", chain(root, self), root.Pool(), envelope.ReasonCertUntrusted, "self-signed certificate"},
		{"expired", chain(root, expired), root.Pool(), envelope.ReasonCertExpired, "the certificate expired on 2026-04-30"},
		{"not valid yet", chain(root, early), root.Pool(), envelope.ReasonCertExpired, "the certificate is not valid before 2026-05-02"},
		{"none", nil, root.Pool(), envelope.ReasonCertificate, "no certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found, fault := Trust(tt.chain, tt.roots, now)
			if tt.reason == "" {
				if fault != nil || !found[len(found)-1].Equal(root.Certificate) {
					t.Errorf("chain %v, fault %v", found, fault)
				}
				return
			}
			if fault == nil || fault.Reason != tt.reason || !strings.Contains(fault.Text, tt.text) {
				t.Errorf("fault %+v, want %s: %s", fault, tt.reason, tt.text)
			}
		})
	}
}

// A self-signed certificate that the operator put on the custom list is
// trusted like an authority.
func TestTrust_SelfSignedOnTheList(t *testing.T) {
	cert := mtatest.NewAuthority(t, "x").Issue(t, mtatest.CertificateSpec{CommonName: "mx.test", SelfSigned: true}).Leaf
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	if _, fault := Trust([]*x509.Certificate{cert}, pool, time.Now()); fault != nil {
		t.Error(fault)
	}
}

func TestMismatch(t *testing.T) {
	for want, cert := range map[string]*x509.Certificate{
		"the certificate is for a.test and 1 more, not for d.test": named("x", "a.test", "b.test"),
		"the certificate is for x, not for d.test":                 named("x"),
		"the certificate is for nobody, not for d.test":            named(""),
	} {
		if f := Mismatch(cert, "d.test"); f.Text != want || f.Reason != envelope.ReasonCertHost {
			t.Errorf("%+v, want %q", f, want)
		}
	}
}

// FuzzMatch: whatever stands in a certificate or in DNS, what matches is a name
// of the certificate that could be a host's, and its own algorithm's.
func FuzzMatch(f *testing.F) {
	f.Add("mx.example.com", "*.example.com", "example.com", "a.example.com")
	f.Add("", "*.", ".", "..")
	f.Add("bücher.example", "xn--bcher-kva.example", "bücher.example", "\x00")
	f.Fuzz(func(t *testing.T, common, dns, domain, host string) {
		cert := named(common, dns)
		ref := Reference{Domain: domain, Hosts: []string{host}, Reverse: func() []string { return []string{host} }}
		for _, by := range []Algorithm{Verify, Hosted} {
			name, ok := Match(cert, by, ref)
			if !ok {
				continue
			}
			if name != common && name != dns || HostName(domain) == "" && HostName(host) == "" {
				t.Errorf("%q matches %q or %q", name, domain, host)
			}
			if by == Hosted && name == common && common != dns {
				t.Errorf("the common name %q counts beside a DNS name", name)
			}
		}
	})
}
