package commands

import (
	"strings"
	"time"

	"esa/shell"
)

// suspenddel ends delivery to domains until resumedel or resume (reference
// esa-operations 3.3, 3.5).
func suspenddel() Command {
	return Command{
		Name:  "suspenddel",
		Short: "Suspend deliveries.",
		Long: `Lasts until resumedel or resume, also over a restart. Mail is taken and waits;
it is not given up for its age before it was tried once more. A delivery that is
under way when the time is over is cut; the message that a next hop was just
taking may then be delivered twice.`,
		Forms: []Form{{Usage: "suspenddel SECONDS all|DOMAIN...", Run: func(d *Dialog, env Env, args []string) error {
			grace, err := parseGrace(args[0])
			if err != nil {
				return err
			}
			domains, err := parseDomains(strings.Join(args[1:], ","))
			if err != nil {
				return err
			}
			return suspendDomains(d, env, grace, domains)
		}}},
		Dialog: func(d *Dialog, env Env) error {
			if _, err := online(env); err != nil {
				return err
			}
			grace := askGrace(d)
			domains := shell.Ask(d, "Enter one or more domains [comma-separated] to which you want to suspend delivery.", "ALL", parseDomains)
			if d.Err() != nil {
				return d.Err()
			}
			return suspendDomains(d, env, grace, domains)
		},
	}
}

// suspendDomains stops delivery to the domains named, nil: all.
func suspendDomains(d *Dialog, env Env, grace time.Duration, domains []string) error {
	return suspendDelivery(d, env, grace, func(s *Suspension) {
		switch {
		case domains == nil:
			s.AllDomains, s.Domains = true, nil
		case !s.AllDomains:
			s.Domains = union(s.Domains, domains)
		}
	})
}

// maxSuspended bounds the domains that are named in one answer.
const maxSuspended = 1000

// parseDomains reads recipient hosts separated by commas; ALL is nil.
func parseDomains(text string) ([]string, error) {
	var domains []string
	for word := range strings.SplitSeq(text, ",") {
		word = strings.TrimSpace(word)
		switch {
		case word == "":
			continue
		case strings.EqualFold(word, "ALL"):
			return nil, nil
		}
		domain, err := parseRecipientHost(word)
		if err != nil {
			return nil, err
		}
		if domains = union(domains, []string{domain}); len(domains) > maxSuspended {
			return nil, shell.Refusedf("There is a maximum of %d domains.", maxSuspended)
		}
	}
	if domains == nil {
		return nil, shell.Refusedf("The value cannot be blank.")
	}
	return domains, nil
}
