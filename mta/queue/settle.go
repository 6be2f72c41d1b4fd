package queue

import (
	"context"
	"errors"
	"time"

	"esa/mta/bounce"
	"esa/mta/counters"
	"esa/mta/envelope"
	"esa/mta/maillog"
)

// verdict is what an attempt means for one recipient.
type verdict struct {
	to    envelope.Recipient
	state *recipientState
	out   envelope.Outcome
	soft  *envelope.Failure // the failure that was the last one allowed
	warn  bool              // the sender is told of the delay
	idle  bool              // there was no attempt to speak of: limits of the destination, or we were stopped
}

// fate is what the log tells of a verdict.
func (v *verdict) fate(m *envelope.Message, why envelope.Failure) maillog.Fate {
	return maillog.Fate{DCID: v.out.DCID, MID: m.MID, Sender: m.Sender, To: v.to, Why: why}
}

// deleted reports whether the recipient was dropped on purpose: that is
// neither delivery nor bounce.
func (v *verdict) deleted() bool {
	return v.out.Result != envelope.Deferred && v.out.Failure.Reason == envelope.ReasonDeleted
}

// all gives the outcome of a lot that is bounced without an attempt.
func (t *trial) all(why envelope.Failure) []envelope.Outcome {
	var outs []envelope.Outcome
	for _, i := range t.waiting {
		id := t.rec.message.Recipients[i].RID
		outs = append(outs, envelope.Outcome{RID: id, Result: envelope.Bounced, Failure: why})
	}
	return outs
}

// settle carries out what outcomes mean: notices first, then the log, then
// the journal, then the schedule.
//
// After a crash between notice and journal: the notice is queued and the
// recipient still waits; it can be told twice and never not at all. The same
// holds for all lines of the log, that of the finished message included (R11).
func (t *trial) settle(outs []envelope.Outcome, tried bool) ending {
	verdicts := t.judge(outs, tried)
	notices := t.notices(verdicts)
	e := ending{attempted: tried, expires: t.item.born + t.profile.MaxLifetime, ended: t.q.o.Clock()}
	e.delay = bounce.NextDelay(t.profile, t.attempts()+1)
	until := e.ended.Add(e.delay)
	t.tell(verdicts, until, tried)
	t.count(verdicts, tried)
	for _, n := range notices {
		t.q.announce(n, t.item.mid)
	}
	t.write(verdicts, until)
	e.attempted = false
	for i := range verdicts {
		if verdicts[i].out.Result != envelope.Deferred {
			e.settled++
		}
		e.attempted = e.attempted || tried && !verdicts[i].idle
	}
	for i := range verdicts {
		e.add(&verdicts[i])
	}
	e.left += t.rest
	if t.rest > 0 && !e.down {
		e.delay = 0
	}
	return e
}

// judge finds the verdict of each recipient. One without an outcome waits.
func (t *trial) judge(outs []envelope.Outcome, tried bool) []verdict {
	byID := make(map[envelope.RID]envelope.Outcome, len(outs))
	for _, o := range outs {
		if _, twice := byID[o.RID]; !twice {
			byID[o.RID] = o
		}
	}
	verdicts := make([]verdict, 0, len(t.waiting))
	for _, i := range t.waiting {
		v := verdict{to: t.rec.message.Recipients[i], state: &t.rec.states[i]}
		v.out = byID[v.to.RID]
		v.out.RID = v.to.RID
		v.idle = tried && v.out.Result == envelope.Deferred && (v.out.Crowded || errors.Is(v.out.Failure.Err, context.Canceled))
		if v.idle {
			verdicts = append(verdicts, v)
			continue
		}
		v.explain()
		if tried && v.out.Result == envelope.Deferred && bounce.Expired(t.profile, v.state.attempts+1, t.age()) {
			why := v.out.Failure
			v.soft = &why
			v.out.Result, v.out.Failure = envelope.Bounced, bounce.Expiry()
		}
		v.warn = tried && t.warningDue(&v)
		verdicts = append(verdicts, v)
	}
	return verdicts
}

// explain fills in what every line about a failure needs.
func (v *verdict) explain() {
	why := &v.out.Failure
	if v.out.Result == envelope.Delivered || why.Enhanced != "" {
		return
	}
	why.Enhanced, why.Phrase = "4.3.0", "Other mail system problem"
	if v.out.Result == envelope.Bounced {
		why.Enhanced = "5.3.0"
	}
	if why.Reason == envelope.ReasonNone {
		why.Reason = envelope.ReasonLocal
	}
}

func (t *trial) warningDue(v *verdict) bool {
	if v.out.Result != envelope.Deferred || t.rec.message.Sender.IsNull() || !v.to.Notify.Wants(envelope.NotifyDelay) {
		return false
	}
	told := bounce.Warned{Count: v.state.warned, Ago: max(0, t.q.o.Clock().Sub(v.state.warnedAt))}
	return bounce.WarningDue(t.profile, v.state.attempts+1, v.out.Failure, told)
}

// write puts the verdicts on disk: into the journal, or, when nobody waits
// any more, by removing the message, once the log has its last line.
//
// After a crash before it: the recipients are tried again; what the next hop
// took is delivered twice.
func (t *trial) write(verdicts []verdict, until time.Time) {
	entries := t.entries(verdicts, until)
	t.item.mu.Lock()
	defer t.item.mu.Unlock()
	final := map[envelope.RID]bool{}
	for i := range verdicts {
		final[verdicts[i].to.RID] = verdicts[i].out.Result != envelope.Deferred
	}
	for i := range t.rec.states {
		if t.rec.states[i].done == "" && !final[t.rec.message.Recipients[i].RID] {
			t.noteLocked(entries)
			return
		}
	}
	t.q.o.Log.Finished(t.item.mid)
	if err := t.leave(); err != nil {
		t.q.fault(FaultWrite, "removing finished message", t.item.mid, err)
		t.noteLocked(entries) // so that at the next start it is known to be finished
	}
	t.item.removed = true
	t.item.unsaved = nil
}

// leave ends a message on disk: its file is spare now, or removed.
func (t *trial) leave() error {
	if t.rec.file != nil && !t.item.noted && t.q.store.retire(t.item.mid, t.rec.file, t.rec.size) {
		t.rec.file = nil // it is the store's
		return nil
	}
	return t.q.store.done(t.item.mid, t.item.noted)
}

// entries gives the journal lines of verdicts: one for all recipients that
// fared alike.
func (t *trial) entries(verdicts []verdict, until time.Time) []entry {
	type key struct {
		event, reply, host string
		code               int
		reason             envelope.Reason
	}
	var entries []entry
	at := map[key]int{}
	now := t.q.o.Clock()
	add := func(k key, id envelope.RID) {
		n, ok := at[k]
		if !ok {
			n = len(entries)
			at[k] = n
			e := entry{At: now, Event: k.event, Reason: k.reason, Code: k.code, Reply: k.reply, Host: k.host}
			if k.event == eventDeferred {
				e.Next = until
			}
			entries = append(entries, e)
		}
		entries[n].RIDs = append(entries[n].RIDs, id)
	}
	for i := range verdicts {
		v := &verdicts[i]
		why := v.out.Failure
		k := key{code: why.Code, reason: why.Reason, host: why.Host}
		if len(why.Reply) > 0 {
			k.reply = why.Reply[0]
		}
		switch {
		case v.deleted():
			k.event = eventDeleted
		case v.out.Result == envelope.Delivered:
			k = key{event: eventDelivered}
		case v.out.Result == envelope.Bounced:
			k.event = eventBounced
		case v.idle:
			k.event = eventCrowded
		default:
			k.event = eventDeferred
		}
		add(k, v.to.RID)
		if v.warn {
			add(key{event: eventWarned}, v.to.RID)
		}
	}
	return entries
}

// tell writes log lines.
func (t *trial) tell(verdicts []verdict, until time.Time, tried bool) {
	q, m := t.q, &t.rec.message
	var pending, deleted []envelope.RID
	for i := range verdicts {
		v := &verdicts[i]
		if v.soft != nil {
			q.o.Log.Delayed(v.fate(m, *v.soft))
		}
		switch {
		case v.idle:
		case v.deleted():
			deleted = append(deleted, v.to.RID)
		case v.out.Result == envelope.Delivered:
		case v.out.Result == envelope.Bounced:
			q.o.Log.Bounced(v.fate(m, v.out.Failure))
			if m.Sender.IsNull() {
				q.o.Log.DoubleBounced(v.fate(m, v.out.Failure))
			}
		case tried:
			q.o.Log.Delayed(v.fate(m, v.out.Failure))
			pending = append(pending, v.to.RID)
		}
	}
	if len(deleted) > 0 {
		q.o.Log.Deleted(m.MID, deleted)
	}
	if len(pending) > 0 {
		q.o.Log.Pending(m.MID, pending, until, t.profileName())
	}
}

func (t *trial) profileName() string {
	switch {
	case t.profile.Name != "":
		return t.profile.Name
	case t.rec.message.BounceProfile != "":
		return t.rec.message.BounceProfile
	default:
		return bounce.Default().Name
	}
}

// bounceCounter tells which kind of hard bounce a failure counts as
// (reference 3.2).
func bounceCounter(f envelope.Failure) counters.Name {
	switch f.Reason {
	case envelope.ReasonExpired:
		return counters.ExpiredHardBouncedRecips
	case envelope.ReasonDNS, envelope.ReasonNoHost, envelope.ReasonNoMail, envelope.ReasonNoAddress:
		return counters.DNSHardBouncedRecips
	}
	if f.Code >= 500 && f.Code <= 599 {
		return counters.FiveXXHardBouncedRecips
	}
	return counters.OtherHardBouncedRecips
}

// add takes one verdict into what the schedule learns.
func (e *ending) add(v *verdict) {
	if v.out.Result == envelope.Deferred {
		e.left++
	}
	if v.idle {
		if e.delay > v.out.Wait || !e.attempted {
			e.delay = v.out.Wait
		}
		e.crowded, e.waits = e.crowded || v.out.Wait == 0, e.waits || v.out.Wait > 0
		return
	}
	if !e.attempted {
		return
	}
	why := &v.out.Failure
	if v.soft != nil {
		why = v.soft
	}
	switch {
	case v.out.Result == envelope.Delivered && !v.deleted():
		e.delivered, e.reached = true, true
	case v.out.HostDown:
		e.down, e.last = true, why
	default:
		e.reached = e.reached || why.Code != 0 || v.out.DCID != 0
		if why.Reason != envelope.ReasonNone {
			e.last = why
		}
	}
	switch why.Reason {
	case envelope.ReasonConnect, envelope.ReasonTimeout, envelope.ReasonLost:
		e.trouble = true
	}
}
