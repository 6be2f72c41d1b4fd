package commands

import (
	"regexp"
	"slices"
	"strings"

	"esa/shell"
)

// grep searches a log.
func grep() Command {
	return Command{
		Name:  "grep",
		Short: "Search a log.",
		Long: `-i ignores case, -v shows the lines that do not match, -t goes on with new
lines, -p shows page by page, -C shows N lines around each match. With several
expressions, lines that match any of them are shown.`,
		Forms: []Form{
			{Usage: "grep [-i] [-v] [-t] [-p] [-C N] EXPRESSION LOG", Run: grepForm},
			{Usage: "grep [-i] [-v] [-t] [-p] [-C N] -e EXPRESSION [-e EXPRESSION...] LOG", Run: grepForm},
		},
		Dialog: grepDialog,
	}
}

// Bounds of a search.
const (
	maxExpression = 1000
	maxContext    = 100
)

func grepDialog(d *Dialog, env Env) error {
	name, err := pickLog(d, runningLogs(env), "Enter the number of the log you wish to grep.")
	if err != nil {
		return err
	}
	q := GrepQuery{Log: name}
	expression := shell.Ask(d, "Enter the regular expression to grep.", "", func(s string) (string, error) {
		_, err := compile([]string{s}, false)
		return s, err
	})
	ignoreCase := d.YesNo("Do you want this search to be case insensitive?", true)
	q.Invert = d.YesNo("Do you want to search for non-matching lines?", false)
	q.Tail = d.YesNo("Do you want to tail the logs?", false)
	paginate := d.YesNo("Do you want to paginate the output?", false)
	if d.Err() != nil {
		return d.Err()
	}
	if q.Expression, err = compile([]string{expression}, ignoreCase); err != nil {
		return err
	}
	return grepLog(d, env, q, paginate)
}

func grepForm(d *Dialog, env Env, args []string) error {
	q, paginate, err := parseGrep(args)
	if err != nil {
		return err
	}
	if q.Log, err = findLog(runningLogs(env), q.Log); err != nil {
		return err
	}
	return grepLog(d, env, q, paginate)
}

// parseGrep reads the words of the one-line form: options, expression, log.
func parseGrep(args []string) (q GrepQuery, paginate bool, err error) {
	var expressions, rest []string
	ignoreCase := false
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		switch word {
		case "-i":
			ignoreCase = true
		case "-v":
			q.Invert = true
		case "-t":
			q.Tail = true
		case "-p":
			paginate = true
		case "-e", "-C":
			if len(args) == 0 {
				return q, false, shell.Refusedf("Invalid arguments: %s needs a value.", word)
			}
			if word == "-e" {
				expressions = append(expressions, args[0])
			} else if err := setNumber(&q.Context, args[0], 0, maxContext); err != nil {
				return q, false, err
			}
			args = args[1:]
		default:
			if len(word) == 2 && word[0] == '-' {
				return q, false, shell.Refusedf("Invalid arguments: there is no option %s. An expression that looks like one follows -e.", word)
			}
			rest = append(rest, word)
		}
	}
	if len(expressions) == 0 && len(rest) > 0 {
		expressions, rest = rest[:1], rest[1:]
	}
	if len(expressions) == 0 || len(rest) != 1 {
		return q, false, shell.Refusedf("Invalid arguments: an expression and the name of one log are needed.")
	}
	q.Log = rest[0]
	q.Expression, err = compile(expressions, ignoreCase)
	return q, paginate, err
}

// compile reads expressions into one that matches where any of them does.
// Go's expressions run in linear time, so none can hold up the gateway.
func compile(expressions []string, ignoreCase bool) (*regexp.Regexp, error) {
	if slices.Contains(expressions, "") {
		return nil, shell.Refusedf("You must enter a regular expression.")
	}
	for _, expression := range expressions {
		if len(expression) > maxExpression {
			return nil, shell.Refusedf("The value must not be longer than %d bytes.", maxExpression)
		}
		if _, err := regexp.Compile(expression); err != nil {
			return nil, notValid(err)
		}
	}
	flags := ""
	if ignoreCase {
		flags = "i"
	}
	re, err := regexp.Compile("(?" + flags + ":(?:" + strings.Join(expressions, ")|(?:") + "))")
	if err != nil {
		return nil, notValid(err)
	}
	return re, nil
}

func notValid(err error) error {
	return shell.Refusedf("That value is not valid: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
}

func grepLog(d *Dialog, env Env, q GrepQuery, paginate bool) error {
	if !paginate {
		d.Live()
	}
	n, err := env.Logs.Grep(d.Context(), q, d)
	switch {
	case q.Tail && d.Context().Err() != nil:
		return shell.ErrStopped
	case err != nil:
		return err
	case n == 0:
		d.Text("No results were found. Use another regular expression(s) to search.")
	}
	return d.Err()
}
