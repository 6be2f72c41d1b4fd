package store

import (
	"strings"
	"testing"
)

func TestFormatChanges(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"nothing", func(*Config) {}, ""},
		{"hostname", setHostname("new.example.com"), "Hostname: mail.example.com -> new.example.com\n"},
		{"in a section", func(c *Config) { c.Delivery.Possible, c.Delivery.Interface = true, "Data1" },
			"Mail delivery\n  Default interface to deliver mail: (none) -> Data1\n  \"Possible Delivery\": No -> Yes\n"},
		{"routes", func(c *Config) {
			c.Routes[0].Hosts = c.Routes[0].Hosts[:1]
			c.Routes[1] = Route{Domain: "new.example", UseDNS: true}
		}, "SMTP routes\n  .example.net: removed: USEDNS\n  example.com: mx1.example.com, 10.0.0.1:2525/pri=10 -> mx1.example.com\n  new.example: added: USEDNS\n"},
		{"deep in a listener", func(c *Config) {
			c.Listeners[1].Port = 26
			c.Listeners[1].HAT.Groups[0].Hosts = []string{"10.0.0.1"}
			c.Listeners[1].HAT.Policies[1].Params.MaxMessages = 5
			c.Listeners[1].RAT[0].Accept = false
		}, `Listeners
  IncomingMail
    TCP port: 25 -> 26
    Host access table
      Sender groups
        WHITELIST
          Hosts: (none) -> 10.0.0.1
      Mail flow policies
        THROTTLED
          Parameters
            Max messages per connection: 10 -> 5
    Recipient access table
      example.com: ACCEPT -> REJECT
`},
		{"groups moved", func(c *Config) {
			g := c.Listeners[0].HAT.Groups
			g[0], g[1] = g[1], g[0]
		}, "Listeners\n  OutgoingMail\n    Host access table\n      Sender groups\n        Order: RELAYLIST, ALL -> ALL, RELAYLIST\n"},
		{"group added", func(c *Config) {
			h := &c.Listeners[0].HAT
			h.Groups = []SenderGroup{{Name: "NEW", Hosts: []string{"10.0.0.1", ".x.y"}, Policy: "RELAYED"}, h.Groups[0], h.Groups[1]}
		}, `Listeners
  OutgoingMail
    Host access table
      Sender groups
        Order: RELAYLIST, ALL -> NEW, RELAYLIST, ALL
        NEW: added
          Hosts: 10.0.0.1, .x.y
          Policy: RELAYED
`},
		{"listener removed", func(c *Config) { c.Listeners = c.Listeners[:1] }, "Listeners\n  IncomingMail: removed\n"},
		{"interface added", func(c *Config) { c.Interfaces = append(c.Interfaces, Interface{Name: "D2", Hostname: "D2"}) },
			"IP interfaces\n  D2: added\n    Hostname: D2\n"},
		{"DNS", func(c *Config) { c.DNS.Servers = nil; c.DNS.Alternates[0].Servers = nil },
			"DNS\n  Local DNS cache servers: 192.0.2.53 (priority 0) -> (none)\n  Alternate DNS servers\n    corp.example: 10.0.0.53:5353 -> \n"},
		{"left to Default", func(c *Config) {
			c.BounceProfiles[1].MaxRetries, c.BounceProfiles[1].SendBounces, c.BounceProfiles[1].Alternate = 0, Yes, ""
		}, "Bounce profiles\n  Bulk\n    Maximum number of retries: 5 -> Default\n    Send hard bounces: no -> yes\n    Alternate address: bounces@example.com -> (none)\n"},
		{"control characters", setHostname("a\x1b[2J"), "Hostname: mail.example.com -> \"a\\x1b[2J\"\n"},
	} {
		c := testConfig()
		tt.change(c)
		want := strings.ReplaceAll(tt.want, "-> \n", "-> (none)\n")
		if got := FormatChanges(Diff(testConfig(), c)); got != want {
			t.Errorf("%s: got\n%swant\n%s", tt.name, got, want)
		}
	}
}

func TestListenerAddedIsToldWhole(t *testing.T) {
	from := testConfig()
	from.Listeners = from.Listeners[:1]
	got := FormatChanges(Diff(from, testConfig()))
	for _, line := range []string{
		"  IncomingMail: added\n    Type: public\n    Interface: Data1\n    TCP port: 25\n",
		"      Sender groups\n        WHITELIST: added\n          Policy: TRUSTED\n",
		"      example.com: added: ACCEPT\n      ALL: added: REJECT 550 no such user\n",
	} {
		if !strings.Contains(got, line) {
			t.Errorf("%q is not in\n%s", line, got)
		}
	}
}

func TestFormatMarksOthers(t *testing.T) {
	got := FormatChanges([]Change{{Path: []string{"Hostname"}, Old: "a", New: "b", Other: true}})
	if got != "Hostname: a -> b  (also changed by another session)\n" {
		t.Errorf("got %q", got)
	}
}

func TestDuplicateNamesAreNotLost(t *testing.T) {
	c := testConfig()
	c.Routes = append(c.Routes, c.Routes[0])
	if got := FormatChanges(Diff(testConfig(), c)); !strings.Contains(got, "example.com #2: added") {
		t.Errorf("got %s", got)
	}
}
