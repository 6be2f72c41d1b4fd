package commands

import (
	"math"
	"strings"
)

// displayalerts shows the alerts that are kept.
func displayalerts() Command {
	return Command{
		Name:  "displayalerts",
		Short: "Display the last alerts.",
		Long: `The newest alert stands first. alertconfig sets how many are kept. They are
kept whether or not somebody is sent alerts, and over restarts.`,
		Dialog: displayAlerts,
	}
}

// alertColumn is how wide the column of times is.
const alertColumn = 28

func displayAlerts(d *Dialog, env Env) error {
	alerts, err := env.Gateway.Alerts()
	if err != nil {
		return err
	}
	if len(alerts) == 0 {
		d.Text("There are no alerts to show.")
		return d.Err()
	}
	width := math.MaxInt // a script gets each line whole
	if d.Interactive() {
		width = max(d.Columns()-alertColumn-1, leastText)
	}
	row := func(left, right string) { d.Printf("%-*s%s\n", alertColumn, left, right) }
	d.Text("")
	row("Date and Time Stamp", "Description")
	d.Text(strings.Repeat("-", 79))
	for i, a := range alerts {
		if i > 0 {
			d.Text("")
		}
		left := a.At.Local().Format("02 Jan 2006 15:04:05 -0700")
		for line := range strings.SplitSeq(a.Severity+": "+a.Text, "\n") {
			for _, piece := range wrapped(line, width) {
				row(left, piece)
				left = ""
			}
		}
	}
	return d.Err()
}

// leastText is the width of a description on however narrow a terminal.
const leastText = 30

// wrapped breaks a line at blanks into pieces of at most width characters, but
// for words that are longer.
func wrapped(line string, width int) []string {
	var pieces []string
	for len(line) > width {
		cut := strings.LastIndexByte(line[:width+1], ' ')
		if cut <= 0 {
			cut = strings.IndexByte(line, ' ')
		}
		if cut <= 0 {
			break
		}
		pieces = append(pieces, line[:cut])
		line = line[cut+1:]
	}
	return append(pieces, line)
}
