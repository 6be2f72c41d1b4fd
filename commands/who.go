package commands

import (
	"fmt"
	"strings"
	"time"

	"esa/shell"
)

// who lists the sessions that are open.
func who() Command {
	return Command{
		Name:  "who",
		Short: "List who is logged in.",
		Forms: []Form{{Usage: "who", Run: whoForm}},
	}
}

func whoForm(d *Dialog, env Env, _ []string) error {
	rows := [][]string{
		{"Username", "Login Time", "Idle Time", "Remote Host", "What"},
		{"========", "==========", "=========", "===========", "===="},
	}
	for _, s := range env.Sessions() {
		rows = append(rows, []string{
			s.User, s.Started.Format("03:04PM"), idleTime(s.Idle), s.Source, s.Method,
		})
	}
	d.Text(shell.Columns(rows))
	return showOthers(d, env)
}

// idleTime gives "0s", "5m", "2h 5m".
func idleTime(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%ds", int(d.Seconds()))
	}
	text := strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s")
	return strings.Replace(text, "h", "h ", 1)
}
