package commands

import (
	"esa/shell"
	"esa/store"
)

// whoami says who is logged in here.
func whoami() Command {
	return Command{
		Name:  "whoami",
		Short: "Show who you are logged in as.",
		Forms: []Form{{Usage: "whoami", Run: whoamiForm}},
	}
}

func whoamiForm(d *Dialog, env Env, _ []string) error {
	running, _ := env.Store.Running()
	u, ok := running.User(env.Who.User)
	if !ok {
		return shell.Refusedf("The user %q does not exist any more.", env.Who.User)
	}
	d.Printf("Username: %s\nFull Name: %s\nGroups: %s\n", u.Name, u.FullName, groups(u.Role))
	return d.Err()
}

// groups lists the groups that a role belongs to, as the appliance names them.
func groups(r store.Role) string {
	switch r {
	case store.Administrators:
		return "admin, operators, config, log, guest"
	case store.Operators:
		return "operators, config, log, guest"
	case store.ReadOnlyOperators:
		return "readonly, log, guest"
	}
	return r.Group()
}
