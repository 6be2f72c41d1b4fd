package mta

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"esa/mta/envelope"
	"esa/mta/message"
	"esa/store"
)

// Letter is a mail of the gateway's own with a file in it.
type Letter struct {
	To       []envelope.Address
	Subject  string // ASCII, one line
	Text     string // ASCII, lines end in LF
	FileName string // ASCII, without quotes
	File     []byte // XML
}

// letterSender is the local part of the address that letters come from, where
// alerts have no address of their own.
const letterSender = "alert"

// SendLetter queues a letter like any other mail and gives its id. It is on
// stable storage when SendLetter returns. Offline it fails with ErrOffline.
func (g *Gateway) SendLetter(l Letter) (envelope.MID, error) {
	if g.live == nil {
		return 0, ErrOffline
	}
	config := g.current.Load().config
	m := envelope.Message{
		MID: g.live.counters.NextMID(), Received: g.Clock(), Sender: letterFrom(config), Subject: l.Subject,
		Relay: true, // mail of our own is protected like that of those we relay for
	}
	m.UTF8 = !m.Sender.IsASCII()
	for i, to := range l.To {
		m.Recipients = append(m.Recipients, envelope.Recipient{RID: envelope.RID(i), Address: to})
		m.UTF8 = m.UTF8 || !to.IsASCII()
	}
	m.EightBit = m.UTF8
	draft, err := g.live.queue.Begin(m)
	if err != nil {
		return 0, fmt.Errorf("queueing a letter: %w", err)
	}
	if _, err := draft.Write(l.compose(m, config.Hostname)); err != nil {
		return 0, fmt.Errorf("queueing a letter: %w", errors.Join(err, draft.Abort()))
	}
	log := g.live.log
	log.Started(m.MID, 0)
	log.From(m.MID, 0, m.Sender)
	for _, r := range m.Recipients {
		log.To(m.MID, 0, r)
	}
	if err := draft.Commit(m); err != nil {
		return 0, fmt.Errorf("queueing a letter: %w", err)
	}
	return m.MID, nil
}

// letterFrom is the address that alerts come from.
func letterFrom(c *store.Config) envelope.Address {
	if from, err := envelope.ParseAddress(c.Alerts.From); err == nil && !from.IsNull() {
		return from
	}
	from, _ := envelope.ParseAddress(letterSender + "@" + c.Hostname)
	return from
}

// base64Line is how many bytes a line of base64 holds (RFC 2045 §6.8).
const base64Line = 57

// compose gives the text of the letter (RFC 2046 §5.1.3), CRLF line ends.
func (l Letter) compose(m envelope.Message, hostname string) []byte {
	boundary := rand.Text()
	to := make([]string, len(m.Recipients))
	for i, r := range m.Recipients {
		to[i] = "<" + r.Address.String() + ">"
	}
	var b bytes.Buffer
	for _, field := range []string{
		fmt.Sprintf("Message-ID: <%s@%s>", strings.ToLower(rand.Text()), hostname),
		"Date: " + m.Received.Format(message.DateFormat),
		fmt.Sprintf("From: <%s>", m.Sender),
		"To: " + strings.Join(to, ",\n "),
		"Subject: " + l.Subject,
		"Auto-Submitted: auto-generated", // RFC 3834 §5
		"MIME-Version: 1.0",
		fmt.Sprintf("Content-Type: multipart/mixed; boundary=\"%s\"", boundary),
	} {
		b.WriteString(field + "\n")
	}
	fmt.Fprintf(&b, "\n--%s\nContent-Type: text/plain; charset=\"us-ascii\"\n\n%s\n", boundary, l.Text)
	fmt.Fprintf(&b, "--%s\nContent-Type: application/xml; name=\"%s\"\nContent-Disposition: attachment; filename=\"%s\"\nContent-Transfer-Encoding: base64\n\n",
		boundary, l.FileName, l.FileName)
	for rest := l.File; len(rest) > 0; {
		n := min(base64Line, len(rest))
		b.WriteString(base64.StdEncoding.EncodeToString(rest[:n]) + "\n")
		rest = rest[n:]
	}
	fmt.Fprintf(&b, "\n--%s--\n", boundary)
	return bytes.ReplaceAll(b.Bytes(), []byte("\n"), []byte("\r\n"))
}
