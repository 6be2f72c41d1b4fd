package mta

import (
	"bufio"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"esa/store"
)

// sshOn has operators log in on an address, which gets an interface if it has
// none.
func sshOn(addr netip.AddrPort) func(*store.Config) {
	return func(c *store.Config) {
		for i := range c.Interfaces {
			if c.Interfaces[i].IPv4.Addr() == addr.Addr() {
				c.Interfaces[i].SSHPort = addr.Port()
				return
			}
		}
		c.Interfaces = append(c.Interfaces, store.Interface{
			Name: "Console", Hostname: "gw.test", IPv4: netip.PrefixFrom(addr.Addr(), 8), SSHPort: addr.Port(),
		})
	}
}

// withConsole runs a gateway whose SSH ports say hello and stay open until the
// client goes.
func withConsole(t *testing.T, change func(*store.Config)) *world {
	t.Helper()
	w := newWorld(t, func(_ *world, c *store.Config) { change(c) })
	w.console = func(conn net.Conn) {
		go func() {
			defer conn.Close()
			_, _ = conn.Write([]byte("console\r\n"))
			// All of the line, or the close would be a reset.
			_, _ = bufio.NewReader(conn).ReadString('\n')
			_, _ = conn.Write([]byte("bye\r\n"))
		}()
	}
	w.run()
	return w
}

// TestConsole_SwappedLikeListeners: a commit adds and removes SSH ports; what is
// connected stays, and a port that goes from SSH to mail or back changes hands.
func TestConsole_SwappedLikeListeners(t *testing.T) {
	first, second := freeAddr(t, "127.0.0.2"), freeAddr(t, "127.0.0.2")
	w := withConsole(t, sshOn(first))
	w.awaitBound(2)
	stays := connect(t, first)
	stays.want("console")

	w.commit(sshOn(second))
	connect(t, second).want("console")
	if _, err := net.Dial("tcp", first.String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connecting to the removed port: %v", err)
	}
	mail := w.addr.Port()
	w.commit(func(c *store.Config) {
		c.Listeners[0].Port, c.Interfaces[0].SSHPort = freeAddr(t, "127.0.0.1").Port(), mail
	})
	connect(t, w.addr).want("console")
	w.commit(func(c *store.Config) { c.Listeners[0].Port, c.Interfaces[0].SSHPort = mail, 0 })
	connect(t, w.addr).want("220")
	stays.do("x", "bye")
}

// TestConsole_PortThatIsTaken: a commit that wants it fails and changes nothing;
// a start goes on without it, tells, and tries again.
func TestConsole_PortThatIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).AddrPort()
	w := withConsole(t, sshOn(port))
	await(t, "the report", func() bool { return len(w.gateway.Status().NoSSH) == 1 })
	status := w.gateway.Status()
	if !strings.HasPrefix(status.NoSSH[0], `SSH of interface "Console": Port `) || len(status.Unbound) != 0 {
		t.Errorf("status: %q, %q", status.NoSSH, status.Unbound)
	}
	await(t, "the alert", func() bool {
		raised, err := w.gateway.Alerts()
		return err == nil && len(raised) == 1 && strings.HasPrefix(raised[0].Text, `Nobody can log in by SSH of interface "Console".`)
	})
	dial(t, w.addr).mail("a@sender.test", "b@rcpt.test", "Subject: x\r\n\r\nx")

	other := taken(w, "127.0.0.1")
	problems := w.problems(w.edit("admin", sshOn(other)))
	if len(problems) != 1 || problems[0].Place != `SSH of interface "Management"` || problems[0].Fix != "interfaceconfig -> EDIT" {
		t.Errorf("problems: %+v", problems)
	}
	l.Close()
	w.awaitBound(2)
	connect(t, port).want("console")
	await(t, "an empty report", func() bool { return len(w.gateway.Status().NoSSH) == 0 })
}

// TestConsole_TheChangeThatCutsOffIsAsked, of the session that came that way
// and of no other.
func TestConsole_TheChangeThatCutsOffIsAsked(t *testing.T) {
	here := freeAddr(t, "127.0.0.2")
	w := withConsole(t, sshOn(here))
	w.awaitBound(2)
	for _, tt := range []struct {
		name   string
		who    store.Who
		change func(*store.Config)
		asks   string
	}{
		{"port", store.Who{User: "admin", Source: "127.0.0.9", Local: here}, func(c *store.Config) { c.Interfaces[1].SSHPort = 0 },
			"You are logged in by SSH on 127.0.0.2 port"},
		{"interface", store.Who{User: "admin", Source: "127.0.0.9", Local: here}, func(c *store.Config) { c.Interfaces = c.Interfaces[:1] },
			"You are logged in by SSH on 127.0.0.2 port"},
		{"source", store.Who{User: "admin", Source: "127.0.0.9", Local: here}, func(c *store.Config) {
			c.AdminAccess.Restrict, c.AdminAccess.Sources = true, []string{"10.0.0.1"}
		}, "You are logged in from 127.0.0.9, which will no longer be allowed"},
		{"on the machine", store.Who{User: "admin", Source: store.LocalSource}, func(c *store.Config) { c.Interfaces[1].SSHPort = 0 }, ""},
		{"another port", store.Who{User: "admin", Source: "127.0.0.9", Local: here}, func(c *store.Config) { c.Interfaces[0].SSHPort = freeAddr(t, "127.0.0.1").Port() }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := w.store.NewSession(tt.who)
			defer s.Close(false)
			if err := s.Edit(func(c *store.Config) error { tt.change(c); return nil }); err != nil {
				t.Fatal(err)
			}
			report, err := w.gateway.Check(t.Context(), store.CommitRequest{Session: s})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(report.Questions, "; "); (got == "") != (tt.asks == "") || !strings.HasPrefix(got, tt.asks) {
				t.Errorf("asks %q, want %q", got, tt.asks)
			}
			var ask *store.AskError
			if _, err := w.try(s); tt.asks != "" && !errors.As(err, &ask) {
				t.Errorf("committed unasked: %v", err)
			}
		})
	}
}
