package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// routeNames gives the domains of the routes of c, in order.
func routeNames(c *Config) string {
	var names []string
	for _, r := range c.Routes {
		names = append(names, r.Domain)
	}
	return strings.Join(names, " ")
}

func groupNames(c *Config, listener int) string {
	var names []string
	for _, g := range c.Listeners[listener].HAT.Groups {
		names = append(names, g.Name)
	}
	return strings.Join(names, " ")
}

// mergeCase is what two sides made of testConfig.
type mergeCase struct {
	name         string
	theirs, mine func(*Config)
	conflicts    string // objects, joined; empty: merges
	check        func(*Config) string
	want         string
}

func checkMerges(t *testing.T, cases []mergeCase) {
	t.Helper()
	for _, tt := range cases {
		base, theirs, mine := testConfig(), testConfig(), testConfig()
		tt.theirs(theirs)
		tt.mine(mine)
		merged, conflicts := merge(base, theirs, mine)
		var objects []string
		for _, c := range conflicts {
			objects = append(objects, c.Object)
			if c.Theirs == "" || c.Mine == "" || c.Theirs == c.Mine {
				t.Errorf("%s: theirs %q, mine %q", tt.name, c.Theirs, c.Mine)
			}
		}
		if got := strings.Join(objects, ", "); got != tt.conflicts {
			t.Errorf("%s: conflicts %q, want %q", tt.name, got, tt.conflicts)
		}
		if tt.check != nil {
			if got := tt.check(merged); got != tt.want {
				t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
			}
		}
	}
}

func addRoute(at int, domain, host string) func(*Config) {
	return func(c *Config) {
		c.Routes = slices.Insert(c.Routes, at, Route{Domain: domain, Hosts: []RouteHost{{Host: host}}})
	}
}

func removeRoute(c *Config) { c.Routes = slices.Delete(c.Routes, 0, 1) }

func addGroup(at int, name string) func(*Config) {
	return func(c *Config) {
		h := &c.Listeners[1].HAT
		h.Groups = slices.Insert(h.Groups, at, SenderGroup{Name: name, Policy: "ACCEPTED"})
	}
}

func port(p uint16) func(*Config) { return func(c *Config) { c.Listeners[1].Port = p } }
func none(*Config)                {}

func TestMerge(t *testing.T) {
	checkMerges(t, []mergeCase{
		{"only mine", none, setHostname("b"), "", func(c *Config) string { return c.Hostname }, "b"},
		{"only theirs", setHostname("b"), none, "", func(c *Config) string { return c.Hostname }, "b"},
		{"both the same", setHostname("b"), setHostname("b"), "", func(c *Config) string { return c.Hostname }, "b"},
		{"both different", setHostname("b"), setHostname("c"), "hostname", nil, ""},
		{"two sections", setHostname("b"), func(c *Config) { c.BounceDown = true }, "",
			func(c *Config) string { return fmt.Sprint(c.Hostname, c.BounceDown) }, "btrue"},
		{"one section", func(c *Config) { c.Delivery.Concurrency = 1 }, func(c *Config) { c.Delivery.Possible = true }, "delivery settings", nil, ""},
		{"DNS is one object", func(c *Config) { c.DNS.MinTTL = 1 }, func(c *Config) { c.DNS.Servers = nil }, "DNS settings", nil, ""},
		{"two routes added", addRoute(0, "a.example", "x"), addRoute(4, "z.example", "y"), "", routeNames, "a.example example.com .example.net [IPv6:2001:db8::1] ALL z.example"},
		{"two routes added in one place", addRoute(1, "a.example", "x"), addRoute(1, "z.example", "y"), "", routeNames, "example.com a.example z.example .example.net [IPv6:2001:db8::1] ALL"},
		{"same route added differently", addRoute(0, "a.example", "x"), addRoute(0, "a.example", "y"), `route "a.example"`, nil, ""},
		{"same route added alike", addRoute(0, "a.example", "x"), addRoute(3, "a.example", "x"), "", func(c *Config) string { return fmt.Sprint(len(c.Routes)) }, "5"},
		{"one removed, one added", removeRoute, addRoute(4, "z.example", "y"), "", routeNames, ".example.net [IPv6:2001:db8::1] ALL z.example"},
		{"one added, one removed", addRoute(4, "z.example", "y"), removeRoute, "", routeNames, ".example.net [IPv6:2001:db8::1] ALL z.example"},
		{"both removed", removeRoute, removeRoute, "", routeNames, ".example.net [IPv6:2001:db8::1] ALL"},
		{"theirs removed what I changed", removeRoute, func(c *Config) { c.Routes[0].Hosts = c.Routes[0].Hosts[:1] }, `route "example.com"`, nil, ""},
		{"I removed what they changed", func(c *Config) { c.Routes[0].Hosts = c.Routes[0].Hosts[:1] }, removeRoute, `route "example.com"`, nil, ""},
		{"they sorted, I added", func(c *Config) { slices.Reverse(c.Routes) }, addRoute(1, "a.example", "x"), "", routeNames, "ALL [IPv6:2001:db8::1] .example.net example.com a.example"},
		{"I sorted, they added", addRoute(1, "a.example", "x"), func(c *Config) { slices.Reverse(c.Routes) }, "", routeNames, "ALL [IPv6:2001:db8::1] .example.net example.com a.example"},
	})
}

func TestMergeOfListeners(t *testing.T) {
	checkMerges(t, []mergeCase{
		{"listener and its group", port(26), addGroup(0, "NEW"), "", func(c *Config) string { return fmt.Sprint(c.Listeners[1].Port, " ", groupNames(c, 1)) }, "26 NEW WHITELIST BLACKLIST SUSPECTLIST UNKNOWNLIST ALL"},
		{"one listener", port(26), port(27), `listener "IncomingMail"`, nil, ""},
		{"one listener, two settings", port(26), func(c *Config) { c.Listeners[1].QueueSize = 9 }, `listener "IncomingMail"`, nil, ""},
		{"two listeners", port(26), func(c *Config) { c.Listeners[0].Port = 2526 }, "", func(c *Config) string { return fmt.Sprint(c.Listeners[0].Port, c.Listeners[1].Port) }, "2526 26"},
		{"two groups", func(c *Config) { c.Listeners[1].HAT.Groups[0].Policy = "BLOCKED" }, func(c *Config) { c.Listeners[1].HAT.Groups[1].Policy = "ACCEPTED" }, "",
			func(c *Config) string {
				return c.Listeners[1].HAT.Groups[0].Policy + c.Listeners[1].HAT.Groups[1].Policy
			}, "BLOCKEDACCEPTED"},
		{"one group", func(c *Config) { c.Listeners[1].HAT.Groups[0].Policy = "BLOCKED" }, func(c *Config) { c.Listeners[1].HAT.Groups[0].Policy = "ACCEPTED" }, `listener "IncomingMail" sender group "WHITELIST"`, nil, ""},
		{"group and policy", func(c *Config) { c.Listeners[1].HAT.Policies[0].Params.MaxMessages = 5 }, addGroup(4, "NEW"), "", func(c *Config) string { return groupNames(c, 1) }, "WHITELIST BLACKLIST SUSPECTLIST UNKNOWNLIST NEW ALL"},
		{"two orders of groups", addGroup(0, "THEIRS"), addGroup(4, "MINE"), `listener "IncomingMail" sender group order`, nil, ""},
		{"the same order of groups", addGroup(0, "NEW"), addGroup(0, "NEW"), "", func(c *Config) string { return groupNames(c, 1) }, "NEW WHITELIST BLACKLIST SUSPECTLIST UNKNOWNLIST ALL"},
		{"recipients", func(c *Config) { c.Listeners[1].RAT = slices.Insert(c.Listeners[1].RAT, 1, RATEntry{Address: "a.b"}) },
			func(c *Config) { c.Listeners[1].RAT = slices.Insert(c.Listeners[1].RAT, 1, RATEntry{Address: "c.d"}) }, "",
			func(c *Config) string { return fmt.Sprint(len(c.Listeners[1].RAT), c.Listeners[1].RAT[3].Address) }, "4ALL"},
		{"listener removed, its group changed", func(c *Config) { c.Listeners = c.Listeners[:1] }, addGroup(0, "NEW"), `listener "IncomingMail"`, nil, ""},
		{"several", func(c *Config) { c.Hostname = "b"; c.Routes = nil }, func(c *Config) { c.Hostname = "c"; c.Routes[0].Hosts = c.Routes[0].Hosts[:1] }, `hostname, route "example.com"`, nil, ""},
		{"default parameters", func(c *Config) { c.Listeners[1].HAT.Default.MaxMessages = 5 }, func(c *Config) { c.Listeners[1].HAT.Default.MaxMessages = 6 }, `listener "IncomingMail" default policy parameters`, nil, ""},
	})
}

func TestConflictSaysBothValues(t *testing.T) {
	theirs, mine := testConfig(), testConfig()
	theirs.Listeners[1].Port = 26
	mine.Listeners = mine.Listeners[:1]
	_, conflicts := merge(testConfig(), theirs, mine)
	if len(conflicts) != 1 || conflicts[0].Theirs != "TCP port: 25 -> 26" || conflicts[0].Mine != "removed" {
		t.Errorf("got %+v", conflicts)
	}
}

// randomEdit changes one thing, out of few, so that sessions meet.
func randomEdit(r *rand.Rand, c *Config) {
	name := fmt.Sprintf("r%d.example", r.IntN(6))
	at := slices.IndexFunc(c.Routes, func(route Route) bool { return route.Domain == name })
	l := &c.Listeners[r.IntN(len(c.Listeners))]
	switch r.IntN(8) {
	case 0:
		c.Hostname = fmt.Sprintf("h%d.example.com", r.IntN(4))
	case 1:
		c.Delivery.Concurrency = 1 + r.IntN(3)
	case 2, 3, 4:
		if at >= 0 && r.IntN(2) == 0 {
			c.Routes = slices.Delete(c.Routes, at, at+1)
		} else if at >= 0 {
			c.Routes[at].Hosts = []RouteHost{{Host: fmt.Sprintf("mx%d", r.IntN(4))}}
		} else {
			c.Routes = slices.Insert(c.Routes, r.IntN(len(c.Routes)+1), Route{Domain: name, Hosts: []RouteHost{{Host: fmt.Sprintf("mx%d", r.IntN(4))}}})
		}
	case 5:
		l.Port = uint16(1000 + r.IntN(4))
	case 6:
		g := &l.HAT.Groups[r.IntN(len(l.HAT.Groups))]
		g.Comment = fmt.Sprint(r.IntN(4))
	case 7:
		n := len(l.HAT.Groups)
		if i := r.IntN(n); r.IntN(2) == 0 {
			l.HAT.Groups[i], l.HAT.Groups[n-1] = l.HAT.Groups[n-1], l.HAT.Groups[i]
		} else {
			l.HAT.Groups = slices.Insert(l.HAT.Groups, i, SenderGroup{Name: fmt.Sprintf("G%d", r.IntN(1000)), Policy: "ACCEPT"})
		}
	}
}

// side tells which objects differ from base.
func side(base, c *Config) map[string]bool {
	set := map[string]bool{}
	for _, name := range changedObjects(base, c) {
		set[name] = true
	}
	return set
}

// TestMergeOfRandomEdits holds, for any three configurations: an object that
// one side alone changed is that side's; nothing else moves; a conflict is one
// from both sides; and what is refused one way is refused the other way.
func TestMergeOfRandomEdits(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	merges, refused := 0, 0
	for range 1000 {
		base := testConfig()
		for range r.IntN(4) {
			randomEdit(r, base)
		}
		theirs, mine := base.Clone(), base.Clone()
		for range r.IntN(4) {
			randomEdit(r, theirs)
		}
		for range r.IntN(4) {
			randomEdit(r, mine)
		}
		if (len(Diff(theirs, mine)) == 0) != theirs.Equal(mine) || (len(changedObjects(theirs, mine)) == 0) != theirs.Equal(mine) {
			t.Fatalf("Diff and Equal disagree:\n%s", FormatChanges(Diff(theirs, mine)))
		}
		merged, conflicts := merge(base, theirs, mine)
		_, mirrored := merge(base, mine, theirs)
		if len(conflicts) != len(mirrored) {
			t.Fatalf("%d conflicts one way, %d the other", len(conflicts), len(mirrored))
		}
		inTheirs, inMine := side(base, theirs), side(base, mine)
		if len(conflicts) > 0 {
			refused++
			for _, c := range conflicts {
				if !touched(inTheirs, c.Object) || !touched(inMine, c.Object) {
					t.Fatalf("%s: a conflict without two sides", c.Object)
				}
			}
			continue
		}
		merges++
		fromTheirs, fromMine := side(theirs, merged), side(mine, merged)
		for name := range fromTheirs {
			if strings.HasSuffix(name, "route order") {
				continue // only how it looks
			}
			if !touched(inMine, name) {
				t.Fatalf("%s differs from theirs, but I did not change it", name)
			}
		}
		for name := range fromMine {
			if strings.HasSuffix(name, "route order") {
				continue
			}
			if !touched(inTheirs, name) {
				t.Fatalf("%s differs from mine, but they did not change it", name)
			}
		}
	}
	if merges < 300 || refused < 60 {
		t.Errorf("%d merges, %d refused: the edits do not meet as they should", merges, refused)
	}
}

// touched reports whether an object, a part of it or what holds it is in set.
func touched(set map[string]bool, object string) bool {
	for name := range set {
		if name == object || strings.HasPrefix(name, object+" ") || strings.HasPrefix(object, name+" ") {
			return true
		}
	}
	return false
}

func TestMergeOfLongTables(t *testing.T) {
	base := testConfig()
	base.Routes = nil
	for i := range MaxRoutes {
		base.Routes = append(base.Routes, Route{Domain: fmt.Sprintf("d%d.example", i), UseDNS: true})
	}
	theirs, mine := base.Clone(), base.Clone()
	theirs.Routes = theirs.Routes[:20000]
	mine.Routes = append(mine.Routes[1:10000:10000], mine.Routes[10001:]...)
	merged, conflicts := merge(base, theirs, mine)
	if len(conflicts) > 0 || len(merged.Routes) != 19998 {
		t.Errorf("%d routes, %d conflicts", len(merged.Routes), len(conflicts))
	}
}
