package counters

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestRates counts at some seconds after the start and looks at others.
func TestRates(t *testing.T) {
	for _, tt := range []struct {
		name  string
		adds  map[int]int64 // second: how many
		at    int
		want  Rate
		until int // samples are taken up to here; 0: to the end
	}{
		{"nothing", nil, 1000, Rate{}, 0},
		{"the ESA's example", map[int]int64{910: 50, 950: 50}, 960, Rate{6000, 1200, 400}, 0},
		{"in the first minute", map[int]int64{1: 100}, 30, Rate{6000, 1200, 400}, 0},
		{"two minutes ago", map[int]int64{880: 100}, 1000, Rate{0, 1200, 400}, 0},
		{"ten minutes ago", map[int]int64{400: 100}, 1000, Rate{0, 0, 400}, 0},
		{"forgotten", map[int]int64{10: 100}, 1000, Rate{0, 0, 0}, 0},
		{"since the last sample", map[int]int64{999: 1}, 999, Rate{60, 12, 4}, 0},
		{"no sample for long", map[int]int64{999: 15}, 1000, Rate{900, 180, 60}, 500},
		{"half a sample", map[int]int64{905: 10}, 963, Rate{600 - 600*3/5, 120, 40}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
			c, err := Open(file(t), func() time.Time { return now })
			if err != nil {
				t.Fatal(err)
			}
			for second := 1; second <= tt.at; second++ {
				now = now.Add(time.Second)
				c.Add(DeliveredRecips, tt.adds[second])
				if second%5 == 0 && (tt.until == 0 || second <= tt.until) {
					c.sample()
				}
			}
			rates := c.Rates()
			if got := rates[DeliveredRecips]; got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			if rates[CompletedRecips] != rates[DeliveredRecips] || rates[InjMsgs] != (Rate{}) {
				t.Errorf("the sums: %+v", rates)
			}
			if len(c.past.samples) > maxSamples {
				t.Errorf("%d samples are kept", len(c.past.samples))
			}
		})
	}
}

// TestRatesWithAClockSetBack: what the clock makes impossible is forgotten.
func TestRatesWithAClockSetBack(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	c, err := Open(file(t), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		now = now.Add(pulse)
		c.sample()
	}
	now = now.Add(-time.Hour)
	c.sample()
	c.Add(InjMsgs, 7)
	now = now.Add(pulse)
	if got := c.Rates()[InjMsgs]; got != (Rate{420, 84, 28}) {
		t.Errorf("%+v", got)
	}
}

// TestResetLeavesRates: they are of the last minutes, not of a column.
func TestResetLeavesRates(t *testing.T) {
	c := open(t, file(t))
	c.Add(InjRecips, 2)
	c.Reset()
	if got := c.Rates()[InjRecips].Minute; got != 120 {
		t.Errorf("%d", got)
	}
}

func TestRunTakesSamples(t *testing.T) {
	path := file(t)
	synctest.Test(t, func(t *testing.T) {
		c := open(t, path)
		c.Add(InjMsgs, 1)
		go c.Run(t.Context(), func(err error) { t.Error(err) })
		time.Sleep(2*time.Minute + time.Millisecond)
		synctest.Wait()
		if got := c.Rates()[InjMsgs]; got != (Rate{0, 12, 4}) {
			t.Errorf("%+v", got)
		}
	})
}

// TestInclude counts in what another part counts, over a restart.
func TestInclude(t *testing.T) {
	path := file(t)
	c := open(t, path)
	n := int64(5)
	c.Include(DNSRequests, func() int64 { return n })
	wantValue(t, c, DNSRequests, Value{5, 5, 5})
	c.Reset()
	n = 8
	wantValue(t, c, DNSRequests, Value{3, 8, 8})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = open(t, path)
	c.Include(DNSRequests, func() int64 { return 1 })
	wantValue(t, c, DNSRequests, Value{4, 1, 9})
}
