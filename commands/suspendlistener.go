package commands

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"esa/shell"
)

// suspendlistener ends receiving on listeners until resumelistener or resume
// (reference esa-operations 3.3, 3.5).
func suspendlistener() Command {
	return Command{
		Name:  "suspendlistener",
		Short: "Suspend receiving.",
		Long: `Lasts until resumelistener or resume, also over a restart. Who connects to the
listener meanwhile is answered 421 and comes again later.`,
		Forms: []Form{{Usage: "suspendlistener SECONDS all|LISTENER...", Run: func(d *Dialog, env Env, args []string) error {
			grace, err := parseGrace(args[0])
			if err != nil {
				return err
			}
			names, err := parseListeners(runningListeners(env), strings.Join(args[1:], ","))
			if err != nil {
				return err
			}
			return suspendListeners(d, env, grace, names)
		}}},
		Dialog: func(d *Dialog, env Env) error {
			if _, err := online(env); err != nil {
				return err
			}
			names := askListeners(d, "suspend", runningListeners(env))
			grace := askGrace(d)
			if d.Err() != nil {
				return d.Err()
			}
			return suspendListeners(d, env, grace, names)
		},
	}
}

// suspendListeners closes the listeners named, nil: all.
func suspendListeners(d *Dialog, env Env, grace time.Duration, names []string) error {
	return suspendReceiving(d, env, grace, func(s *Suspension) {
		switch {
		case names == nil:
			s.AllListeners, s.Listeners = true, nil
		case !s.AllListeners:
			s.Listeners = union(s.Listeners, names)
		}
	})
}

// union adds what is not there yet.
func union(list, more []string) []string {
	for _, name := range more {
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// runningListeners lists the listeners that run.
func runningListeners(env Env) []string {
	running, _ := env.Store.Running()
	return listenerNames(running)
}

// askListeners asks for listeners; nil means all.
func askListeners(d *Dialog, verb string, names []string) []string {
	var b strings.Builder
	b.WriteString("Choose the listener(s) you wish to " + verb + ".\nSeparate multiple entries with commas.\n1. All\n")
	for i, name := range names {
		b.WriteString(strconv.Itoa(i+2) + ". " + name + "\n")
	}
	return shell.Ask(d, b.String(), "1", func(text string) ([]string, error) { return parseListeners(names, text) })
}

// parseListeners reads names and numbers of that list, separated by commas.
func parseListeners(names []string, text string) ([]string, error) {
	var chosen []string
	for word := range strings.SplitSeq(text, ",") {
		word = strings.TrimSpace(word)
		n, err := strconv.Atoi(word)
		switch i := find(names, word); {
		case i >= 0:
			chosen = union(chosen, []string{names[i]})
		case word == "1", strings.EqualFold(word, "all"):
			return nil, nil
		case err == nil && n >= 2 && n < len(names)+2:
			chosen = union(chosen, []string{names[n-2]})
		case word == "":
		default:
			return nil, shell.Refusedf("There is no listener %s.", word)
		}
	}
	if chosen == nil {
		return nil, shell.Refusedf("The value cannot be blank.")
	}
	return chosen, nil
}
