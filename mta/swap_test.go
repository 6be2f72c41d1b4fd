package mta

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"esa/mta/maillog"
	"esa/mta/mtatest"
	"esa/store"
)

// twoListeners adds a second listener; it is what most of these tests change.
func twoListeners(second netip.AddrPort) func(*world, *store.Config) {
	return func(_ *world, c *store.Config) { listenAt("Second", second)(c) }
}

// TestSwap_RemovedListener: no new connections; a session ends at its next
// MAIL, a transaction under way does not.
func TestSwap_RemovedListener(t *testing.T) {
	second := freeAddr(t, "127.0.0.2")
	w := start(t, twoListeners(second))
	idle, busy, greeted := dial(t, second), dial(t, second), dial(t, second)
	busy.do("MAIL FROM:<a@sender.test>", "250")
	w.commit(func(c *store.Config) { c.Listeners = c.Listeners[:1] })
	idle.do("NOOP", "250")
	idle.do("MAIL FROM:<a@sender.test>", "421")
	idle.closed()
	busy.do("RCPT TO:<b@rcpt.test>", "250")
	busy.do("DATA", "354")
	busy.do("Subject: busy\r\n\r\nx\r\n.", "250")
	busy.do("MAIL FROM:<a@sender.test>", "421")
	busy.closed()
	greeted.do("QUIT", "221")
	await(t, "the message of the old session", func() bool { return len(w.hop.Messages()) == 1 })
	if _, err := net.Dial("tcp", second.String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connecting to the removed listener: %v", err)
	}
	dial(t, w.addr)
}

// TestSwap_RejectedSenderGroup: who would not be let in any more ends at the
// next MAIL.
func TestSwap_RejectedSenderGroup(t *testing.T) {
	w := start(t, nil)
	c := dial(t, w.addr)
	c.do("MAIL FROM:<a@sender.test>", "250")
	w.commit(func(c *store.Config) { c.Listeners[0].HAT.Groups[0].Hosts = []string{"192.0.2.1"} })
	c.do("RCPT TO:<b@rcpt.test>", "250")
	c.do("RSET", "250")
	c.do("MAIL FROM:<a@sender.test>", "421")
	c.closed()
	connect(t, w.addr).want("554")
}

// TestSwap_NewSizeAtTheNextMail: the transaction under way keeps its limit.
func TestSwap_NewSizeAtTheNextMail(t *testing.T) {
	w := start(t, nil)
	c := dial(t, w.addr)
	c.do("EHLO client.test", "250")
	c.do("MAIL FROM:<a@sender.test> SIZE=5000", "250")
	c.do("RCPT TO:<b@rcpt.test>", "250")
	w.commit(func(c *store.Config) { c.Listeners[0].HAT.Default.MaxSize = 2048 })
	c.do("DATA", "354")
	c.do(strings.Repeat("0123456789\r\n", 400)+".", "250")
	c.do("MAIL FROM:<a@sender.test> SIZE=5000", "552")
	c.do("MAIL FROM:<a@sender.test> SIZE=1000", "250")
	if got := dial(t, w.addr).do("EHLO client.test", "250"); !strings.Contains(got, "SIZE 2048") {
		t.Errorf("announced: %q", got)
	}
}

// TestSwap_MovedListener: the new address answers when commit returns; nobody
// who reached the old one is left without a word.
func TestSwap_MovedListener(t *testing.T) {
	w := start(t, nil)
	here, there := w.addr, freeAddr(t, "127.0.0.1")
	old := dial(t, here)
	storm := startClients(4, func() error {
		for _, addr := range []netip.AddrPort{here, there} {
			got, err := greet(addr)
			refused := errors.Is(err, syscall.ECONNREFUSED)
			if err != nil && !refused || err == nil && !strings.HasPrefix(got, "220 ") && !strings.HasPrefix(got, "421 ") {
				return fmt.Errorf("%s answers %q, %w", addr, got, err)
			}
		}
		return nil
	})
	for i := range 6 {
		storm.between(2)
		to := []netip.AddrPort{there, here}[i%2]
		w.commit(func(c *store.Config) { c.Listeners[0].Port = to.Port() })
		dial(t, to).do("NOOP", "250")
	}
	storm.wantNoLoss(t)
	w.commit(func(c *store.Config) { c.Listeners[0].Port = there.Port() })
	old.do("NOOP", "250")
	old.do("MAIL FROM:<a@sender.test>", "421")
	old.closed()
}

// TestSwap_AConnectionBetweenPointerAndSockets of a removed listener is told
// so, and not cut.
func TestSwap_AConnectionBetweenPointerAndSockets(t *testing.T) {
	w := start(t, nil)
	without, _ := w.store.Running()
	without = without.Clone()
	without.Listeners = nil
	next, _ := build(without, 2, trust{})
	w.gateway.current.Store(next)
	c := connect(t, w.addr)
	c.want("421")
	c.closed()
}

// TestSwap_ListenerOnTheAddressOfARemovedOne: one commit gives the address of
// a listener to another.
func TestSwap_ListenerOnTheAddressOfARemovedOne(t *testing.T) {
	second := freeAddr(t, "127.0.0.2")
	w := start(t, twoListeners(second))
	before := inodes(t, second.Port())
	w.commit(func(c *store.Config) {
		c.Listeners = c.Listeners[1:]
		c.Listeners[0].Name = "Successor"
		c.Interfaces[1].Hostname = "successor.test"
	})
	if got, err := greet(second); err != nil || !strings.HasPrefix(got, "220 successor.test ") {
		t.Errorf("greeted %q, %v", got, err)
	}
	for addr, inode := range before {
		if got := inodes(t, second.Port())[addr]; got != inode {
			t.Errorf("the socket of %s was %s and is %s", addr, inode, got)
		}
	}
}

// TestSwap_NoWildcard: an interface has an address of its own, so that the
// rule on wildcards (package socket) is never needed; if that changes, this
// test asks for more.
func TestSwap_NoWildcard(t *testing.T) {
	w := start(t, nil)
	for _, addr := range []string{"0.0.0.0", "::"} {
		s := w.edit("admin", func(c *store.Config) {
			p := netip.PrefixFrom(netip.MustParseAddr(addr), 8)
			if p.Addr().Is4() {
				c.Interfaces[0].IPv4 = p
			} else {
				c.Interfaces[0].IPv6 = p
			}
		})
		if len(w.problems(s)) == 0 {
			t.Errorf("%s can be committed", addr)
		}
	}
}

// TestSwap_LogLosesNoLine: the connections of a storm of log changes are all
// in the log.
func TestSwap_LogSubscriptionFromTheNextLine(t *testing.T) {
	w := start(t, nil)
	w.commit(func(c *store.Config) {
		l := store.NewLog("", store.TextMailLog)
		l.Name = "second_log"
		c.Logs = append(c.Logs, l)
	})
	dial(t, w.addr).do("QUIT", "221")
	var text strings.Builder
	search := maillog.Search{Log: "second_log", Expression: regexp.MustCompile("ICID")}
	if n, err := w.gateway.GrepLog(t.Context(), search, &text); err != nil || n == 0 || !strings.Contains(text.String(), "New SMTP ICID") {
		t.Errorf("%d lines, %v:\n%s", n, err, text.String())
	}
}

// TestReverseLookups: dnsconfig's 0 seconds switch them off.
func TestReverseLookups(t *testing.T) {
	const name = "1.0.0.127.in-addr.arpa."
	server := mtatest.NewDNSServer(t, "test. SOA ns.test. root.test. 1 1 1 1 1\n"+name+" PTR client.test.\nclient.test. A 127.0.0.1\n")
	w := start(t, func(_ *world, c *store.Config) {
		c.DNS.Servers = []store.DNSServer{{Addr: server.Addr()}}
		c.DNS.ReverseTimeout = 20
	})
	send := func() string {
		n := len(w.hop.Messages())
		dial(t, w.addr).mail("a@sender.test", "b@rcpt.test", "Subject: x\r\n\r\nx")
		await(t, "the message", func() bool { return len(w.hop.Messages()) > n })
		return w.hop.Messages()[n].Text
	}
	if text := send(); !strings.Contains(text, "Received: from client.test ") || server.Asked(name, "PTR") == 0 {
		t.Errorf("asked %d times, and\n%s", server.Asked(name, "PTR"), text)
	}
	asked := server.Asked(name, "PTR")
	w.commit(func(c *store.Config) { c.DNS.ReverseTimeout, c.DNS.MinTTL = 0, 0 })
	if text := send(); !strings.Contains(text, "Received: from unknown ") || server.Asked(name, "PTR") != asked {
		t.Errorf("asked again %d times, and\n%s", server.Asked(name, "PTR")-asked, text)
	}
}

// TestBoundsAreObeyed: what the store lets pass can run.
func TestBoundsAreObeyed(t *testing.T) {
	w := start(t, nil)
	for name, change := range map[string]func(*store.Config){
		"least": func(c *store.Config) {
			c.Logs[2].MaxSize, c.Logs[2].MaxFiles, c.Logs[2].Level = store.MinLogSize, 1, 1
			c.Listeners[0].MaxConnections, c.Listeners[0].QueueSize = 1, 1
			c.Listeners[0].HAT.Default = store.PolicyParams{MaxSize: store.MinMessageSize, MaxMessages: 1, MaxRecipients: 1, MaxConnections: 1}
			c.Delivery.Concurrency, c.Delivery.TLSConcurrency = 1, 1
		},
		"most": func(c *store.Config) {
			c.Logs[2].MaxSize, c.Logs[2].MaxFiles, c.Logs[2].Level = store.MaxLogSize, store.MaxLogFiles, 5
			c.Listeners[0].MaxConnections, c.Listeners[0].QueueSize = store.MaxListenerConns, store.MaxQueueSize
			most := store.MaxPolicyCount
			c.Listeners[0].HAT.Default = store.PolicyParams{MaxSize: store.MaxMessageSize, MaxMessages: most, MaxRecipients: most, MaxConnections: most}
			c.Delivery.Concurrency, c.Delivery.TLSConcurrency = store.MaxConcurrency, store.MaxConcurrency
		},
	} {
		t.Run(name, func(t *testing.T) {
			w.commit(change)
			if got, err := greet(w.addr); err != nil || !strings.HasPrefix(got, "220 ") {
				t.Errorf("greeted %q, %v", got, err)
			}
		})
	}
}
