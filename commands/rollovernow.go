package commands

import (
	"strings"

	"esa/shell"
)

// rollovernow begins a new file of a log, or of all.
func rollovernow() Command {
	return Command{
		Name:   "rollovernow",
		Short:  "Roll over a log file.",
		Forms:  []Form{{Usage: "rollovernow LOG|ALL", Run: rolloverForm}},
		Dialog: rolloverDialog,
	}
}

// allLogs is what stands behind the logs in the dialog's list.
const allLogs = "All Logs"

func rolloverDialog(d *Dialog, env Env) error {
	name, err := pickLog(d, runningLogs(env), "Which log would you like to roll over?", allLogs)
	switch {
	case err != nil:
		return err
	case name == allLogs:
		return rollover(d, env, logNames(runningLogs(env)))
	}
	return rollover(d, env, []string{name})
}

func rolloverForm(d *Dialog, env Env, args []string) error {
	if strings.EqualFold(args[0], "all") {
		return rollover(d, env, logNames(runningLogs(env)))
	}
	name, err := findLog(runningLogs(env), args[0])
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
