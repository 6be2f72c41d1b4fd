package mta

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"esa/mta/mtatest"
	"esa/store"
)

// publicTLS has a public listener that takes mail for domains, with a
// certificate for gw.test.
func publicTLS(t *testing.T, c *store.Config, domains ...string) {
	t.Helper()
	key, err := store.NewKey(store.P256)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := store.NewCertificate("mine", key, store.Subject{CommonName: "gw.test", Days: 100}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c.Certificates = append(c.Certificates, cert)
	l := store.NewListener("IncomingMail", store.Public)
	l.Interface, l.Port, l.Certificate = "Management", freeAddr(t, "127.0.0.1").Port(), "mine"
	l.HAT.Default.TLS.Mode = store.TLSPreferred
	l.RAT = nil
	for _, domain := range domains {
		l.RAT = append(l.RAT, store.RATEntry{Address: domain, Accept: true})
	}
	l.RAT = append(l.RAT, store.RATEntry{Address: "ALL"})
	c.Listeners = append(c.Listeners, l)
}

// TestMailHosts asks a DNS server of the test where our domains are.
func TestMailHosts(t *testing.T) {
	domains := []string{"good.test", "bare.test", "gw.test", "elsewhere.test", "none.test", "nowhere.test"}
	for i := range 20 {
		domains = append(domains, fmt.Sprintf("more%d.test", i))
	}
	w := start(t, func(w *world, c *store.Config) {
		names := mtatest.NewDNSServer(t, `good.test. 60 IN MX 10 other.test.
good.test. 60 IN MX 20 gw.test.
bare.test. 60 IN A 127.0.0.1
gw.test. 60 IN A 127.0.0.1
elsewhere.test. 60 IN MX 20 mx2.elsewhere.test.
elsewhere.test. 60 IN MX 10 mx1.elsewhere.test.
none.test. 60 IN MX 0 .
`)
		c.DNS.Servers = []store.DNSServer{{Addr: names.Addr()}}
		publicTLS(t, c, domains...)
	})
	config, _ := w.store.Running()
	var texts []string
	for _, v := range w.gateway.MailHosts(t.Context(), config) {
		texts = append(texts, v.String())
	}
	all := strings.Join(texts, "\n")
	for _, want := range []string{
		`listener "IncomingMail": Mail for bare.test goes to bare.test, but the host name of interface "Management" is "gw.test"`,
		"Mail for elsewhere.test goes to mx1.elsewhere.test, mx2.elsewhere.test, but",
		"DNS says that none.test takes no mail",
		"The MX records of nowhere.test could not be looked up: the domain does not exist.",
		"MX records: Those of 20 domains were looked up, of 6 more they were not.",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in\n%s", want, all)
		}
	}
	if strings.Contains(all, "good.test") || strings.Contains(all, "Mail for gw.test") {
		t.Errorf("what is right is told:\n%s", all)
	}
	w.end()
	offline := Offline(w.options()).MailHosts(t.Context(), config)
	if len(offline) != 1 || !strings.Contains(offline[0].Text, "the gateway does not run") {
		t.Errorf("offline: %v", offline)
	}
	if got := w.gateway.MailHosts(t.Context(), &store.Config{}); got != nil {
		t.Errorf("nothing to ask: %v", got)
	}
}

// TestCommitWarnsOfCertificates: the verdicts on what is used come with every
// commit.
func TestCommitWarnsOfCertificates(t *testing.T) {
	w := start(t, nil)
	report := w.commit(func(c *store.Config) { publicTLS(t, c, "gw.test") })
	var texts []string
	for _, p := range report.Warnings {
		texts = append(texts, p.String())
	}
	if len(texts) != 1 || !strings.Contains(texts[0], `certificate "mine": The certificate is self-signed`) {
		t.Errorf("%q", texts)
	}
}
