package route

import (
	"slices"
	"testing"
)

func TestFindTakesTheMostSpecificRoute(t *testing.T) {
	routes := []Route{
		{Domain: "ALL", Hosts: []Host{{Name: "all"}}},
		{Domain: ".example.com", Hosts: []Host{{Name: "below"}}},
		{Domain: "sub.example.com", Hosts: []Host{{Name: "sub"}}},
		{Domain: ".sub.example.com", Hosts: []Host{{Name: "below-sub"}}},
		{Domain: "Mixed.Example.ORG.", Hosts: []Host{{Name: "mixed"}}},
		{Domain: "bücher.example", Hosts: []Host{{Name: "books"}}},
		{Domain: "[192.0.2.1]", Hosts: []Host{{Name: "literal"}}},
		{Domain: ".com", Hosts: []Host{{Name: "com"}}},
		{Domain: "sub.example.com", Hosts: []Host{{Name: "second"}}},
	}
	for _, tt := range []struct{ domain, want string }{
		{"sub.example.com", "sub"},
		{"SUB.example.com.", "sub"},
		{"a.sub.example.com", "below-sub"},
		{"a.b.sub.example.com", "below-sub"},
		{"other.example.com", "below"},
		{"example.com", "com"}, // a partial domain does not hold itself
		{"notexample.com", "com"},
		{"com", "all"},
		{"mixed.example.org", "mixed"},
		{"xn--bcher-kva.example", "books"},
		{"bücher.example", "books"},
		{"[192.0.2.1]", "literal"},
		{"[192.0.2.2]", "all"},
		{"[IPv6:2001:db8::1]", "all"},
		{"", "all"},
	} {
		for name, order := range map[string][]Route{"given": routes, "reversed but for doubles": reversed(routes)} {
			r := NewTable(order).find(tt.domain)
			if r == nil || r.Hosts[0].Name != tt.want {
				t.Errorf("find(%q), order %s: %v, want %s", tt.domain, name, r, tt.want)
			}
		}
	}
}

// reversed turns all but the last route round: which of two for one domain
// counts does depend on the order.
func reversed(routes []Route) []Route {
	out := slices.Clone(routes[:len(routes)-1])
	slices.Reverse(out)
	return append(out, routes[len(routes)-1])
}

func TestFindWithoutRoute(t *testing.T) {
	for name, table := range map[string]Table{"zero": {}, "other": NewTable([]Route{{Domain: "other.test"}})} {
		if r := table.find("example.com"); r != nil {
			t.Errorf("%s table: found %v", name, r)
		}
	}
}

func TestHostsOfOnePriorityTakeTurns(t *testing.T) {
	table := NewTable([]Route{{Domain: "ALL", Hosts: []Host{
		{Name: "backup", Priority: 10}, {Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "backup2", Priority: 10},
	}}})
	var got []string
	for range 4 {
		line := ""
		for _, group := range table.find("x.test").next() {
			for _, h := range group {
				line += h.Name + " "
			}
		}
		got = append(got, line)
	}
	want := []string{
		"a b c backup backup2 ",
		"b c a backup2 backup ",
		"c a b backup backup2 ",
		"a b c backup2 backup ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("turns:\n%q, want\n%q", got, want)
	}
}

// TestRoute looks at a route and takes no turn.
func TestRoute(t *testing.T) {
	table := NewTable([]Route{{Domain: ".example.com", Hosts: []Host{{Name: "a"}, {Name: "b"}}}})
	for range 3 {
		if r, ok := table.Route("Mail.example.com"); !ok || r.Domain != ".example.com" {
			t.Errorf("%+v, %v", r, ok)
		}
	}
	if turn := table.find("mail.example.com").turn.Load(); turn != 0 {
		t.Errorf("%d turns are taken", turn)
	}
	if _, ok := table.Route("example.com"); ok {
		t.Error("a route for another domain")
	}
}
