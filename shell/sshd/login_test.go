package sshd

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

// people is two users: admin, who has a password and perhaps keys, and guest,
// who has keys only.
type people map[string][]string

const adminsPassword = "correct horse"

func (p people) Passphrase(_ context.Context, user, passphrase string) error {
	if user != "admin" || passphrase != adminsPassword {
		return errors.New("no such user, or another passphrase")
	}
	return nil
}

func (p people) Keys(user string) ([]string, error) {
	keys, ok := p[user]
	if !ok {
		return nil, errors.New("there is no such user")
	}
	return keys, nil
}

// entries is what a server tells of logins, one a line.
type entries struct {
	mu    sync.Mutex
	lines []string
}

func (e *entries) add(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lines = append(e.lines, fmt.Sprintf(format, args...))
}

func (e *entries) LoginAccepted(l Login) { e.add("in %s %s", l.User, l.Method) }
func (e *entries) LoginRefused(l Login, reason string) {
	e.add("refused %q %s: %s", l.User, l.Method, reason)
}
func (e *entries) Logout(l Login, _ time.Duration) { e.add("out %s", l.User) }

func (e *entries) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.lines)
}

// overNetwork makes a server that knows people, and nobody by the connection
// alone.
func overNetwork(who people, told *entries) func(*Server) {
	return func(s *Server) {
		s.Authenticate, s.Source = nil, ""
		s.Accounts, s.Events = who, told
	}
}

func as(user string, auth ...ssh.AuthMethod) *ssh.ClientConfig {
	return &ssh.ClientConfig{User: user, Auth: auth, HostKeyCallback: ssh.InsecureIgnoreHostKey()}
}

func TestLogin(t *testing.T) {
	adminsKey, line := somebodysKey(t)
	guestsKey, guestsLine := somebodysKey(t)
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	weakKey, err := ssh.NewSignerFromKey(weak)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curveKey, err := ssh.NewSignerFromKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	spoken := Algorithms{Signatures: []string{"ssh-ed25519", "rsa-sha2-256", "rsa-sha2-512"}}
	who := people{
		"admin": {line + " a comment", strings.TrimSpace(string(ssh.MarshalAuthorizedKey(weakKey.PublicKey())))},
		"guest": {`command="reboot" ` + line, "not a key", guestsLine},
	}
	for _, tt := range []struct {
		name   string
		config *ssh.ClientConfig
		told   []string // without the end of what is accepted
	}{
		{"password", as("admin", ssh.Password(adminsPassword)), []string{"in admin password"}},
		{"key", as("admin", ssh.PublicKeys(adminsKey)), []string{"in admin publickey"}},
		{"a stranger's key first", as("guest", ssh.PublicKeys(adminsKey, guestsKey)), []string{"in guest publickey"}},
		{"wrong password", as("admin", ssh.Password("x")), []string{`refused "admin" password: no such user, or another passphrase`}},
		{"password of nobody", as("nobody", ssh.Password(adminsPassword)), []string{`refused "nobody" password: no such user, or another passphrase`}},
		{"long password", as("admin", ssh.Password(strings.Repeat("x", 2000))), []string{`refused "admin" password: the passphrase is too long`}},
		{"key of nobody", as("nobody", ssh.PublicKeys(adminsKey)), []string{`refused "nobody" publickey: none of 1 keys lets in: there is no such user`}},
		{"key with options", as("guest", ssh.PublicKeys(adminsKey)), []string{`refused "guest" publickey: none of 1 keys lets in: the key is not one of the user's`}},
		{"small RSA key", as("admin", ssh.PublicKeys(weakKey)), []string{`refused "admin" publickey: none of 1 keys lets in: the key has only 2048 bits`}},
		{"algorithm that is not spoken", as("admin", ssh.PublicKeys(curveKey)), []string{`refused "admin" publickey: none of 1 keys lets in: ssh: algorithm "ecdsa-sha2-nistp256" not accepted`}},
		{"nothing", as("admin"), nil},
		{"long name", as(strings.Repeat("n", 10_000), ssh.Password(adminsPassword)), []string{fmt.Sprintf("refused %q password: the passphrase is too long", strings.Repeat("n", 64))}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			told := &entries{}
			r := start(t, func(context.Context, *Session) int { return 0 }, overNetwork(who, told), func(s *Server) {
				s.Settings = func() Settings { return Settings{MinRSABits: 3072, Algorithms: spoken} }
			})
			client, err := ssh.Dial("tcp", r.addr, tt.config)
			if err == nil {
				if err := session(t, client).Run("version"); err != nil {
					t.Error(err)
				}
				client.Close()
			}
			r.stop() // everything is told now
			want := tt.told
			if len(want) > 0 && strings.HasPrefix(want[0], "in ") {
				want = append(slices.Clone(want), "out "+tt.config.User)
			}
			if got := told.all(); !slices.Equal(got, want) || (err == nil) != (len(want) == 2) {
				t.Errorf("%v\ngot  %q\nwant %q", err, got, want)
			}
		})
	}
}

// G2: a client shows a key that is known and signs with another one. The
// server's answer to the first must not count for the second.
func TestG2_RightsAreThoseOfTheKeyThatSigned(t *testing.T) {
	adminsKey, adminsLine := somebodysKey(t)
	guestsKey, guestsLine := somebodysKey(t)
	strangersKey, _ := somebodysKey(t)
	told := &entries{}
	var keys []string
	r := start(t, func(_ context.Context, s *Session) int {
		keys = append(keys, s.User+" "+s.conn.ssh.Permissions.Extensions[fingerprint])
		return 0
	}, overNetwork(people{"admin": {adminsLine}, "guest": {guestsLine, adminsLine}}, told))

	// Shows admin's key, signs with a stranger's: not in as either.
	for _, user := range []string{"admin", "guest"} {
		if client, err := ssh.Dial("tcp", r.addr, as(user, ssh.PublicKeys(shows{adminsKey, strangersKey}))); err == nil {
			client.Close()
			t.Errorf("%s: logged in with a signature by another key", user)
		}
	}
	// Of several keys the one that signs is noted.
	client, err := ssh.Dial("tcp", r.addr, as("guest", ssh.PublicKeys(strangersKey, guestsKey)))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := session(t, client).Run("version"); err != nil {
		t.Fatal(err)
	}
	if want := "guest " + ssh.FingerprintSHA256(guestsKey.PublicKey()); !slices.Equal(keys, []string{want}) {
		t.Errorf("keys %q, want %q", keys, want)
	}
}

// shows has the public half of one key and signs with another.
type shows struct{ public, signer ssh.Signer }

func (s shows) PublicKey() ssh.PublicKey { return s.public.PublicKey() }
func (s shows) Sign(random io.Reader, data []byte) (*ssh.Signature, error) {
	return s.signer.Sign(random, data)
}

// asking is one attempt to log in.
type asking struct {
	ssh.ConnMetadata
	user string
}

func (a asking) User() string { return a.user }

// G1: guesses at another's passphrase, and one's own at the end. They were free
// once: who logs in is charged nothing.
func TestG1_NobodyGuessesForAnother(t *testing.T) {
	key, line := somebodysKey(t)
	c := &connection{server: &Server{Accounts: people{"admin": nil, "guest": {line}}}, log: slog.New(slog.DiscardHandler)}
	if _, err := c.byPassword(t.Context(), asking{user: "admin"}, []byte("guess")); err == nil {
		t.Fatal("a guess was right")
	}
	if _, err := c.byKey(asking{user: "guest"}, key.PublicKey()); !errors.Is(err, errOtherUser) {
		t.Errorf("by key: %v", err)
	}
	if _, err := c.byPassword(t.Context(), asking{user: "guest"}, []byte(adminsPassword)); !errors.Is(err, errOtherUser) {
		t.Errorf("by passphrase: %v", err)
	}
	if charge := c.login.penalty(t.Context()); charge < penaltyWrong {
		t.Errorf("charged %v", charge)
	}
	if _, err := c.byPassword(t.Context(), asking{user: "admin"}, []byte(adminsPassword)); err != nil {
		t.Errorf("who mistyped may go on: %v", err)
	}
}

// G1: many keys are offered.
func TestG1_ManyKeysEndTheConnection(t *testing.T) {
	known, line := somebodysKey(t)
	var offered []ssh.Signer
	for range 10 {
		key, _ := somebodysKey(t)
		offered = append(offered, key)
	}
	told := &entries{}
	r := start(t, nil, overNetwork(people{"admin": {line}}, told))
	if client, err := ssh.Dial("tcp", r.addr, as("admin", ssh.PublicKeys(append(offered, known)...))); err == nil {
		client.Close()
		t.Error("logged in at the eleventh key")
	}
	r.stop()
	if got, want := told.all(), []string{`refused "admin" publickey: none of 6 keys lets in: the key is not one of the user's`}; !slices.Equal(got, want) {
		t.Errorf("told %q", got)
	}
}

// G1: who guesses is kept out for a while; others are not, nor is who is in.
func TestG1_WhoGuessesIsKeptOut(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	told := &entries{}
	r := start(t, func(context.Context, *Session) int { return 0 }, overNetwork(nil, told), func(s *Server) {
		s.Clock = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		}
	})
	in := dialFrom(t, r, "127.0.0.2", as("admin", ssh.Password(adminsPassword)))
	if in == nil {
		t.Fatal("not logged in")
	}
	for range 3 {
		if dialFrom(t, r, "127.0.0.2", as("admin", ssh.Password("guess"))) != nil {
			t.Fatal("a guess was right")
		}
	}
	r.settle(t)
	if said := greetingFrom(t, r, "127.0.0.2"); !strings.HasPrefix(said, "Too many connections without a login from your network, try again in ") {
		t.Errorf("the fourth is told %q", said)
	}
	if err := session(t, in).Run("version"); err != nil {
		t.Errorf("who was in: %v", err)
	}
	if dialFrom(t, r, "127.0.0.3", as("admin", ssh.Password(adminsPassword))) == nil {
		t.Error("another address is kept out")
	}
	mu.Lock()
	now = now.Add(penaltyMax)
	mu.Unlock()
	if dialFrom(t, r, "127.0.0.2", as("admin", ssh.Password(adminsPassword))) == nil {
		t.Error("kept out for good")
	}
	// Most clients do not show what they are told: the log says it, once.
	r.stop()
	isKeptOut := func(line string) bool {
		return line == `refused "" : too many connections without a login: 127.0.0.2/32 is refused for 15 seconds`
	}
	if lines := slices.DeleteFunc(told.all(), func(line string) bool { return !isKeptOut(line) }); len(lines) != 1 {
		t.Errorf("told %q", lines)
	}
}

// settle waits until the server has noticed the end of every connection that did
// not log in, which is when it charges for it.
func (r *running) settle(t *testing.T) {
	t.Helper()
	end := time.NewTimer(30 * time.Second)
	defer end.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		r.guard.mu.Lock()
		waiting := r.guard.count
		r.guard.mu.Unlock()
		if waiting == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("%d connections wait for their login still", waiting)
		}
	}
}

// dialFrom logs in from an address of this machine; nil where it is refused.
func dialFrom(t *testing.T, r *running, from string, config *ssh.ClientConfig) *ssh.Client {
	t.Helper()
	conn := connectFrom(t, r, from)
	c, chans, reqs, err := ssh.NewClientConn(conn, r.addr, config)
	if err != nil {
		conn.Close()
		return nil
	}
	client := ssh.NewClient(c, chans, reqs)
	t.Cleanup(func() { client.Close() })
	return client
}

func connectFrom(t *testing.T, r *running, from string) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := dialer.DialContext(t.Context(), "tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// greetingFrom is the first thing that the server says to an address.
func greetingFrom(t *testing.T, r *running, from string) string {
	t.Helper()
	conn := connectFrom(t, r, from)
	defer conn.Close()
	buf := make([]byte, 256)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

// G1: 200 connections from one address that never log in, faster than any loses
// its place.
func TestG1_SilentConnectionsKeepNobodyOut(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r := start(t, func(context.Context, *Session) int { return 0 }, overNetwork(nil, &entries{}), func(s *Server) {
		s.Clock, s.HandshakeTimeout = func() time.Time { return now }, time.Hour
	})
	refused := 0
	for range 200 {
		conn := connectFrom(t, r, "127.0.0.2")
		defer conn.Close()
		buf := make([]byte, 100)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(buf[:n]), "SSH-") {
			refused++
		}
	}
	if refused != 100 {
		t.Errorf("%d were refused, want those beyond 100", refused)
	}
	for n := range 3 {
		if dialFrom(t, r, fmt.Sprintf("127.0.0.%d", n+3), as("admin", ssh.Password(adminsPassword))) == nil {
			t.Error("another address is kept out")
		}
	}
}

// Connections that say nothing are charged too, and over IPv6 it is the network
// that is refused: the log says so of each.
func TestLogSaysWhichNetworkIsRefused(t *testing.T) {
	told := &entries{}
	server := &Server{Events: told, Clock: func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }}
	for n := range 15 {
		near, far := net.Pipe()
		from := &net.TCPAddr{IP: net.ParseIP(fmt.Sprintf("2001:db8::%x", n+1)), Port: 1022}
		far.Close()
		server.ServeConn(t.Context(), comingFrom{near, from})
	}
	want := []string{`refused "" : too many connections without a login: 2001:db8::/64 is refused for 15 seconds`}
	if got := told.all(); !slices.Equal(got, want) {
		t.Errorf("told %q", got)
	}
}

// comingFrom is a connection of another address than its own.
type comingFrom struct {
	net.Conn
	remote net.Addr
}

func (c comingFrom) RemoteAddr() net.Addr { return c.remote }

func TestWhoIsNotAllowed(t *testing.T) {
	told := &entries{}
	r := start(t, nil, overNetwork(nil, told), func(s *Server) {
		s.Settings = func() Settings {
			return Settings{Allows: func(a netip.Addr) bool { return a == netip.MustParseAddr("127.0.0.2") }}
		}
	})
	if said := greetingFrom(t, r, "127.0.0.1"); said != "Connections from your address are not allowed.\r\n" {
		t.Errorf("said %q", said)
	}
	client := dialFrom(t, r, "127.0.0.2", as("admin", ssh.Password(adminsPassword)))
	if client == nil {
		t.Fatal("who is allowed is not let in")
	}
	session(t, client) // now the server has told of the login
	r.stop()
	if got := told.all(); len(got) != 3 || got[0] != `refused "" : the address may not log in` {
		t.Errorf("told %q", got)
	}
}

// A client whose machine was switched off answers nothing.
func TestKeepaliveEndsADeadConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t, nil, func(s *Server) { s.Keepalive = time.Minute })
		near, far := net.Pipe()
		off := &stuckConn{buffered: buffer(far), stuck: make(chan struct{}), release: make(chan struct{})}
		served := serve(t, srv, near)
		client := handshake(t, off)
		synctest.Wait()
		begun := time.Now()
		if err := off.stick(); err != nil {
			t.Fatal(err)
		}
		<-served
		close(off.release)
		client.Wait()
		if d := time.Since(begun); d != 4*time.Minute {
			t.Errorf("ended after %v, want a question after 1 min and 3 min of silence", d)
		}
	})
}

// A connection without a session is closed, one with a session is not.
func TestIdleConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		served, client := pipe(t, newServer(t, func(context.Context, *Session) int { return 0 }, func(s *Server) {
			s.Settings = func() Settings { return Settings{Idle: 10 * time.Minute} }
		}))
		begun := time.Now()
		time.Sleep(6 * time.Minute)
		s, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Minute) // a session is open
		if err := s.Run("version"); err != nil {
			t.Fatal(err)
		}
		<-served
		if d := time.Since(begun); d != 27*time.Minute {
			t.Errorf("closed after %v, want 10 min after the session", d)
		}
	})
}
