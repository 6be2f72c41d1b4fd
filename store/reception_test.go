package store

import (
	"strings"
	"testing"
)

func TestParsePeriod(t *testing.T) {
	const least, greatest = 60, 7200
	for text, want := range map[string]int{
		"60": 60, "60s": 60, "1m": 60, " 15M ": 900, "1h": 3600, "1h30m": 5400, "1h 30m": 5400, "90m": 5400, "7200": 7200, "2h": 7200,
		"": -1, "59": -1, "7201": -1, "0": -1, "-1h": -1, "1.5s": -1, "61.5s": -1, "1d": -1, "h": -1, "soon": -1, "1m x": -1,
		"99999999999999999999s": -1, "99999h": -1, "dd": -1, "1d-23h": -1,
	} {
		got, err := ParsePeriod(text, least, greatest)
		if want < 0 && err == nil || want >= 0 && (err != nil || got != want) {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
	if got, err := ParsePeriod("1d1h", 1, 100000); got != 90000 || err != nil {
		t.Errorf("1d1h: %d, %v", got, err)
	}
	for seconds, want := range map[int]string{0: "0s", 59: "59s", 60: "1m", 90: "1m30s", 3600: "1h", 90061: "1d1h1m1s"} {
		if got := FormatPeriod(seconds); got != want {
			t.Errorf("%d: %s, want %s", seconds, got, want)
		}
		if got, err := ParsePeriod(want, 0, 100000); got != seconds || err != nil {
			t.Errorf("%s reads as %d, %v", want, got, err)
		}
	}
}

func TestParseException(t *testing.T) {
	for text, want := range map[string]string{
		"@Example.COM": "@example.com", "@.Example.com": "@.example.com", "@[192.0.2.1]": "@[192.0.2.1]", "@[2001:DB8::1]": "@[IPv6:2001:db8::1]",
		"user@": "user@", " user@Example.com ": "user@example.com", "user@[192.0.2.1]": "user@[192.0.2.1]",
		"": "", "@": "", "example.com": "", "ALL": "", "@ALL@": "", "a b@example.com": "", "@[nowhere]": "", "@.": "", "@-x-": "", "user@.example.com": "",
	} {
		got, err := ParseException(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestValidateReceptionAndExceptions(t *testing.T) {
	faults := []badConfig{
		{"connections", func(c *Config) { c.Reception.MaxConnections = 0 }, "global listener settings: Maximum concurrent connections"},
		{"header lines", func(c *Config) { c.Reception.HeaderLines = -1 }, "Maximum message header lines"},
		{"reset", func(c *Config) { c.Reception.CounterReset = 10 }, "Reset of injection control counters"},
		{"unsuccessful", func(c *Config) { c.Reception.Unsuccessful = 0 }, "Timeout for unsuccessful inbound connections"},
		{"time", func(c *Config) { c.Reception.ConnectionTime = MaxInboundTime + 1 }, "Maximum connection time"},
		{"exception", func(c *Config) { c.Exceptions = []Exception{{Address: "nobody"}} }, `domain exception "nobody": An entry can be`},
		{"exception form", func(c *Config) { c.Exceptions = []Exception{{Address: "@A.example"}} }, `must be written "@a.example"`},
		{"exception twice", func(c *Config) { c.Exceptions = []Exception{{Address: "a@"}, {Address: "a@", Allow: true}} }, "another entry"},
		{"too many exceptions", func(c *Config) { c.Exceptions = make([]Exception, MaxExceptions+1) }, "There is a maximum of 10000 entries"},
		{"verification half said", func(c *Config) { c.Listeners[0].HAT.Default.SenderCheck.Use = Yes }, "Whether there is a custom response must be said"},
		{"verification off with a reply", func(c *Config) {
			c.Listeners[0].HAT.Default.SenderCheck.Malformed = Reply{Use: Yes, Code: 553, Text: "x"}
		}, "must have no responses"},
		{"verification with 250", func(c *Config) {
			check := VerifySenders()
			check.Malformed = Reply{Use: Yes, Code: 250, Text: "x"}
			c.Listeners[0].HAT.Default.SenderCheck = check
		}, "The SMTP code must be"},
		{"exceptions neither", func(c *Config) { c.Listeners[0].HAT.Default.UseExceptions = "perhaps" }, "Use of the domain exception table"},
	}
	checkBad(t, faults)
}

// The order of the table says which entry decides: two who change it conflict.
func TestExceptionOrderIsAnObject(t *testing.T) {
	from, to := testConfig(), testConfig()
	from.Exceptions = []Exception{{Address: "a@"}, {Address: "b@"}}
	to.Exceptions = []Exception{{Address: "b@"}, {Address: "a@"}}
	if got := strings.Join(changedObjects(from, to), ","); got != "domain exception order" {
		t.Errorf("changed: %s", got)
	}
}
