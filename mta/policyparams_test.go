package mta

import (
	"testing"
	"time"

	"esa/mta/envelope"
	"esa/mta/policy"
	"esa/mta/smtpd"
	"esa/store"
)

// What holds for all listeners reaches each of them.
func TestReceptionOfAGeneration(t *testing.T) {
	c := store.Factory(store.FactoryFacts{Hostname: "gw.test"})
	c.Reception = store.Reception{MaxConnections: 7, HeaderLines: 0, CounterReset: 120, Unsuccessful: 30, ConnectionTime: 60, AddMessageID: true, RejectRecipients: true}
	c.Exceptions = []store.Exception{{Address: "@a.test", Allow: true}}
	g, problems := build(c, 1, trust{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	got := g.listener(c.Addresses(c.Listeners[0])[0])
	want := smtpd.Limits{HeaderLines: -1, RateWindow: 2 * time.Minute, Unsuccessful: 30 * time.Second, Total: time.Minute}
	if got.Limits != want || got.MaxTotal != 7 || !got.AddMessageID || !got.RejectRecipients {
		t.Errorf("got %+v", got)
	}
	if e, ok := got.Exceptions.Find(envelope.Address{Local: "x", Domain: "a.test"}); !ok || !e.Allow {
		t.Error("the exception table is not there")
	}
}

// What a policy and the defaults say reaches the listener.
func TestPolicyParamsOfAGeneration(t *testing.T) {
	reply := func(code int) store.Reply { return store.Reply{Use: store.Yes, Code: code, Text: "text"} }
	c := store.Factory(store.FactoryFacts{Hostname: "gw.test"})
	h := &c.Listeners[0].HAT
	h.Default = store.PolicyParams{
		MaxSize: 2048, MaxMessages: 2, MaxRecipients: 3, MaxConnections: 4,
		BannerHost: store.BannerHost{Use: store.Yes, Name: "mx.test"}, AcceptReply: reply(220), RejectReply: reply(554),
		MaxPerHour: 5, LimitReply: reply(452), MaxInvalid: 6, DropHarvester: store.Yes, HarvestReply: reply(550), SignificantBits: 24,
		SenderRate:  store.SenderRate{Use: store.Yes, MaxRecipients: 7, Interval: 8, Reply: reply(450), Exceptions: "a@, b.test"},
		TLS:         store.PolicyTLS{Mode: store.TLSPreferred, Addresses: "a@, b.test"},
		SenderCheck: store.SenderCheck{Use: store.Yes, Malformed: reply(501), Unresolved: reply(450), Nonexistent: reply(550)}, UseExceptions: store.Yes,
	}
	g, problems := build(c, 1, trust{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	said := func(code int) policy.Reply { return policy.Reply{Code: code, Text: "text"} }
	want := policy.Params{
		MaxSize: 2048, MaxMessages: 2, MaxRecipients: 3, MaxConnections: 4, BannerHost: "mx.test", AcceptReply: said(220), RejectReply: said(554),
		MaxPerHour: store.NoLimit, LimitReply: said(452), MaxInvalid: 6, DropHarvester: true, HarvestReply: said(550), SignificantBits: 24,
		SenderRate:  policy.SenderRate{Most: 7, Every: 8 * time.Minute, Reply: said(450)},
		TLS:         policy.TLS{Mode: policy.TLSPreferred},
		SenderCheck: policy.SenderCheck{On: true, Malformed: said(501), Unresolved: said(450), Nonexistent: said(550)}, UseExceptions: true,
	}
	got := g.listener(c.Addresses(c.Listeners[0])[0]).HAT.Groups[0].Params // RELAYED lifts the limit per hour
	except, senders := got.SenderRate.Exceptions, got.TLS.Senders
	got.SenderRate.Exceptions, got.TLS.Senders = nil, nil
	if got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	for address, exempt := range map[string]bool{"a@x.test": true, "z@b.test": true, "z@x.test": false} {
		a, err := envelope.ParseAddress(address)
		if err != nil || except == nil || except.Decide(a).Accept != exempt || senders == nil || senders.Decide(a).Accept != exempt {
			t.Errorf("%s: %v", address, err)
		}
	}
}
