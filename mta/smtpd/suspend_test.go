package smtpd

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestSuspend: idle sessions and new ones are answered 421, a message under
// way is received, and what is not over in time is cut.
func TestSuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		greeted := func() *client { // one after the other: ids are given as they come
			c := b.dial(strangerAddr)
			c.greet()
			return c
		}
		idle, busy, stuck := greeted(), greeted(), greeted()
		busy.envelope()
		stuck.envelope()
		synctest.Wait()
		b.srv.Suspend(Suspension{Listeners: []string{"Other"}})
		idle.want("NOOP", "250")
		b.srv.Suspend(Suspension{Listeners: []string{"Other", "IncomingMail"}})
		if got := idle.reply(); got != "421 gw.test Service not available, closing transaction channel" {
			t.Errorf("idle session: %q", got)
		}
		idle.close()
		late := b.dial(strangerAddr)
		if got := late.reply(); got != "421 gw.test Service not available, closing transaction channel" {
			t.Errorf("a connection that comes later: %q", got)
		}
		late.close()
		synctest.Wait()
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		if left := b.srv.AwaitIdle(ctx, time.Minute); left != 2 {
			t.Errorf("%d are left", left)
		}
		stop()
		busy.send(plain + ".\r\nMAIL FROM:<b@sender.test>\r\n")
		if got := busy.reply(); !strings.HasPrefix(got, "250 ok:") {
			t.Errorf("a message under way: %q", got)
		}
		if got := busy.reply(); !strings.HasPrefix(got, "421 gw.test ") {
			t.Errorf("after it: %q", got)
		}
		busy.close()
		begun := time.Now()
		if left := b.srv.AwaitIdle(t.Context(), 30*time.Second); left != 0 || time.Since(begun) != 30*time.Second {
			t.Errorf("%d are left after %v", left, time.Since(begun))
		}
		if !strings.Contains(b.log(), "SMTP server connection killed ICID: 3") || len(b.spool.messages()) != 1 {
			t.Errorf("%d messages\n%s", len(b.spool.messages()), b.log())
		}
		stuck.close()
		b.srv.Suspend(Suspension{All: true})
		c := b.dial(strangerAddr)
		if got := c.reply(); !strings.HasPrefix(got, "421 gw.test ") {
			t.Errorf("with all suspended: %q", got)
		}
		c.close()
		b.srv.Suspend(Suspension{})
		again := b.dial(strangerAddr)
		again.greet()
		again.close()
		if left := b.srv.AwaitIdle(t.Context(), 0); left != 0 {
			t.Errorf("%d are left of nothing", left)
		}
	})
}
