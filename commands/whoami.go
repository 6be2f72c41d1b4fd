package commands

// whoami says who is logged in here.
func whoami() Command {
	return Command{
		Name:  "whoami",
		Short: "Show who you are logged in as.",
		Forms: []Form{{Usage: "whoami", Run: whoamiForm}},
	}
}

// This build has one account, admin; others come with user accounts.
func whoamiForm(d *Dialog, env Env, _ []string) error {
	d.Printf("Username: %s\nFull Name: Administrator\nGroups: admin, operators, config, log, guest\n", env.Who.User)
	return d.Err()
}
