package commands

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// status shows how the gateway does (reference esa-operations 3.5).
func status() Command {
	return Command{
		Name:  "status",
		Short: "Show the status of the system.",
		Forms: []Form{
			{Usage: "status", Run: func(d *Dialog, env Env, _ []string) error { return showStatus(d, env, false) }},
			{Usage: "status detail", Run: func(d *Dialog, env Env, _ []string) error { return showStatus(d, env, true) }},
			{Usage: "status xml", Run: func(d *Dialog, env Env, _ []string) error { return statusXML(d, env) }},
		},
	}
}

func showStatus(d *Dialog, env Env, detail bool) error {
	s := env.Gateway.Status()
	d.Printf("Status as of:                  %s\n", commitTime(s.At))
	if s.Since.IsZero() {
		d.Printf("System status:                 %s\n", s.State)
		return d.Err()
	}
	reset, oldest := "Never", "No Messages"
	if !s.LastReset.IsZero() {
		reset = commitTime(s.LastReset)
	}
	if !s.Oldest.IsZero() {
		oldest = age(s.At.Sub(s.Oldest))
	}
	d.Printf("Up since:                      %s (%s)\n", commitTime(s.Since), uptime(s.At.Sub(s.Since)))
	d.Printf("Last counter reset:            %s\n", reset)
	d.Printf("System status:                 %s\n", systemStatus(s))
	d.Printf("Oldest Message:                %s\n", oldest)
	if len(s.Suspended.Listeners) > 0 {
		d.Printf("Listeners suspended:           %s\n", strings.Join(s.Suspended.Listeners, ", "))
	}
	if len(s.Suspended.Domains) > 0 {
		d.Printf("Delivery suspended to:         %s\n", strings.Join(s.Suspended.Domains, ", "))
	}
	if detail && s.Possible > 0 {
		d.Printf("Possible deliveries:           %s recipients since the start\n", thousands(s.Possible))
	}
	for _, listener := range s.Unbound {
		d.Printf("Listener not started:          %s\n", listener)
	}
	for _, port := range s.NoSSH {
		d.Printf("SSH not started:               %s\n", port)
	}
	if s.Refusing != "" {
		d.Printf("No mail is received:           %s\n", s.Refusing)
	}
	if s.Unread > 0 {
		d.Printf("Messages not yet read:         %d\n", s.Unread)
	}
	if s.Unreadable > 0 {
		d.Printf("Messages of a newer version:   %d\n", s.Unreadable)
	}
	if s.Damaged > 0 {
		d.Printf("Damaged messages set aside:    %d\n", s.Damaged)
	}
	d.Text("\n" + counterTable(s, detail))
	if detail {
		d.Text("\n" + rateTable(s))
	}
	d.Text("\n" + gaugeTable(s, detail))
	noticeTrial(d, env)
	noticeLock(d, env)
	return d.Err()
}

// systemStatus is the appliance's word for what runs (reference
// esa-operations 3.2).
func systemStatus(s Status) string {
	switch {
	case s.Suspended.AllListeners && s.Suspended.AllDomains:
		return "Receiving and Delivery Suspended"
	case s.Suspended.AllListeners:
		return "Receiving Suspended"
	case s.Suspended.AllDomains:
		return "Delivery Suspended"
	}
	return s.State
}

// statusRow is a line of a table: a heading where it has no name.
type statusRow struct {
	label  string // with its indentation
	name   string // of a counter or gauge in /xml/status
	detail bool   // shown by status detail only
}

// statusCounters is the counters in the order of the screen. Nobody is
// unsubscribed in this build.
func statusCounters() []statusRow {
	return slices.Concat([]statusRow{
		{"  Receiving", "", false},
		{"    Messages Received", "inj_msgs", false},
		{"    Recipients Received", "inj_recips", false},
		{"    Gen. Bounce Recipients", "gen_bounce_recips", true},
		{"  Rejection", "", false},
		{"    Rejected Recipients", "rejected_recips", false},
		{"    Dropped Messages", "dropped_msgs", false},
		{"  Queue", "", false},
		{"    Soft Bounced Events", "soft_bounced_evts", false},
		{"  Completion", "", false},
	}, completedRecipients(), []statusRow{
		{"      Global Unsub. Hits", "global_unsub_hits", true},
	})
}

// completedRecipients is what may become of a recipient, for the gateway and
// for one destination.
func completedRecipients() []statusRow {
	return []statusRow{
		{"    Completed Recipients", "completed_recips", false},
		{"      Hard Bounced Recipients", "hard_bounced_recips", true},
		{"        DNS Hard Bounces", "dns_hard_bounced_recips", true},
		{"        5XX Hard Bounces", "5xx_hard_bounced_recips", true},
		{"        Filter Hard Bounces", "filter_hard_bounced_recips", true},
		{"        Expired Hard Bounces", "expired_hard_bounced_recips", true},
		{"        Other Hard Bounces", "other_hard_bounced_recips", true},
		{"      Delivered Recipients", "delivered_recips", true},
		{"      Deleted Recipients", "deleted_recips", true},
	}
}

func counterTable(s Status, detail bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-29s%16s%16s%16s\n", "Counters:", "Reset", "Uptime", "Lifetime")
	for _, row := range statusCounters() {
		switch c := s.Counters[row.name]; {
		case row.detail && !detail:
		case row.name == "":
			b.WriteString(row.label + "\n")
		default:
			// A long label takes of the room of the first number.
			fmt.Fprintf(&b, "%s%*s%16s%16s\n", row.label, 45-len(row.label), thousands(c.Reset), thousands(c.Uptime), thousands(c.Lifetime))
		}
	}
	b.WriteString("  Current IDs\n")
	fmt.Fprintf(&b, "    %-41s%32d\n", "Message ID (MID)", s.MID)
	fmt.Fprintf(&b, "    %-41s%32d\n", "Injection Conn. ID (ICID)", s.ICID)
	fmt.Fprintf(&b, "    %-41s%32d\n", "Delivery Conn. ID (DCID)", s.DCID)
	return b.String()
}

// gaugeTable is what there is now. This build has no work queue and no
// quarantine: no message is ever in them.
func gaugeTable(s Status, detail bool) string {
	var b strings.Builder
	row := func(label string, n int64) { fmt.Fprintf(&b, "%s%*s\n", label, 45-len(label), thousands(n)) }
	fmt.Fprintf(&b, "%-29s%16s\n", "Gauges:", "Current")
	if detail {
		b.WriteString(systemTable(s.System))
	}
	b.WriteString("  Connections\n")
	row("    Current Inbound Conn.", int64(s.Inbound))
	row("    Current Outbound Conn.", int64(s.Outbound))
	b.WriteString("  Queue\n")
	row("    Active Recipients", int64(s.Active))
	if detail {
		row("      Unattempted Recipients", int64(s.Unattempted))
		row("      Attempted Recipients", int64(s.Attempted))
	}
	row("    Messages In Work Queue", 0)
	row("    Messages In Quarantine", 0)
	if detail {
		row("    Destinations In Memory", int64(s.Destinations))
	}
	row("    Kilobytes Used", s.KBUsed)
	row("    Kilobytes Free", s.KBFree)
	return b.String()
}

// thousands writes a number with commas.
func thousands(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// uptime gives "22h 45m 29s", with days in front where there are any.
func uptime(d time.Duration) string {
	text := ""
	if days := d / (24 * time.Hour); days > 0 {
		text = fmt.Sprintf("%dd ", days)
	}
	d %= 24 * time.Hour
	return text + fmt.Sprintf("%dh %dm %ds", d/time.Hour, d/time.Minute%60, d/time.Second%60)
}

// age gives "4 weeks 46 mins 53 secs": the units that are not zero.
func age(d time.Duration) string {
	var parts []string
	for _, unit := range []struct {
		name   string
		length time.Duration
	}{{"week", 7 * 24 * time.Hour}, {"day", 24 * time.Hour}, {"hour", time.Hour}, {"min", time.Minute}, {"sec", time.Second}} {
		if n := d / unit.length; n > 0 {
			plural := "s"
			if n == 1 {
				plural = ""
			}
			parts = append(parts, fmt.Sprintf("%d %s%s", n, unit.name, plural))
			d %= unit.length
		}
	}
	if parts == nil {
		return "0 secs"
	}
	return strings.Join(parts, " ")
}
