package store

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestBadAdminAccess(t *testing.T) {
	checkBad(t, []badConfig{
		{"escape in the banner", func(c *Config) { c.AdminAccess.Banner = "\x1b[2J\n" }, `administrative access: Login banner: The text may only have printable characters.`},
		{"half a line", func(c *Config) { c.AdminAccess.Welcome = "hello" }, `administrative access: Welcome message: The text must end with the end of a line.`},
		{"long text", func(c *Config) { c.AdminAccess.Banner = strings.Repeat("banner\n", 2000) }, `Login banner: The text cannot be longer than 8192 bytes.`},
		{"long line", func(c *Config) { c.AdminAccess.Banner = strings.Repeat("x", 1025) + "\n" }, `Login banner: A line of the text cannot be longer than 1024 bytes.`},
		{"no time", func(c *Config) { c.AdminAccess.Timeout = 0 }, `administrative access: CLI inactivity timeout: The value must be a number from 5 to 1440.`},
		{"host name", func(c *Config) { c.AdminAccess.Sources = []string{"host.example"} }, `administrative access: "host.example": Invalid IP or IP range.`},
		{"other form", func(c *Config) { c.AdminAccess.Sources = []string{"10.1.1.1-9"} }, `administrative access: "10.1.1.1-9": Invalid IP`},
		{"nobody", func(c *Config) { c.AdminAccess.Restrict = true }, `The list of allowed addresses is empty`},
		{"too many sources", func(c *Config) { c.AdminAccess.Sources = slices.Repeat([]string{"10.0.0.1"}, MaxAccessSources+1) }, `There is a maximum of 1000 allowed addresses.`},
	})
}

func TestAllows(t *testing.T) {
	listed := AdminAccess{Restrict: true, Sources: []string{"192.0.2.7", "10.1.0.0/16", "198.51.100.5-198.51.100.9", "2001:db8::/32"}}
	for _, tt := range []struct {
		from string
		want bool
	}{
		{"192.0.2.7", true}, {"192.0.2.8", false}, {"::ffff:192.0.2.7", true},
		{"10.1.255.255", true}, {"10.2.0.0", false},
		{"198.51.100.4", false}, {"198.51.100.5", true}, {"198.51.100.9", true}, {"198.51.100.10", false},
		{"2001:db8:ffff::1", true}, {"2001:db9::1", false}, {"fe80::1%eth0", false},
	} {
		if got := listed.Allows(netip.MustParseAddr(tt.from)); got != tt.want {
			t.Errorf("%s: %v", tt.from, got)
		}
	}
	listed.Restrict = false
	if !listed.Allows(netip.MustParseAddr("192.0.2.8")) {
		t.Error("a list that is not used keeps somebody out")
	}
	if (AdminAccess{Restrict: true}).Allows(netip.MustParseAddr("127.0.0.1")) {
		t.Error("an empty list lets somebody in")
	}
}

func TestParseAccessText(t *testing.T) {
	for _, tt := range []struct{ text, want, refused string }{
		{text: "Keep out. \r\n\r\n  Really.\n\n", want: "Keep out.\n\n  Really.\n"},
		{text: "Zutritt für Befugte", want: "Zutritt für Befugte\n"},
		{text: " \n\t\n", refused: "cannot be blank"},
		{text: "a\rb", refused: "printable"},
		{text: "\xff", refused: "printable"},
	} {
		got, err := ParseAccessText(tt.text)
		if tt.refused == "" && (err != nil || got != tt.want) || tt.refused != "" && (err == nil || !strings.Contains(err.Error(), tt.refused)) {
			t.Errorf("%q: %q, %v", tt.text, got, err)
		}
	}
}

func TestParseAccessSource(t *testing.T) {
	for text, want := range map[string]string{
		"10.1.1.1": "10.1.1.1", " 10.1.1.7/24 ": "10.1.1.0/24", "10.1.1.1-9": "10.1.1.1-10.1.1.9", "2001:DB8::/32": "2001:db8::/32",
		"host.example": "", "ALL": "", "": "", "10.1.1.9-1": "", "dnslist[a.example]": "", "::ffff:10.0.0.1": "",
	} {
		got, err := ParseAccessSource(text)
		if got != want || (want == "") != (err != nil) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
