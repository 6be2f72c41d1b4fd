package queue

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"esa/mta/envelope"
)

func TestDamage_SetsOneMessageAsideAndTheOthersGo(t *testing.T) { // R10
	for name, harm := range map[string]func([]byte) []byte{
		"header byte":    func(b []byte) []byte { b[30] ^= 1; return b },
		"envelope byte":  func(b []byte) []byte { b[headerSize+20] ^= 1; return b },
		"body byte":      func(b []byte) []byte { b[len(b)-5] ^= 1; return b },
		"first block":    func(b []byte) []byte { clear(b[:min(4096, len(b))]); return b },
		"last block":     func(b []byte) []byte { clear(b[len(b)-4096:]); return b },
		"tail cut off":   func(b []byte) []byte { return b[:len(b)-1] },
		"header only":    func(b []byte) []byte { return b[:headerSize] },
		"part of header": func(b []byte) []byte { return b[:50] },
		"grown":          func(b []byte) []byte { return append(b, 'x') },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				r := setup{dir: dir}.open(t)
				var mids []envelope.MID
				for range 3 {
					m := r.message("a@sender.test", "a@there.test")
					if err := r.tryAdd(m, large); err != nil {
						t.Fatal(err)
					}
					mids = append(mids, m.MID)
				}
				path := r.store.path(mids[1], messageSuffix)
				r.close()
				b, err := os.ReadFile(path)
				if err == nil {
					err = os.WriteFile(path, harm(b), 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
				c := &courier{}
				again := setup{dir: dir, courier: c}.open(t).run()
				synctest.Wait()
				if s := again.Stats(); s.Damaged != 1 || s.Messages != 0 || s.ActiveRecipients != 0 || s.Bytes != 0 {
					t.Errorf("%+v", s)
				}
				again.close()
				var got []envelope.MID
				for _, j := range c.seen() {
					got = append(got, j.mid)
				}
				slices.Sort(got)
				if !slices.Equal(got, []envelope.MID{mids[0], mids[2]}) {
					t.Errorf("delivered %v", got)
				}
				if left := files(t, dir); len(left) == 0 || left[0] != "damaged/2.msg" {
					t.Errorf("left %v", left)
				}
			})
		})
	}
}

// An empty file is a message that was never committed, unless its journal says
// that it was tried.
func TestDamage_EmptyFileWithAJournalIsNotADraft(t *testing.T) {
	for _, tried := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			r := setup{dir: dir}.open(t)
			m := r.message("a@sender.test", "a@there.test")
			if err := r.tryAdd(m, large); err != nil {
				t.Fatal(err)
			}
			message, journal := r.store.path(m.MID, messageSuffix), r.store.path(m.MID, journalSuffix)
			r.close()
			err := os.Truncate(message, 0)
			if tried {
				err = errors.Join(err, os.WriteFile(journal, nil, 0o600))
			}
			if err != nil {
				t.Fatal(err)
			}
			again := setup{dir: dir}.open(t).run()
			synctest.Wait()
			if got := again.Stats().Damaged; (got == 1) != tried {
				t.Errorf("tried %v: %d set aside", tried, got)
			}
			again.close()
		})
	}
}

func TestDamage_RandomBytesNeverStopTheStart(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for range 20 {
		dir := t.TempDir()
		r := setup{dir: dir}.open(t)
		for range 20 {
			mid := r.add(r.message("", "a@there.test", "b@other.test"))
			if err := r.store.note(mid, []entry{{Event: eventDeferred, RIDs: []envelope.RID{0}}}); err != nil {
				t.Fatal(err)
			}
		}
		r.close()
		for _, name := range files(t, dir) {
			if rng.IntN(2) == 0 {
				path := filepath.Join(dir, "queue", name)
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				b[rng.IntN(len(b))] ^= byte(1 + rng.IntN(255))
				if err := os.WriteFile(path, b[:rng.IntN(len(b)+1)], 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		synctest.Test(t, func(t *testing.T) {
			again := setup{dir: dir}.open(t).run()
			time.Sleep(time.Hour)
			synctest.Wait()
			if s := again.Stats(); s.Messages != 0 || s.Unread != 0 {
				t.Errorf("%+v", s)
			}
			again.close()
		})
	}
}

func TestVanished_MessageFileTakenByAPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := setup{}.open(t)
		mid := r.add(r.message("", "a@there.test", "b@other.test"))
		if err := os.Remove(r.store.path(mid, messageSuffix)); err != nil {
			t.Fatal(err)
		}
		r.run()
		synctest.Wait()
		if s := r.Stats(); s.Messages != 0 || s.ActiveRecipients != 0 || s.Destinations != 0 || s.Running != 0 {
			t.Errorf("%+v", s)
		}
		r.close()
	})
}

func TestUnreadable_ForATimeWaitsAndIsNotSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := setup{dir: dir}.open(t)
		r.add(r.message("", "a@there.test"))
		r.close()
		var bad sync.Map
		bad.Store("on", true)
		d := &faultDisk{fail: func(op, path string) error {
			if _, on := bad.Load("on"); on && op == "open" && strings.HasSuffix(path, messageSuffix) {
				return syscall.EMFILE
			}
			return nil
		}}
		c := &courier{}
		again := setup{dir: dir, courier: c, disk: d}.open(t).run()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if s := again.Stats(); s.Unread != 1 || s.Damaged != 0 {
			t.Errorf("%+v", s)
		}
		bad.Delete("on")
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(c.seen()) != 1 {
			t.Error("not delivered once the cause was gone")
		}
		again.close()
	})
}
