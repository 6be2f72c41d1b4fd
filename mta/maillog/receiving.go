package maillog

import (
	"net/netip"
	"time"

	"esa/mta/envelope"
)

// Injection is an inbound connection as its first line tells it.
type Injection struct {
	ICID      envelope.ICID
	Interface string // name of the interface that took it
	Local     netip.Addr
	Remote    netip.Addr
	Host      string // reverse name, "unknown" without one
	Verified  bool   // the name leads back to the address
}

// NewInjection writes the first line of an inbound connection.
func (l *Log) NewInjection(c Injection) {
	verified := "no"
	if c.Verified {
		verified = "yes"
	}
	l.infof("New SMTP ICID %d interface %s (%s) address %s reverse dns host %s verified %s",
		c.ICID, c.Interface, c.Local, c.Remote, word(c.Host), verified)
}

// Admitted writes what the host access table says of a connection: behaviour
// ACCEPT, RELAY or REJECT, the sender group (or "None") and what matched.
func (l *Log) Admitted(c envelope.ICID, behavior, group, match string) {
	l.infof("ICID %d %s SG %s match %s SBRS not enabled country not enabled", c, behavior, group, match)
}

// TCPRefused writes a connection that was closed without a banner.
func (l *Log) TCPRefused(group, match string) {
	l.infof("ICID 0 TCPREFUSE SG %s match %s SBRS not enabled country not enabled", group, match)
}

// InjectionTLS writes a handshake with a client that succeeded, InjectionTLSFailed
// one that did not, with the number and text of the error.
func (l *Log) InjectionTLS(c envelope.ICID, protocol, cipher string) {
	l.infof("ICID %d TLS success protocol %s cipher %s", c, protocol, cipher)
}
func (l *Log) InjectionTLSFailed(c envelope.ICID, number int, text string) {
	l.infof("ICID %d TLS failed: (%d, %s)", c, number, literal(text))
}

// TLSNotInitiated writes that a client wanted to send in clear what had to be
// encrypted, and went without STARTTLS.
func (l *Log) TLSNotInitiated(c envelope.ICID) {
	l.infof("ICID %d TLS was required but remote host did not initiate it", c)
}

// InjectionClosed and InjectionLost end a connection: by QUIT or by us, or
// because it broke.
func (l *Log) InjectionClosed(c envelope.ICID) { l.infof("ICID %d close", c) }
func (l *Log) InjectionLost(c envelope.ICID)   { l.infof("ICID %d lost", c) }

// Started writes that MAIL was accepted: a message has its id.
func (l *Log) Started(m envelope.MID, c envelope.ICID) { l.infof("Start MID %d ICID %d", m, c) }

// From writes the envelope sender.
func (l *Log) From(m envelope.MID, c envelope.ICID, sender envelope.Address) {
	l.infof("MID %d ICID %d From: <%s>", m, c, line(sender.String()))
}

// To writes an accepted recipient.
func (l *Log) To(m envelope.MID, c envelope.ICID, r envelope.Recipient) {
	l.infof("MID %d ICID %d RID %d To: <%s>", m, c, r.RID, line(r.Address.String()))
}

// RejectedByRAT writes a recipient that the recipient access table refused.
func (l *Log) RejectedByRAT(m envelope.MID, c envelope.ICID, to envelope.Address) {
	l.infof("MID %d ICID %d To: <%s> Rejected by RAT", m, c, line(to.String()))
}

// RelayDenied writes a recipient that was refused because of where it came
// from: a sender who may not relay, or one rejected at its recipients.
func (l *Log) RelayDenied(m envelope.MID, c envelope.ICID, to envelope.Address) {
	l.infof("MID %d ICID %d To: <%s> Rejected by Injection Control", m, c, line(to.String()))
}

// RateLimited writes a recipient beyond the rate of its host or envelope
// sender, Harvest one of a host that asked for too many that do not exist.
func (l *Log) RateLimited(m envelope.MID, c envelope.ICID, to envelope.Address, whose string) {
	l.infof("MID %d ICID %d To: <%s> Rejected by Injection Control: rate limit of the %s", m, c, line(to.String()), whose)
}
func (l *Log) Harvest(m envelope.MID, c envelope.ICID, to envelope.Address) {
	l.infof("MID %d ICID %d To: <%s> Rejected: potential Directory Harvest Attack", m, c, line(to.String()))
}

// MessageID writes the Message-ID header, Subject the decoded subject, each
// only where logconfig asks for it.
func (l *Log) MessageID(m envelope.MID, id string) {
	if l.settings().MessageID {
		l.infof("MID %d Message-ID %s", m, literal(id))
	}
}
func (l *Log) Subject(m envelope.MID, subject string) {
	if l.settings().Subject {
		l.infof("MID %d Subject %s", m, literal(subject))
	}
}

// Ready writes that the message text is here whole.
func (l *Log) Ready(m envelope.MID, size int64, sender envelope.Address) {
	l.infof("MID %d ready %d bytes from <%s>", m, size, line(sender.String()))
}

// Queued writes that the message is on stable storage.
func (l *Log) Queued(m envelope.MID) { l.infof("MID %d queued for delivery", m) }

// Aborted writes the end of a message that was not accepted: the reason and
// the finished line.
func (l *Log) Aborted(m envelope.MID, reason string) {
	l.infof("Message aborted MID %d %s", m, line(reason))
	l.infof("Message finished MID %d aborted", m)
}

// ReceivingFailed writes why a connection could not inject: "Message size
// exceeds limit", "Message loop", "Connection limit exceeded", "Too Many
// Messages", "Queue …" (reference 2.3).
func (l *Log) ReceivingFailed(c envelope.ICID, why string) {
	l.infof("ICID %d Receiving Failed: %s", c, line(why))
}

// InvalidSender and InvalidRecipient write an address that does not parse.
func (l *Log) InvalidSender(c envelope.ICID, why, part string) {
	l.infof("ICID %d Invalid sender address: %s: %s", c, line(why), line(part))
}
func (l *Log) InvalidRecipient(c envelope.ICID, m envelope.MID, why, part string) {
	l.infof("ICID %d MID %d Invalid recipient address: %s: %s", c, m, line(why), literal(part))
}

// SenderRejected and SenderAllowed write what was decided of an envelope
// sender, and why.
func (l *Log) SenderRejected(c envelope.ICID, sender envelope.Address, why string) {
	l.infof("ICID %d Address: <%s> sender rejected, %s", c, line(sender.String()), line(why))
}
func (l *Log) SenderAllowed(c envelope.ICID, sender envelope.Address, why string) {
	l.infof("ICID %d Address: <%s> sender allowed, %s", c, line(sender.String()), line(why))
}

// UnknownCommand and BadSyntax write a command that was not understood.
func (l *Log) UnknownCommand(c envelope.ICID, text string) {
	l.infof("ICID %d Unknown command: %s", c, line(text))
}
func (l *Log) BadSyntax(c envelope.ICID, text string) {
	l.infof("ICID %d Bad syntax for command: %s", c, line(text))
}

// Timeout of a connection that injected nothing, and of one that took longer
// than any may.
func (l *Log) NoInjection(c envelope.ICID, remote netip.Addr) {
	l.infof("ICID %d disconnected address %s, no messages injected within timeout period", c, remote)
}
func (l *Log) TooLong(c envelope.ICID, remote netip.Addr) {
	l.infof("ICID %d disconnected address %s, exceeded allowable connection time", c, remote)
}

// LostEarly writes a connection that went before its first command, after how
// long, and how much of that the lookup of its name took.
func (l *Log) LostEarly(c Injection, after, lookup time.Duration) {
	l.infof("ICID %d Connection from %s on interface %s (%s) lost after %d seconds (DNS query took %d seconds), before any commands were received",
		c.ICID, c.Remote, c.Interface, c.Local, int(after.Seconds()), int(lookup.Seconds()))
}
