// Package policy decides who may connect to a listener and which recipients
// it takes: the host access table (HAT) and the recipient access table (RAT)
// of a listener, the limits of its mail flow policies, and the domain exception
// table.
//
// The steps of one connection:
//
//	HAT.Decide  the first sender group with a member that matches gives behaviour and limits
//	Exceptions  says whether an envelope sender is taken whatever DNS says of its domain
//	RAT.Decide  the most specific entry says whether a recipient is taken
//
// Everything here is pure: tables in, decisions out; no lookup, no clock. A
// table that answers nothing refuses: no gap in a table opens a relay.
package policy

import (
	"cmp"
	"time"
)

// Behavior is what a mail flow policy does with a connection. The zero value
// rejects.
type Behavior int

const (
	Reject    Behavior = iota // 554 banner
	TCPRefuse                 // closed without a banner
	Accept                    // recipients limited by the RAT
	Relay                     // any recipient
	Continue                  // as if the group had not matched
)

// String gives the word of the HAT and of the mail log.
func (b Behavior) String() string {
	switch b {
	case TCPRefuse:
		return "TCPREFUSE"
	case Accept:
		return "ACCEPT"
	case Relay:
		return "RELAY"
	case Continue:
		return "CONTINUE"
	default:
		return "REJECT"
	}
}

// ParseBehavior reads the word of the HAT, in capitals.
func ParseBehavior(word string) (Behavior, bool) {
	for _, b := range []Behavior{Reject, TCPRefuse, Accept, Relay, Continue} {
		if b.String() == word {
			return b, true
		}
	}
	return Reject, false
}

// Params are the limits and replies of a mail flow policy. Zero takes the value
// of the table's default, and where that is zero too the factory's; a negative
// value is no limit.
type Params struct {
	MaxSize        int64 // bytes of a message
	MaxMessages    int   // of one connection
	MaxRecipients  int   // of one message
	MaxConnections int   // at a time from one address

	BannerHost  string // in the greeting; empty: the name of the interface
	AcceptReply Reply  // after the greeting's first line
	RejectReply Reply  // to a connection that is rejected

	MaxPerHour      int   // recipients of one host
	LimitReply      Reply // beyond it
	SenderRate      SenderRate
	MaxInvalid      int   // recipients that do not exist, of one host in an hour
	DropHarvester   bool  // beyond it: close the connection
	HarvestReply    Reply // or else answer this
	SignificantBits int   // hosts alike in so many bits of an IPv4 address are counted as one

	TLS           TLS
	SenderCheck   SenderCheck
	UseExceptions bool // the domain exception table decides before SenderCheck does
}

// Reply stands for the standard reply if its code is not 0. Its text has lines.
type Reply struct {
	Code int
	Text string
}

// SenderRate limits the recipients of one envelope sender. Zero is no limit.
type SenderRate struct {
	Most       int
	Every      time.Duration
	Reply      Reply
	Exceptions *RAT // senders it accepts are not counted; nil: all are
}

// Factory gives the limits of a policy that sets none (reference 4.3).
func Factory() Params {
	return Params{MaxSize: 100 << 20, MaxMessages: 1000, MaxRecipients: 1000, MaxConnections: 1000}
}

// Or gives p with the values of d where p has none. What is on or off rather
// than a number has been settled by whoever made p.
func (p Params) Or(d Params) Params {
	p.MaxSize = cmp.Or(p.MaxSize, d.MaxSize)
	p.MaxMessages = cmp.Or(p.MaxMessages, d.MaxMessages)
	p.MaxRecipients = cmp.Or(p.MaxRecipients, d.MaxRecipients)
	p.MaxConnections = cmp.Or(p.MaxConnections, d.MaxConnections)
	return p
}
