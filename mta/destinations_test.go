package mta

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"esa/mta/delivery"
	"esa/mta/envelope"
	"esa/mta/mtatest"
	"esa/mta/queue"
	"esa/mta/route"
	"esa/store"
)

// destinationsFor are controls that differ in everything but name.
func destinationsFor(c *store.Config) {
	c.Destinations = store.Destinations{
		Default: store.Destination{
			Concurrency: 100, MaxMessages: 10, RecipientMinutes: 5, RecipientLimit: 50,
			Scope: store.WholeDomain, Place: store.SystemWide, Family: store.PreferV4,
		},
		Entries: []store.Destination{
			{Domain: "example.com", Concurrency: 1, Scope: store.WholeDomain, Place: store.EachInterface},
			{Domain: ".example.com", MaxMessages: 2},
			{Domain: ".b.example.com", Family: store.RequireV6},
			{Domain: "mx.example", Concurrency: 3, RecipientMinutes: 1, RecipientLimit: 9, Scope: store.EachMX, Place: store.EachInterface},
			{Domain: "192.0.2.1", MaxMessages: 4},
			{Domain: "2001:db8::1", MaxMessages: 6},
		},
	}
}

// TestDestinations_TheMostSpecificEntry: the entry of the domain, of the
// closest partial domain, of the address; what it does not set is the
// default's.
func TestDestinations_TheMostSpecificEntry(t *testing.T) {
	c := store.Factory(store.FactoryFacts{})
	destinationsFor(c)
	to := newDestinations(c)
	usual := queue.Limits{Concurrency: 100, Recipients: 50, Interval: 5 * time.Minute}
	for domain, want := range map[string]struct {
		queue    queue.Limits
		delivery delivery.Destination
	}{
		"other.test":             {usual, delivery.Destination{Family: route.PreferV4, MessagesPerConnection: 10}},
		"example.com":            {queue.Limits{Concurrency: 1, Recipients: 50, Interval: 5 * time.Minute, PerInterface: true}, delivery.Destination{Family: route.PreferV4, MessagesPerConnection: 10}},
		"Example.COM":            {queue.Limits{Concurrency: 1, Recipients: 50, Interval: 5 * time.Minute, PerInterface: true}, delivery.Destination{Family: route.PreferV4, MessagesPerConnection: 10}},
		"a.example.com":          {usual, delivery.Destination{Family: route.PreferV4, MessagesPerConnection: 2}},
		"b.example.com":          {usual, delivery.Destination{Family: route.PreferV4, MessagesPerConnection: 2}},
		"a.b.example.com":        {usual, delivery.Destination{Family: route.RequireV6, MessagesPerConnection: 10}},
		"notexample.com":         {usual, delivery.Destination{Family: route.PreferV4, MessagesPerConnection: 10}},
		"[192.0.2.1]":            {usual, delivery.Destination{Family: route.PreferV4, MessagesPerConnection: 4}},
		"[192.0.2.2]":            {usual, delivery.Destination{Family: route.PreferV4, MessagesPerConnection: 10}},
		"[IPv6:2001:DB8:0:0::1]": {usual, delivery.Destination{Family: route.PreferV4, MessagesPerConnection: 6}},
		"mx.example": {
			queue.Limits{Concurrency: 3 * addressesOfDestination, PerInterface: true},
			delivery.Destination{Family: route.PreferV4, MessagesPerConnection: 10, PerAddress: delivery.AddressLimits{
				Concurrency: 3, Recipients: 9, Interval: time.Minute, PerInterface: true,
			}},
		},
	} {
		found := to.find(domain)
		if got := queueLimits(found); got != want.queue {
			t.Errorf("%s: queue %+v, want %+v", domain, got, want.queue)
		}
		if got := deliveryDestination(found); got != want.delivery {
			t.Errorf("%s: delivery %+v, want %+v", domain, got, want.delivery)
		}
	}
}

// TestDestinations_BounceProfile: that of the destination goes before that of
// the listener.
func TestDestinations_BounceProfile(t *testing.T) {
	c := store.Factory(store.FactoryFacts{})
	c.BounceProfiles = append(c.BounceProfiles, store.BounceProfile{Name: "Slow"}, store.BounceProfile{Name: "Bulk"})
	c.Destinations.Entries = []store.Destination{{Domain: "example.com", BounceProfile: "Bulk"}, {Domain: "plain.test", BounceProfile: "Default"}}
	p := queuePolicy(c, newDestinations(c))
	for _, tt := range []struct{ listener, domain, want string }{
		{"", "other.test", "Default"},
		{"Slow", "other.test", "Slow"},
		{"Slow", "example.com", "Bulk"},
		{"", "example.com", "Bulk"},
		{"Slow", "plain.test", "Default"},
	} {
		if got := p.Profile(&envelope.Message{BounceProfile: tt.listener}, tt.domain).Name; got != tt.want {
			t.Errorf("listener %q, to %s: %s, want %s", tt.listener, tt.domain, got, tt.want)
		}
	}
}

// sendTo sends so many messages to a domain.
func (w *world) sendTo(domain string, n int) {
	w.t.Helper()
	c := dial(w.t, w.addr)
	c.do("EHLO client.test", "250")
	for i := range n {
		c.mail("a@sender.test", fmt.Sprintf("u%d@%s", i, domain), "Subject: x\r\n\r\nx")
	}
	c.do("QUIT", "221")
}

// busiest is a script of a peer that counts how many messages it is taking at
// once; it holds each until it is released.
type busiest struct {
	mu        sync.Mutex
	now, most int
	release   chan struct{}
}

func (b *busiest) script() mtatest.PeerScript {
	return mtatest.PeerScript{Answer: func(_ *mtatest.PeerConn, line string) string {
		if !strings.HasPrefix(line, "DATA") {
			return ""
		}
		b.mu.Lock()
		b.now++
		b.most = max(b.most, b.now)
		b.mu.Unlock()
		<-b.release
		b.mu.Lock()
		b.now--
		b.mu.Unlock()
		return ""
	}}
}

func (b *busiest) working() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

// TestDestinations_ConcurrencyIsObeyedAndSwapped: the limit holds while mail
// waits, and a commit that raises it counts at once.
func TestDestinations_ConcurrencyIsObeyedAndSwapped(t *testing.T) {
	for _, scope := range []store.LimitScope{store.WholeDomain, store.EachMX} {
		t.Run(string(scope), func(t *testing.T) {
			b := &busiest{release: make(chan struct{})}
			to := store.Destination{Domain: "rcpt.test", Concurrency: 2, Scope: scope, Place: store.SystemWide}
			w := start(t, func(_ *world, c *store.Config) {
				c.Routes = []store.Route{routeTo("ALL", mtatest.StartPeer(t, b.script()))}
				c.Destinations.Entries = []store.Destination{to}
			})
			w.sendTo("rcpt.test", 5)
			await(t, "two at work", func() bool { return b.working() == 2 })
			to.Concurrency = 3
			w.commit(func(c *store.Config) { c.Destinations.Entries = []store.Destination{to} })
			if scope == store.WholeDomain {
				await(t, "three at work", func() bool { return b.working() == 3 })
			}
			close(b.release)
			await(t, "an empty queue", func() bool { return w.gateway.live.queue.Stats().Messages == 0 })
			if want := map[store.LimitScope]int{store.WholeDomain: 3, store.EachMX: 3}[scope]; b.most > want {
				t.Errorf("%d at once, want %d", b.most, want)
			}
		})
	}
}

// TestDestinations_MessagesPerConnection: as the next hop sees it.
func TestDestinations_MessagesPerConnection(t *testing.T) {
	w := start(t, func(_ *world, c *store.Config) {
		c.Destinations.Entries = []store.Destination{{Domain: "rcpt.test", MaxMessages: 1, Concurrency: 1, Scope: store.WholeDomain, Place: store.SystemWide}}
	})
	w.sendTo("rcpt.test", 4)
	await(t, "four messages", func() bool { return len(w.hop.Messages()) == 4 })
	if n := w.hop.Connections(); n != 4 {
		t.Errorf("%d connections for 4 messages, one on each", n)
	}
}

// TestQueueSync_IsObeyedAndSwapped: a message waits for one sync, or for that of its
// file and that of its directory.
func TestQueueSync_IsObeyedAndSwapped(t *testing.T) {
	w := start(t, nil)
	for _, each := range []bool{false, true, false} {
		if running, _ := w.store.Running(); running.Queue.EachFile != each {
			w.commit(func(c *store.Config) { c.Queue.EachFile = each })
		}
		before := w.gateway.live.queue.Stats().Syncs
		w.sendTo("rcpt.test", 1)
		want := uint64(1)
		if each {
			want = 2
		}
		if n := w.gateway.live.queue.Stats().Syncs - before; n != want {
			t.Errorf("each file %v: %d syncs for a message, want %d", each, n, want)
		}
	}
}

// TestDestinations_RecipientsPerInterval: what is over the limit waits, and
// goes when a commit takes the limit away.
func TestDestinations_RecipientsPerInterval(t *testing.T) {
	for _, scope := range []store.LimitScope{store.WholeDomain, store.EachMX} {
		t.Run(string(scope), func(t *testing.T) {
			w := start(t, func(_ *world, c *store.Config) {
				c.Destinations.Entries = []store.Destination{{
					Domain: "rcpt.test", RecipientMinutes: 60, RecipientLimit: 3, Scope: scope, Place: store.SystemWide,
				}}
			})
			w.sendTo("rcpt.test", 5)
			w.sendTo("other.test", 1)
			await(t, "three messages and the other one", func() bool { return len(w.hop.Messages()) == 4 })
			await(t, "two that wait", func() bool { return w.gateway.live.queue.Stats().ActiveRecipients == 2 })
			if s := w.gateway.live.queue.Stats(); s.UnattemptedRecipients != 2 {
				t.Errorf("waiting counts as an attempt: %+v", s)
			}
			w.commit(func(c *store.Config) { c.Destinations.Entries = nil })
			await(t, "all messages", func() bool { return len(w.hop.Messages()) == 6 })
		})
	}
}
