package commands

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// status shows how the gateway does (reference esa-operations 3.5).
func status() Command {
	return Command{
		Name:  "status",
		Short: "Show the status of the system.",
		Forms: []Form{{Usage: "status", Run: statusForm}},
	}
}

// statusRow is a counter on the screen; without name it is a heading.
type statusRow struct{ label, name string }

// statusCounters is the counters in the order of the screen.
func statusCounters() []statusRow {
	return []statusRow{
		{"Receiving", ""},
		{"Messages Received", "inj_msgs"},
		{"Recipients Received", "inj_recips"},
		{"Rejection", ""},
		{"Rejected Recipients", "rejected_recips"},
		{"Dropped Messages", "dropped_msgs"},
		{"Queue", ""},
		{"Soft Bounced Events", "soft_bounced_evts"},
		{"Completion", ""},
		{"Completed Recipients", "completed_recips"},
	}
}

func statusForm(d *Dialog, env Env, _ []string) error {
	s := env.Gateway.Status()
	d.Printf("Status as of:                  %s\n", commitTime(s.At))
	if !s.Since.IsZero() {
		d.Printf("Up since:                      %s (%s)\n", commitTime(s.Since), uptime(s.At.Sub(s.Since)))
	}
	reset := "Never"
	if !s.LastReset.IsZero() {
		reset = commitTime(s.LastReset)
	}
	d.Printf("Last counter reset:            %s\n", reset)
	d.Printf("System status:                 %s\n", s.State)
	oldest := "No Messages"
	if !s.Oldest.IsZero() {
		oldest = age(s.At.Sub(s.Oldest))
	}
	d.Printf("Oldest Message:                %s\n", oldest)
	for _, listener := range s.Unbound {
		d.Printf("Listener not started:          %s\n", listener)
	}
	if s.Damaged > 0 {
		d.Printf("Damaged messages set aside:    %d\n", s.Damaged)
	}
	d.Text(counterTable(s) + "\n" + gaugeTable(s))
	return d.Err()
}

func counterTable(s Status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-29s%16s%16s%16s\n", "Counters:", "Reset", "Uptime", "Lifetime")
	for _, row := range statusCounters() {
		if row.name == "" {
			b.WriteString("  " + row.label + "\n")
			continue
		}
		c := s.Counters[row.name]
		fmt.Fprintf(&b, "    %-25s%16s%16s%16s\n", row.label, thousands(c.Reset), thousands(c.Uptime), thousands(c.Lifetime))
	}
	b.WriteString("  Current IDs\n")
	fmt.Fprintf(&b, "    %-41s%32d\n", "Message ID (MID)", s.MID)
	fmt.Fprintf(&b, "    %-41s%32d\n", "Injection Conn. ID (ICID)", s.ICID)
	fmt.Fprintf(&b, "    %-41s%32d\n", "Delivery Conn. ID (DCID)", s.DCID)
	return b.String()
}

func gaugeTable(s Status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-29s%16s\n", "Gauges:", "Current")
	row := func(label string, n int64) { fmt.Fprintf(&b, "    %-25s%16s\n", label, thousands(n)) }
	b.WriteString("  Connections\n")
	row("Current Inbound Conn.", int64(s.Inbound))
	row("Current Outbound Conn.", int64(s.Outbound))
	b.WriteString("  Queue\n")
	row("Active Recipients", int64(s.Active))
	row("Kilobytes Used", s.KBUsed)
	row("Kilobytes Free", s.KBFree)
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
