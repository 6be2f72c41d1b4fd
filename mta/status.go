package mta

import (
	"errors"
	"time"

	"esa/mta/counters"
	"esa/mta/queue"
)

// Status is the gateway at one moment.
type Status struct {
	At        time.Time
	Running   bool // false offline: the rest is empty
	Counters  counters.Snapshot
	Queue     queue.Stats
	Inbound   int // connections
	Outbound  int
	Full      bool       // no mail is taken for want of space
	Possible  int64      // recipients that "Possible Delivery" counted as delivered, since the start
	Suspended Suspension // AllListeners also where each of them is named
	Unbound   []string   // listeners that could not be bound at start, with the reason
	NoSSH     []string   // SSH ports that could not, likewise
}

// Status tells how the gateway does.
func (g *Gateway) Status() Status {
	s := Status{At: g.Clock(), Running: g.live != nil}
	if g.live == nil {
		return s
	}
	s.Counters = g.live.counters.Snapshot()
	s.Queue = g.live.queue.Stats()
	s.Inbound = g.live.server.Connections()
	s.Full = errors.Is(s.Queue.Refusing, queue.ErrNoSpace)
	sending := g.live.client.Stats()
	s.Outbound, s.Possible = sending.Open+g.live.courier.Stats().Open, sending.Possible
	s.Suspended = g.Suspended()
	s.Suspended.AllListeners = s.Suspended.AllListeners || g.current.Load().allNamed(s.Suspended.Listeners)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range bindProblems(g.current.Load(), g.unbound) {
		if isConsole(p) {
			s.NoSSH = append(s.NoSSH, p.Place+": "+p.Text)
		} else {
			s.Unbound = append(s.Unbound, p.Place+": "+p.Text)
		}
	}
	return s
}
