package alert

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"esa/mta/envelope"
)

func TestMailText(t *testing.T) {
	h := newHarness(t)
	h.Raise(broken)
	mails := h.after(0)
	h.wantCount("raised", mails, 1)
	want := strings.ReplaceAll(fmt.Sprintf(`Message-Id: <alert.1.%d@gw.example.com>
Date: 02 Mar 2026 09:30:00 +0000
From: <alert@gw.example.com>
To: <ops@example.com>
Subject: Warning <System> gw.example.com: A required TLS connection to example.net failed.
Auto-Submitted: auto-generated
MIME-Version: 1.0
Content-Type: text/plain; charset="us-ascii"

The Warning message is:

A required TLS connection to example.net failed.
Host: mx.example.net

Version: 1.2
Serial Number: S-1
Timestamp: 02 Mar 2026 09:30:00 +0000

Use alertconfig to set who is told of what, and how often.
`, epoch.UnixNano()), "\n", "\r\n")
	if mails[0] != want {
		t.Errorf("got\n%s\nwant\n%s", mails[0], want)
	}
	job := h.post.jobs[0]
	if job.Domain != "example.com" || job.Message.Sender.String() != "alert@gw.example.com" || job.Message.Size != int64(len(want)) || job.Message.MID != 1 {
		t.Errorf("%+v %+v", job, job.Message)
	}
}

func TestFromIsWhatIsConfigured(t *testing.T) {
	h := newHarness(t)
	h.set.From = boss
	h.Configure(h.set)
	h.Raise(broken)
	if mails := h.after(0); len(mails) != 1 || !strings.Contains(mails[0], "\r\nFrom: <boss@example.org>\r\n") || h.post.jobs[0].Message.Sender != boss {
		t.Errorf("%q", mails)
	}
}

// TestIntervalsDouble follows repetitions: 5, 15, 35, 60, 60 minutes.
func TestIntervalsDouble(t *testing.T) {
	h := newHarness(t)
	h.Raise(broken)
	h.wantCount("the first", h.after(0), 1)
	for _, minutes := range []time.Duration{5, 15, 35, 60, 60} {
		h.Raise(broken)
		h.Raise(broken)
		h.wantCount("before the interval is over", h.after(minutes*time.Minute-time.Second), 0)
		mails := h.after(time.Second)
		h.wantCount(fmt.Sprint(minutes), mails, 1)
		if len(mails) > 0 && !strings.Contains(mails[0], "Last message occurred 2 times between ") {
			t.Errorf("%s", mails[0])
		}
	}
	h.wantCount("nothing is repeated", h.after(2*time.Hour), 0)
	h.Raise(broken)
	h.wantCount("after a quiet interval the first is told at once", h.after(0), 1)
	h.Raise(broken)
	h.wantCount("and the intervals begin anew", h.after(5*time.Minute), 1)
}

func TestRepetitionIsByAlertAndDomain(t *testing.T) {
	h := newHarness(t)
	again, other, kind := broken, broken, broken
	again.About, other.About, kind.Name = "EXAMPLE.net", "example.edu", "queue-store"
	for _, a := range []Alert{broken, again, other, kind} {
		h.Raise(a)
	}
	h.wantCount("one for each", h.after(0), 3)
}

func TestNoIntervalNoSuppression(t *testing.T) {
	h := newHarness(t)
	h.set.Initial = 0
	h.Configure(h.set)
	h.Raise(broken)
	h.Raise(broken)
	h.wantCount("both", h.after(0), 2)
}

func TestIntervalsSurviveRestart(t *testing.T) {
	h := newHarness(t)
	h.Raise(broken)
	h.wantCount("the first", h.after(0), 1)
	h.restart()
	h.Raise(broken)
	h.wantCount("after the restart", h.after(0), 0)
	h.wantCount("when the interval is over", h.after(5*time.Minute), 1)
}

// TestRepetitionDuringPass: what is raised while a pass begins is held back no
// less. A clock that is read before the lock is taken lets an alert come in
// between, whose time is then later than that of the pass.
func TestRepetitionDuringPass(t *testing.T) {
	h := newHarness(t)
	h.o.Clock = func() time.Time {
		read := h.now
		if h.mu.TryLock() {
			h.mu.Unlock()
			h.now = h.now.Add(time.Millisecond)
			h.Raise(broken)
			h.Raise(broken)
		}
		return read
	}
	mails := h.after(0)
	h.Raise(broken)
	h.Raise(broken)
	h.wantCount("repeated during the pass", append(mails, h.after(0)...), 1)
	if stored := h.Stored(); len(stored) != 1 {
		t.Errorf("%+v", stored)
	}
}

func TestClockSetBack(t *testing.T) {
	h := newHarness(t)
	h.Raise(broken)
	h.wantCount("the first", h.after(0), 1)
	h.post.fail = func(envelope.Job) envelope.Outcome { return envelope.Outcome{} }
	h.Raise(Alert{Class: System, Severity: Warning, Name: "other"})
	h.wantCount("one that is to be tried again", h.after(0), 1)
	h.post.fail = nil
	h.Raise(broken)
	h.wantCount("a year back nothing waits for the old times", h.after(-365*24*time.Hour), 2)
}

func TestRecipientsHearOfWhatTheyWant(t *testing.T) {
	h := newHarness(t)
	h.set.Recipients = []Recipient{
		{Address: ops, Wants: func(a Alert) bool { return a.Severity == Critical }},
		{Address: boss, Wants: func(a Alert) bool { return a.Class != System }},
		{Address: envelope.Address{Local: "all", Domain: "example.com"}},
	}
	h.Configure(h.set)
	h.Raise(broken)
	h.wantCount("a warning", h.after(0), 1)
	if to := h.post.jobs[0].Recipients[0].Address.Local; to != "all" {
		t.Errorf("a warning went to %s", to)
	}
	h.Raise(Alert{Class: System, Severity: Critical, Name: "queue-store"})
	h.wantCount("a critical one", h.after(0), 2)
}

func TestWithoutRecipientsAlertsAreKept(t *testing.T) {
	h := newHarness(t)
	h.set.Recipients, h.set.Keep = nil, 2
	h.Configure(h.set)
	for i := range 3 {
		a := broken
		a.About, a.Summary = fmt.Sprint(i), fmt.Sprintf("Number %d.", i)
		h.Raise(a)
		h.wantCount("nobody", h.after(time.Second), 0)
	}
	h.restart()
	stored := h.Stored()
	if len(stored) != 2 || stored[0].Text != "Number 2.\nHost: mx.example.net" || !stored[0].At.Equal(epoch.Add(3*time.Second)) || stored[1].Text != "Number 1.\nHost: mx.example.net" {
		t.Errorf("%+v", stored)
	}
	offline, err := ReadStored(h.path)
	if err != nil || len(offline) != 2 || offline[0].Text != stored[0].Text {
		t.Errorf("%+v, %v", offline, err)
	}
	for _, keep := range []int{1, 0} {
		h.set.Keep = keep
		h.Configure(h.set)
		h.after(0)
		if stored := h.Stored(); len(stored) != keep || keep == 1 && stored[0].Text[:9] != "Number 2." {
			t.Errorf("fewer are kept: %+v", stored)
		}
	}
}

// TestPeersTextIsEscaped: nothing that is raised ends a line, a header or
// speaks to a terminal.
func TestPeersTextIsEscaped(t *testing.T) {
	h := newHarness(t)
	evil := "x\r\nBcc: victim@example.com\r\n\r\n\x1b[2J\u202e\xff"
	h.Raise(Alert{Class: System, Severity: Warning, Name: "n", About: evil, Summary: evil, Details: []string{evil, strings.Repeat("a", 5000)}})
	mails := h.after(0)
	h.wantCount("raised", mails, 1)
	head, body, _ := strings.Cut(mails[0], "\r\n\r\n")
	if strings.Contains(head, "\nBcc") || strings.ContainsAny(mails[0], "\x1b\u202e") || strings.Contains(mails[0], "\xff") || !strings.Contains(head, `Subject: Warning <System> gw.example.com: x\r\nBcc: victim@example.com\r\n\r\n\x1b[2J\u202e\xff`) {
		t.Errorf("%q", mails[0])
	}
	for line := range strings.SplitSeq(body, "\r\n") {
		if len(line) > maxDetail+3 || strings.HasPrefix(line, "Bcc") {
			t.Errorf("%q", line)
		}
	}
}

// TestFailedMailRaisesNothing: it is tried again after 1, 2, 4 … 60 minutes and
// given up after a day.
func TestFailedMailRaisesNothing(t *testing.T) {
	h := newHarness(t)
	h.post.fail = func(envelope.Job) envelope.Outcome {
		return envelope.Outcome{Failure: envelope.Failure{Code: 454, Reply: []string{"no\r\n"}}}
	}
	h.Raise(broken)
	h.wantCount("the first attempt", h.after(0), 1)
	for _, minutes := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		h.wantCount("too early", h.after(minutes*time.Minute-time.Second), 0)
		h.restart() // the schedule is in the file
		h.wantCount(fmt.Sprint(minutes), h.after(time.Second), 1)
	}
	h.after(24 * time.Hour)
	if len(h.state.Mails) != 0 || len(h.Stored()) != 1 {
		t.Errorf("%+v", h.state)
	}
	h.wantCount("given up", h.after(24*time.Hour), 0)
}

func TestRefusedMailIsGivenUp(t *testing.T) {
	h := newHarness(t)
	for _, result := range []envelope.Result{envelope.Bounced, envelope.Discarded} {
		h.post.fail = func(envelope.Job) envelope.Outcome { return envelope.Outcome{Result: result} }
		h.Raise(Alert{Class: System, Severity: Warning, Name: "n", About: fmt.Sprint(result)})
		h.wantCount("the attempt", h.after(0), 1)
		h.wantCount("the end", h.after(24*time.Hour), 0)
	}
}

// TestStormIsBounded raises what a thousand broken domains would: 60 mails an
// hour leave, 50 wait, the rest is counted, and what is critical has room.
func TestStormIsBounded(t *testing.T) {
	h := newHarness(t)
	raise := func(severity Severity, n int) {
		for i := range n {
			h.Raise(Alert{Class: System, Severity: severity, Name: "tls-required", About: fmt.Sprintf("%s%d.example", severity, i), Summary: fmt.Sprintf("%s %d", severity, i)})
			if i%20 == 19 {
				h.after(0)
			}
		}
	}
	raise(Warning, 1500)
	if n := h.post.count(); n != maxPerHour {
		t.Errorf("%d mails left within an hour", n)
	}
	if n := len(h.state.Mails); n != maxSpool {
		t.Errorf("%d mails wait", n)
	}
	if n := len(h.state.Waits); n > maxWaits+1 {
		t.Errorf("%d things are remembered", n)
	}
	h.restart()
	h.wantCount("a restart makes no room", h.after(0), 0)
	raise(Critical, 1)
	mails := h.after(time.Hour)
	h.wantCount("an hour later", mails, maxSpool+0)
	if len(mails) > 0 && !strings.Contains(mails[0]+mails[1]+mails[2]+mails[3]+mails[4], "Critical <System>") {
		t.Errorf("the critical one is not among the first: %q", subjects(mails))
	}
	counted := 0
	for _, m := range mails {
		if strings.Contains(m, " alerts were not mailed") {
			counted++
		}
	}
	if counted != 1 {
		t.Errorf("%d mails tell of what was lost", counted)
	}
}

func TestDamagedFileIsSetAside(t *testing.T) {
	h := newHarness(t)
	h.Raise(broken)
	h.after(0)
	data, err := os.ReadFile(h.path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(h.path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadStored(h.path); !errors.Is(err, errDamaged) {
		t.Errorf("%v", err)
	}
	h.restart()
	if h.Damage() == nil || len(h.Stored()) != 0 {
		t.Errorf("%v %v", h.Damage(), h.Stored())
	}
	if kept, err := os.ReadFile(h.path + ".damaged"); err != nil || string(kept) != string(data) {
		t.Errorf("the damaged file: %v", err)
	}
	h.Raise(broken)
	h.wantCount("anew", h.after(0), 1)
}

// TestFullDiskIsMailedAbout: what cannot be saved leaves all the same.
func TestFullDiskIsMailedAbout(t *testing.T) {
	h := newHarness(t)
	if err := os.Mkdir(h.path+".new", 0o700); err != nil {
		t.Fatal(err)
	}
	h.Raise(broken)
	h.wantCount("without a file", h.after(0), 1)
	if _, err := os.Stat(h.path); err == nil {
		t.Fatal("the file was written")
	}
	if err := os.Remove(h.path + ".new"); err != nil {
		t.Fatal(err)
	}
	h.after(time.Second)
	h.restart()
	if len(h.Stored()) != 1 {
		t.Error("it is not saved when that is possible again")
	}
}

// TestRunSavesWhatWaits: what is raised before the end is in the file.
func TestRunSavesWhatWaits(t *testing.T) {
	h := newHarness(t)
	ctx, cancel := context.WithCancel(t.Context())
	taken, release := make(chan struct{}), make(chan struct{})
	h.post.fail = func(envelope.Job) envelope.Outcome {
		if ctx.Err() != nil { // Run had a pass before it saw the end: nothing leaves any more
			return envelope.Outcome{}
		}
		taken <- struct{}{}
		<-release // Run waits for this mail before it ends
		return envelope.Outcome{Result: envelope.Delivered}
	}
	done := make(chan struct{})
	go func() { h.Run(ctx); close(done) }()
	h.Raise(broken)
	<-taken
	cancel()
	h.Raise(Alert{Class: System, Severity: Critical, Name: "last", Summary: "The last one."})
	close(release)
	<-done
	h.restart()
	if stored := h.Stored(); len(stored) != 2 || stored[0].Text != "The last one." {
		t.Errorf("%+v", stored)
	}
	h.post.fail = nil
	if mails := h.after(firstRetry); len(mails) != 1 || !strings.Contains(mails[0], "The last one.") {
		t.Errorf("after the restart: %q", subjects(mails))
	}
}
