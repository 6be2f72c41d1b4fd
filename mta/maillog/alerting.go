package maillog

import (
	"fmt"
	"net/netip"

	"esa/mta/envelope"
)

// AlertMail is one alert on its way to one recipient.
type AlertMail struct {
	Class    string // "System"
	Severity string // "Warning"
	To       envelope.Address
	Subject  string
}

// maxLogSubject is how much of the subject of an alert its lines repeat, in
// bytes.
const maxLogSubject = 100

func (a AlertMail) subject() string {
	subject := line(a.Subject)
	if len(subject) > maxLogSubject {
		return subject[:maxLogSubject] + "..."
	}
	return subject
}

func (a AlertMail) to() string { return line(a.To.String()) }

// AlertSent writes that an alert is handed to the mailer of alerts.
func (l *Log) AlertSent(a AlertMail) {
	l.infof(`A %s/%s alert was sent to %s with subject "%s".`, a.Class, a.Severity, a.to(), a.subject())
}

// AlertUnsendable writes that an alert will not be mailed at all.
func (l *Log) AlertUnsendable(a AlertMail) {
	l.logf(Critical, `Error while sending alert: Unable to send %s/%s alert to %s with subject "%s".`, a.Class, a.Severity, a.to(), a.subject())
}

// AlertDelivered and AlertGivenUp write how the mail of an alert ended.
func (l *Log) AlertDelivered(a AlertMail) {
	l.infof("Internal SMTP system successfully sent a message to %s with subject '%s'.", a.to(), a.subject())
}

func (l *Log) AlertGivenUp(a AlertMail) {
	l.logf(Critical, "Internal SMTP giving up on message to %s with subject '%s': Unrecoverable error.", a.to(), a.subject())
}

// AlertRefused writes one failed attempt to mail an alert. Where the host gave
// no reply the reason stands in its place.
func (l *Log) AlertRefused(a AlertMail, why envelope.Failure) {
	host := "unknown"
	if why.Addr != (netip.AddrPort{}) {
		host = why.Addr.String()
	} else if why.Host != "" {
		host = word(why.Host)
	}
	text := fmt.Sprintf("%s %s", why.Reason, response(why))
	if why.Code != 0 {
		text = fmt.Sprintf(`Unexpected SMTP response "%d", expecting code starting with "2", response was %s`, why.Code, replies(why))
	}
	l.logf(Warning, "Internal SMTP Error: Failed to send message to host %s for recipient %s: %s.", host, a.to(), text)
}
