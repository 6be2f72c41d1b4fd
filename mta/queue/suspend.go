package queue

import (
	"context"
	"slices"
	"time"
)

// Suspension says to whom nothing is delivered. Mail for them is taken and
// waits; it is not given up for its age before it was tried once more.
type Suspension struct {
	All     bool
	Domains []string // lower case
}

func (s Suspension) holds(domain string) bool { return s.All || slices.Contains(s.Domains, domain) }

// Suspend puts a suspension in the place of the one before. Attempts under way
// go on, see AwaitIdle; what was suspended and is not any more may start at
// once.
func (q *Queue) Suspend(s Suspension) {
	s.Domains = slices.Clone(s.Domains)
	t := moment{q.steady(), q.policy.Load()}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.plan.suspend(s, t)
	q.signal()
}

func (p *plan) suspend(s Suspension, t moment) {
	p.suspended = s
	for _, d := range p.dests {
		was := d.suspended
		d.suspended = s.holds(d.domain)
		if !was || d.suspended {
			continue
		}
		for l := d.head; l != nil; l = l.next {
			l.tried = false // its time ran out while nobody tried
		}
		p.enter(d, t)
	}
}

// AwaitIdle returns when no attempt is under way for what is suspended. Those
// that are when grace is over are cut: their next hops may have the message,
// and get it again. It ends early with ctx, and gives how many are left then.
func (q *Queue) AwaitIdle(ctx context.Context, grace time.Duration) (left int) {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	for {
		left, moved := q.workingSuspended()
		if left == 0 {
			return 0
		}
		select {
		case <-moved:
		case <-timer.C:
			q.cutSuspended()
		case <-ctx.Done():
			return left
		}
	}
}

// workingSuspended counts the attempts for suspended destinations and gives
// what is closed when one has ended.
func (q *Queue) workingSuspended() (int, <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for l := range q.plan.working {
		if l.dest.suspended {
			n++
		}
	}
	if q.plan.moved == nil {
		q.plan.moved = make(chan struct{})
	}
	return n, q.plan.moved
}

func (q *Queue) cutSuspended() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for l := range q.plan.working {
		if l.dest.suspended && l.reins != nil {
			l.reins.cut()
		}
	}
}
