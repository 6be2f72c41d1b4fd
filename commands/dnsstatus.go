package commands

import (
	"fmt"
	"strings"
)

// dnsstatus shows the counters of the resolver (reference esa-operations 3.5).
func dnsstatus() Command {
	return Command{
		Name:  "dnsstatus",
		Short: "Show DNS statistics.",
		Forms: []Form{{Usage: "dnsstatus", Run: func(d *Dialog, env Env, _ []string) error {
			s, err := online(env)
			if err != nil {
				return err
			}
			d.Printf("Status as of: %s\n", commitTime(s.At))
			d.Text(dnsTable(s))
			return d.Err()
		}}},
	}
}

func dnsTable(s Status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-29s%16s%16s%16s\n", "Counters:", "Reset", "Uptime", "Lifetime")
	for _, row := range []statusRow{
		{"  DNS Requests", "dns_requests", false},
		{"  Network Requests", "dns_network_requests", false},
		{"  Cache Hits", "dns_cache_hits", false},
		{"  Cache Misses", "dns_cache_misses", false},
		{"  Cache Exceptions", "dns_cache_exceptions", false},
		{"  Cache Expired", "dns_cache_expired", false},
	} {
		c := s.Counters[row.name]
		fmt.Fprintf(&b, "%-29s%16s%16s%16s\n", row.label, thousands(c.Reset), thousands(c.Uptime), thousands(c.Lifetime))
	}
	return b.String()
}
