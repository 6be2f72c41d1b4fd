package commands

import "fmt"

// rate shows connections, recipients and the queue again and again
// (reference esa-operations 3.5).
func rate() Command {
	return Command{
		Name:  "rate",
		Short: "Show message rates as they change. Ctrl-C ends it.",
		Long:  `Received and Completed count recipients since ever; COUNT ends the display.`,
		Forms: []Form{{Usage: "rate SECONDS [COUNT]", Run: func(d *Dialog, env Env, args []string) error {
			p, err := parsePace(args)
			if err != nil {
				return err
			}
			return showRate(d, env, p)
		}}},
		Dialog: func(d *Dialog, env Env) error { return showRate(d, env, askPace(d)) },
	}
}

const rateHeading = `Time        Connections Recipients          Recipients          Queue
            In    Out   Received    Delta   Completed   Delta   K-Used`

func showRate(d *Dialog, env Env, p pace) error {
	if d.Err() != nil {
		return d.Err()
	}
	p.heading = rateHeading
	var before *Status
	return watched(d, env, p, func() (string, error) {
		s, err := online(env)
		if err != nil {
			return "", err
		}
		if before == nil {
			before = &s
		}
		line := rateLine(*before, s)
		before = &s
		return line, nil
	})
}

func rateLine(before, s Status) string {
	received, completed := s.Counters["inj_recips"], s.Counters["completed_recips"]
	return fmt.Sprintf("%-8s%6d%6d%12d%9d%11d%9d%9d", s.At.Local().Format("15:04:05"), s.Inbound, s.Outbound,
		received.Lifetime, received.Uptime-before.Counters["inj_recips"].Uptime,
		completed.Lifetime, completed.Uptime-before.Counters["completed_recips"].Uptime, s.KBUsed)
}
