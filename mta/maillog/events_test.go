package maillog

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"esa/mta/envelope"
	"esa/mta/lookup"
)

var (
	here   = netip.MustParseAddr("10.1.1.1")
	there  = netip.MustParseAddr("192.0.2.4")
	peer   = netip.MustParseAddrPort("192.0.2.4:25")
	sender = envelope.Address{Local: "a", Domain: "example.com"}
	rcpt   = envelope.Recipient{RID: 1, Address: envelope.Address{Local: "b", Domain: "example.net"}}
	both   = []envelope.RID{0, 1}
)

// fate is an attempt that failed.
func fate(code int, enhanced, phrase string, reply ...string) Fate {
	why := envelope.Failure{Code: code, Enhanced: enhanced, Phrase: phrase, Reply: reply}
	return Fate{DCID: 5, MID: 7, Sender: sender, To: rcpt, Why: why}
}

// eventTest is one event and its lines.
type eventTest struct {
	name  string
	event func()
	want  string
}

// TestReceivingText and its sisters hold the templates of the reference.
func TestReceivingText(t *testing.T) {
	h := newHarness(t, mail)
	checkEvents(h, []eventTest{
		{"2.3 connection", func() { h.NewInjection(Injection{3, "Management", here, there, "mx.example.com", true}) },
			"Info: New SMTP ICID 3 interface Management (10.1.1.1) address 192.0.2.4 reverse dns host mx.example.com verified yes"},
		{"2.3 connection without name", func() { h.NewInjection(Injection{3, "Management", here, there, "", false}) },
			"Info: New SMTP ICID 3 interface Management (10.1.1.1) address 192.0.2.4 reverse dns host unknown verified no"},
		{"2.3 accept", func() { h.Admitted(3160, "ACCEPT", "None", "ALL") },
			"Info: ICID 3160 ACCEPT SG None match ALL SBRS not enabled country not enabled"},
		{"2.3 refuse", func() { h.TCPRefused("BLOCKLIST", "192.0.2.0/24") },
			"Info: ICID 0 TCPREFUSE SG BLOCKLIST match 192.0.2.0/24 SBRS not enabled country not enabled"},
		{"2.3 TLS", func() { h.InjectionTLS(3, "TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384") },
			"Info: ICID 3 TLS success protocol TLSv1.2 cipher ECDHE-RSA-AES256-GCM-SHA384"},
		{"2.3 TLS failed", func() { h.InjectionTLSFailed(3, -1, "Unexpected\nEOF") }, `Info: ICID 3 TLS failed: (-1, 'Unexpected\nEOF')`},
		{"2.3 no TLS", func() { h.TLSNotInitiated(3) }, "Info: ICID 3 TLS was required but remote host did not initiate it"},
		{"2.3 ends", func() { h.InjectionClosed(3); h.InjectionLost(4) }, "Info: ICID 3 close\nInfo: ICID 4 lost"},
		{"2.3 start", func() { h.Started(7, 3) }, "Info: Start MID 7 ICID 3"},
		{"2.3 from", func() { h.From(7, 3, sender) }, "Info: MID 7 ICID 3 From: <a@example.com>"},
		{"2.3 null sender", func() { h.From(7, 0, envelope.Address{}) }, "Info: MID 7 ICID 0 From: <>"},
		{"2.3 to", func() { h.To(7, 3, rcpt) }, "Info: MID 7 ICID 3 RID 1 To: <b@example.net>"},
		{"2.3 RAT", func() { h.RejectedByRAT(7, 3, sender) }, "Info: MID 7 ICID 3 To: <a@example.com> Rejected by RAT"},
		{"2.3 relay", func() { h.RelayDenied(7, 3, sender) },
			"Info: MID 7 ICID 3 To: <a@example.com> Rejected by Injection Control"},
		{"2.3 message id", func() { h.MessageID(7, "<Lands'End@x>") }, `Info: MID 7 Message-ID "<Lands'End@x>"`},
		{"2.3 subject", func() { h.Subject(7, "hello\nworld") }, `Info: MID 7 Subject 'hello\nworld'`},
		{"2.3 ready", func() { h.Ready(7, 1234, sender) }, "Info: MID 7 ready 1234 bytes from <a@example.com>"},
		{"2.3 queued", func() { h.Queued(7) }, "Info: MID 7 queued for delivery"},
		{"2.3 aborted", func() { h.Aborted(7, "Receiving aborted") },
			"Info: Message aborted MID 7 Receiving aborted\nInfo: Message finished MID 7 aborted"},
		{"2.3 trouble", func() { h.ReceivingFailed(3, "Message loop") }, "Info: ICID 3 Receiving Failed: Message loop"},
		{"2.3 bad addresses", func() { h.InvalidSender(3, "no @", "x"); h.InvalidRecipient(3, 7, "no @", "y") },
			"Info: ICID 3 Invalid sender address: no @: x\nInfo: ICID 3 MID 7 Invalid recipient address: no @: 'y'"},
		{"2.3 senders", func() {
			h.SenderRejected(3, sender, "envelope sender domain does not exist")
			h.SenderAllowed(3, sender, "envelope sender matched domain exception")
		}, "Info: ICID 3 Address: <a@example.com> sender rejected, envelope sender domain does not exist\n" +
			"Info: ICID 3 Address: <a@example.com> sender allowed, envelope sender matched domain exception"},
		{"2.3 bad commands", func() { h.UnknownCommand(3, "GET /\r"); h.BadSyntax(3, "MAIL x") },
			`Info: ICID 3 Unknown command: GET /\r` + "\nInfo: ICID 3 Bad syntax for command: MAIL x"},
		{"2.3 timeouts", func() { h.NoInjection(3, there); h.TooLong(3, there) },
			"Info: ICID 3 disconnected address 192.0.2.4, no messages injected within timeout period\n" +
				"Info: ICID 3 disconnected address 192.0.2.4, exceeded allowable connection time"},
	})
}

func TestDeliveryText(t *testing.T) {
	h := newHarness(t, mail)
	checkEvents(h, []eventTest{
		{"2.4 connection", func() { h.NewDelivery(5, here, peer); h.DeliveryClosed(5) },
			"Info: New SMTP DCID 5 interface 10.1.1.1 address 192.0.2.4 port 25\nInfo: DCID 5 close"},
		{"2.4 delivery", func() { h.DeliveryStarted(5, 7, both); h.Delivered(5, 7, both, "ok 'x'"); h.Finished(7) },
			"Info: Delivery start DCID 5 MID 7 to RID [0, 1]\nInfo: Message done DCID 5 MID 7 to RID [0, 1] \n" +
				`Info: MID 7 RID [0, 1] Response "ok 'x'"` + "\nInfo: Message finished MID 7 done"},
		{"2.4 TLS", func() {
			h.DeliverySecured(5, "TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384", "")
			h.DeliverySecured(5, "TLSv1.2", "DHE-RSA-AES256-GCM-SHA384", "karakun.com")
		}, "Info: DCID 5 TLS success protocol TLSv1.2 cipher ECDHE-RSA-AES256-GCM-SHA384\n" +
			"Info: DCID 5 TLS success protocol TLSv1.2 cipher DHE-RSA-AES256-GCM-SHA384 for karakun.com"},
		{"2.4 TLS failed", func() { h.DeliveryTLSFailed(5, "STARTTLS unexpected response"); h.NoSTARTTLS(5) },
			"Info: DCID 5 TLS failed: STARTTLS unexpected response\nInfo: DCID 5 STARTTLS command not supported"},
		{"2.4 TLS required", func() { h.TLSRequired(5, peer.Addr()); h.CertificateUnverified(5, "self-signed\ncertificate") },
			"Info: DCID 5 IP 192.0.2.4 TLS was required but could not be successfully negotiated\n" +
				`Info: DCID 5 TLS certificate not verified: self-signed\ncertificate`},
		{"DANE failed, at a host and for a domain", func() {
			h.DANE(DANEOutcome{DCID: 5, MID: 7, Domain: "a.test", Host: "mx.a.test", Verdict: DANEFailed, Reason: envelope.ReasonTLSA, Why: "it does\nnot fit"})
			h.DANE(DANEOutcome{MID: 7, Domain: "a.test", Verdict: DANEFailed, Reason: envelope.ReasonDNSSEC, Why: "forged"})
		}, `Info: DCID 5 MID 7 DANE failed for a.test host mx.a.test reason: tlsa-invalid: it does\nnot fit` +
			"\nInfo: MID 7 DANE failed for a.test reason: dnssec-invalid: forged"},
		{"DANE otherwise", func() {
			for _, v := range []DANEVerdict{DANEUnauthenticated, DANEFallback, DANENotApplicable} {
				h.DANE(DANEOutcome{MID: 7, Domain: "a.test", Host: "h", Verdict: v, Why: "why"})
			}
		}, "Info: MID 7 DANE requires unauthenticated TLS for a.test host h: why\n" +
			"Info: MID 7 DANE falls back to the TLS settings for a.test host h: why\nInfo: MID 7 DANE is not used for a.test host h: why"},
		{"2.4 connection error", func() {
			h.ConnectionFailed(ConnectionError{DCID: 5, Domain: "example.net", Remote: peer, Details: "timeout", Reason: "network error"})
		}, "Info: Connection Error: DCID 5 domain: example.net IP:192.0.2.4 port: 25 details: timeout interface: unknown reason: network error"},
		{"2.4 connection error, with a reply", func() {
			h.ConnectionFailed(ConnectionError{5, "example.net", peer, here, 454, "TLS not available", "unexpected SMTP response"})
		}, "Info: Connection Error: DCID 5 domain: example.net IP:192.0.2.4 port: 25 details: 454-'TLS not available' interface: 10.1.1.1 reason: unexpected SMTP response"},
		{"2.4 connection error, with a reply that would end its quotes", func() {
			h.ConnectionFailed(ConnectionError{5, "example.net", peer, here, 454, `no' reason: "none`, "unexpected SMTP response"})
		}, `Info: Connection Error: DCID 5 domain: example.net IP:192.0.2.4 port: 25 details: 454-'no\' reason: "none' interface: 10.1.1.1 reason: unexpected SMTP response`},
		{"2.4 bounced", func() { h.Bounced(fate(550, "5.1.1", "Bad destination email address", "no", "it's")) },
			"Info: Bounced: DCID 5 MID 7 From: <a@example.com> To: <b@example.net> RID 1 - 5.1.1 - Bad destination email address ('550', ['no', \"it's\"])"},
		{"2.4 delayed", func() { h.Delayed(fate(0, "4.4.0", "Other network problem", "timeout")) },
			"Info: Delayed: DCID 5 MID 7 From: <a@example.com> To: <b@example.net> RID 1 - 4.4.0 - Other network problem ('000', ['timeout'])"},
		{"2.4 double bounce", func() { h.DoubleBounced(fate(550, "5.1.1", "Bad destination email address", "no")) },
			"Info: Double bounce: MID 7 to 1 - 5.1.1 - Bad destination email address ('550', ['no'])"},
		{"2.4 pending, in the time zone of the log", func() {
			h.Pending(7, both, time.Date(2026, 2, 4, 16, 0, 0, 0, time.UTC), "Default")
		}, "Info: MID 7 to RID [0, 1] pending till Wed Feb  4 10:00:00 2026 [Default]"},
		{"2.4 notice", func() { h.GeneratedForBounce(8, 7); h.Deleted(7, both) },
			"Info: MID 8 was generated for bounce of MID 7\nInfo: Deleted: MID 7 to [0, 1]"},
	})
}

func TestSystemText(t *testing.T) {
	h := newHarness(t, Subscription{"mail_logs", TextMail, "mail", Debug, 1 << 20, 10})
	checkEvents(h, []eventTest{
		{"2.5 server", func() { h.ServerStarting(); h.ServerShutDown() }, "Info: SMTP server starting\nInfo: SMTP server shut down"},
		{"2.5 killed", func() { h.InjectionKilled(3); h.DeliveryKilled(5) },
			"Info: SMTP server connection killed ICID: 3\nInfo: SMTP client connection killed DCID: 5"},
		{"2.5 suspended", func() { h.DeliverySuspended([]string{"a.test", "b.test"}); h.ReceivingSuspended([]string{"ALL"}) },
			"Info: Deliveries are currently suspended [a.test, b.test]\nInfo: Receiving is suspended [ALL]"},
		{"2.5 resumed", func() { h.DeliveryResumed([]string{"ALL"}); h.ReceivingResumed([]string{"In", "Out"}) },
			"Info: Deliveries are resumed [ALL]\nInfo: Receiving is resumed [In, Out]"},
		{"2.5 set aside", func() { h.SetAside(7, "damaged: body checksum") }, "Critical: MID 7 set aside: damaged: body checksum"},
		{"2.5 DNS", func() { h.DNSTemporaryFailure("example.net", "MX", "ServFail") }, "Info: DNS Temporary Failure example.net MX - ServFail"},
		{"2.6 invalid DNSSEC response", func() {
			h.InvalidDNSSECResponse(DNSSECError{Name: "example.net", Type: "MX", Server: netip.MustParseAddrPort("192.0.2.53:53"), Why: "Unsupported qtype"})
		}, "Warning: Received an invalid DNSSEC Response: DNSSEC_Error('example.net', 'MX', '192.0.2.53', 'DNSSEC Error for hostname example.net (MX) while asking 192.0.2.53. Error was: Unsupported qtype') of qtype MX looking up example.net"},
		{"2.5 invalid response", func() { h.InvalidDNSResponse("SERVER FAILED", netip.MustParseAddrPort("192.0.2.53:53"), "example.net") },
			"Warning: Received an invalid DNS Response: SERVER FAILED to IP 192.0.2.53 looking up example.net"},
		{"2.6 invalid at the root", func() {
			h.InvalidDNSSECResponse(DNSSECError{Type: "DNSKEY", Server: netip.MustParseAddrPort("192.0.2.53:53"), Why: "expired"})
		}, "Warning: Received an invalid DNSSEC Response: DNSSEC_Error('.', 'DNSKEY', '192.0.2.53', 'DNSSEC Error for hostname . (DNSKEY) while asking 192.0.2.53. Error was: expired') of qtype DNSKEY looking up ."},
		{"2.6 query", func() { h.DNSQuery("ietf.org", "MX"); h.DNSQueryServer("ietf.org", "MX", 0) },
			"Debug: DNS query: Q('ietf.org', 'MX')\nDebug: DNS query: QN('ietf.org', 'MX', 'recursive_nameserver0.parent')"},
		{"2.6 sent", func() { h.DNSQuerySent("ietf.org", "MX", netip.MustParseAddrPort("192.0.2.53:5353"), time.Minute) },
			"Debug: DNS query: QIP ('ietf.org','MX','192.0.2.53:5353',60)\nDebug: DNS query: Q ('ietf.org', 'MX', '192.0.2.53:5353')"},
		{"2.6 cached MX", func() {
			h.DNSCached(CachedAnswer{"ietf.org", "MX", time.Unix(1549307328, 0), lookup.Secure, []lookup.MX{{Preference: 0, Host: "mail.ietf.org"}}, nil})
		}, "Debug: DNS encache (ietf.org, MX, [(1549307328L, 0, 'SECURE', (0, 'mail.ietf.org'))])"},
		{"2.6 cached A", func() {
			h.DNSCached(CachedAnswer{"x", "A", time.Unix(9, 0), lookup.Insecure, nil, []string{"192.0.2.1", "192.0.2.2"}})
		}, "Debug: DNS encache (x, A, [(9L, 0, 'INSECURE', '192.0.2.1'), (9L, 0, 'INSECURE', '192.0.2.2')])"},
		{"2.6 no data", func() { h.DNSNoData("x", "AAAA") }, "Debug: Received NODATA for domain x type AAAA"},
	})
}

func checkEvents(h *harness, tests []eventTest) {
	for _, tt := range tests {
		h.t.(*testing.T).Run(tt.name, func(t *testing.T) {
			before := h.text("mail_logs", "mail.current")
			tt.event()
			after := h.text("mail_logs", "mail.current")
			wantText(t, strings.TrimPrefix(after, before), tt.want+"\n")
		})
	}
}

func TestOptionalLinesAreOptional(t *testing.T) {
	h := newHarness(t, mail)
	if err := h.Configure([]Subscription{mail}, Settings{}); err != nil {
		t.Fatal(err)
	}
	h.MessageID(7, "<x>")
	h.Subject(7, "x")
	h.Delivered(5, 7, both, "ok")
	h.DNSQuery("a", "MX")
	wantText(t, h.text("mail_logs", "mail.current"), header+"Info: Message done DCID 5 MID 7 to RID [0, 1] \n")
}

// hostileEvents writes s wherever an event takes text from outside and
// returns how many lines that makes.
func hostileEvents(l *Log, s string) int {
	a := envelope.Address{Local: s, Domain: s}
	r := envelope.Recipient{Address: a}
	f := Fate{Sender: a, To: r, Why: envelope.Failure{Enhanced: s, Phrase: s, Reply: []string{s, s}}}
	at := netip.AddrPortFrom(here.WithZone(""), 25)
	events := []func(){
		func() { l.NewInjection(Injection{Interface: s, Local: here, Remote: there, Host: s}) },
		func() { l.Admitted(1, s, s, s) },
		func() { l.TCPRefused(s, s) },
		func() { l.From(1, 1, a) },
		func() { l.To(1, 1, r) },
		func() { l.RejectedByRAT(1, 1, a) },
		func() { l.RelayDenied(1, 1, a) },
		func() { l.MessageID(1, s) },
		func() { l.Subject(1, s) },
		func() { l.Ready(1, 1, a) },
		func() { l.ReceivingFailed(1, s) },
		func() { l.InvalidSender(1, s, s) },
		func() { l.InvalidRecipient(1, 1, s, s) },
		func() { l.UnknownCommand(1, s) },
		func() { l.BadSyntax(1, s) },
		func() { l.SenderRejected(1, a, s) },
		func() { l.SenderAllowed(1, a, s) },
		func() { l.ConnectionFailed(ConnectionError{1, s, at, here, 0, s, s}) },
		func() { l.ConnectionFailed(ConnectionError{1, s, at, here, 454, s, s}) },
		func() { l.DeliverySecured(1, "TLSv1.3", "X", s) },
		func() { l.DeliveryTLSFailed(1, s) },
		func() { l.CertificateUnverified(1, s) },
		func() { l.Bounced(f) },
		func() { l.Delayed(f) },
		func() { l.DoubleBounced(f) },
		func() { l.Pending(1, nil, time.Unix(0, 0), s) },
		func() { l.DNSTemporaryFailure(s, s, s) },
		func() { l.SetAside(1, s) },
		func() { l.DeliverySuspended([]string{s, s}) },
		func() { l.DeliveryResumed([]string{s}) },
		func() { l.ReceivingSuspended([]string{s}) },
		func() { l.ReceivingResumed([]string{s}) },
		func() { l.DNSQuery(s, s) },
		func() { l.DNSQueryServer(s, s, 0) },
		func() { l.DNSCached(CachedAnswer{s, s, time.Unix(0, 0), 0, []lookup.MX{{Host: s}}, []string{s}}) },
		func() { l.DNSAnswered(CachedAnswer{s, s, time.Unix(0, 0), 0, []lookup.MX{{Host: s}}, []string{s}}, 0) },
		func() { l.DNSNoData(s, s) },
		func() { l.InvalidDNSResponse(s, at, s) },
	}
	for _, e := range events {
		e()
	}
	l.Aborted(1, s)
	l.Delivered(1, 1, nil, s)
	l.DNSQuerySent(s, s, at, 0)
	return len(events) + 6
}

func TestAlertText(t *testing.T) {
	h := newHarness(t, mail)
	a := AlertMail{"System", "Warning", sender, "Warning <System> gw: It\nfailed."}
	long := AlertMail{"System", "Critical", sender, strings.Repeat("x", 150)}
	refused := envelope.Failure{Code: 553, Reply: []string{"no\n"}, Addr: peer, Reason: envelope.ReasonRefused}
	lost := envelope.Failure{Reply: []string{"EOF"}, Host: "mx a", Reason: envelope.ReasonLost}
	checkEvents(h, []eventTest{
		{"2.5 alert sent", func() { h.AlertSent(a) }, `Info: A System/Warning alert was sent to a@example.com with subject "Warning <System> gw: It\nfailed.".`},
		{"2.5 long subject", func() { h.AlertSent(long) }, `Info: A System/Critical alert was sent to a@example.com with subject "` + strings.Repeat("x", 100) + `...".`},
		{"2.5 alert not sent", func() { h.AlertUnsendable(a) },
			`Critical: Error while sending alert: Unable to send System/Warning alert to a@example.com with subject "Warning <System> gw: It\nfailed.".`},
		{"2.5 delivered", func() { h.AlertDelivered(a) },
			`Info: Internal SMTP system successfully sent a message to a@example.com with subject 'Warning <System> gw: It\nfailed.'.`},
		{"2.5 given up", func() { h.AlertGivenUp(a) },
			`Critical: Internal SMTP giving up on message to a@example.com with subject 'Warning <System> gw: It\nfailed.': Unrecoverable error.`},
		{"2.5 refused", func() { h.AlertRefused(a, refused) },
			`Warning: Internal SMTP Error: Failed to send message to host 192.0.2.4:25 for recipient a@example.com: Unexpected SMTP response "553", expecting code starting with "2", response was ['no\n'].`},
		{"2.5 not reached", func() { h.AlertRefused(a, lost) },
			`Warning: Internal SMTP Error: Failed to send message to host mx\x20a for recipient a@example.com: connection-lost ('000', ['EOF']).`},
	})
}

// TestRevocationListText: what a host says is escaped.
func TestRevocationListText(t *testing.T) {
	h := newHarness(t, mail)
	due := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	checkEvents(h, []eventTest{
		{"fetched", func() { h.RevocationListFetched("ca", 2, due) }, "Info: CRL ca fetched: 2 entries, next update 2026-03-02 09:30:00 UTC"},
		{"failed", func() { h.RevocationListFailed("ca", errors.New("no\nhost")) }, `Warning: CRL ca not fetched: no\nhost`},
		{"missing", func() { h.RevocationListLacking("ca", time.Time{}) }, "Warning: CRL ca is missing: no certificate is checked against it"},
		{"outdated", func() { h.RevocationListLacking("ca", due) },
			"Warning: CRL ca is outdated since 2026-03-02 09:30:00 UTC: no certificate is checked against it"},
	})
}
