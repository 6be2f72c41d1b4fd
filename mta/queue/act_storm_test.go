package queue

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"esa/mta/counters"
	"esa/mta/envelope"
)

// TestActs_AmongDeliveries: whatever operators do while mail is delivered, is
// refused and waits, each recipient ends once and none is forgotten.
func TestActs_AmongDeliveries(t *testing.T) {
	r := setup{courier: deliver(func(ctx context.Context, job envelope.Job) []envelope.Outcome {
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(rand.IntN(3)) * time.Millisecond):
		}
		var outs []envelope.Outcome
		for _, to := range job.Recipients {
			out := []envelope.Outcome{accepted(), refused(), busy(), busy(), hostDown()}[rand.IntN(5)]
			out.RID = to.RID
			outs = append(outs, out)
		}
		return outs
	})}.open(t).run()
	const messages, perMessage = 200, 3
	done := make(chan struct{})
	var operators, sending sync.WaitGroup
	for n, act := range []func(){
		func() { r.Delete(t.Context(), Selection{Domain: "1.test"}, nil) },
		func() { r.Bounce(t.Context(), Selection{Domain: "2.test"}, nil) },
		func() { r.Redirect(t.Context(), envelope.Machine{Host: fmt.Sprintf("%d.test", rand.IntN(4))}, nil) },
		func() { r.DeliverNow("") },
		func() {
			r.Suspend(Suspension{Domains: []string{"0.test", "3.test"}})
			r.AwaitIdle(t.Context(), time.Millisecond)
			r.Suspend(Suspension{})
		},
		func() { r.Each(Selection{}, func(Entry) bool { return true }); r.Hosts() },
	} {
		operators.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				case <-time.After(time.Duration(n+1) * time.Millisecond):
					act()
				}
			}
		})
	}
	for n := range 4 {
		sending.Go(func() {
			for i := range messages / 4 {
				m := message(r.counters.NextMID(), "")
				for k := range perMessage {
					m.Recipients = append(m.Recipients, envelope.Recipient{RID: envelope.RID(k), Address: address(fmt.Sprintf("u@%d.test", (n+i+k)%5))})
				}
				r.add(m)
			}
		})
	}
	sending.Wait()
	close(done)
	operators.Wait()
	r.Suspend(Suspension{})
	if _, err := r.Delete(t.Context(), Selection{}, nil); err != nil {
		t.Error(err)
	}
	if s := r.Stats(); s.ActiveRecipients != 0 || s.Messages != 0 || s.Bytes != 0 || s.Running != 0 {
		t.Errorf("left %+v", s)
	}
	if got := value(r, counters.CompletedRecips); got != messages*perMessage {
		t.Errorf("%d recipients ended, %d were sent", got, messages*perMessage)
	}
	checkBooks(t, r, messages*perMessage)
	r.close()
	if left := files(t, r.dir); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}
