// Package bounce decides when a message is tried again and when it is given
// up, and writes the notices that tell its sender: delivery status
// notifications as RFC 3461, 3462 and 3464 have them, in the words of
// reference 4.6.
//
// The steps, in the order of a message's life:
//
//	NextDelay   how long a recipient waits after a failed attempt
//	Expired     whether it is given up: retries or time, whichever is first
//	Expiry      the failure that is then told
//	WarningDue  whether the sender hears of the delay
//	Write       the notice: a failure or a delay, as a report or as plain text
//
// Everything here is pure: no network, no files, no clock but the time passed
// in. What is sent to whom is decided by mta/queue.
package bounce

import (
	"time"

	"esa/mta/envelope"
)

// Profile is a bounce profile (reference esa-cli-config 9).
type Profile struct {
	Name         string // as the mail log shows it
	MaxRetries   int    // attempts after the first
	MaxLifetime  time.Duration
	InitialRetry time.Duration
	MaxRetry     time.Duration
	Send         bool   // a message for each hard bounce
	DSNFormat    bool   // multipart/report; else plain text
	ParseStatus  bool   // take Status from the peer's reply where it has one
	Subject      string // of hard bounces
	Warn         bool   // delay warnings
	WarnSubject  string
	WarnInterval time.Duration // at least this long between two warnings
	WarnCount    int           // per recipient
	Alternate    envelope.Address
	MaxCopy      int64 // bytes of an original that a notice holds whole
}

// Default gives the profile of the factory configuration (reference 4.1).
func Default() Profile {
	return Profile{
		Name:         "Default",
		MaxRetries:   100,
		MaxLifetime:  72 * time.Hour,
		InitialRetry: time.Minute,
		MaxRetry:     time.Hour,
		Send:         true,
		DSNFormat:    true,
		Subject:      "Delivery Status Notification (Failure)",
		WarnSubject:  "Delivery Status Notification (Delay)",
		WarnInterval: 4 * time.Hour,
		WarnCount:    1,
		MaxCopy:      10 << 10,
	}
}

// NextDelay is how long a recipient waits after so many failed attempts: the
// initial time, doubled with every further attempt, at most the maximum.
func NextDelay(p Profile, attempts int) time.Duration {
	return Doubling(p.InitialRetry, p.MaxRetry, attempts)
}

// Doubling is the n-th delay (from 1) of a schedule that begins with initial
// and doubles to limit. A schedule never gives less than a second, so that no
// setting makes a busy loop.
func Doubling(initial, limit time.Duration, n int) time.Duration {
	delay := max(initial, time.Second)
	limit = max(limit, delay)
	for ; n > 1 && delay < limit; n-- {
		if delay > limit/2 {
			return limit
		}
		delay *= 2
	}
	return delay
}

// Expired reports whether a recipient is given up after so many failed
// attempts and so long in the queue. With two retries the third failure is
// the last; a lifetime that ends between two attempts is seen just before the
// second (reference 4.1).
func Expired(p Profile, attempts int, age time.Duration) bool {
	return attempts > p.MaxRetries || age >= p.MaxLifetime
}

// Expiry is the failure of a recipient that was given up (reference 2.4).
func Expiry() envelope.Failure {
	return envelope.Failure{
		Permanent: true,
		Enhanced:  "5.4.7",
		Phrase:    "Delivery expired (message too old)",
		Reason:    envelope.ReasonExpired,
		Reply:     []string{"timeout"},
	}
}

// Warned is what was told about the delay of a recipient so far.
type Warned struct {
	Count int
	Ago   time.Duration // since the last warning
}

// WarningDue reports whether the sender is told of a delay after the attempt
// with this number (from 1) failed: not for the first failure, and only for a
// reply of the peer that asks to try later (reference 4.1).
func WarningDue(p Profile, attempt int, why envelope.Failure, w Warned) bool {
	if !p.Warn || attempt < 2 || why.Code < 400 || why.Code > 499 || w.Count >= p.WarnCount {
		return false
	}
	return w.Count == 0 || w.Ago >= p.WarnInterval
}
