package queue

import (
	"cmp"
	"slices"
	"time"
)

// Recipients per interval: a domain has a quota, counted from the first
// attempt on. What is left of it when an attempt begins bounds the recipients
// of that attempt; the others of its lot follow when the interval is over.
// What no host was asked about is given back. Quotas are not on disk: a
// restart begins a new interval.

// quota is how much of a recipient limit is used, for one interface or all.
type quota struct {
	dest  *destination
	from  string // the interface; empty: all together
	used  int
	until time.Duration
	pos   int32 // in the timetable, -1: not there
}

func (q *quota) when() time.Duration { return q.until }
func (q *quota) place() *int32       { return &q.pos }

func (q *quota) left(l Limits) int { return max(0, l.Recipients-q.used) }

// limits gives the limits of a domain with their factory values.
func (p *Policy) limits(domain string) Limits {
	l := p.Limits(domain)
	l.Concurrency = cmp.Or(max(0, l.Concurrency), defaultDestinationConcurrency)
	return l
}

// begin counts an attempt that starts.
func (d *destination) begin(l *lot, t moment) {
	d.running++
	l.from, l.share = t.policy.Interface, 0
	if d.begun == nil {
		d.begun = map[string]int{}
	}
	d.begun[l.from]++
}

func (d *destination) end(l *lot) {
	d.running--
	if d.begun[l.from]--; d.begun[l.from] == 0 {
		delete(d.begun, l.from)
	}
}

// counted is how many attempts the concurrency limit sees: all, or those that
// leave by the interface of the next one.
func (d *destination) counted(l Limits, t moment) int {
	if l.PerInterface {
		return d.begun[t.policy.Interface]
	}
	return d.running
}

// countedBy is the interface whose attempts count together with one that starts
// now; empty: all do.
func (l Limits) countedBy(t moment) string {
	if l.PerInterface {
		return t.policy.Interface
	}
	return ""
}

// quota gives what counts for an attempt that starts now, fresh if its
// interval is over.
func (d *destination) quota(l Limits, t moment) *quota {
	from := l.countedBy(t)
	n := slices.IndexFunc(d.quotas, func(q *quota) bool { return q.from == from })
	if n < 0 {
		n = len(d.quotas)
		d.quotas = append(d.quotas, &quota{dest: d, from: from, pos: -1})
	}
	q := d.quotas[n]
	if q.until <= t.now {
		q.used, q.until = 0, t.now+l.Interval
	}
	return q
}

// take uses up the recipients of an attempt that begins, or of as many of them
// as are allowed.
func (p *plan) take(l *lot, t moment) {
	limits := t.policy.limits(l.dest.domain)
	if limits.Recipients <= 0 {
		return
	}
	q := l.dest.quota(limits, t)
	if q.used == 0 {
		q.until = t.now + limits.Interval
	}
	l.interval = q.until
	l.share = min(l.left, int32(min(q.left(limits), lotSize)))
	q.used += int(l.share)
}

// exhausted gives the quota that keeps attempts from beginning, nil if none
// does.
func (d *destination) exhausted(t moment) *quota {
	l := t.policy.limits(d.domain)
	if l.Recipients <= 0 {
		return nil
	}
	if q := d.quota(l, t); q.left(l) == 0 {
		return q
	}
	return nil
}

// heldUntil gives when a recipient limit that is used up lets attempts begin
// again, on the steady clock; 0 where none keeps them back. It changes nothing.
func (d *destination) heldUntil(t moment) time.Duration {
	l := t.policy.limits(d.domain)
	if l.Recipients <= 0 {
		return 0
	}
	from := l.countedBy(t)
	for _, q := range d.quotas {
		if q.from == from && q.until > t.now && q.left(l) == 0 {
			return q.until
		}
	}
	return 0
}

// refund gives back what an attempt that ended has not used.
func (p *plan) refund(l *lot, e ending, t moment) {
	if l.share == 0 || e.attempted && e.reached {
		return
	}
	for _, q := range l.dest.quotas {
		if (q.from == l.from || q.from == "") && q.until == l.interval && q.until > t.now {
			q.used = max(0, q.used-int(l.share))
		}
	}
}

// owes reports whether a quota of d is in use, so that d must be remembered.
func (d *destination) owes(now time.Duration) bool {
	return slices.ContainsFunc(d.quotas, func(q *quota) bool { return q.used > 0 && q.until > now })
}

// limit leaves only as many recipients in an attempt as its share allows:
// those that were tried least.
func (t *trial) limit() {
	share := int(t.lot.share)
	if share == 0 || share >= len(t.waiting) {
		return
	}
	slices.SortStableFunc(t.waiting, func(a, b int) int {
		return cmp.Compare(t.rec.states[a].attempts, t.rec.states[b].attempts)
	})
	t.rest = len(t.waiting) - share
	t.waiting = t.waiting[:share]
	slices.Sort(t.waiting)
}
