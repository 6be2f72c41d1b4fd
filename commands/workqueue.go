package commands

import (
	"fmt"

	"esa/shell"
)

// workqueue shows the work queue (reference esa-operations 3.5). In this build
// a message is queued for delivery as soon as it is accepted: nothing ever
// waits in between, so there is nothing to pause.
func workqueue() Command {
	return Command{
		Name:  "workqueue",
		Short: "Show the work queue.",
		Long: `Accepted messages are queued for delivery at once: the work queue is always
empty, and cannot be paused.`,
		Forms: []Form{
			{Usage: "workqueue status", Run: func(d *Dialog, env Env, _ []string) error {
				text, err := workQueue(env)
				if err != nil {
					return err
				}
				d.Text(text)
				return d.Err()
			}},
			{Usage: "workqueue rate SECONDS [COUNT]", Run: func(d *Dialog, env Env, args []string) error {
				p, err := parsePace(args)
				if err != nil {
					return err
				}
				return showWorkRate(d, env, p)
			}},
		},
		Dialog: workQueueDialog,
	}
}

func workQueueDialog(d *Dialog, env Env) error {
	text, err := workQueue(env)
	if err != nil {
		return err
	}
	for d.Menu(text, shell.Op{Word: "STATUS", Text: "Display work queue status."},
		shell.Op{Word: "RATE", Text: "Display work queue statistics over time."}) {
		if d.Op() == "RATE" {
			return showWorkRate(d, env, askPace(d))
		}
		if text, err = workQueue(env); err != nil {
			return err
		}
	}
	return d.Err()
}

// workQueue is its status.
func workQueue(env Env) (string, error) {
	s, err := online(env)
	return fmt.Sprintf("Status as of:  %s\nStatus:        Operational\nMessages:      0\n", commitTime(s.At)), err
}

// showWorkRate shows what passes the work queue: messages come and go in the
// same moment.
func showWorkRate(d *Dialog, env Env, p pace) error {
	if d.Err() != nil {
		return d.Err()
	}
	p.heading = "Time        Pending       In      Out"
	before := int64(-1)
	return watched(d, env, p, func() (string, error) {
		s, err := online(env)
		if err != nil {
			return "", err
		}
		now := s.Counters["inj_msgs"].Uptime
		if before < 0 {
			before = now
		}
		passed := now - before
		before = now
		return fmt.Sprintf("%-8s%11d%9d%9d", s.At.Local().Format("15:04:05"), 0, passed, passed), nil
	})
}
