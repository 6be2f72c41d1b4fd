package delivery

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"esa/mta/counters"
	"esa/mta/envelope"
	"esa/mta/lookup"
	"esa/mta/mtatest"
	"esa/mta/route"
)

// foreign is a go-smtp server that keeps what it got.
type foreign struct {
	mu   sync.Mutex
	got  []taken
	addr netip.AddrPort
}

type taken struct {
	from, hello string
	remote      netip.Addr
	options     smtp.MailOptions
	to          []string
	notify      []smtp.DSNNotify
	sum         [sha256.Size]byte
}

func startForeign(t *testing.T) *foreign {
	t.Helper()
	f := &foreign{}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &foreignSession{server: f, conn: c}, nil
	}))
	server.Domain, server.EnableSMTPUTF8, server.EnableDSN = "foreign.test", true, true
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = listener.Addr().(*net.TCPAddr).AddrPort()
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return f
}

type foreignSession struct {
	server *foreign
	conn   *smtp.Conn
	now    taken
}

func (s *foreignSession) Reset() { s.now = taken{} }

func (s *foreignSession) Logout() error { return nil }

func (s *foreignSession) Mail(from string, o *smtp.MailOptions) error {
	remote := s.conn.Conn().RemoteAddr().(*net.TCPAddr).AddrPort().Addr()
	s.now = taken{from: from, options: *o, hello: s.conn.Hostname(), remote: remote}
	return nil
}

func (s *foreignSession) Rcpt(to string, o *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "no") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	s.now.to = append(s.now.to, to)
	s.now.notify = o.Notify
	return nil
}

func (s *foreignSession) Data(r io.Reader) error {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return err
	}
	s.now.sum = [sha256.Size]byte(h.Sum(nil))
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.got = append(s.server.got, s.now)
	return nil
}

// tcpClient is a client that goes through the real network of this machine.
func tcpClient(t testing.TB, set Settings) *Client {
	t.Helper()
	ids, err := counters.Open(filepath.Join(t.TempDir(), "counters"), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := New(Options{Resolver: noDNS{}, Log: openLog(t, t.TempDir()), Counters: ids})
	c.Configure(&set)
	t.Cleanup(c.Close)
	return c
}

func to(addr netip.AddrPort) route.Table {
	return routes(route.Host{Name: addr.Addr().String(), Port: addr.Port()})
}

func TestForeignServer(t *testing.T) {
	f := startForeign(t)
	c := tcpClient(t, Settings{
		Hostname: "gateway.test",
		Interfaces: []Interface{{Name: "other", Hostname: "other.test", IPv4: netip.MustParseAddr("127.0.0.1")},
			{Name: "out", Hostname: "out.test", IPv4: netip.MustParseAddr("127.0.0.7")}},
		Source: "out",
		Routes: to(f.addr),
	})
	text := "Subject: x\r\n\r\n" + strings.Repeat("..dots\r\n.\r\nw\xc3\xb6rds\r\n", 10_000)
	j := job(text, "a", "no", "büro")
	j.Message.EightBit, j.Message.UTF8, j.Message.EnvelopeID, j.Message.Return = true, true, "id+7", "HDRS"
	j.Recipients[0].Notify, j.Recipients[2].Notify = envelope.NotifyNever, envelope.NotifyFailure
	for range 2 {
		check(t, c.Deliver(t.Context(), j), "delivered", "bounced 5.1.1 550 refused", "delivered")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.got) != 2 {
		t.Fatalf("%d messages", len(f.got))
	}
	for _, m := range f.got {
		if m.sum != sha256.Sum256([]byte(text)) {
			t.Error("the text has changed")
		}
		if m.hello != "out.test" || m.remote != netip.MustParseAddr("127.0.0.7") {
			t.Errorf("from %v, EHLO %s", m.remote, m.hello)
		}
		if o := m.options; o.EnvelopeID != "id+7" || o.Return != smtp.DSNReturnHeaders || !o.UTF8 || o.Size != int64(len(text)) {
			t.Errorf("options %+v", o)
		}
		if m.from != "sender@s.test" || len(m.to) != 2 || m.to[1] != "büro@d.test" || m.notify[0] != smtp.DSNNotifyFailure {
			t.Errorf("envelope %+v", m)
		}
	}
	if s := c.Stats(); s.Open != 1 || s.Idle != 1 {
		t.Errorf("%+v", s)
	}
}

func TestNameFollowsTheAddressTheSystemChose(t *testing.T) {
	p := mtatest.StartPeer(t, mtatest.PeerScript{})
	c := tcpClient(t, Settings{
		Hostname:   "gateway.test",
		Interfaces: []Interface{{Name: "m", Hostname: "m.test", IPv4: netip.MustParseAddr("127.0.0.1")}},
		Routes:     to(p.Addr()),
	})
	check(t, c.Deliver(t.Context(), job(plainText, "a")), "delivered")
	if got := p.Commands()[0]; got != "EHLO m.test" {
		t.Errorf("said %s", got)
	}
}

func TestDeliveryOverIPv6(t *testing.T) {
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("this machine has no IPv6: ", err)
	}
	listener.Close()
	p := mtatest.StartPeerOn(t, "[::1]:0", mtatest.PeerScript{})
	c := tcpClient(t, Settings{
		Interfaces: []Interface{{Name: "six", IPv6: netip.IPv6Loopback()}}, Source: "six", Routes: to(p.Addr()),
	})
	check(t, c.Deliver(t.Context(), job(plainText, "a")), "delivered")
	if got := p.Commands()[0]; got != "EHLO [IPv6:::1]" {
		t.Errorf("said %s", got)
	}
}

// A source address that this machine does not have is our fault, not the
// host's: it waits, and the destination is not called down.
func TestSourceThatIsNotHere(t *testing.T) {
	p := mtatest.StartPeer(t, mtatest.PeerScript{})
	gone := netip.MustParseAddr("192.0.2.77")
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(gone, 0))}
	if conn, err := dialer.Dial("tcp", p.Addr().String()); err == nil {
		conn.Close()
		t.Skip("this machine lets connections come from 192.0.2.77")
	}
	c := tcpClient(t, Settings{Interfaces: []Interface{{Name: "out", IPv4: gone}}, Source: "out", Routes: to(p.Addr())})
	check(t, c.Deliver(t.Context(), job(plainText, "a")), "deferred 4.3.0 0 local-error")
}

func TestPeerThatIsNotThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	c := tcpClient(t, Settings{Routes: to(listener.Addr().(*net.TCPAddr).AddrPort())})
	check(t, c.Deliver(t.Context(), job(plainText, "a")), "deferred 4.4.0 0 connection-failed down")
}

// A real zero window: the kernel's buffers fill, nothing moves, the block's
// deadline ends it.
func TestE3_ZeroWindowOnTCP(t *testing.T) {
	p := mtatest.StartPeer(t, at("DATA", func(c *mtatest.PeerConn) {
		c.Send("354 go on")
		c.Stall()
	}))
	c := tcpClient(t, Settings{Routes: to(p.Addr()), Timeouts: Timeouts{Block: 200 * time.Millisecond}})
	check(t, c.Deliver(t.Context(), job(strings.Repeat("some more text\r\n", 2<<20), "a")), "deferred 4.4.0 0 timeout")
}

func TestHostilePeersOnTCP(t *testing.T) {
	for name, script := range map[string]mtatest.PeerScript{
		"deferred 4.4.0 0 connection-lost":       at("RCPT", func(*mtatest.PeerConn) {}),
		"deferred 4.5.0 0 protocol-error down":   at("", flood("220-"+strings.Repeat("A", 4000)+"\r\n")),
		"deferred 4.4.0 0 timeout down":          at("EHLO", (*mtatest.PeerConn).Hang),
		"deferred 4.3.2 421 deferred down":       says("", "421 busy"),
		"bounced 5.1.0 550 refused":              says("RCPT", "550 no"),
		"deferred 4.5.0 299 protocol-error":      says("MAIL", "299 odd"),
		"deferred 4.5.0 0 protocol-error":        says("MAIL", "250-odd\nStatus: 2.0.0\n250 ok"),
		"deferred 4.3.0 451 deferred":            says(".", "451 later"),
		"delivered":                              {Hello: []string{"PIPELINING", "SIZE 100000"}},
		"bounced 5.3.4 0 too-large":              {Hello: []string{"SIZE 5"}},
		"deferred 4.3.2 421 deferred":            says("DATA", "421 bye"),
		"deferred 4.3.0 554 refused down":        says("", "554 no service"),
		"deferred 4.5.0 354 protocol-error":      says("RCPT", "354 go on"),
		"deferred 4.5.0 220 protocol-error down": says("EHLO", "220 hello"),
		"bounced 5.3.0 554 refused":              says(".", "554 no"),
		"bounced 5.7.1 550 refused":              says("MAIL", "550 5.7.1 no"),
		"deferred 4.2.1 450 deferred":            says("RCPT", "450 4.2.1 greylisted"),
		"deferred 4.3.0 450 deferred down":       says("EHLO", "450 later"),
	} {
		t.Run(name, func(t *testing.T) {
			var timeouts Timeouts
			if strings.Contains(name, "timeout") { // the others do not wait for it
				timeouts.Hello = 200 * time.Millisecond
			}
			p := mtatest.StartPeer(t, script)
			c := tcpClient(t, Settings{Routes: to(p.Addr()), Timeouts: timeouts})
			check(t, c.Deliver(t.Context(), job(plainText, "a")), name)
			c.CloseIdle()
			if s := c.Stats(); s.Open != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// The plan by MX reaches delivery: order, failure, and the loop.
func TestDeliveryByMX(t *testing.T) {
	p := mtatest.StartPeer(t, mtatest.PeerScript{})
	dial := func(ctx context.Context, _ netip.Addr, remote netip.AddrPort) (net.Conn, error) {
		if remote != netip.MustParseAddrPort("192.0.2.2:25") {
			return nil, errors.New("not there")
		}
		return dialTCP(ctx, netip.Addr{}, p.Addr())
	}
	ids, err := counters.Open(filepath.Join(t.TempDir(), "counters"), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := New(Options{Resolver: twoHosts{}, Counters: ids, Dial: dial})
	t.Cleanup(c.Close)
	c.Configure(&Settings{})
	out := c.Deliver(t.Context(), job(plainText, "a"))
	check(t, out, "delivered")
	c.Configure(&Settings{Self: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:25")}})
	check(t, c.Deliver(t.Context(), job(plainText, "a")), "bounced 5.4.6 0 mail-loop")
}

// twoHosts says that d.test has the exchangers 192.0.2.1 and 192.0.2.2.
type twoHosts struct{ noDNS }

func (twoHosts) MX(context.Context, string) lookup.MXAnswer {
	return lookup.MXAnswer{Answer: lookup.Answer{Status: lookup.Insecure},
		Records: []lookup.MX{{Preference: 20, Host: "two.test"}, {Preference: 10, Host: "one.test"}}}
}

func (twoHosts) Addrs(_ context.Context, name string, v6 bool) lookup.AddrAnswer {
	a := lookup.AddrAnswer{Answer: lookup.Answer{Status: lookup.Insecure}}
	switch {
	case v6:
	case name == "one.test":
		a.Addrs = []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	case name == "two.test":
		a.Addrs = []netip.Addr{netip.MustParseAddr("192.0.2.2")}
	}
	return a
}

// BenchmarkDeliver is a message of 1 KB on each of 20 sessions to one host, in
// clear and by STARTTLS.
func BenchmarkDeliver(b *testing.B) {
	cert := mtatest.NewAuthority(b, "Mail CA").Issue(b, mtatest.CertificateSpec{DNSNames: []string{"d.test"}})
	for name, mode := range map[string]TLSMode{"clear": NoTLS, "STARTTLS": RequireTLS} {
		b.Run(name, func(b *testing.B) {
			p := mtatest.StartPeer(b, mtatest.PeerScript{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}, Hello: []string{"PIPELINING"}})
			c := tcpClient(b, Settings{
				Hostname: "gateway.test", Routes: to(p.Addr()), Destination: func(string) Destination { return Destination{TLS: mode} },
			})
			j := job("Subject: x\r\n\r\n"+strings.Repeat("some more text on every line\r\n", 34), "a")
			b.SetParallelism((20 + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if out := c.Deliver(b.Context(), j); out[0].Result != envelope.Delivered {
						b.Errorf("%+v", out)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
