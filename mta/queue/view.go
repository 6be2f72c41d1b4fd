package queue

import (
	"cmp"
	"errors"
	"fmt"
	"io"
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
	if oldest := p.oldest(); oldest != nil {
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
	Limited               bool      // NextAttempt is when the recipient limit allows it
	Suspended             bool      // by an operator
}

// Destinations lists the domains in memory, in alphabetical order.
func (q *Queue) Destinations() []Destination {
	wall := q.o.Clock()
	q.mu.Lock()
	defer q.mu.Unlock()
	t := moment{q.steady(), q.policy.Load()}
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
			Running: d.running, Limit: d.limit, Last: d.last, LastAt: d.lastAt, Suspended: d.suspended,
		}
		at, ok := next[d]
		switch {
		case d.suspended:
			ok = false
		case d.head != nil && (!d.down || d.retryDue):
			at, ok = t.now, true
		case !d.down || d.retryDue:
		case d.head != nil:
			at, ok = d.at, true
		default:
			at = max(d.at, at)
		}
		if held := d.heldUntil(t); ok && held > at {
			at, v.Limited = held, true
		}
		if ok && at > t.now {
			v.NextAttempt = wall.Add(at - t.now)
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
	Done        bool            // delivered, bounced or deleted; the message waits for others
	Selected    bool            // it waits and is of the selection
	Attempts    int             // that failed
	Domain      string          // it is being delivered to: its own, or where an operator sends it
	Underway    bool            // it is being tried
	Suspended   bool            // delivery to Domain is suspended
	NextAttempt time.Time       // zero: it is due
	Limited     bool            // NextAttempt is when the recipient limit of Domain allows it
	Reason      envelope.Reason // of the last failure
	Code        int
	Reply       string // of the peer, as received: escape before showing
	Host        string
}

// Each reads the messages that have recipients of a selection, in the order of
// their ids, until visit returns false. Messages that leave the queue meanwhile
// are left out; one that cannot be read does not keep back the others (R10):
// the error is that of the first such message.
func (q *Queue) Each(s Selection, visit func(Entry) bool) error {
	q.mu.Lock()
	mids := q.plan.selected(s)
	q.mu.Unlock()
	var unread error
	for _, m := range mids {
		rec, err := q.store.read(m)
		switch {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			unread = cmp.Or(unread, fmt.Errorf("reading MID %d: %w", m, err))
		case s.Sender != nil && rec.message.Sender.Key() != s.Sender.Key():
		case !visit(q.entry(rec, s)):
			return unread
		}
	}
	return unread
}

// ErrNotQueued says that no message of this id is in the queue.
var ErrNotQueued = errors.New("no such message is queued")

// Message gives one queued message and its text, which the caller closes.
func (q *Queue) Message(m envelope.MID) (Entry, io.ReadCloser, error) {
	q.mu.Lock()
	_, queued := q.plan.items[m]
	q.mu.Unlock()
	if !queued {
		return Entry{}, nil, ErrNotQueued
	}
	rec, err := q.store.read(m)
	if err == nil {
		var text io.ReadCloser
		if text, err = q.store.body(m); err == nil {
			return q.entry(rec, Selection{MID: m}), text, nil
		}
	}
	if errors.Is(err, os.ErrNotExist) {
		err = ErrNotQueued
	}
	return Entry{}, nil, err
}

// entry is a message as operators see it: what the disk says of its
// recipients, and what the schedule does.
func (q *Queue) entry(r *record, s Selection) Entry {
	e := Entry{Message: r.message}
	for i := range r.states {
		state := &r.states[i]
		e.Recipients = append(e.Recipients, RecipientState{
			Done: state.done != "", Attempts: state.attempts, Domain: r.message.Recipients[i].Address.Domain,
			Reason: state.last.Reason, Code: state.last.Code, Reply: state.last.Reply, Host: state.last.Host,
		})
	}
	wall := q.o.Clock()
	q.mu.Lock()
	defer q.mu.Unlock()
	t := moment{q.steady(), q.policy.Load()}
	it := q.plan.items[r.message.MID]
	for n := 0; it != nil && n < len(it.lots); n++ {
		l := &it.lots[n]
		for _, i := range r.lots[l.number] {
			state := &e.Recipients[i]
			state.Domain, state.Underway, state.Suspended = l.dest.domain, l.running, l.dest.suspended
			state.Selected = !state.Done && l.holds(s)
			if state.Done || l.running || l.dest.suspended {
				continue
			}
			at := l.nextAttempt()
			if held := l.dest.heldUntil(t); held > at {
				at, state.Limited = held, true
			}
			if at > t.now {
				state.NextAttempt = wall.Add(at - t.now)
			}
		}
	}
	return e
}

// nextAttempt is when a lot that waits is to be tried, on the steady clock; 0: no
// time is planned.
func (l *lot) nextAttempt() time.Duration {
	down := l.dest.down && !l.dest.retryDue
	switch {
	case l.pos < 0 && down:
		return l.dest.at
	case l.pos < 0:
		return 0
	case down:
		return max(l.at, l.dest.at)
	default:
		return l.at
	}
}
