package counters

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"esa/mta/envelope"
)

func open(t testing.TB, path string) *Counters {
	t.Helper()
	c, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func file(t testing.TB) string { return filepath.Join(t.TempDir(), "counters") }

func TestIDsBeginAtOne(t *testing.T) {
	c := open(t, file(t))
	if m, i, d := c.NextMID(), c.NextICID(), c.NextDCID(); m != 1 || i != 1 || d != 1 {
		t.Errorf("first ids %d %d %d", m, i, d)
	}
}

func TestClosed_IDsGoOn(t *testing.T) {
	path := file(t)
	c := open(t, path)
	for range 3 {
		c.NextMID()
	}
	c.NextICID()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = open(t, path)
	if m, i, d := c.NextMID(), c.NextICID(), c.NextDCID(); m != 4 || i != 2 || d != 1 {
		t.Errorf("ids %d %d %d, want 4 2 1", m, i, d)
	}
}

// TestCrash_IDsNeverRepeat: a process that does not close leaves a gap.
func TestCrash_IDsNeverRepeat(t *testing.T) {
	path := file(t)
	var last envelope.MID
	for _, n := range []int{1, block - 1, block, block + 1, 3 * block} {
		c := open(t, path)
		for range n {
			m := c.NextMID()
			if m <= last {
				t.Fatalf("MID %d after %d", m, last)
			}
			last = m
		}
	}
	if last > 20*block {
		t.Errorf("the gaps are too large: MID %d", last)
	}
}

func TestConcurrentIDsAreDistinct(t *testing.T) {
	c := open(t, file(t))
	const workers, each = 8, 5000
	got := make([][]envelope.MID, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range each {
				got[w] = append(got[w], c.NextMID())
			}
		})
	}
	wg.Wait()
	all := slices.Sorted(slices.Values(slices.Concat(got...)))
	for i, m := range all {
		if m != envelope.MID(i+1) {
			t.Fatalf("place %d has MID %d", i, m)
		}
	}
}

func TestFloor(t *testing.T) {
	path := file(t)
	c := open(t, path)
	c.Floor(70_000)
	if m := c.NextMID(); m != 70_001 {
		t.Errorf("MID %d", m)
	}
	c.Floor(5)
	if m := c.NextMID(); m != 70_002 {
		t.Errorf("MID %d", m)
	}
	if m := open(t, path).NextMID(); m <= 70_002 {
		t.Errorf("after a crash MID %d", m)
	}
}

func TestColumns(t *testing.T) {
	path := file(t)
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	c, err := Open(path, clock)
	if err != nil {
		t.Fatal(err)
	}
	c.Add(InjMsgs, 5)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour)
	if c, err = Open(path, clock); err != nil {
		t.Fatal(err)
	}
	c.Add(InjMsgs, 2)
	wantValue(t, c, InjMsgs, Value{Reset: 7, Uptime: 2, Lifetime: 7})
	now = now.Add(time.Hour)
	c.Reset()
	c.Add(InjMsgs, 1)
	wantValue(t, c, InjMsgs, Value{Reset: 1, Uptime: 3, Lifetime: 8})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	reset := now
	now = now.Add(time.Hour)
	if c, err = Open(path, clock); err != nil {
		t.Fatal(err)
	}
	wantValue(t, c, InjMsgs, Value{Reset: 1, Uptime: 0, Lifetime: 8})
	if s := c.Snapshot(); !s.Started.Equal(now) || !s.LastReset.Equal(reset) {
		t.Errorf("started %v, last reset %v", s.Started, s.LastReset)
	}
}

func wantValue(t *testing.T, c *Counters, n Name, want Value) {
	t.Helper()
	if got := c.Snapshot().Counters[n]; got != want {
		t.Errorf("%v = %+v, want %+v", n, got, want)
	}
}

func TestSums(t *testing.T) {
	c := open(t, file(t))
	for i, n := range []Name{DNSHardBouncedRecips, FiveXXHardBouncedRecips, FilterHardBouncedRecips,
		ExpiredHardBouncedRecips, OtherHardBouncedRecips, DeliveredRecips, DeletedRecips} {
		c.Add(n, 1<<i)
	}
	c.Add(HardBouncedRecips, 1000) // is a sum
	wantValue(t, c, HardBouncedRecips, Value{31, 31, 31})
	wantValue(t, c, CompletedRecips, Value{127, 127, 127})
}

func TestSnapshotHasLastIDs(t *testing.T) {
	c := open(t, file(t))
	c.NextMID()
	c.NextICID()
	c.NextICID()
	if s := c.Snapshot(); s.MID != 1 || s.ICID != 2 || s.DCID != 0 || s.Started.IsZero() || !s.LastReset.IsZero() {
		t.Errorf("%+v", s)
	}
}

func TestNamesAreThoseOfTheXMLStatus(t *testing.T) {
	for n, want := range map[Name]string{InjMsgs: "inj_msgs", FiveXXHardBouncedRecips: "5xx_hard_bounced_recips", DeletedRecips: "deleted_recips"} {
		if n.String() != want {
			t.Errorf("%d is %s, want %s", n, n, want)
		}
	}
}

// TestDamagedFile is set aside; ids go on beyond all that were given out.
func TestDamagedFile(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"empty":         func([]byte) []byte { return nil },
		"cut off":       func(b []byte) []byte { return b[:len(b)/2] },
		"one bit":       func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"zeros":         func(b []byte) []byte { return make([]byte, len(b)) },
		"something":     func([]byte) []byte { return []byte("hello\n") },
		"other content": func(b []byte) []byte { return append(b, '}') },
	} {
		t.Run(name, func(t *testing.T) {
			path := file(t)
			c := open(t, path)
			c.Add(InjMsgs, 5)
			var last envelope.MID
			for range 2*block + 7 {
				last = c.NextMID()
			}
			if c.Damage() != nil {
				t.Fatal(c.Damage())
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			bad := damage(data)
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			c = open(t, path)
			if c.Damage() == nil || !strings.Contains(c.Damage().Error(), path+".damaged") {
				t.Errorf("Damage() = %v", c.Damage())
			}
			if m := c.NextMID(); m <= last {
				t.Errorf("MID %d after %d", m, last)
			}
			wantValue(t, c, InjMsgs, Value{5, 0, 5})
			if kept, err := os.ReadFile(path + ".damaged"); err != nil || string(kept) != string(bad) {
				t.Errorf("set aside: %q, %v", kept, err)
			}
		})
	}
}

func TestDamagedTwice_BeginsAnew(t *testing.T) {
	path := file(t)
	for _, p := range []string{path, path + ".previous"} {
		if err := os.WriteFile(p, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := open(t, path)
	c.Floor(100)
	if m := c.NextMID(); m != 101 || c.Damage() == nil {
		t.Errorf("MID %d, damage %v", m, c.Damage())
	}
}

func TestNewerFileIsRefused(t *testing.T) {
	path := file(t)
	data := fmt.Sprintf(headerForm, version+1, 0)
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, nil); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("error %v", err)
	}
	if kept, err := os.ReadFile(path); err != nil || string(kept) != data {
		t.Errorf("the file was touched: %q, %v", kept, err)
	}
}

// TestDirectoryGone_IDsGoOn: without a disk, ids are given out all the same,
// and Run tells.
func TestDirectoryGone_IDsGoOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	c := open(t, filepath.Join(dir, "counters"))
	for want := envelope.MID(1); want <= 3; want++ {
		if m := c.NextMID(); m != want {
			t.Errorf("MID %d, want %d", m, want)
		}
	}
	told := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.Run(ctx, func(err error) {
			select {
			case told <- err:
			default:
			}
		})
	}()
	if err := <-told; !errors.Is(err, os.ErrNotExist) {
		t.Errorf("told %v", err)
	}
	stop()
	<-ended
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c.NextMID()
	if m := open(t, c.path).NextMID(); m <= 4 {
		t.Errorf("MID %d was given out before", m)
	}
}

func TestRunSavesEveryTenSeconds(t *testing.T) {
	path := file(t)
	synctest.Test(t, func(t *testing.T) {
		c := open(t, path)
		c.Add(DeliveredRecips, 3)
		ctx, stop := context.WithCancel(t.Context())
		go c.Run(ctx, func(err error) { t.Error(err) })
		time.Sleep(interval + time.Millisecond)
		synctest.Wait()
		stop()
		wantValue(t, open(t, path), DeliveredRecips, Value{3, 0, 3})
	})
}

func TestRunMovesTheEndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, file(t))
		ctx, stop := context.WithCancel(t.Context())
		go c.Run(ctx, func(err error) { t.Error(err) })
		for range block/2 + 2 {
			c.NextDCID()
		}
		synctest.Wait()
		if end := c.ids[dcids].end.Load(); end <= block+1 {
			t.Errorf("the end is still %d", end)
		}
		stop()
	})
}

func BenchmarkAdd(b *testing.B) {
	c := open(b, file(b))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.Add(InjMsgs, 1)
		}
	})
}

func BenchmarkNextMID(b *testing.B) {
	c := open(b, file(b))
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); c.Run(ctx, func(err error) { b.Error(err) }) }()
	for b.Loop() {
		c.NextMID()
	}
	stop()
	<-ended
}

func BenchmarkSave(b *testing.B) {
	c := open(b, file(b))
	for b.Loop() {
		if err := c.Save(); err != nil {
			b.Fatal(err)
		}
	}
}
