package queue

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"esa/mta/bounce"
	"esa/mta/counters"
	"esa/mta/envelope"
)

// toTest refuses everything but mail for sender.test.
func toTest(out func() envelope.Outcome) *courier {
	return &courier{answer: func(job envelope.Job, _ envelope.Recipient) envelope.Outcome {
		if job.Domain == "sender.test" || job.Domain == "watch.test" {
			return accepted()
		}
		return out()
	}}
}

func TestBounce_LogLinesAndNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := toTest(refused)
		r := setup{courier: c}.open(t).run()
		m := r.message("a@sender.test", "b@there.test", "c@there.test")
		m.Recipients[0].Original = "rfc822;orig@there.test"
		m.EnvelopeID = "QQ1"
		r.add(m)
		synctest.Wait()
		want := []string{
			"MID 1 queued for delivery",
			"Bounced: DCID 1 MID 1 From: <a@sender.test> To: <b@there.test> RID 0 - 5.1.0 - Unknown address error ('550', ['no such user'])",
			"Bounced: DCID 1 MID 1 From: <a@sender.test> To: <c@there.test> RID 1 - 5.1.0 - Unknown address error ('550', ['no such user'])",
			"MID 2 was generated for bounce of MID 1",
			"Start MID 2 ICID 0",
			"MID 2 ICID 0 From: <>",
			"MID 2 ICID 0 RID 0 To: <a@sender.test>",
			"MID 2 queued for delivery",
		}
		// From here on the notice is on its way beside the end of its cause.
		if got := r.lines(); !slices.Equal(got[:min(len(got), len(want))], want) || !slices.Contains(got, "Message finished MID 1 done") {
			t.Errorf("log\n%s", strings.Join(got, "\n"))
		}
		notices := onlyTo(c.seen(), "sender.test")
		if len(notices) != 1 {
			t.Fatalf("%d notices", len(notices))
		}
		n := notices[0]
		if to := n.job.Recipients[0]; !n.job.Message.Sender.IsNull() || to.Notify != envelope.NotifyNever {
			t.Errorf("envelope %+v", n.job.Message)
		}
		for _, text := range []string{
			"From: \"Mail Delivery System\" <MAILER-DAEMON@gw.test>\r\n", "Original-Envelope-Id: QQ1\r\n",
			"Original-Recipient: rfc822;orig@there.test\r\nFinal-Recipient: rfc822;b@there.test\r\n",
			"Final-Recipient: rfc822;c@there.test\r\n", bodyText,
		} {
			if !strings.Contains(n.body, text) {
				t.Errorf("no %q in\n%s", text, n.body)
			}
		}
		if n.job.Message.Size != int64(len(n.body)) {
			t.Errorf("size %d of %d", n.job.Message.Size, len(n.body))
		}
		s := r.counters.Snapshot()
		if got := s.Counters[counters.GenBounceRecips].Uptime; got != 1 {
			t.Errorf("%d generated", got)
		}
		r.close()
	})
}

func TestBounce_WhoIsTold(t *testing.T) {
	for _, tt := range []struct {
		name   string
		from   string
		notify envelope.Notify
		change func(*bounce.Profile)
		told   string // domain that gets the notice
		double bool
	}{
		{name: "default", from: "a@sender.test", told: "sender.test"},
		{name: "null sender never", from: "", double: true},
		{name: "NOTIFY=NEVER", from: "a@sender.test", notify: envelope.NotifyNever},
		{name: "NOTIFY=DELAY", from: "a@sender.test", notify: envelope.NotifyDelay},
		{name: "NOTIFY=SUCCESS,FAILURE", from: "a@sender.test", notify: envelope.NotifySuccess | envelope.NotifyFailure, told: "sender.test"},
		{name: "profile sends none", from: "a@sender.test", change: func(p *bounce.Profile) { p.Send = false }},
		{name: "alternate address", from: "a@sender.test", told: "watch.test",
			change: func(p *bounce.Profile) { p.Alternate = address("ops@watch.test") }},
		{name: "null sender with alternate address", from: "", double: true,
			change: func(p *bounce.Profile) { p.Alternate = address("ops@watch.test") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := toTest(refused)
				r := setup{courier: c}.open(t)
				if tt.change != nil {
					r.Configure(profile(tt.change))
				}
				r.run()
				m := r.message(tt.from, "b@there.test")
				m.Recipients[0].Notify = tt.notify
				r.add(m)
				synctest.Wait()
				told := ""
				for _, j := range c.seen()[1:] {
					told += j.job.Domain
				}
				if told != tt.told {
					t.Errorf("told %q, want %q", told, tt.told)
				}
				if got := len(r.with("Double bounce: MID 1")) == 1; got != tt.double {
					t.Errorf("double bounce line: %v", got)
				}
				if got := r.with("Bounced:"); len(got) != 1 {
					t.Errorf("terminal lines %q", got)
				}
				r.close()
			})
		})
	}
}

func TestRelayed_WhoIsTold(t *testing.T) {
	for _, tt := range []struct {
		name   string
		from   string
		notify envelope.Notify
		dsn    bool // the next hop takes the request over
		told   bool
	}{
		{name: "not asked for", from: "a@sender.test"},
		{name: "NOTIFY=FAILURE", from: "a@sender.test", notify: envelope.NotifyFailure},
		{name: "NOTIFY=SUCCESS", from: "a@sender.test", notify: envelope.NotifySuccess, told: true},
		{name: "the next hop will tell", from: "a@sender.test", notify: envelope.NotifySuccess, dsn: true},
		{name: "null sender", from: "", notify: envelope.NotifySuccess},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &courier{answer: always(func() envelope.Outcome {
					o := accepted()
					o.DSN = tt.dsn
					return o
				})}
				r := setup{courier: c}.open(t).run()
				m := r.message(tt.from, "b@there.test")
				m.Recipients[0].Notify = tt.notify
				r.add(m)
				synctest.Wait()
				notices := onlyTo(c.seen(), "sender.test")
				if got := len(notices) == 1; got != tt.told {
					t.Fatalf("%d notices", len(notices))
				}
				if tt.told && !strings.Contains(notices[0].body, "Action: relayed\r\nStatus: 2.0.0 (success)\r\n") {
					t.Errorf("notice\n%s", notices[0].body)
				}
				if got := r.counters.Snapshot().Counters[counters.DeliveredRecips].Uptime; got < 1 {
					t.Error("the recipient does not count as delivered")
				}
				r.close()
			})
		})
	}
}

func TestBounce_ANoticeThatBouncesMakesNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &courier{answer: always(refused)}
		r := setup{courier: c}.open(t).run()
		r.add(r.message("a@sender.test", "b@there.test"))
		synctest.Wait()
		if len(c.seen()) != 2 || r.Stats().Messages != 0 {
			t.Errorf("%d attempts, %+v", len(c.seen()), r.Stats())
		}
		r.close()
	})
}

func TestBounce_EightBitOriginalMarksTheNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := toTest(refused)
		r := setup{courier: c}.open(t).run()
		m := r.message("a@sender.test", "b@there.test")
		m.EightBit = true
		if err := r.tryAdd(m, "Subject: x\r\n\r\nGr\xfc\xdfe\r\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		n := onlyTo(c.seen(), "sender.test")[0]
		if !n.job.Message.EightBit || !strings.Contains(n.body, "Gr\xfc\xdfe") {
			t.Errorf("8bit %v\n%s", n.job.Message.EightBit, n.body)
		}
		r.close()
	})
}

func TestDeleted_NeitherDeliveredNorBounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &courier{answer: always(func() envelope.Outcome {
			return envelope.Outcome{Result: envelope.Bounced, Failure: envelope.Failure{Reason: envelope.ReasonDeleted}}
		})}
		r := setup{courier: c}.open(t).run()
		r.add(r.message("a@sender.test", "b@there.test"))
		synctest.Wait()
		want := []string{"MID 1 queued for delivery", "Deleted: MID 1 to [0]", "Message finished MID 1 done"}
		if got := r.lines(); !slices.Equal(got, want) {
			t.Errorf("log %q", got)
		}
		if got := r.counters.Snapshot().Counters[counters.DeletedRecips].Uptime; got != 1 {
			t.Errorf("%d deleted", got)
		}
		r.close()
	})
}

func TestDelayWarning_SecondFailureThenIntervalAndCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var warned []int
		start := time.Now()
		c := &courier{answer: func(job envelope.Job, _ envelope.Recipient) envelope.Outcome {
			if job.Domain == "sender.test" {
				mu.Lock()
				warned = append(warned, int(time.Since(start).Seconds()))
				mu.Unlock()
				return accepted()
			}
			return busy()
		}}
		r := setup{courier: c}.open(t)
		r.Configure(profile(func(p *bounce.Profile) { p.Warn, p.WarnInterval, p.WarnCount = true, time.Hour, 2 }))
		r.run()
		r.add(r.message("a@sender.test", "b@there.test", "c@there.test"))
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		mu.Lock()
		// Tries at 0, 60, 180, 420, 900, 1860, 3780: the second, and the first an hour later.
		if want := []int{60, 3780}; !slices.Equal(warned, want) {
			t.Errorf("warned at %v, want %v", warned, want)
		}
		mu.Unlock()
		body := onlyTo(c.seen(), "sender.test")[0].body
		if !strings.Contains(body, "Subject: Delivery Status Notification (Delay)\r\n") ||
			strings.Count(body, "Action: delayed\r\n") != 2 {
			t.Errorf("notice\n%s", body)
		}
		r.close()
	})
}

func TestDelayWarning_OnlyAfter4xxAndWhereWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &courier{answer: func(job envelope.Job, to envelope.Recipient) envelope.Outcome {
			switch {
			case job.Domain == "sender.test":
				return accepted()
			case to.Address.Local == "lost":
				out := busy()
				out.Failure.Code, out.Failure.Reason = 0, envelope.ReasonTimeout
				return out
			}
			return busy()
		}}
		r := setup{courier: c}.open(t)
		r.Configure(profile(func(p *bounce.Profile) { p.Warn = true }))
		r.run()
		m := r.message("a@sender.test", "lost@there.test", "quiet@there.test")
		m.Recipients[1].Notify = envelope.NotifyFailure
		r.add(m)
		null := r.message("", "b@there.test")
		r.add(null)
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := onlyTo(c.seen(), "sender.test"); len(got) != 0 {
			t.Errorf("%d warnings", len(got))
		}
		r.close()
	})
}

func TestNotice_ThatCannotBeStoredLetsItsRecipientsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full sync.Map
		d := &faultDisk{fail: func(op, path string) error {
			if _, on := full.Load("on"); on && op == "create" {
				return fmt.Errorf("create: %w", errStaged)
			}
			return nil
		}}
		c := toTest(refused)
		r := setup{courier: c, disk: d}.open(t).run()
		full.Store("on", true)
		m := r.message("a@sender.test", "b@there.test")
		full.Delete("on")
		r.mustHold(m, &full)
		synctest.Wait()
		if got := r.with("Bounced:"); len(got) != 0 {
			t.Errorf("bounced without notice: %q", got)
		}
		if s := r.Stats(); s.ActiveRecipients != 1 {
			t.Errorf("%+v", s)
		}
		full.Delete("on")
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if len(r.with("Bounced:")) != 1 || len(onlyTo(c.seen(), "sender.test")) != 1 {
			t.Errorf("log %q", r.lines())
		}
		r.close()
	})
}

// mustHold queues a message and lets every later one fail.
func (r *rig) mustHold(m envelope.Message, full *sync.Map) {
	r.t.Helper()
	d, err := r.Begin(m)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := d.d.commit(m); err != nil {
		r.t.Fatal(err)
	}
	full.Store("on", true)
	r.admit(newRecord(m), true)
}
