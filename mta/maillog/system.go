package maillog

import (
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

// DNSTemporaryFailure writes that a destination waits because a lookup of type
// "MX", "A" or "AAAA" did not end: why is a word such as "ServFail".
func (l *Log) DNSTemporaryFailure(domain, qtype, why string) {
	l.infof("DNS Temporary Failure %s %s - %s", word(domain), qtype, line(why))
}
