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
