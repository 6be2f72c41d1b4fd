package mta

import (
	"context"
	"io"

	"esa/mta/envelope"
	"esa/mta/queue"
)

// What operators do to queued mail (queue/act.go says what happens). Offline
// nothing can be done to it. An act that the end of the gateway stopped wraps
// queue.ErrClosed.

// EachMail reads the queued messages that have recipients of a selection.
func (g *Gateway) EachMail(s queue.Selection, visit func(queue.Entry) bool) error {
	if g.live == nil {
		return ErrOffline
	}
	return g.live.queue.Each(s, visit)
}

// Mail gives one queued message and its text, which the caller closes.
func (g *Gateway) Mail(m envelope.MID) (queue.Entry, io.ReadCloser, error) {
	if g.live == nil {
		return queue.Entry{}, nil, ErrOffline
	}
	return g.live.queue.Message(m)
}

// DeleteMail deletes recipients of a selection.
func (g *Gateway) DeleteMail(ctx context.Context, s queue.Selection, p queue.Progress) (queue.Acted, error) {
	if g.live == nil {
		return queue.Acted{}, ErrOffline
	}
	return g.live.queue.Delete(ctx, s, p)
}

// BounceMail bounces them.
func (g *Gateway) BounceMail(ctx context.Context, s queue.Selection, p queue.Progress) (queue.Acted, error) {
	if g.live == nil {
		return queue.Acted{}, ErrOffline
	}
	return g.live.queue.Bounce(ctx, s, p)
}

// RedirectMail sends all queued mail to a machine.
func (g *Gateway) RedirectMail(ctx context.Context, to envelope.Machine, p queue.Progress) (queue.Acted, error) {
	if g.live == nil {
		return queue.Acted{}, ErrOffline
	}
	return g.live.queue.Redirect(ctx, to, p)
}

// DeliverNow schedules mail for a domain, or all where it is empty, at once,
// and gives how many recipients that are. For all, the counters of recipient
// limits begin anew.
func (g *Gateway) DeliverNow(domain string) (recipients int, err error) {
	if g.live == nil {
		return 0, ErrOffline
	}
	if domain == "" {
		g.live.client.ForgetRecipients()
	}
	return g.live.queue.DeliverNow(domain), nil
}

// Working gives how many connections are at work for each destination that
// has any.
func (g *Gateway) Working() map[string]int {
	if g.live == nil {
		return nil
	}
	return g.live.client.Working()
}
