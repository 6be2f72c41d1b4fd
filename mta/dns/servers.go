package dns

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// A server that failed strikes times in a row is asked after all others for
// firstAvoid, doubling with each further failure up to maxAvoid.
const (
	strikes    = 3
	firstAvoid = 30 * time.Second
	maxAvoid   = 5 * time.Minute
)

// hopelessTimeout bounds a reverse lookup while every server keeps failing.
const hopelessTimeout = time.Second

// server is one address to ask, and how it did lately.
type server struct {
	addr      netip.AddrPort
	authority bool // of a zone; it does not resolve for others

	mu    sync.Mutex
	fails int       // in a row
	until time.Time // asked last before this
	lame  time.Time // the same, whatever it answers until then: it loses signatures
}

// ended notes how the server did and tells for how long it is avoided from
// now on, 0 if it is not.
func (s *server) ended(well bool, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if well {
		s.fails, s.until = 0, time.Time{}
		return 0
	}
	s.fails++
	if s.fails < strikes || now.Before(s.until) {
		return 0
	}
	avoid := firstAvoid << min(s.fails-strikes, 8)
	avoid = min(avoid, maxAvoid)
	s.until = now.Add(avoid)
	return avoid
}

// shun has the server asked after all others for a while. That it answers for
// zones without signatures proves nothing.
func (s *server) shun(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lame = now.Add(maxAvoid)
}

// avoided reports whether the server is asked after all others.
func (s *server) avoided(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Before(s.until) || now.Before(s.lame)
}

// silent reports whether the server is known to answer nothing.
func (s *server) silent(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Before(s.until)
}

// group is the servers of one priority.
type group []*server

// servers is everybody to be asked for a name, best group first.
type servers struct {
	groups []group
}

// candidate is a server in its turn, with the number of its group.
type candidate struct {
	*server
	group int
}

// turns gives the order in which the servers are asked now: by group, by
// chance within it, those that keep failing after all others.
func (s *servers) turns(now time.Time, rand func() uint64) []candidate {
	var good, avoided []candidate
	for i, g := range s.groups {
		for _, j := range permutation(len(g), rand) {
			c := candidate{server: g[j], group: i}
			if c.avoided(now) {
				avoided = append(avoided, c)
			} else {
				good = append(good, c)
			}
		}
	}
	return append(good, avoided...)
}

// failing reports whether there are servers and all of them keep failing.
func (s *servers) failing(now time.Time) bool {
	n := 0
	for _, g := range s.groups {
		for _, one := range g {
			if n++; !one.silent(now) {
				return false
			}
		}
	}
	return n > 0
}

func permutation(n int, rand func() uint64) []int {
	p := make([]int, n)
	for i := range p {
		j := int(rand() % uint64(i+1))
		p[i], p[j] = p[j], i
	}
	return p
}

// directory knows whom to ask for which name.
type directory struct {
	known      map[netip.AddrPort]*server
	main       *servers
	alternates map[string]*servers // by domain in its one form
}

// newDirectory takes over from old what is known of the servers' health.
func newDirectory(s Settings, old directory) directory {
	d := directory{known: make(map[netip.AddrPort]*server), alternates: make(map[string]*servers)}
	keep := func(addr netip.AddrPort) *server {
		if d.known[addr] == nil {
			d.known[addr] = old.known[addr]
		}
		if d.known[addr] == nil {
			d.known[addr] = &server{addr: addr}
		}
		return d.known[addr]
	}
	byPriority := slices.Clone(s.Servers)
	slices.SortStableFunc(byPriority, func(a, b Server) int { return a.Priority - b.Priority })
	d.main = &servers{}
	for i, c := range byPriority {
		if i == 0 || c.Priority != byPriority[i-1].Priority {
			d.main.groups = append(d.main.groups, nil)
		}
		last := &d.main.groups[len(d.main.groups)-1]
		*last = append(*last, keep(c.Addr))
	}
	for _, a := range s.Alternates {
		var g group
		for _, addr := range a.Servers {
			g = append(g, keep(addr))
		}
		if domain, ok := canonical(a.Domain); ok && len(g) > 0 {
			d.alternates[domain] = &servers{groups: []group{g}}
		}
	}
	return d
}

// serving gives those to ask for name: the alternates of the longest domain
// that holds it, else the servers of the resolver.
func (d *directory) serving(name string) *servers {
	for domain := name; len(d.alternates) > 0; {
		if s := d.alternates[domain]; s != nil {
			return s
		}
		if domain == "" {
			break
		}
		_, domain, _ = strings.Cut(domain, ".")
	}
	return d.main
}
