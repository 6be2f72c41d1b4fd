//go:build integration

package main

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"esa/mta/mtatest"
)

// TestReference types what the reference of the appliance says (esa-cli-config
// and esa-operations, the sections are named below), not what our help says:
// two listeners, sender groups and policies, recipients, destinations and
// bounce profiles. Then mail meets every limit, and replies and lines of the
// mail log are held to the texts of the reference. Questions of features that
// this build lacks are left out of the scripts.
//
//	127.0.1.x clients ─► 127.0.0.10 IncomingMail, OutgoingMail ─► queue ─► peers on 127.0.0.1
func TestReference(t *testing.T) {
	r := newReference(t)
	r.configure()
	t.Run("policies", func(t *testing.T) { r.on(t).policies() })
	t.Run("connections", func(t *testing.T) { r.on(t).connections() })
	t.Run("rates", func(t *testing.T) { r.on(t).rates() })
	t.Run("recipients", func(t *testing.T) { r.on(t).recipients() })
	t.Run("senders", func(t *testing.T) { r.on(t).senders() })
	t.Run("access", func(t *testing.T) { r.on(t).access() })
	t.Run("private", func(t *testing.T) { r.on(t).relaying() })
	t.Run("destinations", func(t *testing.T) { r.on(t).destinations() })
	t.Run("global", func(t *testing.T) { r.on(t).global() })
	t.Run("menus", func(t *testing.T) { r.on(t).menus() })
	t.Run("files", func(t *testing.T) { r.on(t).files() })
	t.Run("batch", func(t *testing.T) { r.on(t).batch() })
}

// referenceZone is what the name server knows: names of clients, a DNS list,
// domains of senders.
const referenceZone = `
test.                       SOA ns.test. admin.test. 1 3600 600 86400 60
1.0.127.in-addr.arpa.       SOA ns.test. admin.test. 1 3600 600 86400 60
11.1.0.127.in-addr.arpa.    PTR crm.partner.test.
crm.partner.test.           A   127.0.1.11
12.1.0.127.in-addr.arpa.    PTR fake.partner.test.
fake.partner.test.          A   127.0.1.99
13.1.0.127.in-addr.arpa.    PTR open.relay.test.
open.relay.test.            A   127.0.1.13
13.1.0.127.bl.test.         A   127.0.0.2
sender.test.                MX  10 mail.sender.test.
`

// reference is the gateway under the test, and what it delivers to.
type reference struct {
	*gateway
	incoming, outgoing netip.AddrPort
	hop                *mtatest.Peer // takes everything
	slow               *crowdedPeer  // says how many connections it had at a time
	refusing           *mtatest.Peer // refuses every recipient for good
	busy               *mtatest.Peer // refuses every recipient for now
}

func newReference(t *testing.T) *reference {
	t.Helper()
	names := mtatest.NewDNSServer(t, referenceZone)
	names.Script("broken.test", "ANY", mtatest.ServFail)
	answer := func(reply string) mtatest.PeerScript {
		return mtatest.PeerScript{Answer: func(_ *mtatest.PeerConn, command string) string {
			if strings.HasPrefix(command, "RCPT") {
				return reply
			}
			return ""
		}}
	}
	dir := t.TempDir()
	(&gateway{t: t, dir: dir}).useDNS(names.Addr())
	at := func() netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.10"), uint16(freePort(t, "127.0.0.10")))
	}
	g := startGateway(t, dir)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the mail log:\n%s", strings.Join(g.mailLog(), "\n"))
		}
	})
	return &reference{
		gateway: g, incoming: at(), outgoing: at(),
		hop: mtatest.StartPeer(t, mtatest.PeerScript{}), slow: newCrowdedPeer(t),
		refusing: mtatest.StartPeer(t, answer("550 no such user")), busy: mtatest.StartPeer(t, answer("451 try later")),
	}
}

// on gives the same for a part of the test.
func (r *reference) on(t *testing.T) *reference {
	own, g := *r, *r.gateway
	g.t = t
	own.gateway = &g
	return &own
}

// crowdedPeer counts the messages that it is being given at a time. It answers
// none before held is closed, so that connections which are opened too many have
// the time to begin. It does not count connections: nobody waits for the answer
// to QUIT, so the next one may begin before the peer has read it.
type crowdedPeer struct {
	*mtatest.Peer
	held      chan struct{}
	mu        sync.Mutex
	now, most int
	perConn   map[int]int
}

func newCrowdedPeer(t *testing.T) *crowdedPeer {
	c := &crowdedPeer{held: make(chan struct{}), perConn: map[int]int{}}
	c.Peer = mtatest.StartPeer(t, mtatest.PeerScript{Answer: func(conn *mtatest.PeerConn, command string) string {
		switch {
		case strings.HasPrefix(command, "MAIL"):
			c.mu.Lock()
			defer c.mu.Unlock()
			c.now++
			c.most = max(c.most, c.now)
		case command == ".":
			<-c.held
			c.mu.Lock()
			defer c.mu.Unlock()
			c.now--
			c.perConn[conn.Number]++
		}
		return ""
	}})
	t.Cleanup(c.answer)
	return c
}

// answer lets the peer answer from now on.
func (c *crowdedPeer) answer() {
	select {
	case <-c.held:
	default:
		close(c.held)
	}
}

// logged waits until the mail log has a line, whole but for its time stamp.
func (r *reference) logged(pattern string) {
	r.t.Helper()
	line := regexp.MustCompile(`^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} \d{4} Info: ` + pattern + `$`)
	waitFor(r.t, "the line "+pattern, func() bool { return slices.ContainsFunc(r.mailLog(), line.MatchString) })
}

func (r *reference) client(n int) *mailer {
	r.t.Helper()
	return mailFrom(r.t, fmt.Sprintf("127.0.1.%d", n), r.incoming)
}

// exactly compares a whole reply.
func (r *reference) exactly(m *mailer, command, reply string) {
	r.t.Helper()
	if got := m.ask(command); got != reply {
		r.t.Errorf("%.60q is answered %q, want %q", command, got, reply)
	}
}

// policies: size, messages of a connection, recipients of a message, header
// lines (esa-operations 4.4, 2.3).
func (r *reference) policies() {
	m := r.client(1)
	r.exactly(m, "MAIL FROM:<a@sender.test> SIZE=99999", "552 size limit exceeded")
	r.logged(`ICID \d+ Receiving Failed: Message size exceeds limit`)
	m.begin("a@sender.test", "ok@example.com")
	m.want("DATA", "354 go ahead")
	r.exactly(m, "Subject: x\r\n\r\n"+strings.Repeat("0123456789abcdef\r\n", 1000)+".", "552 #5.3.4 message size exceeds limit")
	r.logged(`Message finished MID \d+ aborted`)
	m.quit()
	r.logged(`ICID \d+ ACCEPT SG SIZED match 127\.0\.1\.1 SBRS not enabled country not enabled`)

	m = r.client(2)
	m.send("a@sender.test", "ok@example.com")
	m.send("a@sender.test", "ok@example.com")
	r.exactly(m, "MAIL FROM:<a@sender.test>", "421 #4.x.2 Too many messages for this session")
	r.logged(`ICID \d+ Receiving Failed: Too Many Messages`)
	m.ended()

	m = r.client(3)
	m.begin("a@sender.test", "a@example.com", "b@sub.example.com")
	r.exactly(m, "RCPT TO:<c@example.com>", "452 #4.5.3 Too many recipients")
	m.want("DATA", "354 go ahead")
	r.exactly(m, strings.Repeat("X-Line: x\r\n", 30)+"\r\nb\r\n.", "552 #5.3.4 message header size exceeds limit")
	m.quit()
}

// connections: at a time from one address and of one listener.
func (r *reference) connections() {
	first := r.client(4)
	second := connectFrom(r.t, "127.0.1.4", r.incoming)
	r.exactly(second, "", "421 #4.4.5 Too many connections from your host")
	second.ended()
	r.logged(`ICID \d+ Receiving Failed: Connection limit exceeded`)
	first.quit()
	r.client(4).quit()

	open := []*mailer{mailFrom(r.t, "127.0.2.1", r.outgoing), mailFrom(r.t, "127.0.2.1", r.outgoing)}
	third := connectFrom(r.t, "127.0.2.1", r.outgoing)
	r.exactly(third, "", "421 #4.4.5 Too many connections to this listener")
	for _, m := range open {
		m.quit()
	}
}

// rates: recipients per hour of a host, recipients of an envelope sender.
func (r *reference) rates() {
	m := r.client(5)
	m.begin("a@sender.test", "a@example.com", "b@example.com", "free@example.com")
	m.want("RCPT TO:<c@example.com>", "452 ")
	m.add("free@example.com")
	m.quit()
	again := r.client(5) // another connection of the same host
	again.want("MAIL FROM:<b@sender.test>", "250 ")
	again.want("RCPT TO:<c@example.com>", "452 ")
	again.quit()

	m = r.client(6)
	m.begin("a@sender.test", "a@example.com")
	r.exactly(m, "RCPT TO:<c@example.com>", "450-Not so\n450 fast")
	m.quit()

	m = r.client(7)
	m.begin("a@sender.test", "a@example.com", "b@example.com")
	m.want("RCPT TO:<c@example.com>", "452 ")
	m.want("RSET", "250 ")
	m.begin("b@sender.test", "a@example.com")
	m.want("RSET", "250 ")
	m.begin("news@example.net", "a@example.com", "b@example.com", "c@example.com")
	m.quit()
	r.logged(`MID \d+ ICID \d+ To: <c@example\.com> Rejected by Injection Control.*`)
}

// add adds a recipient to a transaction.
func (m *mailer) add(recipient string) {
	m.t.Helper()
	m.want("RCPT TO:<"+recipient+">", "250 recipient <"+recipient+"> ok")
}

// recipients: the recipient access table and the prevention of harvests.
func (r *reference) recipients() {
	m := r.client(20)
	m.begin("a@sender.test", "joe@example.org")
	r.exactly(m, "RCPT TO:<jane@example.org>", "550 #5.1.0 Address rejected.")
	r.logged(`MID \d+ ICID \d+ To: <jane@example\.org> Rejected by RAT`)
	r.exactly(m, "RCPT TO:<nobody@example.com>", "550 #5.1.0 Address rejected.")
	r.exactly(m, "RCPT TO:<moved@example.com>", "551 Write to new@example.net")
	r.exactly(m, "RCPT TO:<busy@example.com>", "450 Later")
	m.quit()

	m = r.client(8)
	m.want("MAIL FROM:<a@sender.test>", "250 ")
	for _, to := range []string{"x1@example.org", "x2@example.org"} {
		r.exactly(m, "RCPT TO:<"+to+">", "550 #5.1.0 Address rejected.")
	}
	m.want("RCPT TO:<ok@example.com>", "550 ")
	r.logged(`MID \d+ ICID \d+ To: <ok@example\.com> Rejected.*Directory Harvest Attack`)
	m.quit()

	m = r.client(9)
	m.want("MAIL FROM:<a@sender.test>", "250 ")
	m.want("RCPT TO:<x1@example.org>", "550 ")
	if got := m.ask("RCPT TO:<ok@example.com>"); !strings.HasPrefix(got, "421 ") {
		r.t.Errorf("a harvester to be dropped is answered %q", got)
	}
	m.ended()
}

// senders: envelope sender verification (esa-cli-config 7.6, 25; the texts of
// esa-operations 2.3 and 4.4).
func (r *reference) senders() {
	m := r.client(10)
	m.want("MAIL FROM:<a>", "553 ")
	m.want("MAIL FROM:<a@broken.test>", "451 ")
	r.logged(`ICID \d+ Address: <a@broken\.test> sender rejected, envelope sender domain could not be resolved`)
	r.exactly(m, "MAIL FROM:<a@nowhere.test>", "550 Who is that?")
	r.logged(`ICID \d+ Address: <a@nowhere\.test> sender rejected, envelope sender domain does not exist`)
	m.send("a@sender.test", "ok@example.com")
	m.quit()

	r.script("listenerconfig edit IncomingMail hostaccess edit policy VERIFY --cust_nonex none --exceptions yes",
		"exceptionconfig", "new", "friend@nowhere.test", "1", "new", "@nowhere.test", "2", "", `commit "exceptions"`)
	m = r.client(10)
	m.begin("friend@nowhere.test", "ok@example.com")
	r.logged(`ICID \d+ Address: <friend@nowhere\.test> sender allowed, envelope sender matched domain exception`)
	m.want("RSET", "250 ")
	m.want("MAIL FROM:<foe@nowhere.test>", "553 ")
	r.exactly(m, "MAIL FROM:<a@gone.test>", "553 #5.1.8 Domain of sender address <a@gone.test> does not exist")
	m.quit()
}

// access: what the host access table makes of a connection.
func (r *reference) access() {
	m := r.client(11) // its name leads back
	m.send("a@partner.test", "b@elsewhere.test")
	m.quit()
	r.logged(`New SMTP ICID \d+ interface InternalNet \(127\.0\.0\.10\) address 127\.0\.1\.11 reverse dns host crm\.partner\.test verified yes`)
	r.logged(`ICID \d+ RELAY SG PARTNERS match \.partner\.test SBRS not enabled country not enabled`)

	m = r.client(12) // its name does not
	m.want("MAIL FROM:<a@sender.test>", "250 ")
	r.exactly(m, "RCPT TO:<b@elsewhere.test>", "550 #5.1.0 Address rejected.")
	m.quit()
	r.logged(`New SMTP ICID \d+ interface InternalNet \(127\.0\.0\.10\) address 127\.0\.1\.12 reverse dns host fake\.partner\.test verified no`)
	r.logged(`ICID \d+ ACCEPT SG None match ALL SBRS not enabled country not enabled`)

	m = connectFrom(r.t, "127.0.1.13", r.incoming)
	r.exactly(m, "", "554-mx.example.com\n554 We do not know you")
	m.quit()
	r.logged(`ICID \d+ REJECT SG LISTED match dnslist\[bl\.test\] SBRS not enabled country not enabled`)

	m = connectFrom(r.t, "127.0.1.15", r.incoming)
	r.exactly(m, "", "554-mx.example.com\n554 Your access to this mail system has been rejected due to the sending MTA's poor reputation. "+
		"If you believe that this failure is in error, please contact the intended recipient via alternate means.")
	m.quit()
	r.logged(`ICID \d+ REJECT SG REJECTED match 127\.0\.1\.14-127\.0\.1\.15 SBRS not enabled country not enabled`)

	connectFrom(r.t, "127.0.1.16", r.incoming).ended()
	r.logged(`ICID 0 TCPREFUSE SG DROPPED match 127\.0\.1\.16 SBRS not enabled country not enabled`)

	m = connectFrom(r.t, "127.0.1.17", r.incoming)
	r.exactly(m, "", "220-mail.example.net ESMTP\n220 No spam here")
	for range 4 {
		r.exactly(m, "GIMME", "500 #5.5.1 command not recognized")
	}
	r.exactly(m, "GIMME", "421 Exceeded bad SMTP command limit, disconnecting.")
	m.ended()
}

// relaying: a private listener relays for its RELAYLIST and blocks the rest
// (esa-cli-config 7.5).
func (r *reference) relaying() {
	m := mailFrom(r.t, "127.0.2.1", r.outgoing)
	m.send("a@example.com", "b@elsewhere.test")
	m.quit()
	r.logged(`ICID \d+ RELAY SG RELAYLIST match 127\.0\.2\.1 SBRS not enabled country not enabled`)
	m = connectFrom(r.t, "127.0.2.2", r.outgoing)
	m.want("", "554-mx.example.com")
	m.quit()
}

// destinations: concurrency, messages per connection, recipients per interval
// (esa-cli-config 4.2), bounces by the profile (esa-operations 2.4, 4.6).
func (r *reference) destinations() {
	m := mailFrom(r.t, "127.0.2.1", r.outgoing)
	defer m.quit()
	for range 5 {
		m.send("a@example.com", "b@slow.test")
	}
	r.waitForHost("slow.test", "Active Recipients", "5")
	r.slow.answer()
	awaitMessages(r.t, r.slow.Peer, 5)
	r.slow.mu.Lock()
	if r.slow.most != 1 {
		r.t.Errorf("%d messages at a time to a destination of concurrency 1", r.slow.most)
	}
	for n, messages := range r.slow.perConn {
		if messages > 2 {
			r.t.Errorf("connection %d carried %d messages, the limit is 2", n, messages)
		}
	}
	r.slow.mu.Unlock()

	for range 5 {
		m.send("a@example.com", "b@limited.test")
	}
	r.logged(`Message done DCID \d+ MID \d+ to RID \[0\] ?`)
	r.waitForHost("limited.test", "Active Recipients", "2")
	r.waitForHost("limited.test", "Delivered Recipients", "3")

	m.send("a@example.com", "b@refusing.test")
	r.logged(`Bounced: DCID \d+ MID \d+ From: <a@example\.com> To: <b@refusing\.test> RID 0 - 5\.\d\.\d - .+ \('550', \['no such user'\]\).*`)
	r.logged(`MID \d+ was generated for bounce of MID \d+`)
	r.waitForHost("refusing.test", "5XX Hard Bounces", "1")

	m.send("a@example.com", "b@busy.test")
	r.logged(`Delayed: DCID \d+ MID \d+ From: <a@example\.com> To: <b@busy\.test> RID 0 - 4\.\d\.\d - .+ \('451', \['try later'\]\).*`)
	r.logged(`Bounced: DCID \d+ MID \d+ From: <a@example\.com> To: <b@busy\.test> RID 0 - .*`)
	waitFor(r.t, "two bounces with the subject of the profile", func() bool {
		n := 0
		for _, message := range r.hop.Messages() {
			if strings.Contains(message.Text, "Subject: Your mail did not arrive") && message.From == "<>" {
				n++
			}
		}
		return n == 2
	})
}

// waitForHost asks hoststatus until a line has a number.
func (r *reference) waitForHost(host, line, number string) {
	r.t.Helper()
	want := regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(line) + `\s+` + number + `$`)
	waitFor(r.t, line+" "+number, func() bool { return want.MatchString(r.script("hoststatus " + host)) })
}

// global: SETUP for all listeners (esa-cli-config 7.4; the texts of
// esa-operations 2.3 and 4.4).
func (r *reference) global() {
	setup := func(answers ...string) {
		r.t.Helper()
		r.script(slices.Concat([]string{"listenerconfig", "setup"}, answers, []string{"", `commit "global"`})...)
	}
	setup("1", "", "1000", "1h", "8s", "15m", "y", "y")
	m := connectFrom(r.t, "127.0.1.14", r.incoming) // REJECTED, now at its recipients
	r.exactly(m, "", "220 mx.example.com ESMTP")
	crowd := connectFrom(r.t, "127.0.1.20", r.incoming)
	r.exactly(crowd, "", "421 #4.4.5 Too many connections to this host.")
	crowd.ended()
	m.want("MAIL FROM:<a@sender.test>", "250 ")
	m.want("RCPT TO:<ok@example.com>", "554 Your access to this mail system has been rejected")
	m.want("RSET", "250 ")
	m.want("", "421 ") // it has injected nothing within eight seconds
	m.ended()
	r.logged(`ICID \d+ REJECT SG REJECTED match 127\.0\.1\.14-127\.0\.1\.15 SBRS not enabled country not enabled`)
	r.logged(`MID \d+ ICID \d+ To: <ok@example\.com> Rejected by Injection Control`)
	r.logged(`ICID \d+ disconnected address 127\.0\.1\.14, no messages injected within timeout period`)

	setup("500", "", "1000", "1h", "5m", "3s", "n", "n")
	m = r.client(20)
	r.exactly(m, "", "421 Exceeded allowable connection time")
	m.ended()
	r.logged(`ICID \d+ disconnected address 127\.0\.1\.20, exceeded allowable connection time`)
	setup("500", "", "1000", "1h", "5m", "15m", "n", "n")
}
