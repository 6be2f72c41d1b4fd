package route

import (
	"slices"
	"strings"
	"sync/atomic"

	"esa/mta/lookup"
)

// Host is one destination of an SMTP route.
type Host struct {
	Name      string // host name or IP address, without brackets
	Port      uint16 // 0 means 25
	Priority  int    // 0 first
	Bracketed bool   // by address records only, whatever MX records the name has
}

// Route is one row of the smtproutes table.
type Route struct {
	Domain  string // "example.com", ".example.com", "[192.0.2.1]" or "ALL"
	Hosts   []Host
	UseDNS  bool // the MX records decide, as if there were no route
	Discard bool // /dev/null
}

// All is the domain of the default route.
const All = "ALL"

// Table answers which route a domain takes. The zero Table has no routes. A
// Table does not change but for the turn of each route, which goes on with
// every lookup that takes it; it may be copied and used concurrently.
type Table struct {
	rows map[string]*row
}

// row is a route whose hosts stand in groups of equal priority, best first.
type row struct {
	Route
	groups [][]Host
	turn   atomic.Uint32
}

// NewTable builds the table. Of two routes for one domain the first counts.
func NewTable(routes []Route) Table {
	rows := make(map[string]*row, len(routes))
	for _, r := range routes {
		k := key(r.Domain)
		if _, taken := rows[k]; !taken {
			rows[k] = &row{Route: r, groups: byPriority(r.Hosts)}
		}
	}
	return Table{rows: rows}
}

// find gives the route of a domain, nil without one: the entry of the domain
// itself, else that of the longest partial domain above it, else ALL. A partial
// domain ".example.com" holds all that is below example.com, not the domain
// itself.
func (t Table) find(domain string) *row {
	if len(t.rows) == 0 {
		return nil
	}
	k := key(domain)
	if r := t.rows[k]; r != nil {
		return r
	}
	if !strings.HasPrefix(k, "[") {
		for i := strings.IndexByte(k, '.'); i >= 0; i = nextDot(k, i) {
			if r := t.rows[k[i:]]; r != nil {
				return r
			}
		}
	}
	return t.rows[All]
}

func nextDot(s string, after int) int {
	i := strings.IndexByte(s[after+1:], '.')
	if i < 0 {
		return -1
	}
	return after + 1 + i
}

// next gives the hosts in the order of this turn: groups by priority, within
// a group round-robin.
func (r *row) next() [][]Host {
	turn := int(r.turn.Add(1) - 1)
	groups := make([][]Host, len(r.groups))
	for i, g := range r.groups {
		first := turn % len(g)
		groups[i] = slices.Concat(g[first:], g[:first])
	}
	return groups
}

func byPriority(hosts []Host) [][]Host {
	var groups [][]Host
	sorted := slices.Clone(hosts)
	slices.SortStableFunc(sorted, func(a, b Host) int { return a.Priority - b.Priority })
	for i, h := range sorted {
		if i == 0 || h.Priority != sorted[i-1].Priority {
			groups = append(groups, nil)
		}
		last := len(groups) - 1
		groups[last] = append(groups[last], h)
	}
	return groups
}

// key is the one form of a domain in the table.
func key(domain string) string {
	if name := inDNS(domain); name != "all" {
		return name
	}
	return All
}

// inDNS is a name as a Resolver takes it. A label that DNS cannot hold is left
// as it is: the lookup of it finds nothing.
func inDNS(name string) string {
	name, _ = lookup.ASCII(strings.ToLower(strings.TrimSuffix(name, ".")))
	return name
}

// Route gives the route that mail for a domain takes, without taking its turn.
func (t Table) Route(domain string) (Route, bool) {
	if r := t.find(domain); r != nil {
		return r.Route, true
	}
	return Route{}, false
}
