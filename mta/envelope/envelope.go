// Package envelope holds the nouns of a message's journey through the
// gateway: the ids that the mail log joins its lines by, the envelope of a
// queued message, what became of a recipient in one attempt, and why.
//
// It imports nothing of ours, so that receiving, queue, delivery, bounces and
// the mail log can all speak of the same things without importing each other.
package envelope

import (
	"context"
	"io"
	"net/netip"
	"time"
)

// Identifiers as the mail log prints them: ever increasing over restarts, 0
// where there was no connection (a message made here, a bounce without
// attempt). An RID counts the recipients of its message from 0.
type (
	ICID uint64 // injection connection
	MID  uint64 // message
	DCID uint64 // delivery connection
	RID  int    // recipient within its message
)

// Message is the envelope of a queued message. It is complete when the
// message is accepted and never changes afterwards; what changes is the state
// of each recipient, which the queue keeps.
type Message struct {
	MID           MID
	ICID          ICID
	Received      time.Time // when its final dot came
	Sender        Address
	Recipients    []Recipient
	Size          int64  // bytes of header and body as stored, CRLF line ends
	Subject       string // decoded, without control characters, at most 256 bytes
	Listener      string // name of the listener that took it; empty for messages made here
	Relay         bool   // taken under a RELAY policy
	BounceProfile string // the listener's profile; empty for Default
	EightBit      bool   // BODY=8BITMIME, or 8-bit bytes seen
	UTF8          bool   // SMTPUTF8 asked for
	Return        string // RET=: "FULL", "HDRS" or empty (RFC 3461 §4.3)
	EnvelopeID    string // ENVID=, decoded; printable ASCII
}

// Recipient is one recipient as it was accepted.
type Recipient struct {
	RID      RID
	Address  Address
	Notify   Notify
	Original string // ORCPT=, as "type;address", printable; empty if not given
}

// Notify is NOTIFY= of RFC 3461 §4.1: the zero value asks for the default,
// which is failures, and delays by the bounce profile.
type Notify int

const (
	NotifySuccess Notify = 1 << iota
	NotifyFailure
	NotifyDelay
	NotifyNever // alone
)

// Wants reports whether the sender asked to hear of what (one bit).
func (n Notify) Wants(what Notify) bool {
	if n == 0 {
		return what != NotifySuccess
	}
	return n&what != 0
}

// Job is one attempt to be made: a message and those of its recipients that
// go to one destination.
type Job struct {
	Message    *Message
	Domain     string      // the destination all Recipients share: domain or address literal
	Recipients []Recipient // never empty
	Attempt    int         // 1 for the first attempt
	// Cut ends when the connection is to be cut abruptly, even where the next
	// hop may have the message; nil: never.
	Cut context.Context
	Via *Machine // where an operator sends it, whatever routes and DNS say; nil: nowhere else
	// Body opens the message text: header and body, CRLF line ends, not
	// dot-stuffed. The caller closes it. It may be opened several times.
	Body func() (io.ReadCloser, error)
}

// Machine is a next hop that an operator names for mail that is queued.
type Machine struct {
	Host string `json:"host"`           // name in lower case, or IP address without brackets
	Port uint16 `json:"port,omitempty"` // 0: 25
}

// Domain is the destination that mail for the machine counts for: its name, or
// its address literal.
func (m Machine) Domain() string {
	addr, err := netip.ParseAddr(m.Host)
	switch {
	case err != nil:
		return m.Host
	case addr.Is4():
		return "[" + m.Host + "]"
	default:
		return "[IPv6:" + m.Host + "]"
	}
}

// Result is what became of a recipient in one attempt. The zero value means
// it waits: what we cannot name is never a reason to bounce.
type Result int

const (
	Deferred  Result = iota
	Delivered        // the next hop has answered the final dot with 2xx
	Bounced          // refused for good
	// Discarded is the end of a recipient whose route is /dev/null: nothing is
	// sent and nobody is told. Its Failure says ReasonDeleted; the queue logs
	// and counts it as deleted.
	Discarded
)

// Outcome is the end of one attempt for one recipient.
type Outcome struct {
	RID     RID
	Result  Result
	DCID    DCID    // 0: never connected
	Reply   string  // of the next hop, when Delivered: the text after the code, as received
	DSN     bool    // when Delivered: the next hop took over what NOTIFY= asks for (RFC 3461 §5.2.1)
	Failure Failure // when Deferred or Bounced
	// HostDown says that no host of the destination could be reached at all:
	// the destination waits, not only this message.
	HostDown bool
	// Crowded says that nothing was tried: all hosts of the destination are at
	// their limits. That is no attempt. Wait is how long they will be, 0 until
	// another attempt for the destination ends.
	Crowded bool
	Wait    time.Duration
}

// Failure is why one attempt ended without delivery. The zero Permanent means
// try again. Permanence lives in this one field; codes are for people.
type Failure struct {
	Permanent bool
	Code      int      // SMTP reply code; 0 when the peer sent none, printed as 000
	Enhanced  string   // "5.1.1"
	Phrase    string   // "Bad destination host": the words of the mail log for Enhanced (reference 2.4)
	Reason    Reason   // one word of the closed list; the same in log, alert, hoststatus
	Reply     []string // the peer's lines without their codes, as received: escape before showing
	Host      string   // name of the host that failed; empty before one was chosen
	Addr      netip.AddrPort
	Err       error // our side's cause, for the log only
}

// Error makes a Failure an error whose text is fit for our log, not for peers.
func (f *Failure) Error() string {
	if f.Err != nil {
		return string(f.Reason) + ": " + f.Err.Error()
	}
	return string(f.Reason) + ": " + f.Enhanced + " " + f.Phrase
}

func (f *Failure) Unwrap() error { return f.Err }

// Reason is one word for why a message was not delivered, or not with the
// protection asked for. The list is closed: RFC 8460 §4.3 result types where
// one fits, else ours.
type Reason string

const (
	ReasonNone           Reason = ""
	ReasonDNS            Reason = "dns-failure"       // a lookup did not end
	ReasonNoHost         Reason = "no-such-domain"    // NXDOMAIN
	ReasonNoMail         Reason = "null-mx"           // the domain takes no mail
	ReasonNoAddress      Reason = "no-address"        // no host of the domain has an address
	ReasonLoop           Reason = "mail-loop"         // the best host is this gateway
	ReasonConnect        Reason = "connection-failed" // refused, unreachable
	ReasonTimeout        Reason = "timeout"
	ReasonLost           Reason = "connection-lost"
	ReasonProtocol       Reason = "protocol-error" // a reply that means nothing here, or is too large
	ReasonRefused        Reason = "refused"        // 5xx
	ReasonDeferred       Reason = "deferred"       // 4xx
	ReasonLocal          Reason = "local-error"    // a fault of ours
	ReasonExpired        Reason = "expired"        // too long or too often tried
	ReasonTooLarge       Reason = "too-large"      // over the SIZE the peer announced
	ReasonNotRepresented Reason = "not-supported"  // 8-bit or UTF-8 the peer does not take
	ReasonDeleted        Reason = "deleted"        // by an operator or a /dev/null route
	ReasonOperator       Reason = "returned"       // bounced by an operator

	// TLS was asked for and did not come to be, or not as asked for.
	ReasonNoSTARTTLS    Reason = "starttls-not-supported"    // not offered, or no ESMTP
	ReasonNoTLS         Reason = "starttls-refused"          // offered, and then answered with an error
	ReasonHandshake     Reason = "tls-handshake-failed"      // after the 220, whatever it was
	ReasonCertHost      Reason = "certificate-host-mismatch" // for somebody else
	ReasonCertExpired   Reason = "certificate-expired"       // or not valid yet
	ReasonCertUntrusted Reason = "certificate-not-trusted"   // self-signed, unknown issuer, incomplete chain
	ReasonCertRevoked   Reason = "certificate-revoked"       // by its authority, before its end
	ReasonCertificate   Reason = "validation-failure"        // anything else that is wrong with it

	// DANE (RFC 8460 §4.3.2.1).
	ReasonTLSA   Reason = "tlsa-invalid"   // no usable record, or none that fits the certificate
	ReasonDNSSEC Reason = "dnssec-invalid" // an answer that does not hold against the chain of trust
	ReasonDANE   Reason = "dane-required"  // mandatory, and the host cannot be authenticated so; or an SMTP route is in the way
)
