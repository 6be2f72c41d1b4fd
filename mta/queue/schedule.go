package queue

import (
	"slices"
	"time"

	"esa/mta/envelope"
)

// plan is what is queued and when it is due. It does no input or output and
// knows no clock. Queue.mu guards it.
type plan struct {
	items map[envelope.MID]*item
	dests map[string]*destination
	due   timetable[*lot]         // by the time of the next attempt
	hosts timetable[*destination] // by the time of the host's retry
	spent timetable[*quota]       // by the time they are full again
	ring  []*destination          // that may start and have something ready, in turn
	tls   []*destination          // of those, the ones that wait for an attempt with TLS to end

	ahead          []*lot // bounced without an attempt: they wait for no destination
	suspects       []*lot
	suspectRunning bool
	running        int
	working        map[*lot]struct{} // those that are
	moved          chan struct{}     // closed when one of them has ended; nil: nobody waits
	runningTLS     int               // of running, those that count as using TLS
	suspended      Suspension
	policy         *Policy // that the ring was made by

	kept       int // recipients in records that wait for a first attempt, at most maxKept
	held       int // files of those that are open, at most
	maxHeld    int
	unread     int // found at start and not read yet
	unreadable int // left where they are: newer version, or no permission
	damaged    int // set aside since the start
	bytes      int64
}

func newPlan() plan {
	return plan{items: map[envelope.MID]*item{}, dests: map[string]*destination{}, working: map[*lot]struct{}{}}
}

// moment is when a decision is made, and under which policy.
type moment struct {
	now    time.Duration
	policy *Policy
}

// ending is what an attempt means for the schedule.
type ending struct {
	left      int           // recipients of the lot that wait
	settled   int           // recipients that are done
	delay     time.Duration // until the next attempt
	expires   time.Duration // of the message, steady time; 0: as before
	attempted bool
	suspect   bool
	removed   bool // the message is gone as a whole; left means nothing

	reached   bool // a host answered
	down      bool // no host could be reached
	delivered bool
	trouble   bool // a connection failed
	crowded   bool // the hosts are at work as much as they may
	waits     bool // the hosts are at their limits until some time
	last      *envelope.Failure
	ended     time.Time // wall time
}

// maxKept bounds the memory of records that are kept.
const maxKept = 1000

// keptFor is how many recipients are kept for a destination that has no free
// place for them yet. It is what a burst brings; a slow destination must not
// take the places of all others.
const keptFor = 100

// keep keeps the record of a message that will probably be tried at once, so
// that it need not be read back. One lot alone: its mark shows whether the
// file is still there.
func (p *plan) keep(it *item, rec *record, t moment) {
	n := len(rec.message.Recipients)
	if len(it.lots) != 1 || p.kept+n > maxKept || p.running >= t.policy.Concurrency {
		return
	}
	if d := it.lots[0].dest; d.mayStart(t) || !d.down && d.kept+n <= keptFor {
		it.rec, it.kept = rec, n
		p.kept += n
		d.kept += n
		if it.held = rec.file != nil && p.held < p.maxHeld; it.held {
			p.held++
		}
	}
}

// add takes in a message.
func (p *plan) add(it *item) {
	p.items[it.mid] = it
	p.bytes += it.size
	for i := range it.lots {
		l := &it.lots[i]
		l.dest.lots++
		l.dest.recipients += int(l.left)
		if !l.attempted {
			l.dest.unattempted += int(l.left)
		}
		p.due.put(l)
	}
	it.open = int32(len(it.lots))
}

// destination gives the destination of a domain.
func (p *plan) destination(domain string) *destination {
	d := p.dests[domain]
	if d == nil {
		d = &destination{domain: domain, limit: initialLimit, pos: -1, suspended: p.suspended.holds(domain)}
		p.dests[domain] = d
	}
	return d
}

// crowdedAgain is when a destination is asked again that is at its limits
// though nothing runs for it.
const crowdedAgain = time.Second

// start gives the lots whose attempt begins now. No destination is served
// twice while another that may start waits.
func (p *plan) start(t moment) []*lot {
	for p.due.isDue(t.now) {
		p.ready(p.due.pop(), t)
	}
	for p.hosts.isDue(t.now) {
		p.hostDue(p.hosts.pop(), t)
	}
	for p.spent.isDue(t.now) {
		p.enter(p.spent.pop().dest, t)
	}
	p.follow(t)
	var started []*lot
	for p.running < t.policy.Concurrency {
		l := p.pick(t)
		if l == nil {
			break
		}
		p.work(l)
		started = append(started, l)
	}
	return started
}

// follow lets a new policy decide anew who may start, and who waits only for
// limits of the old one.
func (p *plan) follow(t moment) {
	if p.policy == t.policy {
		return
	}
	p.policy = t.policy
	for _, it := range p.items {
		for i := range it.lots {
			if l := &it.lots[i]; l.crowded && l.pos >= 0 {
				p.due.remove(l)
				p.ready(l, t)
			}
		}
	}
	p.ring, p.tls = append(p.ring, p.tls...), nil
	for _, d := range p.dests {
		p.enter(d, t)
	}
}

// ready puts a lot that is due where it waits for its turn.
func (p *plan) ready(l *lot, t moment) {
	l.parked, l.crowded = false, false
	switch {
	case l.item.gone:
	case l.suspect:
		p.suspects = append(p.suspects, l)
	case l.dest.down && t.policy.BounceDown && !l.dest.retryDue && !l.dest.suspended:
		p.condemn(l)
	default:
		l.dest.push(l)
		p.enter(l.dest, t)
	}
}

// enter puts a destination into the ring if it can use a turn, or lets it wait
// for the end of its interval.
func (p *plan) enter(d *destination, t moment) {
	if d.inRing || d.head == nil {
		return
	}
	if q := d.exhausted(t); q != nil {
		p.spent.put(q)
	} else if d.mayStart(t) {
		d.inRing = true
		p.ring = append(p.ring, d)
	}
}

// pick takes the next lot whose turn it is; nil if none may start.
func (p *plan) pick(t moment) *lot {
	if l := first(&p.ahead, nil); l != nil {
		l.dest.begin(l, t)
		return l
	}
	if !p.suspectRunning {
		if l := first(&p.suspects, (*lot).free); l != nil {
			l.alone, p.suspectRunning = true, true
			l.dest.begin(l, t)
			p.countTLS(l, t)
			return l
		}
	}
	for d := p.turn(t); d != nil; d = p.turn(t) {
		if d.exhausted(t) != nil || !d.mayStart(t) {
			p.enter(d, t)
			continue
		}
		l := d.pop()
		if l == nil {
			continue
		}
		l.probe, d.retryDue = d.down, false
		d.begin(l, t)
		p.countTLS(l, t)
		p.take(l, t)
		p.enter(d, t)
		return l
	}
	return nil
}

// turn takes the next destination out of the ring; nil if there is none that
// may use its turn. Those that met the limit of attempts with TLS go first when
// there is room again.
func (p *plan) turn(t moment) *destination {
	for {
		var d *destination
		switch room := p.runningTLS < t.policy.TLSConcurrency; {
		case room && len(p.tls) > 0:
			d, p.tls = p.tls[0], p.tls[1:]
		case len(p.ring) == 0:
			return nil
		default:
			d, p.ring = p.ring[0], p.ring[1:]
			if !room && t.policy.limits(d.domain).TLS {
				p.tls = append(p.tls, d)
				continue
			}
		}
		d.inRing = false
		return d
	}
}

// countTLS counts an attempt that begins, if it is one with TLS.
func (p *plan) countTLS(l *lot, t moment) {
	if l.tls = t.policy.limits(l.dest.domain).TLS; l.tls {
		p.runningTLS++
	}
}

// first takes the first lot of a list whose message is still there and that
// may go; nil: any may.
func first(list *[]*lot, may func(*lot) bool) *lot {
	for n := 0; n < len(*list); {
		l := (*list)[n]
		if !l.item.gone && may != nil && !may(l) {
			n++
			continue
		}
		if n == 0 { // nearly always: no copying
			*list = (*list)[1:]
		} else {
			*list = slices.Delete(*list, n, n+1)
		}
		if !l.item.gone {
			return l
		}
	}
	if len(*list) == 0 {
		*list = nil
	}
	return nil
}

func (l *lot) free() bool { return !l.dest.suspended }

// work notes that an attempt of a lot, or an act on it, is under way.
func (p *plan) work(l *lot) {
	p.running++
	p.working[l] = struct{}{}
	l.running = true
}

// rested notes that it has ended.
func (p *plan) rested(l *lot) {
	p.running--
	if l.tls {
		l.tls = false
		p.runningTLS--
	}
	delete(p.working, l)
	l.running, l.reins = false, nil
	if p.moved != nil {
		close(p.moved)
		p.moved = nil
	}
}

// finish takes the end of an attempt into account.
func (p *plan) finish(l *lot, e ending, t moment) {
	it, d := l.item, l.dest
	p.rested(l)
	p.kept -= it.kept
	d.kept -= it.kept
	it.kept = 0
	if it.held {
		it.held = false
		p.held--
	}
	d.end(l)
	p.refund(l, e, t)
	if l.alone {
		l.alone, p.suspectRunning = false, false
	}
	switch {
	case it.gone:
	case e.removed:
		p.remove(it)
	default:
		p.count(l, e)
	}
	p.learn(l, e, t)
	if !it.gone && e.left > 0 {
		if e.crowded && d.running == 0 {
			e.delay = max(e.delay, crowdedAgain)
		}
		l.at, l.parked, l.suspect, l.sentence = t.now+e.delay, e.down, e.suspect, nil
		l.tried, l.crowded = l.tried || e.attempted, e.waits
		if e.expires != 0 {
			l.expires = e.expires
		}
		if l.promise == nil {
			p.postpone(l, t)
		}
	}
	if l.promise != nil {
		close(l.promise)
	}
	p.enter(d, t)
	p.rest(d, t.now)
}

// postpone lets a lot wait for its time. One that waits for a host is released
// when the host is back, or bounced at once if the policy says so.
func (p *plan) postpone(l *lot, t moment) {
	d := l.dest
	if l.parked && d.down {
		if t.policy.BounceDown {
			p.condemn(l)
			return
		}
		d.parked = append(d.parked, l)
	}
	p.due.put(l)
}

// count keeps the numbers of a destination in step with one of its lots.
func (p *plan) count(l *lot, e ending) {
	d := l.dest
	d.recipients -= int(l.left) - e.left
	switch {
	case l.attempted:
	case e.attempted:
		d.unattempted -= int(l.left)
		l.attempted = true
	default:
		d.unattempted -= int(l.left) - e.left
	}
	l.left = int32(e.left)
	if e.left > 0 {
		return
	}
	d.lots--
	l.item.open--
	if l.item.open == 0 {
		p.bytes -= l.item.size
		delete(p.items, l.item.mid)
	}
}

// remove takes out a message that is gone, whatever its lots are doing.
func (p *plan) remove(it *item) {
	it.gone = true
	for i := range it.lots {
		l := &it.lots[i]
		p.due.remove(l)
		if l.left == 0 {
			continue
		}
		l.dest.recipients -= int(l.left)
		if !l.attempted {
			l.dest.unattempted -= int(l.left)
		}
		l.left = 0
		l.dest.lots--
	}
	if p.items[it.mid] == it {
		p.bytes -= it.size
		delete(p.items, it.mid)
	}
}

// next gives the time of the next event that no attempt's end will bring.
func (p *plan) next() (time.Duration, bool) {
	at, ok := p.due.next()
	if host, some := p.hosts.next(); some && (!ok || host < at) {
		at, ok = host, true
	}
	if quota, some := p.spent.next(); some && (!ok || quota < at) {
		at, ok = quota, true
	}
	return at, ok
}

// timed is what stands in a timetable.
type timed interface {
	when() time.Duration
	place() *int32 // its index, -1 if it does not stand there
}

// timetable is a heap by time whose entries know their place.
type timetable[T timed] struct{ all []T }

func (h *timetable[T]) next() (time.Duration, bool) {
	if len(h.all) == 0 {
		return 0, false
	}
	return h.all[0].when(), true
}

func (h *timetable[T]) isDue(now time.Duration) bool {
	at, ok := h.next()
	return ok && at <= now
}

// put enters x, or moves it after its time changed.
func (h *timetable[T]) put(x T) {
	if *x.place() < 0 {
		h.all = append(h.all, x)
		*x.place() = int32(len(h.all) - 1)
	}
	h.down(h.up(int(*x.place())))
}

func (h *timetable[T]) pop() T {
	x := h.all[0]
	h.remove(x)
	return x
}

// remove takes x out, if it is in.
func (h *timetable[T]) remove(x T) {
	i := int(*x.place())
	if i < 0 {
		return
	}
	last := len(h.all) - 1
	h.swap(i, last)
	var zero T
	h.all[last] = zero
	h.all = h.all[:last]
	*x.place() = -1
	if i < last {
		h.down(h.up(i))
	}
}

func (h *timetable[T]) swap(i, j int) {
	h.all[i], h.all[j] = h.all[j], h.all[i]
	*h.all[i].place(), *h.all[j].place() = int32(i), int32(j)
}

func (h *timetable[T]) up(i int) int {
	for i > 0 && h.all[i].when() < h.all[(i-1)/2].when() {
		h.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	return i
}

func (h *timetable[T]) down(i int) {
	for {
		least := 2*i + 1
		if least >= len(h.all) {
			return
		}
		if right := least + 1; right < len(h.all) && h.all[right].when() < h.all[least].when() {
			least = right
		}
		if h.all[i].when() <= h.all[least].when() {
			return
		}
		h.swap(i, least)
		i = least
	}
}
