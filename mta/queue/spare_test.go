package queue

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"esa/mta/envelope"
)

// deliverOne adds a message, waits until it is delivered, and gives its id.
func (r *rig) deliverOne(body string) envelope.MID {
	r.t.Helper()
	m := r.message("a@sender.test", "b@there.test")
	if err := r.tryAdd(m, body); err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
	return m.MID
}

func inode(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func TestSpare_TheNextMessageUsesTheFile(t *testing.T) {
	bodies := []string{bodyText, bodyText + strings.Repeat("longer\r\n", 1000), "short\r\n", bodyText}
	synctest.Test(t, func(t *testing.T) {
		c := &courier{}
		r := setup{courier: c}.open(t).run()
		var before os.FileInfo
		for n, body := range bodies {
			mid := r.deliverOne(body)
			info := inode(t, r.store.path(mid, messageSuffix))
			if before != nil && !os.SameFile(before, info) {
				t.Errorf("message %d has a new file", n)
			}
			before = info
			if got := c.seen()[n].body; got != body {
				t.Errorf("message %d: %d bytes delivered, want %d", n, len(got), len(body))
			}
		}
		if left := files(t, r.dir); len(left) != 1 {
			t.Errorf("files: %v", left)
		}
		if err := r.Each(Selection{}, func(Entry) bool { t.Error("a spare file is listed"); return true }); err != nil {
			t.Error(err)
		}
		r.close()
		if left := files(t, r.dir); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	})
}

func TestSpare_OnlyWhatIsSmallAndHasNoJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &courier{answer: func(job envelope.Job, _ envelope.Recipient) envelope.Outcome {
			if job.Message.Size < int64(len(large)) && job.Attempt == 1 {
				return busy()
			}
			return accepted()
		}}
		r := setup{courier: c}.open(t).run()
		for _, body := range []string{large, bodyText} {
			r.deliverOne(body)
			time.Sleep(time.Hour)
			synctest.Wait()
			if left := files(t, r.dir); len(left) != 0 {
				t.Errorf("the file of a message of %d bytes is kept: %v", len(body), left)
			}
		}
		r.close()
		if n := len(c.seen()); n != 3 {
			t.Errorf("%d attempts", n)
		}
	})
}

// Where the process dies while a spare file becomes a message, the message is
// there whole or not at all, and nothing of the one before comes back.
func TestCrashWhileReusing_MessageIsThereWholeOrNotAtAll(t *testing.T) {
	for _, perFile := range []bool{false, true} {
		for name, body := range map[string]string{"shorter": "short\r\n", "longer": bodyText + strings.Repeat("longer\r\n", 2000)} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					for n := int64(1); ; n++ {
						dir, d := t.TempDir(), &faultDisk{}
						r := setup{dir: dir, disk: d, perFile: perFile}.open(t).run()
						r.deliverOne(bodyText)
						d.dieAt = d.steps.Load() + n
						r.stop()
						<-r.ended
						acked := r.tryAdd(r.message("", "a@there.test"), body) == nil
						over := d.steps.Load() < d.dieAt
						_, _, _ = r.Close(), r.counters.Close(), r.log.Close()
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

func TestCrashWithSpare_IsRemovedWithoutAWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, d := t.TempDir(), &faultDisk{}
		r := setup{dir: dir, disk: d}.open(t).run()
		r.deliverOne(bodyText)
		d.dieAt = 1
		r.stop()
		<-r.ended
		_, _, _ = r.Close(), r.counters.Close(), r.log.Close()
		if left := files(t, dir); len(left) != 1 {
			t.Fatalf("files after the crash: %v", left)
		}
		c, diag := &courier{}, &strings.Builder{}
		again := setup{dir: dir, courier: c, diag: slog.New(slog.NewTextHandler(diag, nil))}.open(t).run()
		synctest.Wait()
		again.close()
		if left := files(t, dir); len(left) != 0 || len(c.seen()) != 0 || diag.Len() != 0 {
			t.Errorf("left %v, %d attempts, said %q", left, len(c.seen()), diag)
		}
	})
}

func TestSpare_TakesNobodysPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := setup{}.open(t).run()
		r.deliverOne(bodyText)
		m := r.message("", "a@there.test")
		path := r.store.path(m.MID, messageSuffix)
		if err := os.WriteFile(path, []byte("somebody's"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := r.tryAdd(m, bodyText); !errors.Is(err, os.ErrExist) {
			t.Errorf("the place was taken: %v", err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "somebody's" {
			t.Errorf("%q, %v", text, err)
		}
		r.close()
	})
}

func TestSpare_ThatSomebodyTookAwayIsDoneWithout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &courier{}
		r := setup{courier: c}.open(t).run()
		mid := r.deliverOne(bodyText)
		if err := os.Remove(r.store.path(mid, messageSuffix)); err != nil {
			t.Fatal(err)
		}
		r.deliverOne(bodyText)
		r.deliverOne(bodyText)
		r.close()
		if n := len(c.seen()); n != 3 {
			t.Errorf("%d attempts", n)
		}
	})
}

func TestSpare_NoMoreThanAreUseful(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := setup{}.open(t).run()
		var all sync.WaitGroup
		most := r.store.spares.most
		for range 3 * most {
			m := r.message("", "a@there.test")
			all.Go(func() {
				if err := r.tryAdd(m, bodyText); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		synctest.Wait()
		if n := len(files(t, r.dir)); n == 0 || n > most {
			t.Errorf("%d spare files, want at most %d", n, most)
		}
		r.close()
	})
}

// A fresh message is not read back for its first attempt, even where more come
// at once than a destination begins with.
func TestFresh_IsDeliveredWithoutBeingRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const burst = 4 * initialLimit
		var read atomic.Int64
		d := &faultDisk{fail: func(op, path string) error {
			if op == "open" && strings.HasSuffix(path, messageSuffix) {
				read.Add(1)
			}
			return nil
		}}
		c := &courier{answer: func(envelope.Job, envelope.Recipient) envelope.Outcome {
			time.Sleep(time.Second)
			return accepted()
		}}
		r := setup{disk: d, courier: c}.open(t).run()
		for range burst {
			r.add(r.message("", "a@there.test"))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n, reads := len(c.seen()), read.Load(); n != burst || reads != 0 {
			t.Errorf("%d of %d delivered, %d files read", n, burst, reads)
		}
		r.close()
	})
}

// Who reads a message when it is finished reads it to its end, whatever comes
// meanwhile, and who comes too late is told that it is gone.
func TestSpare_WhatIsBeingReadIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		c := &courier{answer: func(envelope.Job, envelope.Recipient) envelope.Outcome {
			<-release
			return accepted()
		}}
		r := setup{courier: c}.open(t).run()
		mid := r.deliverOne(bodyText)
		_, text, err := r.Message(mid)
		if err != nil {
			t.Fatal(err)
		}
		close(release)
		synctest.Wait()
		next := r.deliverOne(strings.Repeat("other\r\n", 100))
		if got, err := io.ReadAll(text); err != nil || string(got) != bodyText {
			t.Errorf("%q, %v", got, err)
		}
		if err := text.Close(); err != nil {
			t.Error(err)
		}
		if _, err := r.store.read(next); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a spare file is read as a message: %v", err)
		}
		if _, err := r.store.body(next); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the text of a spare file: %v", err)
		}
		if n := len(r.store.spares.readers); n != 0 {
			t.Errorf("%d readers are not done", n)
		}
		r.close()
	})
}
