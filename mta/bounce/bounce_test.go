package bounce

import (
	"math"
	"testing"
	"time"

	"esa/mta/envelope"
)

func TestNextDelay_DoublesFromInitialToMaximum(t *testing.T) {
	p := Profile{InitialRetry: time.Minute, MaxRetry: time.Hour}
	want := []int{60, 120, 240, 480, 960, 1920, 3600, 3600}
	for i, seconds := range want {
		if got := NextDelay(p, i+1); got != time.Duration(seconds)*time.Second {
			t.Errorf("after %d attempts: %v, want %d s", i+1, got, seconds)
		}
	}
}

func TestDoubling_Bounds(t *testing.T) {
	for _, tt := range []struct {
		name           string
		initial, limit time.Duration
		n              int
		want           time.Duration
	}{
		{"zero profile is no busy loop", 0, 0, 1, time.Second},
		{"maximum under initial", time.Minute, time.Second, 5, time.Minute},
		{"no attempt yet", time.Minute, time.Hour, 0, time.Minute},
		{"no overflow", time.Minute, math.MaxInt64, 1000, math.MaxInt64},
		{"maximum that is no power", 50 * time.Second, 130 * time.Second, 3, 130 * time.Second},
	} {
		if got := Doubling(tt.initial, tt.limit, tt.n); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestExpired(t *testing.T) {
	p := Profile{MaxRetries: 2, MaxLifetime: 100 * time.Second}
	for _, tt := range []struct {
		name     string
		attempts int
		age      time.Duration
		want     bool
	}{
		{"two retries: the third failure is the last", 3, 99 * time.Second, true},
		{"the second is not", 2, 99 * time.Second, false},
		{"too old", 1, 100 * time.Second, true},
		{"a clock that went back", 1, -time.Hour, false},
	} {
		if got := Expired(p, tt.attempts, tt.age); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestWarningDue(t *testing.T) {
	p := Default()
	p.Warn, p.WarnCount = true, 2
	off := p
	off.Warn = false
	busy := envelope.Failure{Code: 450}
	for _, tt := range []struct {
		name    string
		p       Profile
		attempt int
		why     envelope.Failure
		warned  Warned
		want    bool
	}{
		{"second failing attempt", p, 2, busy, Warned{}, true},
		{"first", p, 1, busy, Warned{}, false},
		{"no reply", p, 2, envelope.Failure{}, Warned{}, false},
		{"5xx", p, 2, envelope.Failure{Code: 550}, Warned{}, false},
		{"off", off, 2, busy, Warned{}, false},
		{"interval not over", p, 3, busy, Warned{1, p.WarnInterval - 1}, false},
		{"interval over", p, 3, busy, Warned{1, p.WarnInterval}, true},
		{"often enough", p, 9, busy, Warned{2, time.Hour * 100}, false},
	} {
		if got := WarningDue(tt.p, tt.attempt, tt.why, tt.warned); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
