package smtpd

import (
	"cmp"
	"net/netip"
	"time"

	"esa/mta/message"
	"esa/mta/policy"
)

// Settings are what one listener does, of one generation. They never change.
type Settings struct {
	Listener       string         // its name
	Interface      string         // name of the interface it stands on
	Hostname       string         // what it calls itself
	Addr           netip.AddrPort // listened on; connections are counted by it
	Public         bool           // recipients are limited by the RAT; a private listener has none
	HAT            policy.HAT
	RAT            policy.RAT
	MaxConnections int          // at a time; 0: no limit
	MaxTotal       int          // of all listeners together; 0: no limit
	DefaultDomain  string       // for addresses without domain; empty: they are refused
	Received       bool         // a Received field is added
	BareLines      message.Mode // CLEANSMTP
	BounceProfile  string
	TLS            *TLS              // what hands are shaken with; nil: STARTTLS is not offered
	MaxTLS         int               // connections with TLS, of all listeners together; 0: no limit
	Exceptions     policy.Exceptions // for policies that use them
	AddMessageID   bool              // to messages without, of any policy; RELAY adds it always
	// RejectRecipients lets clients that the HAT rejects speak, and refuses each
	// recipient, so that the log tells what they wanted.
	RejectRecipients bool
	Revision         uint64 // of the configuration
	Limits           Limits // zero fields take the factory's value
}

// admits reports whether a client may begin a message.
func (s *Settings) admits(d policy.Decision) bool {
	return d.Admits() || d.Behavior == policy.Reject && s.RejectRecipients
}

// Limits bound what a client may do beyond its policy. Zero takes the value
// named with the field.
type Limits struct {
	Command      time.Duration // wait for one command: 5 min
	Unsuccessful time.Duration // connection without a message accepted: 5 min (reference 7.4)
	Total        time.Duration // connection, not counting a message under way: 15 min (reference 7.4)
	Data         time.Duration // wait within a text while the rate is kept: 5 min
	Handshake    time.Duration // of TLS: 30 s
	Write        time.Duration // wait for the client to take a reply: 1 min
	MinRate      int64         // bytes a second of a text, below which Data runs down: 500

	HeaderBytes int64 // 1 MB
	HeaderLines int   // 1,000 (reference 7.4); negative: no limit
	Hops        int   // Received fields: 100

	RateWindow time.Duration // over which recipients are counted: 1 h (reference 7.4)

	Unknown int           // unknown commands of a connection: 5, the last of which is answered 421
	Junk    int           // commands that lead to no message, until one is accepted: 100
	Soft    int           // refusals after which each further one is answered late: 10
	Hard    int           // refusals after which the connection ends: 20
	Pause   time.Duration // how late: 1 s
}

func (l Limits) orFactory() Limits {
	return Limits{
		Command:      cmp.Or(l.Command, 5*time.Minute),
		Unsuccessful: cmp.Or(l.Unsuccessful, 5*time.Minute),
		Total:        cmp.Or(l.Total, 15*time.Minute),
		Data:         cmp.Or(l.Data, 5*time.Minute),
		Handshake:    cmp.Or(l.Handshake, 30*time.Second),
		Write:        cmp.Or(l.Write, time.Minute),
		MinRate:      cmp.Or(l.MinRate, 500),
		HeaderBytes:  cmp.Or(l.HeaderBytes, 1<<20),
		HeaderLines:  cmp.Or(l.HeaderLines, 1000),
		Hops:         cmp.Or(l.Hops, 100),
		RateWindow:   cmp.Or(l.RateWindow, time.Hour),
		Unknown:      cmp.Or(l.Unknown, 5),
		Junk:         cmp.Or(l.Junk, 100),
		Soft:         cmp.Or(l.Soft, 10),
		Hard:         cmp.Or(l.Hard, 20),
		Pause:        cmp.Or(l.Pause, time.Second),
	}
}

// Bounds that no setting changes.
const (
	mostRecipients = 50_000   // of one message, where the policy has no limit
	mostExcess     = 10 << 20 // bytes read after a text is known to be refused for its size
)

// mayEnd is the share of the total connection time after which no new message
// is begun, so that none is cut (reference F6), in percent.
const mayEnd = 80
