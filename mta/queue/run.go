package queue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"esa/mta/envelope"
)

// readers is how many files are read at once at start.
const readers = 8

// readAgain is how long a file waits that could not be read for a reason
// that may pass, such as too many open files.
const readAgain = time.Minute

// Run reads the queue in the background and makes attempts when they are due.
// It returns when ctx has ended and the attempts underway with it. It runs
// once.
func (q *Queue) Run(ctx context.Context) error {
	q.mu.Lock()
	if q.running || q.closed {
		q.mu.Unlock()
		return errors.New("running queue: it runs already or is closed")
	}
	q.running = true
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		q.running = false
		q.mu.Unlock()
	}()
	q.workers.Go(func() { q.recover(ctx) })
	q.schedule(ctx)
	q.mu.Lock()
	q.ending = true
	q.mu.Unlock()
	q.workers.Wait()
	return nil
}

// longest is how long the scheduler waits for nothing.
const longest = time.Hour

// schedule starts attempts that no other attempt's end has started.
func (q *Queue) schedule(ctx context.Context) {
	timer := time.NewTimer(longest)
	defer timer.Stop()
	for ctx.Err() == nil {
		now := q.steady()
		q.mu.Lock()
		started := q.plan.start(moment{now, q.policy.Load()})
		q.alarm = now + longest
		if at, some := q.plan.next(); some {
			q.alarm = at
		}
		wait := q.alarm - now
		q.mu.Unlock()
		for _, l := range started {
			q.workers.Go(func() { q.work(ctx, l) })
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-q.wake:
		case <-timer.C:
		}
	}
}

// work makes attempts, one after the other, while something is due when one has
// ended. What else is due then goes to others.
func (q *Queue) work(ctx context.Context, l *lot) {
	for l != nil {
		started := q.turn(ctx, l, q.driven(ctx, l))
		if l = nil; len(started) > 0 {
			l = started[0]
		}
		for _, other := range started[min(1, len(started)):] {
			q.workers.Go(func() { q.work(ctx, other) })
		}
	}
}

// driven makes an attempt that operators can end early.
func (q *Queue) driven(ctx context.Context, l *lot) ending {
	// The end of ctx is no cut: a next hop that has the message has time to say so.
	cutting, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(cutting, stop)()
	q.mu.Lock()
	l.reins = &reins{stop, cut, cutting}
	if l.promise != nil { // an operator's act came before there were reins
		stop()
	}
	q.mu.Unlock()
	return q.attempt(ctx, l)
}

// turn takes the end of an attempt into account and starts what may begin now.
// The scheduler is woken only for what is due before it wakes by itself.
func (q *Queue) turn(ctx context.Context, l *lot, e ending) []*lot {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := moment{q.steady(), q.policy.Load()}
	q.plan.finish(l, e, t)
	if ctx.Err() != nil {
		return nil
	}
	started := q.plan.start(t)
	if at, some := q.plan.next(); some && at < q.alarm {
		q.signal()
	}
	return started
}

// recover reads what was found at start, the oldest first.
func (q *Queue) recover(ctx context.Context) {
	for _, m := range q.store.orphans {
		if err := q.store.forget(m); err != nil {
			q.fault(FaultWrite, "removing journal without message", m, err)
		}
	}
	found := q.store.found
	q.store.found, q.store.orphans = nil, nil
	for {
		found = q.readAll(ctx, found)
		if len(found) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(readAgain):
		}
	}
}

// readAll reads these messages and gives those that should be read again.
func (q *Queue) readAll(ctx context.Context, found []envelope.MID) []envelope.MID {
	var (
		work  sync.WaitGroup
		mu    sync.Mutex
		again []envelope.MID
	)
	mids := make(chan envelope.MID)
	for range readers {
		work.Go(func() {
			for m := range mids {
				if !q.readFound(m) {
					mu.Lock()
					again = append(again, m)
					mu.Unlock()
				}
			}
		})
	}
	for _, m := range found {
		if ctx.Err() != nil {
			break
		}
		mids <- m
	}
	close(mids)
	work.Wait()
	return again
}

// readFound reads one message that was found at start. It is false if that
// should be tried again.
func (q *Queue) readFound(m envelope.MID) bool {
	rec, err := q.store.read(m)
	switch {
	case err == nil:
		q.found(rec)
	case errors.Is(err, errDraft):
		// Begun and never committed: nobody was told 250.
		if !errors.Is(err, errSpare) {
			q.o.Diag.Info("queue: unfinished message removed", "mid", m)
		}
		if err := q.store.done(m, true); err != nil {
			q.fault(FaultWrite, "removing unfinished message", m, err)
		}
	case errors.Is(err, errDamaged):
		q.setAside(m, err)
	case errors.Is(err, ErrNewer):
		q.fault(FaultRead, "message left alone", m, err)
		q.mu.Lock()
		q.plan.unreadable++
		q.mu.Unlock()
	case errors.Is(err, os.ErrNotExist):
		q.fault(FaultDamaged, "message file vanished", m, err)
	default:
		q.fault(FaultRead, "reading message", m, err)
		return false
	}
	q.mu.Lock()
	q.plan.unread--
	q.mu.Unlock()
	return true
}

// found schedules a message that was found at start.
func (q *Queue) found(rec *record) {
	m := &rec.message
	if rec.damaged > 0 {
		q.o.Diag.Warn("queue: journal lines do not check", "mid", m.MID, "lines", rec.damaged)
	}
	left := 0
	for n := range rec.lots {
		left += len(rec.waiting(n))
		if _, guilty := rec.suspicion(n); guilty {
			q.setAside(m.MID, errors.New("delivering it ended the process three times"))
			return
		}
	}
	if left > 0 {
		q.admit(rec, false)
		return
	}
	// The process died between the last outcome and the removal: perhaps
	// before the log had its last line.
	q.o.Log.Finished(m.MID)
	if err := q.store.done(m.MID, true); err != nil {
		q.fault(FaultWrite, "removing finished message", m.MID, err)
	}
}

// setAside moves a message out of the queue, for a person to look at.
func (q *Queue) setAside(m envelope.MID, why error) {
	err := q.store.aside(m)
	if err != nil {
		err = fmt.Errorf("and could not be moved: %w", err)
	}
	q.fault(FaultDamaged, "message set aside", m, errors.Join(why, err))
	q.o.Log.SetAside(m, why.Error())
	q.mu.Lock()
	q.plan.damaged++
	q.mu.Unlock()
}

// admit schedules a message. A fresh one was committed by this process; of
// others the body is checked before the first attempt, and the times on disk
// are brought within what the profile allows (R17).
func (q *Queue) admit(rec *record, fresh bool) {
	m := &rec.message
	policy := q.policy.Load()
	now, wall := q.steady(), q.o.Clock()
	it := &item{
		mid: m.MID, size: m.Size, received: m.Received.Unix(), trusted: fresh, noted: !fresh, born: now,
		lots: make([]lot, 0, len(rec.lots)),
	}
	if !fresh {
		it.born = now - max(0, wall.Sub(m.Received))
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for n := range rec.lots {
		open := rec.waiting(n)
		if len(open) == 0 {
			continue
		}
		domain, via := m.Recipients[open[0]].Address.Domain, rec.states[open[0]].via
		if via != nil {
			domain = via.Domain()
		}
		p := policy.Profile(m, domain)
		l := lot{item: it, number: int32(n), left: int32(len(open)), at: now + p.MaxRetry, expires: it.born + p.MaxLifetime, pos: -1, via: via}
		l.dest = q.plan.destination(domain)
		for _, i := range open {
			s := &rec.states[i]
			l.attempted = l.attempted || s.attempts+s.open > 0
			wait := time.Duration(0)
			if !s.next.IsZero() {
				wait = max(0, s.next.Sub(wall))
			}
			l.at = min(l.at, now+wait)
		}
		l.suspect, _ = rec.suspicion(n)
		it.lots = append(it.lots, l)
	}
	if fresh {
		q.plan.keep(it, rec, moment{q.steady(), q.policy.Load()})
	}
	if rec.file != nil && !it.held {
		q.store.letGo(rec.file, it.mid)
		rec.file = nil
	}
	q.plan.add(it)
	q.signal()
}
