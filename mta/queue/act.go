package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"esa/mta/envelope"
)

// An operator's act takes lots out of the schedule, one message after the
// other, settles them as an attempt would (notices, log, journal, counters),
// and puts back what waits on. So a recipient is acted on or tried, never both.
// What is being tried at that moment is stopped as at the end of the gateway:
// its attempt ends by itself, and only what it left over is acted on.
//
// After a crash: what was acted on is done or, after a power cut, waits again
// as before; a message is never half removed. The end of an act is on stable
// storage where the file system can be synced as a whole.

// Selection says which recipients are meant: those for which all that is set
// holds. The zero Selection is all.
type Selection struct {
	Domain string            // being delivered to it; lower case
	Sender *envelope.Address // of this envelope sender
	MID    envelope.MID
}

// Acted is what an act has done.
type Acted struct {
	Messages   int // that had a recipient which it was done to
	Recipients int
	Kept       int // recipients that it could not be done to: a fault of the disk, told in the diagnostics
	Busy       int // recipients that were being tried, or acted on by others, when the act was given up
	Unread     int // messages found at start that are not read yet: they were not looked at
}

// Progress is told, as an act goes on, how many of the messages to look at it
// has looked at, and when it has to wait for an attempt to end.
type Progress func(looked, all int, waiting bool)

// Delete takes recipients out of the queue; nobody is told. It ends early
// with ctx and gives its cause, with what was done until then.
func (q *Queue) Delete(ctx context.Context, s Selection, progress Progress) (Acted, error) {
	why := envelope.Failure{Permanent: true, Reason: envelope.ReasonDeleted}
	return q.act(ctx, s, progress, func(l *lot) deed { return q.sentence(ctx, l, why) })
}

// Bounce ends recipients as if they had been refused; their senders are told.
func (q *Queue) Bounce(ctx context.Context, s Selection, progress Progress) (Acted, error) {
	why := envelope.Failure{
		Permanent: true, Enhanced: "5.3.0", Phrase: "Other mail system problem", Reason: envelope.ReasonOperator,
		Reply: []string{"bounced by the administrator"},
	}
	return q.act(ctx, s, progress, func(l *lot) deed { return q.sentence(ctx, l, why) })
}

// deed is what came of acting on one lot.
type deed struct {
	end   ending
	acted int // recipients
	moved bool
	err   error
}

func (q *Queue) sentence(ctx context.Context, l *lot, why envelope.Failure) deed {
	l.sentence = &why
	e := q.attempt(context.WithoutCancel(ctx), l)
	return deed{end: e, acted: e.settled}
}

// Redirect sends recipients to a machine, whatever routes and DNS say, at
// once. It holds until they are done, over restarts.
func (q *Queue) Redirect(ctx context.Context, to envelope.Machine, progress Progress) (Acted, error) {
	return q.act(ctx, Selection{}, progress, func(l *lot) deed { return q.redirect(l, to) })
}

// redirect notes in the journal where a lot goes. The schedule follows when
// its act ends.
func (q *Queue) redirect(l *lot, to envelope.Machine) deed {
	rec, err := q.borrow(l.item, false)
	defer q.giveBack(l.item)
	if err != nil {
		return deed{end: q.unreadable(l, err)}
	}
	t := &trial{q: q, lot: l, item: l.item, rec: rec, waiting: rec.waiting(int(l.number))}
	e := t.entry(eventMoved)
	e.Via = &to
	t.note(e)
	t.item.mu.Lock()
	unsaved := len(t.item.unsaved) > 0
	t.item.mu.Unlock()
	l.via = &to
	d := deed{end: ending{left: len(t.waiting), suspect: l.suspect}, acted: len(t.waiting), moved: true}
	if unsaved {
		d.err = fmt.Errorf("redirecting MID %d: its journal cannot be written now, a crash would forget it", l.item.mid)
	}
	return d
}

// act does something to each lot of a selection.
func (q *Queue) act(ctx context.Context, s Selection, progress Progress, do func(*lot) deed) (Acted, error) {
	mids, done, err := q.beginAct(s)
	if err != nil {
		return done, err
	}
	defer q.workers.Done()
	if progress == nil {
		progress = func(int, int, bool) {}
	}
	var failed error
	for n, m := range mids {
		if err := q.goOn(ctx); err != nil {
			return done, cmp.Or(err, failed, q.store.settled())
		}
		progress(n, len(mids), false)
		if ok, err := q.sentBy(m, s); err != nil {
			q.o.Diag.Error("queue: reading message", "mid", m, "err", err)
			done.Kept++
		} else if ok {
			failed = cmp.Or(failed, q.actOn(ctx, m, s, act{do, &done, func() { progress(n, len(mids), true) }}))
		}
	}
	progress(len(mids), len(mids), false)
	return done, cmp.Or(failed, q.store.settled())
}

// goOn says why an act should end.
func (q *Queue) goOn(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ending {
		return ErrClosed
	}
	return context.Cause(ctx)
}

// beginAct keeps Run from ending before the act does, and lists what it must
// look at.
func (q *Queue) beginAct(s Selection) ([]envelope.MID, Acted, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.running || q.ending {
		return nil, Acted{}, ErrClosed
	}
	q.workers.Add(1)
	return q.plan.selected(s), Acted{Unread: q.plan.unread}, nil
}

// selected lists the messages that may hold recipients of a selection.
func (p *plan) selected(s Selection) []envelope.MID {
	var mids []envelope.MID
	for m, it := range p.items {
		if it.holds(s) {
			mids = append(mids, m)
		}
	}
	slices.Sort(mids)
	return mids
}

func (it *item) holds(s Selection) bool {
	for i := range it.lots {
		if it.lots[i].holds(s) {
			return true
		}
	}
	return false
}

// holds says so of a lot, but for the sender, whom only the envelope knows.
func (l *lot) holds(s Selection) bool {
	return l.left > 0 && (s.MID == 0 || l.item.mid == s.MID) && (s.Domain == "" || l.dest.domain == s.Domain)
}

// sentBy reports whether a message is of the selection's sender. One that is
// gone is of nobody.
func (q *Queue) sentBy(m envelope.MID, s Selection) (bool, error) {
	if s.Sender == nil {
		return true, nil
	}
	rec, err := q.store.read(m)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil && rec.message.Sender.Key() == s.Sender.Key(), err
}

// act is what is done to lots, and the books of it.
type act struct {
	do    func(*lot) deed
	done  *Acted
	waits func() // tells so
}

// actOn does it to the lots of one message.
func (q *Queue) actOn(ctx context.Context, m envelope.MID, s Selection, a act) (failed error) {
	touched := false
	for n := 0; ; n++ {
		l := q.lotOf(m, n)
		if l == nil {
			break
		}
		claimed, busy := q.claim(ctx, l, s, a.waits)
		a.done.Busy += busy
		if !claimed {
			continue
		}
		before := int(l.left)
		d := a.do(l)
		q.release(l, d)
		failed = cmp.Or(failed, d.err)
		a.done.Recipients += d.acted
		a.done.Kept += before - d.acted
		touched = touched || d.acted > 0
	}
	if touched {
		a.done.Messages++
	}
	return failed
}

// lotOf gives the lot of a message at an index, nil if there is none.
func (q *Queue) lotOf(m envelope.MID, n int) *lot {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.plan.items[m]
	if it == nil || n >= len(it.lots) {
		return nil
	}
	return &it.lots[n]
}

// claim takes a lot out of the schedule for an act, if it is of the selection.
// One that is under way is stopped and waited for, until ctx ends. What others
// act on, or wait for to do so, is left to them: busy is how many recipients.
func (q *Queue) claim(ctx context.Context, l *lot, s Selection, waits func()) (claimed bool, busy int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	promised := false
	switch {
	case !l.holds(s):
		return false, 0
	case l.promise != nil:
		return false, int(l.left)
	case l.running:
		if promised = q.await(ctx, l, waits); !promised {
			return false, int(l.left)
		}
	}
	t := moment{q.steady(), q.policy.Load()}
	if l.item.gone || !l.holds(s) {
		if promised && l.left > 0 && !l.item.gone {
			q.plan.postpone(l, t)
		}
		return false, 0
	}
	q.plan.claim(l, t)
	return true, 0
}

// await stops an attempt under way and returns when it has ended and the lot
// is the caller's, or false when ctx has ended before. Queue.mu is held, but
// not meanwhile.
func (q *Queue) await(ctx context.Context, l *lot, waits func()) bool {
	freed := make(chan struct{})
	l.promise = freed
	if l.reins != nil {
		l.reins.stop()
	}
	q.mu.Unlock()
	waits()
	select {
	case <-freed:
	case <-ctx.Done():
	}
	q.mu.Lock()
	l.promise = nil
	return !l.running
}

// claim takes a lot that nobody works on out of the schedule.
func (p *plan) claim(l *lot, t moment) {
	switch {
	case l.pos >= 0:
		p.due.remove(l)
	case l.queued:
		l.dest.unlink(l)
	default:
		is := func(o *lot) bool { return o == l }
		p.ahead = slices.DeleteFunc(p.ahead, is)
		p.suspects = slices.DeleteFunc(p.suspects, is)
	}
	l.parked, l.crowded = false, false
	p.work(l)
	l.dest.begin(l, t)
}

// release gives a lot back to the schedule after an act: what it left waits
// for its old time, or goes where it was sent at once.
func (q *Queue) release(l *lot, d deed) {
	t := moment{q.steady(), q.policy.Load()}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.plan.finish(l, d.end, t)
	if d.moved && !l.item.gone {
		q.plan.move(l, t)
	}
	q.signal()
}

// move gives a lot that waits for its time the destination it is sent to, and
// makes it due. A host that is down is tried again for it.
func (p *plan) move(l *lot, t moment) {
	from, to := l.dest, p.destination(l.via.Domain())
	to.retryDue = to.down
	from.lots--
	to.lots++
	from.recipients -= int(l.left)
	to.recipients += int(l.left)
	if !l.attempted {
		from.unattempted -= int(l.left)
		to.unattempted += int(l.left)
	}
	p.due.remove(l)
	l.dest, l.at, l.parked = to, t.now, false
	if l.promise == nil {
		p.due.put(l)
	}
	p.rest(from, t.now)
}

// DeliverNow makes recipients due at once, those of one domain or, where it is
// empty, all; a host that is down is tried again. For all it also forgets how
// much of recipient limits is used. It gives how many recipients that are.
func (q *Queue) DeliverNow(domain string) int {
	t := moment{q.steady(), q.policy.Load()}
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.plan.deliverNow(domain, t)
	q.signal()
	return n
}

func (p *plan) deliverNow(domain string, t moment) int {
	for _, d := range p.dests {
		if domain == "" {
			for _, used := range d.quotas {
				p.spent.remove(used)
			}
			d.quotas = nil
		}
		if domain == "" || d.domain == domain {
			d.retryDue = d.down
			p.enter(d, t)
		}
	}
	recipients := 0
	for _, it := range p.items {
		for i := range it.lots {
			l := &it.lots[i]
			if !l.holds(Selection{Domain: domain}) {
				continue
			}
			recipients += int(l.left)
			if l.pos >= 0 {
				p.due.remove(l)
				p.ready(l, t)
			}
		}
	}
	return recipients
}

// settled returns when all that was written is on stable storage, where the
// file system can tell; else it does not wait.
func (s *store) settled() error {
	if s.all == nil {
		return nil
	}
	if err := s.all.wait(s.all.now()); err != nil {
		return fmt.Errorf("syncing the queue: %w", err)
	}
	return nil
}

// oldest gives the message that came first, nil if there is none.
func (p *plan) oldest() *item {
	var oldest *item
	for _, it := range p.items {
		if oldest == nil || it.before(oldest) {
			oldest = it
		}
	}
	return oldest
}
