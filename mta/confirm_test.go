package mta

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"esa/mta/maillog"
	"esa/store"
)

// clocks are the two that a trial ends by: how far the wall clock is off, and
// how long the gateway runs.
type clocks struct{ wall, ran atomic.Int64 }

// trialWorld is a world that runs, with clocks that a test sets.
func trialWorld(t *testing.T, change func(*world, *store.Config)) (*world, *clocks) {
	t.Helper()
	var c clocks
	w := newWorld(t, change)
	w.tune = func(g *Gateway) {
		g.Clock = func() time.Time { return time.Now().Add(time.Duration(c.wall.Load())) }
		g.ran = func() time.Duration { return time.Duration(c.ran.Load()) }
	}
	w.run()
	w.awaitBound(len(w.gateway.current.Load().sockets))
	return w, &c
}

// trial commits a change on trial for ten minutes, in a session that is lost.
func (w *world) trial(change func(*store.Config)) uint64 {
	w.t.Helper()
	s := w.edit("ann", change)
	report, err := w.gateway.Commit(context.Background(), store.CommitRequest{Session: s, Comment: "try", Confirm: 10 * time.Minute})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := s.Close(true); err != nil {
		w.t.Fatal(err)
	}
	return report.Revision.Number
}

// awaitReturn waits until the trial has been taken back.
func (w *world) awaitReturn(trial uint64) {
	w.t.Helper()
	await(w.t, "the configuration from before", func() bool { return w.gateway.current.Load().revision == trial+1 })
	if config, revision := w.store.Running(); revision != trial+1 || config.Hostname != "gw.test" {
		w.t.Errorf("revision %d runs: %s", revision, config.Hostname)
	}
	if _, waits := w.store.Awaiting(); waits {
		w.t.Error("something waits to be confirmed still")
	}
}

// TestC6_TimeOver: by either clock; sessions and transactions live on, the
// sockets of before are the ones of after.
func TestC6_TimeOver(t *testing.T) {
	for name, over := range map[string]func(*clocks){
		"by the wall clock":       func(c *clocks) { c.wall.Store(int64(10 * time.Minute)) },
		"by a clock put forward":  func(c *clocks) { c.wall.Store(int64(10 * 365 * 24 * time.Hour)) },
		"by the time it runs":     func(c *clocks) { c.ran.Add(int64(10 * time.Minute)) },
		"with the clock put back": func(c *clocks) { c.wall.Store(int64(-24 * time.Hour)); c.ran.Add(int64(10 * time.Minute)) },
	} {
		t.Run(name, func(t *testing.T) {
			w, c := trialWorld(t, nil)
			second := freeAddr(t, "127.0.0.2")
			before := inodes(t, w.addr.Port())
			busy := dial(t, w.addr)
			busy.do("MAIL FROM:<a@sender.test>", "250")
			trial := w.trial(func(c *store.Config) {
				c.Hostname = "trial.test"
				listenAt("Second", second)(c)
			})
			added := dial(t, second)
			added.do("MAIL FROM:<a@sender.test>", "250")

			over(c)
			w.awaitReturn(trial)
			busy.do("RCPT TO:<b@rcpt.test>", "250")
			busy.do("DATA", "354")
			busy.do("Subject: busy\r\n\r\nx\r\n.", "250")
			added.do("RCPT TO:<b@rcpt.test>", "250")
			await(t, "the end of the new listener", func() bool {
				conn, err := net.Dial("tcp", second.String())
				if err == nil {
					conn.Close()
				}
				return err != nil
			})
			if after := inodes(t, w.addr.Port()); len(after) != len(before) || after[hexAddr(before)] != before[hexAddr(before)] {
				t.Errorf("sockets before %v, after %v", before, after)
			}
			await(t, "the alert", func() bool { // raised once the old revision runs
				alerts, err := w.gateway.Alerts()
				return err == nil && len(alerts) > 0 && strings.Contains(alerts[0].Text, "was taken back")
			})
			if r, err := w.store.Revision(trial + 1); err != nil || r.User != "system" || !strings.Contains(r.Comment, "not confirmed in time") {
				t.Errorf("the revision: %+v, %v", r.Revision, err)
			}
		})
	}
}

// hexAddr is any one key of a table of sockets.
func hexAddr(sockets map[string]string) string {
	for addr := range sockets {
		return addr
	}
	return ""
}

// TestC6_DueByTheFirstClock is the rule by itself.
func TestC6_DueByTheFirstClock(t *testing.T) {
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c := store.Confirmation{Revision: 7, Since: began, Until: began.Add(10 * time.Minute)}
	for _, tt := range []struct {
		name      string
		watched   watch
		wall, ran time.Duration // since the trial began
		want      bool
	}{
		{"just begun", watch{revision: 7}, 0, 0, false},
		{"a second before", watch{revision: 7}, 10*time.Minute - time.Second, 10*time.Minute - time.Second, false},
		{"over", watch{revision: 7}, 10 * time.Minute, 10 * time.Minute, true},
		{"the machine slept", watch{revision: 7}, time.Hour, time.Minute, true},
		{"the clock was put back", watch{revision: 7}, -time.Hour, 10 * time.Minute, true},
		{"put back a little", watch{revision: 7}, -time.Hour, 9 * time.Minute, false},
		{"another was overdue", watch{revision: 6, overdue: true}, 0, time.Minute, false},
		{"the start could not", watch{revision: 7, overdue: true}, 0, 0, true},
		{"tried a moment ago", watch{revision: 7, retry: 10*time.Minute + trialRetry}, 10 * time.Minute, 10 * time.Minute, false},
		{"tried a while ago", watch{revision: 7, retry: 10*time.Minute + trialRetry}, 20 * time.Minute, 11 * time.Minute, true},
	} {
		if got := tt.watched.due(c, 0, moment{began.Add(tt.wall), tt.ran}); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// TestC6_Confirmed: it stays, whatever the clocks say, and over a restart.
func TestC6_Confirmed(t *testing.T) {
	w, c := trialWorld(t, nil)
	trial := w.trial(hostname("trial.test"))
	if got, err := w.gateway.ConfirmCommit(t.Context(), store.Who{User: "bob"}); err != nil || got.Revision != trial {
		t.Fatalf("%+v, %v", got, err)
	}
	if log := w.systemLog(); !strings.Contains(log, "revision 2 was confirmed by bob from unknown.") {
		t.Errorf("system_logs: %s", log)
	}
	c.wall.Store(int64(time.Hour))
	c.ran.Store(int64(time.Hour))
	w.commit(func(c *store.Config) { c.Listeners[0].MaxConnections = 17 })
	w.reopen()
	config, revision := w.store.Running()
	if revision != trial+1 || config.Hostname != "trial.test" || config.Listeners[0].MaxConnections != 17 {
		t.Errorf("revision %d runs: %s", revision, config.Hostname)
	}
	if kept, err := store.ReadCopy(w.dir + "/config.db"); err != nil || kept.Config.Hostname != "trial.test" {
		t.Errorf("the copy: %+v, %v", kept, err)
	}
	for _, err := range []error{
		second(w.gateway.ConfirmCommit(t.Context(), store.Who{})), second(w.gateway.RevertCommit(t.Context(), store.Who{})),
	} {
		if !errors.Is(err, store.ErrNotAwaited) {
			t.Errorf("nothing waits: %v", err)
		}
	}
}

// TestC6_Reverted by an operator, whose uncommitted changes stay.
func TestC6_Reverted(t *testing.T) {
	w, _ := trialWorld(t, nil)
	trial := w.trial(hostname("trial.test"))
	s := w.edit("ann", func(c *store.Config) { c.Delivery.Concurrency = 5 })
	if _, err := w.try(s); !isAwaiting(err) {
		t.Errorf("a commit during the trial: %v", err)
	}
	if _, err := w.gateway.Check(t.Context(), store.CommitRequest{Session: s}); !isAwaiting(err) {
		t.Errorf("a check during the trial: %v", err)
	}
	report, err := w.gateway.RevertCommit(t.Context(), s.Who())
	if err != nil || report.Revision.User != "ann" || len(report.Changes) != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	w.awaitReturn(trial)
	if _, err := w.try(s); err != nil {
		t.Fatal(err)
	}
	if log := w.systemLog(); !strings.Contains(log, "revision 2 is taken back at ") || !strings.Contains(log, "User ann: Commit changes: Back to revision 1: commit revert") {
		t.Errorf("system_logs: %s", log)
	}
	if c := w.gateway.current.Load().config; c.Hostname != "gw.test" || c.Delivery.Concurrency != 5 {
		t.Errorf("runs %s with %d", c.Hostname, c.Delivery.Concurrency)
	}
}

func isAwaiting(err error) bool {
	_, ok := errors.AsType[*store.AwaitingError](err)
	return ok
}

// TestC6_Killed: whatever is left of the time, the start takes the trial back
// before anything listens. left is the directory as the kill leaves it.
func TestC6_Killed(t *testing.T) {
	w, _ := trialWorld(t, nil)
	trialAddr := freeAddr(t, "127.0.0.2")
	trial := w.trial(func(c *store.Config) {
		c.Hostname = "trial.test"
		listenAt("Second", trialAddr)(c)
	})
	left := copyTree(t, w.dir)
	w.end()

	after := w.at(left)
	var running uint64
	after.tune = func(g *Gateway) { running = g.current.Load().revision }
	after.run()
	after.awaitReturn(trial)
	after.awaitBound(1)
	if running != trial+1 {
		t.Errorf("revision %d was to run before anything listened", running)
	}
	if _, err := greet(trialAddr); err == nil {
		t.Error("what was on trial listens")
	}
	if r, err := after.store.Revision(trial + 1); err != nil || !strings.Contains(r.Comment, "restarted before") {
		t.Errorf("the revision: %+v, %v", r.Revision, err)
	}
	if log := after.systemLog(); !strings.Contains(log, "User system: Commit changes: Back to revision 1: restarted before") {
		t.Errorf("system_logs: %s", log)
	}
	if alerts, err := after.gateway.Alerts(); err != nil || len(alerts) == 0 || !strings.Contains(alerts[0].Text, "started anew") {
		t.Errorf("alerts %v, %v", alerts, err)
	}
}

// TestC6_KilledWhileTakingBack: at each side of the save the start ends where
// the gateway was going.
func TestC6_KilledWhileTakingBack(t *testing.T) {
	w, _ := trialWorld(t, nil)
	trial := w.trial(hostname("trial.test"))
	saved := ""
	w.diag.watch("configuration taken back", func() { saved = copyTree(t, w.dir) })
	before := copyTree(t, w.dir)
	if _, err := w.gateway.RevertCommit(t.Context(), store.Who{User: "ann"}); err != nil {
		t.Fatal(err)
	}
	w.end()
	for name, left := range map[string]string{"before the save": before, "between save and swap": saved} {
		t.Run(name, func(t *testing.T) {
			after := w.at(left)
			after.t = t
			after.run()
			after.awaitReturn(trial)
		})
	}
}

// TestC6_StartThatCannotSave runs the trial on, and says so.
func TestC6_StartThatCannotSave(t *testing.T) {
	w, _ := trialWorld(t, nil)
	trial := w.trial(hostname("trial.test"))
	w.end()
	w.store.Close()
	o := w.options().withDefaults()
	if left, taken := revertAtStart(o); taken.Number > 0 || left.Revision != trial {
		t.Errorf("taken back: %+v, %+v", taken, left)
	}
	if !strings.Contains(w.diag.text.String(), "not taken back yet") {
		t.Errorf("said %s", w.diag.text.String())
	}
}

// TestC6_PortTakenMeanwhile keeps nothing from coming back; what cannot be
// bound is tried again.
func TestC6_PortTakenMeanwhile(t *testing.T) {
	second := freeAddr(t, "127.0.0.2")
	w, c := trialWorld(t, twoListeners(second))
	trial := w.trial(func(c *store.Config) {
		c.Hostname = "trial.test"
		c.Listeners = c.Listeners[:1]
	})
	var l net.Listener
	await(t, "the port", func() (ok bool) {
		var err error
		l, err = net.Listen("tcp", second.String())
		return err == nil
	})
	c.ran.Store(int64(time.Hour))
	w.awaitReturn(trial)
	if _, err := greet(w.addr); err != nil {
		t.Error(err)
	}
	await(t, "the report", func() bool { return len(w.gateway.Status().Unbound) == 1 })
	l.Close()
	w.awaitBound(2)
	if _, err := greet(second); err != nil {
		t.Error(err)
	}
}

// TestC6_Offline: there nobody watches the time, so nothing is put on trial;
// what is on trial can be ended either way.
func TestC6_Offline(t *testing.T) {
	for name, end := range map[string]struct {
		act      func(*Gateway) error
		hostname string
	}{
		"confirmed": {func(g *Gateway) error { return second(g.ConfirmCommit(t.Context(), store.Who{User: "ann"})) }, "trial.test"},
		"reverted":  {func(g *Gateway) error { return second(g.RevertCommit(t.Context(), store.Who{User: "ann"})) }, "gw.test"},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := trialWorld(t, nil)
			w.trial(hostname("trial.test"))
			left := copyTree(t, w.dir)
			w.end()
			after := w.at(left)
			after.gateway = Offline(after.options())
			if err := end.act(after.gateway); err != nil {
				t.Fatal(err)
			}
			if got := after.gateway.current.Load().config.Hostname; got != end.hostname {
				t.Errorf("runs %s", got)
			}
			s := after.edit("ann", hostname("offline.test"))
			request := store.CommitRequest{Session: s, Confirm: time.Minute}
			if _, err := after.gateway.Commit(t.Context(), request); !errors.Is(err, ErrOffline) {
				t.Errorf("a trial offline: %v", err)
			}
			if _, err := after.try(s); err != nil {
				t.Errorf("a commit after it: %v", err)
			}
		})
	}
}

// TestC6_ConfirmedInTheLastMoment: one of the two wins, and the other knows.
func TestC6_ConfirmedInTheLastMoment(t *testing.T) {
	w, c := trialWorld(t, nil)
	for range 20 {
		trial := w.trial(func(c *store.Config) {
			c.Hostname, c.Delivery.Concurrency = "trial.test", c.Delivery.Concurrency-1
		})
		var confirming sync.WaitGroup
		var err error
		confirming.Go(func() { _, err = w.gateway.ConfirmCommit(context.Background(), store.Who{User: "ann"}) })
		c.ran.Add(int64(time.Hour))
		confirming.Wait()
		if errors.Is(err, store.ErrNotAwaited) {
			w.awaitReturn(trial)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := w.revision(); got != trial {
			t.Fatalf("revision %d runs, %d was confirmed", got, trial)
		}
		w.commit(hostname("gw.test"))
	}
}

// TestC6_TakenBackDuringTheStop: nothing listens any more, and the revision
// that comes back is saved for the next start.
func TestC6_TakenBackDuringTheStop(t *testing.T) {
	w, _ := trialWorld(t, nil)
	trial := w.trial(hostname("trial.test"))
	w.gateway.live.sockets.Close()
	if _, err := w.gateway.RevertCommit(t.Context(), store.Who{User: "ann"}); err != nil {
		t.Fatal(err)
	}
	w.awaitReturn(trial)
}

// TestC6_RevertThatComesTooLate: who went away while he waited for his turn
// takes nothing back.
func TestC6_RevertThatComesTooLate(t *testing.T) {
	w, _ := trialWorld(t, nil)
	trial := w.trial(hostname("trial.test"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	w.gateway.mu.Lock()
	go func() { ended <- second(w.gateway.RevertCommit(ctx, store.Who{User: "ann"})) }()
	await(t, "the turn of the revert", func() bool {
		look, end := context.WithTimeout(t.Context(), time.Millisecond)
		defer end()
		unlock, err := w.store.Lock(look, store.Who{})
		if err == nil {
			unlock()
		}
		return err != nil
	})
	cancel()
	w.gateway.mu.Unlock()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if got := w.revision(); got != trial {
		t.Errorf("revision %d runs", got)
	}
}

// damage rewrites a text of the database behind the program's back.
func (w *world) damage(from, to string) {
	w.t.Helper()
	path := w.dir + "/config.db"
	data, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(data, []byte(from)) {
		w.t.Fatalf("%s in the database: %v", from, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = f.WriteAt(bytes.ReplaceAll(data, []byte(from), []byte(to)), 0)
	if err := errors.Join(err, f.Close()); err != nil {
		w.t.Fatal(err)
	}
}

// TestC6_DamageBeforeTheReturn: a revision that nobody goes back to is not
// needed to take a trial back.
func TestC6_DamageBeforeTheReturn(t *testing.T) {
	w, c := trialWorld(t, nil)
	w.commit(hostname("old.test"))
	w.commit(hostname("gw.test"))
	w.damage("old.test", "bad.test")
	if _, err := w.store.Revision(2); err == nil {
		t.Fatal("revision 2 is whole")
	}
	trial := w.trial(hostname("trial.test"))
	c.ran.Store(int64(time.Hour))
	w.awaitReturn(trial)
}

// TestC6_NoTrialWithoutAWayBack: where the database cannot give what would come
// back, the trial does not begin.
func TestC6_NoTrialWithoutAWayBack(t *testing.T) {
	w, _ := trialWorld(t, nil)
	w.commit(hostname("old.test"))
	w.damage("old.test", "bad.test")
	s := w.edit("ann", hostname("trial.test"))
	_, err := w.gateway.Commit(t.Context(), store.CommitRequest{Session: s, Confirm: time.Minute})
	if err == nil || !strings.Contains(err.Error(), "could not be taken back: ") {
		t.Errorf("a trial without a way back: %v", err)
	}
	if _, err := w.try(s); err != nil {
		t.Errorf("a commit that is no trial: %v", err)
	}
}

// systemLog is what was written of commits.
func (w *world) systemLog() string {
	w.t.Helper()
	var log bytes.Buffer
	if _, err := w.gateway.GrepLog(context.Background(), maillog.Search{Log: "system_logs", Expression: regexp.MustCompile("")}, &log); err != nil {
		w.t.Fatal(err)
	}
	return log.String()
}
