package queue

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	"esa/mta/bounce"
	"esa/mta/counters"
	"esa/mta/envelope"
)

// notices tells the sender of the bounced, of the delayed and of those relayed
// whose success was to be told, one notice for each kind, and returns them on
// stable storage, not yet scheduled. If a bounce cannot be told, its recipients
// go on waiting; a warning that cannot be told is left for the next attempt; a
// relay that cannot be told is only noted, since it is done.
func (t *trial) notices(verdicts []verdict) []*record {
	var failed, delayed, relayed []bounce.Recipient
	for i := range verdicts {
		v := &verdicts[i]
		told := bounce.Recipient{Recipient: v.to, Why: v.out.Failure, Attempts: v.state.attempts}
		if t.tellsBounce(v) {
			failed = append(failed, told)
		}
		if v.warn {
			delayed = append(delayed, told)
		}
		if t.tellsRelay(v) {
			told.Why = relayAnswer(v.out)
			relayed = append(relayed, told)
		}
	}
	var made []*record
	for _, n := range []struct {
		kind   bounce.Kind
		name   string
		about  []bounce.Recipient
		untold func(error)
	}{
		{bounce.Failure, "bounce", failed, func(err error) { t.postpone(verdicts, err) }},
		{bounce.Delay, "delay warning", delayed, func(error) { unwarn(verdicts) }},
		{bounce.Relayed, "relay notice", relayed, func(error) {}},
	} {
		if len(n.about) == 0 {
			continue
		}
		rec, err := t.addNotice(n.kind, n.about)
		if err != nil {
			t.q.fault(FaultWrite, "writing "+n.name, t.item.mid, err)
			n.untold(err)
			continue
		}
		made = append(made, rec)
	}
	return made
}

// unwarn takes back that senders were told of the delay.
func unwarn(verdicts []verdict) {
	for i := range verdicts {
		verdicts[i].warn = false
	}
}

// tellsRelay reports whether the sender asked to hear of success and the next
// hop will not tell (RFC 3461 §5.2.2).
func (t *trial) tellsRelay(v *verdict) bool {
	return v.out.Result == envelope.Delivered && !v.out.DSN &&
		!t.rec.message.Sender.IsNull() && v.to.Notify.Wants(envelope.NotifySuccess)
}

// relayAnswer gives the answer to the final dot as a notice tells it.
func relayAnswer(o envelope.Outcome) envelope.Failure {
	return envelope.Failure{Code: 250, Enhanced: "2.0.0", Phrase: "Relayed", Reply: []string{o.Reply}}
}

// tellsBounce reports whether the sender hears of this bounce: the null
// sender never does (R19).
func (t *trial) tellsBounce(v *verdict) bool {
	return v.out.Result == envelope.Bounced && !v.deleted() && t.profile.Send &&
		!t.rec.message.Sender.IsNull() && v.to.Notify.Wants(envelope.NotifyFailure)
}

// postpone lets recipients wait whose bounce could not be told.
func (t *trial) postpone(verdicts []verdict, cause error) {
	for i := range verdicts {
		v := &verdicts[i]
		if !t.tellsBounce(v) {
			continue
		}
		v.out.Result, v.soft = envelope.Deferred, nil
		v.out.Failure = envelope.Failure{
			Enhanced: "4.3.1", Phrase: "Mail system full", Reason: envelope.ReasonLocal, Err: cause,
			Reply: []string{"the bounce could not be stored"},
		}
	}
}

// addNotice makes a notice and returns when it is on stable storage.
//
// After a crash here: the notice is whole or, unfinished, removed at the next
// start; the recipients it tells of still wait.
func (t *trial) addNotice(kind bounce.Kind, about []bounce.Recipient) (*record, error) {
	q, of := t.q, &t.rec.message
	to := of.Sender
	if !t.profile.Alternate.IsNull() {
		to = t.profile.Alternate
	}
	now := q.o.Clock()
	m := envelope.Message{
		MID:        q.o.Counters.NextMID(),
		Received:   now,
		Recipients: []envelope.Recipient{{Address: to, Notify: envelope.NotifyNever}},
		UTF8:       !to.IsASCII(),
	}
	original, err := q.store.body(of.MID)
	if err != nil {
		return nil, err
	}
	defer original.Close()
	d := q.store.begin(m)
	host := q.o.Hostname()
	text := &highBits{to: d}
	err = bounce.Write(text, bounce.Notice{
		Kind: kind, Profile: t.profile, Message: of, Recipients: about, To: to, Hostname: host,
		MessageID: messageID(m.MID, host), Boundary: rand.Text(), Time: now,
		Until: now.Add(t.profile.MaxLifetime - t.age()), Original: original,
	})
	if err != nil {
		return nil, errors.Join(err, d.abort())
	}
	m.EightBit, m.Size = text.seen, d.length
	if err := d.commit(m); err != nil {
		return nil, err
	}
	return newRecord(m), nil
}

// messageID gives the form of reference 4.6, unique by the id of the message.
func messageID(m envelope.MID, host string) string {
	return fmt.Sprintf("%06x$%s@%s", uint64(m), strings.ToLower(rand.Text()[:8]), host)
}

// announce writes the lines of a notice and schedules it.
func (q *Queue) announce(n *record, of envelope.MID) {
	m := &n.message
	q.o.Log.GeneratedForBounce(m.MID, of)
	q.o.Log.Started(m.MID, 0)
	q.o.Log.From(m.MID, 0, m.Sender)
	for _, r := range m.Recipients {
		q.o.Log.To(m.MID, 0, r)
	}
	q.o.Counters.Add(counters.GenBounceRecips, int64(len(m.Recipients)))
	q.o.Log.Queued(m.MID)
	q.admit(n, true)
}

// highBits writes through and sees whether the text is 7-bit.
type highBits struct {
	to   *draft
	seen bool
}

var _ io.Writer = (*highBits)(nil)

func (h *highBits) Write(p []byte) (int, error) {
	for i := 0; i < len(p) && !h.seen; i++ {
		h.seen = p[i] > 0x7f
	}
	return h.to.write(p)
}
