package store

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
)

func pemText(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestReadKey(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der := func(data []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	sec1 := pemText("EC PRIVATE KEY", der(x509.MarshalECPrivateKey(ec)))
	for name, text := range map[string]string{
		"PKCS #8":         pemText("PRIVATE KEY", der(x509.MarshalPKCS8PrivateKey(ec))),
		"SEC 1":           sec1,
		"with parameters": "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + sec1,
		"PKCS #1":         pemText("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)),
		"Ed25519":         pemText("PRIVATE KEY", der(x509.MarshalPKCS8PrivateKey(ed))),
		"words around":    "Bag Attributes\r\n    friendlyName: x\r\n" + strings.ReplaceAll(sec1, "\n", "\r\n") + "thanks\n",
	} {
		key, err := ReadKey(text)
		if err != nil || key == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBadKeys is attack G7: keys that are not for use here.
func TestBadKeys(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":          {"", "cannot be read"},
		"text":             {"hello", "cannot be read"},
		"a certificate":    {pemText("CERTIFICATE", []byte{1}), `not a block of type "CERTIFICATE"`},
		"encrypted":        {pemText("ENCRYPTED PRIVATE KEY", []byte{1}), "is encrypted"},
		"encrypted, old":   {"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n", "is encrypted"},
		"garbage":          {pemText("PRIVATE KEY", []byte("garbage")), "cannot be read"},
		"garbage, PKCS #1": {pemText("RSA PRIVATE KEY", []byte("garbage")), "cannot be read"},
		"garbage, SEC 1":   {pemText("EC PRIVATE KEY", []byte("garbage")), "cannot be read"},
		"16384 bits":       {pemText("PRIVATE KEY", make([]byte, 9300)), "longer than any that is taken"},
		"very long":        {strings.Repeat("x", 1<<20), "longer than any that is taken"},
		"X25519":           {x25519Key, "of a kind that is not known"},
		"512 bits":         {smallKey, "has 512 bits: it must have from 1024 to 8192"},
	} {
		if key, err := ReadKey(tt.text); err == nil || key != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
	long := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), MaxRSABits)}}
	if _, err := checkKey(long); err == nil || !strings.Contains(err.Error(), "it must have from 1024 to 8192") {
		t.Error(err)
	}
}

func TestLeafFirst(t *testing.T) {
	root := testEntity(t, "Root", true, nil)
	leaf := testEntity(t, "mx.example.com", false, &root)
	certs, err := LeafFirst(leaf.key, []*x509.Certificate{root.cert, leaf.cert})
	if err != nil || len(certs) != 2 || !certs[0].Equal(leaf.cert) {
		t.Errorf("%v, %v", certs, err)
	}
	if certs, err := LeafFirst(leaf.key, []*x509.Certificate{root.cert}); err == nil || certs != nil {
		t.Error("a key that fits no certificate was taken")
	}
}

func TestPutCertificate(t *testing.T) {
	var c Config
	for range 2 {
		if err := c.PutCertificate(testCertificate(t, "one", "mx.example.com")); err != nil || len(c.Certificates) != 1 {
			t.Fatalf("%d profiles, %v", len(c.Certificates), err)
		}
	}
	c.Certificates = make([]Certificate, MaxCertificates)
	if err := c.PutCertificate(Certificate{Name: "one"}); err == nil {
		t.Error("there is room for too many")
	}
}

func TestAddAuthorities(t *testing.T) {
	root, known := testEntity(t, "Root", true, nil), testEntity(t, "Known", true, nil)
	lower := testEntity(t, "Lower", true, &known)
	leaf := testEntity(t, "mx.example.com", false, &root)
	check := AuthorityCheck{Now: certNow(), Known: []*x509.Certificate{known.cert}}
	var a Authorities
	added, refused := a.AddAuthorities([]*x509.Certificate{root.cert, root.cert, leaf.cert, lower.cert}, check)
	if added != 2 || len(refused) != 2 || !strings.Contains(refused[0], "there already") || !strings.Contains(refused[1], "CA flag") {
		t.Errorf("%d added, %q", added, refused)
	}
	check.Known = nil
	var b Authorities
	if added, refused := b.AddAuthorities([]*x509.Certificate{lower.cert}, check); added != 0 || !strings.Contains(refused[0], "of its issuer, Known, is missing") {
		t.Errorf("%d added, %q", added, refused)
	}
	check.Now = certNow().AddDate(2, 0, 0)
	if added, refused := b.AddAuthorities([]*x509.Certificate{root.cert}, check); added != 0 || !strings.Contains(refused[0], "expired") {
		t.Errorf("%d added, %q", added, refused)
	}
	full := Authorities{List: make([]Authority, MaxAuthorities)}
	check.Now = certNow()
	if added, refused := full.AddAuthorities([]*x509.Certificate{root.cert}, check); added != 0 || !strings.Contains(refused[0], "full") {
		t.Errorf("%d added, %q", added, refused)
	}
}

func TestSubjectFields(t *testing.T) {
	for _, tt := range []struct {
		text string
		most int
		want string // "" is refused
	}{
		{" Example ", 64, "Example"}, {"", 64, ""}, {"äöü", 3, "äöü"}, {"äöüß", 3, ""}, {"a\x1bb", 64, ""},
	} {
		got, err := ParseSubjectField(tt.text, tt.most)
		if (err == nil) != (tt.want != "") || err == nil && got != tt.want {
			t.Errorf("%q: %q, %v", tt.text, got, err)
		}
	}
	for text, want := range map[string]string{"de": "DE", " US ": "US", "": "", "D": "", "DEU": "", "D1": "", "ÄB": ""} {
		if got, err := ParseCountry(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{"A.example, *.b.example,a.example": "a.example *.b.example", "a b": "", "": "", "*": "", "a.*": "", "10.0.0.1": ""} {
		if got, err := ParseDNSNames(text); strings.Join(got, " ") != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	if _, err := ParseDNSNames(manyNames(MaxDNSNames + 1)); err == nil {
		t.Error("too many names")
	}
	for text, want := range map[string]bool{"mx.example.com": true, "*.example.com": true, "gateway": false, "*.com": false, "a b.example": false, "": false} {
		if err := ParseFQDN(text); (err == nil) != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzPaste: whatever is pasted, what is taken holds to the bounds and can be
// stored and read back.
func FuzzPaste(f *testing.F) {
	one := testCertificate(f, "one", "mx.example.com")
	f.Add(string(one.Chain))
	f.Add(one.Key.Reveal())
	f.Add("text\r\n" + string(one.Chain) + string(one.Chain))
	f.Add(x25519Key)
	f.Add("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		if key, err := ReadKey(text); err == nil {
			secret, err := EncodeKey(key)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := (Certificate{Key: secret}).Signer(); err != nil {
				t.Errorf("taken, and not read back: %v", err)
			}
		}
		certs, err := ReadCertificates(text)
		if err != nil {
			return
		}
		if len(certs) == 0 || len(certs) > MaxGiven {
			t.Fatalf("%d certificates", len(certs))
		}
		chain := NewChain(certs, nil)
		if got := len(chain.Ordered) + len(chain.Duplicates) + len(chain.Unrelated); got != len(certs) {
			t.Errorf("%d certificates became %d", len(certs), got)
		}
		stored := EncodeCertificates(chain.Ordered)
		if back, err := stored.Certificates(); err == nil && len(back) != len(chain.Ordered) {
			t.Errorf("%d certificates were stored, %d read back", len(chain.Ordered), len(back))
		}
		_ = stored.String()
		_ = chain.Notes()
	})
}

// FuzzPKCS12: no file takes long, and none panics.
func FuzzPKCS12(f *testing.F) {
	file := newTestFile(f)
	for _, as := range encoders() {
		f.Add(file.encode(f, as, "x"))
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		begun := time.Now()
		key, certs, err := ReadPKCS12(der, "x")
		if err == nil && (key == nil || len(certs) == 0) {
			t.Error("no error, and nothing read")
		}
		if took := time.Since(begun); took > 30*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func manyNames(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("n%d.example", i)
	}
	return strings.Join(names, ",")
}

// Keys that OpenSSL made: of a kind that signs nothing, and too short.
const (
	x25519Key = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VuBCIEIBAUHxz7PF2nuMdCLsnKZv1YfbfB9vPOGW9yytWTOqVH
-----END PRIVATE KEY-----
`
	smallKey = `-----BEGIN PRIVATE KEY-----
MIIBVQIBADANBgkqhkiG9w0BAQEFAASCAT8wggE7AgEAAkEA2SVnJqkWFAR9CQCz
ok11uYc3QQtFdDrclR1qMjorPUq6rLRrrZqCLYNl3qy79EJiERXHRxo6Oamh9DLi
sASmcQIDAQABAkEApZZYKqsWIv2pO4xFb6cR9wCdqgQmWpPoUe20Zcjl4D4MSTsF
s7fvYB8j0MpBmYPWfz2EksZw5WaPE61BZNOggQIhAPd6rb4hVc8tnkwbhcK6y7BD
gZ/Tuywh9RE7bozP1UnNAiEA4J9dBw3RM+FfZ5/BdGPZiZYSWhmcQobizvVainui
2zUCIEnSCVOGpA8Jv4daSlsc1zd724WuZc2zT2PVg5NzR18dAiEA0OsIYFY2nRVi
YgQRr4prO2/Mc+bcEnhYnftQEft6dn0CIF6xzyCT1OjjqyxHMfRZEVZle7khQ//l
Nqty0opYl3aN
-----END PRIVATE KEY-----
`
)
