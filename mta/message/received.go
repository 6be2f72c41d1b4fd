package message

import (
	"net/netip"
	"strings"
	"time"
)

// maxHELO is how much of a HELO name is told to anybody.
const maxHELO = 255

// DateFormat is the date of header fields: no weekday, numeric zone
// (reference 4.5).
const DateFormat = "02 Jan 2006 15:04:05 -0700"

// Received is the trace field of one hop (RFC 5321 §4.4 in the words of the
// ESA, reference 4.5).
type Received struct {
	Host     string     // verified reverse name of the client; empty: unknown
	HELO     string     // what the client called itself; empty: nothing
	Addr     netip.Addr // of the client; invalid: the message was made here
	By       string     // our name
	Protocol string     // "ESMTP", "SMTP", either with "/TLS/" and the cipher
	At       time.Time
}

// String gives the field with its line ends.
func (r Received) String() string {
	date := r.At.Format(DateFormat)
	if !r.Addr.IsValid() {
		return "Received: from localhost by " + r.By + "; " + date + "\r\n"
	}
	from := SafeHELO(r.Host)
	if from == "" {
		from = "unknown"
	}
	if helo := SafeHELO(r.HELO); helo != "" && !strings.EqualFold(helo, from) {
		from += " (HELO " + helo + ")"
	}
	return "Received: from " + from + " ([" + r.Addr.String() + "])\r\n" +
		"  by " + r.By + " with " + r.Protocol + "; " + date + "\r\n"
}

// SafeHELO gives a name from the network as it may stand in a header field
// or a log line: what is neither letter, digit nor one of ".-_:[]" is a
// question mark, so that a client cannot write our trace.
func SafeHELO(name string) string {
	if len(name) > maxHELO {
		name = name[:maxHELO]
	}
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune(".-_:[]", r):
			return r
		default:
			return '?'
		}
	}, name)
}
