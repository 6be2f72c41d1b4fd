package counters

import (
	"time"

	"esa/mta/envelope"
)

// Name is one counter of the status commands (reference 3.2).
type Name int

// The counters in the order of the status page.
const (
	InjMsgs Name = iota
	InjRecips
	GenBounceRecips
	RejectedRecips
	DroppedMsgs
	SoftBouncedEvts
	CompletedRecips   // sum of hard bounced, delivered and deleted
	HardBouncedRecips // sum of the five below
	DNSHardBouncedRecips
	FiveXXHardBouncedRecips
	FilterHardBouncedRecips
	ExpiredHardBouncedRecips
	OtherHardBouncedRecips
	DeliveredRecips
	DeletedRecips
	DNSRequests // from here on those of dnsstatus, which the XML status does not have
	DNSNetworkRequests
	DNSCacheHits
	DNSCacheMisses
	DNSCacheExceptions
	DNSCacheExpired
	numNames
)

// String gives the name as the XML status has it.
func (n Name) String() string {
	return [numNames]string{
		"inj_msgs", "inj_recips", "gen_bounce_recips", "rejected_recips", "dropped_msgs", "soft_bounced_evts",
		"completed_recips", "hard_bounced_recips", "dns_hard_bounced_recips", "5xx_hard_bounced_recips",
		"filter_hard_bounced_recips", "expired_hard_bounced_recips", "other_hard_bounced_recips",
		"delivered_recips", "deleted_recips",
		"dns_requests", "dns_network_requests", "dns_cache_hits", "dns_cache_misses", "dns_cache_exceptions", "dns_cache_expired",
	}[n]
}

// Value is one counter in its three columns: since the last reset, since this
// process started, since ever.
type Value struct {
	Reset, Uptime, Lifetime int64
}

// Snapshot is the counters at one moment.
type Snapshot struct {
	Counters  [numNames]Value // index: Name
	MID       envelope.MID    // given out last
	ICID      envelope.ICID
	DCID      envelope.DCID
	Started   time.Time // of this process
	LastReset time.Time // zero: never
}

// Snapshot reads all counters.
func (c *Counters) Snapshot() Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Snapshot{
		MID:     envelope.MID(c.ids[mids].last.Load()),
		ICID:    envelope.ICID(c.ids[icids].last.Load()),
		DCID:    envelope.DCID(c.ids[dcids].last.Load()),
		Started: c.started, LastReset: c.resetAt,
	}
	for i := range s.Counters {
		up := c.sinceStart(Name(i))
		life := c.base[i] + up
		s.Counters[i] = Value{Reset: life - c.reset[i], Uptime: up, Lifetime: life}
	}
	s.sum(HardBouncedRecips, DNSHardBouncedRecips, FiveXXHardBouncedRecips, FilterHardBouncedRecips,
		ExpiredHardBouncedRecips, OtherHardBouncedRecips)
	s.sum(CompletedRecips, HardBouncedRecips, DeliveredRecips, DeletedRecips)
	return s
}

// sum sets one counter to the sum of its parts.
func (s *Snapshot) sum(total Name, parts ...Name) {
	var v Value
	for _, p := range parts {
		v.Reset += s.Counters[p].Reset
		v.Uptime += s.Counters[p].Uptime
		v.Lifetime += s.Counters[p].Lifetime
	}
	s.Counters[total] = v
}
