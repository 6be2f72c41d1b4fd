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

// crowdedPeer counts the connections that it has at a time.
type crowdedPeer struct {
	*mtatest.Peer
	mu        sync.Mutex
	now, most int
	perConn   map[int]int
}

func newCrowdedPeer(t *testing.T) *crowdedPeer {
	c := &crowdedPeer{perConn: map[int]int{}}
	c.Peer = mtatest.StartPeer(t, mtatest.PeerScript{Answer: func(conn *mtatest.PeerConn, command string) string {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case command == "":
			c.now++
			c.most = max(c.most, c.now)
		case command == ".":
			c.perConn[conn.Number]++
		case strings.HasPrefix(command, "QUIT"):
			c.now--
		}
		return ""
	}})
	return c
}

// configure is one script of dialogs, as the sections 6 to 9 and 4 have them.
func (r *reference) configure() {
	r.t.Helper()
	out := r.script(slices.Concat(
		r.interfaces(), r.listeners(), policyScript(), groupScript(), recipientScript(), r.routes(), destinationScript(),
		[]string{"commit", "typed from the reference", "y"},
	)...)
	for _, text := range []string{
		"There are currently 4 policies defined.", "There are currently 5 sender groups.", // 7.5 [seen]
		"There are currently 1 routes configured.",          // 8
		"There are currently 2 entries configured.",         // 4.1 [seen]
		`Enter the max concurrency limit for "slow.test".`,  // 4.2 [seen]
		`Enter the max number of recipients per 60 minutes`, // 4.2 [seen]
		"Select how the limits will be enforced:",           // 4.2 [seen]
		"Recipient Access Table",                            // 7.8
		"Listener IncomingMail created.",                    // 7.2
		"Changes committed: ",                               // 2.1 [seen]
	} {
		if !strings.Contains(out, text) {
			r.t.Errorf("the screen has no %q", text)
		}
	}
	if r.t.Failed() {
		r.t.Logf("%s", out)
	}
}

// Section 6.
func (r *reference) interfaces() []string {
	return []string{
		"interfaceconfig", "new", "InternalNet", "y", "127.0.0.10", "255.0.0.0", "n", "mx.example.com", "",
		"sethostname", "esa.example.com",
	}
}

// Sections 7.2, 7.3 (LIMITS, BOUNCECONFIG) and 7.4: what is not asked here has
// features of its own.
func (r *reference) listeners() []string {
	return []string{
		"bounceconfig", "new", "Fast", "1", "600", "1", "1", "y", "y", "Your mail did not arrive", "n", "n", "n", "",
		"listenerconfig",
		"new", "2", "IncomingMail", "InternalNet", "1", fmt.Sprint(r.incoming.Port()), "example.com, .example.com, joe@example.org", "n", "n", "1",
		"new", "1", "OutboundMail", "2", "1", fmt.Sprint(r.outgoing.Port()), "127.0.2.1", "n", "n", "Fast",
		"edit", "OutboundMail", "LIMITS", "2", "50", "",
		"edit", "IncomingMail", "bounceconfig", "Fast", "",
		"setup", "500", "20", "1h", "5m", "15m", "n", "n",
		"",
	}
}

// parameters answers the questions of section 7.6: 1 to 4, then 5 to 7, 8, 9,
// 10, 12, 25, 26. A limit that is not given is left.
type parameters struct {
	size, connections, messages, recipients string
	hour, sender, harvest, verify           []string
}

func (p parameters) answers() []string {
	or := func(lines []string) []string {
		if lines == nil {
			return []string{"n"}
		}
		return lines
	}
	return slices.Concat([]string{"y", p.size, p.connections, p.messages, p.recipients, "n", "n", "n"},
		or(p.hour), or(p.sender), or(p.harvest), []string{"n"}, or(p.verify), []string{"n"})
}

// Section 7.5, NEW of policies.
func policyScript() []string {
	lines := []string{"listenerconfig", "edit", "IncomingMail", "hostaccess"}
	for _, p := range []struct {
		name   string
		params parameters
	}{
		{"SMALL", parameters{size: "10k"}},
		{"BRIEF", parameters{messages: "2"}},
		{"FEW", parameters{recipients: "2"}},
		{"ALONE", parameters{connections: "1"}},
		{"HOURLY", parameters{hour: []string{"y", "2", "n"}}},
		{"HOURLYREPLY", parameters{hour: []string{"y", "1", "y", "450", "Not so", "fast", ""}}},
		{"PERSENDER", parameters{sender: []string{"y", "2", "60", "n", "news@example.net"}}},
		{"HARVEST", parameters{harvest: []string{"y", "2", "2", "n"}}},
		{"HARVESTDROP", parameters{harvest: []string{"y", "1", "1"}}},
		{"VERIFY", parameters{verify: []string{"y", "n", "n", "y", "550", "Who is that?", ""}}},
	} {
		lines = append(lines, "new", "2", p.name, "1")
		lines = append(lines, p.params.answers()...)
	}
	lines = append(lines, "new", "2", "BANNER", "accept", "y", "", "", "", "", "y", "mail.example.net", "y", "220", "No spam here", "", "n", "n", "n", "n", "n", "n", "n")
	lines = append(lines, "new", "2", "GOAWAY", "3", "y", "", "", "", "", "n", "n", "y", "554", "We do not know you", "", "n", "n", "n", "n", "n", "n")
	return append(lines, "", "", "")
}

// Section 7.5, NEW of sender groups and MOVE: the order decides.
func groupScript() []string {
	lines := []string{"listenerconfig", "edit", "IncomingMail", "hostaccess"}
	for _, g := range [][3]string{
		{"WATCHED", "127.0.1.0/24", "Continue"},
		{"SIZED", "127.0.1.1", "SMALL"},
		{"TALKERS", "127.0.1.2", "BRIEF"},
		{"LISTS", "127.0.1.3", "FEW"},
		{"CROWDS", "127.0.1.4", "ALONE"},
		{"RATED", "127.0.1.5", "HOURLY"},
		{"RATEDREPLY", "127.0.1.6", "HOURLYREPLY"},
		{"WRITERS", "127.0.1.7", "PERSENDER"},
		{"HARVESTERS", "127.0.1.8", "HARVEST"},
		{"DROPPEDHARVESTERS", "127.0.1.9", "HARVESTDROP"},
		{"VERIFIED", "127.0.1.10", "VERIFY"},
		{"PARTNERS", ".partner.test", "Relay"},
		{"LISTED", "dnslist[bl.test]", "GOAWAY"},
		{"REJECTED", "127.0.1.14-15", "Reject"},
		{"DROPPED", "127.0.1.16", "TCP Refuse"},
		{"GREETED", "127.0.1.17", "BANNER"},
	} {
		policy := g[2]
		if n := slices.Index([]string{"Accept", "Relay", "Reject", "TCP Refuse", "Continue"}, policy); n >= 0 {
			policy = fmt.Sprint(n + 1)
		}
		lines = append(lines, "new", "1", g[0], g[1], policy, "typed from the reference")
	}
	return append(lines, "move", "SIZED", "WATCHED", "move", "WATCHED", "WHITELIST", "print", "", "", "")
}

// Section 7.8.
func recipientScript() []string {
	return []string{
		"listenerconfig", "edit", "IncomingMail", "rcptaccess",
		"new", "nobody@example.com", "2", "n", "n",
		"new", "moved@example.com", "2", "y", "551", "Write to new@example.net", "", "n",
		"new", "busy@example.com", "2", "y", "450", "Later", "", "n",
		"new", "free@example.com", "1", "n", "y",
		"print", "", "", "",
	}
}

// Section 8.
func (r *reference) routes() []string {
	to := func(p *mtatest.Peer) string { return fmt.Sprintf("127.0.0.1:%d", p.Addr().Port()) }
	return []string{
		"smtproutes", "new", "ALL", to(r.hop), "new", "slow.test", to(r.slow.Peer), "new", "limited.test", to(r.hop),
		"new", "refusing.test", to(r.refusing), "new", "busy.test", to(r.busy), "",
	}
}

// Section 4.2.
func destinationScript() []string {
	return []string{
		"destconfig",
		"new", "slow.test", "y", "1", "y", "2", "n", "1", "1", "n", "n",
		"new", "limited.test", "n", "n", "y", "60", "3", "1", "1", "y", "Fast", "n",
		"",
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
	first.ended()
	r.client(4).quit()

	open := []*mailer{mailFrom(r.t, "127.0.2.1", r.outgoing), mailFrom(r.t, "127.0.2.1", r.outgoing)}
	third := connectFrom(r.t, "127.0.2.1", r.outgoing)
	r.exactly(third, "", "421 #4.4.5 Too many connections to this listener")
	for _, m := range open {
		m.quit()
		m.ended()
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
	awaitMessages(r.t, r.slow.Peer, 5)
	r.slow.mu.Lock()
	if r.slow.most != 1 {
		r.t.Errorf("%d connections at a time to a destination of concurrency 1", r.slow.most)
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

// batch: one-line forms of the reference (1.4, 4.8, 6, 7.7, 7.8, 8, 9), and
// those that scripts are known to use (esa-operations 1.5).
func (r *reference) batch() {
	out := r.script(
		"interfaceconfig new Data2 lo mx2.example.com --ip=127.0.0.11/8",
		"bounceconfig new Slow max_retries=3 max_queue_lifetime=1000 initial_retry=5 max_retry_timeout=10 send_bounces=yes use_dsn_bounce_format=yes",
		fmt.Sprintf("listenerconfig new Third public Data2 smtp port=%d", freePort(r.t, "127.0.0.11")),
		"listenerconfig edit Third hostaccess new policy SLOW ACCEPT --max_size 1M --max_conn 5 --max_msgs 6 --max_rcpt 7 --rate_lim 8 --dhap 9 --sig_bits 24",
		`listenerconfig edit Third hostaccess new policy HELLO ACCEPT --override mx3.example.com --cust_acc "Welcome" --acc_code 220 --cust_rej "Go" --rej_code 550`,
		"listenerconfig edit Third hostaccess new sendergroup SLOWLIST 10.1.1.0/24,.slow.example $SLOW",
		"listenerconfig edit Third hostaccess new sendergroup OWN 10.1.2.1 ACCEPT --max_conn 3 --rate_lim 20",
		`listenerconfig edit "Third" hostaccess edit sendergroup SLOWLIST new 10.1.3.1`,
		"listenerconfig edit Third hostaccess print",
		"listenerconfig edit Third hostaccess edit sendergroup SLOWLIST host 10.1.4.0/24",
		"listenerconfig edit Third hostaccess edit sendergroup SLOWLIST comment \"slow ones\"",
		"listenerconfig edit Third hostaccess edit sendergroup SLOWLIST name SLOWER",
		"listenerconfig edit Third hostaccess edit sendergroup SLOWER behavior REJECT",
		"listenerconfig edit Third hostaccess move SLOWER WHITELIST",
		"listenerconfig edit Third hostaccess edit default --max_msgs 20",
		"listenerconfig edit Third hostaccess list",
		"listenerconfig edit Third hostaccess export third.hat",
		"listenerconfig edit Third hostaccess import third.hat",
		"listenerconfig edit Third hostaccess delete sendergroup SLOWER",
		"listenerconfig edit Third hostaccess delete policy SLOW",
		"listenerconfig edit Third rcptaccess new example.net --action accept",
		"smtproutes new example.net exchange.example.net/pri=5 [192.0.2.1]:26",
		"smtproutes edit example.net USEDNS",
		"smtproutes delete example.net",
		"destconfig new example.net concurrency_limit=5 concurrency_limit_type=host concurrency_limit_apply=system max_messages_per_connection=10 recipient_limit_minutes=10 recipient_limit=100 bounce_profile=Slow ip_sort_pref=PREFER_V6",
		"destconfig list", "destconfig detail example.net", "destconfig detail default", "destconfig export dest.ini", "destconfig import dest.ini",
		"destconfig delete example.net",
		"bounceconfig edit Slow bounce_subject=Returned",
		`commit "batch" Y`,
		"tophosts active_rcpts", "workqueue status", "version", "status detail",
		"grep Receiving mail_logs", `grep -e "Too Many" -e RELAY mail_logs`,
		"listenerconfig delete Third", `commit "gone"`, "rollovernow mail_logs",
	)
	for _, text := range []string{"max_rcpts_per_hour = 8", "dhap_limit = 9", "significant_bits = 24", "10.1.3.1", "slow ones",
		"Hosts marked with '*' were down as of the last delivery attempt.", "Receiving Failed: Too Many Messages"} {
		if !strings.Contains(out, text) {
			r.t.Errorf("the screen has no %q", text)
		}
	}
	if r.t.Failed() {
		r.t.Logf("%s", out)
	}
}
