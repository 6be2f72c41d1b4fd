package policy

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"esa/mta/envelope"
)

func TestMemberMatches(t *testing.T) {
	for _, tt := range []struct {
		member  string
		matches string // clients, "addr" or "addr=verified.host" or "addr?unverified.host"
		passes  string
	}{
		{"10.1.1.9", "10.1.1.9 ::ffff:10.1.1.9", "10.1.1.8 ::1"},
		{"::ffff:10.1.1.9", "10.1.1.9", "10.1.1.8"},
		{"2001:db8::9", "2001:db8::9 2001:db8:0::9", "2001:db8::8"},
		{"10.1.1.0/24", "10.1.1.0 10.1.1.255", "10.1.0.255 10.1.2.0"},
		{"10.1.1.77/24", "10.1.1.0 10.1.1.255", "10.1.2.0"},
		{"10.0.0.0/0", "1.2.3.4 255.255.255.255", "::1"},
		{"10.1.1.9/32", "10.1.1.9", "10.1.1.10"},
		{"2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1 10.0.0.1"},
		{"10.1.1.", "10.1.1.0 10.1.1.255", "10.1.2.0"},
		{"10.1", "10.1.0.0 10.1.255.255", "10.2.0.0"},
		{"10.", "10.255.0.1", "11.0.0.0"},
		{"10.1.1.1-9", "10.1.1.1 10.1.1.5 10.1.1.9", "10.1.1.0 10.1.1.10"},
		{"10.1.1.1-10.1.2.9", "10.1.1.1 10.1.1.200 10.1.2.9", "10.1.1.0 10.1.2.10"},
		{"2001:db8::1-2001:db8::f", "2001:db8::8", "2001:db8::10"},
		{"2001:db8::1-f", "2001:db8::8", "2001:db8::10"},
		{"mail.example.com", "10.0.0.1=mail.example.com", "10.0.0.1?mail.example.com 10.0.0.1=x.mail.example.com 10.0.0.1"},
		{"Mail.Example.COM.", "10.0.0.1=mail.example.com", "10.0.0.1=example.com"},
		{".example.com", "10.0.0.1=a.example.com 10.0.0.1=a.b.example.com", "10.0.0.1=example.com 10.0.0.1=badexample.com 10.0.0.1?a.example.com"},
		{"NOT.double.verified", "10.0.0.1?mail.example.com", "10.0.0.1 10.0.0.1=mail.example.com"},
		{"all", "10.0.0.1 ::1", ""},
	} {
		m, err := ParseMember(tt.member)
		if err != nil {
			t.Errorf("ParseMember(%q): %v", tt.member, err)
			continue
		}
		h := HAT{Groups: []Group{{Name: "G", Members: []Member{m}, Behavior: Accept}}}
		for _, c := range strings.Fields(tt.matches) {
			if d := h.Decide(client(c)); !d.Admits() || d.Match != m.String() {
				t.Errorf("%s should match %s: %+v", tt.member, c, d)
			}
		}
		for _, c := range strings.Fields(tt.passes) {
			if h.Decide(client(c)).Admits() {
				t.Errorf("%s should not match %s", tt.member, c)
			}
		}
	}
}

// client reads the notation of TestMemberMatches.
func client(s string) Client {
	if addr, host, ok := strings.Cut(s, "="); ok {
		return Client{Addr: netip.MustParseAddr(addr), Host: host, Verified: true}
	}
	addr, host, _ := strings.Cut(s, "?")
	return Client{Addr: netip.MustParseAddr(addr), Host: host}
}

func TestParseMemberRefused(t *testing.T) {
	for _, in := range []string{
		"", " ", ".", "10.1.1.256", "10.1.1.1-", "10.1.1.9-1", "10.1.1.1-256", "10.1.1.0/33", "10.1.1.1/x", "1.2.3.4.5",
		"::ffff:10.1.1.0/120", "fe80::1%eth0", "10.1.1.1-::1", "[10.1.1.1]", "a b", "a_b!.test", "..a", "-", "-5", "dnslist[", "dnslist[]", "dnslist[a b]", "dnslist[a.example", "10.1.1.1-10.1.1.0",
	} {
		if m, err := ParseMember(in); !errors.Is(err, ErrMember) {
			t.Errorf("ParseMember(%q) = %q, %v", in, m, err)
		}
	}
	if _, err := ParseMembers([]string{"ALL", "10.1.1.300"}); !errors.Is(err, ErrMember) || !strings.Contains(err.Error(), "10.1.1.300") {
		t.Errorf("ParseMembers names the bad member: %v", err)
	}
}

func group(name string, b Behavior, members ...string) Group {
	m, err := ParseMembers(members)
	if err != nil {
		panic(err)
	}
	return Group{Name: name, Members: m, Behavior: b}
}

func TestHATDecide(t *testing.T) {
	private := HAT{Groups: []Group{group("RELAYLIST", Relay, "127.0.0.1", "::1"), group("ALL", Reject, "ALL")}}
	public := HAT{Groups: []Group{
		group("WATCHED", Continue, "10.0.0.0/8"),
		group("WHITELIST", Accept, "10.0.0.9"),
		group("BLACKLIST", TCPRefuse, ".spam.test"),
		group("", Accept, "ALL"),
	}}
	for _, tt := range []struct {
		name string
		hat  HAT
		from string
		want string
	}{
		{"relay list", private, "127.0.0.1", "RELAY RELAYLIST 127.0.0.1"},
		{"everybody else is rejected", private, "127.0.0.2", "REJECT None ALL"},
		{"CONTINUE goes on", public, "10.0.0.9", "ACCEPT WHITELIST 10.0.0.9"},
		{"CONTINUE goes on to ALL", public, "10.0.0.8", "ACCEPT None ALL"},
		{"refused by name", public, "192.0.2.1=a.spam.test", "TCPREFUSE BLACKLIST .spam.test"},
		{"unverified name", public, "192.0.2.1?a.spam.test", "ACCEPT None ALL"},
		{"empty table", HAT{}, "127.0.0.1", "REJECT None None"},
		{"CONTINUE alone", HAT{Groups: []Group{group("X", Continue, "ALL")}}, "127.0.0.1", "REJECT None None"},
	} {
		d := tt.hat.Decide(client(tt.from))
		if got := d.Behavior.String() + " " + d.Group + " " + d.Match; got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestParams(t *testing.T) {
	h := HAT{
		Groups:  []Group{{Name: "G", Members: []Member{{all: true}}, Behavior: Accept, Params: Params{MaxMessages: 3, MaxConnections: -1}}},
		Default: Params{MaxMessages: 7, MaxRecipients: 8},
	}
	want := Params{MaxSize: Factory().MaxSize, MaxMessages: 3, MaxRecipients: 8, MaxConnections: -1}
	if got := h.Decide(Client{}).Params; got != want {
		t.Errorf("params %+v, want %+v", got, want)
	}
	if got := (HAT{}).Decide(Client{}).Params; got != Factory() {
		t.Errorf("params of an empty table %+v", got)
	}
}

func TestParseBehavior(t *testing.T) {
	for _, b := range []Behavior{Reject, TCPRefuse, Accept, Relay, Continue} {
		if got, ok := ParseBehavior(b.String()); !ok || got != b {
			t.Errorf("ParseBehavior(%s) = %v, %v", b, got, ok)
		}
	}
	if b, ok := ParseBehavior("PERMIT"); ok || b != Reject {
		t.Errorf("ParseBehavior(PERMIT) = %v, %v", b, ok)
	}
}

func TestRATDecide(t *testing.T) {
	table := []Entry{
		{Address: "ours.test", Accept: true},
		{Address: ".ours.test", Accept: true, Code: 250, Text: "sub"},
		{Address: ".deep.ours.test"},
		{Address: "Trap@"},
		{Address: "trap@special.test", Accept: true},
		{Address: "special.test", Code: 551, Text: "moved"},
		{Address: "boss@special.test", Accept: true},
		{Address: "admin@[192.0.2.1]", Accept: true},
		{Address: "ALL"},
	}
	rat, err := NewRAT(table)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		to   string
		want Verdict
	}{
		{"ok@ours.test", Verdict{Accept: true}},
		{"OK@OURS.TEST.", Verdict{Accept: true}},
		{"ok@a.ours.test", Verdict{Accept: true, Code: 250, Text: "sub"}},
		{"ok@a.b.ours.test", Verdict{Accept: true, Code: 250, Text: "sub"}},
		{"ok@a.deep.ours.test", Verdict{}},
		{"ok@notours.test", Verdict{}},
		{"ok@test", Verdict{}},
		{"trap@ours.test", Verdict{}},
		{"TRAP@ours.test", Verdict{}},
		{`"trap"@ours.test`, Verdict{}},
		{"trap@special.test", Verdict{Accept: true}},
		{"joe@special.test", Verdict{Code: 551, Text: "moved"}},
		{`"boss"@special.test`, Verdict{Accept: true}},
		{"admin@[192.0.2.1]", Verdict{Accept: true}},
		{"joe@[192.0.2.1]", Verdict{}},
		{`"x@ours.test"@else.test`, Verdict{}},
		{"ok%else.test@ours.test", Verdict{Accept: true}},
		{"ok%ours.test@else.test", Verdict{}},
		{"ok@all", Verdict{}},
	} {
		a, err := envelope.ParseAddress(tt.to)
		if err != nil {
			t.Fatal(err)
		}
		if got := rat.Decide(a); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.to, got, tt.want)
		}
	}
	if (RAT{}).Decide(envelope.Address{Local: "a", Domain: "b.test"}).Accept {
		t.Error("the zero RAT accepts")
	}
	open, _ := NewRAT([]Entry{{Address: "all", Accept: true}})
	if !open.Decide(envelope.Address{Local: "a", Domain: "b.test"}).Accept || !open.Decide(envelope.Address{Local: "a"}).Accept {
		t.Error("ALL matches everything")
	}
}

func TestNewRATRefused(t *testing.T) {
	for _, in := range []string{"", ".", "a b", "@", "@a.test", "a@b@c.test", "a@.b.test", "..a", "user@[300.1.1.1]", ".[192.0.2.1]x"} {
		if _, err := NewRAT([]Entry{{Address: in, Accept: true}}); !errors.Is(err, ErrEntry) {
			t.Errorf("entry %q: %v", in, err)
		}
	}
	if _, err := NewRAT([]Entry{{Address: "a.test"}, {Address: "A.TEST."}}); err == nil {
		t.Error("an address that stands twice is refused")
	}
}

// FuzzMember: what parses prints, and parses again to a member that matches
// the same; a table never panics.
func FuzzMember(f *testing.F) {
	for _, seed := range []string{"10.1.1.1-9", "10.1", "2001:db8::/33", ".example.com", "ALL", "a-b.test", "::ffff:1.2.3.4"} {
		f.Add(seed, []byte{10, 1, 1, 5}, "a.example.com")
	}
	f.Fuzz(func(t *testing.T, text string, raw []byte, host string) {
		m, err := ParseMember(text)
		if err != nil {
			return
		}
		again, err := ParseMember(m.String())
		if err != nil {
			t.Fatalf("%q prints as %q: %v", text, m, err)
		}
		addr, _ := netip.AddrFromSlice(raw)
		c := Client{Addr: addr.Unmap(), Host: host, Verified: true}
		if m.Matches(c) != again.Matches(c) {
			t.Fatalf("%q and %q differ on %+v", text, m, c)
		}
	})
}

// FuzzRAT: an accepted domain is the only domain that is accepted.
func FuzzRAT(f *testing.F) {
	for _, seed := range []string{"ok@ours.test", `"x@ours.test"@else.test`, "ok@ours.test@else.test", "a@ours.test."} {
		f.Add(seed)
	}
	rat, err := NewRAT([]Entry{{Address: "ours.test", Accept: true}, {Address: "ALL"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := envelope.ParseAddress(s)
		if err == nil && rat.Decide(a).Accept != (a.Domain == "ours.test") {
			t.Fatalf("%q: domain %q", s, a.Domain)
		}
	})
}
