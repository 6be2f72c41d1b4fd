package smtpd

import (
	"context"
	"slices"
	"time"
)

// Suspension says which listeners take no mail.
type Suspension struct {
	All       bool
	Listeners []string // by name
}

func (s Suspension) holds(listener string) bool {
	return s.All || slices.Contains(s.Listeners, listener)
}

// Suspend puts a suspension in the place of the one before. Who connects to
// a suspended listener is answered 421 and may come later. Its open sessions are
// answered so when they wait with no message under way; the others go on to
// the end of their message, see AwaitIdle.
func (srv *Server) Suspend(s Suspension) {
	s.Listeners = slices.Clone(s.Listeners)
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.suspended = s
	for w, listener := range srv.wires {
		if s.holds(listener) {
			w.wake()
		}
	}
}

// AwaitIdle returns when the sessions that suspended listeners have now are
// over. Those that are not when grace has passed are cut. It ends early with
// ctx, and gives how many are left then.
func (srv *Server) AwaitIdle(ctx context.Context, grace time.Duration) (left int) {
	open := srv.sessionsSuspended()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	for len(open) > 0 {
		select {
		case <-open[0].gone:
			open = open[1:]
		case <-timer.C:
			for _, w := range open {
				w.abandon()
			}
		case <-ctx.Done():
			return len(srv.sessionsSuspended())
		}
	}
	return 0
}

func (srv *Server) sessionsSuspended() []*wire {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	var open []*wire
	for w, listener := range srv.wires {
		if srv.suspended.holds(listener) {
			open = append(open, w)
		}
	}
	return open
}
