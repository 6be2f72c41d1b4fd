package store

import (
	"strings"
	"testing"
)

// TestCertificateVerdictsOfUse: what depends on who presents the certificate.
func TestCertificateVerdictsOfUse(t *testing.T) {
	root := testEntity(t, "Root", true, nil)
	lower := testEntity(t, "Lower", true, &root)
	leaf := testEntity(t, "mx.example.com", false, &lower)
	elsewhere := testEntity(t, "other.example.com", false, &root)
	self := testEntity(t, "mx.example.com", false, nil)
	with := func(cert Certificate) func(*Config) {
		return func(c *Config) { c.Certificates = []Certificate{cert} }
	}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no certificate, required", func(c *Config) {
			c.Certificates, listener(c).Certificate = nil, ""
			listener(c).HAT.Policies[0].Params.TLS.Mode = TLSRequiredVerify
			listener(c).HAT.Default.TLS.Mode = TLSOff
		}, `listener "IncomingMail": A mail flow policy requires TLS, but the listener has no certificate: it takes no mail`},
		{"delivery", func(c *Config) {
			with(profile(t, "mine", leaf, leaf.cert, lower.cert))(c)
			c.Destinations.Certificate = "mine"
		}, ""},
		{"delivery, other name", func(c *Config) {
			with(profile(t, "mine", elsewhere, elsewhere.cert))(c)
			listener(c).HAT.Default.TLS.Mode = TLSOff
			c.Destinations.Certificate, c.Delivery.Interface = "mine", "Data1"
		}, `The certificate is for other.example.com, but mail is delivered under the host name "mx.example.com". (interfaceconfig -> EDIT)`},
		{"delivery, self-signed", func(c *Config) {
			with(profile(t, "mine", self, self.cert))(c)
			listener(c).HAT.Default.TLS.Mode = TLSOff
			c.Destinations.Certificate = "mine"
		}, `certificate "mine": The certificate is self-signed: hosts that verify senders will not take mail from here.`},
		{"delivery, demo", func(c *Config) {
			with(profile(t, DemoCertificate, self, self.cert))(c)
			listener(c).Certificate, c.Destinations.Certificate = "", DemoCertificate
			listener(c).HAT.Default.TLS.Mode = TLSOff
		}, `certificate "Demo": Deliveries present the demo certificate, which no host can verify. (destconfig -> SETUP)`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, known := verdictConfig(t)
			known = append(known, root.cert)
			tt.change(c)
			got := c.CertificateVerdicts(certNow(), known)
			if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.Contains(got[0].String(), tt.want)) {
				t.Errorf("%v, want %q", got, tt.want)
			}
		})
	}
}
