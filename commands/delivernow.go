package commands

import (
	"slices"

	"esa/shell"
)

// delivernow makes queued mail due at once (reference esa-operations 3.3, 3.5).
func delivernow() Command {
	return Command{
		Name:  "delivernow",
		Short: "Reschedule messages for immediate delivery.",
		Long: `Hosts that are down are tried again. For all messages, the counters of recipient
limits (destconfig) begin anew too.`,
		Forms: []Form{
			{Usage: "delivernow host HOST", Run: func(d *Dialog, env Env, args []string) error {
				host, err := parseRecipientHost(args[0])
				if err != nil {
					return err
				}
				return deliverNow(d, env, host)
			}},
			{Usage: "delivernow all", Run: func(d *Dialog, env Env, _ []string) error { return deliverNow(d, env, "") }},
		},
		Dialog: func(d *Dialog, env Env) error {
			if _, err := online(env); err != nil {
				return err
			}
			host := ""
			if d.Choose("Please choose an option for scheduling immediate delivery.", []string{"By recipient domain", "All messages"}, 0) == 0 {
				host = shell.Ask(d, "Please enter the domain to schedule for delivery.", "", parseRecipientHost)
			}
			if d.Err() != nil {
				return d.Err()
			}
			return deliverNow(d, env, host)
		},
	}
}

func deliverNow(d *Dialog, env Env, host string) error {
	n, err := env.Mail.DeliverNow(host)
	if err != nil {
		return err
	}
	if host == "" {
		d.Text("Scheduling all messages for delivery.")
	} else {
		d.Printf("Scheduling all messages to %s for delivery.\n", host)
	}
	d.Printf("%d recipients scheduled.\n", n)
	if s := env.Gateway.Status().Suspended; n > 0 && (s.AllDomains || slices.Contains(s.Domains, host)) {
		d.Text("Mail delivery is suspended: they are tried when it is resumed.")
	}
	return d.Err()
}
