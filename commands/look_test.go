package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"esa/mta/envelope"
	"esa/mta/lookup"
	"esa/shell"
	"esa/shell/shelltest"
)

// fakeLook is a gateway with five destinations and three clients. example.com
// gets one message a second.
type fakeLook struct {
	clock   *clock
	waited  int
	flushed int
	reset   int
}

// wait lets the clock go on. Nobody watches a display for ever.
func (f *fakeLook) wait(ctx context.Context, d time.Duration) error {
	f.clock.advance(d)
	if f.waited++; f.waited%50 == 0 {
		return shell.ErrInterrupt
	}
	return context.Cause(ctx)
}

func (f *fakeLook) Hosts() ([]Host, error) {
	seconds := int64(f.clock.Now().Sub(time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC)) / time.Second)
	return []Host{
		{Domain: "slow.example.net", State: "down", Active: 1234, Unattempted: 34, Attempted: 1200, Outbound: 1, Counters: map[string]int64{"soft_bounced_evts": 56}},
		{Domain: "example.com", State: "up", Active: 5, Unattempted: 5, Outbound: 12, Counters: map[string]int64{
			"delivered_recips": 1000 + seconds, "completed_recips": 1007 + seconds, "hard_bounced_recips": 7, "5xx_hard_bounced_recips": 6, "dns_hard_bounced_recips": 1,
		}},
		{Domain: "routed.example.org", State: "up", Counters: map[string]int64{"delivered_recips": 3, "completed_recips": 3}},
		{Domain: "[192.0.2.25]", State: "unknown", Active: 1, Unattempted: 1},
	}, nil
}

func (f *fakeLook) Host(_ context.Context, domain string) (HostDetail, error) {
	now := f.clock.Now()
	d := HostDetail{Host: Host{Domain: domain, State: "unknown"}}
	hosts, _ := f.Hosts()
	for _, h := range hosts {
		if h.Domain == domain {
			d.Host = h
		}
	}
	d.MX.Status, d.MX.TTL = lookup.Insecure, 52*time.Minute+24*time.Second
	switch domain {
	case "example.com":
		d.Pending = 3
		d.LastActivity, d.Expires = now.Add(-time.Second), now.Add(time.Hour)
		d.MX.Records = []lookup.MX{{Preference: 10, Host: "mx1.example.com"}, {Preference: 20, Host: "mx2.example.com"}}
		d.Addresses = []HostAddresses{
			{10, []netip.Addr{netip.MustParseAddr("2001:db8::25"), netip.MustParseAddr("192.0.2.25")}}, {20, []netip.Addr{netip.MustParseAddr("198.51.100.25")}},
		}
		d.Last5XXAt = now.Add(-time.Hour)
		d.Last5XX = envelope.Failure{Code: 550, Reason: envelope.ReasonRefused, Reply: []string{"5.1.1 no such user", "\x1b[31mreally\r\n"}, Addr: netip.MustParseAddrPort("192.0.2.25:25")}
		d.Last, d.LastAt = d.Last5XX, d.Last5XXAt
	case "slow.example.net":
		d.Oldest, d.LastActivity, d.NextAttempt = now.Add(-25*time.Hour), now.Add(-time.Minute), now.Add(9*time.Minute)
		d.LastAt, d.Last = now.Add(-time.Minute), envelope.Failure{Reason: envelope.ReasonTimeout, Reply: []string{"timeout"}, Addr: netip.MustParseAddrPort("[2001:db8::1]:25")}
		d.MX.Status, d.MX.Why = lookup.Failed, "timeout asking 192.0.2.53"
	case "routed.example.org":
		d.Route, d.LastActivity = "[192.0.2.1]:2525, mx.example.org/pri=5", now
	case "[192.0.2.25]":
		d.Addresses = []HostAddresses{{0, []netip.Addr{netip.MustParseAddr("192.0.2.25")}}}
	case "suspended.example":
		d.Suspended, d.Active, d.Unattempted = true, 1, 1
	case "limited.example":
		d.Active, d.Unattempted, d.NextAttempt, d.Limited = 2, 2, now.Add(4*time.Minute), true
	case "null.example":
		d.MX.Records = []lookup.MX{{}}
	case "nowhere.example":
		d.MX.NXDomain = true
	case "stop.example":
		return d, errors.New("interrupted")
	}
	return d, nil
}

func (f *fakeLook) Peers() ([]Peer, error) {
	return []Peer{
		{"mail.remotedomain01.com", netip.MustParseAddr("172.16.0.2"), "Incoming01", 10},
		{"a-name-that-is-longer-than-its-column.example.com", netip.MustParseAddr("192.0.2.77"), "OutgoingMail", 2},
		{"2001:db8:1234:5678:9abc:def0:1234:5678", netip.MustParseAddr("2001:db8:1234:5678:9abc:def0:1234:5678"), "Incoming01", 1},
	}, nil
}

func (f *fakeLook) ResetCounters() (time.Time, error) { f.reset++; return f.clock.Now(), nil }

func (f *fakeLook) FlushDNS() error { f.flushed++; return nil }

func (f *fakeLook) QueryDNS(_ context.Context, name, queryType string) (Records, error) {
	a := Records{Answer: lookup.Answer{Status: lookup.Insecure}}
	switch {
	case name == "nowhere.example":
		a.NXDomain = true
	case name == "failed.example":
		a.Status, a.Why = lookup.Failed, "ServFail"
	case queryType == "A":
		a.Records = []Record{{"A", "192.0.2.2", 30 * time.Minute}, {"A", "192.0.2.3", 30 * time.Minute}}
	case queryType == "MX":
		a.Records = []Record{{"MX", "10 mx1.example.com", 90061 * time.Second}}
	case queryType == "PTR":
		a.Records = []Record{{"PTR", "host.example.com", 0}}
	}
	return a, nil
}

// TestHostLookups shows where DNS gives no hosts.
func TestHostLookups(t *testing.T) {
	w := newWorld(t)
	env := w.env("admin", true)
	for host, want := range map[string]string{
		"nowhere.example":    "MX Records:\n    The domain does not exist\n",
		"null.example":       "MX Records:\n    The domain takes no mail (null MX)\n",
		"bare.example":       "Ordered IP addresses:\n    None\nMX Records:\n    None\n",
		"slow.example.net":   "MX Records:\n    The lookup failed: timeout asking 192.0.2.53\n",
		"routed.example.org": "SMTP Routes for this host:\n    [192.0.2.1]:2525, mx.example.org/pri=5\n",
		"stop.example":       "The command failed: interrupted.\n",
	} {
		if got := w.run(env, "hoststatus "+host); !strings.Contains(got, want) {
			t.Errorf("%s: %q is missing in\n%s", host, want, got)
		}
	}
}

// TestTopHosts sorts by each key; equal ones by name.
func TestTopHosts(t *testing.T) {
	counts := func(delivered, hard, soft int64) map[string]int64 {
		return map[string]int64{"delivered_recips": delivered, "hard_bounced_recips": hard, "soft_bounced_evts": soft}
	}
	hosts := []Host{
		{Domain: "c", Active: 1, Outbound: 2, Counters: counts(3, 4, 5)},
		{Domain: "b", Active: 5, Outbound: 1, Counters: counts(2, 3, 4)},
		{Domain: "a", Active: 4, Outbound: 5, Counters: counts(1, 2, 3)},
		{Domain: "d", Active: 3, Outbound: 4, Counters: counts(5, 1, 2)},
		{Domain: "e", Active: 3, Outbound: 3, Counters: counts(5, 5, 2)},
	}
	for i, want := range []string{"badec", "adecb", "decba", "ecbad", "cbade"} {
		key, got := topKeys()[i], ""
		for _, h := range topHosts(hosts, key) {
			got += h.Domain
		}
		if got != want {
			t.Errorf("%s: %s, want %s", key.word, got, want)
		}
	}
	var many []Host
	for i := range 30 {
		many = append(many, Host{Domain: fmt.Sprintf("%02d", i), Active: i})
	}
	if top := topHosts(many, topKeys()[0]); len(top) != maxTop || top[0].Domain != "29" {
		t.Errorf("%v", top)
	}
}

func TestRateLine(t *testing.T) {
	at := time.Date(2026, time.March, 2, 23, 37, 13, 0, time.UTC)
	counted := func(received, completed int64) map[string]Counter {
		return map[string]Counter{"inj_recips": {0, received, 41708833}, "completed_recips": {0, completed, 40842686}}
	}
	before := Status{Counters: counted(100, 50)}
	now := Status{At: at, Inbound: 10, Outbound: 2, KBUsed: 64, Counters: counted(107, 1050)}
	// As the reference has it (3.5).
	if got, want := rateLine(now, now), "23:37:13    10     2    41708833        0   40842686        0       64"; got != want {
		t.Errorf("got\n%s want\n%s", got, want)
	}
	if got, want := rateLine(before, now), "23:37:13    10     2    41708833        7   40842686     1000       64"; got != want {
		t.Errorf("got\n%s want\n%s", got, want)
	}
	h := Host{State: "up", Outbound: 1, Counters: map[string]int64{"delivered_recips": 4}}
	if got, want := hostRateLine(at.Add(70*time.Second), Host{}, h), "  23:38:23       up          1         0       0       4         0         0"; got != want {
		t.Errorf("got\n%s want\n%s", got, want)
	}
}

// TestWatchedUntilCtrlC: the displays go on until Ctrl-C, which is their
// ordinary end, and the heading comes again.
func TestWatchedUntilCtrlC(t *testing.T) {
	w := newWorld(t)
	for line, heading := range map[string]string{
		"rate 5": "\nTime        Connections Recipients", "hostrate example.com 5": "\n      Time     Host    CrtCncOut",
		"workqueue rate 5": "\nTime        Pending       In      Out\n",
	} {
		env := w.env("admin", false)
		ctx, cancel := context.WithCancelCause(t.Context())
		waited := 0
		w.look.waited = 0
		env.Wait = func(ctx context.Context, d time.Duration) error {
			if waited++; waited == 30 || d != 5*time.Second {
				cancel(shell.ErrInterrupt)
			}
			return w.look.wait(ctx, d)
		}
		screen := shelltest.NewScreen()
		screen.Plain = true
		w.shell(env, screen).Exec(ctx, line)
		got := screen.String()
		if rows := strings.Count(got, ":"); strings.Count(got, heading) != 2 || rows != 2*30 {
			t.Errorf("%s: %d rows\n%s", line, rows/2, got)
		}
	}
}

// TestWatchedByDialog asks for the pace and shows at it.
func TestWatchedByDialog(t *testing.T) {
	w := newWorld(t)
	env := w.env("admin", true)
	ctx, cancel := context.WithCancelCause(t.Context())
	env.Wait = func(ctx context.Context, d time.Duration) error {
		if d != 7*time.Second {
			t.Errorf("waits %v", d)
		}
		cancel(shell.ErrInterrupt)
		return context.Cause(ctx)
	}
	screen := shelltest.NewScreen("rate", "7")
	_ = w.shell(env, screen).Interactive(ctx)
	if got := screen.String(); !strings.Contains(got, "[10]> 7\nHit Ctrl-C to return to the main prompt.\n\nTime  ") {
		t.Error(got)
	}
}

func TestLifetime(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 999 * time.Millisecond: "0s", 30 * time.Minute: "30m", 52*time.Minute + 24*time.Second: "52m24s", 90061 * time.Second: "1d1h1m1s", 14 * 24 * time.Hour: "14d",
	} {
		if got := lifetime(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

// TestPrintable lets through nothing that moves the cursor or the order of
// what is read.
func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"plain äöü €":     "plain äöü €",
		"\x1b[2J\r\n\x00": "?[2J???",
		"\u009b31m\x7f":   "?31m?",
		"a\u202eb\u2066":  "a?b?",
		"\xff":            "?",
	} {
		if got := printable(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := printable(strings.Repeat("€", 1000)); len(got) > 1100 || !strings.HasSuffix(got, "€...") {
		t.Errorf("%d bytes", len(got))
	}
}

// TestXMLStatus is read by programs: it is compared whole, and by what one of
// them matches (reference 3.2).
func TestXMLStatus(t *testing.T) {
	at := time.Date(2017, time.March, 29, 11, 55, 51, 0, time.UTC)
	got := xmlStatus(Status{
		At: at, Since: at.Add(-26 * time.Hour), State: "Online", OldestMID: 7, Oldest: at.Add(-90 * time.Second), MID: 3, ICID: 2, DCID: 1,
		Counters: map[string]Counter{"5xx_hard_bounced_recips": {1, 2, 3}}, Rates: map[string]Rate{"inj_msgs": {6000, 1200, 400}}, KBFree: 9,
	}, "1.0", `a"b<c&`)
	for _, want := range []string{
		`<status build="esa 1.0" hostname="a&#34;b&lt;c&amp;" timestamp="20170329115551">`,
		`<birth_time timestamp="20170328095551 (1d 2h 0m 0s)"/>`, `<last_counter_reset timestamp=""/>`, `<system status="online" />`,
		`<oldest_message secs="90" mid="7" />`, `<counter name="5xx_hard_bounced_recips" reset="1" uptime="2" lifetime="3" />`,
		`<current_ids message_id="3" injection_conn_id="2" delivery_conn_id="1" />`,
		`<rate name="inj_msgs" last_1_min="6000" last_5_min="1200" last_15_min="400" />`, `<gauge name="kbytes_free" current="9" />`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
}

// TestLookingOffline refuses what only a running gateway has.
func TestLookingOffline(t *testing.T) {
	w := newWorld(t)
	env := w.env("admin", false)
	env.TLS = stopped{}
	env.Gateway, env.Look = fixedStatus{w.gateway, Status{At: w.time.Now(), State: "Offline"}}, stopped{}
	env.Mail, env.Service = stoppedMail{}, stoppedMail{}
	const refusal = "The gateway is not running. Start it first.\n"
	for _, line := range []string{
		"dnsflush", "dnsstatus", "hostrate example.com 5", "hoststatus example.com", "nslookup example.com", "rate 5", "resetcounters",
		"tlsverify example.com example.com", "tophosts conn_out", "topin", "workqueue", "workqueue status", "workqueue rate 5",
		"archivemessage", "archivemessage 9", "bouncerecipients", "delivernow", "delivernow all", "deleterecipients", "oldmessage",
		"redirectrecipients", "removemessage", "removemessage 9", "resume", "resumedel", "resumedel all", "resumelistener", "resumelistener all",
		"showmessage", "showmessage 9", "showrecipients", "suspend", "suspend 0", "suspenddel", "suspenddel 0 all", "suspendlistener", "suspendlistener 0 all",
	} {
		screen := shelltest.NewScreen()
		screen.Plain = true
		w.shell(env, screen).Exec(t.Context(), line)
		if got := screen.String(); got != refusal {
			t.Errorf("%s: %s", line, got)
		}
	}
}

// stopped is a gateway that does not run.
type stopped struct{}

func errStopped() error { return shell.Refusedf("The gateway is not running. Start it first.") }

func (stopped) Hosts() ([]Host, error) { return nil, errStopped() }
func (stopped) Peers() ([]Peer, error) { return nil, errStopped() }
func (stopped) FlushDNS() error        { return errStopped() }
func (stopped) Host(context.Context, string) (HostDetail, error) {
	return HostDetail{}, errStopped()
}
func (stopped) TryTLS(context.Context, TLSTrial, TLSWitness) (bool, *envelope.Failure, error) {
	return false, nil, errStopped()
}
func (stopped) ResetCounters() (time.Time, error) { return time.Time{}, errStopped() }
func (stopped) QueryDNS(context.Context, string, string) (Records, error) {
	return Records{}, errStopped()
}

// stoppedMail is the queue and the service of a gateway that does not run.
type stoppedMail struct{}

func (stoppedMail) Each(Selection, func(Queued) bool) error { return errStopped() }
func (stoppedMail) Open(envelope.MID) (Queued, io.ReadCloser, error) {
	return Queued{}, nil, errStopped()
}
func (stoppedMail) Delete(context.Context, Selection, Progress) (Acted, error) {
	return Acted{}, errStopped()
}
func (stoppedMail) Bounce(context.Context, Selection, Progress) (Acted, error) {
	return Acted{}, errStopped()
}
func (stoppedMail) Send(Letter) (envelope.MID, error) { return 0, errStopped() }
func (stoppedMail) Redirect(context.Context, envelope.Machine, Progress) (Acted, error) {
	return Acted{}, errStopped()
}
func (stoppedMail) DeliverNow(string) (int, error)                 { return 0, errStopped() }
func (stoppedMail) ChangeSuspension(func(*Suspension) error) error { return errStopped() }
func (stoppedMail) AwaitSessions(context.Context, time.Duration) (int, error) {
	return 0, errStopped()
}
func (stoppedMail) AwaitDeliveries(context.Context, time.Duration) (int, error) {
	return 0, errStopped()
}
