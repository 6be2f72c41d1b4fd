package dane

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"esa/mta/lookup"
)

var today = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// cert is a certificate with its key.
type cert struct {
	*x509.Certificate
	key crypto.Signer
}

// issue makes a certificate by an issuer, or a self-signed one by nil; change
// is applied to what is signed.
func issue(t *testing.T, by *cert, change func(*x509.Certificate)) *cert {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: today.AddDate(-1, 0, 0), NotAfter: today.AddDate(1, 0, 0),
		Subject: pkix.Name{CommonName: "mx.ex.test"}, DNSNames: []string{"mx.ex.test"}, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(c)
	}
	parent, signer := c, crypto.Signer(key)
	if by != nil {
		parent, signer = by.Certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &cert{made, key}
}

// authority makes a template one of an authority.
func authority(name string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject.CommonName, c.DNSNames, c.ExtKeyUsage = name, nil, nil
		c.IsCA, c.KeyUsage, c.MaxPathLen = true, x509.KeyUsageCertSign, -1
	}
}

// record makes the record of a certificate.
func record(c *cert, usage, selector, kind uint8) lookup.TLSA {
	data := c.Raw
	if selector == selectKey {
		data = c.RawSubjectPublicKeyInfo
	}
	switch kind {
	case matchSHA256:
		sum := sha256.Sum256(data)
		data = sum[:]
	case matchSHA512:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return lookup.TLSA{Usage: usage, Selector: selector, MatchingType: kind, Data: data}
}

func chainOf(certs ...*cert) []*x509.Certificate {
	var chain []*x509.Certificate
	for _, c := range certs {
		chain = append(chain, c.Certificate)
	}
	return chain
}

// expectation is what a chain should come to: want is "" for a match, else
// the reason and the first words of the fault.
type expectation struct {
	id    string
	chain []*x509.Certificate
	want  string
}

// expect names what a chain should come to.
func expect(id string, chain []*x509.Certificate, want string) expectation {
	return expectation{id, chain, want}
}

// with holds the chain against records.
func (e expectation) with(t *testing.T, records ...lookup.TLSA) Match {
	t.Helper()
	m, fault := Verify(e.chain, Usable(records), []string{"mx.ex.test", "ex.test", "expanded.test"}, today)
	got := ""
	if fault != nil {
		got = string(fault.Reason) + ": " + fault.Text
	}
	if e.want == "" && got != "" || !strings.HasPrefix(got, e.want) {
		t.Errorf("%s: %q, want %q", e.id, got, e.want)
	}
	return m
}

func TestUsageEE(t *testing.T) {
	root := issue(t, nil, authority("root"))
	leaf := issue(t, root, nil)
	odd := issue(t, root, func(c *x509.Certificate) { // D-60 to D-63
		c.DNSNames, c.Subject.CommonName = []string{"other.test"}, "other.test"
		c.NotBefore, c.NotAfter = today.AddDate(-9, 0, 0), today.AddDate(-5, 0, 0)
		c.ExtKeyUsage, c.IsCA = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, true
	})
	expect("D-60 to D-63", chainOf(odd), "").with(t, record(odd, 3, 1, 1))
	expect("D-62", chainOf(leaf, odd), "").with(t, record(leaf, 3, 1, 1))
	expect("D-64", chainOf(leaf, root), "tlsa-invalid").with(t, record(root, 3, 1, 1))
	for _, selector := range []uint8{0, 1} { // D-65
		for _, kind := range []uint8{0, 1, 2} {
			if m := expect("D-65", chainOf(leaf), "").with(t, record(leaf, 3, selector, kind)); m.Depth != 0 || m.Record.Selector != selector {
				t.Errorf("D-65: %+v", m)
			}
		}
	}
	if _, fault := Verify(nil, []lookup.TLSA{record(leaf, 3, 1, 1)}, []string{"mx.ex.test"}, today); fault == nil {
		t.Error("no certificate is accepted")
	}
}

func TestRecords(t *testing.T) {
	root := issue(t, nil, authority("root"))
	leaf, other := issue(t, root, nil), issue(t, root, nil)
	right := record(leaf, 3, 1, 1)
	wrong := func(usage, selector, kind uint8) lookup.TLSA { return record(other, usage, selector, kind) }
	with := func(change func(*lookup.TLSA)) lookup.TLSA {
		r := record(leaf, 3, 1, 1)
		change(&r)
		return r
	}
	for id, r := range map[string]lookup.TLSA{
		"D-40: usage 0":           with(func(r *lookup.TLSA) { r.Usage = 0 }),
		"D-40: usage 1":           with(func(r *lookup.TLSA) { r.Usage = 1 }),
		"D-42: usage 4":           with(func(r *lookup.TLSA) { r.Usage = 4 }),
		"D-42: selector 2":        with(func(r *lookup.TLSA) { r.Selector = 2 }),
		"D-42: matching type 3":   with(func(r *lookup.TLSA) { r.MatchingType = 3 }),
		"D-42: matching type 255": with(func(r *lookup.TLSA) { r.MatchingType = 255 }),
		"D-43: 31 bytes":          with(func(r *lookup.TLSA) { r.Data = r.Data[:31] }),
		"D-43: 16 bytes":          with(func(r *lookup.TLSA) { r.Data = r.Data[:16] }),
		"D-43: 32 bytes of 64":    with(func(r *lookup.TLSA) { r.MatchingType = 2 }),
		"D-44: nothing":           {Usage: 3, Selector: 1},
		"D-45: no certificate":    {Usage: 2, Data: []byte("x")},
		"D-45: no key":            {Usage: 3, Selector: 1, Data: []byte("x")},
	} {
		if got := Usable([]lookup.TLSA{r}); len(got) != 0 {
			t.Errorf("%s is usable", id)
		}
		expect("D-41, D-51: beside "+id, chainOf(leaf), "").with(t, r, right)
	}
	chain := chainOf(leaf)
	expect("D-48", chain, "tlsa-invalid").with(t, right, wrong(3, 1, 2))
	expect("D-49", chain, "").with(t, right, wrong(3, 0, 2))
	expect("D-50", chain, "").with(t, record(leaf, 3, 1, 0), wrong(3, 1, 2))
	many := slices.Repeat([]lookup.TLSA{wrong(3, 1, 1)}, 99)
	expect("D-52, D-53", chain, "").with(t, append(many, right)...)
	expect("none fits", chain, "tlsa-invalid: the certificate fits no TLSA record").with(t, wrong(3, 1, 1), wrong(2, 0, 1))
}

func TestUsageTA(t *testing.T) {
	root := issue(t, nil, authority("root"))
	ca1 := issue(t, root, authority("ca1"))
	ca2 := issue(t, ca1, authority("ca2"))
	leaf := issue(t, ca2, nil)
	all := chainOf(leaf, ca2, ca1, root)
	if m := expect("D-70", all, "").with(t, record(root, 2, 0, 1)); m.Depth != 3 || m.Name != "mx.ex.test" {
		t.Errorf("D-70: %+v", m)
	}
	if m := expect("D-71", all, "").with(t, record(ca2, 2, 1, 2)); m.Depth != 1 {
		t.Errorf("D-71: %+v", m)
	}
	expect("D-71: no root sent", chainOf(leaf, ca2), "").with(t, record(ca2, 2, 0, 1))
	expect("D-72", chainOf(leaf, ca2, ca1), "tlsa-invalid").with(t, record(root, 2, 0, 1))
	expect("D-73", chainOf(leaf, ca2, ca1), "").with(t, record(root, 2, 0, 0))
	expect("D-74", chainOf(leaf, ca2, ca1), "").with(t, record(root, 2, 1, 0))
	expect("D-74: it signed the server's own", chainOf(leaf), "").with(t, record(ca2, 2, 1, 0))
	stranger := issue(t, nil, authority("stranger"))
	expect("D-75", chainOf(leaf, ca2, ca1, root, stranger), "certificate-not-trusted").with(t, record(stranger, 2, 0, 1))
	expect("D-85", all, "tlsa-invalid").with(t, record(leaf, 2, 0, 1))
	expect("D-85: twice in the chain", chainOf(leaf, leaf, ca2), "tlsa-invalid").with(t, record(leaf, 2, 0, 1))
	expect("D-85: whole", all, "tlsa-invalid").with(t, record(leaf, 2, 0, 0))
	expect("D-87", chainOf(leaf, root, stranger, ca1, ca2), "").with(t, record(root, 2, 0, 1))
	expect("D-88", all, "").with(t, record(stranger, 3, 1, 1), record(root, 2, 1, 1))
}

func TestUsageTACertificates(t *testing.T) {
	root := issue(t, nil, authority("root"))
	names := func(common string, dns ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.Subject.CommonName, c.DNSNames = common, dns }
	}
	for _, tt := range []struct {
		id     string
		change func(*x509.Certificate)
		want   string
	}{
		{"D-76", names("other.test", "other.test"), "certificate-host-mismatch"},
		{"D-77: base domain", names("", "mx.ex.test"), ""},
		{"D-77: next-hop domain", names("", "ex.test"), ""},
		{"D-77: where its alias leads", names("", "expanded.test"), ""},
		{"D-79", names("mx.ex.test", "other.test"), "certificate-host-mismatch"},
		{"D-80", names("mx.ex.test"), ""},
		{"D-81", names("", "*.ex.test"), ""},
		{"D-82: part of a label", names("", "mx*.ex.test"), "certificate-host-mismatch"},
		{"D-82: two labels", names("", "*.test"), "certificate-host-mismatch"},
		{"D-83", func(c *x509.Certificate) { c.NotAfter = today.AddDate(0, 0, -1) }, "certificate-expired"},
		{"D-83: not yet", func(c *x509.Certificate) { c.NotBefore = today.AddDate(0, 0, 1) }, "certificate-expired"},
		{"D-86", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, "validation-failure"},
	} {
		expect(tt.id, chainOf(issue(t, root, tt.change), root), tt.want).with(t, record(root, 2, 0, 1))
	}
	old := issue(t, nil, func(c *x509.Certificate) { authority("old")(c); c.NotAfter = today.AddDate(0, 0, -1) })
	expect("D-83: the authority", chainOf(issue(t, old, nil), old), "certificate-expired").with(t, record(old, 2, 0, 1))
	short := issue(t, nil, func(c *x509.Certificate) { authority("short")(c); c.MaxPathLen, c.MaxPathLenZero = 0, true })
	under := issue(t, short, authority("under"))
	expect("D-84: path length", chainOf(issue(t, under, nil), under, short), "validation-failure").with(t, record(short, 2, 0, 1))
	none := issue(t, nil, func(c *x509.Certificate) { authority("none")(c); c.IsCA = false })
	expect("D-84: no authority", chainOf(issue(t, none, nil), none), "certificate-not-trusted").with(t, record(none, 2, 0, 1))
}
