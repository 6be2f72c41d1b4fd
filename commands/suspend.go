package commands

import (
	"fmt"
	"time"
)

// suspend ends receiving and delivery until resume (reference esa-operations
// 3.5).
func suspend() Command {
	return Command{
		Name:  "suspend",
		Short: "Suspend receiving and deliveries.",
		Long: `Lasts until resume, also over a restart. Who connects meanwhile is answered 421
and comes again later. Connections that are open when the time is over are cut;
a message that a next hop was just taking then may be delivered twice.`,
		Forms: []Form{{Usage: "suspend SECONDS", Run: func(d *Dialog, env Env, args []string) error {
			grace, err := parseGrace(args[0])
			if err != nil {
				return err
			}
			return suspendAll(d, env, grace)
		}}},
		Dialog: func(d *Dialog, env Env) error {
			if _, err := online(env); err != nil {
				return err
			}
			grace := askGrace(d)
			if d.Err() != nil {
				return d.Err()
			}
			return suspendAll(d, env, grace)
		},
	}
}

// maxGrace bounds the seconds that are waited for open connections: a day.
const maxGrace = 86400

func askGrace(d *Dialog) time.Duration {
	return time.Duration(d.Int("Enter the number of seconds to wait before abruptly closing connections.", 30, 0, maxGrace)) * time.Second
}

func parseGrace(text string) (time.Duration, error) {
	n := 0
	err := setNumber(&n, text, 0, maxGrace)
	return time.Duration(n) * time.Second, err
}

func suspendAll(d *Dialog, env Env, grace time.Duration) error {
	if err := suspendReceiving(d, env, grace, func(s *Suspension) { s.AllListeners, s.Listeners = true, nil }); err != nil {
		return err
	}
	return suspendDelivery(d, env, grace, func(s *Suspension) { s.AllDomains, s.Domains = true, nil })
}

// suspendReceiving closes listeners and waits for their open connections.
func suspendReceiving(d *Dialog, env Env, grace time.Duration, edit func(*Suspension)) error {
	if err := changeSuspension(env, edit); err != nil {
		return err
	}
	d.Live()
	d.Text("Waiting for listeners to exit...")
	left, err := env.Service.AwaitSessions(d.Context(), grace)
	return suspended(d, "Receiving suspended.", left, err)
}

// suspendDelivery stops deliveries and waits for those under way.
func suspendDelivery(d *Dialog, env Env, grace time.Duration, edit func(*Suspension)) error {
	if err := changeSuspension(env, edit); err != nil {
		return err
	}
	d.Live()
	d.Text("Waiting for outgoing deliveries to finish...")
	left, err := env.Service.AwaitDeliveries(d.Context(), grace)
	return suspended(d, "Mail delivery suspended.", left, err)
}

// suspended tells the end of the wait. After Ctrl-C what was asked for stands
// all the same: what is left ends by itself.
func suspended(d *Dialog, text string, left int, err error) error {
	if err != nil {
		return err
	}
	d.Text(text)
	if left > 0 {
		d.Text(fmt.Sprintf("%d open connections were left to end by themselves.", left))
	}
	return d.Err()
}

func changeSuspension(env Env, edit func(*Suspension)) error {
	return env.Service.ChangeSuspension(func(s *Suspension) error {
		edit(s)
		return nil
	})
}
