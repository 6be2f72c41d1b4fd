package main

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"esa/mta/mtatest"
)

// fates are what becomes of a recipient, by its domain. Those before gone.test
// are tried; a message for gone.test and returned.test waits until an operator
// ends it.
var fates = [...]string{
	"ok.test", "ok2.test", "ok.test", "refused.test", "nowhere.test", "old.test", "later.test", "null.test", "gone.test", "returned.test",
}

// bookkeeping is what must have become of everything.
type bookkeeping struct {
	messages, recipients, refused int
	by                            map[string]int // recipients by domain
	notices                       int            // bounces that senders are told
}

// plan gives the recipients of the i-th message: one to three fates.
func (l *bookkeeping) plan(i int) []string {
	var to []string
	told := map[string]bool{}
	for n := range 1 + i%3 {
		domain := fates[(i*(2*n+1)+n)%len(fates)]
		to = append(to, fmt.Sprintf("u%d.%d@%s", i, n, domain))
		l.by[domain]++
		switch domain {
		case "refused.test", "nowhere.test", "old.test", "returned.test":
			told[domain] = true
		}
	}
	l.messages++
	l.recipients += len(to)
	l.notices += len(told)
	return to
}

// bookHop is the next hop of all domains. It keeps its own books.
type bookHop struct {
	mu    sync.Mutex
	seen  map[string]bool
	soft  int // 451 to RCPT
	hard  int // 550 to RCPT
	taken int // recipients of messages
}

func (h *bookHop) answer(_ *mtatest.PeerConn, command string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !strings.HasPrefix(command, "RCPT"):
		return ""
	case strings.Contains(command, "@refused.test"):
		h.hard++
		return "550 5.1.1 no such user"
	case strings.Contains(command, "@old.test"), strings.Contains(command, "@later.test") && !h.seen[command]:
		h.seen[command] = true
		h.soft++
		return "451 4.7.1 later"
	}
	return ""
}

// TestBooks sends messages of mixed fate through a gateway and finds that its
// counters, by every command that shows them, agree with what was sent, with
// the books of the next hop, and with the mail log.
func TestBooks(t *testing.T) {
	hop := &bookHop{seen: map[string]bool{}}
	peer := mtatest.StartPeer(t, mtatest.PeerScript{Answer: hop.answer})
	dir, private := prepared(t)
	public := freeAddr(t)
	house := openHouse(t, dir)
	esa(t, dir, strings.Join([]string{
		"smtproutes new ALL " + peer.Addr().String(), "smtproutes new nowhere.test USEDNS", "smtproutes new null.test /dev/null",
		"bounceconfig edit Default max_retries=1", fmt.Sprintf("listenerconfig new In public Management smtp port=%d accept=ok.test", public.Port()),
		`commit "books" Y`, "suspenddel 0 gone.test returned.test",
	}, "\n")+"\n").want(t, 0, "Mail delivery suspended.")

	plan := &bookkeeping{by: map[string]int{}}
	sendBooks(t, private, public, plan)
	by := plan.by
	waitActive(t, house, by["old.test"]+by["later.test"]+by["gone.test"]+by["returned.test"], by["gone.test"]+by["returned.test"])
	esa(t, dir, "", "delivernow all").want(t, 0, "recipients scheduled.")
	waitActive(t, house, by["gone.test"]+by["returned.test"], by["gone.test"]+by["returned.test"])
	esa(t, dir, "", "deleterecipients host gone.test").want(t, 0, " messages deleted.")
	esa(t, dir, "", "bouncerecipients host returned.test").want(t, 0, " messages bounced.")
	esa(t, dir, "", "resume").want(t, 0)
	waitActive(t, house, 0, 0)
	for _, m := range peer.Messages() {
		hop.taken += len(m.To)
	}
	want := plan.counters()
	hop.mu.Lock()
	if hop.taken != want["delivered_recips"] || hop.soft != want["soft_bounced_evts"] || hop.hard != want["5xx_hard_bounced_recips"] {
		t.Errorf("the next hop took %d recipients, said later to %d and no to %d; the plan was %v", hop.taken, hop.soft, hop.hard, want)
	}
	hop.mu.Unlock()
	compareXML(t, dir, want)
	compareStatus(t, dir, want)
	compareHosts(t, dir, want, by)
	compareTop(t, dir, want)
	house.close() // the log is whole
	compareLog(t, dir, want)
}

// counters is what status must say, by the names of /xml/status.
func (l *bookkeeping) counters() map[string]int {
	want := map[string]int{
		"inj_msgs": l.messages, "inj_recips": l.recipients, "rejected_recips": l.refused, "dropped_msgs": 0, "gen_bounce_recips": l.notices,
		"soft_bounced_evts":          l.by["later.test"] + 2*l.by["old.test"],
		"dns_hard_bounced_recips":    l.by["nowhere.test"],
		"5xx_hard_bounced_recips":    l.by["refused.test"],
		"filter_hard_bounced_recips": 0, "expired_hard_bounced_recips": l.by["old.test"], "other_hard_bounced_recips": l.by["returned.test"],
		"delivered_recips": l.by["ok.test"] + l.by["ok2.test"] + l.by["later.test"] + l.notices,
		"deleted_recips":   l.by["null.test"] + l.by["gone.test"],
	}
	for _, part := range []string{"dns", "5xx", "filter", "expired", "other"} {
		want["hard_bounced_recips"] += want[part+"_hard_bounced_recips"]
	}
	want["completed_recips"] = want["hard_bounced_recips"] + want["delivered_recips"] + want["deleted_recips"]
	return want
}

// sendBooks sends what the plan says over some connections at a time, and over
// the public listener some recipients that it refuses.
func sendBooks(t *testing.T, private, public netip.AddrPort, b *bookkeeping) {
	t.Helper()
	var plan [][]string
	for i := range bookMessages {
		plan = append(plan, b.plan(i))
	}
	const clients, perSession = 4, 200
	var sending sync.WaitGroup
	for n := range clients {
		sending.Go(func() {
			var c *bookSender
			for i := n; i < len(plan); i += clients {
				if c == nil || i/clients%perSession == 0 {
					c.quit()
					c = newBookSender(t, private)
				}
				c.send(i, plan[i], "250")
			}
			c.quit()
		})
	}
	sending.Wait()
	c := newBookSender(t, public)
	for i := range 10 {
		c.do(fmt.Sprintf("MAIL FROM:<s%d@sender.test>", i), "250")
		c.do("RCPT TO:<nobody@elsewhere.test>", "550")
		c.do("RSET", "250")
		b.refused++
	}
	c.quit()
}

// bookSender is an SMTP client.
type bookSender struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func newBookSender(t *testing.T, to netip.AddrPort) *bookSender {
	c := &bookSender{t: t, conn: dialListener(t, to)}
	c.in = bufio.NewReader(c.conn)
	c.expect("220")
	c.do("EHLO client.test", "250")
	return c
}

func (c *bookSender) do(line, code string) {
	if _, err := io.WriteString(c.conn, line+"\r\n"); err != nil {
		c.t.Errorf("sending %q: %v", line, err)
	}
	c.expect(code)
}

func (c *bookSender) expect(code string) {
	for {
		line, err := c.in.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, code) {
			c.t.Errorf("answered %q, %v, want %s", line, err, code)
			return
		}
		if line[3] == ' ' {
			return
		}
	}
}

func (c *bookSender) send(i int, to []string, code string) {
	c.do(fmt.Sprintf("MAIL FROM:<s%d@sender.test>", i), "250")
	for _, r := range to {
		c.do("RCPT TO:<"+r+">", "250")
	}
	c.do("DATA", "354")
	c.do("Subject: books\r\n\r\nHello.\r\n.", code)
}

func (c *bookSender) quit() {
	if c != nil {
		c.do("QUIT", "221")
		c.conn.Close()
	}
}

// waitActive waits until so many recipients are in the queue, all but some of
// them tried, and no attempt is under way.
func waitActive(t *testing.T, h *house, active, untried int) {
	t.Helper()
	end := time.Now().Add(limit + bookMessages*20*time.Millisecond)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		s := h.p.gateway.Status().Queue
		if s.ActiveRecipients == active && s.UnattemptedRecipients == untried && s.Running == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%+v, want %d active recipients, %d of them untried", s, active, untried)
		}
	}
}

// compareXML reads status xml as a monitoring program does.
func compareXML(t *testing.T, dir string, want map[string]int) {
	t.Helper()
	var status struct {
		Counters []struct {
			Name     string `xml:"name,attr"`
			Reset    int    `xml:"reset,attr"`
			Uptime   int    `xml:"uptime,attr"`
			Lifetime int    `xml:"lifetime,attr"`
		} `xml:"counters>counter"`
		Gauges []struct {
			Name    string `xml:"name,attr"`
			Current string `xml:"current,attr"`
		} `xml:"gauges>gauge"`
	}
	if err := xml.Unmarshal([]byte(esa(t, dir, "", "status xml").out), &status); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, c := range status.Counters {
		n, ok := want[c.Name]
		if !ok {
			continue
		}
		found++
		if c.Reset != n || c.Uptime != n || c.Lifetime != n {
			t.Errorf("status xml: %+v, want %d", c, n)
		}
	}
	if found != len(want) {
		t.Errorf("status xml has %d of %d counters", found, len(want))
	}
	for _, g := range status.Gauges {
		if strings.HasSuffix(g.Name, "_recips") && g.Current != "0" {
			t.Errorf("status xml: %+v", g)
		}
	}
}

// labels are the counters as the screens name them.
func labels() map[string]string {
	return map[string]string{
		"Messages Received": "inj_msgs", "Recipients Received": "inj_recips", "Gen. Bounce Recipients": "gen_bounce_recips",
		"Rejected Recipients": "rejected_recips", "Dropped Messages": "dropped_msgs", "Soft Bounced Events": "soft_bounced_evts",
		"Completed Recipients": "completed_recips", "Hard Bounced Recipients": "hard_bounced_recips", "DNS Hard Bounces": "dns_hard_bounced_recips",
		"5XX Hard Bounces": "5xx_hard_bounced_recips", "Filter Hard Bounces": "filter_hard_bounced_recips",
		"Expired Hard Bounces": "expired_hard_bounced_recips", "Other Hard Bounces": "other_hard_bounced_recips",
		"Delivered Recipients": "delivered_recips", "Deleted Recipients": "deleted_recips",
	}
}

// screen reads the counters of a screen: the last number of their lines.
func screen(text string) map[string]int {
	found := map[string]int{}
	text, _, _ = strings.Cut(text, "\nRates")
	for line := range strings.Lines(text) {
		for label, name := range labels() {
			if rest, ok := strings.CutPrefix(strings.TrimSpace(line), label+" "); ok {
				words := strings.Fields(strings.ReplaceAll(rest, ",", ""))
				found[name], _ = strconv.Atoi(words[len(words)-1])
			}
		}
	}
	return found
}

func compareStatus(t *testing.T, dir string, want map[string]int) {
	t.Helper()
	found := screen(esa(t, dir, "", "status detail").out)
	for name, n := range want {
		if got, ok := found[name]; !ok || got != n {
			t.Errorf("status detail: %s is %d (there: %v), want %d", name, got, ok, n)
		}
	}
}

// compareHosts adds up what hoststatus says of every destination.
func compareHosts(t *testing.T, dir string, want, by map[string]int) {
	t.Helper()
	sums := map[string]int{}
	own := map[string]string{
		"refused.test": "5xx_hard_bounced_recips", "nowhere.test": "dns_hard_bounced_recips", "old.test": "expired_hard_bounced_recips",
		"later.test": "delivered_recips", "gone.test": "deleted_recips", "returned.test": "other_hard_bounced_recips", "null.test": "deleted_recips",
	}
	domains := map[string]bool{"sender.test": true}
	for domain := range by {
		domains[domain] = true
	}
	for domain := range domains {
		found := screen(esa(t, dir, "", "hoststatus "+domain).out)
		if name := own[domain]; name != "" && found[name] != by[domain] {
			t.Errorf("hoststatus %s: %s is %d, want %d", domain, name, found[name], by[domain])
		}
		for name, n := range found {
			sums[name] += n
		}
	}
	for _, name := range []string{
		"soft_bounced_evts", "completed_recips", "hard_bounced_recips", "dns_hard_bounced_recips", "5xx_hard_bounced_recips",
		"expired_hard_bounced_recips", "other_hard_bounced_recips", "delivered_recips", "deleted_recips",
	} {
		if sums[name] != want[name] {
			t.Errorf("hoststatus: %s is %d over all hosts, want %d", name, sums[name], want[name])
		}
	}
}

// compareTop adds up the columns of tophosts.
func compareTop(t *testing.T, dir string, want map[string]int) {
	t.Helper()
	var sums [5]int
	row := regexp.MustCompile(`(?m)^\d+\*?\s+\S+\s+([\d,]+)\s+([\d,]+)\s+([\d,]+)\s+([\d,]+)\s+([\d,]+)\s*$`)
	for _, m := range row.FindAllStringSubmatch(esa(t, dir, "", "tophosts deliv_recip").out, -1) {
		for i := range sums {
			n, _ := strconv.Atoi(strings.ReplaceAll(m[i+1], ",", ""))
			sums[i] += n
		}
	}
	if sums != [5]int{0, 0, want["delivered_recips"], want["soft_bounced_evts"], want["hard_bounced_recips"]} {
		t.Errorf("tophosts: the columns add up to %v", sums)
	}
}

// compareLog counts the lines of the mail log, and the recipients they name.
func compareLog(t *testing.T, dir string, want map[string]int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "logs", "mail_logs", "mail.@*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no mail log: %v", err)
	}
	var text strings.Builder
	for _, name := range files {
		part, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(part)
	}
	log := text.String()
	recipients := func(pattern string) int {
		n := 0
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(log, -1) {
			n += 1 + strings.Count(m[1], ",")
		}
		return n
	}
	lines := func(part string) int { return strings.Count(log, part) }
	for what, n := range map[string][2]int{
		"queued":    {lines(" queued for delivery\n"), want["inj_msgs"] + want["gen_bounce_recips"]},
		"finished":  {len(regexp.MustCompile(`Message finished MID \d+ done`).FindAllString(log, -1)), want["inj_msgs"] + want["gen_bounce_recips"]},
		"notices":   {lines(" was generated for bounce of MID "), want["gen_bounce_recips"]},
		"refused":   {lines(" Rejected by RAT\n"), want["rejected_recips"]},
		"bounced":   {lines(" Info: Bounced: "), want["hard_bounced_recips"]},
		"expired":   {lines(" - 5.4.7 - Delivery expired (message too old) "), want["expired_hard_bounced_recips"]},
		"delayed":   {lines(" Info: Delayed: "), want["soft_bounced_evts"]},
		"delivered": {recipients(`Message done DCID \d+ MID \d+ to RID \[([^]]*)\]`), want["delivered_recips"]},
		"deleted":   {recipients(`Deleted: MID \d+ to \[([^]]*)\]`), want["deleted_recips"]},
	} {
		if n[0] != n[1] {
			t.Errorf("the mail log has %d %s, want %d", n[0], what, n[1])
		}
	}
}
