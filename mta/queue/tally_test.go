package queue

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"esa/mta/counters"
	"esa/mta/envelope"
)

// mixed answers by the recipient's name.
func mixed(job envelope.Job, to envelope.Recipient) envelope.Outcome {
	switch to.Address.Local {
	case "refused":
		return refused()
	case "nowhere":
		return envelope.Outcome{Result: envelope.Bounced, Failure: envelope.Failure{Permanent: true, Reason: envelope.ReasonNoHost, Enhanced: "5.1.2", Phrase: "Bad destination host"}}
	case "odd":
		return envelope.Outcome{Result: envelope.Bounced, Failure: envelope.Failure{Permanent: true, Reason: envelope.ReasonTooLarge, Enhanced: "5.3.4", Phrase: "Other mail system problem"}}
	case "discard":
		return envelope.Outcome{Result: envelope.Discarded, Failure: envelope.Failure{Reason: envelope.ReasonDeleted}}
	case "busy":
		return busy()
	case "once":
		if job.Attempt == 1 {
			return busy()
		}
	}
	return accepted()
}

// TestCountersAgreeWithTheBooks: after a run of mixed fate, all that came in is
// completed or waits, and what the destinations count is what the gateway
// counts.
func TestCountersAgreeWithTheBooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := setup{courier: &courier{answer: mixed}}.open(t).run()
		const messages = 6
		taken := int64(0)
		for i := range messages {
			m := r.message("sender@from.test")
			for n, local := range []string{"ok", "refused", "nowhere", "odd", "discard", "busy", "once"} {
				m.Recipients = append(m.Recipients, envelope.Recipient{
					RID: envelope.RID(n), Address: address(fmt.Sprintf("%s@%d.test", local, (i+n)%5)),
				})
			}
			taken += int64(len(m.Recipients))
			r.add(m)
		}
		for _, later := range []time.Duration{0, time.Hour, 73 * time.Hour} {
			time.Sleep(later)
			synctest.Wait()
			checkBooks(t, r, taken)
		}
		if s := r.Stats(); s.ActiveRecipients != 0 {
			t.Errorf("%d recipients wait", s.ActiveRecipients)
		}
		want := map[counters.Name]int64{
			counters.FiveXXHardBouncedRecips: messages, counters.DNSHardBouncedRecips: messages, counters.OtherHardBouncedRecips: messages,
			counters.ExpiredHardBouncedRecips: messages, counters.DeletedRecips: messages, counters.DeliveredRecips: 2*messages + value(r, counters.GenBounceRecips),
		}
		for name, n := range want {
			if got := value(r, name); got != n {
				t.Errorf("%s = %d, want %d", name, got, n)
			}
		}
		r.close()
	})
}

func value(r *rig, name counters.Name) int64 { return r.counters.Snapshot().Counters[name].Uptime }

// checkBooks compares gateway, destinations and queue.
func checkBooks(t *testing.T, r *rig, taken int64) {
	t.Helper()
	sums := map[counters.Name]int64{}
	active := 0
	for _, h := range r.Hosts() {
		for name, n := range h.Counts {
			sums[name] += n
		}
		sums[counters.HardBouncedRecips] += h.HardBounced()
		sums[counters.CompletedRecips] += h.Completed()
		active += h.ActiveRecipients
	}
	young := time.Since(r.opened) < keepTally // nothing is forgotten yet
	for name := counters.SoftBouncedEvts; name <= counters.DeletedRecips; name++ {
		if got := value(r, name); got != sums[name] && young {
			t.Errorf("%s: %d in all, %d by destination", name, got, sums[name])
		}
	}
	in := taken + value(r, counters.GenBounceRecips)
	if out := value(r, counters.CompletedRecips) + int64(active); in != out || active != r.Stats().ActiveRecipients {
		t.Errorf("%d came in, %d are completed or wait; %d by destination, %d in all", in, out, active, r.Stats().ActiveRecipients)
	}
}

func TestHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := setup{courier: &courier{answer: mixed}}.open(t).run()
		started := time.Now()
		first := r.add(r.message("", "busy@here.test", "refused@here.test"))
		time.Sleep(time.Second)
		r.add(r.message("", "busy@here.test"))
		synctest.Wait()
		h, oldest := r.Host("here.test")
		if !h.Known || !h.Up || oldest.MID != first || h.ActiveRecipients != 2 || h.Last5XX.Code != 550 || !h.Last5XXAt.Equal(started) ||
			!h.LastActivity.Equal(time.Now()) || h.Last.Code != 451 || h.NextAttempt.IsZero() {
			t.Errorf("%+v %+v", h, oldest)
		}
		if h, oldest := r.Host("other.test"); h.Known || oldest.MID != 0 || h.Domain != "other.test" {
			t.Errorf("%+v %+v", h, oldest)
		}
		r.close()
	})
}

// TestTallies_AreForgotten after a day, and when there are too many.
func TestTallies_AreForgotten(t *testing.T) {
	var b tallies
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	one := func(domain string) {
		b.add(domain, Tally{Counts: map[counters.Name]int64{counters.DeliveredRecips: 1}, LastActivity: now,
			Last5XX: envelope.Failure{Err: errors.New("x")}})
	}
	one("old.test")
	one("busy.test")
	now = now.Add(keepTally - time.Second)
	one("busy.test")
	if all := b.all(now); len(all) != 2 || all["busy.test"].Counts[counters.DeliveredRecips] != 2 {
		t.Errorf("%+v", all)
	}
	now = now.Add(time.Second)
	if all := b.all(now); len(all) != 1 || all["busy.test"].Completed() != 2 {
		t.Errorf("%+v", all)
	}
	for i := range maxTallies {
		one(fmt.Sprintf("%d.test", i))
	}
	all := b.all(now)
	if _, kept := all["busy.test"]; len(all) != maxTallies || kept {
		t.Errorf("%d are kept, busy.test: %v", len(all), kept)
	}
}
