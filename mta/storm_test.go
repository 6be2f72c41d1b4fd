package mta

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"esa/mta/mtatest"
	"esa/store"
)

// greet connects, waits for the greeting, leaves, and gives the first reply.
// Whatever does not end as SMTP says is an error.
func greet(addr netip.AddrPort) (string, error) {
	conn, err := net.DialTimeout("tcp", addr.String(), patience)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(conn)
	first, err := in.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("instead of a greeting: %w", err)
	}
	if !strings.HasPrefix(first, "220 ") {
		return first, nil
	}
	if _, err = io.WriteString(conn, "QUIT\r\n"); err != nil {
		return first, err
	}
	if rest, err := io.ReadAll(in); err != nil || !strings.HasPrefix(string(rest), "221 ") {
		return first, fmt.Errorf("QUIT was answered %q: %w", rest, err)
	}
	return first, nil
}

// clients connect without pause while work is done; try makes one attempt and
// says what is wrong with it. between waits until more attempts have ended.
type clients struct {
	tried, lost atomic.Int64
	first       atomic.Pointer[error]
	ended       chan struct{}
	stop        chan struct{}
	running     sync.WaitGroup
}

func startClients(n int, try func() error) *clients {
	c := &clients{ended: make(chan struct{}, n), stop: make(chan struct{})}
	for range n {
		c.running.Go(func() {
			for {
				select {
				case <-c.stop:
					return
				default:
				}
				if err := try(); err != nil {
					c.lost.Add(1)
					c.first.CompareAndSwap(nil, &err)
				}
				c.tried.Add(1)
				select {
				case c.ended <- struct{}{}:
				default:
				}
			}
		})
	}
	return c
}

func (c *clients) between(n int) {
	for range n {
		<-c.ended
	}
}

// wantNoLoss ends the clients.
func (c *clients) wantNoLoss(t *testing.T) {
	t.Helper()
	close(c.stop)
	c.running.Wait()
	t.Logf("%d attempts, %d lost", c.tried.Load(), c.lost.Load())
	if err := c.first.Load(); err != nil {
		t.Errorf("%d of %d lost, the first: %v", c.lost.Load(), c.tried.Load(), *err)
	}
}

// stormChange is the i-th commit of a storm: every section changes, and an
// address comes and goes.
func stormChange(i int, second netip.AddrPort) func(*store.Config) {
	return func(c *store.Config) {
		c.Hostname = fmt.Sprintf("gw%d.test", i)
		c.Interfaces[0].Hostname = c.Hostname
		c.Listeners[0].MaxConnections = 300 + i
		c.Delivery.Concurrency = 1000 + i
		c.LogSettings.Subject = i%2 == 0
		if i%2 == 0 {
			listenAt("Second", second)(c)
			return
		}
		c.Interfaces, c.Listeners = c.Interfaces[:1], c.Listeners[:1]
	}
}

// TestC2_CommitStorm: 100 commits at full speed, 20 clients that connect
// without pause, 10 long sessions, half of them inside a transaction.
func TestC2_CommitStorm(t *testing.T) {
	const commits, busy, long = 100, 20, 10
	w := start(t, nil)
	before := inodes(t, w.addr.Port())
	var sessions []*client
	for i := range long {
		c := dial(t, w.addr)
		c.do("EHLO long.test", "250")
		if i%2 == 0 {
			c.do("MAIL FROM:<a@sender.test>", "250")
		}
		sessions = append(sessions, c)
	}
	second := freeAddr(t, "127.0.0.2")
	storm := startClients(busy, func() error {
		got, err := greet(w.addr)
		if err == nil && !strings.HasPrefix(got, "220 ") {
			err = fmt.Errorf("greeted %q", got)
		}
		return err
	})
	for i := range commits {
		storm.between(busy)
		w.commit(stormChange(i, second))
	}
	storm.wantNoLoss(t)
	for i, c := range sessions {
		if i%2 == 0 {
			c.do("RCPT TO:<b@rcpt.test>", "250")
			c.do("DATA", "354")
			c.do("Subject: long\r\n\r\nx\r\n.", "250")
		}
		c.mail("a@sender.test", "b@rcpt.test", "Subject: after\r\n\r\nx")
	}
	await(t, "all messages at the next hop", func() bool { return len(w.hop.Messages()) >= long+long/2 })
	for addr, inode := range before {
		if got := inodes(t, w.addr.Port())[addr]; got != inode {
			t.Errorf("the socket of %s was %s and is %s", addr, inode, got)
		}
	}
}

// twoFaces are revisions A and B, which differ in what shows in one message:
//
//	reception  the sender's and the recipients' default domain, the number of
//	           recipients a policy takes, the host name in Received
//	delivery   the route, the name in EHLO
//
// Reception is judged by the revision of MAIL, delivery by that of the
// attempt; so the two may differ, and each must be of one piece.
type twoFaces struct {
	*world
	hops map[string]*mtatest.Peer // by face
}

var faces = []string{"a", "b"}

// wear is the change to a face.
func (f twoFaces) wear(face string) func(*store.Config) {
	return func(c *store.Config) {
		c.Hostname, c.Interfaces[0].Hostname = "gw-"+face+".test", "gw-"+face+".test"
		l := &c.Listeners[0]
		l.DefaultDomain = face + ".test"
		l.HAT.Default.MaxRecipients = map[string]int{"a": 1, "b": 2}[face]
		c.Routes = []store.Route{routeTo("ALL", f.hops[face])}
	}
}

// newTwoFaces starts with face a. answer, if any, is that of both hops.
func newTwoFaces(t *testing.T, answer func(c *mtatest.PeerConn, command string) string) twoFaces {
	t.Helper()
	f := twoFaces{hops: map[string]*mtatest.Peer{}}
	for _, face := range faces {
		f.hops[face] = mtatest.StartPeer(t, mtatest.PeerScript{Answer: func(c *mtatest.PeerConn, command string) string {
			if strings.HasPrefix(command, "EHLO") && command != "EHLO gw-"+face+".test" {
				t.Errorf("the route of %s is used with %s", face, command)
			}
			if answer == nil {
				return ""
			}
			return answer(c, command)
		}})
	}
	f.world = start(t, func(_ *world, c *store.Config) { f.wear("a")(c) })
	return f
}

// received fails unless reception was of one piece, and gives its face.
func received(t *testing.T, m mtatest.PeerMessage) string {
	t.Helper()
	for _, face := range faces {
		want := map[string]int{"a": 1, "b": 2}[face]
		domain := "@" + face + ".test>"
		by := strings.Contains(m.Text, "  by gw-"+face+".test with ")
		to := len(m.To) == want
		for _, r := range m.To {
			to = to && strings.Contains(r, domain)
		}
		if strings.Contains(m.From, domain) && by && to {
			return face
		}
	}
	t.Errorf("a mixture: from %s to %q\n%s", m.From, m.To, m.Text)
	return ""
}

// TestC3_NoTransactionSeesTwoConfigurations commits between any two commands
// of a transaction.
func TestC3_NoTransactionSeesTwoConfigurations(t *testing.T) {
	f := newTwoFaces(t, nil)
	c := dial(t, f.addr)
	c.do("EHLO client.test", "250")
	turn := 0
	for i := range 4 {
		for _, step := range []struct{ command, want string }{
			{"MAIL FROM:<joe>", "250"}, {"RCPT TO:<one>", "250"}, {"RCPT TO:<two>", map[bool]string{true: "452", false: "250"}[i%2 == 0]},
			{"DATA", "354"}, {"Subject: x\r\n\r\nx\r\n.", "250"},
		} {
			c.do(step.command, step.want)
			turn++
			f.commit(f.wear(faces[turn%2]))
		}
	}
	all := func() []mtatest.PeerMessage { return append(f.hops["a"].Messages(), f.hops["b"].Messages()...) }
	await(t, "four messages", func() bool { return len(all()) == 4 })
	count := map[string]int{}
	for _, m := range all() {
		count[received(t, m)]++
	}
	if count["a"] != 2 || count["b"] != 2 {
		t.Errorf("received by face: %v", count)
	}
}

// TestC3_AnAttemptKeepsTheConfigurationItBeganWith: the route and our name
// change while the peer thinks about its greeting, or about MAIL.
func TestC3_AnAttemptKeepsTheConfigurationItBeganWith(t *testing.T) {
	for _, at := range []string{"", "MAIL FROM:<joe@a.test>"} {
		t.Run("at "+at, func(t *testing.T) {
			begun, goOn := make(chan struct{}), make(chan struct{})
			f := newTwoFaces(t, func(c *mtatest.PeerConn, command string) string {
				if command == at && c.Number == 1 {
					select {
					case begun <- struct{}{}:
						<-goOn
					case <-goOn:
					}
				}
				return ""
			})
			dial(t, f.addr).mail("joe", "one", "Subject: 1\r\n\r\nx")
			<-begun
			f.commit(f.wear("b"))
			close(goOn)
			await(t, "the message at the old hop", func() bool { return len(f.hops["a"].Messages()) == 1 })
			dial(t, f.addr).mail("joe", "one", "Subject: 2\r\n\r\nx")
			await(t, "the next message at the new hop", func() bool { return len(f.hops["b"].Messages()) == 1 })
		})
	}
}

// TestC3_Storm: clients send while A and B take turns.
func TestC3_Storm(t *testing.T) {
	const commits, busy = 40, 6
	f := newTwoFaces(t, nil)
	var accepted atomic.Int64
	storm := startClients(busy, func() error { return sendJoe(f.addr, &accepted) })
	for i := range commits {
		storm.between(busy)
		f.commit(f.wear(faces[(i+1)%2]))
	}
	storm.wantNoLoss(t)
	count := func() int { return len(f.hops["a"].Messages()) + len(f.hops["b"].Messages()) }
	await(t, "every message at a hop", func() bool { return count() >= int(accepted.Load()) })
	if got := count(); got != int(accepted.Load()) {
		t.Errorf("%d messages arrived, %d were accepted", got, accepted.Load())
	}
	seen := map[string]int{}
	for _, face := range faces {
		for _, m := range f.hops[face].Messages() {
			seen[received(t, m)+" by "+face]++
		}
	}
	t.Logf("%d commits: %v", commits, seen)
	if seen["a by a"] == 0 || seen["b by b"] == 0 {
		t.Error("the storm did not reach both revisions")
	}
}

// sendJoe sends a message to as many recipients as are taken.
func sendJoe(addr netip.AddrPort, accepted *atomic.Int64) error {
	conn, err := net.DialTimeout("tcp", addr.String(), patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	c := &client{conn: conn, in: bufio.NewReader(conn)}
	for _, step := range []struct{ command, want string }{
		{"", "220"}, {"EHLO client.test", "250"}, {"MAIL FROM:<joe>", "250"}, {"RCPT TO:<one>", "250"}, {"RCPT TO:<two>", ""},
		{"DATA", "354"}, {"Subject: x\r\n\r\nx\r\n.", "250"}, {"QUIT", "221"},
	} {
		if step.command != "" {
			if _, err := io.WriteString(conn, step.command+"\r\n"); err != nil {
				return err
			}
		}
		got, err := c.reply()
		if err != nil || !strings.HasPrefix(got, step.want) {
			return errors.Join(fmt.Errorf("%s was answered %q", step.command, got), err)
		}
	}
	accepted.Add(1)
	return nil
}
