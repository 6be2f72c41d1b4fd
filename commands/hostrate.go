package commands

import (
	"fmt"
	"time"
)

// hostrate shows the activity of one destination again and again (reference
// esa-operations 3.5).
func hostrate() Command {
	return Command{
		Name:  "hostrate",
		Short: "Watch the activity of one recipient host.",
		Forms: []Form{
			{Usage: "hostrate HOST", Run: func(d *Dialog, env Env, args []string) error {
				host, err := parseRecipientHost(args[0])
				if err != nil {
					return err
				}
				return showHostRate(d, env, host, askPace(d))
			}},
			{Usage: "hostrate HOST SECONDS [COUNT]", Run: hostRateForm},
		},
		Dialog: func(d *Dialog, env Env) error {
			host := askRecipientHost(d)
			return showHostRate(d, env, host, askPace(d))
		},
	}
}

func hostRateForm(d *Dialog, env Env, args []string) error {
	host, err := parseRecipientHost(args[0])
	if err != nil {
		return err
	}
	p, err := parsePace(args[1:])
	if err != nil {
		return err
	}
	return showHostRate(d, env, host, p)
}

const hostRateHeading = `      Time     Host    CrtCncOut   ActvRcp ActvRcp DlvRcp HrdBncRcp SftBncEvt
             Status                         Delta   Delta     Delta     Delta`

func showHostRate(d *Dialog, env Env, domain string, p pace) error {
	if d.Err() != nil {
		return d.Err()
	}
	p.heading = hostRateHeading
	var before *Host
	return watched(d, env, p, func() (string, error) {
		h, err := findHost(env, domain)
		if err != nil {
			return "", err
		}
		if before == nil {
			before = &h
		}
		line := hostRateLine(env.Clock(), *before, h)
		before = &h
		return line, nil
	})
}

// findHost gives a destination without asking DNS.
func findHost(env Env, domain string) (Host, error) {
	hosts, err := env.Look.Hosts()
	if err != nil {
		return Host{}, err
	}
	for _, h := range hosts {
		if h.Domain == domain {
			return h, nil
		}
	}
	return Host{Domain: domain, State: "unknown"}, nil
}

func hostRateLine(at time.Time, before, h Host) string {
	grown := func(name string) int64 { return h.Counters[name] - before.Counters[name] }
	return fmt.Sprintf("%10s%9s%11d%10d%8d%8d%10d%10d", at.Local().Format("15:04:05"), h.State, h.Outbound,
		h.Active, h.Active-before.Active, grown("delivered_recips"), grown("hard_bounced_recips"), grown("soft_bounced_evts"))
}
