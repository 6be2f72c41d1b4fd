package bounce

import (
	"bufio"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"

	"esa/mta/envelope"
	"esa/mta/message"
)

// Kind is what a notice says.
type Kind int

const (
	Failure Kind = iota // the recipients were given up
	Delay               // they are still tried
	Relayed             // a host took them that reports nothing: success was to be told (RFC 3461 §5.2.2)
)

// Notice is a notice to be written: the recipients of one message that
// failed, or were relayed, in the same attempt.
type Notice struct {
	Kind       Kind
	Profile    Profile
	Message    *envelope.Message
	Recipients []Recipient // never empty
	To         envelope.Address
	Hostname   string // of this gateway
	MessageID  string // without angle brackets
	Boundary   string // random: must not occur in the original
	Time       time.Time
	Until      time.Time // of a Delay: when the message will be given up
	Original   io.Reader // the message text, CRLF line ends; read only as far as it is copied
}

// Recipient is one recipient that a notice tells of, and why. Of a Relayed one
// Why is the answer of the host that took it.
type Recipient struct {
	envelope.Recipient
	Why      envelope.Failure
	Attempts int // failed attempts before this one
}

// Write writes the notice with CRLF line ends. It is 7-bit but for the copy
// of an original that is not. Nothing that the peer or the sender wrote can
// begin a line outside that copy (attack E6). The error is that of w or of
// the original.
func Write(w io.Writer, n Notice) error {
	text, err := n.copyOfOriginal()
	if err != nil {
		return fmt.Errorf("reading the original: %w", err)
	}
	b := bufio.NewWriter(w)
	n.writeHeader(b)
	if n.Profile.DSNFormat {
		err = n.writeReport(b, text)
	} else {
		err = n.writePlain(b, text)
	}
	if err != nil {
		return fmt.Errorf("copying the original: %w", err)
	}
	return b.Flush()
}

func (n *Notice) writeHeader(b *bufio.Writer) {
	b.WriteString(message.Received{By: field(n.Hostname), At: n.Time}.String())
	fmt.Fprintf(b, "Message-Id: <%s>\r\n", field(n.MessageID))
	fmt.Fprintf(b, "Date: %s\r\n", n.Time.Format(message.DateFormat))
	fmt.Fprintf(b, "To: %s\r\n", field(n.To.String()))
	fmt.Fprintf(b, "From: \"Mail Delivery System\" <MAILER-DAEMON@%s>\r\n", field(n.Hostname))
	fmt.Fprintf(b, "Subject: %s\r\n", mime.QEncoding.Encode("utf-8", field(n.subject())))
	fmt.Fprint(b, "MIME-Version: 1.0\r\n")
}

func (n *Notice) subject() string {
	switch {
	case n.Kind == Relayed:
		return "Delivery Status Notification (Relay)"
	case n.Kind == Delay && n.Profile.WarnSubject != "":
		return n.Profile.WarnSubject
	case n.Kind == Delay:
		return "Delivery Status Notification (Delay)"
	case n.Profile.Subject != "":
		return n.Profile.Subject
	default:
		return "Delivery Status Notification (Failure)"
	}
}

// writeReport writes the three parts of RFC 3462.
func (n *Notice) writeReport(b *bufio.Writer, text original) error {
	boundary := field(n.Boundary)
	fmt.Fprintf(b, "Content-Type: multipart/report; report-type=delivery-status; boundary=\"%s\"\r\n", boundary)
	if text.eightBit {
		fmt.Fprint(b, "Content-Transfer-Encoding: 8bit\r\n") // RFC 2045 §6.4: not less than its parts
	}
	fmt.Fprintf(b, "\r\n--%s\r\n", boundary)
	fmt.Fprint(b, "content-type: text/plain;\r\n    charset=\"utf-8\"\r\ncontent-transfer-encoding: quoted-printable\r\n\r\n")
	if err := quoted(b, strings.NewReader(n.explanation())); err != nil {
		return err
	}
	fmt.Fprintf(b, "\r\n--%s\r\ncontent-type: message/delivery-status\r\n\r\n", boundary)
	n.writeStatus(b)
	fmt.Fprintf(b, "\r\n--%s\r\ncontent-type: %s\r\n", boundary, text.contentType)
	if text.encoding != "" {
		fmt.Fprintf(b, "content-transfer-encoding: %s\r\n", text.encoding)
	}
	fmt.Fprint(b, "\r\n")
	if err := text.writeTo(b); err != nil {
		return err
	}
	fmt.Fprintf(b, "\r\n--%s--\r\n", boundary)
	return nil
}

// writePlain writes the notice without parts: the explanation, then the copy.
func (n *Notice) writePlain(b *bufio.Writer, text original) error {
	fmt.Fprint(b, "Content-Type: text/plain; charset=\"utf-8\"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	return quoted(b, io.MultiReader(strings.NewReader(n.explanation()+"\n"), text.body))
}

func (n *Notice) explanation() string {
	var s strings.Builder
	for i, r := range n.Recipients {
		if i > 0 {
			s.WriteString("\n")
		}
		fmt.Fprintf(&s, "The following message to <%s> ", field(r.Address.String()))
		switch n.Kind {
		case Delay:
			fmt.Fprintf(&s, "has not been delivered yet.\nIt will be tried until %s.\n", n.Until.Format(message.DateFormat))
			s.WriteString("You need not send it again.\nThe reason for the delay:\n")
		case Relayed:
			s.WriteString("was passed on to a host that does not\nreport on delivery. No further notice will come from here.\nThe answer of that host:\n")
		default:
			s.WriteString("was undeliverable.\nThe reason for the problem:\n")
		}
		s.WriteString(reason(r.Why) + "\n")
	}
	return s.String()
}

// writeStatus writes the fields of RFC 3464 §2.2 and §2.3.
func (n *Notice) writeStatus(b *bufio.Writer) {
	if n.Message.EnvelopeID != "" {
		fmt.Fprintf(b, "Original-Envelope-Id: %s\r\n", ascii(n.Message.EnvelopeID))
	}
	fmt.Fprintf(b, "Reporting-MTA: dns; %s\r\n", ascii(n.Hostname))
	for _, r := range n.Recipients {
		fmt.Fprint(b, "\r\n")
		if r.Original != "" {
			fmt.Fprintf(b, "Original-Recipient: %s\r\n", ascii(r.Original))
		}
		fmt.Fprintf(b, "Final-Recipient: %s\r\n", typed(r.Address))
		fmt.Fprintf(b, "Action: %s\r\nStatus: %s\r\n", n.action(), n.status(r.Why))
		if host := remote(r.Why); host != "" {
			fmt.Fprintf(b, "Remote-MTA: dns; %s\r\n", host)
		}
		fmt.Fprintf(b, "Diagnostic-Code: smtp; %s (delivery attempts: %d)\r\n", reason(r.Why), r.Attempts)
		if n.Kind == Delay {
			fmt.Fprintf(b, "Will-Retry-Until: %s\r\n", n.Until.Format(message.DateFormat))
		}
	}
}

// action is the Action field (RFC 3464 §2.3.3).
func (n *Notice) action() string {
	switch n.Kind {
	case Delay:
		return "delayed"
	case Relayed:
		return "relayed"
	default:
		return "failed"
	}
}

// status is the Status field: the class alone, unless the profile asks for
// the code in the peer's reply and there is one of that class.
func (n *Notice) status(why envelope.Failure) string {
	class, word := "5", "(permanent failure)"
	switch n.Kind {
	case Delay:
		class, word = "4", "(temporary failure)"
	case Relayed:
		class, word = "2", "(success)"
	}
	if n.Profile.ParseStatus && len(why.Reply) > 0 {
		if code := statusCode(why.Reply[0]); strings.HasPrefix(code, class+".") {
			return code + " " + word
		}
	}
	return class + ".0.0 " + word
}

// quoted copies r to b as quoted-printable.
func quoted(b *bufio.Writer, r io.Reader) error {
	q := quotedprintable.NewWriter(b)
	if _, err := io.Copy(q, r); err != nil {
		return err
	}
	return q.Close()
}
