package alert

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"esa/mta/envelope"
	"esa/mta/message"
)

// subjectLimit is how much of an alert's summary its subject repeats, in bytes.
const subjectLimit = 100

// subject has the form of the appliance (reference esa-operations 3.4).
func (m *mail) subject() string {
	summary := m.Summary
	if len(summary) > subjectLimit {
		summary = summary[:subjectLimit] + "..."
	}
	return fmt.Sprintf("%s <%s> %s: %s", m.Severity, m.Class, m.Hostname, summary)
}

// write gives the text of the mail, CRLF line ends, plain ASCII but for the
// recipient. Everything in it was escaped when it was raised.
func (m *mail) write(now time.Time, version, serial string) []byte {
	var b strings.Builder
	for _, field := range []string{
		fmt.Sprintf("Message-Id: <alert.%d.%d@%s>", m.ID, m.Raised.UnixNano(), m.Hostname),
		"Date: " + now.Format(message.DateFormat),
		fmt.Sprintf("From: <%s>", m.From),
		fmt.Sprintf("To: <%s>", m.To),
		"Subject: " + m.subject(),
		"Auto-Submitted: auto-generated", // RFC 3834 §5
		"MIME-Version: 1.0",
		"Content-Type: text/plain; charset=\"us-ascii\"",
	} {
		b.WriteString(oneLine(field) + "\n")
	}
	fmt.Fprintf(&b, "\nThe %s message is:\n\n%s\n", m.Severity, m.Text)
	if m.Lost > 0 {
		fmt.Fprintf(&b, "\nBefore this one %d alerts were not mailed: no more than %d mails leave within an\nhour, and %d wait. displayalerts shows the last alerts.\n",
			m.Lost, maxPerHour, maxSpool)
	}
	fmt.Fprintf(&b, "\nVersion: %s\nSerial Number: %s\nTimestamp: %s\n", version, serial, m.Raised.Format("02 Jan 2006 15:04:05 -0700"))
	b.WriteString("\nUse alertconfig to set who is told of what, and how often.\n")
	return bytes.ReplaceAll([]byte(b.String()), []byte("\n"), []byte("\r\n"))
}

// oneLine keeps a header field in its line. Values come here checked; this is
// the second lock.
func oneLine(field string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, field)
}

// job is one attempt to deliver text.
func (m *mail) job(id envelope.MID, text []byte) envelope.Job {
	to := envelope.Recipient{Address: m.To, Notify: envelope.NotifyNever}
	wide := !m.To.IsASCII() || !m.From.IsASCII()
	return envelope.Job{
		Message: &envelope.Message{
			MID: id, Received: m.Raised, Sender: m.From, Recipients: []envelope.Recipient{to},
			Size: int64(len(text)), Subject: m.subject(), EightBit: wide, UTF8: wide,
			Relay: true, // mail of our own is protected like that of those we relay for
		},
		Domain: m.To.Domain, Recipients: []envelope.Recipient{to}, Attempt: m.Attempts + 1,
		Body: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil },
	}
}
