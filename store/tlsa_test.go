package store

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
)

// TestTLSAServices: what to publish is named after the host of each public
// listener with a certificate, once for each certificate there: 3 1 1 for its
// own key, 2 1 1 for its issuer where that is presented (RFC 7671 §5.2.2).
func TestTLSAServices(t *testing.T) {
	c := testConfig()
	alone, below := testCertificate(t, "alone", "mx.example.com"), testCertificate(t, "below", "mx.example.com")
	below.Chain += testCertificate(t, "issuer", "CA").Chain
	c.Certificates = []Certificate{alone, below}
	listener := func(name, kind, certificate string, port uint16) {
		l := NewListener(name, ListenerType(kind))
		l.Interface, l.Port, l.Certificate = "Data1", port, certificate
		c.Listeners = append(c.Listeners, l)
	}
	c.Interfaces[1].Hostname = "MX.example.com"
	c.Listeners = nil
	listener("A", string(Public), "alone", 25)
	listener("B", string(Public), "below", 25)
	listener("Again", string(Public), "alone", 25)
	listener("Other port", string(Public), "alone", 2525)
	listener("Without", string(Public), "", 26)
	listener("Gone", string(Public), "deleted", 27)
	listener("Private", string(Private), "alone", 28)

	key := func(usage int, cert Certificate, place int) string {
		chain, err := cert.Chain.Certificates()
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d 1 1 %x", usage, sha256.Sum256(chain[place].RawSubjectPublicKeyInfo))
	}
	want := []string{
		"_25._tcp.mx.example.com A alone [" + key(3, alone, 0) + "]",
		"_25._tcp.mx.example.com B below [" + key(3, below, 0) + " " + key(2, below, 1) + "]",
		"_2525._tcp.mx.example.com Other port alone [" + key(3, alone, 0) + "]",
	}
	var got []string
	for _, s := range c.TLSAServices() {
		got = append(got, fmt.Sprint(s.Name, " ", s.Listener, " ", s.Certificate, " ", s.Records))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}
