package maillog

import (
	"strings"
	"time"

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

// RevocationListFetched writes that a certificate revocation list came, with
// how many certificates it revokes and until when it holds. The words of these
// three are ours.
func (l *Log) RevocationListFetched(name string, entries int, nextUpdate time.Time) {
	l.infof("CRL %s fetched: %d entries, next update %s", word(name), entries, listTime(nextUpdate))
}

// RevocationListFailed writes why a list could not be fetched.
func (l *Log) RevocationListFailed(name string, why error) {
	l.logf(Warning, "CRL %s not fetched: %s", word(name), line(why.Error()))
}

// RevocationListLacking writes that nothing is checked against a list: there is
// none, or its next update was due at a time.
func (l *Log) RevocationListLacking(name string, due time.Time) {
	if due.IsZero() {
		l.logf(Warning, "CRL %s is missing: no certificate is checked against it", word(name))
		return
	}
	l.logf(Warning, "CRL %s is outdated since %s: no certificate is checked against it", word(name), listTime(due))
}

func listTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }
