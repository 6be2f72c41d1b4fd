package queue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
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

// full is an envelope that uses everything.
func full(mid envelope.MID) envelope.Message {
	m := message(mid, `"victim@else.test> NOTIFY=NEVER"@ours.test`, `"a b"@x.test`, "grün@müller.test", "postmaster")
	m.Sender = envelope.Address{Local: `"victim@else.test> NOTIFY=NEVER ORCPT=rfc822;x"`, Domain: "ours.test"}
	m.Received = time.Date(2026, 5, 20, 5, 58, 35, 123456789, time.FixedZone("", -7*3600))
	m.Recipients[1].Notify = envelope.NotifySuccess | envelope.NotifyDelay
	m.Recipients[1].Original = "rfc822;first+2Blast@x.test"
	m.Recipients[2].RID = 17
	m.Subject, m.Relay, m.BounceProfile = "Grüße\u2028", true, "slow"
	m.EightBit, m.UTF8, m.Return, m.EnvelopeID = true, true, "HDRS", "QQ 1"
	return m
}

func TestStore_GivesBackWhatItWasGiven(t *testing.T) {
	for _, size := range []int{0, 1, draftBuffer - 1, draftBuffer, draftBuffer + 1, 3*draftBuffer + 5} {
		r := setup{}.open(t)
		m := full(9)
		body := strings.Repeat("\x00\xffa\r", size/4+1)[:size]
		d, err := r.Begin(message(9, ""))
		if err != nil {
			t.Fatal(err)
		}
		for chunk := range slices.Chunk([]byte(body), 1000) {
			if _, err := d.Write(chunk); err != nil {
				t.Fatal(err)
			}
		}
		m.Subject = strings.Repeat("s", 256)
		if err := d.Commit(m); err != nil {
			t.Fatal(err)
		}
		rec, err := r.store.read(9)
		if err != nil {
			t.Fatal(err)
		}
		m.Size = int64(size)
		if got := rec.message; !got.Received.Equal(m.Received) || fmt.Sprint(got.Received) != fmt.Sprint(m.Received) {
			t.Errorf("received %v, want %v", got.Received, m.Received)
		}
		rec.message.Received = m.Received
		if fmt.Sprintf("%#v", rec.message) != fmt.Sprintf("%#v", m) {
			t.Errorf("got  %#v\nwant %#v", rec.message, m)
		}
		f, err := r.store.body(9)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if err = errors.Join(err, f.Close()); err != nil || string(got) != body {
			t.Errorf("body of %d bytes came back with %d, %v", size, len(got), err)
		}
		if err := r.store.check(9, rec.body); err != nil {
			t.Error(err)
		}
		r.close()
	}
}

func TestStore_EnvelopeThatOutgrewItsPlaceGoesBehindTheBody(t *testing.T) {
	r := setup{}.open(t)
	d, err := r.Begin(message(1, "", "a@there.test"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(d, large); err != nil {
		t.Fatal(err)
	}
	var to []string
	for i := range 500 {
		to = append(to, fmt.Sprintf("u%d@there.test", i))
	}
	if err := d.Commit(message(1, "", to...)); err != nil {
		t.Fatal(err)
	}
	rec, err := r.store.read(1)
	if err != nil || len(rec.message.Recipients) != 500 {
		t.Fatal(err)
	}
	if err := r.store.check(1, rec.body); err != nil {
		t.Error(err)
	}
	r.close()
}

func TestStore_ModesAndNames(t *testing.T) {
	r := setup{}.open(t)
	mid := r.add(r.message("", "a@there.test"))
	if err := r.store.note(mid, []entry{{Event: eventAttempt}}); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(filepath.Join(r.dir, "queue"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if want := map[bool]fs.FileMode{true: 0o700, false: 0o600}[d.IsDir()]; info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if want := []string{"00/1.journal", "00/1.msg"}; !slices.Equal(files(t, r.dir), want) {
		t.Errorf("files %v", files(t, r.dir))
	}
	r.close()
}

func TestStore_AbortLeavesNothing(t *testing.T) {
	r := setup{}.open(t)
	for _, body := range []string{"", bodyText, large} {
		d, err := r.Begin(r.message("", "a@there.test"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(d, body); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(d.Abort(), d.Abort()); err != nil {
			t.Error(err)
		}
		if _, err := d.Write([]byte("x")); err == nil {
			t.Error("wrote after the end")
		}
		if err := d.Commit(r.message("", "a@there.test")); err == nil {
			t.Error("committed after the end")
		}
	}
	if left := files(t, r.dir); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	r.close()
}

func TestStore_RefusesWhatItCannotKeep(t *testing.T) {
	r := setup{}.open(t)
	bad := r.message("", "a@there.test")
	bad.Sender.Local = "\xff"
	if err := r.tryAdd(bad, bodyText); err == nil {
		t.Error("took an address that is not UTF-8")
	}
	if err := r.tryAdd(r.message(""), bodyText); err == nil {
		t.Error("took a message to nobody")
	}
	first := r.message("", "a@there.test")
	r.add(first)
	if err := r.tryAdd(first, "other"); err == nil {
		t.Error("took one id twice")
	}
	if _, err := r.store.read(first.MID); err != nil {
		t.Errorf("the first message suffered: %v", err)
	}
	if _, err := r.Begin(envelope.Message{}); err == nil {
		t.Error("took a message without id")
	}
	r.close()
	if _, err := r.Begin(first); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestFailure_AtEveryStepOfAnAddNothingIsKept(t *testing.T) { // R6, R7
	for name, body := range map[string]string{"small": bodyText, "large": large} {
		for _, perFile := range []bool{false, true} {
			for n := int64(1); ; n++ {
				d := &faultDisk{}
				r := setup{disk: d, perFile: perFile}.open(t)
				from := d.steps.Load()
				d.fail = func(op, _ string) error {
					if d.steps.Load() == from+n && op != "remove" && op != "free" {
						return fmt.Errorf("%s: %w", op, syscall.EIO)
					}
					return nil
				}
				err := r.tryAdd(r.message("", "a@there.test"), body)
				if err == nil {
					r.close()
					break
				}
				if !errors.Is(err, syscall.EIO) {
					t.Errorf("%s %d: %v", name, n, err)
				}
				if left := files(t, r.dir); len(left) != 0 || r.Stats().Messages != 0 {
					t.Errorf("%s %d: refused and kept: %v", name, n, left)
				}
				if err := r.tryAdd(r.message("", "a@there.test"), body); err != nil {
					t.Errorf("%s %d: not well again: %v", name, n, err)
				}
				r.close()
			}
		}
	}
}

func TestFailure_FileThatCannotBeRemovedIsNoMessage(t *testing.T) {
	dir := t.TempDir()
	d := &faultDisk{fail: func(op, _ string) error {
		if op == "sync" || op == "remove" {
			return errStaged
		}
		return nil
	}}
	healthy := d.fail
	d.fail = nil
	r := setup{dir: dir, disk: d}.open(t)
	d.fail = healthy
	if err := r.tryAdd(r.message("", "a@there.test"), bodyText); err == nil {
		t.Fatal("no fault")
	}
	d.fail = nil
	r.close()
	synctest.Test(t, func(t *testing.T) {
		c := &courier{}
		again := setup{dir: dir, courier: c}.open(t).run()
		synctest.Wait()
		again.close()
		if left := files(t, dir); len(left) != 0 || len(c.seen()) != 0 {
			t.Errorf("left %v, %d attempts", left, len(c.seen()))
		}
	})
}

func TestReserve_RefusesEarly(t *testing.T) { // R8
	for _, tt := range []struct {
		name string
		left space
		want error
	}{
		{"enough", space{15 << 20, 1000}, nil},
		{"a byte under 1.5 times the limit", space{15<<20 - 1, 1000}, ErrNoSpace},
		{"too few inodes", space{1 << 40, minInodes - 1}, ErrNoSpace},
		{"inodes are not counted", space{1 << 40, -1}, nil},
	} {
		r := setup{disk: &spaceDisk{left: tt.left}}.open(t)
		r.Configure(Policy{MaxMessage: 10 << 20})
		if _, err := r.Begin(r.message("", "a@there.test")); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if told := r.Stats().Refusing; !errors.Is(told, tt.want) {
			t.Errorf("%s: status says %v", tt.name, told)
		}
		r.close()
	}
}

type spaceDisk struct {
	faultDisk
	left space
}

func (d *spaceDisk) free(string) (space, error) { return d.left, nil }

func TestVersion_NewerIsRefusedAndNotTouched(t *testing.T) { // R21
	dir := t.TempDir()
	setup{dir: dir}.open(t).close()
	path := filepath.Join(dir, "queue", versionFile)
	if err := os.WriteFile(path, []byte("esa-queue 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (setup{dir: dir}).tryOpen(t); !errors.Is(err, ErrNewer) {
		t.Errorf("error %v", err)
	}
	if err := os.WriteFile(path, []byte("something\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (setup{dir: dir}).tryOpen(t); err == nil {
		t.Error("took a directory of something else")
	}
}

func TestVersion_NewerMessageIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	r := setup{dir: dir}.open(t)
	mid := r.add(r.message("", "a@there.test"))
	path := r.store.path(mid, messageSuffix)
	r.close()
	newer := append(seal(fmt.Sprintf("%s 2 something else", messageMagic)), "what we cannot read"...)
	if err := os.WriteFile(path, newer, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		c := &courier{}
		again := setup{dir: dir, courier: c}.open(t).run()
		synctest.Wait()
		if s := again.Stats(); s.Unreadable != 1 || s.Damaged != 0 || s.Unread != 0 {
			t.Errorf("%+v", s)
		}
		again.close()
		if got, err := os.ReadFile(path); err != nil || string(got) != string(newer) || len(c.seen()) != 0 {
			t.Errorf("touched: %v", err)
		}
	})
}

func TestVersion_OneIsReadForEver(t *testing.T) { // R21
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "queue"), os.DirFS(filepath.Join("testdata", "version1"))); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		c := &courier{}
		r := setup{dir: dir, courier: c}.open(t).run()
		time.Sleep(100 * time.Hour)
		synctest.Wait()
		jobs := c.seen()
		if len(jobs) != 1 || jobs[0].body != bodyText || jobs[0].job.Attempt != 2 || len(jobs[0].job.Recipients) != 1 {
			t.Fatalf("%+v", jobs)
		}
		if to := jobs[0].job.Recipients[0]; to.RID != 1 || to.Address.String() != "c@there.test" || to.Original != "rfc822;c@there.test" {
			t.Errorf("%+v", to)
		}
		r.close()
	})
}

func TestJournal_OnAFullDiskDeliveryGoesOnAndNobodyIsServedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &faultDisk{fail: func(op, _ string) error {
			if op == "append" {
				return syscall.ENOSPC
			}
			return nil
		}}
		c := &courier{answer: func(job envelope.Job, to envelope.Recipient) envelope.Outcome {
			if job.Domain == "slow.test" && job.Attempt < 3 {
				return busy()
			}
			return accepted()
		}}
		dir := t.TempDir()
		setup{dir: dir}.open(t).close() // the version is written before the disk is full
		r := setup{dir: dir, courier: c, disk: d}.open(t).run()
		r.add(r.message("", "a@fast.test", "b@slow.test", "c@other.test"))
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := len(c.seen()); got != 5 {
			t.Errorf("%d attempts, want 1 + 3 + 1", got)
		}
		r.close()
		if left := files(t, dir); len(left) != 0 {
			t.Errorf("left %v", left)
		}
	})
}

func TestCommit_ReturnsAfterTheSyncThatFollowsItsLastWrite(t *testing.T) { // R1
	for _, tt := range []struct {
		body    string
		perFile bool
		want    string
	}{
		{bodyText, false, "create write sync"},
		{bodyText, true, "create write fsync sync"},
		{large, false, "create write write write write writeat writeat sync"},
		{large, true, "create write write write write writeat writeat fsync sync"},
	} {
		var mu sync.Mutex
		var ops []string
		d := &faultDisk{}
		r := setup{disk: d, perFile: tt.perFile}.open(t)
		d.fail = func(op, _ string) error {
			mu.Lock()
			defer mu.Unlock()
			if op != "free" && op != "open" {
				ops = append(ops, op)
			}
			return nil
		}
		r.add(r.message("", "a@there.test"))
		ops = nil
		if err := r.tryAdd(r.message("", "a@there.test"), tt.body); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(ops, " "); got != tt.want {
			t.Errorf("per file %v: %s, want %s", tt.perFile, got, tt.want)
		}
		r.close()
	}
}
