package commands

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"esa/mta/envelope"
	"esa/shell"
	"esa/shell/shelltest"
)

// fakeMail is a queue of four messages. An act takes a second for each message
// that it looks at. How the next one goes:
//
//	slow     it takes four seconds for each message
//	stopped  Ctrl-C comes after the second message
//	busy     the first message is being delivered and stays
//	kept     the first message cannot be acted on
//	unread   seven messages are not read yet
//	ending   the gateway ends
type fakeMail struct {
	clock *clock
	how   string
	queue []Queued
	text  map[envelope.MID]string
	sent  []Letter
}

// Send keeps the letter; offline it is refused.
func (f *fakeMail) Send(l Letter) (envelope.MID, error) {
	if f.how == "offline" {
		return 0, shell.Refusedf("The gateway is not running. Start it first.")
	}
	f.sent = append(f.sent, l)
	return 99, nil
}

func newMail(c *clock) *fakeMail {
	now := c.Now()
	address := func(s string) envelope.Address {
		a, _ := envelope.ParseAddress(s)
		return a
	}
	queued := func(mid envelope.MID, from, subject string, to ...string) Queued {
		q := Queued{Message: envelope.Message{MID: mid, Sender: address(from), Subject: subject, Size: int64(1230 * mid), Received: now.Add(-time.Duration(mid) * 437 * time.Second)}}
		for i, r := range to {
			q.Message.Recipients = append(q.Message.Recipients, envelope.Recipient{RID: envelope.RID(i), Address: address(r)})
			q.Recipients = append(q.Recipients, QueuedRecipient{Domain: address(r).Domain})
		}
		return q
	}
	f := &fakeMail{clock: c, text: map[envelope.MID]string{}, queue: []Queued{
		queued(9, "user123456@example.com", "Testing", "9554@example.com", "done@example.com", "b@example.net"),
		queued(12, "user123456@example.com", "", "c@example.com"),
		queued(13, "", "Delivery \x1b[31mStatus", "somebody.with.a.long.name@a.long.domain.example.org", "d@example.com"),
		queued(17, "a@sender.example", "Suspended", "e@suspended.example"),
	}}
	first := f.queue[0].Recipients
	first[0].Attempts, first[0].NextAttempt = 3, now.Add(9*time.Minute)
	first[0].Reason, first[0].Code, first[0].Reply, first[0].Host = envelope.ReasonDeferred, 451, "4.7.1 try \x1b[2Jlater", "mx1.example.com"
	first[1].Done = true
	first[2].Underway, first[2].Attempts, first[2].Reason = true, 1, envelope.ReasonTimeout
	f.queue[2].Recipients[0].Domain, f.queue[2].Recipients[0].Attempts = "[192.0.2.7]", 1
	f.queue[2].Recipients[1].NextAttempt, f.queue[2].Recipients[1].Limited = now.Add(4*time.Minute), true
	f.queue[3].Recipients[0].Suspended = true
	for _, q := range f.queue {
		f.text[q.Message.MID] = "Received: from x\r\nSubject: " + q.Message.Subject + "\r\n\r\nHello.\r\nFrom here on\r\n>From there\r\n"
	}
	return f
}

// selected marks the recipients of a selection and reports whether there is
// one.
func selected(q Queued, s Selection) (Queued, int) {
	q.Recipients = slices.Clone(q.Recipients)
	n := 0
	for i := range q.Recipients {
		r := &q.Recipients[i]
		r.Selected = !r.Done && (s.MID == 0 || s.MID == q.Message.MID) && (s.Domain == "" || s.Domain == r.Domain) &&
			(s.Sender == nil || s.Sender.Key() == q.Message.Sender.Key())
		if r.Selected {
			n++
		}
	}
	return q, n
}

func (f *fakeMail) Each(s Selection, visit func(Queued) bool) error {
	for _, q := range f.queue {
		if q, n := selected(q, s); n > 0 && !visit(q) {
			return nil
		}
	}
	if f.how == "kept" {
		return errors.New("reading MID 99: damaged")
	}
	return nil
}

func (f *fakeMail) Open(mid envelope.MID) (Queued, io.ReadCloser, error) {
	for _, q := range f.queue {
		if q.Message.MID == mid {
			return q, io.NopCloser(strings.NewReader(f.text[mid])), nil
		}
	}
	return Queued{}, nil, shell.Refusedf("MID %d is not in the queue.", mid)
}

func (f *fakeMail) Delete(ctx context.Context, s Selection, p Progress) (Acted, error) {
	return f.act(ctx, s, p)
}
func (f *fakeMail) Bounce(ctx context.Context, s Selection, p Progress) (Acted, error) {
	return f.act(ctx, s, p)
}
func (f *fakeMail) Redirect(ctx context.Context, _ envelope.Machine, p Progress) (Acted, error) {
	return f.act(ctx, Selection{}, p)
}

func (f *fakeMail) act(_ context.Context, s Selection, p Progress) (done Acted, err error) {
	how := f.how
	f.how = ""
	all := len(f.queue)
	if how == "ending" {
		return done, shell.Refusedf("The gateway is stopping.")
	}
	if how == "unread" {
		done.Unread = 7
	}
	f.queue = slices.DeleteFunc(f.queue, func(q Queued) bool {
		_, n := selected(q, s)
		if n == 0 || err != nil {
			return false
		}
		f.clock.advance(time.Second)
		if how == "slow" {
			f.clock.advance(3 * time.Second)
		}
		if p != nil {
			p(done.Messages, all, how == "busy")
		}
		switch {
		case how == "busy" && done == (Acted{}):
			done.Busy = n
			return false
		case how == "kept" && done == (Acted{}):
			done.Kept = n
			return false
		}
		done.Messages++
		done.Recipients += n
		if how == "stopped" && done.Messages == 2 {
			err = shell.ErrInterrupt
		}
		return true
	})
	return done, err
}

func (f *fakeMail) DeliverNow(domain string) (int, error) {
	found := 0
	for _, q := range f.queue {
		_, n := selected(q, Selection{Domain: domain})
		found += n
	}
	return found, nil
}

// fakeService suspends nothing but its own word. open is how many connections
// outlast the wait.
type fakeService struct {
	now  Suspension
	open int
}

func (f *fakeService) ChangeSuspension(edit func(*Suspension) error) error {
	next := f.now
	next.Listeners, next.Domains = slices.Clone(f.now.Listeners), slices.Clone(f.now.Domains)
	if err := edit(&next); err != nil {
		return err
	}
	f.now = next
	return nil
}

func (f *fakeService) AwaitSessions(context.Context, time.Duration) (int, error) { return f.open, nil }
func (f *fakeService) AwaitDeliveries(context.Context, time.Duration) (int, error) {
	return f.open, nil
}

// TestActStopped: Ctrl-C ends an act, and what was done is told.
func TestActStopped(t *testing.T) {
	w := newWorld(t)
	env := w.env("admin", true)
	ctx, cancel := context.WithCancelCause(t.Context())
	env.Mail = interrupting{w.mail, func() { cancel(shell.ErrInterrupt) }}
	w.mail.how = "stopped"
	screen := shelltest.NewScreen("deleterecipients all")
	_ = w.shell(env, screen).Interactive(ctx)
	if got := screen.String(); !strings.Contains(got, "Deleting messages, please wait.\nStopped.\n2 messages deleted.\n3 recipients in all.\n^C\n") {
		t.Error(got)
	}
}

// interrupting is a queue at which the operator types Ctrl-C during an act.
type interrupting struct {
	Mail
	interrupt func()
}

func (i interrupting) Delete(ctx context.Context, s Selection, p Progress) (Acted, error) {
	done, err := i.Mail.Delete(ctx, s, p)
	i.interrupt()
	return done, err
}

// TestSuspendGivenUp: what was asked for stands, and what is left is told.
func TestSuspendGivenUp(t *testing.T) {
	w := newWorld(t)
	w.service.open = 3
	env := w.env("admin", true)
	got := w.run(env, "suspendlistener 5 all")
	if !strings.Contains(got, "Receiving suspended.\n3 open connections were left to end by themselves.\n") || !w.service.now.AllListeners {
		t.Error(got)
	}
}

// TestWriteMbox: lines that would begin a message are quoted so that it can be
// undone, and long lines are not changed.
func TestWriteMbox(t *testing.T) {
	long := "From " + strings.Repeat("x", 9000)
	var b strings.Builder
	m := envelope.Message{Received: time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)}
	text := "Subject: x\r\n\r\nFrom a\r\n>From b\r\n>>From c\r\nnot From d\r\n" + long + "\r\nend"
	if err := writeMbox(&b, m, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	want := "From MAILER-DAEMON Mon Mar  2 09:30:00 2026\nSubject: x\n\n>From a\n>>From b\n>>>From c\nnot From d\n>" + long + "\nend\n"
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

// TestParseListeners takes names and the numbers of the list, in any case.
func TestParseListeners(t *testing.T) {
	names := []string{"In", "Out", "3"}
	for text, want := range map[string]string{
		"1": "", "all": "", "2": "In", "3": "3", "out, in": "Out In", "2,2,In": "In", "In,All": "", "2,": "In",
		"5": "!", "": "!", ",": "!", "x": "!", "0": "!",
	} {
		got, err := parseListeners(names, text)
		if found := strings.Join(got, " "); (err != nil) != (want == "!") || err == nil && found != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
