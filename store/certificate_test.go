package store

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// certNow is when the certificates of the tests are made.
func certNow() time.Time { return time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC) }

// testCertificate is a self-signed profile with a request.
func testCertificate(t testing.TB, name, commonName string) Certificate {
	t.Helper()
	key, err := NewKey(P256)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewCertificate(name, key, Subject{CommonName: commonName, Organization: "Example", Country: "DE", Days: 30}, certNow())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNewCertificate(t *testing.T) {
	for _, kind := range KeyTypes()[:1] {
		key, err := NewKey(kind)
		if err != nil {
			t.Fatal(err)
		}
		c, err := NewCertificate("one", key, Subject{CommonName: "mx.example.com", DNSNames: []string{"*.example.org"}, Country: "DE", Days: 30}, certNow())
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := c.Leaf()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(leaf.DNSNames, " "); got != "mx.example.com *.example.org" {
			t.Errorf("names %s", got)
		}
		if err := leaf.VerifyHostname("mx.example.com"); err != nil {
			t.Error(err)
		}
		if _, err := c.TLS(); err != nil {
			t.Error(err)
		}
		if err := checkRequest(c); err != nil {
			t.Error(err)
		}
		if word, days := ValidityOf(leaf, certNow()); word != Active || days != 30 {
			t.Errorf("%s %d", word, days)
		}
		if word, _ := ValidityOf(leaf, certNow().AddDate(0, 0, 31)); word != Expired {
			t.Error(word)
		}
		if word, _ := ValidityOf(leaf, certNow().AddDate(0, 0, -1)); word != NotYetValid {
			t.Error(word)
		}
		if got := certNow().Sub(leaf.NotBefore); got != backdated {
			t.Errorf("it begins %v in the past", got)
		}
		if !SelfSigned(leaf) {
			t.Error("not self-signed")
		}
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	c := testCertificate(t, "one", "mx.example.com")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{c, &c, []Certificate{c}, c.Key} {
			if text := fmt.Sprintf(verb, value); strings.Contains(text, "PRIVATE") || strings.Contains(text, "505249564154452") {
				t.Errorf("%s of %T shows the key", verb, value)
			}
		}
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("made", "profile", c, "key", c.Key)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("made", "key", c.Key)
	if strings.Contains(log.String(), "PRIVATE") {
		t.Errorf("the diagnostics show the key: %s", &log)
	}
	from, to := testConfig(), testConfig()
	to.Certificates = []Certificate{c}
	other := testCertificate(t, "one", "mx.example.com")
	for _, changes := range [][]Change{Diff(from, to), Diff(to, from)} {
		if text := FormatChanges(changes); strings.Contains(text, "PRIVATE") || !strings.Contains(text, "one: ") {
			t.Errorf("showchanges says\n%s", text)
		}
	}
	changed := to.Clone()
	changed.Certificates[0] = other
	if text := FormatChanges(Diff(to, changed)); strings.Contains(text, "PRIVATE") || !strings.Contains(text, "Private key: ***** -> *****") {
		t.Errorf("showchanges says\n%s", text)
	}
}

func TestBadCertificates(t *testing.T) {
	one, two := testCertificate(t, "one", "mx.example.com"), testCertificate(t, "two", "mx.example.com")
	with := func(change func(*Certificate)) func(*Config) {
		return func(c *Config) {
			cert := one
			change(&cert)
			c.Certificates = []Certificate{cert}
		}
	}
	checkBad(t, []badConfig{
		{"name", with(func(c *Certificate) { c.Name = "a b" }), `certificate "a b": The certificate profile name must start`},
		{"twice", func(c *Config) { c.Certificates = []Certificate{one, one} }, `certificate "one": The name "one" is used by another`},
		{"too many", func(c *Config) { c.Certificates = make([]Certificate, MaxCertificates+1) }, `certificates: There is a maximum of 200`},
		{"no chain", with(func(c *Certificate) { c.Chain = "" }), `certificate "one": The certificates cannot be read.`},
		{"text around", with(func(c *Certificate) { c.Chain = "x\n" + c.Chain }), `The certificates cannot be read.`},
		{"long", with(func(c *Certificate) { c.Chain = PEM(strings.Repeat(string(c.Chain), 100)) }), `must not be longer than 65536 bytes`},
		{"long chain", with(func(c *Certificate) { c.Chain = PEM(strings.Repeat(string(c.Chain), 11)) }), `must not have more than 10 certificates`},
		{"no key", with(func(c *Certificate) { c.Key = "" }), `The private key cannot be read.`},
		{"garbage key", with(func(c *Certificate) { c.Key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" }), `The private key cannot be read.`},
		{"other key", with(func(c *Certificate) { c.Key = two.Key }), `The private key does not fit the certificate.`},
		{"request", with(func(c *Certificate) { c.Request = "x" }), `The signing request cannot be read, or is not for this key.`},
		{"other request", with(func(c *Certificate) { c.Request = two.Request }), `The signing request cannot be read, or is not for this key.`},
		{"of a listener", func(c *Config) { listener(c).Certificate = "Gone" }, `listener "IncomingMail": The certificate "Gone" does not exist.`},
		{"of destinations", func(c *Config) { c.Destinations.Certificate = "Gone" }, `destination controls: The certificate "Gone" does not exist.`},
		{"authority", func(c *Config) { c.Authorities.List = []Authority{"x"} }, `certificate authorities: SHA-256 2d711642b726b044: The certificates cannot be read.`},
		{"authority that is none", func(c *Config) { c.Authorities.List = []Authority{Authority(one.Chain)} }, `The certificate is not one of a certificate authority.`},
		{"authority twice", func(c *Config) { c.Authorities.List = []Authority{"x", "x"} }, `The certificate is there twice.`},
		{"too many authorities", func(c *Config) { c.Authorities.List = make([]Authority, MaxAuthorities+1) }, `There is a maximum of 500 certificates in the custom list.`},
	})
}

func TestCertificateUses(t *testing.T) {
	c := testConfig()
	c.Certificates = []Certificate{testCertificate(t, "one", "mx.example.com")}
	if uses := c.CertificateUses("one"); uses != nil {
		t.Error(uses)
	}
	listener(c).Certificate, c.Destinations.Certificate = "one", "one"
	if uses := strings.Join(c.CertificateUses("one"), ", "); uses != `listener "IncomingMail", destination controls` {
		t.Error(uses)
	}
	if p := c.Validate(); len(p) > 0 {
		t.Error(p)
	}
	if uses := c.CertificateUses(""); uses != nil {
		t.Error(uses)
	}
}

func TestBadTLSAndAlerts(t *testing.T) {
	checkBad(t, []badConfig{
		{"no version", func(c *Config) { c.SSL.Inbound.Versions = nil }, `inbound SSL settings: At least one method`},
		{"gap", func(c *Config) { c.SSL.Outbound.Versions = []TLSVersion{TLS10, TLS12} }, `outbound SSL settings: The methods must be known ones that follow each other`},
		{"unknown version", func(c *Config) { c.SSL.Outbound.Versions = []TLSVersion{"sslv3"} }, `outbound SSL settings: The methods must`},
		{"ciphers", func(c *Config) { c.SSL.Inbound.Ciphers = "A B" }, `inbound SSL settings: The ciphers must be printable`},
		{"policy mode", func(c *Config) { listener(c).HAT.Default.TLS.Mode = "x" }, `TLS: The mode "x" is not known.`},
		{"policy hosted", func(c *Config) { listener(c).HAT.Default.TLS.Mode = TLSRequiredVerifyHosted }, `TLS: The mode "require_verify_hosted" is not known.`},
		{"policy addresses", func(c *Config) { listener(c).HAT.Default.TLS = PolicyTLS{TLSRequired, "a.example"} }, `Only where TLS is Preferred`},
		{"policy address form", func(c *Config) { listener(c).HAT.Default.TLS = PolicyTLS{TLSPreferred, "A.example"} }, `must be written "a.example"`},
		{"destination mode", func(c *Config) { c.Destinations.Default.TLS = "x" }, `destination controls default: The value must be off, on,`},
		{"destination default", func(c *Config) { c.Destinations.Default.TLS = "" }, `destination controls default: The value must be off, on,`},
		{"debounce", func(c *Config) { c.Alerts.InitialWait = 4000 }, `alerts: The maximum debounce interval cannot be less`},
		{"wait", func(c *Config) { c.Alerts.MaxWait = -1 }, `alerts: Maximum number of seconds: The value must`},
		{"stored", func(c *Config) { c.Alerts.Stored = 1001 }, `alerts: Number of alerts to save: The value must`},
		{"alert from", func(c *Config) { c.Alerts.From = "x" }, `alerts: The address must be an email`},
		{"alert interface", func(c *Config) { c.Alerts.Interface = "Gone" }, `alerts: The interface "Gone" does not exist.`},
		{"alert address", func(c *Config) { c.Alerts.Recipients = []AlertRecipient{{Address: "x"}} }, `alert recipient x: The address must`},
		{"alert class", func(c *Config) {
			c.Alerts.Recipients = []AlertRecipient{{"a@b.example", []AlertClass{AlertAll, AlertSystem}, []AlertSeverity{AllSeverities}}}
		}, `The classes are not known ones, or All with others`},
		{"alert severity", func(c *Config) {
			c.Alerts.Recipients = []AlertRecipient{{"a@b.example", []AlertClass{AlertAll}, nil}}
		}, `The severities are not known ones`},
		{"alert address twice", func(c *Config) {
			r := AlertRecipient{"a@b.example", []AlertClass{AlertAll}, []AlertSeverity{AllSeverities}}
			c.Alerts.Recipients = []AlertRecipient{r, r}
		}, `alerts: The address a@b.example is there twice.`},
		{"too many alert recipients", func(c *Config) { c.Alerts.Recipients = make([]AlertRecipient, MaxAlertRecipients+1) }, `There is a maximum of 100 alert recipients.`},
	})
}

func TestAlertRecipientWants(t *testing.T) {
	r := AlertRecipient{"a@b.example", []AlertClass{AlertSystem}, []AlertSeverity{WarningSeverity}}
	if !r.Wants(AlertSystem, WarningSeverity) || r.Wants(AlertSystem, CriticalSeverity) || r.Wants(AlertAll, WarningSeverity) {
		t.Error("class or severity is not looked at")
	}
	if r = (AlertRecipient{"a@b.example", []AlertClass{AlertAll}, []AlertSeverity{AllSeverities}}); !r.Wants(AlertSystem, InformationSeverity) {
		t.Error("All is not all")
	}
}

func TestRootsOfDisabledListsAreEmpty(t *testing.T) {
	cert := testCertificate(t, "one", "mx.example.com")
	leaf, err := cert.Leaf()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		a       Authorities
		trusted bool
	}{
		{Authorities{}, false},
		{Authorities{System: true}, true},
		{Authorities{List: []Authority{Authority(cert.Chain)}}, false},
		{Authorities{Custom: true, List: []Authority{Authority(cert.Chain)}}, true},
	} {
		pool := tt.a.Roots([]*x509.Certificate{leaf})
		_, err := leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: certNow()})
		if pool == nil || (err == nil) != tt.trusted {
			t.Errorf("%+v: %v", tt.a, err)
		}
	}
}
