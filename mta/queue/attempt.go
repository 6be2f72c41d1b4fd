package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"esa/mta/bounce"
	"esa/mta/envelope"
)

// trial is one attempt of one lot.
type trial struct {
	q       *Queue
	lot     *lot
	item    *item
	rec     *record
	profile bounce.Profile
	waiting []int // indexes of the recipients that it is for
	rest    int   // recipients of the lot that a limit keeps from being tried now
}

// attempt settles what can be settled of a lot now.
func (q *Queue) attempt(ctx context.Context, l *lot) ending {
	rec, err := q.borrow(l.item, !l.deleted())
	defer q.giveBack(l.item)
	if err != nil {
		return q.unreadable(l, err)
	}
	t := &trial{
		q: q, lot: l, item: l.item, rec: rec,
		profile: q.policy.Load().Profile(&rec.message, l.dest.domain),
		waiting: rec.waiting(int(l.number)),
	}
	t.limit()
	switch {
	case l.sentence != nil:
		return t.settle(t.all(*l.sentence), false)
	case l.tried && bounce.Expired(t.profile, t.attempts(), t.age()):
		return t.settle(t.all(bounce.Expiry()), false)
	}
	if err := t.begin(); err != nil {
		return q.unreadable(l, err)
	}
	outcomes, crashed := t.deliver(ctx)
	if crashed != nil {
		return t.panicked(crashed)
	}
	return t.settle(outcomes, true)
}

// deleted reports whether the lot is to be deleted: its text does not matter.
func (l *lot) deleted() bool {
	return l.sentence != nil && l.sentence.Reason == envelope.ReasonDeleted
}

// borrow gives the record of a message: the one it was admitted with, or one
// that is read once for all attempts that run at the same time. The body of a message that was found at start is checked
// before its first attempt: nothing that was not accepted like that goes out.
func (q *Queue) borrow(it *item, check bool) (*record, error) {
	it.mu.Lock()
	defer it.mu.Unlock()
	it.users++
	if it.removed {
		return nil, os.ErrNotExist
	}
	if it.rec == nil {
		rec, err := q.store.read(it.mid)
		if err != nil {
			return nil, err
		}
		it.rec = rec
	}
	if check && !it.trusted {
		if err := q.store.check(it.mid, it.rec.body); err != nil {
			return nil, err
		}
		it.trusted = true
	}
	return it.rec, nil
}

func (q *Queue) giveBack(it *item) {
	it.mu.Lock()
	defer it.mu.Unlock()
	it.users--
	if it.users > 0 {
		return
	}
	q.store.releaseLocked(it)
	if len(it.unsaved) == 0 {
		it.rec = nil
	}
}

// release closes the file of a message that was kept open for its first
// attempt.
func (s *store) release(it *item) {
	it.mu.Lock()
	defer it.mu.Unlock()
	s.releaseLocked(it)
}

func (s *store) releaseLocked(it *item) {
	if it.rec != nil && it.rec.file != nil {
		s.letGo(it.rec.file, it.mid)
		it.rec.file = nil
	}
}

// unreadable ends an attempt that could not read its message.
func (q *Queue) unreadable(l *lot, err error) ending {
	it := l.item
	it.mu.Lock()
	known := it.removed
	gone := errors.Is(err, os.ErrNotExist) || errors.Is(err, errDamaged) || errors.Is(err, errDraft)
	it.removed = known || gone
	it.mu.Unlock()
	switch {
	case known:
	case errors.Is(err, os.ErrNotExist):
		q.fault(FaultDamaged, "message file vanished", it.mid, err)
		if err := q.store.forget(it.mid); err != nil {
			q.fault(FaultWrite, "removing journal without message", it.mid, err)
		}
	case gone:
		q.setAside(it.mid, err)
	default:
		q.fault(FaultRead, "reading message", it.mid, err)
		q.mu.Lock()
		defer q.mu.Unlock()
		return ending{left: int(l.left), delay: readAgain, suspect: l.suspect}
	}
	return ending{removed: true}
}

// age is how long the message is in the queue.
func (t *trial) age() time.Duration { return t.q.steady() - t.item.born }

// attempts is how many failed so far.
func (t *trial) attempts() int {
	most := 0
	for _, i := range t.waiting {
		most = max(most, t.rec.states[i].attempts)
	}
	return most
}

// entry begins a journal line about all recipients of the attempt.
func (t *trial) entry(event string) entry {
	e := entry{At: t.q.o.Clock(), Event: event, Alone: event == eventAttempt && t.lot.alone}
	for _, i := range t.waiting {
		e.RIDs = append(e.RIDs, t.rec.message.Recipients[i].RID)
	}
	return e
}

// note writes to the journal. What cannot be written is kept and written with
// the next line: a full disk stops no delivery, and doubles none while the
// process lives.
func (t *trial) note(entries ...entry) {
	t.item.mu.Lock()
	defer t.item.mu.Unlock()
	t.noteLocked(entries)
}

func (t *trial) noteLocked(entries []entry) {
	if t.item.removed || len(entries) == 0 {
		return
	}
	for _, e := range entries {
		t.rec.apply(e)
	}
	all := append(t.item.unsaved, entries...)
	t.item.noted = true
	err := t.q.store.note(t.item.mid, all)
	if err != nil {
		t.q.fault(FaultWrite, "writing journal", t.item.mid, err)
		t.item.unsaved = all
		return
	}
	t.item.unsaved = nil
}

// begin writes that an attempt is about to be made. An error says that the
// message is not there any more.
//
// After a crash from here to the outcome: mark or journal say that an attempt
// was begun; the recipients are tried again.
func (t *trial) begin() error {
	e := t.entry(eventAttempt)
	t.item.mu.Lock()
	defer t.item.mu.Unlock()
	if t.rec.touched || len(t.rec.lots) > 1 {
		t.noteLocked([]entry{e})
		return nil
	}
	var err error
	if t.rec.file != nil {
		err = markOpen(t.rec.file)
	} else {
		err = t.q.store.mark(t.item.mid)
	}
	switch {
	case err == nil:
		t.rec.apply(e)
	case errors.Is(err, os.ErrNotExist):
		return err
	default:
		t.q.fault(FaultWrite, "marking message", t.item.mid, err)
		t.noteLocked([]entry{e})
	}
	return nil
}

// deliver makes the attempt. A panic in it is this message's, not the
// gateway's.
func (t *trial) deliver(ctx context.Context) (outcomes []envelope.Outcome, crashed error) {
	job := envelope.Job{
		Message: &t.rec.message,
		Domain:  t.lot.dest.domain,
		Attempt: t.attempts() + 1,
		Via:     t.lot.via,
		Body:    t.body,
	}
	if t.lot.reins != nil {
		job.Cut = t.lot.reins.cutting
	}
	for _, i := range t.waiting {
		job.Recipients = append(job.Recipients, t.rec.message.Recipients[i])
	}
	defer func() {
		if v := recover(); v != nil {
			crashed = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return t.q.o.Courier.Deliver(ctx, job), nil
}

// body opens the message text for the courier.
func (t *trial) body() (io.ReadCloser, error) {
	if t.rec.file != nil {
		return openBody(t.rec.file, t.rec.body), nil
	}
	return t.q.store.body(t.item.mid)
}

// panicked ends an attempt that died of a fault of ours.
func (t *trial) panicked(crashed error) ending {
	q := t.q
	q.o.Diag.Error("queue: delivering", "mid", t.item.mid, "err", crashed)
	delay := bounce.NextDelay(t.profile, t.attempts()+1)
	e := t.entry(eventPanic)
	e.Next, e.Reason = q.o.Clock().Add(delay), envelope.ReasonLocal
	t.note(e)
	if _, guilty := t.rec.suspicion(int(t.lot.number)); guilty {
		t.item.mu.Lock()
		known := t.item.removed
		t.item.removed = true
		t.item.mu.Unlock()
		if !known {
			q.setAside(t.item.mid, errors.New("delivering it panicked three times"))
		}
		return ending{removed: true}
	}
	return ending{
		left: len(t.waiting) + t.rest, delay: delay, attempted: true, suspect: t.lot.suspect,
		expires: t.item.born + t.profile.MaxLifetime, ended: q.o.Clock(),
	}
}
