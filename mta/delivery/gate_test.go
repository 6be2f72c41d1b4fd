package delivery

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"esa/mta/envelope"
	"esa/mta/lookup"
	"esa/mta/mtatest"
	"esa/mta/route"
)

// limited makes the settings of a destination whose addresses have limits.
func limited(l AddressLimits) func(string) Destination {
	return func(string) Destination { return Destination{PerAddress: l} }
}

// hold makes a peer that answers the final dot a minute later.
func hold() mtatest.PeerScript {
	return mtatest.PeerScript{Answer: func(_ *mtatest.PeerConn, line string) string {
		if line == "." {
			time.Sleep(time.Minute)
		}
		return ""
	}}
}

// at gives how many messages each peer has.
func (w *world) at() []int {
	var n []int
	for _, p := range w.peers {
		n = append(n, len(p.Messages()))
	}
	return n
}

// crowd delivers so many messages at once and gives how many were delivered
// and how many met limits.
func (w *world) crowd(n int) (delivered, crowded int) {
	w.t.Helper()
	var all sync.WaitGroup
	outs := make([][]envelope.Outcome, n)
	for i := range n {
		all.Go(func() { outs[i] = w.client.Deliver(w.t.Context(), job(plainText, "a")) })
	}
	all.Wait()
	for _, out := range outs {
		switch o := out[0]; {
		case o.Result == envelope.Delivered:
			delivered++
		case o.Crowded && !o.HostDown && o.Failure.Reason == envelope.ReasonNone && o.Result == envelope.Deferred:
			crowded++
		default:
			w.t.Errorf("outcome %+v", o)
		}
	}
	return delivered, crowded
}

func TestPerAddress_Concurrency(t *testing.T) {
	inWorld(t, func(w *world) {
		w.configure(func(s *Settings) { s.Destination = limited(AddressLimits{Concurrency: 2}) })
		if d, c := w.crowd(6); d != 4 || c != 2 {
			t.Errorf("%d delivered, %d crowded, want 2 at each of two addresses", d, c)
		}
		if got := w.at(); got[0] != 2 || got[1] != 2 {
			t.Errorf("messages at %v", got)
		}
		if d, c := w.crowd(1); d != 1 || c != 0 {
			t.Errorf("later: %d delivered, %d crowded", d, c)
		}
	}, hold(), hold())
}

// Each domain has its own limit at an address that both use.
func TestPerAddress_ConcurrencyOfTwoDomains(t *testing.T) {
	inWorld(t, func(w *world) {
		w.configure(func(s *Settings) { s.Destination = limited(AddressLimits{Concurrency: 1}) })
		done := make(chan bool)
		go func() { w.client.Deliver(w.t.Context(), job(plainText, "a")); close(done) }()
		synctest.Wait()
		other := job(plainText, "a")
		other.Domain = "other.test"
		check(t, w.deliver(other), "delivered")
		<-done
		if d, c := w.crowd(1); d != 1 || c != 0 {
			t.Errorf("%d delivered, %d crowded", d, c)
		}
	}, hold())
}

func TestPerAddress_ConcurrencyPerInterface(t *testing.T) {
	for _, per := range []bool{false, true} {
		inWorld(t, func(w *world) {
			w.configure(func(s *Settings) {
				s.Destination = limited(AddressLimits{Concurrency: 1, PerInterface: per})
				s.Interfaces = []Interface{{Name: "one", IPv4: netip.MustParseAddr("192.0.2.101")}, {Name: "two", IPv4: netip.MustParseAddr("192.0.2.102")}}
				s.Source = "one"
			})
			done := make(chan bool)
			go func() { w.client.Deliver(w.t.Context(), job(plainText, "a")); close(done) }()
			synctest.Wait()
			w.configure(func(s *Settings) { s.Source = "two" })
			if d, _ := w.crowd(1); (d == 1) != per {
				t.Errorf("per interface %v: %d delivered", per, d)
			}
			<-done
		}, hold())
	}
}

func TestPerAddress_Recipients(t *testing.T) {
	inWorld(t, func(w *world) {
		w.configure(func(s *Settings) {
			s.Destination = limited(AddressLimits{Recipients: 2, Interval: 10 * time.Minute})
		})
		time.Sleep(time.Second)
		out := w.deliver(job(plainText, "a", "b", "c", "d", "e"))
		check(t, out[:4], "delivered", "delivered", "delivered", "delivered")
		if o := out[4]; !o.Crowded || o.Wait != 10*time.Minute || o.HostDown {
			t.Errorf("fifth: %+v", o)
		}
		if got := w.at(); got[0] != 1 || got[1] != 1 {
			t.Errorf("messages at %v", got)
		}
		time.Sleep(9 * time.Minute)
		if o := w.deliver(job(plainText, "e"))[0]; !o.Crowded || o.Wait != time.Minute {
			t.Errorf("after 9 minutes: %+v", o)
		}
		time.Sleep(time.Minute)
		check(t, w.deliver(job(plainText, "e")), "delivered")
	}, mtatest.PeerScript{}, mtatest.PeerScript{})
}

// What a host was not sent does not count: neither a host that is down nor one
// that refuses the sender uses anything up.
func TestPerAddress_RecipientsThatWereNotSent(t *testing.T) {
	refusing := true
	inWorld(t, func(w *world) {
		w.configure(func(s *Settings) {
			s.Destination = limited(AddressLimits{Recipients: 1, Interval: time.Hour})
		})
		check(t, w.deliver(job(plainText, "a")), "deferred 4.1.0 450 deferred")
		refusing = false
		check(t, w.deliver(job(plainText, "a")), "delivered")
	}, mtatest.PeerScript{Answer: func(_ *mtatest.PeerConn, line string) string {
		if refusing && strings.HasPrefix(line, "MAIL") {
			return "450 not now"
		}
		return ""
	}})
}

// A connection that died while idle does not cost its recipients twice.
func TestPerAddress_RecipientsOfAReusedConnectionThatIsDead(t *testing.T) {
	inWorld(t, func(w *world) {
		w.configure(func(s *Settings) {
			s.Destination = limited(AddressLimits{Recipients: 2, Interval: time.Hour})
		})
		check(t, w.deliver(job(plainText, "a")), "delivered")
		check(t, w.deliver(job(plainText, "b")), "delivered")
	}, second("MAIL", mtatest.PeerDrop))
}

// A host that is down does not make a destination down whose other host is at
// its limit.
func TestPerAddress_OneDownOneCrowded(t *testing.T) {
	inWorld(t, func(w *world) {
		w.configure(func(s *Settings) {
			s.Destination = limited(AddressLimits{Concurrency: 1})
			s.Routes = routes(route.Host{Name: "192.0.2.1"}, route.Host{Name: "192.0.2.9", Priority: 1})
		})
		done := make(chan bool)
		go func() { w.client.Deliver(w.t.Context(), job(plainText, "a")); close(done) }()
		synctest.Wait()
		check(t, w.deliver(job(plainText, "a")), "deferred 4.4.0 0 connection-failed")
		<-done
	}, hold())
}

func TestGate_ForgetsWhatIsNotInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate{held: map[gateKey]*held{}}
		for i := range 3 * maxHeld {
			key := gateKey{addr: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}
			ticket, _ := g.enter(key, AddressLimits{Recipients: 1, Interval: time.Minute}, 1)
			ticket.left = 0
			g.leave(ticket)
			if i%maxHeld == maxHeld-1 {
				time.Sleep(time.Minute)
			}
		}
		if n := len(g.held); n > maxHeld {
			t.Errorf("%d held", n)
		}
		ticket, _ := g.enter(gateKey{domain: "x"}, AddressLimits{Concurrency: 1}, 1)
		g.leave(ticket)
		if _, kept := g.held[gateKey{domain: "x"}]; kept {
			t.Error("kept without need")
		}
	})
}

// twoFamilies is a resolver whose hosts have an address of each family.
type twoFamilies struct{ noDNS }

func (twoFamilies) MX(context.Context, string) lookup.MXAnswer {
	return lookup.MXAnswer{Answer: lookup.Answer{Status: lookup.Insecure}}
}

func (twoFamilies) Addrs(_ context.Context, _ string, v6 bool) lookup.AddrAnswer {
	addr := netip.MustParseAddr("192.0.2.9")
	if v6 {
		addr = netip.MustParseAddr("2001:db8::9")
	}
	return lookup.AddrAnswer{Answer: lookup.Answer{Status: lookup.Insecure}, Addrs: []netip.Addr{addr}}
}

func TestFamilyOfTheDestination(t *testing.T) {
	const v4, v6 = "192.0.2.9:25", "[2001:db8::9]:25"
	for family, want := range map[route.Family]string{
		route.PreferV6: v6 + " " + v4, route.RequireV6: v6, route.PreferV4: v4 + " " + v6, route.RequireV4: v4,
	} {
		inWorld(t, func(w *world) {
			w.client.opt.Resolver = twoFamilies{}
			var dialed []string
			w.client.opt.Dial = recordDial(&dialed)
			w.configure(func(s *Settings) {
				s.Routes = route.Table{}
				s.Destination = func(domain string) Destination {
					if domain != "d.test" {
						return Destination{}
					}
					return Destination{Family: family}
				}
			})
			w.deliver(job(plainText, "a"))
			if got := strings.Join(dialed, " "); got != want {
				t.Errorf("family %d: tried %s, want %s", family, got, want)
			}
		})
	}
}

// recordDial refuses every connection and notes where it would have gone.
func recordDial(to *[]string) func(context.Context, netip.Addr, netip.AddrPort) (net.Conn, error) {
	return func(_ context.Context, _ netip.Addr, remote netip.AddrPort) (net.Conn, error) {
		*to = append(*to, remote.String())
		return nil, syscall.ECONNREFUSED
	}
}
