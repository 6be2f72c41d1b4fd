package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"esa/mta"
	"esa/mta/mtatest"
	"esa/shell/attach"
	"esa/store"
)

// limit bounds every wait for something that must happen.
const limit = 30 * time.Second

// freeAddr finds a port for a listener of a gateway under test.
func freeAddr(t *testing.T) netip.AddrPort {
	t.Helper()
	addr, err := mtatest.FreeAddr("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// prepared makes a data directory whose gateway is gw.test: it listens on a
// free port and asks a name server of the test.
func prepared(t *testing.T) (dir string, listener netip.AddrPort) {
	return preparedWith(t, func(*store.Config) {})
}

// preparedWith is prepared with another first configuration.
func preparedWith(t *testing.T, change func(*store.Config)) (dir string, listener netip.AddrPort) {
	t.Helper()
	dir = t.TempDir()
	listener = freeAddr(t)
	names := mtatest.NewDNSServer(t, "")
	s, err := store.Open(filepath.Join(dir, "config.db"), store.Options{Factory: func() *store.Config {
		c := store.Factory(store.FactoryFacts{Hostname: "gw.test", DNS: []netip.AddrPort{names.Addr()}})
		c.Listeners[0].Port, c.Interfaces[0].SSHPort = listener.Port(), 0
		change(c)
		return c
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, listener
}

// house is a gateway with its console in this process.
type house struct {
	t    *testing.T
	dir  string
	p    *process
	stop context.CancelFunc
	done chan error
}

// openHouse returns when the gateway listens, and its log says so: a console
// serves before that, and what is done there then comes first.
func openHouse(t *testing.T, dir string) *house {
	t.Helper()
	p, err := openProcess(t.Context(), invocation{dir: dir, user: "admin"}, true)
	if err != nil {
		t.Fatal(err)
	}
	socket, err := attach.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, dir: dir, p: p, done: make(chan error, 1)}
	listening := make(chan struct{})
	p.gateway.Listening = func() { close(listening) }
	var ctx context.Context
	ctx, h.stop = context.WithCancel(context.Background())
	go func() { h.done <- p.run(ctx, socket) }()
	t.Cleanup(h.close)
	select {
	case <-listening:
	case err := <-h.done:
		h.done <- err // for close
		t.Fatalf("the gateway does not come up: %v", err)
	case <-time.After(limit):
		t.Fatal("the gateway does not listen")
	}
	return h
}

func (h *house) close() {
	h.t.Helper()
	if h.stop == nil {
		return
	}
	h.stop()
	h.stop = nil
	select {
	case err := <-h.done:
		if err != nil {
			h.t.Errorf("the gateway ended with %v", err)
		}
	case <-time.After(2 * limit):
		h.t.Fatal("the gateway does not end")
	}
}

// result is what a session without terminal showed, and its exit status.
type result struct {
	status int
	out    string
}

// want compares the status, and looks for texts.
func (r result) want(t *testing.T, status int, texts ...string) {
	t.Helper()
	if r.status != status {
		t.Errorf("status %d, want %d", r.status, status)
	}
	for _, text := range texts {
		if !strings.Contains(r.out, text) {
			t.Errorf("%q is not shown", text)
		}
	}
	if t.Failed() {
		t.Logf("the session:\n%s", r.out)
	}
}

// converse runs one session that needs no terminal.
func converse(t *testing.T, dir string, o attach.Options) result {
	t.Helper()
	conn, err := attach.Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	var screen bytes.Buffer
	o.User, o.Stdout, o.Stderr = "admin", &screen, &screen
	status, err := attach.Run(t.Context(), conn, o)
	if err != nil {
		t.Fatalf("%v\n%s", err, screen.String())
	}
	return result{status, screen.String()}
}

func (h *house) exec(line string) result {
	h.t.Helper()
	return converse(h.t, h.dir, attach.Options{Command: line, IsExec: true})
}

func (h *house) batch(goOn bool, lines ...string) result {
	h.t.Helper()
	return converse(h.t, h.dir, attach.Options{GoOn: goOn, Stdin: strings.NewReader(strings.Join(lines, "\n") + "\n")})
}

// running is the host name that runs, and its revision.
func (h *house) running() (string, uint64) {
	config, revision := h.p.store.Running()
	return config.Hostname, revision
}

func (h *house) wantRunning(hostname string, revision uint64) {
	h.t.Helper()
	if name, number := h.running(); name != hostname || number != revision {
		h.t.Errorf("revision %d runs, for %s; want %d, %s", number, name, revision, hostname)
	}
}

func TestConsole_ExecLine(t *testing.T) {
	dir, _ := prepared(t)
	h := openHouse(t, dir)
	h.exec(`sethostname new.test; commit "by a script" Y; whoami`).want(t, 0, "Changes committed: ", "admin")
	h.wantRunning("new.test", 2)
	revisions, err := h.p.store.Revisions(1)
	if err != nil || revisions[0].Comment != "by a script" || revisions[0].User != "admin" || revisions[0].Method != "exec" || revisions[0].Source != "console" {
		t.Errorf("the history says %+v, %v", revisions, err)
	}
}

// An exec line goes on after a failure, as an appliance does, and tells.
func TestConsole_ExecLineGoesOn(t *testing.T) {
	dir, _ := prepared(t)
	h := openHouse(t, dir)
	h.exec("nosuchcommand; sethostname new.test; commit").want(t, 1, "Unknown command or missing feature key: nosuchcommand")
}

func TestConsole_UncommittedIsDropped(t *testing.T) {
	const told = "Configuration changes were not committed and have been dropped."
	dir, _ := prepared(t)
	h := openHouse(t, dir)
	h.exec("sethostname new.test").want(t, 1, told)
	h.batch(false, "sethostname new.test", "showchanges").want(t, 1, "new.test", told)
	h.wantRunning("gw.test", 1)
	if p, err := h.p.store.Pendings(); len(p) > 0 || err != nil {
		t.Errorf("pending: %v, %v", p, err)
	}
}

func TestConsole_BatchDoesNotCommitAfterAFailure(t *testing.T) {
	dir, _ := prepared(t)
	h := openHouse(t, dir)
	lines := []string{"sethostname new.test", "sethostname -wrong-", `commit "half of it" Y`}
	h.batch(false, lines...).want(t, 1, "An earlier command of this batch failed", "have been dropped")
	h.wantRunning("gw.test", 1)
	h.batch(true, lines...).want(t, 1, "Changes committed: ")
	h.wantRunning("new.test", 2)
}

// A dialog in a batch: answers follow the command, and the end of the input
// inside it abandons it.
func TestConsole_BatchThatEndsInADialog(t *testing.T) {
	dir, _ := prepared(t)
	h := openHouse(t, dir)
	h.batch(false, "deliveryconfig", "setup").want(t, 1, "The input ended inside the command")
	h.wantRunning("gw.test", 1)
}

func TestConsole_RefusesOtherUsers(t *testing.T) {
	dir, _ := prepared(t)
	openHouse(t, dir)
	conn, err := attach.Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := attach.Run(t.Context(), conn, attach.Options{User: "root", Command: "version", IsExec: true}); !errors.Is(err, attach.ErrRefused) {
		t.Errorf("%v", err)
	}
}

// TestConsole_PanicEndsTheCommandOnly: a console whose gateway was never opened has
// commands that panic.
func TestConsole_PanicEndsTheCommandOnly(t *testing.T) {
	dir, _ := prepared(t)
	h := openHouse(t, dir)
	broken := *h.p
	broken.gateway = &mta.Gateway{}
	console, err := newConsole(&broken, "serial")
	if err != nil {
		t.Fatal(err)
	}
	console.server.Events = nil // they need a gateway too
	client, server, err := attach.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { console.server.ServeConn(t.Context(), server) })
	var out bytes.Buffer
	status, err := attach.Run(t.Context(), client, attach.Options{User: "admin", Command: "status; whoami", IsExec: true, Stdout: &out})
	serving.Wait()
	if err != nil {
		t.Fatal(err)
	}
	result{status, out.String()}.want(t, 1, "An internal error ended the command.", "admin")
	diag, err := os.ReadFile(filepath.Join(dir, "logs", "diagnostics.log"))
	if err != nil || !strings.Contains(string(diag), "nil pointer") || !strings.Contains(string(diag), "command=status") {
		t.Errorf("diagnostics: %v\n%s", err, diag)
	}
	h.exec("status").want(t, 0, "Online")
}

// person is an interactive session: a client with a terminal.
type person struct {
	t       *testing.T
	conn    net.Conn
	client  *ssh.Client
	session *ssh.Session
	keys    io.Writer
	out     io.Reader
	screen  strings.Builder // not looked at yet

	patience time.Duration // for every text that it waits for
	watchdog *time.Timer   // ends a test that waits for ever
}

func sitDown(t *testing.T, dir string) *person {
	t.Helper()
	return sitDownAs(t, dir, "admin", 24)
}

// sitDownAs takes a terminal of so many rows, as this user.
func sitDownAs(t *testing.T, dir, user string, rows int) *person {
	t.Helper()
	conn, err := attach.Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c, channels, requests, err := ssh.NewClientConn(conn, "console", &ssh.ClientConfig{
		User: user, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, conn: conn, client: ssh.NewClient(c, channels, requests), patience: limit}
	if p.session, err = p.client.NewSession(); err != nil {
		t.Fatal(err)
	}
	keys, err1 := p.session.StdinPipe()
	out, err2 := p.session.StdoutPipe()
	p.keys, p.out = keys, out
	if err := errors.Join(err1, err2, p.session.RequestPty("vt100", rows, 200, nil), p.session.Shell()); err != nil {
		t.Fatal(err)
	}
	p.watchdog = time.AfterFunc(p.patience, func() { conn.Close() })
	t.Cleanup(func() { p.watchdog.Stop() })
	return p
}

// waits begins to wait for something that must come.
func (p *person) waits() {
	if p.watchdog != nil {
		p.watchdog.Reset(p.patience)
	}
}

// escapes are what a terminal acts on and does not show.
var escapes = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")

// sees reads the screen until text is there, and forgets what stands before.
func (p *person) sees(text string) string {
	p.t.Helper()
	p.waits()
	part := make([]byte, 4096)
	for {
		shown := escapes.ReplaceAllString(p.screen.String(), "")
		if i := strings.Index(shown, text); i >= 0 {
			p.screen.Reset()
			p.screen.WriteString(shown[i+len(text):])
			return shown[:i]
		}
		n, err := p.out.Read(part)
		p.screen.Write(part[:n])
		if n == 0 && err != nil {
			p.t.Fatalf("waiting for %q: %v, after\n%s", text, err, shown)
		}
	}
}

// types enters a line and waits until the screen shows text.
func (p *person) types(line, text string) string {
	p.t.Helper()
	if _, err := io.WriteString(p.keys, line+"\r"); err != nil {
		p.t.Fatal(err)
	}
	return p.sees(text)
}

// vanishes is a connection that breaks.
func (p *person) vanishes() { p.conn.Close() }

func TestConsole_TwoSessionsWithPendingEdits(t *testing.T) {
	dir, _ := prepared(t)
	h := openHouse(t, dir)
	ann, bob := sitDown(t, dir), sitDown(t, dir)
	ann.sees("gw.test> ")
	bob.sees("gw.test> ")
	ann.types("sethostname ann.test", "gw.test> ")
	bob.types("sethostname bob.test", "gw.test> ")
	if got := ann.types("showchanges", "uncommitted changes"); !strings.Contains(got, "ann.test") || strings.Contains(got, "bob.test") {
		t.Errorf("showchanges: %s", got)
	}
	ann.sees("gw.test> ")
	if got := bob.types("who", "uncommitted changes"); strings.Count(got, " cli") != 2 {
		t.Errorf("who: %s", got)
	}
	bob.sees("gw.test> ")
	ann.types(`commit "mine" Y`, "Changes committed: ")
	ann.sees("ann.test> ")
	if got := bob.types(`commit "mine too" Y`, "still pending"); !strings.Contains(got, "ann.test") || !strings.Contains(got, "bob.test") || !strings.Contains(got, "admin") {
		t.Errorf("the conflict: %s", got)
	}
	bob.sees("ann.test> ")
	h.wantRunning("ann.test", 2)
	ann.types("quit", "")
	bob.types("quit", "Are you sure you wish to exit?")
	bob.types("y", "")
	if err := errors.Join(ann.session.Wait(), bob.session.Wait()); err != nil {
		t.Errorf("leaving: %v", err)
	}
	h.p.console.wait(t.Context())
	if p, err := h.p.store.Pendings(); len(p) > 0 || err != nil {
		t.Errorf("who leaves keeps %v, %v", p, err)
	}
}

// TestConsole_LostSessionIsOfferedAgain: at the next login, once.
func TestConsole_LostSessionIsOfferedAgain(t *testing.T) {
	dir, _ := prepared(t)
	h := openHouse(t, dir)
	lost := sitDown(t, dir)
	lost.sees("gw.test> ")
	lost.types("sethostname lost.test", "gw.test> ")
	lost.vanishes()
	h.p.console.wait(t.Context())

	// A script does not take them, and does not lose them.
	h.exec("showchanges").want(t, 0, "No changes have been made since the last commit.", "You left uncommitted changes of ")
	again := sitDown(t, dir)
	again.sees("resume them?")
	again.types("", "gw.test> ")
	again.types("showchanges", "lost.test")
	again.sees("gw.test> ")
	again.types(`commit "at last" Y`, "lost.test> ")
	h.wantRunning("lost.test", 2)
	if got := sitDown(t, dir).sees("lost.test> "); strings.Contains(got, "resume") {
		t.Errorf("offered again: %s", got)
	}
}

// TestConsole_DamagedChangesAreToldAndDropped: whose they are is not known any
// more, so whoever logs in next is told, once.
func TestConsole_DamagedChangesAreToldAndDropped(t *testing.T) {
	dir, _ := prepared(t)
	h := openHouse(t, dir)
	lost := sitDown(t, dir)
	lost.sees("gw.test> ")
	lost.types("sethostname damaged.test", "gw.test> ")
	lost.vanishes()
	h.close()
	path := filepath.Join(dir, "config.db")
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, bytes.ReplaceAll(data, []byte("damaged.test"), []byte("damAged.test")), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	h = openHouse(t, dir)
	h.exec("showchanges").want(t, 0, "are damaged and cannot be resumed.")
	again := sitDown(t, dir)
	again.sees("are damaged and cannot be resumed.\r\nThey have been dropped")
	if shown := again.sees("gw.test> "); strings.Contains(shown, "resume them?") {
		t.Errorf("offered all the same: %s", shown)
	}
	if shown := sitDown(t, dir).sees("gw.test> "); strings.Contains(shown, "damaged") {
		t.Errorf("told again: %s", shown)
	}
}

// TestConsole_TheGatewayStops: sessions are lost then, and their edits kept.
func TestConsole_TheGatewayStops(t *testing.T) {
	dir, _ := prepared(t)
	h := openHouse(t, dir)
	p := sitDown(t, dir)
	p.sees("gw.test> ")
	p.types("sethostname kept.test", "gw.test> ")
	h.close()
	if _, err := attach.Dial(dir); !errors.Is(err, attach.ErrNotRunning) {
		t.Errorf("the console is still there: %v", err)
	}
	openHouse(t, dir)
	again := sitDown(t, dir)
	again.sees("resume them?")
	again.types("", "gw.test> ")
	again.types("showchanges", "kept.test")
}

// TestConsole_SecondGateway: the first goes on, the second names it.
func TestConsole_SecondGateway(t *testing.T) {
	dir, _ := prepared(t)
	h := openHouse(t, dir)
	if _, err := openProcess(t.Context(), invocation{dir: dir}, true); err == nil || !strings.Contains(err.Error(), "(the gateway) since ") {
		t.Errorf("%v", err)
	}
	h.exec("status").want(t, 0, "Online")
}
