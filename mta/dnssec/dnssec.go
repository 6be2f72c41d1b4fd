// Package dnssec validates what name servers answer (RFC 4033 to 4035, 5155,
// 6840, 9276). It is pure: it asks for the keys it needs through an interface,
// is given the time, and trusts no AD bit. miekg/dns computes digests and
// checks single signatures; everything that decides is here.
//
// A message is judged in these steps, each in a file of its own:
//
//	judge.go      walks from the question along aliases to records or to their denial, one Step each (RFC 4035 §5)
//	rrset.go      sorts a section into sets of records with their signatures
//	chain.go      goes down from a trust anchor to the zone that signed, cut by cut (RFC 4035 §5.2)
//	zonekeys.go   what a DS set says of a zone, and the keys that it vouches for (RFC 4509, 6840 §5.2)
//	signature.go  checks one set with the keys of its zone (RFC 4035 §5.3)
//	denial.go     what a proof of absence must show; nsec.go and nsec3.go read the records (RFC 4035 §5.4, 5155 §8)
//	anchor.go     trust anchors: those of the root are built in; rfc5011.go follows their rollover
//
// The end is Secure (an unbroken chain), Insecure (a proof that the chain
// ends above, or no anchor at all), a *BogusError, or another error when it could not
// be found out. An error is never taken for Insecure.
//
// Where a zone ends is found by asking for DS records, not by referrals: a
// forwarder sends none.
//
// Work is bounded (CVE-2023-50387, CVE-2023-50868): see budget. Whoever
// exceeds it gets ErrTooMuchWork, never a verdict.
package dnssec

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"esa/mta/lookup"

	"github.com/miekg/dns"
)

// Asker gets the DS and DNSKEY records of the chain from name servers. It
// asks one server after the other until accept takes an answer, and returns
// the last error otherwise: one server's lie or gap is another's truth. An
// error of its own means that nobody answered.
type Asker interface {
	Ask(ctx context.Context, q dns.Question, accept func(*dns.Msg) error) error
}

// Policy is what an operator may choose.
type Policy struct {
	Skew   time.Duration // tolerated at both ends of a signature's validity
	SHA1   bool          // rely on algorithms 5 and 7 too; else zones with only these are insecure (RFC 9905)
	Anchor Anchors
}

// Equal reports whether both say the same.
func (p Policy) Equal(q Policy) bool {
	return p.Skew == q.Skew && p.SHA1 == q.SHA1 && p.Anchor.Equal(q.Anchor)
}

// DefaultSkew allows for clocks that are a little off.
const DefaultSkew = 5 * time.Minute

// BogusError says that data was signed, or had to be, and that it does not
// hold. Why is for operators.
type BogusError struct{ Why string }

func (e *BogusError) Error() string { return e.Why }

func bogus(format string, args ...any) error { return &BogusError{fmt.Sprintf(format, args...)} }

// AnchorError says that the keys of a trust anchor's zone could not be had or do
// not validate: then nothing below can be judged, and the fault is more likely
// ours (the clock, the servers asked, the anchors) than that of any name.
type AnchorError struct {
	Zone string
	Err  error
}

func (e *AnchorError) Error() string { return e.Err.Error() }

func (e *AnchorError) Unwrap() error { return e.Err }

// ErrTooMuchWork ends the validation of an answer that is made to be costly.
var ErrTooMuchWork = errors.New("validating the answer takes too much work")

// ErrAliases ends a walk along more aliases than anybody needs.
var ErrAliases = errors.New("too many aliases")

// MaxAliases is how many aliases are followed; Unbound follows as many.
const MaxAliases = 11

// Validator judges messages. It keeps the keys of zones that it has found
// secure, and the cuts that it has found insecure. It is safe for concurrent
// use and never changed: other anchors are another Validator.
type Validator struct {
	clock  func() time.Time
	policy Policy

	mu    sync.Mutex
	zones map[string]*cut // by name of the cut, or of what is proven to be none
}

// New makes a validator. clock is the time that signatures are held against.
func New(clock func() time.Time, p Policy) *Validator {
	return &Validator{clock: clock, policy: p, zones: make(map[string]*cut)}
}

// Begin starts the validation of one lookup, however many messages it takes:
// they share one budget. tell, if not nil, hears the chain of trust from the
// anchor down, a sentence at a time; names in it stand as in zone files.
func (v *Validator) Begin(asker Asker, tell func(string)) *Lookup {
	return &Lookup{v: v, asker: asker, now: v.clock(), tellTo: tell, left: newBudget(), hashes: make(map[hashKey]string)}
}

// Lookup is one lookup under validation. It belongs to one goroutine.
type Lookup struct {
	v      *Validator
	asker  Asker
	now    time.Time
	tellTo func(string)
	left   budget
	hashes map[hashKey]string
}

func (l *Lookup) tell(format string, args ...any) {
	if l.tellTo != nil {
		l.tellTo(fmt.Sprintf(format, args...))
	}
}

// budget is what one lookup may cost at most. A chain of four zones with an
// alias and a denial takes about 20 signatures and 10 questions.
type budget struct {
	signatures int // cryptographic checks; one of many records counts for several
	digests    int // DS digests computed
	hashes     int // NSEC3 names hashed
	questions  int // DS and DNSKEY asked for
}

func newBudget() budget { return budget{signatures: 96, digests: 96, hashes: 128, questions: 96} }

// spend takes n from a part of the budget.
func spend(left *int, n int) error {
	if *left < n {
		return ErrTooMuchWork
	}
	*left -= n
	return nil
}

// Limits within one set of records.
const (
	maxSignatures = 8   // tried for one set
	maxTwins      = 4   // keys of one tag tried for one signature
	recordsAsDear = 100 // to put in order and digest as one signature is to check
	maxIterations = 150
	maxUncut      = 6     // names below a zone looked at for another zone
	maxZones      = 50000 // kept by a Validator
)

// Step is one set of records on the way from the question to its answer, or
// the proof that there is none.
type Step struct {
	Name    string // its owner, lower case, with final dot
	Type    uint16 // dns.TypeCNAME, TypeDNAME, or the type asked for
	Status  lookup.Status
	Why     string        // why it is no better than Insecure
	Records []dns.RR      // duplicates removed; empty: there are none
	Target  string        // where an alias leads
	Rcode   int           // of a denial: dns.RcodeSuccess or dns.RcodeNameError
	TTL     time.Duration // as long as records and signatures allow
}

// NoTTL is the TTL of an insecure denial that tells none.
const NoTTL = time.Duration(-1)
