package delivery

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"esa/mta/lookup"
	"esa/mta/mtatest"
	"esa/mta/route"
)

func TestConnectionIsReused(t *testing.T) {
	inWorld(t, func(w *world) {
		for range 3 {
			check(t, w.deliver(job(plainText, "a")), "delivered")
			time.Sleep(4 * time.Second) // in the bubble; it waits five
		}
		if n := w.peers[0].Connections(); n != 1 {
			t.Errorf("%d connections", n)
		}
		if got := w.peers[0].Commands(); slices.Contains(got, "RSET") {
			t.Errorf("RSET without need: %q", got)
		}
		time.Sleep(6 * time.Second)
		if s := w.client.Stats(); s.Idle != 0 || s.Open != 0 {
			t.Errorf("after the idle time: %+v", s)
		}
		if got := w.peers[0].Commands(); got[len(got)-1] != "QUIT" {
			t.Errorf("ended with %q", got)
		}
	}, mtatest.PeerScript{})
}

func TestMessagesPerConnection(t *testing.T) {
	inWorld(t, func(w *world) {
		for range 101 {
			check(t, w.deliver(job(plainText, "a")), "delivered")
		}
		if n := w.peers[0].Connections(); n != 3 {
			t.Errorf("%d connections for 101 messages, want 3", n)
		}
		w.configure(func(s *Settings) { s.Destination = one })
		check(t, w.deliver(job(plainText, "a")), "delivered")
		check(t, w.deliver(job(plainText, "a")), "delivered")
		if n := w.peers[0].Connections(); n != 5 {
			t.Errorf("%d connections, want 5: the one that waited was used up by the new setting", n)
		}
	}, mtatest.PeerScript{})
}

func TestRSETOnlyAfterATransactionThatWasLeftOpen(t *testing.T) {
	refuse := replies(map[string]string{"RCPT TO:<no": "550 no", "MAIL FROM:<bad": "550 no"})
	for _, tt := range []struct {
		name  string
		hello []string
		to    string
		from  string
		want  bool
	}{
		{"all recipients refused", nil, "no", "sender", true},
		{"all recipients refused, pipelined", []string{"PIPELINING"}, "no", "sender", true},
		{"MAIL refused", nil, "a", "bad", false},
		{"delivered", nil, "a", "sender", false},
	} {
		inWorld(t, func(w *world) {
			first := job(plainText, tt.to)
			first.Message.Sender.Local = tt.from
			w.deliver(first)
			check(t, w.deliver(job(plainText, "a")), "delivered")
			if n := w.peers[0].Connections(); n != 1 {
				t.Errorf("%s: %d connections", tt.name, n)
			}
			if got := slices.Contains(w.peers[0].Commands(), "RSET"); got != tt.want {
				t.Errorf("%s: RSET %v, want %v: %q", tt.name, got, tt.want, w.peers[0].Commands())
			}
		}, mtatest.PeerScript{Hello: tt.hello, Answer: refuse})
	}
}

// second makes a peer that is ordinary but for one answer on its first
// connection, once a message went through it.
func second(command, reply string) mtatest.PeerScript {
	delivered := false
	return mtatest.PeerScript{Answer: func(c *mtatest.PeerConn, line string) string {
		if c.Number == 1 && delivered && strings.HasPrefix(line, command) {
			return reply
		}
		delivered = delivered || line == "."
		return ""
	}}
}

func TestReusedConnectionThatIsDead(t *testing.T) {
	for _, reply := range []string{mtatest.PeerDrop, "421 4.4.2 timeout"} {
		inWorld(t, func(w *world) {
			check(t, w.deliver(job(plainText, "a")), "delivered")
			check(t, w.deliver(job(plainText, "a")), "delivered")
			if first, next := w.peers[0].Connections(), w.peers[1].Connections(); first != 2 || next != 0 {
				t.Errorf("%q: %d connections, %d to the next host", reply, first, next)
			}
			if log := w.log(); strings.Contains(log, "Connection Error") {
				t.Errorf("log:\n%s", log)
			}
		}, second("MAIL", reply), mtatest.PeerScript{})
	}
}

// The connection had died and the host is gone too: that it was there once
// says nothing about now.
func TestReusedConnectionThatIsDead_HostIsDown(t *testing.T) {
	inWorld(t, func(w *world) {
		check(t, w.deliver(job(plainText, "a")), "delivered")
		w.mu.Lock()
		w.down["192.0.2.1"] = os.NewSyscallError("connect", syscall.ECONNREFUSED)
		w.mu.Unlock()
		check(t, w.deliver(job(plainText, "a")), "deferred 4.4.0 0 connection-failed down")
	}, second("MAIL", mtatest.PeerDrop))
}

// Two names with one address share a connection; a failure has the name that
// was meant.
func TestReusedConnectionHasTheNameOfTheHop(t *testing.T) {
	both := hosts{"one.test": "192.0.2.1", "two.test": "192.0.2.1"}
	inWorld(t, func(w *world) {
		w.client.opt.Resolver = both
		for _, name := range []string{"one.test", "two.test"} {
			w.configure(func(s *Settings) { s.Routes = routes(route.Host{Name: name, Bracketed: true}) })
			out := w.deliver(job(plainText, "a"))
			check(t, out, "bounced 5.1.0 550 refused")
			if got := out[0].Failure.Host; got != name {
				t.Errorf("refused by %q, want %q", got, name)
			}
		}
		if n := w.peers[0].Connections(); n != 1 {
			t.Errorf("%d connections", n)
		}
	}, says("RCPT", "550 no"))
}

// hosts is a resolver that knows the IPv4 addresses of some hosts, which stand
// in one text.
type hosts map[string]string

func (hosts) MX(context.Context, string) lookup.MXAnswer        { return lookup.MXAnswer{} }
func (hosts) PTR(context.Context, netip.Addr) lookup.NameAnswer { return lookup.NameAnswer{} }
func (h hosts) Addrs(_ context.Context, name string, v6 bool) lookup.AddrAnswer {
	a := lookup.AddrAnswer{Answer: lookup.Answer{Status: lookup.Insecure}}
	for text := range strings.FieldsSeq(h[name]) {
		if addr := netip.MustParseAddr(text); !v6 {
			a.Addrs = append(a.Addrs, addr)
		}
	}
	return a
}

func TestReusedConnectionThatDiesLaterCounts(t *testing.T) {
	inWorld(t, func(w *world) {
		check(t, w.deliver(job(plainText, "a")), "delivered")
		check(t, w.deliver(job(plainText, "a")), "delivered")
		if first, next := w.peers[0].Connections(), w.peers[1].Connections(); first != 1 || next != 1 {
			t.Errorf("%d connections, %d to the next host", first, next)
		}
	}, second("RCPT", mtatest.PeerDrop), mtatest.PeerScript{})
}

func TestIdleConnectionThatPeerClosesOrSpeaksOn(t *testing.T) {
	for _, farewell := range []string{"", "421 4.4.2 idle too long"} {
		inWorld(t, func(w *world) {
			check(t, w.deliver(job(plainText, "a")), "delivered")
			time.Sleep(3 * time.Second) // in the bubble
			synctest.Wait()
			if s := w.client.Stats(); s.Idle != 0 || s.Open != 0 {
				t.Errorf("farewell %q: %+v", farewell, s)
			}
			check(t, w.deliver(job(plainText, "a")), "delivered")
		}, mtatest.PeerScript{Answer: func(c *mtatest.PeerConn, line string) string {
			if line != "." {
				return ""
			}
			c.Send("250 taken")
			time.Sleep(2 * time.Second) // in the bubble
			if farewell == "" {
				return mtatest.PeerDrop
			}
			return farewell
		}})
	}
}

func TestConfigureClosesWhatOtherSettingsMade(t *testing.T) {
	here := []Interface{{Name: "one", Hostname: "one.test", IPv4: netip.MustParseAddr("192.0.2.101")},
		{Name: "two", Hostname: "two.test", IPv4: netip.MustParseAddr("192.0.2.102")}}
	for _, tt := range []struct {
		name   string
		change func(s *Settings)
		kept   bool
	}{
		{"nothing", func(*Settings) {}, true},
		{"revision", func(s *Settings) { s.Revision++ }, true},
		{"possible delivery", func(s *Settings) { s.Possible = true }, true},
		{"another interface", func(s *Settings) { s.Interfaces = append(slices.Clone(here), Interface{Name: "three"}) }, true},
		{"source", func(s *Settings) { s.Source = "two" }, false},
		{"name of the source", func(s *Settings) {
			s.Interfaces = slices.Clone(here)
			s.Interfaces[0].Hostname = "new.test"
		}, false},
		{"host name", func(s *Settings) { s.Hostname = "new.test" }, false},
		{"auto", func(s *Settings) { s.Source = "" }, false},
	} {
		inWorld(t, func(w *world) {
			w.configure(func(s *Settings) { s.Interfaces, s.Source = here, "one" })
			check(t, w.deliver(job(plainText, "a")), "delivered")
			w.configure(tt.change)
			if got := w.client.Stats().Idle == 1; got != tt.kept {
				t.Errorf("%s: kept %v, want %v", tt.name, got, tt.kept)
			}
		}, mtatest.PeerScript{})
	}
}

func TestAttemptFinishesUnderItsSettings(t *testing.T) {
	var w *world
	change := func(_ *mtatest.PeerConn, line string) string {
		if strings.HasPrefix(line, "RCPT") {
			w.configure(func(s *Settings) { s.Hostname, s.Routes = "new.test", routes() })
		}
		return ""
	}
	inWorld(t, func(world *world) {
		w = world
		check(t, w.deliver(job(plainText, "a")), "delivered")
		if s := w.client.Stats(); s.Idle != 0 {
			t.Errorf("a connection of the old settings waits: %+v", s)
		}
	}, mtatest.PeerScript{Answer: change})
}

func TestSourceAndNameOfTheInterface(t *testing.T) {
	here := []Interface{{Name: "one", Hostname: "one.test", IPv4: netip.MustParseAddr("192.0.2.101")},
		{Name: "six", IPv6: netip.MustParseAddr("2001:db8::6")}}
	inWorld(t, func(w *world) {
		w.configure(func(s *Settings) { s.Interfaces = here })
		check(t, w.deliver(job(plainText, "a")), "delivered")
		w.configure(func(s *Settings) { s.Source = "one" })
		check(t, w.deliver(job(plainText, "a")), "delivered")
		w.configure(func(s *Settings) { s.Source = "six" })
		check(t, w.deliver(job(plainText, "a")), "deferred 4.4.0 0 no-address")
		w.configure(func(s *Settings) { s.Source = "removed" })
		check(t, w.deliver(job(plainText, "a")), "deferred 4.4.0 0 no-address")
		want := []string{"invalid IP > 192.0.2.1:25", "192.0.2.101 > 192.0.2.1:25"}
		if !slices.Equal(w.dialed, want) {
			t.Errorf("dialed %q, want %q", w.dialed, want)
		}
		var hellos []string
		for _, c := range w.peers[0].Commands() {
			if name, ok := strings.CutPrefix(c, "EHLO "); ok {
				hellos = append(hellos, name)
			}
		}
		if !slices.Equal(hellos, []string{"gateway.test", "one.test"}) {
			t.Errorf("EHLO %q", hellos)
		}
	}, mtatest.PeerScript{})
}

func TestPoolHasABound(t *testing.T) {
	inWorld(t, func(w *world) {
		done := make(chan struct{})
		for range maxIdle + 20 {
			go func() {
				w.client.Deliver(w.t.Context(), job(plainText, "a"))
				done <- struct{}{}
			}()
		}
		for range maxIdle + 20 {
			<-done
		}
		if s := w.client.Stats(); s.Idle > maxIdle || s.Open != s.Idle || s.Idle == 0 {
			t.Errorf("%+v", s)
		}
	}, mtatest.PeerScript{Answer: func(_ *mtatest.PeerConn, line string) string {
		if line == "." {
			time.Sleep(time.Second) // in the bubble: all connections are in use at once
		}
		return ""
	}})
}

func TestClosedClientKeepsNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		check(t, w.deliver(job(plainText, "a")), "delivered")
		w.client.Close()
		if s := w.client.Stats(); s.Open != 0 {
			t.Errorf("%+v", s)
		}
		check(t, w.client.Deliver(context.Background(), job(plainText, "a")), "delivered")
		if s := w.client.Stats(); s.Open != 0 {
			t.Errorf("kept after Close: %+v", s)
		}
	}, mtatest.PeerScript{})
}

// one allows one message on each connection.
func one(string) Destination { return Destination{MessagesPerConnection: 1} }
