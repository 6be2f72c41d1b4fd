package commands

import (
	"slices"
	"strings"

	"esa/shell"
)

// resumedel delivers to domains again (reference esa-operations 3.5).
func resumedel() Command {
	return Command{
		Name:  "resumedel",
		Short: "Resume deliveries.",
		Forms: []Form{{Usage: "resumedel all|DOMAIN...", Run: func(d *Dialog, env Env, args []string) error {
			domains, err := parseDomains(strings.Join(args, ","))
			if err != nil {
				return err
			}
			return resumeDomains(d, env, domains)
		}}},
		Dialog: func(d *Dialog, env Env) error {
			if _, err := online(env); err != nil {
				return err
			}
			domains := shell.Ask(d, "Enter one or more domains [comma-separated] to which you want to resume delivery.", "ALL", parseDomains)
			if d.Err() != nil {
				return d.Err()
			}
			return resumeDomains(d, env, domains)
		},
	}
}

// resumeDomains delivers to the domains named, nil: all.
func resumeDomains(d *Dialog, env Env, domains []string) error {
	err := env.Service.ChangeSuspension(func(s *Suspension) error {
		if s.AllDomains && domains != nil {
			return shell.Refusedf("Delivery to all domains is suspended: it can be resumed for ALL only.")
		}
		s.AllDomains = false
		s.Domains = slices.DeleteFunc(s.Domains, func(name string) bool { return domains == nil || slices.Contains(domains, name) })
		return nil
	})
	if err != nil {
		return err
	}
	d.Text("Mail delivery resumed.")
	return d.Err()
}
