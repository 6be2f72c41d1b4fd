package maillog

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"esa/mta/envelope"
)

// NewDelivery writes the first line of a delivery connection.
func (l *Log) NewDelivery(d envelope.DCID, local netip.Addr, remote netip.AddrPort) {
	l.infof("New SMTP DCID %d interface %s address %s port %d", d, local, remote.Addr(), remote.Port())
}

// DeliveryClosed writes the end of a delivery connection.
func (l *Log) DeliveryClosed(d envelope.DCID) { l.infof("DCID %d close", d) }

// DeliverySecured writes that a connection is encrypted, with the names that
// OpenSSL has for version and cipher suite. domain is the one that DANE vouched
// for, empty without DANE.
func (l *Log) DeliverySecured(d envelope.DCID, protocol, cipher, domain string) {
	text := fmt.Sprintf("DCID %d TLS success protocol %s cipher %s", d, protocol, cipher)
	if domain != "" {
		text += " for " + line(domain)
	}
	l.infof("%s", text)
}

// DeliveryTLSFailed writes why a connection could not be encrypted.
func (l *Log) DeliveryTLSFailed(d envelope.DCID, why string) {
	l.infof("DCID %d TLS failed: %s", d, line(why))
}

// NoSTARTTLS writes that a host did not offer STARTTLS where it counts.
func (l *Log) NoSTARTTLS(d envelope.DCID) { l.infof("DCID %d STARTTLS command not supported", d) }

// TLSRequired writes that a connection is given up because it had to be
// encrypted, or its certificate verified, and was not.
func (l *Log) TLSRequired(d envelope.DCID, remote netip.Addr) {
	l.infof("DCID %d IP %s TLS was required but could not be successfully negotiated", d, remote)
}

// CertificateUnverified writes why the certificate of a host could not be
// verified that gets the mail all the same.
func (l *Log) CertificateUnverified(d envelope.DCID, why string) {
	l.infof("DCID %d TLS certificate not verified: %s", d, line(why))
}

// DANEVerdict is what became of DANE at a host, or for a domain.
type DANEVerdict string

// All verdicts but success, which TLS success tells (DeliverySecured).
const (
	DANEFailed          DANEVerdict = "failed"                         // nothing is sent there
	DANEUnauthenticated DANEVerdict = "requires unauthenticated TLS"   // TLSA records are there, none can be used
	DANEFallback        DANEVerdict = "falls back to the TLS settings" // there is no DANE at the host
	DANENotApplicable   DANEVerdict = "is not used"
)

// DANEOutcome is a verdict of DANE and why.
type DANEOutcome struct {
	DCID    envelope.DCID // 0 before a connection
	MID     envelope.MID
	Domain  string
	Host    string // empty where it is about the domain as a whole
	Verdict DANEVerdict
	Reason  envelope.Reason // of DANEFailed
	Why     string
}

// DANE writes what came of DANE, where that is not success.
func (l *Log) DANE(o DANEOutcome) {
	var text strings.Builder
	if o.DCID != 0 {
		fmt.Fprintf(&text, "DCID %d ", o.DCID)
	}
	fmt.Fprintf(&text, "MID %d DANE %s for %s", o.MID, o.Verdict, line(o.Domain))
	if o.Host != "" {
		text.WriteString(" host " + line(o.Host))
	}
	if o.Reason != envelope.ReasonNone {
		fmt.Fprintf(&text, " reason: %s", o.Reason)
	}
	l.infof("%s: %s", text.String(), line(o.Why))
}

// DeliveryStarted writes that a message goes out on a connection.
func (l *Log) DeliveryStarted(d envelope.DCID, m envelope.MID, to []envelope.RID) {
	l.infof("Delivery start DCID %d MID %d to RID %s", d, m, rids(to))
}

// Delivered writes that the next hop took the message for these recipients,
// and its answer where logconfig asks for it.
func (l *Log) Delivered(d envelope.DCID, m envelope.MID, to []envelope.RID, reply string) {
	l.infof("Message done DCID %d MID %d to RID %s ", d, m, rids(to))
	if l.settings().RemoteResponse {
		l.infof("MID %d RID %s Response %s", m, rids(to), literal(reply))
	}
}

// Finished writes the last line of a message: no recipient is left.
func (l *Log) Finished(m envelope.MID) { l.infof("Message finished MID %d done", m) }

// ConnectionError is a delivery connection that failed.
type ConnectionError struct {
	DCID    envelope.DCID // 0 if it never came to be
	Domain  string
	Remote  netip.AddrPort
	Local   netip.Addr // invalid when not connected
	Code    int        // of the peer's reply, 0 without one
	Details string     // "timeout", "EOF"; the text of the reply where there is one
	Reason  string     // "network error", "unexpected SMTP response"
}

// ConnectionFailed writes a connection error.
func (l *Log) ConnectionFailed(e ConnectionError) {
	local := "unknown"
	if e.Local.IsValid() {
		local = e.Local.String()
	}
	details := line(e.Details)
	if e.Code != 0 {
		details = fmt.Sprintf("%d-%s", e.Code, literal(e.Details))
	}
	l.infof("Connection Error: DCID %d domain: %s IP:%s port: %d details: %s interface: %s reason: %s",
		e.DCID, line(e.Domain), e.Remote.Addr(), e.Remote.Port(), details, local, line(e.Reason))
}

// Fate is what both Bounced and Delayed tell.
type Fate struct {
	DCID   envelope.DCID
	MID    envelope.MID
	Sender envelope.Address
	To     envelope.Recipient
	Why    envelope.Failure
}

// Bounced writes a hard bounce, Delayed a soft one, Pending when the next
// attempt is due.
func (l *Log) Bounced(f Fate) { l.infof("Bounced: %s", f.text()) }
func (l *Log) Delayed(f Fate) { l.infof("Delayed: %s", f.text()) }

func (f Fate) text() string {
	return fmt.Sprintf("DCID %d MID %d From: <%s> To: <%s> RID %d - %s - %s %s",
		f.DCID, f.MID, line(f.Sender.String()), line(f.To.Address.String()), f.To.RID,
		f.Why.Enhanced, f.Why.Phrase, response(f.Why))
}

// Pending writes until when recipients wait, with the bounce profile's name.
func (l *Log) Pending(m envelope.MID, to []envelope.RID, until time.Time, profile string) {
	l.infof("MID %d to RID %s pending till %s [%s]", m, rids(to), l.local(until), profile)
}

// DoubleBounced writes a bounce that could not be told to anybody.
func (l *Log) DoubleBounced(f Fate) {
	l.infof("Double bounce: MID %d to %d - %s - %s %s", f.MID, f.To.RID, f.Why.Enhanced, f.Why.Phrase, response(f.Why))
}

// GeneratedForBounce writes that a notice was made for a message.
func (l *Log) GeneratedForBounce(notice, of envelope.MID) {
	l.infof("MID %d was generated for bounce of MID %d", notice, of)
}

// Deleted writes recipients that an operator or a /dev/null route removed.
func (l *Log) Deleted(m envelope.MID, to []envelope.RID) {
	l.infof("Deleted: MID %d to %s", m, rids(to))
}

// response gives the peer's reply as the log has it: ('550', ['text']).
func response(f envelope.Failure) string {
	return fmt.Sprintf("('%03d', %s)", f.Code, replies(f))
}

// replies gives the lines of the peer's reply: ['text'].
func replies(f envelope.Failure) string {
	lines := make([]string, len(f.Reply))
	for i, text := range f.Reply {
		lines[i] = literal(text)
	}
	return "[" + strings.Join(lines, ", ") + "]"
}

// rids gives "[0, 1]".
func rids(to []envelope.RID) string {
	words := make([]string, len(to))
	for i, r := range to {
		words[i] = fmt.Sprint(int(r))
	}
	return "[" + strings.Join(words, ", ") + "]"
}
