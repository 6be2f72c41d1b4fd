package sshd

import (
	"context"
	"net/netip"
	"os"
	"testing"
	"time"
)

func TestPenalties(t *testing.T) {
	begun := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return begun.Add(time.Duration(s) * time.Second) }
	source := network(netip.MustParseAddr("192.0.2.1"))
	var p penalties
	want := func(second int, left time.Duration) {
		t.Helper()
		if got := p.left(source, at(second)); got != left {
			t.Errorf("after %d s: %v left, want %v", second, got, left)
		}
	}
	want(0, 0)
	p.add(source, 14*time.Second, at(0))
	want(0, 0) // less than is enforced
	p.add(source, time.Second, at(0))
	want(0, 15*time.Second)
	want(14, time.Second) // enforced to its end
	want(15, 0)
	p.add(source, 14*time.Second, at(20))
	want(20, 0) // what is over does not count
	for range 1000 {
		p.add(source, penaltyWrong, at(20))
	}
	want(20, penaltyMax)
	if got := p.left(network(netip.MustParseAddr("192.0.2.2")), at(20)); got != 0 {
		t.Errorf("another source: %v", got)
	}
}

func TestPenaltiesAreBounded(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var p penalties
	worst := network(netip.AddrFrom4([4]byte{9, 9, 9, 9}))
	p.add(worst, time.Minute, now)
	for n := range maxPenalties + 100 {
		p.add(network(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})), 30*time.Second, now)
	}
	if len(p.owed) != maxPenalties {
		t.Errorf("%d sources are remembered", len(p.owed))
	}
	if p.left(worst, now) != time.Minute {
		t.Error("the one with the most time left was forgotten")
	}
	p.add(network(netip.AddrFrom4([4]byte{11, 0, 0, 1})), 30*time.Second, now.Add(time.Hour))
	if len(p.owed) != 1 {
		t.Errorf("%d sources are remembered after all is over", len(p.owed))
	}
}

func TestNetwork(t *testing.T) {
	for source, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := network(netip.MustParseAddr(source)).String(); got != want {
			t.Errorf("%s: %s", source, got)
		}
	}
	if network(netip.Addr{}).IsValid() {
		t.Error("what is no address has a network")
	}
}

func TestWhatIsCharged(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name string
		l    login
		ctx  context.Context
		want time.Duration
	}{
		{"in after two guesses", login{in: true, passwords: 2}, t.Context(), 0},
		{"three guesses", login{passwords: 3, keys: 2}, t.Context(), 15 * time.Second},
		{"keys only", login{keys: 6}, t.Context(), 5 * time.Second},
		{"took all the time", login{why: os.ErrDeadlineExceeded}, t.Context(), 10 * time.Second},
		{"silent", login{}, t.Context(), time.Second},
		{"the server stopped", login{passwords: 3}, over, 0},
	} {
		if got := tt.l.penalty(tt.ctx); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
