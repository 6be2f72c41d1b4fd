package mta

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"esa/mta/counters"
	"esa/mta/envelope"
	"esa/mta/mtatest"
	"esa/mta/queue"
	"esa/store"
)

// change suspends or resumes.
func (w *world) suspend(edit func(*Suspension)) {
	w.t.Helper()
	if err := w.gateway.ChangeSuspension(func(s *Suspension) error { edit(s); return nil }); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) delivered() int64 {
	return w.gateway.Status().Counters.Counters[counters.DeliveredRecips].Lifetime
}

// TestSuspension_HoldsOverRestarts: mail is neither taken nor delivered until
// an operator says so, whoever restarts the gateway.
func TestSuspension_HoldsOverRestarts(t *testing.T) {
	w := start(t, nil)
	w.suspend(func(s *Suspension) { s.Domains = []string{"held.test"} })
	c := dial(t, w.addr)
	c.do("EHLO client.test", "250")
	c.mail("a@from.test", "b@held.test", "Subject: one\r\n\r\none")
	c.mail("a@from.test", "b@other.test", "Subject: two\r\n\r\ntwo")
	await(t, "the delivery", func() bool { return w.delivered() == 1 })

	w.suspend(func(s *Suspension) { s.AllListeners = true })
	c.want("421")
	c.closed()
	connect(t, w.addr).want("421 gw.test Service not available, closing transaction channel")
	if left, err := w.gateway.AwaitSessions(t.Context(), time.Minute); left != 0 || err != nil {
		t.Errorf("%d left, %v", left, err)
	}

	w.reopen()
	w.awaitBound(1)
	connect(t, w.addr).want("421")
	await(t, "the queue", func() bool { return w.gateway.Status().Queue.ActiveRecipients == 1 })
	if s := w.gateway.Status().Suspended; !s.AllListeners || len(s.Domains) != 1 {
		t.Errorf("%+v", s)
	}
	h, err := w.gateway.Host(t.Context(), "held.test")
	if err != nil || !h.Suspended || h.Running != 0 {
		t.Errorf("%+v, %v", h, err)
	}
	w.suspend(func(s *Suspension) { *s = Suspension{} })
	await(t, "the delivery", func() bool { return w.delivered() == 2 })
	dial(t, w.addr)
	log := w.mailLog()
	for _, line := range []string{
		"Info: Deliveries are currently suspended [held.test]\n", "Info: Receiving is suspended [ALL]\n",
		"Info: Receiving is resumed [ALL]\n", "Info: Deliveries are resumed [held.test]\n",
	} {
		if !strings.Contains(log, line) {
			t.Errorf("%q is missing in\n%s", line, log)
		}
	}
	w.reopen()
	w.awaitBound(1)
	dial(t, w.addr)
}

// TestSuspension_OneListener of two, and what counts as all.
func TestSuspension_OneListener(t *testing.T) {
	second := freeAddr(t, "127.0.0.2")
	w := start(t, twoListeners(second))
	w.suspend(func(s *Suspension) { s.Listeners = []string{"Second"} })
	connect(t, second).want("421")
	dial(t, w.addr)
	if w.gateway.Status().Suspended.AllListeners {
		t.Error("one is not all")
	}
	w.suspend(func(s *Suspension) { s.Listeners = append(s.Listeners, "OutgoingMail") })
	if !w.gateway.Status().Suspended.AllListeners {
		t.Error("both are all")
	}
	// A commit takes nothing back.
	w.commit(func(c *store.Config) { c.Hostname = "new.test" })
	connect(t, second).want("421")
}

// TestSuspension_FollowsTheListener: one that is renamed stays suspended, also
// after a restart; one that is deleted leaves nothing to another of its name.
func TestSuspension_FollowsTheListener(t *testing.T) {
	second := freeAddr(t, "127.0.0.2")
	w := start(t, twoListeners(second))
	w.suspend(func(s *Suspension) { s.Listeners = []string{"Second", "Other"} })
	w.commit(func(c *store.Config) { c.Listeners[1].Name = "Other" })
	connect(t, second).want("421")
	if got := w.gateway.Status().Suspended.Listeners; !slices.Equal(got, []string{"Other"}) {
		t.Errorf("suspended: %q", got)
	}
	w.reopen()
	w.awaitBound(2)
	connect(t, second).want("421")

	var deleted store.Listener
	w.commit(func(c *store.Config) { deleted, c.Listeners = c.Listeners[1], c.Listeners[:1] })
	w.commit(func(c *store.Config) { c.Listeners = append(c.Listeners, deleted) })
	dial(t, second)
	if got := w.gateway.Status().Suspended.Listeners; len(got) != 0 {
		t.Errorf("suspended: %q", got)
	}
}

// TestSuspension_OutlastsATrial: a suspended listener that a trial removes comes
// back suspended; once the trial is confirmed, another of its name is not.
func TestSuspension_OutlastsATrial(t *testing.T) {
	second := freeAddr(t, "127.0.0.2")
	w, _ := trialWorld(t, twoListeners(second))
	w.suspend(func(s *Suspension) { s.Listeners = []string{"Second"} })
	remove := func(c *store.Config) { c.Listeners = c.Listeners[:1] }
	w.trial(remove)
	if _, err := w.gateway.RevertCommit(t.Context(), store.Who{User: "ann"}); err != nil {
		t.Fatal(err)
	}
	connect(t, second).want("421")

	w.trial(remove)
	if _, err := w.gateway.ConfirmCommit(t.Context(), store.Who{User: "ann"}); err != nil {
		t.Fatal(err)
	}
	if got := w.gateway.Suspended().Listeners; len(got) != 0 {
		t.Errorf("suspended after the confirmation: %q", got)
	}
}

// TestSuspension_CutsDeliveries when their time is over; the message is there
// still, and goes out after resume and delivernow.
func TestSuspension_CutsDeliveries(t *testing.T) {
	silent := true
	reached := make(chan bool, 1)
	slow := mtatest.StartPeer(t, mtatest.PeerScript{Answer: func(_ *mtatest.PeerConn, command string) string {
		if silent && command == "." {
			silent = false
			reached <- true
			return mtatest.PeerSilence
		}
		return ""
	}})
	w := start(t, func(_ *world, c *store.Config) { c.Routes = []store.Route{routeTo("ALL", slow)} })
	c := dial(t, w.addr)
	c.mail("a@from.test", "b@slow.test", "Subject: one\r\n\r\none")
	<-reached
	w.suspend(func(s *Suspension) { s.AllDomains = true })
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer stop()
	if left, err := w.gateway.AwaitDeliveries(ctx, time.Hour); left != 1 || err != nil {
		t.Errorf("%d left, %v", left, err)
	}
	if left, err := w.gateway.AwaitDeliveries(t.Context(), 0); left != 0 || err != nil {
		t.Errorf("%d left, %v", left, err)
	}
	if s := w.gateway.Status(); s.Queue.ActiveRecipients != 1 || w.delivered() != 0 || s.Outbound != 0 {
		t.Errorf("%+v", s)
	}
	w.suspend(func(s *Suspension) { s.AllDomains = false })
	if n, err := w.gateway.DeliverNow("slow.test"); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	await(t, "the delivery", func() bool { return w.delivered() == 1 })
}

// TestSuspension_WhatCannotBeSavedIsNotDone.
func TestSuspension_WhatCannotBeSavedIsNotDone(t *testing.T) {
	w := start(t, nil)
	if err := os.Mkdir(w.dir+"/suspended", 0o700); err != nil {
		t.Fatal(err)
	}
	err := w.gateway.ChangeSuspension(func(s *Suspension) error { s.AllListeners = true; return nil })
	if err == nil || w.gateway.Suspended().AllListeners {
		t.Errorf("%v", err)
	}
	dial(t, w.addr)
	refusal := errors.New("no")
	if err := w.gateway.ChangeSuspension(func(*Suspension) error { return refusal }); err != refusal {
		t.Error(err)
	}
	if err := os.Remove(w.dir + "/suspended"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.dir+"/suspended", []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.end()
	if _, err := Open(w.options()); err == nil || !strings.Contains(err.Error(), "suspended") {
		t.Errorf("opened with a damaged file: %v", err)
	}
}

// TestActs_EndToEnd: delete, bounce, redirect through a gateway that runs, and
// what of them a restart finds.
func TestActs_EndToEnd(t *testing.T) {
	refusing := mtatest.StartPeer(t, mtatest.PeerScript{Answer: func(_ *mtatest.PeerConn, command string) string {
		if strings.HasPrefix(command, "RCPT") {
			return "451 4.7.1 later"
		}
		return ""
	}})
	w := start(t, func(w *world, c *store.Config) {
		c.Routes = []store.Route{routeTo("ALL", refusing), routeTo("from.test", w.hop)}
	})
	c := dial(t, w.addr)
	for _, to := range []string{"x@a.test", "x@b.test", "x@c.test"} {
		c.mail("a@from.test", to, "Subject: one\r\n\r\none")
	}
	c.do("QUIT", "221")
	await(t, "the attempts", func() bool {
		s := w.gateway.Status().Queue
		return s.AttemptedRecipients == 3 && s.Running == 0
	})
	var waits []queue.RecipientState
	if err := w.gateway.EachMail(queue.Selection{Domain: "a.test"}, func(e queue.Entry) bool {
		waits = append(waits, e.Recipients...)
		return true
	}); err != nil || len(waits) != 1 || waits[0].Code != 451 || waits[0].NextAttempt.IsZero() || waits[0].Reason != envelope.ReasonDeferred {
		t.Errorf("%+v, %v", waits, err)
	}
	if done, err := w.gateway.DeleteMail(t.Context(), queue.Selection{Domain: "a.test"}, nil); err != nil || done.Messages != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	if done, err := w.gateway.BounceMail(t.Context(), queue.Selection{Domain: "b.test"}, nil); err != nil || done.Messages != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	await(t, "the bounce", func() bool { return len(w.hop.Messages()) == 1 })
	// What is sent elsewhere while nothing is delivered goes there after a
	// restart.
	w.suspend(func(s *Suspension) { s.AllDomains = true })
	to := envelope.Machine{Host: w.hop.Addr().Addr().String(), Port: w.hop.Addr().Port()}
	if done, err := w.gateway.RedirectMail(t.Context(), to, nil); err != nil || done.Recipients != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	w.reopen()
	w.suspend(func(s *Suspension) { s.AllDomains = false })
	await(t, "the message", func() bool { return len(w.hop.Messages()) == 2 })
	if got := w.hop.Messages()[1].To; len(got) != 1 || got[0] != "<x@c.test>" {
		t.Errorf("to %q", got)
	}
}

// TestActsOffline: nothing can be done, and every act says so.
func TestActsOffline(t *testing.T) {
	w := newWorld(t, nil)
	g := Offline(w.options())
	ctx := t.Context()
	_, deleted := g.DeleteMail(ctx, queue.Selection{}, nil)
	_, bounced := g.BounceMail(ctx, queue.Selection{}, nil)
	_, redirected := g.RedirectMail(ctx, envelope.Machine{}, nil)
	_, now := g.DeliverNow("")
	_, _, mail := g.Mail(1)
	_, sessions := g.AwaitSessions(ctx, 0)
	_, deliveries := g.AwaitDeliveries(ctx, 0)
	for i, err := range []error{
		deleted, bounced, redirected, now, mail, sessions, deliveries,
		g.EachMail(queue.Selection{}, nil), g.ChangeSuspension(nil),
	} {
		if !errors.Is(err, ErrOffline) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if g.Working() != nil {
		t.Error("connections of nothing")
	}
}
