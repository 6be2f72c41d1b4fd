package mta

import (
	"crypto/tls"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"esa/mta/dnssec"
	"esa/mta/envelope"
	"esa/mta/mtatest"
	"esa/mta/queue"
	"esa/store"
)

// tellOps has all alerts sent to ops@example.test.
func tellOps(c *store.Config) {
	c.Alerts.Recipients = []store.AlertRecipient{{
		Address: "ops@example.test", Classes: []store.AlertClass{store.AlertAll}, Severities: []store.AlertSeverity{store.AllSeverities},
	}}
}

// alertMail waits for the first message that reaches a peer with this in its
// subject.
func alertMail(t *testing.T, p *mtatest.Peer, subject string) mtatest.PeerMessage {
	t.Helper()
	var found mtatest.PeerMessage
	await(t, "an alert about "+subject, func() bool {
		for _, m := range p.Messages() {
			if head, _, _ := strings.Cut(m.Text, "\r\n\r\n"); strings.Contains(head, subject) {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// TestAlerts_ListenerThatCannotBind is mailed by the route of all mail, kept
// for displayalerts, and found again offline.
func TestAlerts_ListenerThatCannotBind(t *testing.T) {
	busy := taken(&world{t: t}, "127.0.0.2")
	w := newWorld(t, func(w *world, c *store.Config) {
		twoListeners(busy)(w, c)
		tellOps(c)
	})
	w.run()
	m := alertMail(t, w.hop, `Subject: Critical <System> gw.test: The listener "Second" does not receive mail.`)
	if m.From != "<alert@gw.test>" || len(m.To) != 1 || m.To[0] != "<ops@example.test>" || !strings.Contains(m.Text, "\r\nPort ") {
		t.Errorf("%+v", m)
	}
	await(t, "the log", func() bool {
		return strings.Contains(w.mailLog(), "Internal SMTP system successfully sent a message to ops@example.test")
	})
	stored, err := w.gateway.Alerts()
	if err != nil || len(stored) != 1 || !strings.HasPrefix(stored[0].Text, `The listener "Second" does not receive mail.`) {
		t.Errorf("%+v, %v", stored, err)
	}
	w.end()
	offline, err := Offline(w.options()).Alerts()
	if err != nil || len(offline) != 1 || offline[0].Text != stored[0].Text {
		t.Errorf("offline %+v, %v", offline, err)
	}
}

// mailLog is all of the mail log.
func (w *world) mailLog() string {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.dir, "logs", "mail_logs", "mail.@*"))
	if err != nil {
		w.t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			w.t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// TestAlerts_RequiredTLS is told where destconfig asks for it, once for each
// domain, and names domain, host and reason.
func TestAlerts_RequiredTLS(t *testing.T) {
	w := start(t, func(_ *world, c *store.Config) { tellOps(c) })
	fail := envelope.Failure{Reason: envelope.ReasonTimeout, Addr: netip.MustParseAddrPort("192.0.2.1:25"), Code: 454, Reply: []string{"later\r\nBcc: x@example.net"}}
	alerting{w.gateway}.TLSRequired("quiet.test", "mx.quiet.test", fail)
	w.commit(func(c *store.Config) { c.Destinations.AlertTLS = true })
	for range 3 {
		alerting{w.gateway}.TLSRequired("Secret.test", "mx.secret.test", fail)
		alerting{w.gateway}.TLSRequired("other.test", "mx.other.test", envelope.Failure{Reason: envelope.ReasonLost, Err: errors.New("EOF")})
	}
	m := alertMail(t, w.hop, "Subject: Warning <System> gw.test: A required TLS connection to Secret.test failed.")
	for _, want := range []string{
		"\r\nDomain: Secret.test\r\n", "\r\nHost: mx.secret.test (192.0.2.1 port 25)\r\n",
		"\r\nReason: timeout (the host answered 454 later\\r\\nBcc: x@example.net)\r\n",
	} {
		if !strings.Contains(m.Text, want) {
			t.Errorf("%q is not in\n%s", want, m.Text)
		}
	}
	m = alertMail(t, w.hop, "A required TLS connection to other.test failed.")
	if !strings.Contains(m.Text, "\r\nReason: connection-lost (EOF)\r\n") {
		t.Errorf("%s", m.Text)
	}
	if stored, _ := w.gateway.Alerts(); len(stored) != 2 {
		t.Errorf("%+v", stored)
	}
}

func TestAlerts_QueueFaults(t *testing.T) {
	w := start(t, func(_ *world, c *store.Config) { tellOps(c) })
	for kind, subject := range map[queue.FaultKind]string{
		queue.FaultSpace:   "Critical <System> gw.test: There is no space left for the queue: mail is refused.",
		queue.FaultWrite:   "Critical <System> gw.test: The queue cannot be written.",
		queue.FaultRead:    "Warning <System> gw.test: The queue cannot be read in whole.",
		queue.FaultDamaged: "Warning <System> gw.test: A message of the queue is damaged or gone",
	} {
		alerting{w.gateway}.queueFault(queue.Fault{Kind: kind, MID: 7, Err: syscall.EIO})
		if m := alertMail(t, w.hop, subject); !strings.Contains(m.Text, "\r\nFound at MID 7.\r\nCause: input/output error\r\n") {
			t.Errorf("%s", m.Text)
		}
	}
}

// queued is the file of the one message in the queue.
func (w *world) queued() string {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.dir, "queue", "*", "*.msg"))
	if err != nil || len(files) != 1 {
		w.t.Fatalf("%q %v", files, err)
	}
	return files[0]
}

// TestAlerts_DamagedMessage: the fault comes from the queue itself.
func TestAlerts_DamagedMessage(t *testing.T) {
	w := start(t, func(w *world, c *store.Config) {
		tellOps(c)
		c.Routes = append(c.Routes, routeTo("away.test", w.hop))
		c.Routes[1].Hosts[0].Port = freeAddr(t, "127.0.0.1").Port() // nobody is there
	})
	c := dial(t, w.addr)
	c.do("EHLO client.test", "250")
	c.mail("a@sender.test", "b@away.test", "Subject: x\r\n\r\nx")
	w.end()
	file := w.queued()
	if err := os.Truncate(file, 200); err != nil {
		t.Fatal(err)
	}
	w.reopen()
	alertMail(t, w.hop, "A message of the queue is damaged or gone")
}

// TestAlerts_RaisedAsTheGatewayEnds: what the queue finds while it ends is kept,
// though nobody is mailed of it any more.
func TestAlerts_RaisedAsTheGatewayEnds(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	hop := mtatest.StartPeer(t, mtatest.PeerScript{Answer: func(_ *mtatest.PeerConn, line string) string {
		if line != "." {
			return ""
		}
		close(asked)
		<-answer
		return "451 4.3.0 later"
	}})
	w := start(t, func(_ *world, c *store.Config) { c.Routes = []store.Route{routeTo("ALL", hop)} })
	c := dial(t, w.addr)
	c.do("EHLO client.test", "250")
	c.mail("a@sender.test", "b@example.test", "Subject: x\r\n\r\nx")
	<-asked
	file := w.queued()
	if err := os.Mkdir(strings.TrimSuffix(file, ".msg")+".journal", 0o700); err != nil {
		t.Fatal(err)
	}
	w.stop()
	await(t, "the end of receiving", func() bool { return strings.Contains(w.mailLog(), "SMTP server shut down") })
	close(answer)
	w.end()
	kept, err := Offline(w.options()).Alerts()
	if err != nil || len(kept) != 1 || !strings.HasPrefix(kept[0].Text, "The queue cannot be written.") {
		t.Errorf("%+v, %v", kept, err)
	}
}

// TestAlerts_LeaveByTheirInterface: the choice of alertconfig is obeyed, for
// alerts alone.
func TestAlerts_LeaveByTheirInterface(t *testing.T) {
	w := start(t, func(_ *world, c *store.Config) {
		tellOps(c)
		c.Interfaces = append(c.Interfaces, store.Interface{Name: "Alerts", Hostname: "alerts.test", IPv4: netip.MustParsePrefix("127.0.0.9/8")})
		c.Alerts.Interface = "Alerts"
		c.Alerts.From = "gateway@example.test"
	})
	c := dial(t, w.addr)
	c.do("EHLO client.test", "250")
	c.mail("a@sender.test", "b@rcpt.test", "Subject: ordinary\r\n\r\nx")
	alertMail(t, w.hop, "Subject: ordinary")
	alerting{w.gateway}.queueFault(queue.Fault{Err: syscall.EIO})
	if m := alertMail(t, w.hop, "Critical <System>"); m.From != "<gateway@example.test>" {
		t.Errorf("%+v", m)
	}
	var hellos []string
	for _, command := range w.hop.Commands() {
		if strings.HasPrefix(command, "EHLO") {
			hellos = append(hellos, command)
		}
	}
	if strings.Join(hellos, ",") != "EHLO gw.test,EHLO alerts.test" {
		t.Errorf("%q", hellos)
	}
	if log := w.mailLog(); !strings.Contains(log, "interface 127.0.0.9 address") {
		t.Errorf("%s", log)
	}
}

// TestAlerts_CertificateEnds over a restart: it is told once.
func TestAlerts_CertificateEnds(t *testing.T) {
	w := start(t, func(w *world, c *store.Config) {
		tellOps(c)
		key, err := store.NewKey(store.P256)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := store.NewCertificate("mail", key, store.Subject{CommonName: "gw.test", Days: 4}, w.now())
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates, c.Listeners[0].Certificate = []store.Certificate{cert}, "mail"
	})
	m := alertMail(t, w.hop, `Warning <System> gw.test: The certificate "mail" expires in 4 days.`)
	if !strings.Contains(m.Text, "\r\nUsed by: listener \"OutgoingMail\"\r\n") {
		t.Errorf("%s", m.Text)
	}
	w.reopen()
	w.awaitBound(1)
	alerting{w.gateway}.queueFault(queue.Fault{Err: syscall.EIO})
	alertMail(t, w.hop, "Critical <System>")
	if stored, err := w.gateway.Alerts(); err != nil || len(stored) != 2 {
		t.Errorf("%+v, %v", stored, err)
	}
}

// requireTLS has a domain with its own route require TLS.
func requireTLS(c *store.Config, domain string, mode store.TLSMode, hop *mtatest.Peer) {
	c.Routes = append(c.Routes, routeTo(domain, hop))
	c.Destinations.Entries = append(c.Destinations.Entries, store.Destination{Domain: domain, TLS: mode})
	c.Destinations.AlertTLS = true
}

// TestAlerts_DeliveryThatRequiresTLS follows a message to a host that has none:
// the mail waits, and operators hear why.
func TestAlerts_DeliveryThatRequiresTLS(t *testing.T) {
	shown := mtatest.NewAuthority(t, "Nobody").Issue(t, mtatest.CertificateSpec{CommonName: "plain.test", DNSNames: []string{"plain.test"}})
	server := &tls.Config{Certificates: []tls.Certificate{shown}}
	for name, tt := range map[string]struct {
		mode   store.TLSMode
		peer   mtatest.PeerScript
		reason string
	}{
		"no STARTTLS":  {store.TLSRequired, mtatest.PeerScript{}, "Reason: starttls-not-supported"},
		"not verified": {store.TLSRequiredVerify, mtatest.PeerScript{TLS: server}, "Reason: certificate-not-trusted"},
	} {
		t.Run(name, func(t *testing.T) {
			plain := mtatest.StartPeer(t, tt.peer)
			w := start(t, func(_ *world, c *store.Config) {
				tellOps(c)
				requireTLS(c, "plain.test", tt.mode, plain)
			})
			c := dial(t, w.addr)
			c.do("EHLO client.test", "250")
			c.mail("a@sender.test", "b@plain.test", "Subject: x\r\n\r\nx")
			m := alertMail(t, w.hop, "A required TLS connection to plain.test failed.")
			for _, want := range []string{"\r\nDomain: plain.test\r\n", "\r\nHost: 127.0.0.1 (127.0.0.1 port ", "\r\n" + tt.reason} {
				if !strings.Contains(m.Text, want) {
					t.Errorf("%q is not in\n%s", want, m.Text)
				}
			}
			if len(plain.Messages()) != 0 {
				t.Error("the message went out")
			}
		})
	}
}

// TestAlerts_OwnTLSFailure: an alert to a domain whose TLS fails is tried by
// the same rules, never in clear, and raises no other.
func TestAlerts_OwnTLSFailure(t *testing.T) {
	plain := mtatest.StartPeer(t, mtatest.PeerScript{})
	w := start(t, func(_ *world, c *store.Config) {
		tellOps(c)
		requireTLS(c, "example.test", store.TLSRequired, plain)
	})
	alerting{w.gateway}.queueFault(queue.Fault{Err: syscall.EIO})
	await(t, "the attempt", func() bool {
		return strings.Contains(w.mailLog(), "Internal SMTP Error: Failed to send message to host 127.0.0.1:")
	})
	stored, err := w.gateway.Alerts()
	if err != nil || len(stored) != 1 || len(plain.Messages()) != 0 || plain.Connections() != 1 {
		t.Errorf("%+v, %v; %d connections", stored, err, plain.Connections())
	}
}

// TestAlerts_DNSSEC: what keeps answers from being validated is told.
func TestAlerts_DNSSEC(t *testing.T) {
	w := start(t, func(*world, *store.Config) {})
	alerting{w.gateway}.Lame(netip.MustParseAddrPort("192.0.2.53:53"), "no signature")
	await(t, "a lame server", func() bool { return w.told("The DNS server 192.0.2.53:53 does not pass DNSSEC on.") == 1 })
	alerting{w.gateway}.Anchorless(".", "expired")
	await(t, "keys that do not validate", func() bool { return w.told("The keys of the DNS root do not validate") == 1 })
}

// TestAlerts_RootRevoked (V-75): that no key of the root is left is told at the
// start and by a commit, once until one is trusted again, and not while an operator
// trusts one of his own.
func TestAlerts_RootRevoked(t *testing.T) {
	own := strings.Replace(dnssec.RootAnchors().Lines()[0], "20326", "20327", 1)
	w := newWorld(t, func(_ *world, c *store.Config) { c.Alerts.InitialWait = 0 })
	w.tune = func(g *Gateway) { g.live.trust.point = dnssec.NewTrustPoint(".", dnssec.Anchors{}) }
	w.run()
	markers := 0
	expect := func(when string, want int) {
		t.Helper()
		markers++ // alerts are kept in the order in which they are raised
		marker := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.53"), uint16(markers))
		alerting{w.gateway}.Lame(marker, "no signature")
		await(t, "the marker", func() bool { return w.told("The DNS server "+marker.String()+" does") == 1 })
		if got := w.told("All trusted keys of the DNS root are revoked"); got != want {
			t.Errorf("%s: told %d times, want %d", when, got, want)
		}
	}
	trust := func(anchors ...string) { w.commit(func(c *store.Config) { c.DNS.Anchors = anchors }) }
	expect("at the start", 1)
	w.commit(func(c *store.Config) { c.Hostname = "other.test" })
	expect("after a commit of something else", 1)
	trust(own)
	expect("with a key of one's own", 1)
	trust()
	expect("without it", 2)

	w.end()
	w.tune = nil
	w.run()
	expect("at a start with the keys that are built in", 2)
}

// told counts the alerts with this in them.
func (w *world) told(text string) int {
	w.t.Helper()
	stored, err := w.gateway.Alerts()
	if err != nil {
		w.t.Fatal(err)
	}
	n := 0
	for _, s := range stored {
		if strings.Contains(s.Text, text) {
			n++
		}
	}
	return n
}
