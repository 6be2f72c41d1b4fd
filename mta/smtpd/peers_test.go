package smtpd

import (
	"net/netip"
	"slices"
	"testing"
)

func TestPeers(t *testing.T) {
	b := newBench(t)
	b.names[netip.MustParseAddr("192.0.2.7")] = "mx.example.com"
	b.names[netip.MustParseAddr("192.0.2.8")] = "?liar.example.com"
	if p := b.srv.Peers(); len(p) != 0 {
		t.Errorf("%+v", p)
	}
	var clients []*client
	for _, from := range []string{"192.0.2.8:1", "192.0.2.7:1", "192.0.2.7:2"} {
		c := b.dial(from)
		c.greet()
		clients = append(clients, c)
	}
	listener := b.settings().Listener
	want := []Peer{
		{"mx.example.com", netip.MustParseAddr("192.0.2.7"), listener, 2},
		{"192.0.2.8", netip.MustParseAddr("192.0.2.8"), listener, 1},
	}
	if got := b.srv.Peers(); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, c := range clients {
		c.close()
	}
	b.srv.Drain(t.Context())
	if p := b.srv.Peers(); len(p) != 0 {
		t.Errorf("%+v are still there", p)
	}
}
