package queue

import (
	"time"

	"esa/mta/bounce"
	"esa/mta/envelope"
)

// initialLimit is how many attempts at once a destination begins with. It
// grows by one with every success and is halved by trouble.
const initialLimit = 5

// keepIdle is how long a destination without mail is remembered for what it
// last said, and maxIdle how many there may be before they are forgotten at
// once.
const (
	keepIdle = time.Hour
	maxIdle  = 10000
)

// destination is a domain that mail waits for. Queue.mu guards it.
type destination struct {
	domain      string
	head, tail  *lot // the ready, first come first served
	inRing      bool
	running     int
	begun       map[string]int // of running, by the interface they leave by
	quotas      []*quota       // that were used, by interface
	limit       int
	lots        int // all that are not done
	recipients  int // of those, and
	unattempted int // of recipients
	kept        int // recipients whose records are kept for their first attempt

	suspended bool // by an operator

	down     bool
	failures int           // in a row, to reach any host
	retryDue bool          // the host's time has come: one attempt may find out
	parked   []*lot        // deferred because the host was down
	at       time.Duration // of the host's retry, or of being forgotten
	pos      int32         // in the timetable of hosts, -1: not there

	last   envelope.Failure // the last failure, for hoststatus
	lastAt time.Time
}

func (d *destination) when() time.Duration { return d.at }
func (d *destination) place() *int32       { return &d.pos }

func (d *destination) push(l *lot) {
	l.prev, l.next, l.queued = d.tail, nil, true
	if d.tail == nil {
		d.head = l
	} else {
		d.tail.next = l
	}
	d.tail = l
}

// unlink takes a lot out of the ready.
func (d *destination) unlink(l *lot) {
	if l.prev == nil {
		d.head = l.next
	} else {
		l.prev.next = l.next
	}
	if l.next == nil {
		d.tail = l.prev
	} else {
		l.next.prev = l.prev
	}
	l.prev, l.next, l.queued = nil, nil, false
}

// pop gives the first of the ready, nil if there is none.
func (d *destination) pop() *lot {
	for d.head != nil {
		l := d.head
		d.unlink(l)
		if !l.item.gone {
			return l
		}
	}
	return nil
}

// mayStart reports whether one more attempt may begin, as far as hosts and
// concurrency go.
func (d *destination) mayStart(t moment) bool {
	if d.suspended {
		return false
	}
	if d.down {
		return d.retryDue && d.running == 0
	}
	l := t.policy.limits(d.domain)
	return d.running < d.limit && d.counted(l, t) < l.Concurrency
}

func (d *destination) idle() bool { return d.lots == 0 && d.running == 0 }

// learn takes the end of an attempt into account: how many may run at once,
// whether the host is up, what it last said.
func (p *plan) learn(l *lot, e ending, t moment) {
	d := l.dest
	if e.last != nil {
		d.last, d.lastAt = *e.last, e.ended
	}
	switch {
	case e.reached && d.down:
		p.hostUp(d, t)
	case e.down && !e.reached && !d.down:
		d.down, d.failures = true, 0
		p.hostDown(d, t)
	case l.probe && d.down:
		p.hostDown(d, t)
	}
	switch {
	case e.delivered:
		d.limit = min(d.limit+1, max(initialLimit, t.policy.limits(d.domain).Concurrency))
	case e.crowded:
		d.limit = max(1, d.running)
	case e.trouble:
		d.limit = max(1, d.limit/2)
	}
	l.probe = false
}

// hostDown lets all mail of a destination wait until its host is tried again.
func (p *plan) hostDown(d *destination, t moment) {
	d.failures++
	d.retryDue = false
	d.at = t.now + bounce.Doubling(t.policy.HostRetry.Initial, t.policy.HostRetry.Max, d.failures)
	p.hosts.put(d)
	if !t.policy.BounceDown {
		return
	}
	for _, it := range p.items {
		for i := range it.lots {
			l := &it.lots[i]
			if l.dest == d && l.pos >= 0 {
				p.due.remove(l)
				p.condemn(l)
			}
		}
	}
	for l := d.pop(); l != nil; l = d.pop() {
		p.condemn(l)
	}
}

// condemn bounces a lot for what its host last said.
func (p *plan) condemn(l *lot) {
	why := l.dest.last
	why.Permanent = true
	l.sentence = &why
	p.ahead = append(p.ahead, l)
}

// hostUp releases everything that waits for a host at once.
func (p *plan) hostUp(d *destination, t moment) {
	d.down, d.failures, d.retryDue, d.limit = false, 0, false, initialLimit
	p.hosts.remove(d)
	parked := d.parked
	d.parked = nil
	for _, l := range parked {
		if l.parked && l.pos >= 0 {
			p.due.remove(l)
			p.ready(l, t)
		}
	}
}

// hostDue is the time to try a host again. Mail that has become too old while
// it waited is given up now: its host was tried, if not it itself.
func (p *plan) hostDue(d *destination, t moment) {
	if d.idle() {
		d.lastAt = time.Time{} // remembered long enough
		p.rest(d, t.now)
		return
	}
	if !d.down {
		return
	}
	d.retryDue = true
	if d.suspended {
		return // nobody is tried: nobody is given up
	}
	var keep []*lot
	for l := d.pop(); l != nil; l = d.pop() {
		l.tried = true
		if l.expires <= t.now {
			p.ahead = append(p.ahead, l)
		} else {
			keep = append(keep, l)
		}
	}
	for _, l := range keep {
		d.push(l)
	}
	p.enter(d, t)
}

// rest forgets a destination without mail, unless there is something to
// remember.
func (p *plan) rest(d *destination, now time.Duration) {
	if !d.idle() {
		return
	}
	if !d.owes(now) && (len(p.dests) > maxIdle || d.lastAt.IsZero()) {
		p.hosts.remove(d)
		delete(p.dests, d.domain)
		return
	}
	if d.pos < 0 {
		d.at = now + keepIdle
		p.hosts.put(d)
	}
}
