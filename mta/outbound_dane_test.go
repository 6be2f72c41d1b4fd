package mta

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"esa/mta/alert"
	"esa/mta/dane"
	"esa/mta/mtatest"
	"esa/store"
)

// daneWorld is a gateway with a next hop of a signed zone, which an SMTP route
// names so that it may be on any port.
func daneWorld(t *testing.T) (w *world, hop *mtatest.Peer, server *mtatest.DNSServer) {
	cert := mtatest.NewAuthority(t, "Root CA").Issue(t, mtatest.CertificateSpec{DNSNames: []string{"mx.ex.test"}})
	hop = mtatest.StartPeer(t, mtatest.PeerScript{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
	digest := sha256.Sum256(cert.Certificate[0])
	zones := mtatest.NewLab(t, time.Now(), mtatest.Zone{Name: "."}, mtatest.Zone{Name: "test."}, mtatest.Zone{Name: "ex.test.", Text: fmt.Sprintf(
		"mx A 127.0.0.1\n_%d._tcp.mx TLSA 3 0 1 %x\nbad A 127.0.0.1\n_%d._tcp.bad TLSA 3 0 1 %064x\n", hop.Addr().Port(), digest, hop.Addr().Port(), 1)})
	server = mtatest.NewLabServer(t, zones)
	w = start(t, func(_ *world, c *store.Config) {
		c.DNS.Servers = []store.DNSServer{{Addr: server.Addr()}}
		c.DNS.Anchors = []string{zones.Anchor(".")}
		c.Routes = []store.Route{hostRoute("rcpt.test", "mx.ex.test", hop.Addr()), hostRoute("bad.test", "bad.ex.test", hop.Addr())}
		c.Destinations.AlertTLS = true
	})
	return w, hop, server
}

func hostRoute(domain, host string, at netip.AddrPort) store.Route {
	return store.Route{Domain: domain, Hosts: []store.RouteHost{{Host: host, Bracketed: true, Port: at.Port()}}}
}

// TestOutboundDANE_FollowsTheConfiguration: mode and rulings, each by a commit
// while the gateway runs; the word for why mail waits is the same in the queue
// and in the alert.
func TestOutboundDANE_FollowsTheConfiguration(t *testing.T) {
	w, hop, _ := daneWorld(t)
	waits := func(domain, why string) {
		t.Helper()
		n := len(hop.Messages())
		w.sendTo(domain, 1)
		await(t, "a failure", func() bool {
			h, _ := w.gateway.live.queue.Host(domain)
			return string(h.Last.Reason) == why && strings.HasPrefix(strings.Join(h.Last.Reply, " "), why+": ")
		})
		await(t, "an alert", func() bool {
			stored, err := w.gateway.Alerts()
			return err == nil && slices.ContainsFunc(stored, func(s alert.Stored) bool {
				text := fmt.Sprint(s)
				return strings.Contains(text, domain) && strings.Contains(text, why) && strings.Contains(text, "Use daneverify")
			})
		})
		if len(hop.Messages()) != n {
			t.Error("the mail went out")
		}
	}
	w.arrives(hop, "")
	report := w.commit(func(c *store.Config) { c.Destinations.Default.DANE = store.DANEOpportunistic })
	if text := fmt.Sprint(report.Warnings); !strings.Contains(text, "Mail to rcpt.test will wait and bounce") {
		t.Errorf("warnings: %s", text)
	}
	waits("rcpt.test", "dane-required")
	w.commit(func(c *store.Config) { c.DANE.RouteHosts = true })
	w.arrives(hop, "TLS 1.3")
	waits("bad.test", "tlsa-invalid")
	w.commit(func(c *store.Config) {
		c.Destinations.Entries = []store.Destination{{Domain: "rcpt.test", DANE: store.DANEOff}}
	})
	w.arrives(hop, "")
}

// TestCommitProbesDNSServersWhereDANEIsNew: those that pass no signatures on
// are told once, by the commit that begins to rest on them.
func TestCommitProbesDNSServersWhereDANEIsNew(t *testing.T) {
	w, _, server := daneWorld(t)
	server.Usually(mtatest.Stripped)
	for _, tt := range []struct {
		mode store.DANEMode
		want int
	}{{store.DANEOpportunistic, 1}, {store.DANEMandatory, 0}, {store.DANEOff, 0}, {store.DANEMandatory, 1}} {
		report := w.commit(func(c *store.Config) { c.Destinations.Default.DANE = tt.mode })
		if len(report.Notes) != tt.want || tt.want > 0 && !strings.Contains(report.Notes[0], "DNSSEC") {
			t.Errorf("%s: notes %q, want %d", tt.mode, report.Notes, tt.want)
		}
	}
}

// TestDANEMode: every mode that can be chosen means one of delivery's own, and
// counts among the connections that use TLS.
func TestDANEMode(t *testing.T) {
	want := map[store.DANEMode]dane.Mode{
		store.DANEOff: dane.Off, store.DANEOpportunistic: dane.Opportunistic, store.DANEMandatory: dane.Mandatory,
	}
	for _, m := range store.DANEModes() {
		meant, ok := want[m]
		d := store.Destination{DANE: m}
		if !ok || deliveryDestination(d).DANE != meant || queueLimits(d).TLS != (m != store.DANEOff) {
			t.Errorf("%s: delivery %d, queue %v", m, deliveryDestination(d).DANE, queueLimits(d).TLS)
		}
	}
}
