package queue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"esa/mta/bounce"
	"esa/mta/envelope"
)

// skewed is a wall clock that can be set.
type skewed struct{ by atomic.Int64 }

func (c *skewed) now() time.Time { return time.Now().Round(0).Add(time.Duration(c.by.Load())) }

const decade = 10 * 365 * 24 * time.Hour

func TestR17_ClockSetWhileRunningChangesNoSchedule(t *testing.T) {
	for _, jump := range []time.Duration{decade, -decade, time.Hour, -time.Hour} {
		t.Run(fmt.Sprint(jump), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clock := &skewed{}
				c := &courier{answer: always(busy)}
				r := setup{courier: c, clock: clock.now}.open(t).run()
				start := time.Now()
				r.add(r.message("", "a@there.test"))
				time.Sleep(100 * time.Second)
				clock.by.Store(int64(jump))
				time.Sleep(900 * time.Second)
				synctest.Wait()
				if got, want := offsets(c.seen(), start), []int{0, 60, 180, 420, 900}; !slices.Equal(got, want) {
					t.Errorf("tried at %v, want %v", got, want)
				}
				r.close()
			})
		})
	}
}

func TestR17_ClockSetBetweenTwoStarts(t *testing.T) {
	for _, tt := range []struct {
		name  string
		jump  time.Duration
		tries []int // after the second start
		over  bool
	}{
		{"10 years on: one try each, then it is too old", decade, []int{0}, true},
		{"10 years back: at most the longest delay", -decade, []int{600, 1080}, false},
		{"an hour on", time.Hour, []int{0, 480}, false},
		{"not at all", 0, []int{20, 500}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				clock := &skewed{}
				policy := profile(func(p *bounce.Profile) { p.MaxRetry = 10 * time.Minute })
				r := setup{dir: dir, courier: &courier{answer: always(busy)}, clock: clock.now}.open(t)
				r.Configure(policy)
				r.run()
				r.add(r.message("", "a@there.test"))
				time.Sleep(400 * time.Second) // tried at 0, 60, 180; due at 420
				r.close()
				clock.by.Store(int64(tt.jump))
				c := &courier{answer: always(busy)}
				again := setup{dir: dir, courier: c, clock: clock.now}.open(t)
				again.Configure(policy)
				again.run()
				start := time.Now()
				time.Sleep(20 * time.Minute)
				synctest.Wait()
				if got := offsets(c.seen(), start); !slices.Equal(got[:min(len(got), len(tt.tries))], tt.tries) || tt.over && len(got) != 1 {
					t.Errorf("tried at %v, want %v", got, tt.tries)
				}
				if got := again.Stats().Messages == 0; got != tt.over {
					t.Errorf("given up: %v", got)
				}
				again.close()
			})
		})
	}
}

func TestR10_AMessageThatPanicsThreeTimesIsSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var good, bad int
		r := setup{dir: dir, courier: deliver(func(_ context.Context, job envelope.Job) []envelope.Outcome {
			if job.Domain == "bad.test" {
				bad++
				panic("planted")
			}
			good++
			return []envelope.Outcome{accepted()}
		})}.open(t).run()
		r.add(r.message("a@sender.test", "x@bad.test"))
		r.add(r.message("", "x@good.test"))
		time.Sleep(time.Hour)
		synctest.Wait()
		if s := r.Stats(); bad != 3 || good != 1 || s.Damaged != 1 || s.Messages != 0 {
			t.Errorf("bad %d, good %d, %+v", bad, good, s)
		}
		r.close()
		if want := []string{"damaged/1.journal", "damaged/1.msg"}; !slices.Equal(files(t, dir), want) {
			t.Errorf("files %v", files(t, dir))
		}
	})
}

func TestR10_WhatStillRunsWhenAMessageIsSetAsideLeavesNoTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := setup{dir: dir, courier: deliver(func(_ context.Context, job envelope.Job) []envelope.Outcome {
			if job.Domain == "bad.test" {
				panic("planted")
			}
			time.Sleep(time.Hour)
			return []envelope.Outcome{accepted()}
		})}.open(t).run()
		r.add(r.message("", "x@bad.test", "x@slow.test", "y@bad.test"))
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if s := r.Stats(); s.Damaged != 1 || s.Messages != 0 || s.ActiveRecipients != 0 || s.Destinations != 0 {
			t.Errorf("%+v", s)
		}
		r.close()
		if want := []string{"damaged/1.journal", "damaged/1.msg"}; !slices.Equal(files(t, dir), want) {
			t.Errorf("files %v", files(t, dir))
		}
	})
}

// begun writes that an attempt was begun, as a process that died left it.
func begun(t *testing.T, r *rig, mid envelope.MID, alone bool) {
	t.Helper()
	if err := r.store.note(mid, []entry{{Event: eventAttempt, RIDs: []envelope.RID{0}, Alone: alone}}); err != nil {
		t.Fatal(err)
	}
}

func TestR10_DyingInCompanyMakesASuspectAndNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := setup{dir: dir}.open(t)
		for range 10 {
			mid := r.add(r.message("", "x@there.test"))
			for range 50 { // kills
				begun(t, r, mid, false)
			}
		}
		r.add(r.message("", "x@there.test"))
		r.close()
		var running, most, done atomic.Int64
		again := setup{dir: dir, courier: deliver(func(_ context.Context, job envelope.Job) []envelope.Outcome {
			if job.Message.MID <= 10 {
				most.Store(max(most.Load(), running.Add(1)))
				time.Sleep(time.Second)
				running.Add(-1)
			}
			done.Add(1)
			return []envelope.Outcome{accepted()}
		})}.open(t).run()
		synctest.Wait()
		if done.Load() != 1 {
			t.Error("the innocent waits for the suspects")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := again.Stats(); most.Load() != 1 || done.Load() != 11 || s.Damaged != 0 {
			t.Errorf("%d suspects at once, %d done, %+v", most.Load(), done.Load(), s)
		}
		again.close()
	})
}

func TestR10_DyingAloneThreeTimesIsProof(t *testing.T) {
	for _, deaths := range []int{2, 3} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			r := setup{dir: dir}.open(t)
			mid := r.add(r.message("", "x@there.test"))
			for range suspectAfter {
				begun(t, r, mid, false)
			}
			for range deaths {
				begun(t, r, mid, true)
			}
			r.close()
			c := &courier{}
			again := setup{dir: dir, courier: c}.open(t).run()
			synctest.Wait()
			guilty := deaths == guiltyAfter
			if s := again.Stats(); (s.Damaged == 1) != guilty || (len(c.seen()) == 0) != guilty {
				t.Errorf("after %d deaths: %d attempts, %+v", deaths, len(c.seen()), s)
			}
			again.close()
		})
	}
}

func TestR10_AnAttemptThatEndsClearsTheName(t *testing.T) {
	var s recipientState
	for _, e := range strings.Fields("attempt attempt attempt deferred attempt") {
		s.apply(entry{Event: e})
	}
	if s.open != 1 || s.attempts != 1 {
		t.Errorf("%+v", s)
	}
}
