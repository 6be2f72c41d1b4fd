package mta

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"esa/mta/mtatest"
	"esa/store"
)

// patience bounds every wait for something that must happen. That of a client is
// for one reply: between two of them a test may do a lot.
const patience = 30 * time.Second

// world is a gateway on a data directory of its own, with a next hop that
// takes everything. All of it is on loopback.
type world struct {
	t       *testing.T
	dir     string
	addr    netip.AddrPort // of the listener OutgoingMail
	hop     *mtatest.Peer
	store   *store.Store
	gateway *Gateway
	diag    *diagnostics
	stop    context.CancelFunc
	ended   chan error // what Run returned
	now     func() time.Time
	tune    func(*Gateway) // of a gateway that was opened and does not run yet

	authorities []*x509.Certificate // of the machine
	console     func(net.Conn)      // takes connections to SSH ports
}

// diagnostics is what the gateway tells of itself; note is called for every
// record.
type diagnostics struct {
	mu   sync.Mutex
	text bytes.Buffer
	note atomic.Pointer[func(slog.Record)]
}

func (d *diagnostics) Enabled(context.Context, slog.Level) bool { return true }
func (d *diagnostics) WithAttrs([]slog.Attr) slog.Handler       { return d }
func (d *diagnostics) WithGroup(string) slog.Handler            { return d }

func (d *diagnostics) Handle(_ context.Context, r slog.Record) error {
	if note := d.note.Load(); note != nil {
		(*note)(r)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(&d.text, "%s %s", r.Level, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&d.text, " %v", a)
		return true
	})
	d.text.WriteByte('\n')
	return nil
}

// watch calls note for every record with this message from now on.
func (d *diagnostics) watch(message string, note func()) {
	filter := func(r slog.Record) {
		if r.Message == message {
			note()
		}
	}
	d.note.Store(&filter)
}

// newWorld makes a world that does not run yet. change, if any, is applied to
// the configuration it starts with.
func newWorld(t *testing.T, change func(*world, *store.Config)) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), now: time.Now}
	w.addr = freeAddr(t, "127.0.0.1")
	w.hop = mtatest.StartPeer(t, mtatest.PeerScript{})
	names := mtatest.NewDNSServer(t, "") // nothing that is asked leaves the machine
	w.openStore(func() *store.Config {
		c := store.Factory(store.FactoryFacts{Hostname: "gw.test"})
		for _, name := range []string{"ann", "bob"} {
			c.Users = append(c.Users, store.User{Name: name, FullName: name, Role: store.Operators})
		}
		c.Interfaces[0].Hostname, c.Interfaces[0].SSHPort = "gw.test", 0
		c.Listeners[0].Port = w.addr.Port()
		c.DNS.Servers, c.DNS.ReverseTimeout = []store.DNSServer{{Addr: names.Addr()}}, 0
		c.Routes = []store.Route{routeTo("ALL", w.hop)}
		if change != nil {
			change(w, c)
		}
		return c
	})
	return w
}

// routeTo sends the mail of a domain to a peer.
func routeTo(domain string, p *mtatest.Peer) store.Route {
	return store.Route{Domain: domain, Hosts: []store.RouteHost{
		{Host: p.Addr().Addr().String(), Port: p.Addr().Port()},
	}}
}

// start is newWorld with a gateway that runs and listens.
func start(t *testing.T, change func(*world, *store.Config)) *world {
	t.Helper()
	w := newWorld(t, change)
	w.run()
	w.awaitBound(len(w.gateway.current.Load().sockets))
	return w
}

func (w *world) openStore(factory func() *store.Config) {
	w.t.Helper()
	var err error
	w.store, err = store.Open(filepath.Join(w.dir, "config.db"), store.Options{
		Factory: factory, Clock: func() time.Time { return w.now() },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { w.store.Close() })
}

func (w *world) options() Options {
	w.diag = &diagnostics{}
	return Options{Dir: w.dir, Store: w.store, Version: "1", Serial: "2", Diag: slog.New(w.diag), Authorities: w.authorities, Console: w.console}
}

// open makes the gateway.
func (w *world) open() {
	w.t.Helper()
	var err error
	if w.gateway, err = Open(w.options()); err != nil {
		w.t.Fatal(err)
	}
	w.gateway.bindRetry, w.gateway.trialLook = 5*time.Millisecond, 5*time.Millisecond
	if w.tune != nil {
		w.tune(w.gateway)
	}
}

// run opens the gateway and lets it run until the test ends or end is called.
func (w *world) run() {
	w.t.Helper()
	w.open()
	var ctx context.Context
	ctx, w.stop = context.WithCancel(context.Background())
	w.ended = make(chan error, 1)
	go func() { w.ended <- w.gateway.Run(ctx) }()
	w.t.Cleanup(w.end)
}

// end drains the gateway and waits for its end.
func (w *world) end() {
	w.t.Helper()
	if w.stop == nil {
		return
	}
	w.stop()
	w.stop = nil
	select {
	case err := <-w.ended:
		if err != nil {
			w.t.Errorf("the gateway ended with %v", err)
		}
	case <-time.After(2 * patience):
		stacks := make([]byte, 1<<20)
		w.t.Fatalf("the gateway does not end:\n%s", stacks[:runtime.Stack(stacks, true)])
	}
}

// reopen is what a restart finds: store and gateway anew on the same
// directory.
func (w *world) reopen() {
	w.t.Helper()
	w.end()
	w.store.Close()
	w.openStore(nil)
	w.run()
}

// awaitBound waits until n addresses are listened on: binding at start is done
// beside Run.
func (w *world) awaitBound(n int) {
	w.t.Helper()
	await(w.t, "listeners", func() bool { return len(w.gateway.live.sockets.Bound()) == n })
}

// await asks until the condition holds: what is awaited happens in other
// goroutines, which do not tell.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	end := time.NewTimer(patience)
	defer end.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("waited %s in vain for %s", patience, what)
		}
	}
}

// freeAddr finds a port that is free on an address now.
func freeAddr(t *testing.T, address string) netip.AddrPort {
	t.Helper()
	addr, err := mtatest.FreeAddr(address)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// session begins a session that is interactive.
func (w *world) session(user string) *store.Session {
	return w.store.NewSession(store.Who{User: user, Source: "192.0.2.7", Method: "cli", Interactive: true})
}

// edit makes a session with this change pending.
func (w *world) edit(user string, change func(*store.Config)) *store.Session {
	w.t.Helper()
	s := w.session(user)
	err := s.Edit(func(c *store.Config) error { change(c); return nil })
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// try commits what a session has pending.
func (w *world) try(s *store.Session) (store.CommitReport, error) {
	return w.gateway.Commit(context.Background(), store.CommitRequest{Session: s, Comment: "test"})
}

// commit makes a change and commits it.
func (w *world) commit(change func(*store.Config)) store.CommitReport {
	w.t.Helper()
	s := w.edit("admin", change)
	defer s.Close(false)
	report, err := w.try(s)
	if err != nil {
		w.t.Fatalf("commit: %v", err)
	}
	return report
}

// problems commits what must be refused, and gives the reasons.
func (w *world) problems(s *store.Session) []store.Problem {
	w.t.Helper()
	_, err := w.try(s)
	check, ok := errors.AsType[*store.CheckError](err)
	if !ok {
		w.t.Fatalf("commit: %v, want a CheckError", err)
	}
	return check.Problems
}

// revision is the one that is running, by the store and by the gateway.
func (w *world) revision() uint64 {
	w.t.Helper()
	config, stored := w.store.Running()
	current := w.gateway.current.Load()
	if current.revision != stored || !current.config.Equal(config) {
		w.t.Errorf("the gateway runs revision %d, the store says %d", current.revision, stored)
	}
	return stored
}

// client is a raw SMTP client.
type client struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

// dial connects and reads the greeting.
func dial(t testing.TB, addr netip.AddrPort) *client {
	t.Helper()
	c := connect(t, addr)
	c.want("220")
	return c
}

func connect(t testing.TB, addr netip.AddrPort) *client {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr.String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &client{t: t, conn: conn, in: bufio.NewReader(conn)}
}

// reply reads a reply, all lines of it.
func (c *client) reply() (string, error) {
	c.conn.SetDeadline(time.Now().Add(patience))
	var all strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		all.WriteString(line)
		if err != nil {
			return all.String(), err
		}
		if len(line) < 4 || line[3] != '-' {
			return all.String(), nil
		}
	}
}

// want reads a reply that must begin so.
func (c *client) want(prefix string) string {
	c.t.Helper()
	got, err := c.reply()
	if err != nil || !strings.HasPrefix(got, prefix) {
		c.t.Fatalf("got %q, %v, want %s", got, err, prefix)
	}
	return got
}

// send writes a command, or the text of a message, without waiting.
func (c *client) send(line string) {
	c.t.Helper()
	c.conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c.conn, line+"\r\n"); err != nil {
		c.t.Fatalf("sending %q: %v", line, err)
	}
}

// do writes a command whose reply must begin so.
func (c *client) do(line, prefix string) string {
	c.t.Helper()
	c.send(line)
	return c.want(prefix)
}

// mail sends one whole message.
func (c *client) mail(from, to, text string) {
	c.t.Helper()
	c.do("MAIL FROM:<"+from+">", "250")
	c.do("RCPT TO:<"+to+">", "250")
	c.do("DATA", "354")
	c.do(text+"\r\n.", "250")
}

// closed waits for the end of the connection.
func (c *client) closed() {
	c.t.Helper()
	c.conn.SetDeadline(time.Now().Add(patience))
	if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
		c.t.Errorf("read %q, %v, want the end of the connection", rest, err)
	}
}

// inodes gives the listening sockets of this machine on a port, by address.
func inodes(t *testing.T, port uint16) map[string]string {
	t.Helper()
	table, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		t.Skip("no table of sockets here:", err)
	}
	found := map[string]string{}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) > 9 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
			found[f[1]] = f[9]
		}
	}
	return found
}

// copyTree copies a data directory as a crash would leave it now.
func copyTree(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil || d.IsDir() {
			return errors.Join(err, os.MkdirAll(filepath.Join(to, name), 0o700))
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a temporary file
		}
		return errors.Join(err, os.WriteFile(filepath.Join(to, name), data, 0o600))
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// at is a world on a copied directory.
func (w *world) at(dir string) *world {
	w.t.Helper()
	other := &world{t: w.t, dir: dir, addr: w.addr, hop: w.hop, now: time.Now}
	other.openStore(nil)
	return other
}
