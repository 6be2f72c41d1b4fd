package commands

import (
	"fmt"
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
	name := pickLog(d, env, "Enter the number of the log you wish to tail.")
	if d.Err() != nil {
		return d.Err()
	}
	return tailLog(d, env, name)
}

func tailForm(d *Dialog, env Env, args []string) error {
	name, err := findLog(env, args[0])
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

// pickLog lists the logs and asks for one by number or name.
func pickLog(d *Dialog, env Env, question string) string {
	logs := runningLogs(env)
	if len(logs) == 0 {
		d.Refuse(shell.Refusedf("No logs are configured. Use logconfig to make one."))
	}
	names := make([]string, len(logs))
	var b strings.Builder
	b.WriteString("Currently configured logs:\n")
	for i, l := range logs {
		names[i] = l.Name
		fmt.Fprintf(&b, "%d. %q Type: %q Retrieval: Manual Download\n", i+1, l.Name, logTypeName(l.Type))
	}
	if i := d.Pick(b.String()+question, names, -1); i >= 0 {
		return names[i]
	}
	return ""
}

// findLog finds a log by the name or number of a one-line form.
func findLog(env Env, text string) (string, error) {
	for i, l := range runningLogs(env) {
		if strings.EqualFold(l.Name, text) || text == fmt.Sprint(i+1) {
			return l.Name, nil
		}
	}
	return "", shell.Refusedf("The log %q does not exist. Use logconfig to list the logs.", text)
}

// logTypeName is a log type as logconfig lists it.
func logTypeName(kind string) string {
	if kind == store.TextMailLog {
		return "Text Mail Logs"
	}
	return kind
}
