//go:build integration

package main

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"

	"esa/mta/mtatest/dnslab"
	"esa/mta/mtatest/smtpload"
)

const outageMailHost = "127.0.0.46"

// TestDANE_ResolverStopsUnderLoad (R15): the one resolver ends, and later falls
// silent, while mail comes in for domains with DANE mandatory. All of it is
// accepted; what is known goes on, what is not known waits, nothing bounces, and
// nothing leaves without DANE; all of it leaves when the resolver is back.
func TestDANE_ResolverStopsUnderLoad(t *testing.T) {
	if !privileged() {
		t.Skip("ports 25 and 53 are needed")
	}
	sink, err := smtpload.Listen(outageMailHost + ":25")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	l := startDANELab(t, outageZones(t, sink))
	g := l.gateway()
	port := freePort(t, "127.0.0.1")
	g.script(fmt.Sprintf("listenerconfig edit OutgoingMail port=%d", port), "smtproutes clear",
		"destconfig edit default dane=mandatory use_tls=require", `commit "outage"`)
	sent := 0
	send := func(first, domains, each int) {
		t.Helper()
		load := smtpload.Load{Addr: fmt.Sprintf("127.0.0.1:%d", port), Sessions: 10, Messages: domains * each, Size: 1 << 10}
		for n := range domains {
			load.Domains = append(load.Domains, fmt.Sprintf("d%d.test", first+n))
		}
		n, err := load.Send(t.Context())
		if sent += n; err != nil || n != domains*each {
			t.Fatalf("%d of %d accepted: %v", n, domains*each, err)
		}
	}
	arrive := func(want int, what string) {
		t.Helper()
		waitFor(t, what, func() bool { return sink.Count() >= want })
	}

	send(0, 10, 20)
	arrive(sent, "the mail while all is well")

	if err := l.resolver.Stop(); err != nil {
		t.Fatal(err)
	}
	send(0, 20, 20) // half of the domains are known
	known := sent - 10*20
	arrive(known, "the mail for domains that are known")
	waitFor(t, "the failures of the others", func() bool {
		out := g.script("hoststatus d10.test", "hoststatus d19.test")
		return strings.Count(out, "dns-failure") >= 2
	})
	if n := sink.Count(); n != known {
		t.Errorf("%d messages went out while their domains could not be looked up", n-known)
	}

	l.resolver = l.resolve(labResolver, true)
	if err := l.resolver.Pause(); err != nil {
		t.Fatal(err)
	}
	send(20, 5, 20) // lookups hang
	if n := sink.Count(); n != known {
		t.Errorf("%d messages went out while the resolver was silent", n-known)
	}
	if err := l.resolver.Resume(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "all the mail", func() bool {
		g.script("delivernow all")
		return sink.Count() >= sent
	})
	waitFor(t, "an empty queue", g.idle)
	if n := sink.Count(); n != sent {
		t.Errorf("%d messages arrived, %d were accepted", n, sent)
	}
	allAuthenticated(t, g.mailLog())
	g.stop()
}

// allAuthenticated holds the mail log against what DANE promises of the 25
// domains: nothing bounced, and every connection was authenticated.
func allAuthenticated(t *testing.T, log []string) {
	t.Helper()
	for _, line := range log {
		if strings.Contains(line, "ounced") || strings.Contains(line, "TLS success") && !strings.Contains(line, " for d") {
			t.Errorf("logged: %s", line)
		}
	}
	for n := range 25 {
		if end := fmt.Sprintf(" for d%d.test", n); !slices.ContainsFunc(log, func(line string) bool {
			return strings.Contains(line, "TLS success") && strings.HasSuffix(line, end)
		}) {
			t.Errorf("no connection%s was authenticated", end)
		}
	}
}

// outageZones are 25 domains that the sink is the host of.
func outageZones(t *testing.T, sink *smtpload.Sink) []dnslab.Zone {
	t.Helper()
	cert, err := x509.ParseCertificate(sink.Certificate().Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	var zones []dnslab.Zone
	for n := range 25 {
		zones = append(zones, dnslab.Zone{Name: fmt.Sprintf("d%d.test.", n), Text: fmt.Sprintf("@ MX 10 mx\nmx A %s\n_25._tcp.mx TLSA 3 1 1 %x\n",
			outageMailHost, sha256.Sum256(cert.RawSubjectPublicKeyInfo))})
	}
	return zones
}
