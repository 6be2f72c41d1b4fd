package commands

// resetcounters begins the Reset column of the counters anew (reference
// esa-operations 3.5).
func resetcounters() Command {
	return Command{
		Name:  "resetcounters",
		Short: "Reset all of the counters in the system.",
		Long:  `Resets the Reset column of status and dnsstatus. Uptime and Lifetime go on.`,
		Forms: []Form{{Usage: "resetcounters", Run: func(d *Dialog, env Env, _ []string) error {
			at, err := env.Look.ResetCounters()
			if err != nil {
				return err
			}
			d.Printf("Counters reset: %s\n", commitTime(at))
			return d.Err()
		}}},
	}
}
