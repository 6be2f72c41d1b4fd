package queue

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"esa/mta/bounce"
	"esa/mta/counters"
	"esa/mta/envelope"
)

// profile gives a policy with one bounce profile for all.
func profile(change func(*bounce.Profile)) Policy {
	p := bounce.Default()
	change(&p)
	return Policy{Profile: func(*envelope.Message, string) bounce.Profile { return p }}
}

// offsets gives when a courier was asked, in seconds since start.
func offsets(jobs []tried, start time.Time) []int {
	var at []int
	for _, j := range jobs {
		at = append(at, int(j.at.Sub(start).Seconds()))
	}
	return at
}

// onlyTo leaves the attempts for one domain.
func onlyTo(jobs []tried, domain string) []tried {
	return slices.DeleteFunc(jobs, func(j tried) bool { return j.job.Domain != domain })
}

func TestRetries_ExampleOfTheGuide(t *testing.T) {
	for _, tt := range []struct {
		name     string
		lifetime time.Duration
		tries    []int
		bounced  time.Duration
	}{
		{"retries 2: tries at 0, 60, 120, bounced right after the last", time.Hour, []int{0, 60, 120}, 120 * time.Second},
		{"100 s in queue: bounced just before the try due at 120", 100 * time.Second, []int{0, 60}, 120 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &courier{answer: always(busy)}
				r := setup{courier: c}.open(t)
				r.Configure(profile(func(p *bounce.Profile) {
					p.MaxRetries, p.InitialRetry, p.MaxRetry, p.MaxLifetime = 2, time.Minute, time.Minute, tt.lifetime
				}))
				r.run()
				start := time.Now()
				r.add(r.message("", "a@there.test"))
				time.Sleep(tt.bounced - time.Second)
				synctest.Wait()
				if got := r.Stats().ActiveRecipients; got != 1 {
					t.Errorf("%d active recipients just before", got)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if got := offsets(c.seen(), start); !slices.Equal(got, tt.tries) {
					t.Errorf("tried at %v, want %v", got, tt.tries)
				}
				want := "Bounced: DCID 1 MID 1 From: <> To: <a@there.test> RID 0 - 5.4.7 - Delivery expired (message too old) ('000', ['timeout'])"
				if tt.lifetime < time.Hour {
					want = strings.Replace(want, "DCID 1", "DCID 0", 1)
				}
				if got := r.with("Bounced:"); !slices.Equal(got, []string{want}) {
					t.Errorf("log %q", got)
				}
				if got := r.counters.Snapshot().Counters[counters.ExpiredHardBouncedRecips].Uptime; got != 1 {
					t.Errorf("%d expired", got)
				}
				r.close()
				if left := files(t, r.dir); len(left) != 0 {
					t.Errorf("files left: %v", left)
				}
			})
		})
	}
}

func TestRetries_DelaysDouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &courier{answer: always(busy)}
		r := setup{courier: c}.open(t).run()
		start := time.Now()
		r.add(r.message("", "a@there.test"))
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		want := []int{0, 60, 180, 420, 900, 1860, 3780, 7380}
		if got := offsets(c.seen(), start); !slices.Equal(got, want) {
			t.Errorf("tried at %v, want %v", got, want)
		}
		if got := c.seen()[3].job.Attempt; got != 4 {
			t.Errorf("the fourth attempt says %d", got)
		}
		r.close()
	})
}

func TestOutcomes_StateIsPerRecipient(t *testing.T) { // R5
	synctest.Test(t, func(t *testing.T) {
		count := map[string]int{}
		c := &courier{}
		c.answer = func(job envelope.Job, to envelope.Recipient) envelope.Outcome {
			c.mu.Lock()
			count[to.Address.String()]++
			c.mu.Unlock()
			switch {
			case to.Address.Local == "gone":
				return refused()
			case strings.HasPrefix(job.Domain, "slow") && job.Attempt < 4:
				return busy()
			}
			return accepted()
		}
		r := setup{courier: c}.open(t).run()
		var to []string
		for i := range 100 {
			kind := []string{"slow", "fast"}[i%2]
			to = append(to, fmt.Sprintf("u%d@%s%d.test", i, kind, i%10))
		}
		to = append(to, "gone@fast1.test")
		r.add(r.message("", to...))
		time.Sleep(time.Hour)
		synctest.Wait()
		for _, a := range to {
			want := 1
			if strings.Contains(a, "slow") {
				want = 4
			}
			if count[a] != want {
				t.Errorf("%s tried %d times, want %d", a, count[a], want)
			}
		}
		s := r.counters.Snapshot()
		if d, b := s.Counters[counters.DeliveredRecips].Uptime, s.Counters[counters.FiveXXHardBouncedRecips].Uptime; d != 100 || b != 1 {
			t.Errorf("delivered %d, bounced %d", d, b)
		}
		if got := r.with("Message finished"); !slices.Equal(got, []string{"Message finished MID 1 done"}) {
			t.Errorf("log %q", got)
		}
		r.close()
	})
}

func TestOutcomes_MissingOneWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		r := setup{courier: deliver(func(_ context.Context, job envelope.Job) []envelope.Outcome {
			tries++
			if tries == 1 {
				return nil
			}
			return []envelope.Outcome{{RID: 99, Result: envelope.Bounced}, {RID: 0, Result: envelope.Delivered}}
		})}.open(t).run()
		r.add(r.message("", "a@there.test"))
		synctest.Wait()
		if s := r.Stats(); s.AttemptedRecipients != 1 || s.UnattemptedRecipients != 0 {
			t.Errorf("stats %+v", s)
		}
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if s := r.Stats(); tries != 2 || s.Messages != 0 || s.ActiveRecipients != 0 || s.Bytes != 0 {
			t.Errorf("%d tries, stats %+v", tries, s)
		}
		r.close()
	})
}

func TestLots_TenThousandRecipientsOfOneDomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &courier{}
		r := setup{courier: c}.open(t)
		var to []string
		for i := range 10_000 {
			to = append(to, fmt.Sprintf("u%d@big.test", i))
		}
		r.add(r.message("", to...))
		r.run()
		synctest.Wait()
		seen := map[envelope.RID]bool{}
		for _, j := range c.seen() {
			if len(j.job.Recipients) > lotSize {
				t.Errorf("a job of %d", len(j.job.Recipients))
			}
			for _, to := range j.job.Recipients {
				if seen[to.RID] {
					t.Fatalf("RID %d twice", to.RID)
				}
				seen[to.RID] = true
			}
		}
		if len(seen) != 10_000 || len(c.seen()) != 100 {
			t.Errorf("%d recipients in %d jobs", len(seen), len(c.seen()))
		}
		r.close()
		if left := files(t, r.dir); len(left) != 0 {
			t.Errorf("files left: %v", left)
		}
	})
}

func TestFairness_AFloodForOneDomainDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &courier{}
		c.answer = func(job envelope.Job, _ envelope.Recipient) envelope.Outcome {
			time.Sleep(time.Second)
			return accepted()
		}
		r := setup{courier: c}.open(t)
		r.Configure(Policy{Concurrency: 4})
		for range 50 {
			r.add(r.message("", "a@flood.test"))
		}
		r.add(r.message("", "a@other.test"))
		r.run()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := onlyTo(c.seen(), "other.test"); len(got) != 1 {
			t.Errorf("other.test waits behind the flood: %v", got)
		}
		r.close()
	})
}

func TestConcurrency_GrowsByOneWithEverySuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &courier{answer: func(envelope.Job, envelope.Recipient) envelope.Outcome {
			time.Sleep(time.Second)
			return accepted()
		}}
		r := setup{courier: c}.open(t)
		r.Configure(Policy{Limits: func(string) Limits { return Limits{Concurrency: 12} }})
		for range 100 {
			r.add(r.message("", "a@there.test"))
		}
		r.run()
		for _, want := range []int{5, 10, 12, 12} {
			synctest.Wait()
			if got := r.Destinations()[0].Running; got != want {
				t.Errorf("%d run, want %d", got, want)
			}
			time.Sleep(time.Second)
		}
		r.close()
	})
}

func TestConcurrency_ShrinksOnTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := func() envelope.Outcome {
			out := busy()
			out.Failure.Reason, out.Failure.Code = envelope.ReasonLost, 0
			return out
		}
		r := setup{courier: &courier{answer: always(lost)}}.open(t).run()
		r.add(r.message("", "a@there.test"))
		synctest.Wait()
		if d := r.Destinations()[0]; d.Limit != 2 || !d.Up || d.Last.Reason != envelope.ReasonLost {
			t.Errorf("%+v", d)
		}
		r.close()
	})
}

func TestHostDown_NewMailWaitsAndOneSuccessReleasesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		c := &courier{answer: func(envelope.Job, envelope.Recipient) envelope.Outcome {
			if up.Load() {
				return accepted()
			}
			return hostDown()
		}}
		r := setup{courier: c}.open(t)
		r.Configure(Policy{HostRetry: HostRetry{Initial: 10 * time.Second, Max: 25 * time.Second}})
		r.run()
		start := time.Now()
		r.add(r.message("", "first@down.test"))
		synctest.Wait()
		for range 20 {
			r.add(r.message("", "more@down.test"))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		d := r.Destinations()[0]
		if d.Up || d.ActiveRecipients != 21 || d.UnattemptedRecipients != 20 || !d.NextAttempt.Equal(start.Add(10*time.Second)) {
			t.Errorf("%+v", d)
		}
		time.Sleep(58 * time.Second)
		synctest.Wait()
		want := []int{0, 10, 30, 55} // 10 s, doubling to 25: one probe each, and nothing else
		if got := offsets(c.seen(), start); !slices.Equal(got, want) {
			t.Errorf("tried at %v, want %v", got, want)
		}
		up.Store(true)
		time.Sleep(22 * time.Second)
		synctest.Wait()
		if got := r.Stats().Messages; got != 0 {
			t.Errorf("%d messages still wait 1 s after the host came back", got)
		}
		r.close()
	})
}

func TestHostDown_MailThatIsTooOldIsBouncedWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &courier{answer: always(hostDown)}
		r := setup{courier: c}.open(t)
		r.Configure(profile(func(p *bounce.Profile) { p.MaxLifetime = 10 * time.Minute }))
		r.run()
		for range 20 {
			r.add(r.message("", "a@down.test"))
			synctest.Wait()
		}
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if got := r.with("Bounced:"); len(got) != 20 {
			t.Errorf("%d expired: %q", len(got), got)
		}
		at := offsets(c.seen(), time.Now())
		if n := len(at); n < 3 || n != len(slices.Compact(at)) {
			t.Errorf("tried at %v: more than one probe at a time", at)
		}
		r.close()
	})
}

func TestBounceDown_BouncesAllMailForTheDomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &courier{answer: func(job envelope.Job, _ envelope.Recipient) envelope.Outcome {
			if job.Domain == "down.test" {
				return hostDown()
			}
			return busy()
		}}
		r := setup{courier: c}.open(t)
		r.Configure(Policy{BounceDown: true})
		for range 10 {
			r.add(r.message("", "a@down.test"))
		}
		r.add(r.message("", "a@other.test"))
		r.run()
		synctest.Wait()
		r.add(r.message("", "late@down.test"))
		synctest.Wait()
		if got := r.with("Bounced:"); len(got) != 11 {
			t.Errorf("%d bounced: %q", len(got), got)
		}
		if s := r.Stats(); s.Messages != 1 || s.ActiveRecipients != 1 {
			t.Errorf("%+v", s)
		}
		r.close()
	})
}

func TestShutdown_NoNewAttemptsAndRunningOnesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := 0
		r := setup{courier: deliver(func(ctx context.Context, job envelope.Job) []envelope.Outcome {
			begun++
			<-ctx.Done()
			time.Sleep(5 * time.Second)
			if job.Cut != nil && job.Cut.Err() != nil {
				t.Error("a stop cuts what is underway")
			}
			return []envelope.Outcome{accepted()}
		})}.open(t)
		r.Configure(Policy{Concurrency: 1})
		r.add(r.message("", "a@there.test"))
		r.add(r.message("", "b@there.test"))
		r.run()
		synctest.Wait()
		before := time.Now()
		r.close()
		if took := time.Since(before); took != 5*time.Second || begun != 1 {
			t.Errorf("%d attempts, ended after %v", begun, took)
		}
		if s := r.Stats(); s.Messages != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// What a stop cuts off is tried again as soon as the queue runs again, and is
// no failure of its destination.
func TestShutdown_WhatItCutsOffIsTriedAtTheNextStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := setup{dir: dir, courier: deliver(func(ctx context.Context, _ envelope.Job) []envelope.Outcome {
			<-ctx.Done()
			return []envelope.Outcome{{Failure: envelope.Failure{Reason: envelope.ReasonLocal, Err: ctx.Err(), Reply: []string{"stopped"}}}}
		})}.open(t).run()
		r.add(r.message("", "a@there.test"))
		synctest.Wait()
		r.close()
		if told := r.with("Delayed"); len(told) > 0 {
			t.Errorf("log %q", told)
		}
		c := &courier{}
		again := setup{dir: dir, courier: c}.open(t).run()
		synctest.Wait()
		if n := len(c.seen()); n != 1 || c.seen()[0].job.Attempt != 1 {
			t.Errorf("tried %d times at once", n)
		}
		again.close()
	})
}

func TestTimetable_GivesTheEarliestWhateverHappens(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var h timetable[*lot]
	lots := make([]lot, 200)
	for i := range lots {
		lots[i].pos = -1
	}
	for range 20_000 {
		l := &lots[rng.IntN(len(lots))]
		switch rng.IntN(3) {
		case 0:
			h.remove(l)
			l.at = time.Duration(rng.IntN(1000))
			h.put(l)
		case 1:
			l.at = time.Duration(rng.IntN(1000))
			h.put(l)
		default:
			h.remove(l)
		}
		least, some := time.Duration(0), false
		for i := range lots {
			if lots[i].pos >= 0 && (!some || lots[i].at < least) {
				least, some = lots[i].at, true
			}
		}
		if at, ok := h.next(); ok != some || at != least {
			t.Fatalf("next %v %v, want %v %v", at, ok, least, some)
		}
	}
}

func TestKept_RecordsAreBoundedAndGoWithTheirAttempt(t *testing.T) { // R13
	synctest.Test(t, func(t *testing.T) {
		c := &courier{answer: always(busy)}
		r := setup{courier: c}.open(t)
		records := func() int {
			r.mu.Lock()
			defer r.mu.Unlock()
			n := 0
			for _, it := range r.plan.items {
				if it.rec != nil {
					n++
				}
			}
			return n
		}
		for i := range maxKept + 50 {
			r.add(r.message("", fmt.Sprintf("a@there%d.test", i%100)))
		}
		if n := records(); n != maxKept || r.plan.kept != maxKept {
			t.Errorf("%d records kept, counted %d", n, r.plan.kept)
		}
		r.run()
		synctest.Wait()
		if n := records(); n != 0 || r.plan.kept != 0 || len(c.seen()) != maxKept+50 {
			t.Errorf("after %d attempts: %d records kept, counted %d", len(c.seen()), n, r.plan.kept)
		}
		r.close()
	})
}
