package sshd

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"
)

// crowd is a guard with connections of pipes; a closed one is seen by reading.
type crowd struct {
	t      *testing.T
	server *Server
	now    time.Time
}

func newCrowd(t *testing.T) *crowd {
	c := &crowd{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	c.server = &Server{Clock: func() time.Time { return c.now }}
	return c
}

// guest is one connection of a crowd.
type guest struct {
	*connection
	far   net.Conn
	waits context.Context // of its handshake
}

// comes is a new connection from a source, and what it is told.
func (c *crowd) comes(source string) (guest, string) {
	near, far := net.Pipe()
	waits, giveUp := context.WithCancel(c.t.Context())
	c.t.Cleanup(giveUp)
	g := guest{&connection{server: c.server, wire: &wire{Conn: near}, source: netip.MustParseAddr(source), giveUp: giveUp}, far, waits}
	return g, c.server.guard.admit(g.connection, limits{waiting: 4, loggedIn: 2})
}

func (g guest) evicted() bool {
	if err := g.far.SetReadDeadline(time.Now()); err != nil {
		return true
	}
	_, err := g.far.Read(make([]byte, 1))
	e, ok := err.(net.Error)
	out := !ok || !e.Timeout()
	if stopped := g.waits.Err() != nil; stopped != out {
		panic("one that was put out waits on, or another does not")
	}
	return out
}

func TestGuard_TheOldestOfTheLargestSourceMakesRoom(t *testing.T) {
	c := newCrowd(t)
	var flood []guest
	for range 3 {
		g, said := c.comes("10.0.0.1")
		if said != "" {
			t.Fatal(said)
		}
		flood = append(flood, g)
	}
	other, _ := c.comes("10.0.0.2")
	newcomer, said := c.comes("10.0.0.3")
	if said != "" || newcomer.evicted() || !flood[0].evicted() || flood[1].evicted() || other.evicted() {
		t.Errorf("said %q", said)
	}
	// One more of the flood finds no place, nor does one of a source that has as many.
	for _, source := range []string{"10.0.0.1", "10.0.0.2"} {
		if _, said := c.comes(source); said != tooMany {
			t.Errorf("%s: said %q", source, said)
		}
	}
	if c.server.guard.enter(flood[0].connection, limits{4, 2}) {
		t.Error("one that was put out logs in")
	}
}

func TestGuard_NobodySitsForLongOnAPlaceThatIsNeeded(t *testing.T) {
	c := newCrowd(t)
	first, _ := c.comes("10.0.0.1")
	c.now = c.now.Add(time.Second)
	for _, source := range []string{"10.0.0.2", "10.0.0.3", "10.0.0.4"} {
		if _, said := c.comes(source); said != "" {
			t.Fatal(said)
		}
	}
	c.now = c.now.Add(longEnough - 2*time.Second)
	if _, said := c.comes("10.0.0.5"); said != tooMany {
		t.Errorf("before: %q", said)
	}
	c.now = c.now.Add(time.Second)
	if _, said := c.comes("10.0.0.5"); said != "" || !first.evicted() {
		t.Errorf("after: %q", said)
	}
}

// Those logged in and those not have places of their own.
func TestGuard_WhoIsInTakesNobodysPlace(t *testing.T) {
	c := newCrowd(t)
	most := limits{waiting: 4, loggedIn: 2}
	var in []guest
	for range 2 {
		g, _ := c.comes("10.0.0.1")
		if !c.server.guard.enter(g.connection, most) {
			t.Fatal("not in")
		}
		in = append(in, g)
	}
	if _, said := c.comes("10.0.0.2"); said != tooMany {
		t.Errorf("with all places of those logged in taken: %q", said)
	}
	c.server.guard.leave(in[0].connection, 0)
	g, said := c.comes("10.0.0.2")
	if said != "" {
		t.Fatal(said)
	}
	late, _ := c.comes("10.0.0.3")
	if !c.server.guard.enter(g.connection, most) || c.server.guard.enter(late.connection, most) {
		t.Error("the last place went to two, or to none")
	}
	for _, g := range []guest{in[1], g, late} {
		c.server.guard.leave(g.connection, 0)
	}
	if c.server.guard.count != 0 || c.server.guard.loggedIn != 0 || len(c.server.guard.waiting) != 0 {
		t.Errorf("left behind: %+v", &c.server.guard)
	}
}
