package mta

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"esa/mta/counters"
	"esa/mta/delivery"
	"esa/mta/envelope"
	"esa/mta/lookup"
	"esa/mta/mtatest"
	"esa/mta/queue"
)

// patchyDNS answers nothing while it is down, in one of three ways. Of domains
// it knows those that begin with d.
type patchyDNS struct{ down atomic.Bool }

func (d *patchyDNS) answer(name string) lookup.Answer {
	switch {
	case !d.down.Load():
		return lookup.Answer{Status: lookup.Insecure, NXDomain: name[0] == 'x'}
	case name[1] == '0':
		return lookup.Answer{Status: lookup.Bogus, Why: "signature expired"}
	case name[1] == '1':
		return lookup.Answer{Why: "timeout asking 192.0.2.53"}
	}
	return lookup.Answer{Why: "ServFail"}
}

func (d *patchyDNS) MX(_ context.Context, name string) lookup.MXAnswer {
	a := lookup.MXAnswer{Answer: d.answer(name)}
	if a.Usable() && !a.NXDomain {
		a.Records = []lookup.MX{{Preference: 10, Host: "mx." + name}}
	}
	return a
}

func (d *patchyDNS) Addrs(_ context.Context, name string, v6 bool) lookup.AddrAnswer {
	a := lookup.AddrAnswer{Answer: d.answer(name)}
	if a.Usable() && !a.NXDomain && !v6 {
		a.Addrs = []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	}
	return a
}

func (d *patchyDNS) PTR(context.Context, netip.Addr) lookup.NameAnswer {
	return lookup.NameAnswer{Answer: d.answer("d9.test")}
}

// TestR15_DNSTroubleDefersAndNeverBounces: five minutes without DNS under
// load, then it is back. Only what is known not to exist bounces.
func TestR15_DNSTroubleDefersAndNeverBounces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const messages = 100
		var serving sync.WaitGroup
		hop, dns := mtatest.NewPeer(mtatest.PeerScript{}), &patchyDNS{}
		count, err := counters.Open(filepath.Join(t.TempDir(), "counters"), nil)
		if err != nil {
			t.Fatal(err)
		}
		client := delivery.New(delivery.Options{Resolver: dns, Counters: count, Dial: func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
			ours, theirs := net.Pipe()
			serving.Go(func() { hop.Serve(theirs) })
			return ours, nil
		}})
		client.Configure(&delivery.Settings{Hostname: "gw.test"})
		q, err := queue.Open(queue.Options{Dir: filepath.Join(t.TempDir(), "queue"), Courier: client, Counters: count})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = q.Run(ctx) })

		dns.down.Store(true)
		for i := range messages {
			queueOne(t, q, count.NextMID(), fmt.Sprintf("d%d.test", i%10))
			time.Sleep(5 * time.Minute / messages)
		}
		synctest.Wait()
		if got := count.Snapshot().Counters; got[counters.HardBouncedRecips].Uptime != 0 || len(hop.Messages()) != 0 || q.Stats().ActiveRecipients != messages {
			t.Errorf("without DNS: %d bounced, %d delivered, %d wait", got[counters.HardBouncedRecips].Uptime, len(hop.Messages()), q.Stats().ActiveRecipients)
		}
		dns.down.Store(false)
		queueOne(t, q, count.NextMID(), "x.test")
		back := time.Now()
		for len(hop.Messages()) < messages && time.Since(back) < 24*time.Hour {
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		t.Logf("delivered %v after DNS was back", time.Since(back))
		if took := time.Since(back); took > time.Hour || q.Stats().Messages != 0 {
			t.Errorf("%v until all was delivered, %d messages left", took, q.Stats().Messages)
		}
		if n := count.Snapshot().Counters[counters.DNSHardBouncedRecips].Uptime; n != 1 {
			t.Errorf("%d bounced, want the one whose domain does not exist", n)
		}
		stop()
		running.Wait()
		client.Close()
		hop.Stop()
		serving.Wait()
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
}

// queueOne queues a message for a domain, from the null sender.
func queueOne(t *testing.T, q *queue.Queue, mid envelope.MID, domain string) {
	t.Helper()
	m := envelope.Message{MID: mid, Recipients: []envelope.Recipient{{Address: envelope.Address{Local: "u", Domain: domain}}}}
	d, err := q.Begin(m)
	if err == nil {
		_, err = io.WriteString(d, "Subject: x\r\n\r\nbody\r\n")
	}
	if err == nil {
		err = d.Commit(m)
	}
	if err != nil {
		t.Fatal(err)
	}
}
