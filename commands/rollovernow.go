package commands

import (
	"fmt"
	"strconv"
	"strings"

	"esa/shell"
)

// rollovernow begins a new file of a log, or of all.
func rollovernow() Command {
	return Command{
		Name:   "rollovernow",
		Short:  "Roll over a log file.",
		Forms:  []Form{{Usage: "rollovernow LOG", Run: rolloverForm}},
		Dialog: rolloverDialog,
	}
}

// allLogs is what stands after the logs in the dialog's list.
const allLogs = "All Logs"

func rolloverDialog(d *Dialog, env Env) error {
	logs := runningLogs(env)
	var names []string
	var b strings.Builder
	b.WriteString("Currently configured logs:\n")
	for i, l := range logs {
		names = append(names, l.Name)
		fmt.Fprintf(&b, "%d. %q Type: %q Retrieval: Manual Download\n", i+1, l.Name, logTypeName(l.Type))
	}
	names = append(names, allLogs)
	b.WriteString(strconv.Itoa(len(names)) + ". " + allLogs + "\n")
	i := d.Pick(b.String()+"Which log would you like to roll over?", names, -1)
	if d.Err() != nil {
		return d.Err()
	}
	if names[i] == allLogs {
		return rollover(d, env, names[:i])
	}
	return rollover(d, env, names[i:i+1])
}

func rolloverForm(d *Dialog, env Env, args []string) error {
	if strings.EqualFold(args[0], "all") {
		var names []string
		for _, l := range runningLogs(env) {
			names = append(names, l.Name)
		}
		return rollover(d, env, names)
	}
	name, err := findLog(env, args[0])
	if err != nil {
		return err
	}
	return rollover(d, env, []string{name})
}

func rollover(d *Dialog, env Env, names []string) error {
	for _, name := range names {
		if err := env.Logs.Rollover(name); err != nil {
			return shell.Refusedf("The log %q could not be rolled over: %w", name, err)
		}
	}
	d.Text("Log files successfully rolled over.")
	return d.Err()
}
