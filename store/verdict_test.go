package store

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"strings"
	"testing"
	"time"
)

// verdictConfig has a listener that offers TLS with a certificate of a CA for
// the host name of its interface, and the one who signed it.
func verdictConfig(t *testing.T) (*Config, []*x509.Certificate) {
	t.Helper()
	root := testEntity(t, "Root", true, nil)
	leaf := testEntity(t, "mx.example.com", false, &root)
	c := testConfig()
	c.Certificates = []Certificate{profile(t, "mine", leaf, leaf.cert)}
	listener(c).Certificate = "mine"
	listener(c).HAT.Default.TLS.Mode = TLSPreferred
	return c, []*x509.Certificate{root.cert}
}

func profile(t testing.TB, name string, e entity, chain ...*x509.Certificate) Certificate {
	t.Helper()
	key, err := EncodeKey(e.key)
	if err != nil {
		t.Fatal(err)
	}
	return Certificate{Name: name, Key: key, Chain: EncodeCertificates(chain)}
}

func TestCertificateVerdicts(t *testing.T) {
	root := testEntity(t, "Root", true, nil)
	lower := testEntity(t, "Lower", true, &root)
	leaf := testEntity(t, "mx.example.com", false, &lower)
	elsewhere := testEntity(t, "other.example.com", false, &root)
	self := testEntity(t, "mx.example.com", false, nil)
	stranger := testEntity(t, "Stranger", true, nil)
	known := []*x509.Certificate{root.cert}
	with := func(cert Certificate) func(*Config) {
		return func(c *Config) { c.Certificates = []Certificate{cert} }
	}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		after  int // days
		want   string
	}{
		{"all is well", with(profile(t, "mine", leaf, leaf.cert, lower.cert)), 0, ""},
		{"30 days are enough", with(profile(t, "mine", leaf, leaf.cert, lower.cert)), 365 - 30, ""},
		{"soon", with(profile(t, "mine", leaf, leaf.cert)), 365 - 29, `certificate "mine": The certificate expires on 2027-03-01, in 29 days.`},
		{"expired", with(profile(t, "mine", leaf, leaf.cert)), 366, `certificate "mine": The certificate expired on 2027-03-01.`},
		{"not yet valid", with(profile(t, "mine", leaf, leaf.cert)), -2, `The certificate is not valid before 2026-02-28.`},
		{"expired intermediate", with(profile(t, "mine", leaf, leaf.cert, lower.cert)), 366, `The intermediate certificate "Lower" expired on`},
		{"no intermediate", with(profile(t, "mine", leaf, leaf.cert)), 0, `issuer "Lower" is neither`},
		{"unrelated", with(profile(t, "mine", leaf, leaf.cert, lower.cert, stranger.cert)), 0, `"Stranger" does not belong`},
		{"duplicate", with(profile(t, "mine", leaf, leaf.cert, lower.cert, lower.cert)), 0, `"Lower" is there more than once`},
		{"other name", with(profile(t, "mine", elsewhere, elsewhere.cert)), 0, `The certificate is for other.example.com, but the host name of interface "Data1", which listener "IncomingMail" is on, is "mx.example.com". (interfaceconfig -> EDIT)`},
		{"other name, TLS off", func(c *Config) {
			with(profile(t, "mine", elsewhere, elsewhere.cert))(c)
			listener(c).HAT.Default.TLS.Mode = TLSOff
		}, 0, ""},
		{"self-signed", with(profile(t, "mine", self, self.cert)), 0, `The certificate is self-signed: senders that verify it will not deliver to listener "IncomingMail".`},
		{"demo", func(c *Config) {
			with(profile(t, DemoCertificate, self, self.cert))(c)
			listener(c).Certificate = DemoCertificate
		}, 0, `Listener "IncomingMail" uses the demo certificate, which no sender can verify.`},
		{"no certificate", func(c *Config) {
			c.Certificates, listener(c).Certificate = nil, ""
		}, 0, `listener "IncomingMail": A mail flow policy uses TLS, but the listener has no certificate`},
		{"nobody to trust", func(c *Config) {
			with(profile(t, "mine", leaf, leaf.cert, lower.cert))(c)
			c.Authorities.System, c.Destinations.Default.TLS = false, TLSRequiredVerify
		}, 0, `certificate authorities: Certificates of peers must be verified, but no list`},
		{"nobody to trust, senders", func(c *Config) {
			with(profile(t, "mine", leaf, leaf.cert, lower.cert))(c)
			c.Authorities = Authorities{Custom: true}
			listener(c).HAT.Policies[0].Params.TLS.Mode = TLSPreferredVerify
		}, 0, `certificate authorities: Certificates of peers must be verified, but no list`},
		{"cannot be read", with(Certificate{Name: "mine"}), 0, ""},
	} {
		c, _ := verdictConfig(t)
		tt.change(c)
		var said []string
		for _, v := range c.CertificateVerdicts(certNow().Add(time.Duration(tt.after)*24*time.Hour), known) {
			said = append(said, v.String())
		}
		text := strings.Join(said, "\n")
		if tt.want == "" && text != "" || !strings.Contains(text, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, text, tt.want)
		}
	}
}

func TestWeakKeyIsTold(t *testing.T) {
	c, known := verdictConfig(t)
	c.Certificates[0].Chain = PEM(weakCertificate)
	found := c.CertificateVerdicts(certNow().AddDate(1, 0, 0), known)
	if len(found) == 0 || !strings.Contains(found[0].Text, "has 1024 bits") {
		t.Errorf("%v", found)
	}
}

func TestMissingIssuerIsNotGuessed(t *testing.T) {
	c, _ := verdictConfig(t)
	if found := c.CertificateVerdicts(certNow(), nil); len(found) > 0 {
		t.Errorf("%v", found)
	}
}

func TestCertifiesHost(t *testing.T) {
	plain := &x509.Certificate{}
	plain.Subject.CommonName = "mx.example.com"
	wild := &x509.Certificate{DNSNames: []string{"*.example.com"}}
	for _, tt := range []struct {
		cert *x509.Certificate
		host string
		want bool
	}{
		{plain, "MX.example.com", true},
		{plain, "example.com", false},
		{wild, "mx.example.com", true},
		{wild, "a.mx.example.com", false},
	} {
		if got := CertifiesHost(tt.cert, tt.host); got != tt.want {
			t.Errorf("%s: %v", tt.host, got)
		}
	}
}

// weakCertificate has an RSA key of 1024 bits.
const weakCertificate = `-----BEGIN CERTIFICATE-----
MIICKzCCAZSgAwIBAgIUZnd/hqaEJmeHwHfQvOUwEB2aW5IwDQYJKoZIhvcNAQEL
BQAwGTEXMBUGA1UEAwwObXguZXhhbXBsZS5jb20wIBcNMjYxMTIyMDIzNjQwWhgP
MjEyNjEwMjkwMjM2NDBaMBkxFzAVBgNVBAMMDm14LmV4YW1wbGUuY29tMIGfMA0G
CSqGSIb3DQEBAQUAA4GNADCBiQKBgQDflmUQ1cjlRB0fcp846NN8ECZs2AZ+Y4Bm
T4MX1jisBtfGYw/vIUASiEgl6noq5IxyOZHxvl86tr2YOL4aUYgNaEA2OqIyGGYy
ic4SA6B7jZSaQpYIG5KvPw602VOqOzaWfxEWUq13Na1lLHqggLxKhRxKMaBiXTEt
fli4aVXkAQIDAQABo24wbDAdBgNVHQ4EFgQUOTujPTxigbQYIWVgP2BIw7gSyd4w
HwYDVR0jBBgwFoAUOTujPTxigbQYIWVgP2BIw7gSyd4wDwYDVR0TAQH/BAUwAwEB
/zAZBgNVHREEEjAQgg5teC5leGFtcGxlLmNvbTANBgkqhkiG9w0BAQsFAAOBgQDG
bjQFfC+O+LJlMeeACdqmFZIkn+WmaBhju93Sv8O5hEg+fS2BTMtj9Lg/4eYLZ+zn
LpdfM7JKOepwYLPu1fLKpaINTs7Gk2Pt27sCXnhy9kPXtBWfSJhu4jSwJamcnm++
qupIbHxPSKQGnT1NlsVh7y+RpeEYWu7iYuV9SB4GjQ==
-----END CERTIFICATE-----
`

// TestNamesText: a certificate of a great many names is listed in one line all
// the same, and its text does nothing to a terminal.
func TestNamesText(t *testing.T) {
	cert := &x509.Certificate{Subject: pkix.Name{CommonName: "mx.example.com"}, DNSNames: []string{"mx.example.com", "\x1b[2J"}}
	if got := NamesText(cert); got != `mx.example.com, \x1b[2J` {
		t.Errorf("%q", got)
	}
	for i := range 20 {
		cert.DNSNames = append(cert.DNSNames, fmt.Sprintf("n%d.example.com", i))
	}
	if got := NamesText(cert); !strings.HasSuffix(got, ", n7.example.com and 12 more") {
		t.Errorf("%q", got)
	}
}
