package sshd

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// guard decides which connections get as far as the handshake, and counts
// them. What is not logged in yet is counted apart from what is: neither takes
// the other's places.
//
// Where all places of those not logged in are taken, OpenSSH refuses newcomers
// by chance (MaxStartups 10:30:100), an operator as well as the one who took
// the places. Here a newcomer gets the place of the oldest connection of the
// source that has the most, if that source has more than the newcomer's own or
// the connection had longEnough: a flood from some addresses keeps nobody else
// out, and one from very many not for long.
type guard struct {
	mu        sync.Mutex
	waiting   map[netip.Prefix][]*connection // not logged in, by source, oldest first
	count     int                            // of those in waiting
	loggedIn  int
	penalties penalties
}

// longEnough is how long somebody takes to type a password; after that a
// connection loses its place if all places are taken.
const longEnough = 20 * time.Second

// limits bound connections.
type limits struct{ waiting, loggedIn int }

// place is where a connection stands. The guard's lock protects it.
type place int

const (
	outside place = iota
	waiting
	inside
)

const tooMany = "Too many connections, try again later."

// admit takes a connection, which leave gives back, or says to the client why
// it does not.
func (g *guard) admit(c *connection, most limits) (refusal string) {
	if allows := c.settings.Allows; allows != nil && c.source.IsValid() && !allows(c.source) {
		c.tell("the address may not log in")
		return "Connections from your address are not allowed."
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	source, now := network(c.source), c.server.now()
	if left := g.penalties.left(source, now); left > 0 {
		return fmt.Sprintf("Too many connections without a login from your network, try again in %d seconds.", seconds(left))
	}
	if g.loggedIn >= most.loggedIn || g.count >= most.waiting && !g.evict(source, now) {
		return tooMany
	}
	if g.waiting == nil {
		g.waiting = map[netip.Prefix][]*connection{}
	}
	g.waiting[source] = append(g.waiting[source], c)
	g.count++
	c.place, c.began = waiting, now
	return ""
}

// seconds is a time as people are told it, which is over then.
func seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

// evict makes room for a newcomer: it ends the oldest connection of the source
// that has the most, if that is more than the newcomer's source would have, or
// if it had long enough to log in.
func (g *guard) evict(newcomer netip.Prefix, now time.Time) bool {
	var victim *connection
	most := 0
	for _, conns := range g.waiting {
		if oldest := conns[0]; len(conns) > most || len(conns) == most && oldest.began.Before(victim.began) {
			victim, most = oldest, len(conns)
		}
	}
	if most <= len(g.waiting[newcomer])+1 && now.Sub(victim.began) < longEnough {
		return false
	}
	g.remove(victim)
	victim.giveUp()
	victim.wire.Close()
	return true
}

// remove takes a connection out of those that are not logged in.
func (g *guard) remove(c *connection) {
	source := network(c.source)
	rest := slices.DeleteFunc(g.waiting[source], func(other *connection) bool { return other == c })
	if len(rest) == 0 {
		delete(g.waiting, source)
	} else {
		g.waiting[source] = rest
	}
	g.count--
	c.place = outside
}

// enter notes that a connection has logged in. It has not, if its place was
// given to another one, or no place is left.
func (g *guard) enter(c *connection, most limits) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.place != waiting || g.loggedIn >= most.loggedIn {
		return false
	}
	g.remove(c)
	g.loggedIn++
	c.place = inside
	c.login.in = true
	return true
}

// leave gives the place of a connection back and charges its source. If that is
// why the source is refused from now on, it says for how long.
func (g *guard) leave(c *connection, charge time.Duration) (refused time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch c.place {
	case waiting:
		g.remove(c)
	case inside:
		g.loggedIn--
		c.place = outside
	}
	return g.penalties.add(network(c.source), charge, c.server.now())
}
