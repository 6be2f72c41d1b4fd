package mta

import (
	"time"

	"esa/mta/dane"
	"esa/mta/delivery"
	"esa/mta/envelope"
	"esa/mta/queue"
	"esa/mta/route"
	"esa/store"
)

// destinations are the destination controls, with everything that an entry
// leaves to the default filled in. A limit holds for each domain by itself,
// those that share an entry for .example.com or the default included.
type destinations struct {
	entries  map[string]store.Destination
	defaults store.Destination
}

func newDestinations(c *store.Config) destinations {
	d := destinations{entries: make(map[string]store.Destination, len(c.Destinations.Entries)), defaults: c.Destinations.Default}
	for _, e := range c.Destinations.Entries {
		d.entries[e.Domain] = e.Within(d.defaults)
	}
	return d
}

// find gives what holds for a recipient domain or address literal.
func (d destinations) find(domain string) store.Destination {
	if len(d.entries) == 0 {
		return d.defaults
	}
	key := route.Key(domain)
	if addr, ok := envelope.Literal(domain); ok {
		key = addr.Unmap().String()
	}
	if e, ok := route.Closest(d.entries, key); ok {
		return e
	}
	return d.defaults
}

// addressesOfDestination is how many addresses the queue expects one
// destination to have at most, where each has a limit of its own.
const addressesOfDestination = 20

// queueLimits are those that the queue holds to. Where each address has its
// own, delivery does, and the queue only keeps the attempts in bounds.
func queueLimits(d store.Destination) queue.Limits {
	l := queue.Limits{Concurrency: d.Concurrency, PerInterface: d.Place == store.EachInterface, TLS: tlsMode(d.TLS) != delivery.NoTLS || d.DANE.Wanted()}
	if d.Scope == store.EachMX {
		l.Concurrency *= addressesOfDestination
		return l
	}
	l.Recipients, l.Interval = d.RecipientLimit, minutes(d.RecipientMinutes)
	return l
}

func deliveryDestination(d store.Destination) delivery.Destination {
	to := delivery.Destination{MessagesPerConnection: d.MaxMessages, Family: family(d.Family), TLS: tlsMode(d.TLS), DANE: daneMode(d.DANE)}
	if d.Scope == store.EachMX {
		to.PerAddress = delivery.AddressLimits{
			Concurrency: d.Concurrency, Recipients: d.RecipientLimit, Interval: minutes(d.RecipientMinutes),
			PerInterface: d.Place == store.EachInterface,
		}
	}
	return to
}

func family(f store.FamilyOrder) route.Family {
	switch f {
	case store.RequireV6:
		return route.RequireV6
	case store.PreferV4:
		return route.PreferV4
	case store.RequireV4:
		return route.RequireV4
	default:
		return route.PreferV6
	}
}

func tlsMode(m store.TLSMode) delivery.TLSMode {
	switch m {
	case store.TLSPreferred:
		return delivery.PreferTLS
	case store.TLSPreferredVerify:
		return delivery.PreferVerified
	case store.TLSRequired:
		return delivery.RequireTLS
	case store.TLSRequiredVerify:
		return delivery.RequireVerified
	case store.TLSRequiredVerifyHosted:
		return delivery.RequireVerifiedHosted
	default:
		return delivery.NoTLS
	}
}

func daneMode(m store.DANEMode) dane.Mode {
	switch m {
	case store.DANEOpportunistic:
		return dane.Opportunistic
	case store.DANEMandatory:
		return dane.Mandatory
	default:
		return dane.Off
	}
}

func minutes(n int) time.Duration { return time.Duration(n) * time.Minute }
