package queue

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"esa/mta/bounce"
	"esa/mta/envelope"
)

// limited is a policy with these limits for there.test.
func limited(l Limits) Policy {
	return Policy{Limits: func(domain string) Limits {
		if domain == "there.test" {
			return l
		}
		return Limits{}
	}}
}

func people(n int, domain string) []string {
	var to []string
	for i := range n {
		to = append(to, fmt.Sprintf("u%d@%s", i, domain))
	}
	return to
}

// taken counts the recipients of jobs by the minute they were tried in.
func taken(jobs []tried, start time.Time) map[int]int {
	at := map[int]int{}
	for _, j := range jobs {
		at[int(j.at.Sub(start).Minutes())] += len(j.job.Recipients)
	}
	return at
}

// sameCounts compares what was taken in each minute; minutes without are 0.
func sameCounts(t *testing.T, got map[int]int, want map[int]int) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("taken by minute: %v, want %v", got, want)
	}
}

func slow(d time.Duration) *courier {
	return &courier{answer: func(envelope.Job, envelope.Recipient) envelope.Outcome {
		time.Sleep(d)
		return accepted()
	}}
}

func TestLimits_ConcurrencyOfADomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := setup{courier: slow(time.Second)}.open(t)
		r.Configure(limited(Limits{Concurrency: 2}))
		for range 10 {
			r.add(r.message("", "a@there.test"))
			r.add(r.message("", "a@other.test"))
		}
		r.run()
		synctest.Wait()
		for _, d := range r.Destinations() {
			if want := map[string]int{"there.test": 2, "other.test": initialLimit}[d.Domain]; d.Running != want {
				t.Errorf("%s: %d run, want %d", d.Domain, d.Running, want)
			}
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := r.Stats().Messages; got != 0 {
			t.Errorf("%d messages left", got)
		}
		r.close()
	})
}

// tlsTo is a policy with so many attempts by TLS, which all domains use whose
// name begins with tls.
func tlsTo(most int) Policy {
	return Policy{TLSConcurrency: most, Limits: func(domain string) Limits { return Limits{TLS: strings.HasPrefix(domain, "tls")} }}
}

// running gives how many attempts run for destinations with and without TLS.
func (r *rig) running() (tls, clear int) {
	for _, d := range r.Destinations() {
		if strings.HasPrefix(d.Domain, "tls") {
			tls += d.Running
		} else {
			clear += d.Running
		}
	}
	return tls, clear
}

// Attempts with TLS have a limit of their own, over all destinations; other
// mail is not held up by it, and nobody is forgotten.
func TestLimits_ConcurrencyOfTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := setup{courier: slow(time.Second)}.open(t)
		r.Configure(tlsTo(3))
		for i := range 5 {
			for range 4 {
				r.add(r.message("", fmt.Sprintf("a@tls%d.test", i)))
				r.add(r.message("", fmt.Sprintf("a@clear%d.test", i)))
			}
		}
		r.run()
		synctest.Wait()
		if tls, clear := r.running(); tls != 3 || clear != 20 {
			t.Errorf("%d with TLS, %d without, want 3 and 20", tls, clear)
		}
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if tls, clear := r.running(); tls != 3 || clear != 0 {
			t.Errorf("later: %d with TLS, %d without, want 3 and 0", tls, clear)
		}
		time.Sleep(6 * time.Second) // 20 messages, three a second, from 0 on
		synctest.Wait()
		if got := r.Stats().Messages; got != 0 {
			t.Errorf("%d messages left", got)
		}
		if r.plan.runningTLS != 0 || len(r.plan.tls) != 0 {
			t.Errorf("%d attempts counted, %d destinations wait", r.plan.runningTLS, len(r.plan.tls))
		}
		r.close()
	})
}

// A policy that allows more, or wants no TLS any more, counts at once.
func TestLimits_ANewPolicyForTLS(t *testing.T) {
	for want, policy := range map[int]Policy{2: tlsTo(2), 5: {TLSConcurrency: 1}} {
		synctest.Test(t, func(t *testing.T) {
			r := setup{courier: slow(time.Hour)}.open(t)
			r.Configure(tlsTo(1))
			for i := range 5 {
				r.add(r.message("", fmt.Sprintf("a@tls%d.test", i)))
			}
			r.run()
			synctest.Wait()
			if tls, _ := r.running(); tls != 1 {
				t.Errorf("%d run, want 1", tls)
			}
			r.Configure(policy)
			synctest.Wait()
			if tls, _ := r.running(); tls != want {
				t.Errorf("%d run, want %d", tls, want)
			}
			r.close()
		})
	}
}

// Mail that is bounced without an attempt takes nobody's place.
func TestLimits_TLSAndMailForAHostThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &courier{answer: always(hostDown)}
		r := setup{courier: c}.open(t)
		p := tlsTo(2)
		p.BounceDown = true
		r.Configure(p)
		for range 5 {
			r.add(r.message("", "a@tls.test"))
		}
		r.run()
		time.Sleep(time.Hour)
		synctest.Wait()
		if r.plan.runningTLS != 0 || r.plan.running != 0 {
			t.Errorf("%d with TLS run, %d in all", r.plan.runningTLS, r.plan.running)
		}
		r.close()
	})
}

// A higher limit counts at once, not when the next attempt ends.
func TestLimits_ANewPolicyLetsMoreStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := setup{courier: slow(time.Hour)}.open(t)
		r.Configure(limited(Limits{Concurrency: 1}))
		for range 10 {
			r.add(r.message("", "a@there.test"))
		}
		r.run()
		synctest.Wait()
		r.Configure(limited(Limits{Concurrency: 3}))
		synctest.Wait()
		if got := r.Destinations()[0].Running; got != 3 {
			t.Errorf("%d run, want 3", got)
		}
		r.close()
	})
}

func TestLimits_ConcurrencyPerInterface(t *testing.T) {
	for _, tt := range []struct {
		per  bool
		want int
	}{{true, 2}, {false, 1}} {
		synctest.Test(t, func(t *testing.T) {
			r := setup{courier: slow(time.Hour)}.open(t)
			p := limited(Limits{Concurrency: 1, PerInterface: tt.per})
			p.Interface = "one"
			r.Configure(p)
			for range 5 {
				r.add(r.message("", "a@there.test"))
			}
			r.run()
			synctest.Wait()
			p.Interface = "two"
			r.Configure(p)
			synctest.Wait()
			if got := r.Destinations()[0].Running; got != tt.want {
				t.Errorf("per interface %v: %d run, want %d", tt.per, got, tt.want)
			}
			r.close()
		})
	}
}

func TestLimits_RecipientsPerInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &courier{}
		r := setup{courier: c}.open(t)
		r.Configure(limited(Limits{Recipients: 30, Interval: 10 * time.Minute}))
		r.run()
		start := time.Now()
		for range 20 {
			r.add(r.message("", "a@there.test"))
		}
		r.add(r.message("", append(people(50, "there.test"), "b@other.test")...))
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		heldUntil(t, r, "there.test", start.Add(10*time.Minute))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		sameCounts(t, taken(onlyTo(c.seen(), "there.test"), start), map[int]int{0: 30, 10: 30})
		if got := onlyTo(c.seen(), "other.test"); len(got) != 1 || got[0].at != start {
			t.Errorf("other.test has no limit: %v", got)
		}
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		sameCounts(t, taken(onlyTo(c.seen(), "there.test"), start), map[int]int{0: 30, 10: 30, 20: 10})
		if s := r.Stats(); s.Messages != 0 || s.ActiveRecipients != 0 || s.Destinations != 0 && r.Destinations()[0].Domain != "there.test" {
			t.Errorf("left: %+v", s)
		}
		if got := r.with("Delayed:"); len(got) != 0 {
			t.Errorf("waiting is told as a delay: %q", got)
		}
		r.close()
	})
}

// heldUntil wants all that waits for a domain shown as waiting for the recipient
// limit, until then.
func heldUntil(t *testing.T, r *rig, domain string, then time.Time) {
	t.Helper()
	shown := 0
	for _, d := range r.Destinations() {
		if d.Domain == domain && d.Limited && d.NextAttempt.Equal(then) {
			shown++
		}
	}
	if shown != 1 {
		t.Errorf("want %s held until %s: %+v", domain, then, r.Destinations())
	}
	err := r.Each(Selection{Domain: domain}, func(e Entry) bool {
		for _, state := range e.Recipients {
			if state.Selected && (!state.Limited || !state.NextAttempt.Equal(then)) {
				t.Errorf("want MID %d held until %s: %+v", e.Message.MID, then, state)
			}
		}
		return true
	})
	if err != nil {
		t.Error(err)
	}
}

// Nobody is tried twice while others of the message were not tried at all.
func TestLimits_RecipientsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &courier{answer: always(busy)}
		r := setup{courier: c}.open(t)
		r.Configure(limited(Limits{Recipients: 4, Interval: time.Minute}))
		r.run()
		r.add(r.message("", people(8, "there.test")...))
		time.Sleep(90 * time.Second)
		synctest.Wait()
		seen := map[envelope.RID]int{}
		for _, j := range c.seen() {
			for _, to := range j.job.Recipients {
				seen[to.RID]++
			}
		}
		if len(seen) != 8 {
			t.Errorf("tried: %v", seen)
		}
		r.close()
	})
}

// What no host was asked about uses nothing up.
func TestLimits_AHostThatIsDownUsesNoRecipients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		c := &courier{answer: func(envelope.Job, envelope.Recipient) envelope.Outcome {
			if up.Load() {
				return accepted()
			}
			return hostDown()
		}}
		r := setup{courier: c}.open(t)
		p := limited(Limits{Recipients: 10, Interval: time.Hour})
		p.HostRetry = HostRetry{Initial: time.Minute, Max: time.Minute}
		r.Configure(p)
		r.run()
		r.add(r.message("", people(10, "there.test")...))
		time.Sleep(150 * time.Second)
		synctest.Wait()
		up.Store(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := r.Stats().ActiveRecipients; got != 0 {
			t.Errorf("%d recipients wait for a limit that nothing was sent under", got)
		}
		r.close()
	})
}

// A destination without mail keeps the count of its interval.
func TestLimits_TheCountOutlivesTheMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &courier{}
		r := setup{courier: c}.open(t)
		r.Configure(limited(Limits{Recipients: 1, Interval: time.Hour}))
		r.run()
		start := time.Now()
		for range 3 {
			r.add(r.message("", "a@there.test"))
			time.Sleep(time.Minute)
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		sameCounts(t, taken(c.seen(), start), map[int]int{0: 1, 60: 1, 120: 1})
		if s := r.Stats(); s.Messages != 0 || s.Destinations != 0 {
			t.Errorf("left: %+v", s)
		}
		r.close()
	})
}

// An attempt that met the limits of every address is none: it is not counted,
// not told, and no reason to bounce, however often it comes.
func TestCrowded_IsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var free time.Time
		c := &courier{answer: func(envelope.Job, envelope.Recipient) envelope.Outcome {
			if now := time.Now(); now.Before(free) {
				return envelope.Outcome{Crowded: true, Wait: min(time.Minute, free.Sub(now))}
			}
			return accepted()
		}}
		r := setup{courier: c}.open(t)
		r.Configure(profile(func(p *bounce.Profile) { p.MaxRetries = 1 }))
		free = time.Now().Add(10 * time.Minute)
		r.run()
		r.add(r.message("", "a@there.test"))
		time.Sleep(9 * time.Minute)
		synctest.Wait()
		if s := r.Stats(); s.UnattemptedRecipients != 1 {
			t.Errorf("%+v", s)
		}
		r.Each(Selection{}, func(e Entry) bool {
			if s := e.Recipients[0]; s.Attempts != 0 || s.Reason != "" {
				t.Errorf("%+v", s)
			}
			return true
		})
		r.close()
		r = setup{dir: r.dir, courier: c}.open(t).run()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if jobs := c.seen(); jobs[len(jobs)-1].job.Attempt != 1 {
			t.Errorf("attempt %d", jobs[len(jobs)-1].job.Attempt)
		}
		if got := r.Stats().Messages; got != 0 {
			t.Errorf("%d messages left", got)
		}
		if got := append(r.with("Bounced:"), r.with("Delayed:")...); len(got) != 0 {
			t.Errorf("log %q", got)
		}
		r.close()
	})
}

// Where the addresses take no more at once, no more are tried than they take.
func TestCrowded_LowersConcurrencyAndEndsWithRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		working, most := 0, 0
		c := &courier{}
		c.answer = func(envelope.Job, envelope.Recipient) envelope.Outcome {
			c.mu.Lock()
			full := working == 2
			if !full {
				working++
			}
			most = max(most, working)
			c.mu.Unlock()
			if full {
				return envelope.Outcome{Crowded: true}
			}
			time.Sleep(time.Second)
			c.mu.Lock()
			working--
			c.mu.Unlock()
			return accepted()
		}
		r := setup{courier: c}.open(t)
		for range 20 {
			r.add(r.message("", "a@there.test"))
		}
		r.run()
		time.Sleep(10500 * time.Millisecond)
		synctest.Wait()
		if got := r.Stats().Messages; got != 0 || most != 2 {
			t.Errorf("%d messages left after 20 by 2 at once in a second each; most %d", got, most)
		}
		if n := len(c.seen()); n > 60 {
			t.Errorf("%d tries for 20 messages", n)
		}
		r.close()
	})
}

func TestProfileOfTheDestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &courier{answer: always(busy)}
		r := setup{courier: c}.open(t)
		r.Configure(Policy{Profile: func(_ *envelope.Message, domain string) bounce.Profile {
			p := bounce.Default()
			if domain == "there.test" {
				p.MaxRetries, p.InitialRetry, p.MaxRetry = 1, time.Second, time.Second
			}
			return p
		}})
		r.run()
		r.add(r.message("", "a@there.test", "a@other.test"))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := r.with("Bounced:"); len(got) != 1 || len(onlyTo(c.seen(), "there.test")) != 2 || len(onlyTo(c.seen(), "other.test")) != 1 {
			t.Errorf("log %q, jobs %v", got, slices.Collect(slices.Values(c.seen())))
		}
		r.close()
	})
}

// A limit that a commit lowers below what was sent already lets the rest wait
// for the end of the interval, not longer.
func TestLimits_LoweredBelowWhatWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &courier{}
		r := setup{courier: c}.open(t)
		r.Configure(limited(Limits{Recipients: 10, Interval: 10 * time.Minute}))
		r.run()
		start := time.Now()
		r.add(r.message("", people(8, "there.test")...))
		synctest.Wait()
		r.Configure(limited(Limits{Recipients: 3, Interval: 10 * time.Minute}))
		r.add(r.message("", people(4, "there.test")...))
		time.Sleep(25 * time.Minute)
		synctest.Wait()
		sameCounts(t, taken(c.seen(), start), map[int]int{0: 8, 10: 3, 20: 1})
		r.close()
	})
}

// A recipient that was refused for now is not kept waiting by others of its
// message that met a limit.
func TestCrowded_DoesNotHoldUpWhatWasTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &courier{answer: func(_ envelope.Job, to envelope.Recipient) envelope.Outcome {
			if to.RID == 0 {
				return busy()
			}
			return envelope.Outcome{Crowded: true, Wait: time.Hour}
		}}
		r := setup{courier: c}.open(t).run()
		start := time.Now()
		r.add(r.message("", people(2, "there.test")...))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := offsets(c.seen(), start); len(got) != 2 || got[1] != 60 {
			t.Errorf("tried at %v", got)
		}
		r.close()
	})
}
