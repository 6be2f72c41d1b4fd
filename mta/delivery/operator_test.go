package delivery

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"esa/mta/envelope"
	"esa/mta/mtatest"
)

// What operators do to deliveries.

// TestCutEndsAtOnce: not even a message under way keeps the connection.
func TestCutEndsAtOnce(t *testing.T) {
	for _, at := range []string{"MAIL", "RCPT", "DATA", "."} {
		inWorld(t, func(w *world) {
			for _, stopped := range []time.Duration{0, time.Second / 2} {
				cutting, cut := context.WithCancel(w.t.Context())
				ctx, stop := context.WithCancel(cutting)
				if stopped > 0 { // gently, before it is cut
					time.AfterFunc(stopped, stop)
				}
				time.AfterFunc(time.Second, cut)
				start := time.Now()
				j := job(plainText, "a")
				j.Cut = cutting
				check(t, w.client.Deliver(ctx, j), "deferred 4.3.0 0 local-error")
				if took := time.Since(start); took != time.Second {
					t.Errorf("silent at %s: took %v", at, took)
				}
				stop()
			}
		}, mtatest.PeerScript{Answer: replies(map[string]string{at: mtatest.PeerSilence})})
	}
}

// TestVia goes to the machine that is named, and to no other.
func TestVia(t *testing.T) {
	inWorld(t, func(w *world) {
		j := job(plainText, "a")
		j.Via = &envelope.Machine{Host: "192.0.2.2", Port: 2525}
		check(t, w.client.Deliver(w.t.Context(), j), "delivered")
		if w.peers[0].Connections() != 0 || w.peers[1].Connections() != 1 {
			t.Errorf("%d and %d connections", w.peers[0].Connections(), w.peers[1].Connections())
		}
		if got := w.log(); !strings.Contains(got, "address 192.0.2.2 port 2525") {
			t.Error(got)
		}
		// A name goes by its addresses; what DNS says of it never bounces.
		j.Via = &envelope.Machine{Host: "mx.example.test"}
		check(t, w.client.Deliver(w.t.Context(), j), "deferred 4.1.2 0 dns-failure")
	}, mtatest.PeerScript{}, mtatest.PeerScript{})
}

// TestWorking counts the connections that attempts hold, not those that wait.
func TestWorking(t *testing.T) {
	inWorld(t, func(w *world) {
		ctx, stop := context.WithCancel(w.t.Context())
		done := make(chan bool)
		go func() {
			w.client.Deliver(ctx, job(plainText, "a"))
			close(done)
		}()
		synctest.Wait()
		if got := w.client.Working(); len(got) != 1 || got["d.test"] != 1 {
			t.Errorf("%v", got)
		}
		stop()
		<-done
		if got := w.client.Working(); len(got) != 0 {
			t.Errorf("%v", got)
		}
	}, mtatest.PeerScript{Answer: replies(map[string]string{"RCPT": mtatest.PeerSilence})})
}

// TestForgetRecipients begins the limit of an address anew.
func TestForgetRecipients(t *testing.T) {
	c := New(Options{})
	key, limits := gateKey{domain: "a.test", addr: netip.MustParseAddr("192.0.2.1")}, AddressLimits{Recipients: 2, Interval: time.Hour}
	first, _ := c.gate.enter(key, limits, 2)
	first.left = 1 // one was sent
	if t2, wait := c.gate.enter(key, limits, 1); t2.taken || wait <= 0 {
		t.Fatalf("%+v, %v", t2, wait)
	}
	c.ForgetRecipients()
	second, _ := c.gate.enter(key, limits, 2)
	if !second.taken || second.left != 2 {
		t.Errorf("%+v", second)
	}
	c.gate.leave(first)
	if third, _ := c.gate.enter(key, limits, 1); third.taken {
		t.Errorf("what was sent before is given back: %+v", third)
	}
}
