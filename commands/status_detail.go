package commands

import (
	"fmt"
	"strings"
)

// rateRows is the rates in the order of the screen.
func rateRows() []statusRow {
	return []statusRow{
		{"  Receiving", "", false},
		{"    Messages Received", "inj_msgs", false},
		{"    Recipients Received", "inj_recips", false},
		{"  Queue", "", false},
		{"    Soft Bounced Events", "soft_bounced_evts", false},
		{"  Completion", "", false},
		{"    Completed Recipients", "completed_recips", false},
		{"      Hard Bounced Recipients", "hard_bounced_recips", false},
		{"      Delivered Recipients", "delivered_recips", false},
	}
}

// rateTable is what status detail shows between counters and gauges
// (reference esa-operations 3.2, 3.5).
func rateTable(s Status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-29s%14s%16s%16s\n", "Rates (Events Per Hour):", "1-Minute", "5-Minutes", "15-Minutes")
	for _, row := range rateRows() {
		if row.name == "" {
			b.WriteString(row.label + "\n")
			continue
		}
		r := s.Rates[row.name]
		fmt.Fprintf(&b, "%s%*s%16s%16s\n", row.label, 43-len(row.label), thousands(r.Minute), thousands(r.FiveMinutes), thousands(r.QuarterHour))
	}
	return b.String()
}

// systemTable is how busy the machine is; what is not known is left out.
func systemTable(s System) string {
	var b strings.Builder
	row := func(label, value string) { fmt.Fprintf(&b, "%s%*s\n", label, 45-len(label), value) }
	percent := func(label string, p Percent) {
		if p.Known {
			row(label, fmt.Sprintf("%d%%", p.Value))
		}
	}
	b.WriteString("  System\n")
	percent("    RAM Utilization", s.RAM)
	if s.TotalCPU.Known || s.CPU.Known {
		b.WriteString("    CPU Utilization\n")
	}
	percent("      Total", s.TotalCPU)
	percent("      MGA", s.CPU)
	percent("    Disk I/O Utilization", s.DiskIO)
	row("    Resource Conservation", fmt.Sprint(s.Conservation))
	percent("    Logging Disk Usage", s.LogUsed)
	if s.LogUsed.Known {
		row("    Logging Disk Available", diskSize(s.LogFree))
	}
	return b.String()
}

// diskSize is a size as "388G".
func diskSize(bytes int64) string {
	for _, unit := range []struct {
		letter string
		bytes  int64
	}{{"G", 1 << 30}, {"M", 1 << 20}} {
		if bytes >= unit.bytes {
			return fmt.Sprintf("%d%s", bytes/unit.bytes, unit.letter)
		}
	}
	return fmt.Sprintf("%dK", bytes>>10)
}
