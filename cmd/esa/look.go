package main

import (
	"context"
	"time"

	"esa/commands"
	"esa/mta"
	"esa/mta/counters"
	"esa/mta/delivery"
	"esa/mta/envelope"
	"esa/mta/queue"
)

// lookView is the gateway at work as commands see it.
type lookView struct{ gateway *mta.Gateway }

func (l lookView) Hosts() ([]commands.Host, error) {
	found, err := l.gateway.Hosts()
	if err != nil {
		return nil, readable(err)
	}
	hosts, working := make([]commands.Host, len(found)), l.gateway.Working()
	for i, h := range found {
		hosts[i] = hostView(h, working)
	}
	return hosts, nil
}

func hostView(h queue.Host, working map[string]int) commands.Host {
	state := "down"
	switch {
	case !h.Known || h.Up && h.LastActivity.IsZero():
		state = "unknown"
	case h.Up:
		state = "up"
	}
	view := commands.Host{
		Domain: h.Domain, State: state, Active: h.ActiveRecipients, Unattempted: h.UnattemptedRecipients,
		Attempted: h.ActiveRecipients - h.UnattemptedRecipients, Outbound: working[h.Domain], Pending: max(0, h.Running-working[h.Domain]),
		Counters: map[string]int64{
			counters.HardBouncedRecips.String(): h.HardBounced(),
			counters.CompletedRecips.String():   h.Completed(),
		},
	}
	for name, n := range h.Counts {
		view.Counters[name.String()] = n
	}
	return view
}

func (l lookView) Host(ctx context.Context, domain string) (commands.HostDetail, error) {
	h, err := l.gateway.Host(ctx, domain)
	if err != nil {
		return commands.HostDetail{}, readable(err)
	}
	view := commands.HostDetail{
		Host: hostView(h.Host, l.gateway.Working()), Suspended: h.Suspended, Oldest: h.Oldest.Received, LastActivity: h.LastActivity, NextAttempt: h.NextAttempt, Limited: h.Limited,
		Last: h.Last, LastAt: h.LastAt, Last5XX: h.Last5XX, Last5XXAt: h.Last5XXAt,
		Route: h.Route, MX: h.MX, Expires: h.Expires,
	}
	for _, a := range h.Addresses {
		view.Addresses = append(view.Addresses, commands.HostAddresses(a))
	}
	return view, nil
}

func (l lookView) Peers() ([]commands.Peer, error) {
	found, err := l.gateway.Peers()
	peers := make([]commands.Peer, len(found))
	for i, p := range found {
		peers[i] = commands.Peer(p)
	}
	return peers, readable(err)
}

func (l lookView) ResetCounters() (time.Time, error) {
	at, err := l.gateway.ResetCounters()
	return at, readable(err)
}

func (l lookView) FlushDNS() error { return readable(l.gateway.FlushDNS()) }

func (l lookView) QueryDNS(ctx context.Context, name, queryType string) (commands.Records, error) {
	answer, err := l.gateway.QueryDNS(ctx, name, queryType)
	view := commands.Records{Answer: answer.Answer}
	for _, r := range answer.Records {
		view.Records = append(view.Records, commands.Record(r))
	}
	return view, readable(err)
}

func (l lookView) TryTLS(ctx context.Context, t commands.TLSTrial, w commands.TLSWitness) (bool, *envelope.Failure, error) {
	passed, f, err := l.gateway.TryTLS(ctx, delivery.Trial(t), w)
	return passed, f, readable(err)
}

// wait lets time pass until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
