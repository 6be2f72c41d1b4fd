package dns

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"esa/mta/lookup"
	"esa/mta/mtatest"

	mdns "github.com/miekg/dns"
)

// TestLifetimes asks once, moves the clock, and finds out whether the cache
// still knows.
func TestLifetimes(t *testing.T) {
	const week = 7 * 24 * time.Hour
	for _, tt := range []struct {
		name  string
		ask   string
		floor time.Duration
		want  time.Duration // 0: not kept
	}{
		{"by its TTL", "mx1.example.test", 0, time.Hour},
		{"by the shortest TTL of the aliases", "www.example.test", 0, 30 * time.Minute},
		{"not below the floor", "mx1.example.test", 2 * time.Hour, 2 * time.Hour},
		{"F4 TTL 0", "zero.example.test", 0, 0},
		{"F4 TTL 0 with a floor", "zero.example.test", 30 * time.Minute, 30 * time.Minute},
		{"F4 TTL over 2^31 is 0 (RFC 2181 §8)", "huge.example.test", 0, 0},
		{"F4 TTL of 2^31-1", "week.example.test", 0, week},
		{"a floor above the ceiling", "mx1.example.test", 2 * week, week},
		{"NXDOMAIN by the SOA minimum", "none.example.test", 0, 10 * time.Minute},
		{"NXDOMAIN not below the floor", "none.example.test", 30 * time.Minute, 30 * time.Minute},
		{"NODATA by the SOA minimum", "example.test", 0, 10 * time.Minute},
		{"NODATA with a SOA minimum of a day", "day.test", 0, 3 * time.Hour},
		{"NODATA without SOA", "nosoa.test", 30 * time.Minute, failureTTL},
		{"SERVFAIL", "broken.test", 30 * time.Minute, failureTTL},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := mtatest.NewDNSServer(t, zone+"day.test. 86400 IN SOA ns. admin. 1 2 3 4 86400\nnosoa.test. IN MX 10 a.test.")
			s.Script("broken.test", "A", mtatest.ServFail)
			clock := newTestClock()
			r := New(Options{Clock: clock.Now})
			t.Cleanup(r.Close)
			r.Configure(Settings{Servers: inOrder(s), MinTTL: tt.floor, Timeout: ample})
			ask := func(want int) {
				t.Helper()
				a := r.Addrs(t.Context(), tt.ask, false)
				if got := s.Asked(tt.ask, "A"); got != want {
					t.Errorf("the server was asked %d times, want %d; answer %+v", got, want, a)
				}
			}
			ask(1)
			if tt.want == 0 {
				ask(2)
				return
			}
			clock.Advance(tt.want - time.Second)
			ask(1)
			if a := r.Addrs(t.Context(), tt.ask, false); a.TTL != time.Second {
				t.Errorf("TTL = %v a second before the end", a.TTL)
			}
			clock.Advance(time.Second)
			ask(2)
		})
	}
}

func TestConcurrentLookupsAreMerged(t *testing.T) {
	s := mtatest.NewDNSServer(t, zone)
	release := make(chan struct{})
	s.Script("example.test", "MX", mtatest.Held(release, mtatest.Honest))
	r := newResolver(t, ample, s)
	const n = 50
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if a := r.MX(t.Context(), "Example.test"); len(a.Records) != 2 {
				t.Errorf("MX = %+v", a)
			}
		})
	}
	s.Await(t, 1)
	waitFor(t, func() bool { return r.Stats().Misses == n })
	close(release)
	wg.Wait()
	if got := s.Asked("example.test", "MX"); got != 1 {
		t.Errorf("%d questions for %d lookups at the same time", got, n)
	}
}

// waitFor gives way to others until ok holds.
func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(ample); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("what was waited for did not happen")
		}
	}
}

func TestOneCallerLeaves_TheOthersGetTheAnswer(t *testing.T) {
	s := mtatest.NewDNSServer(t, zone)
	release := make(chan struct{})
	s.Script("example.test", "MX", mtatest.Held(release, mtatest.Honest))
	r := newResolver(t, ample, s)
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan lookup.MXAnswer, 1), make(chan lookup.MXAnswer, 1)
	go func() { first <- r.MX(ctx, "example.test") }()
	s.Await(t, 1)
	go func() { second <- r.MX(t.Context(), "example.test") }()
	waitFor(t, func() bool { return r.Stats().Misses == 2 })
	cancel()
	if a := <-first; a.Status != lookup.Failed {
		t.Errorf("who left got %+v", a)
	}
	close(release)
	if a := <-second; a.Status != lookup.Insecure {
		t.Errorf("who stayed got %+v", a)
	}
}

func TestFlush(t *testing.T) {
	s := mtatest.NewDNSServer(t, zone)
	r := newResolver(t, ample, s)
	r.MX(t.Context(), "example.test")
	r.MX(t.Context(), "example.test")
	r.Flush()
	r.MX(t.Context(), "example.test")
	if got := s.Asked("example.test", "MX"); got != 2 {
		t.Errorf("asked %d times, want 2", got)
	}
	want := Stats{Requests: 3, NetworkRequests: 2, Hits: 1, Misses: 2}
	if got := r.Stats(); got != want {
		t.Errorf("Stats = %+v, want %+v", got, want)
	}
}

// An answer that was asked for before Flush is not served after it.
func TestFlush_WhileALookupIsUnderWay(t *testing.T) {
	s := mtatest.NewDNSServer(t, zone)
	release := make(chan struct{})
	s.Script("mx1.example.test", "A", mtatest.Held(release, mtatest.Forged(nil)), mtatest.Honest)
	r := newResolver(t, ample, s)
	old := make(chan lookup.AddrAnswer)
	go func() { old <- r.Addrs(t.Context(), "mx1.example.test", false) }()
	s.Await(t, 1)
	r.Flush()
	if a := r.Addrs(t.Context(), "mx1.example.test", false); addrs(a) != "192.0.2.1 192.0.2.2" {
		t.Errorf("Addrs = %+v: joined a lookup from before", a)
	}
	close(release)
	<-old
	if a := r.Addrs(t.Context(), "mx1.example.test", false); addrs(a) != "192.0.2.1 192.0.2.2" {
		t.Errorf("Addrs = %+v: the answer from before was kept", a)
	}
}

func TestStats_ExpiredAndExceptions(t *testing.T) {
	s := mtatest.NewDNSServer(t, zone)
	s.Script("broken.test", "MX", mtatest.ServFail)
	clock := newTestClock()
	r := newResolverWith(t, Options{Clock: clock.Now}, ample, s)
	r.MX(t.Context(), "example.test")
	clock.Advance(2 * time.Hour)
	r.MX(t.Context(), "example.test")
	r.MX(t.Context(), "broken.test")
	r.MX(t.Context(), "broken.test")
	want := Stats{Requests: 4, NetworkRequests: 3, Hits: 1, Misses: 3, Expired: 1, Exceptions: 2}
	if got := r.Stats(); got != want {
		t.Errorf("Stats = %+v, want %+v", got, want)
	}
}

// keepIn puts an answer into a cache as a lookup would.
func keepIn(c *cache, name string, now time.Time) {
	f := c.find(context.Background(), question{name: name, qtype: mdns.TypeA}, now)
	if f.first {
		c.land(f.flight, &answer{Answer: lookup.Answer{Status: lookup.Insecure}, expires: now.Add(time.Hour)})
	}
}

func TestCacheIsBounded_TheLongestUnusedGo(t *testing.T) {
	now := time.Now()
	c := newCache(100_000)
	keepIn(c, "used", now)
	for i := range 10_000 {
		keepIn(c, fmt.Sprintf("name%d", i), now)
		keepIn(c, "used", now)
	}
	used, listed := 0, 0
	for e := c.ring.next; e != &c.ring; e = e.next {
		used += e.size
		listed++
	}
	if used != c.used || used > c.limit || listed != len(c.entries) || listed < 100 {
		t.Errorf("%d entries, %d listed, %d bytes counted, %d used, limit %d", len(c.entries), listed, used, c.used, c.limit)
	}
	if c.entries[question{name: "used", qtype: mdns.TypeA}] == nil {
		t.Error("the entry that was used all the time is gone")
	}
	if c.entries[question{name: "name0", qtype: mdns.TypeA}] != nil {
		t.Error("the entry that was never used is still there")
	}
	if len(c.flights) != 0 {
		t.Errorf("%d lookups are still under way", len(c.flights))
	}
}

// A lookup that everybody has left does not keep its answer, and its end does
// not disturb the lookup that took its place.
func TestAbandonedFlight(t *testing.T) {
	now := time.Now()
	c := newCache(100_000)
	q := question{name: "a", qtype: mdns.TypeA}
	first := c.find(t.Context(), q, now)
	c.leave(first.flight)
	if first.flight.ctx.Err() == nil {
		t.Error("nobody waits, but the lookup goes on")
	}
	second := c.find(t.Context(), q, now)
	if !second.first {
		t.Fatal("joined an abandoned lookup")
	}
	c.land(first.flight, &answer{expires: now.Add(time.Hour)})
	if f := c.find(t.Context(), q, now); f.answer != nil || f.flight != second.flight {
		t.Errorf("found %+v, want the second lookup", f)
	}
}

func TestPanicInALookupFailsIt(t *testing.T) {
	var diag strings.Builder
	armed := false
	rand := func() uint64 {
		if armed {
			panic("staged")
		}
		return 1
	}
	s := mtatest.NewDNSServer(t, zone)
	r := newResolverWith(t, Options{Rand: rand, Diag: textLog(&diag)}, ample, s)
	armed = true
	if a := r.MX(t.Context(), "example.test"); a.Status != lookup.Failed {
		t.Errorf("MX = %+v", a)
	}
	if !strings.Contains(diag.String(), "staged") {
		t.Errorf("diagnostics do not tell of the panic: %q", diag.String())
	}
}

func BenchmarkHit(b *testing.B) {
	s := mtatest.NewDNSServer(b, zone)
	r := newResolver(b, ample, s)
	r.MX(b.Context(), "example.test")
	before := runtime.NumGoroutine()
	b.ReportAllocs()
	for b.Loop() {
		if a := r.MX(b.Context(), "example.test"); len(a.Records) != 2 {
			b.Fatal(a)
		}
	}
	if n := runtime.NumGoroutine(); n > before {
		b.Errorf("%d goroutines more than before", n-before)
	}
}

func BenchmarkHitParallel(b *testing.B) {
	s := mtatest.NewDNSServer(b, zone)
	r := newResolver(b, ample, s)
	r.Addrs(b.Context(), "mx1.example.test", false)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r.Addrs(b.Context(), "mx1.example.test", false)
		}
	})
}

func BenchmarkMiss(b *testing.B) {
	s := mtatest.NewDNSServer(b, zone)
	r := newResolver(b, ample, s)
	for b.Loop() {
		r.Flush()
		r.MX(b.Context(), "example.test")
	}
}
