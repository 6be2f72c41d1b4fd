package queue

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"esa/mta/envelope"
)

// BenchmarkAdd is what 1, 20 and 100 sessions wait for their 250, on the file
// system of the test directory.
func BenchmarkAdd(b *testing.B) {
	for _, perFile := range []bool{false, true} {
		for _, sessions := range []int{1, 20, 100} {
			b.Run(fmt.Sprintf("perFile=%v/sessions=%d", perFile, sessions), func(b *testing.B) {
				r := setup{disk: osDisk{}, perFile: perFile}.open(b)
				body := strings.Repeat("0123456789abcdef0123456789abcd\r\n", 32)
				var left atomic.Int64
				left.Store(int64(b.N))
				before := r.store.syncs()
				b.ResetTimer()
				done := make(chan error, sessions)
				for range sessions {
					go func() {
						var err error
						for err == nil && left.Add(-1) >= 0 {
							err = r.tryAdd(r.message("a@sender.test", "b@there.test"), body)
						}
						done <- err
					}()
				}
				for range sessions {
					if err := <-done; err != nil {
						b.Error(err)
					}
				}
				b.StopTimer()
				b.ReportMetric(float64(r.store.syncs()-before)/float64(b.N), "syncs/msg")
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
				r.close()
			})
		}
	}
}

// BenchmarkThrough is the cost of a message from Begin to removal without a
// network: what the queue adds to a delivery, on the file system of the test
// directory.
func BenchmarkThrough(b *testing.B) {
	const sessions = 20
	var ended sync.WaitGroup
	r := setup{disk: osDisk{}, courier: deliver(func(_ context.Context, job envelope.Job) []envelope.Outcome {
		defer ended.Done()
		return []envelope.Outcome{{RID: job.Recipients[0].RID, Result: envelope.Delivered, DCID: 1}}
	})}.open(b).run()
	body := strings.Repeat("0123456789abcdef0123456789abcd\r\n", 32)
	ended.Add(b.N)
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ReportAllocs()
	before := cpuTime(b)
	b.ResetTimer()
	for i := range sessions {
		go func() {
			for left.Add(-1) >= 0 {
				if err := r.tryAdd(r.message("a@sender.test", fmt.Sprintf("b@there%d.test", i)), body); err != nil {
					b.Error(err)
					ended.Done()
				}
			}
		}()
	}
	ended.Wait()
	r.close()
	b.StopTimer()
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/msg")
}

// cpuTime is what this process has used so far.
func cpuTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkEnvelope(b *testing.B) {
	m := full(1)
	text, err := encodeEnvelope(&m)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		for range b.N {
			_, _ = encodeEnvelope(&m)
		}
	})
	b.Run("decode", func(b *testing.B) {
		for range b.N {
			_, _ = decodeEnvelope(text)
		}
	})
}

// spoolOf makes a queue with so many messages and closes it.
func spoolOf(t testing.TB, n int) string {
	t.Helper()
	dir := t.TempDir()
	r := setup{dir: dir}.open(t)
	for mid := range n {
		m := message(envelope.MID(mid+1), "sender@example.com", fmt.Sprintf("user%d@domain%d.example.net", mid, mid%1000))
		d := r.store.begin(m)
		if _, err := io.WriteString(writerFunc(d.write), bodyText); err != nil {
			t.Fatal(err)
		}
		m.Received = time.Now()
		if err := d.commit(m); err != nil {
			t.Fatal(err)
		}
	}
	r.close()
	return dir
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// heap is what is in use after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestLongQueue_StartsInSecondsAndTakesLittleMemory(t *testing.T) { // R13
	n := 10_000
	if os.Getenv("ESA_LONG") != "" {
		n = 100_000
	}
	dir := spoolOf(t, n)
	before := heap()
	block := make(chan struct{})
	begun := time.Now()
	r := setup{dir: dir, courier: &courier{answer: func(envelope.Job, envelope.Recipient) envelope.Outcome {
		<-block
		return hostDown()
	}}}.open(t)
	opened := time.Since(begun)
	r.Configure(Policy{Concurrency: 1})
	r.run()
	for r.Stats().Unread > 0 {
		time.Sleep(10 * time.Millisecond)
	}
	read := time.Since(begun)
	per := (int64(heap()) - int64(before)) / int64(n)
	t.Logf("%d messages: open %v, all read %v, %d bytes each", n, opened, read, per)
	if per > 1000 {
		t.Errorf("%d bytes per message", per)
	}
	if s := r.Stats(); s.Messages != n || s.Destinations != 1000 {
		t.Errorf("%+v", s)
	}
	close(block)
	r.close()
	if err := os.RemoveAll(filepath.Join(dir, "queue")); err != nil {
		t.Error(err)
	}
}
