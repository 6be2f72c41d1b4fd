package commands

import (
	"fmt"
	"strconv"
	"time"

	"esa/shell"
)

// last lists who was logged in (reference esa-operations 1.6).
func last() Command {
	return Command{
		Name:  "last",
		Short: "List recent logins.",
		Long: `The newest come first. Of a session that was open when the gateway ended, the
logout is not known.`,
		Forms: []Form{{Usage: "last [COUNT]", Run: lastForm}},
	}
}

// maxLastCount bounds how many logins can be asked for.
const maxLastCount = 100000

func lastForm(d *Dialog, env Env, args []string) error {
	logins := env.Logins()
	if len(args) > 0 {
		n, err := strconv.Atoi(args[0])
		if err != nil || n < 1 || n > maxLastCount {
			return shell.Refusedf("The value must be a number from 1 to %d.", maxLastCount)
		}
		logins = logins[:min(n, len(logins))]
	}
	if len(logins) == 0 {
		d.Text("Nobody was logged in yet.")
		return d.Err()
	}
	rows := [][]string{
		{"Username", "Remote Host", "Login Time", "Logout Time", "Total Time"},
		{"========", "===========", "================", "================", "=========="},
	}
	for _, l := range logins {
		rows = append(rows, []string{l.User, l.Source, loginTime(l.In), logoutTime(l), totalTime(l, env.Clock())})
	}
	d.Text(shell.Columns(rows))
	return d.Err()
}

func loginTime(t time.Time) string { return t.Local().Format("Mon Jan _2 15:04") }

func logoutTime(l Login) string {
	switch {
	case l.Unknown:
		return "not known"
	case l.Out.IsZero():
		return "still logged in"
	}
	return loginTime(l.Out)
}

// totalTime gives how long somebody was logged in: "3h 12m".
func totalTime(l Login, now time.Time) string {
	switch {
	case l.Unknown:
		return ""
	case !l.Out.IsZero():
		now = l.Out
	}
	d := max(now.Sub(l.In), 0)
	if d >= 24*time.Hour {
		return fmt.Sprintf("%dd %s", d/(24*time.Hour), idleTime(d%(24*time.Hour)))
	}
	return idleTime(d)
}
