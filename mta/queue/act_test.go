package queue

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"esa/mta/counters"
	"esa/mta/envelope"
)

// waiting is a queue whose mail waits: a courier that defers all.
func waiting(t *testing.T) *rig {
	return setup{courier: &courier{answer: always(busy)}}.open(t).run()
}

// domains gives the waiting recipients of each destination.
func domains(r *rig) map[string]int {
	found := map[string]int{}
	for _, d := range r.Destinations() {
		if d.ActiveRecipients > 0 {
			found[d.Domain] = d.ActiveRecipients
		}
	}
	return found
}

func TestDelete_BySelection(t *testing.T) {
	for _, tt := range []struct {
		name string
		of   func(first envelope.MID) Selection
		want Acted
		left map[string]int
	}{
		{"all", func(envelope.MID) Selection { return Selection{} }, Acted{Messages: 3, Recipients: 5}, map[string]int{}},
		{"domain", func(envelope.MID) Selection { return Selection{Domain: "a.test"} }, Acted{Messages: 2, Recipients: 3}, map[string]int{"b.test": 2}},
		{"sender", func(envelope.MID) Selection {
			s := envelope.Address{Local: "two", Domain: "sender.test"}
			return Selection{Sender: &s}
		}, Acted{Messages: 1, Recipients: 2}, map[string]int{"a.test": 1, "b.test": 2}},
		{"message", func(m envelope.MID) Selection { return Selection{MID: m} }, Acted{Messages: 1, Recipients: 2}, map[string]int{"a.test": 2, "b.test": 1}},
		{"nobody", func(envelope.MID) Selection { return Selection{Domain: "c.test"} }, Acted{}, map[string]int{"a.test": 3, "b.test": 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := waiting(t)
				first := r.add(r.message("one@sender.test", "x@a.test", "y@b.test"))
				r.add(r.message("two@sender.test", "x@a.test", "y@a.test"))
				r.add(r.message("", "z@b.test"))
				synctest.Wait()
				looked, all := -1, -2
				done, err := r.Delete(t.Context(), tt.of(first), func(l, a int, _ bool) { looked, all = l, a })
				if err != nil || done != tt.want {
					t.Errorf("%+v, %v, want %+v", done, err, tt.want)
				}
				if looked != all {
					t.Errorf("progress ends with %d of %d", looked, all)
				}
				left := domains(r)
				if len(left) != len(tt.left) || left["a.test"] != tt.left["a.test"] || left["b.test"] != tt.left["b.test"] {
					t.Errorf("left %v, want %v", left, tt.left)
				}
				if got := value(r, counters.DeletedRecips); got != int64(tt.want.Recipients) || len(r.with("Deleted: MID")) < tt.want.Messages {
					t.Errorf("%d are counted as deleted: %v", got, r.with("Deleted"))
				}
				checkBooks(t, r, 5)
				r.close()
				if n := len(files(t, r.dir)); tt.name == "all" && n > 0 {
					t.Errorf("%d files are left", n)
				}
			})
		})
	}
}

func TestBounce_TellsTheSenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := waiting(t)
		r.add(r.message("one@sender.test", "x@a.test", "y@a.test"))
		r.add(r.message("", "x@a.test"))
		synctest.Wait()
		done, err := r.Bounce(t.Context(), Selection{Domain: "a.test"}, nil)
		if err != nil || done != (Acted{Messages: 2, Recipients: 3}) {
			t.Errorf("%+v, %v", done, err)
		}
		synctest.Wait() // the notice has been tried
		if got := domains(r); len(got) != 1 || got["sender.test"] != 1 {
			t.Errorf("left %v, want the notice", got)
		}
		if value(r, counters.OtherHardBouncedRecips) != 3 || value(r, counters.GenBounceRecips) != 1 || len(r.with("'bounced by the administrator'")) != 4 {
			t.Errorf("%v", r.lines())
		}
		checkBooks(t, r, 3)
		r.close()
	})
}

// heldCourier delivers when it is released, or gives up with its context.
type heldCourier struct {
	release chan struct{}
	began   chan envelope.MID
}

func (h heldCourier) Deliver(ctx context.Context, job envelope.Job) []envelope.Outcome {
	h.began <- job.Message.MID
	select {
	case <-h.release:
		return []envelope.Outcome{accepted()}
	case <-ctx.Done():
		time.Sleep(time.Second) // what is under way after MAIL ends by itself
		select {
		case <-h.release:
			return []envelope.Outcome{accepted()}
		default:
			return []envelope.Outcome{busy()}
		}
	}
}

// TestDelete_WhatIsBeingTried: it is stopped; what the next hop took is
// delivered, what it did not take is deleted, and each is counted once.
func TestDelete_WhatIsBeingTried(t *testing.T) {
	for _, taken := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			h := heldCourier{make(chan struct{}), make(chan envelope.MID, 1)}
			r := setup{courier: h}.open(t).run()
			r.add(r.message("", "x@a.test"))
			<-h.began
			go func() {
				time.Sleep(time.Second / 2)
				if taken {
					close(h.release)
				}
			}()
			done, err := r.Delete(t.Context(), Selection{}, nil)
			want, delivered := Acted{Messages: 1, Recipients: 1}, int64(0)
			if taken {
				want, delivered = Acted{}, 1
			}
			if err != nil || done != want || value(r, counters.DeliveredRecips) != delivered || value(r, counters.DeletedRecips) != 1-delivered {
				t.Errorf("taken %v: %+v, %v", taken, done, err)
			}
			synctest.Wait()
			checkBooks(t, r, 1)
			r.close()
			if left := files(t, r.dir); len(left) > 0 {
				t.Errorf("left %v", left)
			}
		})
	}
}

// TestDelete_GivenUpLeavesWhatIsBeingTried as it is, whatever comes of it.
func TestDelete_GivenUpLeavesWhatIsBeingTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := setup{courier: deliver(func(context.Context, envelope.Job) []envelope.Outcome {
			<-release
			return []envelope.Outcome{busy()}
		})}.open(t).run()
		r.add(r.message("", "x@a.test"))
		synctest.Wait()
		ctx, stop := context.WithCancelCause(t.Context())
		reason := errors.New("Ctrl-C")
		time.AfterFunc(time.Second, func() { stop(reason) })
		waits := 0
		done, err := r.Delete(ctx, Selection{}, func(_, _ int, waiting bool) {
			if waiting {
				waits++
			}
		})
		if waits != 1 || done != (Acted{Busy: 1}) || err != nil && !errors.Is(err, reason) {
			t.Errorf("%+v, %v", done, err)
		}
		close(release)
		synctest.Wait()
		if got := domains(r); got["a.test"] != 1 {
			t.Errorf("it does not wait on: %v", got)
		}
		// It is scheduled as if nothing had been.
		time.Sleep(time.Hour)
		synctest.Wait()
		if value(r, counters.SoftBouncedEvts) < 2 {
			t.Error("it is not tried again")
		}
		r.close()
	})
}

// TestDelete_StoppedCountsWhatIsDone: exact numbers after Ctrl-C.
func TestDelete_StoppedCountsWhatIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := waiting(t)
		for range 10 {
			r.add(r.message("", "x@a.test"))
		}
		synctest.Wait()
		ctx, stop := context.WithCancelCause(t.Context())
		reason := errors.New("Ctrl-C")
		done, err := r.Delete(ctx, Selection{}, func(looked, _ int, _ bool) {
			if looked == 3 {
				stop(reason)
			}
		})
		if done != (Acted{Messages: 4, Recipients: 4}) || !errors.Is(err, reason) || domains(r)["a.test"] != 6 {
			t.Errorf("%+v, %v, left %v", done, err, domains(r))
		}
		checkBooks(t, r, 10)
		r.close()
	})
}

// TestDelete_Twice: two operators at once count each recipient once.
func TestDelete_Twice(t *testing.T) {
	r := setup{courier: &courier{answer: always(busy)}}.open(t).run()
	const messages = 200
	for range messages {
		r.add(r.message("", "x@a.test", "y@b.test"))
	}
	results := make(chan Acted, 2)
	for range 2 {
		go func() {
			done, err := r.Delete(t.Context(), Selection{}, nil)
			if err != nil {
				t.Error(err)
			}
			results <- done
		}()
	}
	one, two := <-results, <-results
	if got := one.Recipients + two.Recipients + one.Busy + two.Busy; int64(one.Recipients+two.Recipients) != value(r, counters.DeletedRecips) || got < 2*messages {
		t.Errorf("%+v and %+v, counted %d", one, two, value(r, counters.DeletedRecips))
	}
	if _, err := r.Delete(t.Context(), Selection{}, nil); err != nil || len(domains(r)) > 0 {
		t.Errorf("left %v, %v", domains(r), err)
	}
	checkBooks(t, r, 2*messages)
	r.close()
}

// TestAct_WhatAnotherWaitsFor: an attempt has ended, and before the act that
// waited for it goes on, another comes by. It once took the recipient and gave
// it back to the schedule, and then two worked on it at once.
func TestAct_WhatAnotherWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := heldCourier{make(chan struct{}), make(chan envelope.MID, 3)}
		r := setup{courier: h}.open(t).run()
		r.add(r.message("", "x@a.test"))
		<-h.began
		done, err := r.Delete(t.Context(), Selection{}, func(_, _ int, waiting bool) {
			if !waiting {
				return
			}
			time.Sleep(time.Minute) // the attempt has long ended
			other, err := r.Redirect(t.Context(), envelope.Machine{Host: "b.test"}, nil)
			if err != nil || other != (Acted{Busy: 1}) {
				t.Errorf("the other act: %+v, %v", other, err)
			}
			r.DeliverNow("")
			synctest.Wait()
		})
		if err != nil || done != (Acted{Messages: 1, Recipients: 1}) {
			t.Errorf("%+v, %v", done, err)
		}
		if s := r.Stats(); s.Running != 0 || len(h.began) != 0 {
			t.Errorf("%d run, %d attempts more", s.Running, len(h.began))
		}
		checkBooks(t, r, 1)
		r.close()
	})
}

// TestDriven_StoppedBeforeItBegan: an act finds a lot whose turn has come and
// whose attempt has not begun. It once waited for the whole attempt.
func TestDriven_StoppedBeforeItBegan(t *testing.T) {
	stopped := make(chan bool, 1)
	r := setup{courier: deliver(func(ctx context.Context, job envelope.Job) []envelope.Outcome {
		stopped <- ctx.Err() != nil
		return []envelope.Outcome{busy()}
	})}.open(t)
	rec := &record{
		message: r.message("", "x@a.test"), lots: [][]int{{0}}, states: make([]recipientState, 1), touched: true,
	}
	it := &item{mid: rec.message.MID, rec: rec, trusted: true, lots: make([]lot, 1)}
	l := &it.lots[0]
	*l = lot{item: it, dest: &destination{domain: "a.test"}, left: 1, pos: -1, promise: make(chan struct{})}
	r.driven(t.Context(), l)
	if !<-stopped {
		t.Error("the attempt goes on as if nobody waited")
	}
	r.close()
}

// TestRedirect_HoldsOverRestarts and is at once, whatever the destination.
func TestRedirect_HoldsOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &courier{answer: func(job envelope.Job, _ envelope.Recipient) envelope.Outcome {
			if job.Via == nil {
				return hostDown()
			}
			return busy()
		}}
		r := setup{courier: c}.open(t).run()
		r.add(r.message("", "x@a.test", "y@b.test"))
		m := r.add(r.message("", "x@a.test"))
		synctest.Wait()
		before := len(c.seen())
		to := envelope.Machine{Host: "192.0.2.7", Port: 2525}
		done, err := r.Redirect(t.Context(), to, nil)
		if err != nil || done != (Acted{Messages: 2, Recipients: 3}) || domains(r)["[192.0.2.7]"] != 3 || len(domains(r)) != 1 {
			t.Errorf("%+v, %v, left %v", done, err, domains(r))
		}
		synctest.Wait()
		for _, j := range c.seen()[before:] {
			if j.job.Via == nil || *j.job.Via != to || j.job.Domain != "[192.0.2.7]" {
				t.Errorf("tried %+v", j.job)
			}
		}
		if n := len(c.seen()) - before; n != 3 {
			t.Errorf("%d attempts at once, want 3", n)
		}
		if done, _ := r.Delete(t.Context(), Selection{Domain: "[192.0.2.7]", MID: m}, nil); done.Recipients != 1 {
			t.Errorf("%+v", done)
		}
		r.close()

		again := setup{dir: r.dir, courier: c}.open(t).run()
		synctest.Wait()
		if got := domains(again); got["[192.0.2.7]"] != 2 || len(got) != 1 {
			t.Errorf("after the restart %v", got)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if last := c.seen()[len(c.seen())-1].job; last.Via == nil || *last.Via != to {
			t.Errorf("%+v", last)
		}
		again.close()
	})
}

func TestDeliverNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &courier{answer: func(job envelope.Job, _ envelope.Recipient) envelope.Outcome {
			if job.Domain == "down.test" {
				return hostDown()
			}
			return busy()
		}}
		r := setup{courier: c}.open(t).run()
		r.add(r.message("", "x@down.test", "x@busy.test"))
		r.add(r.message("", "y@down.test"))
		synctest.Wait()
		count := func() map[string]int {
			found := map[string]int{}
			for _, j := range c.seen() {
				found[j.job.Domain]++
			}
			return found
		}
		first := count()
		if n := r.DeliverNow("busy.test"); n != 1 {
			t.Errorf("%d scheduled", n)
		}
		synctest.Wait()
		if got := count(); got["busy.test"] != first["busy.test"]+1 || got["down.test"] != first["down.test"] {
			t.Errorf("tried %v, first %v", got, first)
		}
		if n := r.DeliverNow(""); n != 3 {
			t.Errorf("%d scheduled", n)
		}
		synctest.Wait()
		if got := count(); got["busy.test"] != first["busy.test"]+2 || got["down.test"] != first["down.test"]+1 {
			t.Errorf("tried %v, first %v: one attempt finds out about a host that is down", got, first)
		}
		r.close()
	})
}

// TestDeliverNow_ForgetsRecipientLimits, of all destinations at once only.
func TestDeliverNow_ForgetsRecipientLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &courier{}
		r := setup{courier: c}.open(t)
		r.Configure(Policy{Limits: func(string) Limits { return Limits{Recipients: 1, Interval: time.Hour} }})
		r.run()
		for range 3 {
			r.add(r.message("", "x@a.test"))
		}
		synctest.Wait()
		for n, domain := range []string{"", "a.test", ""} {
			if len(c.seen()) != []int{1, 2, 2}[n] {
				t.Errorf("%d: %d attempts", n, len(c.seen()))
			}
			r.DeliverNow(domain)
			synctest.Wait()
		}
		if len(c.seen()) != 3 {
			t.Errorf("%d attempts", len(c.seen()))
		}
		r.close()
	})
}

func TestMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := waiting(t)
		m := r.add(r.message("one@sender.test", "x@a.test"))
		synctest.Wait()
		e, text, err := r.Message(m)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(text)
		if text.Close(); err != nil || string(body) != bodyText || e.Message.MID != m || !e.Recipients[0].Selected || e.Recipients[0].Reason != envelope.ReasonDeferred {
			t.Errorf("%q, %+v, %v", body, e, err)
		}
		if _, _, err := r.Message(m + 1); !errors.Is(err, ErrNotQueued) {
			t.Error(err)
		}
		r.close()
	})
}

// TestAct_OnlyWhileItRuns: an act does not outlive the gateway.
func TestAct_OnlyWhileItRuns(t *testing.T) {
	r := setup{}.open(t)
	if _, err := r.Delete(t.Context(), Selection{}, nil); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	r.close()
}

// TestSetAside_IsLogged: operators see in their log where a message went.
func TestSetAside_IsLogged(t *testing.T) {
	r := setup{}.open(t)
	r.setAside(r.add(r.message("", "x@a.test")), errors.New("body checksum"))
	found := false
	for _, l := range r.raw() {
		found = found || strings.HasSuffix(l, "Critical: MID 1 set aside: body checksum")
	}
	if !found {
		t.Errorf("%q", r.raw())
	}
	r.close()
}
