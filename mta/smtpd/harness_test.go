package smtpd

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"esa/mta/counters"
	"esa/mta/envelope"
	"esa/mta/maillog"
	"esa/mta/policy"
)

// memory is a Spool in memory that fails where it is told to.
type memory struct {
	mu                         sync.Mutex
	room, begin, write, commit error
	panics                     bool
	stored                     []stored
	drafts                     int // open
}

type stored struct {
	m    envelope.Message
	text string
}

func (s *memory) Room(int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.room
}

func (s *memory) Begin(m envelope.Message) (Draft, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.panics {
		panic("planted")
	}
	if s.begin != nil {
		return nil, s.begin
	}
	s.drafts++
	return &memoryDraft{spool: s}, nil
}

type memoryDraft struct {
	spool *memory
	text  bytes.Buffer
	over  bool
}

func (d *memoryDraft) Write(p []byte) (int, error) {
	d.spool.mu.Lock()
	defer d.spool.mu.Unlock()
	if d.spool.write != nil {
		return 0, d.spool.write
	}
	return d.text.Write(p)
}

func (d *memoryDraft) Commit(m envelope.Message) error {
	d.spool.mu.Lock()
	defer d.spool.mu.Unlock()
	if d.spool.commit != nil {
		return d.spool.commit
	}
	d.endLocked()
	d.spool.stored = append(d.spool.stored, stored{m, d.text.String()})
	return nil
}

func (d *memoryDraft) Abort() {
	d.spool.mu.Lock()
	defer d.spool.mu.Unlock()
	d.endLocked()
}

func (d *memoryDraft) endLocked() {
	if !d.over {
		d.over = true
		d.spool.drafts--
	}
}

// fail sets the errors of the spool.
func (s *memory) fail(set func(s *memory)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set(s)
}

func (s *memory) messages() []stored {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]stored(nil), s.stored...)
}

func (s *memory) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drafts
}

// book is a Names with one verified name.
type book map[netip.Addr]string

func (b book) Reverse(_ context.Context, addr netip.Addr) (string, bool) {
	host, ok := b[addr]
	if strings.HasPrefix(host, "!") {
		return "", false
	}
	verified := !strings.HasPrefix(host, "?")
	return strings.TrimPrefix(host, "?"), ok && verified
}

// Naming and Listed answer for names "!nx", "!fail" and "!zone,zone".
func (b book) Naming(_ context.Context, addr netip.Addr) policy.Naming {
	return map[string]policy.Naming{"!nx": policy.NoName, "!fail": policy.Unanswered}[b[addr]]
}

func (b book) Listed(_ context.Context, addr netip.Addr, zone string) bool {
	return strings.HasPrefix(b[addr], "!") && strings.Contains(b[addr], zone)
}

// Sender answers for domains by their first label.
func (b book) Sender(_ context.Context, domain string) policy.SenderDomain {
	switch first, _, _ := strings.Cut(domain, "."); first {
	case "broken":
		return policy.DomainUnresolved
	case "nowhere", "":
		return policy.DomainNonexistent
	}
	return policy.DomainExists
}

// bench is a Server with what it works with.
type bench struct {
	t     testing.TB
	srv   *Server
	spool *memory
	names book
	count *counters.Counters
	dir   string

	mu  sync.Mutex
	set *Settings
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{t: t, spool: &memory{}, names: book{}, dir: t.TempDir(), set: publicSettings()}
	var err error
	if b.count, err = counters.Open(filepath.Join(b.dir, "counters"), nil); err != nil {
		t.Fatal(err)
	}
	log, err := maillog.Open(b.dir, maillog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Configure([]maillog.Subscription{{Name: "mail_logs", FileName: "mail", Level: maillog.Information,
		MaxSize: 10 << 20, MaxFiles: 10}}, maillog.Settings{MessageID: true, Subject: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
		if err := b.count.Close(); err != nil {
			t.Error(err)
		}
	})
	b.srv = New(Options{Queue: b.spool, Names: b.names, Lists: b.names, Domains: b.names, Log: log, Counters: b.count, Crash: true})
	return b
}

// log gives what the mail log holds.
func (b *bench) log() string {
	text, err := os.ReadFile(filepath.Join(b.dir, "mail_logs", "mail.current"))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

// settings is what ServeConn is given.
func (b *bench) settings() *Settings {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.set
}

// change puts other settings into effect, as a commit does; nil removes the
// listener.
func (b *bench) change(edit func(s *Settings)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if edit == nil {
		b.set = nil
		return
	}
	s := *b.set
	edit(&s)
	b.set = &s
}

// publicSettings are those of a listener for ours.test; 127.0.0.1 may relay.
func publicSettings() *Settings {
	rat, err := policy.NewRAT([]policy.Entry{{Address: "ours.test", Accept: true}, {Address: "ALL"}})
	if err != nil {
		panic(err)
	}
	return &Settings{
		Listener: "IncomingMail", Interface: "Data1", Hostname: "gw.test", Addr: netip.MustParseAddrPort("192.0.2.25:25"),
		Public: true, RAT: rat, Received: true, BounceProfile: "Slow",
		HAT: policy.HAT{Groups: []policy.Group{
			groupOf("RELAYLIST", policy.Relay, "127.0.0.1"),
			groupOf("BLACKLIST", policy.Reject, "203.0.113.1"),
			groupOf("DROPLIST", policy.TCPRefuse, "203.0.113.2"),
			groupOf("WATCHED", policy.Continue, "198.51.100.0/24"),
			groupOf("ALL", policy.Accept, "ALL"),
		}, Default: policy.Params{MaxSize: 10 << 20}},
	}
}

func groupOf(name string, b policy.Behavior, members ...string) policy.Group {
	m, err := policy.ParseMembers(members)
	if err != nil {
		panic(err)
	}
	return policy.Group{Name: name, Members: m, Behavior: b}
}

// pipeConn is one end of net.Pipe with an address, counting its writes.
type pipeConn struct {
	net.Conn
	remote net.Addr
	mu     sync.Mutex
	writes []string
}

func (c *pipeConn) RemoteAddr() net.Addr { return c.remote }

func (c *pipeConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.writes = append(c.writes, string(p))
	c.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *pipeConn) written() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.writes...)
}

// client is the other end of a session. It reads all the time, as a TCP stack
// does, so that neither end blocks the other.
type client struct {
	t       testing.TB
	conn    net.Conn
	server  *pipeConn
	tunnel  *tunnel
	secured *tls.Conn   // after startTLS
	got     chan string // lines of the server; closed at its end
	ended   chan struct{}
}

const strangerAddr = "198.51.100.7:4711"

// dial begins a session from an address over net.Pipe.
func (b *bench) dial(from string) *client {
	near, far := net.Pipe()
	server := &pipeConn{Conn: far, remote: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))}
	c := &client{t: b.t, conn: near, server: server, tunnel: &tunnel{Conn: near}, got: make(chan string, 1<<16), ended: make(chan struct{})}
	go c.read()
	go func() {
		defer close(c.ended)
		b.srv.ServeConn(context.Background(), server, b.settings)
	}()
	return c
}

func (c *client) read() {
	var line []byte
	buf := make([]byte, 4096)
	for {
		n, err := c.conn.Read(buf)
		if sink := c.tunnel.sink(); sink != nil {
			_, _ = sink.Write(buf[:n]) // TLS has an end of its own
			if err != nil {
				sink.CloseWithError(err)
				return
			}
			continue
		}
		for _, ch := range buf[:n] {
			if line = append(line, ch); ch == '\n' {
				c.got <- string(line)
				line = line[:0]
			}
		}
		if err != nil {
			if len(line) > 0 {
				c.got <- string(line)
			}
			close(c.got)
			return
		}
	}
}

// send writes bytes as they are, in one segment.
func (c *client) send(s string) {
	c.t.Helper()
	var to io.Writer = c.conn
	if c.secured != nil {
		to = c.secured
	}
	if _, err := io.WriteString(to, s); err != nil {
		c.t.Logf("sending %.40q: %v", s, err)
	}
}

// reply gives one reply, its lines joined, "" at the end of the session.
func (c *client) reply() string {
	var lines []string
	for line := range c.got {
		text := strings.TrimSuffix(line, "\r\n")
		if text == line {
			c.t.Errorf("reply line %q does not end with CRLF", line)
		}
		lines = append(lines, text)
		if len(text) < 4 || text[3] != '-' {
			break
		}
	}
	return strings.Join(lines, "\n")
}

// ask sends a command and gives its reply.
func (c *client) ask(command string) string {
	c.t.Helper()
	c.send(command + "\r\n")
	return c.reply()
}

// want asks and compares the begin of the reply.
func (c *client) want(command, prefix string) {
	c.t.Helper()
	if got := c.ask(command); !strings.HasPrefix(got, prefix) {
		c.t.Fatalf("%.60q answered %q, want %q", command, got, prefix)
	}
}

// greet reads the banner and says EHLO.
func (c *client) greet() {
	c.t.Helper()
	if got := c.reply(); got != "220 gw.test ESMTP" {
		c.t.Fatalf("banner %q", got)
	}
	c.want("EHLO probe.test", "250-gw.test")
}

// envelope goes as far as 354.
func (c *client) envelope() {
	c.t.Helper()
	c.want("MAIL FROM:<a@sender.test>", "250 ")
	c.want("RCPT TO:<ok@ours.test>", "250 ")
	c.want("DATA", "354 go ahead")
}

// close ends the client's side and waits for the server.
func (c *client) close() {
	_ = c.conn.Close()
	<-c.ended
}

// contains fails unless all parts stand in text in this order.
func contains(t testing.TB, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, p := range parts {
		_, after, ok := strings.Cut(rest, p)
		if !ok {
			t.Fatalf("%q is missing (after what came before) in:\n%s", p, text)
		}
		rest = after
	}
}

// relax gives limits that no test runs into by accident.
func relax(s *Settings) {
	s.Limits = Limits{Unknown: 1 << 20, Junk: 1 << 20, Soft: 1 << 20, Hard: 1 << 20, Command: time.Hour,
		Unsuccessful: time.Hour, Total: 24 * time.Hour}
}

// tcp serves one connection over loopback TCP and gives the client's end.
func (b *bench) tcp() *net.TCPConn {
	b.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	defer l.Close()
	dialed := make(chan net.Conn, 1)
	go func() {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		dialed <- conn
	}()
	conn, err := l.Accept()
	if err != nil {
		b.t.Fatal(err)
	}
	near := (<-dialed).(*net.TCPConn)
	over := make(chan struct{})
	go func() {
		defer close(over)
		b.srv.ServeConn(context.Background(), conn, b.settings)
	}()
	b.t.Cleanup(func() {
		_ = near.Close()
		<-over
	})
	return near
}
