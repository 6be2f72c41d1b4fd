package commands

import (
	"slices"
	"strings"
)

// resumelistener opens listeners again (reference esa-operations 3.5).
func resumelistener() Command {
	return Command{
		Name:  "resumelistener",
		Short: "Resume receiving.",
		Forms: []Form{{Usage: "resumelistener all|LISTENER...", Run: func(d *Dialog, env Env, args []string) error {
			names, err := parseListeners(runningListeners(env), strings.Join(args, ","))
			if err != nil {
				return err
			}
			return resumeListeners(d, env, names)
		}}},
		Dialog: func(d *Dialog, env Env) error {
			if _, err := online(env); err != nil {
				return err
			}
			names := askListeners(d, "resume", runningListeners(env))
			if d.Err() != nil {
				return d.Err()
			}
			return resumeListeners(d, env, names)
		},
	}
}

// resumeListeners opens the listeners named, nil: all. Where all were closed
// the others stay so.
func resumeListeners(d *Dialog, env Env, names []string) error {
	err := changeSuspension(env, func(s *Suspension) {
		if s.AllListeners {
			s.Listeners = runningListeners(env)
		}
		s.AllListeners = false
		s.Listeners = slices.DeleteFunc(s.Listeners, func(name string) bool { return names == nil || slices.Contains(names, name) })
	})
	if err != nil {
		return err
	}
	d.Text("Receiving resumed.")
	return d.Err()
}
