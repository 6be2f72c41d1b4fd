package maillog

import (
	"strings"

	"esa/mta/envelope"
)

// ServerStarting and ServerShutDown write that receiving begins and ends.
func (l *Log) ServerStarting() { l.infof("SMTP server starting") }
func (l *Log) ServerShutDown() { l.infof("SMTP server shut down") }

// InjectionKilled and DeliveryKilled write a connection that the gateway cut,
// because it stops: a session when the time to drain is over, a delivery at
// once, or a grace period after MAIL.
func (l *Log) InjectionKilled(c envelope.ICID) { l.infof("SMTP server connection killed ICID: %d", c) }
func (l *Log) DeliveryKilled(d envelope.DCID)  { l.infof("SMTP client connection killed DCID: %d", d) }

// SetAside writes that a message was moved out of the queue, for a person to
// look at.
func (l *Log) SetAside(m envelope.MID, why string) {
	l.logf(Critical, "MID %d set aside: %s", m, line(why))
}

// DeliverySuspended and DeliveryResumed write to which destinations nothing is
// delivered from now on, or again: domains, or "ALL". ReceivingSuspended and
// ReceivingResumed name listeners.
func (l *Log) DeliverySuspended(domains []string) {
	l.infof("Deliveries are currently suspended [%s]", line(strings.Join(domains, ", ")))
}
func (l *Log) DeliveryResumed(domains []string) {
	l.infof("Deliveries are resumed [%s]", line(strings.Join(domains, ", ")))
}
func (l *Log) ReceivingSuspended(listeners []string) {
	l.infof("Receiving is suspended [%s]", line(strings.Join(listeners, ", ")))
}
func (l *Log) ReceivingResumed(listeners []string) {
	l.infof("Receiving is resumed [%s]", line(strings.Join(listeners, ", ")))
}

// DNSTemporaryFailure writes that a destination waits because a lookup of type
// "MX", "A" or "AAAA" did not end: why is a word such as "ServFail".
func (l *Log) DNSTemporaryFailure(domain, qtype, why string) {
	l.infof("DNS Temporary Failure %s %s - %s", word(domain), qtype, line(why))
}
