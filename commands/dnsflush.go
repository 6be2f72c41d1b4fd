package commands

// dnsflush empties the DNS cache (reference esa-operations 3.5).
func dnsflush() Command {
	return Command{
		Name:  "dnsflush",
		Short: "Clear all entries from the DNS cache.",
		Dialog: func(d *Dialog, env Env) error {
			if _, err := online(env); err != nil {
				return err
			}
			sure := d.YesNo("Are you sure you want to clear out the DNS cache?", false)
			if d.Err() != nil || !sure {
				return d.Err()
			}
			return env.Look.FlushDNS()
		},
	}
}
