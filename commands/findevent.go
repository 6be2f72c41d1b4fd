package commands

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"esa/shell"
)

// findevent finds messages in a mail log and shows what became of one
// (reference esa-operations 1.4, 3.1).
func findevent() Command {
	return Command{
		Name:  "findevent",
		Short: "Find events in mail log files.",
		Long: `Finds messages whose envelope sender (-f), recipient (-t) or subject (-s)
matches a regular expression; -i ignores case. With -m all lines of one message
are shown, of the messages made from it, and of their connections. Subjects are
in the log only if logconfig asks for them.`,
		Forms: []Form{
			{Usage: "findevent [-i] [-f from | -s subject | -t to] log_name", Run: findEventForm},
			// The words of the form above may be these too: it takes a number
			// for mid, this one shows what to type.
			{Usage: "findevent -m mid log_name", Run: func(*Dialog, Env, []string) error { return notMID("mid") }},
		},
		Dialog: findEventDialog,
	}
}

// eventSearch is what findevent looks for.
type eventSearch struct {
	log        string
	mid        uint64 // all of this message; 0: matching messages
	expression *regexp.Regexp
	of         *regexp.Regexp // the lines to look in: MID, value
}

// eventField is the lines that a search of an option looks in, behind time and
// level: MID and value.
func eventField(option string) *regexp.Regexp {
	return regexp.MustCompile(`^.{24} Info: MID (\d+) ` + map[string]string{
		"-f": `ICID \d+ From: <(.*)>`,
		"-t": `ICID \d+ (?:RID \d+ )?To: <(.*?)>(?: Rejected by .*)?`,
		"-s": `Subject (?:'(.*)'|"(.*)")`,
	}[option] + `$`)
}

// eventValue is what was found in a line: an address, or a subject, which
// stands there as a Python literal (reference 2.1).
func eventValue(m []string) string {
	if len(m) == 3 {
		return m[2]
	}
	return strings.NewReplacer(`\\`, `\`, `\'`, `'`).Replace(m[2] + m[3])
}

func findEventDialog(d *Dialog, env Env) error {
	var s eventSearch
	kind := d.Choose("Please choose which type of search you want to perform:", []string{
		"Search by envelope FROM", "Search by Message ID", "Search by Subject", "Search by envelope TO",
	}, 0)
	if kind == 1 {
		s.mid = shell.Ask(d, "Enter the Message ID (MID) to search for.", "", parseMID)
	} else {
		s.of = eventField([]string{"-f", "-m", "-s", "-t"}[max(0, kind)])
		text := shell.Ask(d, "Enter the regular expression to search for.", "", func(text string) (string, error) {
			_, err := compile([]string{text}, false)
			return text, err
		})
		ignoreCase := d.YesNo("Do you want this search to be case insensitive?", true)
		if d.Err() != nil {
			return d.Err()
		}
		var err error
		if s.expression, err = compile([]string{text}, ignoreCase); err != nil {
			return err
		}
	}
	if d.Err() != nil {
		return d.Err()
	}
	var err error
	if s.log, err = pickLog(d, mailLogs(env), "Enter the number of the log you wish to use for message tracking."); err != nil {
		return err
	}
	found, err := findEvents(d, env, s)
	if err != nil || s.mid != 0 || found == 0 {
		return err
	}
	mid := shell.Ask(d, "Enter the MID to show, or press Enter to leave.", "", func(text string) (uint64, error) {
		if text == "" {
			return 0, nil
		}
		return parseMID(text)
	})
	if d.Err() != nil || mid == 0 {
		return d.Err()
	}
	_, err = findEvents(d, env, eventSearch{log: s.log, mid: mid})
	return err
}

func parseMID(text string) (uint64, error) {
	if text == "" {
		return 0, shell.Refusedf("The value cannot be blank.")
	}
	mid, err := strconv.ParseUint(text, 10, 64)
	if err != nil || mid == 0 {
		return 0, notMID(text)
	}
	return mid, nil
}

func notMID(text string) error {
	return shell.Refusedf("%q is not a message ID: it is a number such as 1234.", text)
}

func findEventForm(d *Dialog, env Env, args []string) error {
	s, err := parseFindEvent(args)
	if err != nil {
		return err
	}
	if s.log, err = findLog(mailLogs(env), s.log); err != nil {
		return err
	}
	_, err = findEvents(d, env, s)
	return err
}

// parseFindEvent reads the words of a one-line form.
func parseFindEvent(args []string) (s eventSearch, err error) {
	ignoreCase, option, value := false, "", ""
	for len(args) > 1 && strings.HasPrefix(args[0], "-") {
		word := args[0]
		args = args[1:]
		switch word {
		case "-i":
			ignoreCase = true
			continue
		case "-f", "-s", "-t", "-m":
		default:
			return s, shell.Refusedf("Invalid arguments: there is no option %s.", word)
		}
		if option != "" {
			return s, shell.Refusedf("Invalid arguments: %s and %s exclude each other.", option, word)
		}
		option, value, args = word, args[0], args[1:]
	}
	if option == "" || len(args) != 1 {
		return s, shell.Refusedf("Invalid arguments: one of -f, -s, -t and -m is needed, then the name of one log.")
	}
	s.log = args[0]
	if option == "-m" {
		s.mid, err = parseMID(value)
		return s, err
	}
	s.of = eventField(option)
	s.expression, err = compile([]string{value}, ignoreCase)
	return s, err
}

// findEvents shows what was found and counts it.
func findEvents(d *Dialog, env Env, s eventSearch) (found int, err error) {
	if s.mid != 0 {
		found, err = showMessage(d, env, s)
	} else {
		err = readLog(d, env, GrepQuery{Log: s.log, Expression: s.of}, func(line string) error {
			m := s.of.FindStringSubmatch(line)
			if m == nil {
				return nil
			}
			value := eventValue(m)
			if !s.expression.MatchString(value) {
				return nil
			}
			found++
			_, err := fmt.Fprintf(d, "MID %s (%s) %s\n", m[1], line[:24], value)
			return err
		})
	}
	if err == nil && found == 0 {
		d.Text("No results were found.")
	}
	if err != nil {
		return found, err
	}
	return found, d.Err()
}

// showMessage shows all lines of a message and of those made from it, and the
// lines of their connections that are about no other message. The log is read
// twice: what a line belongs to can stand after it.
func showMessage(d *Dialog, env Env, s eventSearch) (found int, err error) {
	j := newJourney(s.mid)
	q := GrepQuery{Log: s.log, Expression: j.about}
	if err := readLog(d, env, q, func(line string) error { j.learn(line); return nil }); err != nil {
		return 0, err
	}
	err = readLog(d, env, q, func(line string) error {
		if !j.holds(line) {
			return nil
		}
		found++
		_, err := io.WriteString(d, line+"\n")
		return err
	})
	return found, err
}

// readLog hands each line that a search finds to visit, until it fails.
func readLog(d *Dialog, env Env, q GrepQuery, visit func(string) error) error {
	lines := &lineWriter{visit: visit}
	if _, err := env.Logs.Grep(d.Context(), q, lines); err != nil {
		return err
	}
	return lines.end()
}

// lineWriter cuts what is written into lines.
type lineWriter struct {
	visit func(string) error
	part  []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.part = append(w.part, p...)
	for {
		i := bytes.IndexByte(w.part, '\n')
		if i < 0 {
			return len(p), nil
		}
		line := string(w.part[:i])
		w.part = w.part[i+1:]
		if err := w.visit(line); err != nil {
			return 0, err
		}
	}
}

func (w *lineWriter) end() error {
	if len(w.part) == 0 {
		return nil
	}
	return w.visit(string(w.part))
}
