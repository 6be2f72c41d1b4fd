package store

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// entity is a certificate with its key.
type entity struct {
	cert *x509.Certificate
	key  crypto.Signer
	ca   bool
}

// testEntity makes a certificate that by signed; nil makes it self-signed.
func testEntity(t testing.TB, name string, ca bool, by *entity) entity {
	t.Helper()
	key, err := NewKey(P256)
	if err != nil {
		t.Fatal(err)
	}
	return certify(t, name, entity{key: key, ca: ca}, by)
}

// certify makes a certificate for the key of an entity.
func certify(t testing.TB, name string, of entity, by *entity) entity {
	t.Helper()
	key, ca := of.key, of.ca
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: certNow().AddDate(0, 0, -1), NotAfter: certNow().AddDate(1, 0, 0),
		IsCA: ca, BasicConstraintsValid: true,
	}
	if !ca {
		template.DNSNames = []string{name}
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return entity{cert, key, ca}
}

func TestNewChain(t *testing.T) {
	root := testEntity(t, "Root", true, nil)
	upper := testEntity(t, "Upper", true, &root)
	lower := testEntity(t, "Lower", true, &upper)
	leaf := testEntity(t, "mx.example.com", false, &lower)
	stranger := testEntity(t, "Stranger", true, nil)
	impostor := testEntity(t, "Lower", true, &upper) // the name, and another key
	old := testEntity(t, "Old Root", true, nil)
	cross := certify(t, "Root", root, &old)
	single := testEntity(t, "mx.example.com", false, nil)

	certs := func(e ...entity) []*x509.Certificate {
		var all []*x509.Certificate
		for _, one := range e {
			all = append(all, one.cert)
		}
		return all
	}
	for _, tt := range []struct {
		name          string
		given, known  []*x509.Certificate
		order, faults string
	}{
		{"none", nil, nil, "", ""},
		{"self-signed", certs(single), nil, "mx.example.com", ""},
		{"whole", certs(leaf, lower, upper), certs(root), "mx.example.com Lower Upper", ""},
		{"with its root", certs(leaf, lower, upper, root), nil, "mx.example.com Lower Upper Root", ""},
		{"order", certs(leaf, root, upper, lower), nil, "mx.example.com Lower Upper Root", "order"},
		{"duplicates", certs(leaf, lower, leaf, upper, lower), certs(root), "mx.example.com Lower Upper", `"mx.example.com" is there more than once; "Lower" is there more than once`},
		{"unrelated", certs(leaf, stranger, lower, impostor, upper), certs(root), "mx.example.com Lower Upper", `"Stranger" does not belong; "Lower" does not belong`},
		{"no intermediate", certs(leaf), certs(root), "mx.example.com", `issuer "Lower" is neither`},
		{"half of them", certs(leaf, lower), certs(root), "mx.example.com Lower", `issuer "Upper" is neither`},
		{"a gap", certs(leaf, upper), certs(root), "mx.example.com", `"Upper" does not belong; issuer "Lower" is neither`},
		{"root not known", certs(leaf, lower, upper), certs(stranger), "mx.example.com Lower Upper", `issuer "Root" is neither`},
		{"cross-signed", certs(leaf, lower, upper, root, cross, old), nil, "mx.example.com Lower Upper Root Old Root Root", "order"},
	} {
		got := NewChain(tt.given, tt.known)
		var order []string
		for _, c := range got.Ordered {
			order = append(order, CommonName(c))
		}
		if strings.Join(order, " ") != tt.order {
			t.Errorf("%s: order %q, want %q", tt.name, order, tt.order)
		}
		notes := strings.Join(got.Notes(), "; ")
		for fault := range strings.SplitSeq(tt.faults, "; ") {
			if fault != "" && !strings.Contains(notes, fault) {
				t.Errorf("%s: notes %q, want %q", tt.name, notes, fault)
			}
		}
		if want := len(strings.Split(tt.faults, "; ")); tt.faults == "" && notes != "" || tt.faults != "" && len(got.Notes()) != want {
			t.Errorf("%s: notes %q", tt.name, notes)
		}
	}
}

// Two authorities that certify each other end in no circle.
func TestNewChain_IssuersInACircle(t *testing.T) {
	one := testEntity(t, "One", true, nil)
	two := testEntity(t, "Two", true, &one)
	back := certify(t, "One", one, &two)
	leaf := testEntity(t, "mx.example.com", false, &two)
	got := NewChain([]*x509.Certificate{leaf.cert, two.cert, back.cert}, nil)
	if len(got.Ordered) != 3 || got.Missing != "Two" {
		t.Errorf("%d in order, missing %q", len(got.Ordered), got.Missing)
	}
}

func TestNamesOfCertificatesAreFitToBeShown(t *testing.T) {
	key, err := NewKey(P256)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"plain":                      "plain",
		"\x1b]0;x\x07\nNew line":     `\x1b]0;x\a\nNew line`,
		strings.Repeat("long", 99):   strings.Repeat("long", 50) + "...",
		"Zertifizierungsstelle Köln": "Zertifizierungsstelle Köln",
	} {
		if got := CommonName(certify(t, name, entity{key: key, ca: true}, nil).cert); got != want {
			t.Errorf("%q is shown as %q", name, got)
		}
	}
	for _, tt := range []struct {
		name pkix.Name
		want string
	}{
		{pkix.Name{Organization: []string{"Example"}, Country: []string{"DE"}}, "Example"},
		{pkix.Name{Country: []string{"DE"}}, "C=DE"},
	} {
		if got := IssuerName(&x509.Certificate{Issuer: tt.name}); got != tt.want {
			t.Errorf("%v is shown as %q", tt.name, got)
		}
		if got := CommonName(&x509.Certificate{Subject: tt.name}); got != tt.want {
			t.Errorf("%v is shown as %q", tt.name, got)
		}
	}
	if got := CommonName(&x509.Certificate{DNSNames: []string{"mx.example.com"}}); got != "mx.example.com" {
		t.Error(got)
	}
}

func TestReadSystemAuthorities(t *testing.T) {
	dir := t.TempDir()
	one, two := testEntity(t, "One", true, nil), testEntity(t, "Two", true, nil)
	bundle := filepath.Join(dir, "bundle.pem")
	text := "# One\n" + string(EncodeCertificates([]*x509.Certificate{one.cert, one.cert})) +
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + string(EncodeCertificates([]*x509.Certificate{two.cert}))
	if err := os.WriteFile(bundle, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing")
	for _, tt := range []struct {
		name        string
		files, dirs []string
		want        int
	}{
		{"the second file", []string{missing, bundle}, nil, 2},
		{"a directory", nil, []string{dir}, 2},
		{"both", []string{bundle}, []string{dir, missing}, 2},
		{"none", []string{missing}, []string{missing}, 0},
		{"not to be read", []string{dir}, nil, 0},
	} {
		got, err := readAuthorities(tt.files, tt.dirs)
		if len(got) != tt.want || (err == nil) != (tt.want > 0) {
			t.Errorf("%s: %d, %v", tt.name, len(got), err)
		}
	}
	t.Setenv("SSL_CERT_FILE", bundle)
	t.Setenv("SSL_CERT_DIR", dir)
	if got, err := SystemAuthorities(); len(got) != 2 || err != nil {
		t.Errorf("%d, %v", len(got), err)
	}
}

func TestReadAuthorities(t *testing.T) {
	one := testEntity(t, "One", true, nil)
	good := string(EncodeCertificates([]*x509.Certificate{one.cert}))
	if certs, err := ReadAuthorities([]byte("subject=One\r\n" + good + "\n" + good)); err != nil || len(certs) != 2 {
		t.Errorf("%d, %v", len(certs), err)
	}
	for name, text := range map[string]string{
		"empty":      "",
		"text":       "hello",
		"a key":      strings.ReplaceAll(good, "CERTIFICATE", "PRIVATE KEY"),
		"cut off":    good + good[:100],
		"other data": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"too many":   strings.Repeat(good, MaxAuthorities+1),
	} {
		if certs, err := ReadAuthorities([]byte(text)); err == nil || certs != nil {
			t.Errorf("%s: %d, %v", name, len(certs), err)
		}
	}
}
