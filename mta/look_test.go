package mta

import (
	"context"
	"errors"
	"testing"

	"esa/mta/counters"
	"esa/mta/lookup"
	"esa/mta/mtatest"
	"esa/store"
)

// TestLooking follows messages through what operators see, over a restart.
func TestLooking(t *testing.T) {
	w := start(t, func(w *world, c *store.Config) {
		names := mtatest.NewDNSServer(t, `example.test. 60 IN MX 20 mx2.example.test.
example.test. 60 IN MX 10 mx1.example.test.
mx1.example.test. 60 IN A 192.0.2.1
mx1.example.test. 60 IN AAAA 2001:db8::1
mx2.example.test. 30 IN A 192.0.2.2
`)
		c.DNS.Servers = []store.DNSServer{{Addr: names.Addr()}}
		c.Routes = append(c.Routes, store.Route{Domain: "example.test", UseDNS: true})
	})
	c := dial(t, w.addr)
	if p, err := w.gateway.Peers(); err != nil || len(p) != 1 || p[0].Listener != "OutgoingMail" || p[0].Connections != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	c.do("EHLO client.test", "250")
	c.mail("a@from.test", "b@routed.test", "Subject: one\r\n\r\none")
	var h Host
	await(t, "the delivery", func() bool {
		h, _ = w.gateway.Host(t.Context(), "Routed.test.")
		return h.Counts[counters.DeliveredRecips] == 1
	})
	if !h.Up || h.LastActivity.IsZero() || h.Route == "" {
		t.Errorf("%+v", h)
	}
	if rate := w.gateway.Rates()[counters.DeliveredRecips]; rate != (counters.Rate{Minute: 60, FiveMinutes: 12, QuarterHour: 4}) {
		t.Errorf("%+v", rate)
	}
	h, err := w.gateway.Host(t.Context(), "example.test")
	if err != nil || h.Known || h.Route != "" || len(h.MX.Records) != 2 || h.MX.Records[0] != (lookup.MX{Preference: 10, Host: "mx1.example.test"}) ||
		len(h.Addresses) != 2 || len(h.Addresses[0].Addrs) != 2 || h.Expires.IsZero() {
		t.Errorf("%+v, %v", h, err)
	}
	before := w.gateway.Status().Counters.Counters[counters.DNSRequests]
	if before.Uptime < 5 {
		t.Errorf("%+v", before)
	}
	if err := w.gateway.FlushDNS(); err != nil {
		t.Error(err)
	}
	if a, err := w.gateway.QueryDNS(t.Context(), "mx2.example.test", "A"); err != nil || len(a.Records) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	at, err := w.gateway.ResetCounters()
	if s := w.gateway.Status().Counters; err != nil || !s.LastReset.Equal(at) || s.Counters[counters.DeliveredRecips] != (counters.Value{Reset: 0, Uptime: 1, Lifetime: 1}) {
		t.Errorf("%+v, %v", s, err)
	}
	w.reopen()
	if v := w.gateway.Status().Counters.Counters[counters.DNSRequests]; v.Lifetime <= before.Lifetime || v.Uptime >= v.Lifetime {
		t.Errorf("after the restart %+v", v)
	}
}

// TestLookingOffline: nothing runs, and every look says so.
func TestLookingOffline(t *testing.T) {
	w := newWorld(t, nil)
	g := Offline(w.options())
	_, hosts := g.Hosts()
	_, host := g.Host(context.Background(), "example.test")
	_, peers := g.Peers()
	_, reset := g.ResetCounters()
	_, query := g.QueryDNS(context.Background(), "example.test", "A")
	for i, err := range []error{hosts, host, peers, reset, query, g.FlushDNS()} {
		if !errors.Is(err, ErrOffline) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if g.Rates() != nil {
		t.Error("rates of nothing")
	}
}
