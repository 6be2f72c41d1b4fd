package queue

import (
	"container/list"
	"sync"
	"time"

	"esa/mta/counters"
	"esa/mta/envelope"
)

// Tally is what became of the recipients of one destination since the start,
// or since it was last forgotten: destinations without activity for a day are,
// and of more than 10,000 those without for longest.
type Tally struct {
	Counts       map[counters.Name]int64 // the sums are not in it
	LastActivity time.Time               // zero: none
	Last5XX      envelope.Failure        // of the last recipient that a host refused for good; Code is 0 if none was
	Last5XXAt    time.Time
}

// HardBounced and Completed are the sums that the status page has too.
func (t Tally) HardBounced() int64 {
	return t.Counts[counters.DNSHardBouncedRecips] + t.Counts[counters.FiveXXHardBouncedRecips] + t.Counts[counters.FilterHardBouncedRecips] +
		t.Counts[counters.ExpiredHardBouncedRecips] + t.Counts[counters.OtherHardBouncedRecips]
}
func (t Tally) Completed() int64 {
	return t.HardBounced() + t.Counts[counters.DeliveredRecips] + t.Counts[counters.DeletedRecips]
}

// Bounds of what is remembered.
const (
	maxTallies = 10000
	keepTally  = 24 * time.Hour
)

// tallies keeps the tally of each destination. It has a lock of its own: nothing
// is decided by it.
type tallies struct {
	mu     sync.Mutex
	places map[string]*list.Element // of *page
	pages  list.List                // the last active first
}

type page struct {
	domain string
	tally  Tally
}

// count takes what verdicts mean for the numbers into the counters of the
// gateway and of the destination, so that the two agree.
func (t *trial) count(verdicts []verdict, tried bool) {
	found := Tally{Counts: map[counters.Name]int64{}, LastActivity: t.q.o.Clock()}
	for i := range verdicts {
		v := &verdicts[i]
		if v.soft != nil {
			found.Counts[counters.SoftBouncedEvts]++
		}
		why := v.out.Failure
		switch {
		case v.deleted():
			found.Counts[counters.DeletedRecips]++
		case v.out.Result == envelope.Delivered:
			found.Counts[counters.DeliveredRecips]++
		case v.out.Result == envelope.Bounced:
			kind := bounceCounter(why)
			found.Counts[kind]++
			if kind == counters.FiveXXHardBouncedRecips {
				why.Err = nil
				found.Last5XX, found.Last5XXAt = why, found.LastActivity
			}
		case tried:
			found.Counts[counters.SoftBouncedEvts]++
		}
	}
	for name, n := range found.Counts {
		t.q.o.Counters.Add(name, n)
	}
	t.q.tallies.add(t.lot.dest.domain, found)
}

// add books what was found of a destination, and forgets others that must
// make room or have had their time.
func (b *tallies) add(domain string, found Tally) {
	b.mu.Lock()
	defer b.mu.Unlock()
	place := b.places[domain]
	if place == nil {
		if b.places == nil {
			b.places = map[string]*list.Element{}
		}
		place = b.pages.PushFront(&page{domain: domain, tally: Tally{Counts: map[counters.Name]int64{}}})
		b.places[domain] = place
	}
	b.pages.MoveToFront(place)
	t := &place.Value.(*page).tally
	for name, n := range found.Counts {
		t.Counts[name] += n
	}
	t.LastActivity = found.LastActivity
	if found.Last5XX.Code != 0 {
		t.Last5XX, t.Last5XXAt = found.Last5XX, found.Last5XXAt
	}
	b.forgetLocked(found.LastActivity)
}

func (b *tallies) forgetLocked(now time.Time) {
	for back := b.pages.Back(); back != nil; back = b.pages.Back() {
		p := back.Value.(*page)
		if b.pages.Len() <= maxTallies && now.Sub(p.tally.LastActivity) < keepTally {
			return
		}
		b.pages.Remove(back)
		delete(b.places, p.domain)
	}
}

// all gives copies of the tallies by domain.
func (b *tallies) all(now time.Time) map[string]Tally {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forgetLocked(now)
	all := make(map[string]Tally, len(b.places))
	for domain, place := range b.places {
		t := place.Value.(*page).tally
		counts := make(map[counters.Name]int64, len(t.Counts))
		for name, n := range t.Counts {
			counts[name] = n
		}
		t.Counts = counts
		all[domain] = t
	}
	return all
}

// Host is a destination with its tally.
type Host struct {
	Destination
	Tally
	Known bool // mail waits for it, or it is remembered; Up is as of the last attempt only then
}

// Hosts lists the destinations that have mail or are remembered, in no
// particular order.
func (q *Queue) Hosts() []Host {
	remembered := q.tallies.all(q.o.Clock())
	var hosts []Host
	for _, d := range q.Destinations() {
		hosts = append(hosts, Host{Destination: d, Tally: remembered[d.Domain], Known: true})
		delete(remembered, d.Domain)
	}
	for domain, t := range remembered {
		hosts = append(hosts, Host{Destination: Destination{Domain: domain, Up: true}, Tally: t, Known: true})
	}
	return hosts
}

// Host gives one destination and its oldest message. It is not Known if there
// is no mail for it and none was lately.
func (q *Queue) Host(domain string) (Host, Oldest) {
	found := Host{Destination: Destination{Domain: domain}}
	for _, h := range q.Hosts() {
		if h.Domain == domain {
			found = h
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	found.Suspended = q.plan.suspended.holds(domain)
	var oldest *item
	for _, it := range q.plan.items {
		for i := range it.lots {
			if l := &it.lots[i]; l.left > 0 && l.dest.domain == domain && (oldest == nil || it.before(oldest)) {
				oldest = it
			}
		}
	}
	if oldest == nil {
		return found, Oldest{}
	}
	return found, Oldest{MID: oldest.mid, Received: time.Unix(oldest.received, 0)}
}

// before reports whether a message came before another.
func (it *item) before(other *item) bool {
	return it.received < other.received || it.received == other.received && it.mid < other.mid
}
