package alert

import (
	"context"
	"errors"
	"time"

	"esa/mta/envelope"
)

// maxPause bounds how long Run sleeps: a clock that was moved is noticed after
// it, and so is a certificate that comes to its end.
const maxPause = 10 * time.Minute

// Run mails alerts until ctx ends and the attempts under way with it. What
// waits then is in the file. It runs once.
func (a *Alerts) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		timer.Reset(a.pass(ctx))
		select {
		case <-ctx.Done():
		case <-a.wake:
		case <-timer.C:
		}
	}
	a.senders.Wait()
	a.save(a.collect())
}

// Close saves what was raised after Run had ended. What is raised later is lost.
func (a *Alerts) Close() { a.save(a.collect()) }

// pass does all that is due, and gives how long nothing will be.
func (a *Alerts) pass(ctx context.Context) time.Duration {
	a.save(a.collect())
	a.mu.Lock()
	now := a.o.Clock()
	due := a.state.due(now, a.sending)
	for i := range due {
		a.sending[due[i].ID] = true
		a.changed = true
		if a.lost > 0 {
			n := a.state.find(due[i].ID)
			a.state.Mails[n].Lost += a.lost
			due[i].Lost += a.lost
			a.lost = 0
		}
	}
	pause := a.pauseLocked(now)
	a.mu.Unlock()
	for _, m := range due {
		if m.Attempts == 0 {
			a.o.Log.AlertSent(m.logged())
		}
		a.senders.Go(func() { a.send(ctx, m) })
	}
	return pause
}

// pauseLocked is the time until something is due.
func (a *Alerts) pauseLocked(now time.Time) time.Duration {
	pause := maxPause
	for _, at := range []time.Time{a.state.nextOver(), a.state.nextMail(now, a.sending)} {
		if !at.IsZero() {
			pause = min(pause, max(at.Sub(now), 0))
		}
	}
	if len(a.sending) == maxSenders {
		return maxPause // the first that ends wakes Run
	}
	return max(pause, time.Second)
}

// collected is what a pass found.
type collected struct {
	encoded []byte // nil: nothing has changed
	err     error
	dropped []*mail
}

// collect takes what was raised, what was repeated and what certificates say
// into the state. The clock is read under the lock: a time from before would be
// earlier than what Raise has noted meanwhile, as that of a clock set back.
func (a *Alerts) collect() collected {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.o.Clock()
	var c collected
	if !a.configured {
		return c
	}
	news := a.raised
	a.raised = nil
	waiting := len(a.state.Waits)
	news = append(news, a.state.over(now, a.settings)...)
	ends, moved := a.state.ends(now, a.settings.Certificates)
	news = append(news, ends...)
	for _, alert := range news {
		a.state.keep(alert, now)
		for _, r := range a.settings.Recipients {
			if r.Wants != nil && !r.Wants(alert) {
				continue
			}
			if out := a.state.spool(a.newMail(alert, r, now)); out != nil {
				a.lost++
				c.dropped = append(c.dropped, out)
			}
		}
	}
	trimmed := a.state.trim(a.settings.Keep)
	if a.changed || moved || trimmed || len(news) > 0 || len(a.state.Waits) != waiting {
		c.encoded, c.err = a.state.encode()
		a.changed = false
	}
	return c
}

func (a *Alerts) newMail(alert Alert, to Recipient, now time.Time) mail {
	from := a.settings.From
	if from.IsNull() {
		from = envelope.Address{Local: "alert", Domain: a.settings.Hostname}
	}
	return mail{
		To: to.Address, From: from, Hostname: a.settings.Hostname, Class: alert.Class, Severity: alert.Severity,
		Summary: alert.Summary, Text: alert.text(), Raised: now,
	}
}

// save writes what a pass found, and logs what there was no room for. What
// cannot be saved is mailed all the same, and saved with the next change: a
// full disk is what alerts tell of.
//
// After a crash here: what was raised since the last save is lost, or is
// raised anew by what finds it again.
func (a *Alerts) save(c collected) {
	for _, m := range c.dropped {
		a.o.Log.AlertUnsendable(m.logged())
	}
	err := c.err
	if err == nil && c.encoded != nil {
		err = write(a.o.Path, c.encoded)
	}
	if err == nil {
		return
	}
	a.o.Diag.Error("alerts are not saved", "error", err)
	a.mu.Lock()
	a.changed = true
	a.mu.Unlock()
}

// send makes one attempt for a mail.
//
// After a crash between the answer of the next hop and the save that follows:
// the mail is sent again.
func (a *Alerts) send(ctx context.Context, m mail) {
	text := m.write(a.o.Clock(), a.o.Version, a.o.Serial)
	var out envelope.Outcome
	if outs := a.o.Courier.Deliver(ctx, m.job(a.o.NextMID(), text)); len(outs) == 1 {
		out = outs[0]
	}
	a.mu.Lock()
	ended := a.state.settle(m.ID, out, a.o.Clock())
	a.changed = true
	delete(a.sending, m.ID)
	a.mu.Unlock()
	stopped := errors.Is(out.Failure.Err, context.Canceled)
	switch {
	case ended == delivered:
		a.o.Log.AlertDelivered(m.logged())
	case ended == givenUp:
		a.o.Log.AlertRefused(m.logged(), out.Failure)
		a.o.Log.AlertGivenUp(m.logged())
	case ended == again && !stopped:
		a.o.Log.AlertRefused(m.logged(), out.Failure)
	}
	a.signal()
}
