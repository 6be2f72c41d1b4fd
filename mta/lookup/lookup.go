// Package lookup holds the plain results of DNS lookups, so that what decides
// (routes, policies, DANE) can be tested with literals and needs no resolver.
//
// Every answer says two things apart: how far it can be believed (Status), and
// what it holds. An answer that failed is never the same as an answer that
// says "there is none": the first means try again later, the second is a fact.
//
// ASCII (ascii.go) gives a domain the form that it is looked up by.
package lookup

import (
	"fmt"
	"net/netip"
	"time"
)

// Status is how far an answer can be believed. The zero value is Failed: what
// is not known to have ended well has not ended well.
type Status int

const (
	Failed   Status = iota // no answer: SERVFAIL, REFUSED, timeout, malformed
	Insecure               // an answer, not protected by DNSSEC
	Secure                 // an answer with an unbroken chain of signatures
	Bogus                  // an answer whose signatures do not hold
)

// String gives the word that operators see.
func (s Status) String() string {
	switch s {
	case Insecure:
		return "INSECURE"
	case Secure:
		return "SECURE"
	case Bogus:
		return "BOGUS"
	default:
		return "FAILED"
	}
}

// Answer is what all answers have in common.
type Answer struct {
	Status    Status
	NXDomain  bool          // the name does not exist, with any type; meaningful if Status is Insecure or Secure
	Canonical string        // the name the records stand at after aliases, lower case, without final dot
	Alias     Status        // of the alias at the name that was asked for; meaningful if Canonical is another name
	TTL       time.Duration // how long the answer may be kept, after clamping
	Why       string        // for operators, when Status is Failed or Bogus: "ServFail", "timeout asking 192.0.2.1"
}

// Usable reports whether the answer may be acted on: it ended, and nothing in
// it was forged. An empty usable answer is a fact.
func (a Answer) Usable() bool { return a.Status == Insecure || a.Status == Secure }

// MX is one mail exchanger. Host is lower case without final dot; empty is the
// root, which alone in a set is the null MX (RFC 7505).
type MX struct {
	Preference uint16
	Host       string
}

// MXAnswer is the set of mail exchangers of a domain, in no particular order.
type MXAnswer struct {
	Answer
	Records []MX
}

// Null reports whether the domain says that it takes no mail (RFC 7505 §3).
func (a MXAnswer) Null() bool { return len(a.Records) == 1 && a.Records[0].Host == "" }

// AddrAnswer is the addresses of one family of a host.
type AddrAnswer struct {
	Answer
	Addrs []netip.Addr
}

// NameAnswer is the names an address points to (PTR).
type NameAnswer struct {
	Answer
	Names []string // lower case, without final dot
}

// TLSA is one record of RFC 6698 §2.1, as it was published: whether it can be
// used is for the reader to say.
type TLSA struct {
	Usage, Selector, MatchingType uint8
	Data                          []byte
}

// String gives the record as in a zone file, the data in hexadecimal digits.
func (t TLSA) String() string {
	return fmt.Sprintf("%d %d %d %x", t.Usage, t.Selector, t.MatchingType, t.Data)
}

// TLSAAnswer is the TLSA records of a service.
type TLSAAnswer struct {
	Answer
	Records []TLSA
}
