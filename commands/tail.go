package commands

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"esa/shell"
	"esa/store"
)

// tail shows the last lines of a log and new ones as they come.
func tail() Command {
	return Command{
		Name:   "tail",
		Short:  "Show a log as it grows. Ctrl-C ends it.",
		Forms:  []Form{{Usage: "tail LOG", Run: tailForm}},
		Dialog: tailDialog,
	}
}

func tailDialog(d *Dialog, env Env) error {
	name, err := pickLog(d, runningLogs(env), "Enter the number of the log you wish to tail.")
	if err != nil {
		return err
	}
	return tailLog(d, env, name)
}

func tailForm(d *Dialog, env Env, args []string) error {
	name, err := findLog(runningLogs(env), args[0])
	if err != nil {
		return err
	}
	return tailLog(d, env, name)
}

// tailLog follows a log until Ctrl-C, which is its ordinary end.
func tailLog(d *Dialog, env Env, name string) error {
	if d.Interactive() {
		d.Text("Press Ctrl-C to stop.")
	}
	d.Live()
	err := env.Logs.Follow(d.Context(), name, d)
	if d.Context().Err() != nil {
		return shell.ErrStopped
	}
	return err
}

// runningLogs is the subscriptions that have files: those of the running
// configuration, not of a pending one.
func runningLogs(env Env) []store.LogSubscription {
	running, _ := env.Store.Running()
	return running.Logs
}

// mailLogs is those of runningLogs that hold the journeys of messages.
func mailLogs(env Env) []store.LogSubscription {
	return slices.DeleteFunc(slices.Clone(runningLogs(env)), func(l store.LogSubscription) bool { return l.Type != store.TextMailLog })
}

// pickLog lists logs, and more, and asks for one by number or name.
func pickLog(d *Dialog, logs []store.LogSubscription, question string, more ...string) (string, error) {
	if len(logs) == 0 {
		return "", shell.Refusedf("No logs are configured. Use logconfig to create one.")
	}
	var b strings.Builder
	b.WriteString("Currently configured logs:\n")
	for i, l := range logs {
		fmt.Fprintf(&b, "%d. %q Type: %q Retrieval: Manual Download\n", i+1, l.Name, logTypeName(l.Type))
	}
	for i, name := range more {
		fmt.Fprintf(&b, "%d. %s\n", len(logs)+i+1, name)
	}
	names := append(logNames(logs), more...)
	n := d.Pick(b.String()+question, names, -1)
	if d.Err() != nil {
		return "", d.Err()
	}
	return names[n], nil
}

// findLog finds one of logs by its name, or by its number in the list.
func findLog(logs []store.LogSubscription, text string) (string, error) {
	if n, err := strconv.Atoi(text); err == nil && n >= 1 && n <= len(logs) {
		return logs[n-1].Name, nil
	}
	n, err := findLogOf(logs, text)
	if err != nil {
		return "", err
	}
	return logs[n].Name, nil
}
