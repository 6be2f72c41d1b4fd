package queue

import (
	"context"
	"sync"
	"time"

	"esa/mta/envelope"
)

// lotSize is how many recipients one attempt takes at most: what RFC 5321
// §4.5.3.1.8 makes every server take in one transaction.
const lotSize = 100

// split gives the recipients of each lot: those of one domain, in the order
// of the envelope, at most lotSize. It depends on nothing but the envelope.
func split(to []envelope.Recipient) [][]int {
	var lots [][]int
	open := map[string]int{} // the lot of a domain that has room
	for i := range to {
		domain := to[i].Address.Domain
		n, ok := open[domain]
		if !ok || len(lots[n]) == lotSize {
			n = len(lots)
			open[domain] = n
			lots = append(lots, nil)
		}
		lots[n] = append(lots[n], i)
	}
	return lots
}

// item is a queued message in memory. What the envelope says is read from
// disk for each attempt, but for the first of a message that is tried at once.
type item struct {
	mid      envelope.MID
	size     int64
	received int64         // wall time, Unix seconds
	born     time.Duration // steady time; before zero if it was found at start
	lots     []lot
	open     int32 // lots that are not done; guarded by Queue.mu, as gone
	gone     bool  // vanished or set aside
	kept     int   // recipients of rec, while it waits for the first attempt; guarded by Queue.mu, as held
	held     bool  // its file is open meanwhile

	mu      sync.Mutex // orders what is read and written of the files; guards what follows
	rec     *record    // while attempts run, while something is unsaved, or kept
	users   int
	unsaved []entry // the journal could not be written
	noted   bool    // there may be a journal
	removed bool    // from disk
	trusted bool    // the body is what was written
}

// lot is the unit of scheduling: those recipients of a message that share a
// destination, at most lotSize. All that wait are tried together, so they
// share attempts and times. While a lot runs, its worker owns it; else
// Queue.mu guards it.
type lot struct {
	item      *item
	dest      *destination
	at        time.Duration // when it is due, steady time
	expires   time.Duration // by its profile when that was last looked at
	prev      *lot          // in the list of the ready
	next      *lot
	via       *envelope.Machine // where an operator sends it
	reins     *reins            // while an attempt runs
	promise   chan struct{}     // to the one operator's act that waits for it, who sets it to nil; closed when the lot has come to rest, which nobody else may touch then
	sentence  *envelope.Failure // to be bounced without an attempt
	number    int32             // in record.lots
	left      int32             // recipients that wait
	share     int32             // of those, how many this attempt may try; 0: all
	interval  time.Duration     // the end of that in which share was taken
	from      string            // the interface that this attempt leaves by
	pos       int32             // in the timetable, -1: not there
	running   bool              // an attempt, or an operator's act, is under way
	queued    bool              // in the list of the ready
	attempted bool              // ever
	tried     bool              // by this process, or its host was
	parked    bool              // waits for its host
	tls       bool              // this attempt counts as one with TLS
	probe     bool              // this attempt finds out whether the host is back
	crowded   bool              // waits for a limit of its hosts
	suspect   bool              // see suspectAfter
	alone     bool              // this attempt is the only one of a suspect
}

// reins are how an attempt under way is ended early: stop lets it come to an
// end by itself, cut does not.
type reins struct {
	stop, cut context.CancelFunc
	cutting   context.Context
}

func (l *lot) when() time.Duration { return l.at }
func (l *lot) place() *int32       { return &l.pos }

// How a message is found out that kills the process (R10). An attempt is
// written before it is made; one without an end died with the process. In
// company that proves little: after a kill -9 every attempt underway looks so.
// A lot that died twice in company is a suspect. Suspects are tried one at a
// time, beside the other mail. What dies three times as the only suspect, or
// panics three times (then the culprit is known), is set aside.
const (
	suspectAfter = 2
	guiltyAfter  = 3
)

// suspicion tells what the journal says about the recipients of a lot.
func (r *record) suspicion(lot int) (suspect, guilty bool) {
	for _, i := range r.lots[lot] {
		s := &r.states[i]
		if s.done != "" {
			continue
		}
		suspect = suspect || s.open >= suspectAfter
		guilty = guilty || s.alone+s.panics >= guiltyAfter
	}
	return suspect, guilty
}
