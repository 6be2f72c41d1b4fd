package queue

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"esa/mta/envelope"
)

// Stats is the queue at one moment. What was found at start and is not read
// yet is in Unread and in nothing else.
type Stats struct {
	Messages              int
	Bytes                 int64 // of message text
	ActiveRecipients      int   // that wait: the sum of the next two
	UnattemptedRecipients int
	AttemptedRecipients   int
	Oldest                Oldest
	Destinations          int // in memory
	Running               int // attempts underway
	Unread                int // found at start and not read yet
	Unreadable            int // left where they are: of a newer version
	Damaged               int // set aside since the start
	FreeBytes             int64
	Refusing              error // why Begin takes no message now; nil: it does
	Syncs                 uint64
}

// Oldest is the message that waits longest. MID is 0 if none does.
type Oldest struct {
	MID      envelope.MID
	Received time.Time
}

// Stats gives the numbers of the status commands.
func (q *Queue) Stats() Stats {
	left, err := q.store.disk.free(q.store.dir)
	if err != nil {
		q.o.Diag.Error("queue: free space", "err", err)
	}
	refusing := q.store.reserve(q.policy.Load().MaxMessage)
	q.mu.Lock()
	defer q.mu.Unlock()
	p := &q.plan
	s := Stats{
		Messages: len(p.items), Bytes: p.bytes, Destinations: len(p.dests), Running: p.running,
		Unread: p.unread, Unreadable: p.unreadable, Damaged: p.damaged,
		FreeBytes: left.bytes, Refusing: refusing, Syncs: q.store.syncs(),
	}
	for _, d := range p.dests {
		s.ActiveRecipients += d.recipients
		s.UnattemptedRecipients += d.unattempted
	}
	s.AttemptedRecipients = s.ActiveRecipients - s.UnattemptedRecipients
	var oldest *item
	for _, it := range p.items {
		if oldest == nil || it.received < oldest.received || it.received == oldest.received && it.mid < oldest.mid {
			oldest = it
		}
	}
	if oldest != nil {
		s.Oldest = Oldest{MID: oldest.mid, Received: time.Unix(oldest.received, 0)}
	}
	return s
}

// Destination is one recipient domain as operators see it.
type Destination struct {
	Domain                string
	Up                    bool // as of the last attempt
	ActiveRecipients      int
	UnattemptedRecipients int
	Running               int              // attempts underway
	Limit                 int              // that may run at once now
	Last                  envelope.Failure // the last failure; the zero one if there was none
	LastAt                time.Time
	NextAttempt           time.Time // zero: none is planned, or it is due
}

// Destinations lists the domains in memory, in alphabetical order.
func (q *Queue) Destinations() []Destination {
	now, wall := q.steady(), q.o.Clock()
	q.mu.Lock()
	defer q.mu.Unlock()
	next := map[*destination]time.Duration{}
	for _, l := range q.plan.due.all {
		if at, ok := next[l.dest]; !ok || l.at < at {
			next[l.dest] = l.at
		}
	}
	list := make([]Destination, 0, len(q.plan.dests))
	for _, d := range q.plan.dests {
		v := Destination{
			Domain: d.domain, Up: !d.down, ActiveRecipients: d.recipients, UnattemptedRecipients: d.unattempted,
			Running: d.running, Limit: d.limit, Last: d.last, LastAt: d.lastAt,
		}
		at, ok := next[d]
		switch {
		case !d.down || d.retryDue:
		case d.head != nil:
			at, ok = d.at, true
		default:
			at = max(d.at, at)
		}
		if ok && at > now {
			v.NextAttempt = wall.Add(at - now)
		}
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b Destination) int { return cmp.Compare(a.Domain, b.Domain) })
	return list
}

// Entry is one queued message with what became of its recipients so far.
type Entry struct {
	Message    envelope.Message
	Recipients []RecipientState // in the order of Message.Recipients
}

// RecipientState is what became of one recipient so far.
type RecipientState struct {
	Done        bool // delivered, bounced or deleted; the message waits for others
	Attempts    int  // that failed
	NextAttempt time.Time
	Reason      envelope.Reason // of the last failure
	Code        int
	Reply       string // of the peer, as received: escape before showing
	Host        string
}

// Each reads the messages of the queue in the order of their ids, until visit
// returns false. Messages that leave the queue meanwhile are left out; one
// that cannot be read does not keep back the others (R10): the error is that
// of the first such message.
func (q *Queue) Each(visit func(Entry) bool) error {
	q.mu.Lock()
	mids := make([]envelope.MID, 0, len(q.plan.items))
	for m := range q.plan.items {
		mids = append(mids, m)
	}
	q.mu.Unlock()
	slices.Sort(mids)
	var unread error
	for _, m := range mids {
		rec, err := q.store.read(m)
		switch {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			unread = cmp.Or(unread, fmt.Errorf("reading MID %d: %w", m, err))
		case !visit(rec.view()):
			return unread
		}
	}
	return unread
}

func (r *record) view() Entry {
	e := Entry{Message: r.message}
	for i := range r.states {
		s := &r.states[i]
		e.Recipients = append(e.Recipients, RecipientState{
			Done: s.done != "", Attempts: s.attempts, NextAttempt: s.next,
			Reason: s.last.Reason, Code: s.last.Code, Reply: s.last.Reply, Host: s.last.Host,
		})
	}
	return e
}
