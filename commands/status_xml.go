package commands

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// statusXML writes the status as the appliance serves it at /xml/status, so
// that its readers can be fed (reference esa-operations 3.2, clients 1.2).
// Gauges that this system does not let measure are left out; those of what
// this build does not have are 0.
func statusXML(d *Dialog, env Env) error {
	running, _ := env.Store.Running()
	d.Text(xmlStatus(env.Gateway.Status(), env.Version.Version, running.Hostname))
	return d.Err()
}

func xmlStatus(s Status, version, hostname string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8"?>
<status build="esa %s" hostname="%s" timestamp="%s">
`, attribute(version), attribute(hostname), xmlTime(s.At))
	birth := ""
	if !s.Since.IsZero() {
		birth = fmt.Sprintf("%s (%s)", xmlTime(s.Since), uptime(s.At.Sub(s.Since)))
	}
	secs := int64(0)
	if !s.Oldest.IsZero() {
		secs = max(0, int64(s.At.Sub(s.Oldest)/time.Second))
	}
	fmt.Fprintf(&b, `  <birth_time timestamp="%s"/>
  <last_counter_reset timestamp="%s"/>
  <system status="%s" />
  <oldest_message secs="%d" mid="%d" />
  <features>
  </features>
`, birth, xmlTime(s.LastReset), attribute(strings.ToLower(systemStatus(s))), secs, s.OldestMID)
	b.WriteString("  <counters>\n")
	for _, row := range statusCounters() {
		if row.name != "" {
			c := s.Counters[row.name]
			fmt.Fprintf(&b, `    <counter name="%s" reset="%d" uptime="%d" lifetime="%d" />`+"\n", row.name, c.Reset, c.Uptime, c.Lifetime)
		}
	}
	b.WriteString("  </counters>\n")
	fmt.Fprintf(&b, `  <current_ids message_id="%d" injection_conn_id="%d" delivery_conn_id="%d" />`+"\n  <rates>\n", s.MID, s.ICID, s.DCID)
	for _, row := range rateRows() {
		if row.name != "" {
			r := s.Rates[row.name]
			fmt.Fprintf(&b, `    <rate name="%s" last_1_min="%d" last_5_min="%d" last_15_min="%d" />`+"\n", row.name, r.Minute, r.FiveMinutes, r.QuarterHour)
		}
	}
	b.WriteString("  </rates>\n  <gauges>\n")
	for _, gauge := range xmlGauges(s) {
		fmt.Fprintf(&b, `    <gauge name="%s" current="%s" />`+"\n", gauge.name, gauge.value)
	}
	b.WriteString("  </gauges>\n</status>\n")
	return b.String()
}

type xmlGauge struct {
	name  string
	value string
}

func xmlGauges(s Status) []xmlGauge {
	number := func(name string, n int64) xmlGauge { return xmlGauge{name, strconv.FormatInt(n, 10)} }
	return append(systemGauges(s.System),
		number("conn_in", int64(s.Inbound)),
		number("conn_out", int64(s.Outbound)),
		number("active_recips", int64(s.Active)),
		number("unattempted_recips", int64(s.Unattempted)),
		number("attempted_recips", int64(s.Attempted)),
		number("msgs_in_work_queue", 0),
		number("dests_in_memory", int64(s.Destinations)),
		number("kbytes_used", s.KBUsed),
		number("kbytes_free", s.KBFree),
		number("msgs_in_quarantine", 0),
		number("msgs_in_policy_virus_outbreak_quarantine", 0),
		number("kbytes_in_quarantine", 0),
		number("reporting_utilization", 0),
		number("quarantine_utilization", 0),
	)
}

// systemGauges is those of the machine that are known, and 0 for the parts of
// the appliance that this build has not.
func systemGauges(s System) []xmlGauge {
	var all []xmlGauge
	percent := func(name string, p Percent) {
		if p.Known {
			all = append(all, xmlGauge{name, strconv.Itoa(p.Value)})
		}
	}
	percent("ram_utilization", s.RAM)
	percent("total_utilization", s.TotalCPU)
	percent("cpu_utilization", s.CPU)
	for _, absent := range []string{"av_utilization", "case_utilization", "bm_utilization"} {
		all = append(all, xmlGauge{absent, "0"})
	}
	percent("disk_utilization", s.DiskIO)
	all = append(all, xmlGauge{"resource_conservation", strconv.Itoa(s.Conservation)})
	percent("log_used", s.LogUsed)
	if s.LogUsed.Known {
		all = append(all, xmlGauge{"log_available", diskSize(s.LogFree)})
	}
	return all
}

// xmlTime is a time as "20170329115551", empty where there is none.
func xmlTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("20060102150405")
}

func attribute(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}
