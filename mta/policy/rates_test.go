package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// Each step is "minute address sender": what it is answered with.
func TestRecipientRates(t *testing.T) {
	names := map[Excess]string{WithinLimits: "ok", HostRate: "host", SenderLimit: "sender"}
	for _, tt := range []struct {
		name   string
		params Params
		steps  string
		want   string
	}{
		{"no limit", Params{}, "0 10.0.0.1 a,0 10.0.0.1 a,0 10.0.0.1 a", "ok ok ok"},
		{"lifted", Params{MaxPerHour: -1, SenderRate: SenderRate{Most: -1}}, "0 10.0.0.1 a,0 10.0.0.1 a", "ok ok"},
		{"per host", Params{MaxPerHour: 2}, "0 10.0.0.1 a,0 10.0.0.1 b,1 10.0.0.1 c,1 10.0.0.2 c", "ok ok host ok"},
		{"the hour begins with the first", Params{MaxPerHour: 1}, "30 10.0.0.1 a,89 10.0.0.1 a,90 10.0.0.1 a,91 10.0.0.1 a", "ok host ok host"},
		{"mapped addresses are the same host", Params{MaxPerHour: 1}, "0 10.0.0.1 a,0 ::ffff:10.0.0.1 a", "ok host"},
		{"bits", Params{MaxPerHour: 1, SignificantBits: 24}, "0 10.0.0.1 a,0 10.0.0.200 a,0 10.0.1.1 a", "ok host ok"},
		{"too many bits", Params{MaxPerHour: 1, SignificantBits: 99}, "0 10.0.0.1 a,0 10.0.0.2 a", "ok ok"},
		{"IPv6 by its network", Params{MaxPerHour: 1, SignificantBits: 24}, "0 2001:db8::1 a,0 2001:db8::ffff:1 a,0 2001:db8:0:1::1 a", "ok host ok"},
		{"per sender", Params{SenderRate: SenderRate{Most: 1, Every: 5 * time.Minute}}, "0 10.0.0.1 a,0 10.0.0.2 a,0 10.0.0.2 b,5 10.0.0.2 a", "ok sender ok ok"},
		{"null sender", Params{SenderRate: SenderRate{Most: 1, Every: time.Hour}}, "0 10.0.0.1 -,0 10.0.0.2 -", "ok ok"},
		{"exempt sender", Params{SenderRate: SenderRate{Most: 1, Every: time.Hour}}, "0 10.0.0.1 +a,0 10.0.0.2 +a", "ok ok"},
		{"what is refused is not counted", Params{MaxPerHour: 2, SenderRate: SenderRate{Most: 1, Every: time.Hour}},
			"0 10.0.0.1 a,0 10.0.0.1 a,0 10.0.0.1 b,0 10.0.0.1 c", "ok sender ok host"},
	} {
		r, begin := NewRates(), time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
		var got []string
		for step := range strings.SplitSeq(tt.steps, ",") {
			var minute int
			var addr, sender string
			if _, err := fmt.Sscan(step, &minute, &addr, &sender); err != nil {
				t.Fatal(err)
			}
			sender, exempt := strings.CutPrefix(strings.TrimPrefix(sender, "-"), "+")
			from := Source{Listener: "In", Addr: netip.MustParseAddr(addr), Sender: sender, Exempt: exempt}
			got = append(got, names[r.Recipient(tt.params, from, begin.Add(time.Duration(minute)*time.Minute))])
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, s, tt.want)
		}
	}
}

func TestHarvests(t *testing.T) {
	r, now := NewRates(), time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	p := Params{MaxInvalid: 2}
	from := Source{Listener: "In", Addr: netip.MustParseAddr("10.0.0.1")}
	other := Source{Listener: "Out", Addr: from.Addr}
	for n, want := range []bool{false, false, true, true} {
		if got := r.Harvests(p, from, now); got != want {
			t.Errorf("after %d: %v", n, got)
		}
		r.Invalid(p, from, now)
	}
	if r.Harvests(p, other, now) || r.Harvests(Params{}, from, now) || r.Harvests(Params{MaxInvalid: -1}, from, now) {
		t.Error("another listener, or one without the limit, is concerned")
	}
	if r.Harvests(p, from, now.Add(time.Hour)) {
		t.Error("it never ends")
	}
}

func TestMeterForgetsTheOldest(t *testing.T) {
	m, now := NewMeter[int](3), time.Unix(0, 0)
	for k := range 10 {
		m.Add(k, now, time.Hour)
	}
	if m.Keys() != 3 || m.Count(6, now) != 0 || m.Count(7, now) != 1 {
		t.Errorf("%d keys, %d, %d", m.Keys(), m.Count(6, now), m.Count(7, now))
	}
	m.Add(20, now.Add(2*time.Hour), time.Hour)
	if m.Keys() != 1 {
		t.Errorf("%d keys after all windows ended", m.Keys())
	}
}
