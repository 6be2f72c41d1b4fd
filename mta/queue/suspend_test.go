package queue

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"esa/mta/counters"
	"esa/mta/envelope"
)

func TestSuspend_HoldsWhatItNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &courier{}
		r := setup{courier: c}.open(t)
		r.Suspend(Suspension{Domains: []string{"a.test"}})
		r.run()
		r.add(r.message("", "x@a.test", "x@b.test"))
		synctest.Wait()
		if seen := c.seen(); len(seen) != 1 || seen[0].job.Domain != "b.test" {
			t.Errorf("%+v", seen)
		}
		r.Suspend(Suspension{All: true})
		r.add(r.message("", "x@b.test"))
		synctest.Wait()
		if n := len(c.seen()); n != 1 {
			t.Errorf("%d attempts", n)
		}
		for _, d := range r.Destinations() {
			if !d.Suspended || !d.NextAttempt.IsZero() {
				t.Errorf("%+v", d)
			}
		}
		if h, _ := r.Host("never.test"); !h.Suspended {
			t.Error("a host without mail is not suspended")
		}
		// What is suspended can be acted on.
		if done, err := r.Delete(t.Context(), Selection{Domain: "b.test"}, nil); err != nil || done.Recipients != 1 {
			t.Errorf("%+v, %v", done, err)
		}
		r.Suspend(Suspension{})
		synctest.Wait()
		if seen := c.seen(); len(seen) != 2 || seen[1].job.Domain != "a.test" {
			t.Errorf("%+v", seen)
		}
		checkBooks(t, r, 3)
		r.close()
	})
}

// TestSuspend_NobodyIsGivenUpUntried: a week later all is tried once more.
func TestSuspend_NobodyIsGivenUpUntried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuse := true
		c := &courier{answer: func(job envelope.Job, _ envelope.Recipient) envelope.Outcome {
			switch {
			case !refuse:
				return accepted()
			case job.Domain == "down.test":
				return hostDown()
			}
			return busy()
		}}
		r := setup{courier: c}.open(t).run()
		r.add(r.message("", "x@a.test", "x@down.test"))
		synctest.Wait()
		r.Suspend(Suspension{All: true})
		time.Sleep(7 * 24 * time.Hour)
		refuse = false
		r.Suspend(Suspension{})
		synctest.Wait()
		if got := value(r, counters.DeliveredRecips); got != 2 {
			t.Errorf("%d delivered: %v", got, r.lines())
		}
		r.close()
	})
}

// TestAwaitIdle_CutsWhenTheGraceIsOver, those of what is suspended only.
func TestAwaitIdle_CutsWhenTheGraceIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cut := map[string]bool{}
		r := setup{courier: deliver(func(ctx context.Context, job envelope.Job) []envelope.Outcome {
			select {
			case <-ctx.Done():
				cut[job.Domain] = job.Cut.Err() != nil
			case <-time.After(time.Hour):
			}
			return []envelope.Outcome{busy()}
		})}.open(t).run()
		r.add(r.message("", "x@a.test"))
		r.add(r.message("", "x@b.test"))
		synctest.Wait()
		r.Suspend(Suspension{Domains: []string{"a.test"}})
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		if left := r.AwaitIdle(ctx, time.Minute); left != 1 || len(cut) > 0 {
			t.Errorf("given up with %d left, %v", left, cut)
		}
		stop()
		began := time.Now()
		if left := r.AwaitIdle(t.Context(), 30*time.Second); left != 0 || time.Since(began) != 30*time.Second {
			t.Errorf("%d left after %v", left, time.Since(began))
		}
		if len(cut) != 1 || !cut["a.test"] {
			t.Errorf("%v", cut)
		}
		if left := r.AwaitIdle(t.Context(), 0); left != 0 {
			t.Errorf("%d left", left)
		}
		r.close()
	})
}

// TestFirst passes over what may not go, and drops what is gone.
func TestFirst(t *testing.T) {
	lots := func() []*lot {
		var all []*lot
		for i := range 5 {
			all = append(all, &lot{item: &item{gone: i == 0 || i == 2}, dest: &destination{suspended: i == 1 || i == 3}, number: int32(i)})
		}
		return all
	}
	list := lots()
	if l := first(&list, (*lot).free); l == nil || l.number != 4 || len(list) != 2 {
		t.Errorf("%+v, %d are left", l, len(list))
	}
	if l := first(&list, (*lot).free); l != nil || len(list) != 2 {
		t.Errorf("%+v, %d are left", l, len(list))
	}
	list = lots()
	for _, want := range []int32{1, 3, 4} {
		if l := first(&list, nil); l == nil || l.number != want {
			t.Errorf("%+v, want %d", l, want)
		}
	}
	if first(&list, nil) != nil || list != nil {
		t.Errorf("%d are left", len(list))
	}
}
