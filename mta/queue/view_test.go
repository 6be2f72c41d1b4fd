package queue

import (
	"errors"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"esa/mta/envelope"
)

func TestStats_AndEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &courier{answer: func(job envelope.Job, _ envelope.Recipient) envelope.Outcome {
			if job.Domain == "slow.test" {
				return busy()
			}
			return accepted()
		}}
		r := setup{courier: c}.open(t)
		old := r.message("", "a@slow.test", "b@fast.test")
		old.Received = time.Now().Add(-time.Hour)
		r.add(old)
		r.add(r.message("", "c@slow.test", "d@slow.test"))
		want := Stats{Messages: 2, Bytes: 2 * int64(len(bodyText)), ActiveRecipients: 4, UnattemptedRecipients: 4, Destinations: 2}
		check := func() {
			t.Helper()
			got := r.Stats()
			if got.Oldest.MID != old.MID || got.Oldest.Received.Unix() != old.Received.Unix() || got.FreeBytes == 0 || got.Syncs != 2 {
				t.Errorf("%+v", got)
			}
			want.Oldest, want.FreeBytes, want.Syncs = got.Oldest, got.FreeBytes, got.Syncs
			if got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		}
		check()
		r.run()
		synctest.Wait()
		want.ActiveRecipients, want.UnattemptedRecipients, want.AttemptedRecipients, want.Destinations = 3, 0, 3, 1
		check()
		var entries []Entry
		if err := r.Each(Selection{}, func(e Entry) bool { entries = append(entries, e); return true }); err != nil {
			t.Fatal(err)
		}
		first := entries[0].Recipients
		if len(entries) != 2 || first[0].Done || !first[1].Done || first[0].Attempts != 1 || first[0].Code != 451 ||
			first[0].Reply != "later" || !first[0].NextAttempt.Equal(time.Now().Add(time.Minute)) {
			t.Errorf("%+v", entries)
		}
		d := r.Destinations()
		if len(d) != 1 || d[0].Domain != "slow.test" || !d[0].Up || d[0].ActiveRecipients != 3 || d[0].Last.Code != 451 ||
			!d[0].NextAttempt.Equal(time.Now().Add(time.Minute)) {
			t.Errorf("%+v", d)
		}
		seen := 0
		if err := r.Each(Selection{}, func(Entry) bool { seen++; return false }); err != nil || seen != 1 {
			t.Errorf("visited %d, %v", seen, err)
		}
		r.close()
	})
}

func TestDestinations_AreForgottenWithoutMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := setup{courier: toTest(refused)}.open(t).run()
		r.add(r.message("", "a@sender.test"))
		r.add(r.message("", "a@there.test"))
		synctest.Wait()
		d := r.Destinations()
		if len(d) != 1 || d[0].Domain != "there.test" || d[0].Last.Code != 550 {
			t.Errorf("%+v", d) // what it last said is kept for an hour
		}
		time.Sleep(keepIdle + time.Second)
		synctest.Wait()
		if d := r.Destinations(); len(d) != 0 {
			t.Errorf("%+v", d)
		}
		r.close()
	})
}

func TestEach_OneThatCannotBeReadKeepsNoOtherBack(t *testing.T) { // R10
	r := setup{}.open(t)
	var mids []envelope.MID
	for range 3 {
		mids = append(mids, r.add(r.message("", "a@there.test")))
	}
	if err := os.Truncate(r.store.path(mids[0], messageSuffix), 10); err != nil {
		t.Fatal(err)
	}
	var seen []envelope.MID
	err := r.Each(Selection{}, func(e Entry) bool {
		seen = append(seen, e.Message.MID)
		return true
	})
	if !errors.Is(err, errDamaged) || !slices.Equal(seen, mids[1:]) {
		t.Errorf("read %v, %v", seen, err)
	}
	r.close()
}
