package commands

import (
	"fmt"
	"strings"
	"time"

	"esa/mta/envelope"
)

// showrecipients lists queued mail, and why each recipient waits and until when
// (reference esa-operations 3.5; the lines about attempts are ours).
func showrecipients() Command {
	forms := selectionForms("showrecipients", listRecipients)
	forms = append(forms, Form{Usage: "showrecipients mid MID", Run: func(d *Dialog, env Env, args []string) error {
		mid, err := parseMID(args[0])
		if err != nil {
			return err
		}
		return listRecipients(d, env, Selection{MID: envelope.MID(mid)})
	}})
	return Command{
		Name:  "showrecipients",
		Short: "Show messages from the queue by recipient.",
		Long: `Shows the recipients that wait. Below one that was tried stand the time of the
next attempt, why the last one failed, and what the host replied.`,
		Forms:  forms,
		Dialog: selectionDialog(actWords{verb: "show"}, false, listRecipients),
	}
}

func listRecipients(d *Dialog, env Env, s Selection) error {
	d.Text("Showing messages, please wait.")
	found := 0
	err := env.Mail.Each(s, func(q Queued) bool {
		text := recipientRows(q, env.Clock())
		if text == "" {
			return d.Err() == nil
		}
		if found++; found == 1 {
			text = recipientHeading + text
		}
		_, err := d.Write([]byte(text))
		return err == nil && d.Err() == nil
	})
	switch {
	case err != nil && found == 0:
		return err
	case d.Err() != nil:
		return d.Err()
	case found == 0:
		d.Text("No messages were found.")
	}
	return err
}

const recipientHeading = `
MID/     Bytes/     Sender/                  Subject
[RID]    [Atmps]    Recipient
`

// recipientRows is a message with the recipients that are selected, empty if
// none is.
func recipientRows(q Queued, now time.Time) string {
	var b strings.Builder
	for i, r := range q.Recipients {
		if !r.Selected {
			continue
		}
		if b.Len() == 0 {
			m := &q.Message
			line := fmt.Sprintf("%-8d %-10d %-24s %s", m.MID, m.Size, printable(m.Sender.String()), printable(m.Subject))
			b.WriteString(strings.TrimRight(line, " ") + "\n")
		}
		to := q.Message.Recipients[i]
		fmt.Fprintf(&b, "%-8s %-10s %s\n", fmt.Sprintf("[%d]", to.RID), fmt.Sprintf("[%d]", r.Attempts), printable(to.Address.String()))
		for _, line := range fate(r, to, now) {
			fmt.Fprintf(&b, "%20s%s\n", "", line)
		}
	}
	return b.String()
}

// fate is why a recipient waits and until when; nothing for one that waits for
// its first attempt.
func fate(r QueuedRecipient, to envelope.Recipient, now time.Time) []string {
	var lines []string
	if r.Domain != to.Address.Domain {
		lines = append(lines, "Redirected to: "+printable(r.Domain))
	}
	switch {
	case r.Underway:
		lines = append(lines, "Next attempt: being made now")
	case r.Suspended:
		lines = append(lines, "Next attempt: when delivery is resumed")
	case !r.NextAttempt.IsZero():
		lines = append(lines, fmt.Sprintf("Next attempt: %s (in %s)", commitTime(r.NextAttempt), age(r.NextAttempt.Sub(now))))
	case r.Attempts > 0:
		lines = append(lines, "Next attempt: now")
	}
	if r.Limited {
		lines = append(lines, "Held back by: the recipient limit (see destconfig)")
	}
	if r.Reason == envelope.ReasonNone {
		return lines
	}
	last := "Last failure: " + string(r.Reason)
	if r.Host != "" {
		last += " at " + printable(r.Host)
	}
	lines = append(lines, last)
	if r.Code != 0 || r.Reply != "" {
		lines = append(lines, "Last reply:   "+reply(envelope.Failure{Code: r.Code, Reply: []string{r.Reply}}))
	}
	return lines
}
