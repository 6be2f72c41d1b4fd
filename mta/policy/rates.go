package policy

import (
	"cmp"
	"container/list"
	"net/netip"
	"time"
)

// Meter counts events of each key in windows: one begins with the first event
// and ends after its time, as an ESA's injection counters do. It holds at most
// as many keys as it was made for; beyond them the window that began first is
// forgotten. A Meter is for one goroutine at a time.
type Meter[K comparable] struct {
	most    int
	windows map[K]*list.Element
	order   *list.List // of *window[K], by begin
}

type window[K comparable] struct {
	key  K
	ends time.Time
	n    int
}

// NewMeter makes a Meter for at most so many keys.
func NewMeter[K comparable](most int) *Meter[K] {
	return &Meter[K]{most: most, windows: map[K]*list.Element{}, order: list.New()}
}

// Count gives how many events the window of k has.
func (m *Meter[K]) Count(k K, now time.Time) int {
	if e := m.windows[k]; e != nil {
		if w := e.Value.(*window[K]); now.Before(w.ends) {
			return w.n
		}
	}
	return 0
}

// Add counts one event of k. A window that begins with it lasts so long.
func (m *Meter[K]) Add(k K, now time.Time, lasts time.Duration) {
	e := m.windows[k]
	if e != nil && now.Before(e.Value.(*window[K]).ends) {
		e.Value.(*window[K]).n++
		return
	}
	if e != nil {
		m.drop(e)
	}
	m.makeRoom(now)
	m.windows[k] = m.order.PushBack(&window[K]{key: k, ends: now.Add(lasts), n: 1})
}

// Keys gives how many windows are remembered.
func (m *Meter[K]) Keys() int { return len(m.windows) }

// makeRoom forgets windows that are over, from the oldest, and the oldest in
// any case when there is no room.
func (m *Meter[K]) makeRoom(now time.Time) {
	for e := m.order.Front(); e != nil; e = m.order.Front() {
		if now.Before(e.Value.(*window[K]).ends) && len(m.windows) < m.most {
			return
		}
		m.drop(e)
	}
}

func (m *Meter[K]) drop(e *list.Element) {
	delete(m.windows, e.Value.(*window[K]).key)
	m.order.Remove(e)
}

// mostKeys bounds each table of a Rates: about 20 MB when all are full.
const mostKeys = 50_000

// Rates keeps the books for the limits per hour and per envelope sender. It is
// for one goroutine at a time.
type Rates struct {
	hosts     *Meter[hostKey]
	harvests  *Meter[hostKey]
	addresses *Meter[senderKey]
}

// NewRates makes empty books.
func NewRates() *Rates {
	return &Rates{NewMeter[hostKey](mostKeys), NewMeter[hostKey](mostKeys), NewMeter[senderKey](mostKeys)}
}

type hostKey struct {
	listener string
	hosts    netip.Prefix
}

type senderKey struct{ listener, sender string }

// Source is where a recipient comes from.
type Source struct {
	Listener string
	Addr     netip.Addr
	Sender   string // the key of the envelope sender, empty for the null sender
	Exempt   bool   // from the rate of envelope senders
	// Window is how long the counts per hour are kept; 0 is an hour.
	Window time.Duration
}

func (s Source) window() time.Duration { return cmp.Or(s.Window, time.Hour) }

// Excess is a limit that a recipient would go beyond.
type Excess int

const (
	WithinLimits Excess = iota
	HostRate            // recipients per hour of a host
	SenderLimit         // recipients of an envelope sender
)

// Recipient counts an acceptable recipient where every limit leaves room for
// it; otherwise it names the first that does not, and counts nothing. Null
// senders have no rate: bounces of all the world share that name.
func (r *Rates) Recipient(p Params, s Source, now time.Time) Excess {
	host, sender := hostKey{s.Listener, p.group(s.Addr)}, senderKey{s.Listener, s.Sender}
	rated := p.SenderRate.Most > 0 && s.Sender != "" && !s.Exempt
	if p.MaxPerHour > 0 && r.hosts.Count(host, now) >= p.MaxPerHour {
		return HostRate
	}
	if rated && r.addresses.Count(sender, now) >= p.SenderRate.Most {
		return SenderLimit
	}
	if p.MaxPerHour > 0 {
		r.hosts.Add(host, now, s.window())
	}
	if rated {
		r.addresses.Add(sender, now, p.SenderRate.Every)
	}
	return WithinLimits
}

// Invalid counts a recipient that does not exist, for the prevention of
// directory harvests.
func (r *Rates) Invalid(p Params, s Source, now time.Time) {
	if p.MaxInvalid > 0 {
		r.harvests.Add(hostKey{s.Listener, p.group(s.Addr)}, now, s.window())
	}
}

// Harvests reports whether the host has asked for too many recipients that do
// not exist.
func (r *Rates) Harvests(p Params, s Source, now time.Time) bool {
	return p.MaxInvalid > 0 && r.harvests.Count(hostKey{s.Listener, p.group(s.Addr)}, now) >= p.MaxInvalid
}

// group gives the hosts that share the counts of one: those alike in the
// significant bits. Hosts with IPv6 have a network of 64 bits to themselves
// and are counted by it, or else one host would be beyond all counting.
func (p Params) group(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 64
	if addr.Is4() {
		bits = 32
		if p.SignificantBits > 0 {
			bits = min(p.SignificantBits, 32)
		}
	}
	prefix, _ := addr.Prefix(bits) // it cannot fail: the address has that many
	return prefix
}
