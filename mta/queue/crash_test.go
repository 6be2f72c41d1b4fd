package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
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

// dieAt runs a scenario on a queue whose disk stops at the n-th step, as a
// process that is killed there: what was written stays, nothing is added.
// It reports whether the scenario came to its end before.
func dieAt(t *testing.T, s setup, n int64, scenario func(*rig)) bool {
	t.Helper()
	d := &faultDisk{dieAt: n}
	s.disk = d
	r, err := s.tryOpen(t)
	if err != nil {
		return false
	}
	r.run()
	scenario(r)
	r.stop()
	<-r.ended
	_ = r.Close()
	_, _ = r.counters.Close(), r.log.Close()
	return d.steps.Load() < n
}

// large is a body that does not fit into the draft's buffer.
var large = bodyText + strings.Repeat("0123456789abcdef\r\n", 5000)

func TestCrashDuringCommit_MessageIsThereWholeOrNotAtAll(t *testing.T) {
	for name, body := range map[string]string{"small": bodyText, "large": large} {
		for _, perFile := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s per file %v", name, perFile), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					for n := int64(1); ; n++ {
						dir := t.TempDir()
						var acked bool
						d := &faultDisk{}
						r := setup{dir: dir, disk: d, perFile: perFile}.open(t)
						d.dieAt = d.steps.Load() + n
						acked = r.tryAdd(r.message("", "a@there.test"), body) == nil
						over := d.steps.Load() < d.dieAt
						_ = r.Close()
						_, _ = r.counters.Close(), r.log.Close()
						afterCrash(t, dir, acked, body)
						if over {
							if !acked || n < 3 {
								t.Errorf("ended after %d steps, acknowledged %v", n, acked)
							}
							return
						}
					}
				})
			})
		}
	}
}

// afterCrash opens the queue again and looks whether the one message is
// there, as it must be if its client was told.
func afterCrash(t *testing.T, dir string, acked bool, body string) {
	t.Helper()
	c := &courier{}
	r := setup{dir: dir, courier: c}.open(t).run()
	synctest.Wait()
	for _, j := range c.seen() {
		if j.body != body {
			t.Errorf("body of %d bytes delivered, want %d", len(j.body), len(body))
		}
	}
	if acked && len(c.seen()) != 1 {
		t.Errorf("acknowledged and delivered %d times", len(c.seen()))
	}
	if s := r.Stats(); s.Damaged != 0 || s.Messages != 0 {
		t.Errorf("%+v", s)
	}
	r.close()
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// A link keeps what a power cut could bring back of a removed file.
func TestCrashAfterRefusal_WhatComesBackIsNoMessage(t *testing.T) { // R6
	for name, body := range map[string]string{"small": bodyText, "large": large} {
		t.Run(name, func(t *testing.T) {
			d := &faultDisk{}
			r := setup{disk: d}.open(t)
			m := r.message("", "a@there.test")
			path := r.store.path(m.MID, messageSuffix)
			back := filepath.Join(t.TempDir(), "back")
			synced := int64(0)
			d.fail = func(op, _ string) error {
				switch op {
				case "sync":
					return errStaged
				case "fsync":
					synced = d.steps.Load()
				case "remove":
					if d.steps.Load() != synced+1 {
						t.Error("the mark is not synced before the removal")
					}
					return os.Link(path, back)
				}
				return nil
			}
			if err := r.tryAdd(m, body); !errors.Is(err, errStaged) {
				t.Errorf("accepted, or refused for another reason: %v", err)
			}
			f, err := osDisk{}.open(back)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, _, err := readHead(f); !errors.Is(err, errDraft) {
				t.Errorf("what comes back is read as %v", err)
			}
			r.close()
		})
	}
}

func TestCrashBetweenOutcomeAndJournal_RecipientsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := &courier{}
		d := &faultDisk{}
		d.fail = func(op, _ string) error {
			if op == "remove" || op == "writeat" { // or the header of a spare file
				d.dieAt = 1
				return errStaged
			}
			return nil
		}
		r := setup{dir: dir, courier: c, disk: d}.open(t).run()
		r.add(r.message("", "a@there.test"))
		synctest.Wait()
		r.close()
		again := setup{dir: dir, courier: c}.open(t).run()
		synctest.Wait()
		if got := len(c.seen()); got != 2 {
			t.Errorf("tried %d times", got)
		}
		again.close()
	})
}

func TestCrashBetweenLogAndJournal_NoLineIsMissing(t *testing.T) { // R11
	synctest.Test(t, func(t *testing.T) {
		d := &faultDisk{}
		r := setup{disk: d, courier: &courier{answer: always(refused)}}.open(t)
		var told []string
		d.fail = func(op, path string) error {
			if op == "remove" && strings.HasSuffix(path, messageSuffix) {
				told = append(r.with("Bounced:"), r.with("Message finished MID 1 done")...)
			}
			return nil
		}
		r.add(r.message("", "a@there.test"))
		r.run()
		synctest.Wait()
		r.close()
		if len(told) != 2 {
			t.Errorf("when the message was removed the log said %q", told)
		}
	})
}

func TestCrashBetweenTwoRemovals_JournalAloneIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := &courier{}
		d := &faultDisk{}
		d.fail = func(op, path string) error {
			if op == "remove" && strings.HasSuffix(path, journalSuffix) {
				d.dieAt = 1
				return errStaged
			}
			return nil
		}
		r := setup{dir: dir, courier: c, disk: d}.open(t)
		mid := r.add(r.message("", "a@there.test"))
		begun(t, r, mid, false) // else there is no journal
		r.run()
		synctest.Wait()
		r.close()
		if left := files(t, dir); len(left) != 1 || !strings.HasSuffix(left[0], journalSuffix) {
			t.Fatalf("left: %v", left)
		}
		// Not even the counters' own file is needed for that.
		counted, err := filepath.Glob(filepath.Join(dir, "counters*"))
		for _, f := range counted {
			err = errors.Join(err, os.Remove(f))
		}
		if err != nil {
			t.Fatal(err)
		}
		again := setup{dir: dir, courier: c}.open(t)
		if next := again.counters.NextMID(); next <= mid {
			t.Errorf("MID %d given out again", next)
		}
		again.run()
		synctest.Wait()
		again.close()
		if left := files(t, dir); len(left) != 0 || len(c.seen()) != 1 {
			t.Errorf("left %v, tried %d times", left, len(c.seen()))
		}
	})
}

func TestCrashBetweenNoticeAndJournal_NoticeCanDoubleButIsNeverLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A crash at every step of a bounce.
		for n := int64(1); ; n++ {
			dir := t.TempDir()
			var mu sync.Mutex
			told := 0
			c := deliver(func(_ context.Context, job envelope.Job) []envelope.Outcome {
				if job.Domain != "sender.test" {
					return []envelope.Outcome{refused()}
				}
				body, err := job.Body()
				if err != nil {
					return nil
				}
				text, err := io.ReadAll(body)
				if errors.Join(err, body.Close()) == nil && strings.Contains(string(text), "b@there.test") {
					mu.Lock()
					told++
					mu.Unlock()
				}
				return []envelope.Outcome{accepted()}
			})
			acked := false
			over := dieAt(t, setup{dir: dir, courier: c}, n, func(r *rig) {
				acked = r.tryAdd(r.message("a@sender.test", "b@there.test"), bodyText) == nil
				synctest.Wait()
			})
			r := setup{dir: dir, courier: c}.open(t).run()
			time.Sleep(time.Hour)
			synctest.Wait()
			if acked && told == 0 || told > 3 {
				t.Errorf("step %d: told %d times", n, told)
			}
			if s := r.Stats(); s.Messages != 0 || s.Damaged != 0 {
				t.Errorf("step %d: %+v", n, s)
			}
			r.close()
			if over {
				if told != 1 || n < 8 {
					t.Errorf("without a crash: told %d times in %d steps", told, n)
				}
				return
			}
		}
	})
}

func TestCrashAfterMark_AttemptCountsAndRecipientsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var r *rig
		var mid envelope.MID
		// The process dies in each of its attempts: the first is marked, the
		// others are in the journal.
		for life := range 3 {
			d := &faultDisk{}
			c := deliver(func(_ context.Context, job envelope.Job) []envelope.Outcome {
				d.dieAt = 1
				return []envelope.Outcome{accepted()}
			})
			r = setup{dir: dir, courier: c, disk: d}.open(t)
			if life == 0 {
				mid = r.add(r.message("", "a@there.test", "b@there.test"))
			}
			r.run()
			synctest.Wait()
			r.close()
			rec, err := r.store.read(mid)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range rec.states {
				if s.open != life+1 || s.done != "" {
					t.Errorf("after %d deaths: %+v", life+1, s)
				}
			}
			if got, want := len(files(t, dir)), min(life+1, 2); got != want {
				t.Errorf("after %d deaths: files %v", life+1, files(t, dir))
			}
		}
		c := &courier{}
		again := setup{dir: dir, courier: c}.open(t).run()
		synctest.Wait()
		again.close()
		if left := files(t, dir); len(left) != 0 || len(c.seen()) != 1 {
			t.Errorf("left %v, tried %d times", left, len(c.seen()))
		}
	})
}

func TestMark_ThatCannotBeWrittenGoesToTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &faultDisk{}
		d.fail = func(op, _ string) error {
			if op == "mark" {
				return errStaged
			}
			return nil
		}
		r := setup{disk: d}.open(t)
		mid := r.add(r.message("", "a@there.test"))
		var seen []string
		r.o.Courier = deliver(func(context.Context, envelope.Job) []envelope.Outcome {
			seen = files(t, r.dir)
			return []envelope.Outcome{accepted()}
		})
		r.run()
		synctest.Wait()
		r.close()
		if want := []string{fmt.Sprintf("00/%d.journal", mid), fmt.Sprintf("00/%d.msg", mid)}; !slices.Equal(seen, want) {
			t.Errorf("files during the attempt: %v", seen)
		}
	})
}

func TestCrashDuringJournal_TailIsIgnoredAndTheRestHolds(t *testing.T) {
	entries := []entry{
		{Event: eventAttempt, RIDs: []envelope.RID{0, 1}},
		{Event: eventDelivered, RIDs: []envelope.RID{0}},
		{Event: eventDeferred, RIDs: []envelope.RID{1}, Next: time.Unix(5000, 0), Reply: "later"},
	}
	var text []byte
	var ends []int
	for _, e := range entries {
		b, err := encodeEntries([]entry{e})
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, b...)
		ends = append(ends, len(text))
	}
	more, err := encodeEntries([]entry{{Event: eventDelivered, RIDs: []envelope.RID{7}}})
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(text) + 1 {
		whole := 0
		for _, end := range ends {
			if end <= cut {
				whole++
			}
		}
		var got []entry
		read := func(b []byte) {
			got = nil
			if _, err := readJournal(strings.NewReader(string(b)), func(e entry) { got = append(got, e) }); err != nil {
				t.Fatal(err)
			}
		}
		read(text[:cut])
		if len(got) != whole {
			t.Fatalf("cut at %d: %d lines, want %d", cut, len(got), whole)
		}
		// And the next line is not spoilt by the torn one.
		read(append(slices.Clone(text[:cut]), more...))
		if last := got[len(got)-1]; len(last.RIDs) != 1 || last.RIDs[0] != 7 {
			t.Fatalf("cut at %d: the next line is lost", cut)
		}
	}
}

func TestCrashDuringSetAside_JournalFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := setup{dir: dir}.open(t)
		mid := r.add(r.message("", "a@there.test"))
		begun(t, r, mid, false)
		path := r.store.path(mid, messageSuffix)
		r.close()
		if err := os.Truncate(path, 200); err != nil {
			t.Fatal(err)
		}
		d := &faultDisk{}
		d.fail = func(op, path string) error {
			if op == "rename" && strings.HasSuffix(path, journalSuffix) {
				return errStaged
			}
			return nil
		}
		dying := setup{dir: dir, disk: d}.open(t).run()
		synctest.Wait()
		dying.close()
		if want := []string{"00/1.journal", "damaged/1.msg"}; !slices.Equal(files(t, dir), want) {
			t.Errorf("files %v", files(t, dir))
		}
		again := setup{dir: dir}.open(t).run()
		synctest.Wait()
		again.close()
		if want := []string{"damaged/1.journal", "damaged/1.msg"}; !slices.Equal(files(t, dir), want) {
			t.Errorf("files %v", files(t, dir))
		}
	})
}

// ledger is what became of recipients, over all lives of a queue.
type ledger struct {
	mu        sync.Mutex
	accepted  map[string]bool // acknowledged
	delivered map[string]int
	bounced   map[string]int
	inFlight  map[string]int       // kills that came while it was tried
	tried     map[string]time.Time // in this life
	rng       *rand.Rand
	dead      func() bool // the process is
}

func (b *ledger) Deliver(_ context.Context, job envelope.Job) []envelope.Outcome {
	b.mu.Lock()
	defer b.mu.Unlock()
	var outs []envelope.Outcome
	for _, to := range job.Recipients {
		name := fmt.Sprintf("%d/%d", job.Message.MID, to.RID)
		out := []func() envelope.Outcome{accepted, accepted, busy, refused, hostDown}[b.rng.IntN(5)]()
		if b.tried[name] = time.Now(); b.dead() {
			b.inFlight[name]++
			delete(b.tried, name)
		}
		switch out.Result {
		case envelope.Delivered:
			b.delivered[name]++
		case envelope.Bounced:
			b.bounced[name]++
		}
		out.RID = to.RID
		outs = append(outs, out)
	}
	return outs
}

// ends closes the books of a life. What was tried at the moment of the kill may
// not have been written down: in the clock of the bubble that takes no time,
// however much else is being written then.
func (b *ledger) ends(d *faultDisk) {
	for name, at := range b.tried {
		if d.dead() && !at.Before(d.died) {
			b.inFlight[name]++
		}
	}
	clear(b.tried)
}

func TestBooks_BalanceOverKillsAndNobodyIsServedTwiceWithoutOne(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 7))
			dir := t.TempDir()
			b := &ledger{
				accepted: map[string]bool{}, delivered: map[string]int{}, bounced: map[string]int{},
				inFlight: map[string]int{}, tried: map[string]time.Time{}, rng: rand.New(rand.NewPCG(seed, 9)),
			}
			for life := range 9 {
				d := &faultDisk{}
				if life < 8 {
					d.dieAt = 1 + rng.Int64N(400)
				}
				b.dead = d.dead
				r, err := setup{dir: dir, courier: b, disk: d}.tryOpen(t)
				if err != nil {
					continue
				}
				r.Configure(profile(func(p *bounce.Profile) { p.MaxRetries = 1000 }))
				r.run()
				live(r, b, rng, d)
				if life == 8 {
					time.Sleep(48 * time.Hour)
					synctest.Wait()
					if s := r.Stats(); s.Messages != 0 || s.Damaged != 0 {
						t.Errorf("seed %d: at the end %+v", seed, s)
					}
				}
				r.stop()
				<-r.ended
				_ = r.Close()
				_, _ = r.counters.Close(), r.log.Close()
				b.ends(d)
			}
			b.balance(t, seed)
			if left := files(t, dir); len(left) != 0 {
				t.Errorf("seed %d: left %v", seed, left)
			}
		})
	}
}

// live adds mail until the disk dies or enough is added.
func live(r *rig, b *ledger, rng *rand.Rand, d *faultDisk) {
	for range 40 {
		var to []string
		for range 1 + rng.IntN(4) {
			to = append(to, fmt.Sprintf("u@d%d.test", rng.IntN(5)))
		}
		m := r.message("", to...)
		if r.tryAdd(m, bodyText) == nil {
			b.mu.Lock()
			for i := range to {
				b.accepted[fmt.Sprintf("%d/%d", m.MID, i)] = true
			}
			b.mu.Unlock()
		}
		time.Sleep(time.Duration(rng.IntN(90)) * time.Second)
		if d.dead() {
			return // a dead process makes no more attempts
		}
	}
	synctest.Wait()
}

func (b *ledger) balance(t *testing.T, seed uint64) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for name := range b.accepted {
		n := b.delivered[name] + b.bounced[name]
		if n == 0 {
			t.Errorf("seed %d: recipient %s is lost", seed, name)
		}
		if n > 1+b.inFlight[name] {
			t.Errorf("seed %d: recipient %s settled %d times with %d kills", seed, name, n, b.inFlight[name])
		}
	}
	if len(b.accepted) < 100 {
		t.Errorf("seed %d: only %d recipients", seed, len(b.accepted))
	}
}

func TestBooks_CountersAndQueueAddUp(t *testing.T) { // R11
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(3, 3))
		b := &ledger{
			delivered: map[string]int{}, bounced: map[string]int{}, inFlight: map[string]int{}, tried: map[string]time.Time{},
			rng: rand.New(rand.NewPCG(3, 4)), dead: func() bool { return false },
		}
		r := setup{courier: b}.open(t).run()
		total := 0
		for range 300 {
			n := 1 + rng.IntN(5)
			var to []string
			for i := range n {
				to = append(to, fmt.Sprintf("u%d@d%d.test", i, rng.IntN(7)))
			}
			total += n
			r.add(r.message("", to...))
			time.Sleep(time.Duration(rng.IntN(20)) * time.Second)
			synctest.Wait()
			s := r.counters.Snapshot()
			stats := r.Stats()
			done := s.Counters[counters.CompletedRecips].Uptime
			if int(done)+stats.ActiveRecipients != total {
				t.Fatalf("accepted %d, completed %d, queued %d", total, done, stats.ActiveRecipients)
			}
			if stats.AttemptedRecipients < 0 || stats.UnattemptedRecipients < 0 {
				t.Fatalf("%+v", stats)
			}
		}
		r.close()
	})
}
