package commands

// date shows what the gateway takes for the present time.
func date() Command {
	return Command{
		Name:  "date",
		Short: "Show the current date and time.",
		Forms: []Form{{Usage: "date", Run: func(d *Dialog, env Env, _ []string) error {
			d.Text(commitTime(env.Clock()))
			return d.Err()
		}}},
	}
}
