package store

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// parsers give the form a text is read as.
func parsers() map[string]func(string) (string, error) {
	shown := func(v any, err error) (string, error) { return fmt.Sprint(v), err }
	return map[string]func(string) (string, error){
		"hostname":  ParseHostname,
		"interface": ParseInterfaceName,
		"listener":  ParseListenerName,
		"profile":   ParseProfileName,
		"group":     ParseGroupName,
		"policy":    ParsePolicyName,
		"log":       ParseLogName,
		"file":      ParseFileName,
		"email":     ParseEmail,
		"domain":    ParseRouteDomain,
		"sender":    ParseSenderHost,
		"recipient": ParseRATAddress,
		"comment":   ParseComment,
		"netmask":   func(s string) (string, error) { return shown(ParseNetmask(s)) },
		"length":    func(s string) (string, error) { return shown(ParsePrefixLength(s)) },
		"ipv4":      func(s string) (string, error) { return shown(ParseIPv4(s)) },
		"ipv6":      func(s string) (string, error) { return shown(ParseIPv6(s)) },
		"port":      func(s string) (string, error) { return shown(ParsePort(s)) },
		"size":      func(s string) (string, error) { return shown(ParseSize(s)) },
		"message":   func(s string) (string, error) { return shown(ParseMessageSize(s)) },
		"logsize":   func(s string) (string, error) { return shown(ParseLogSize(s)) },
		"dns":       func(s string) (string, error) { return shown(ParseDNSServer(s)) },
		"hosts":     func(s string) (string, error) { return shown(ParseRouteHosts(s)) },
		"senders": func(s string) (string, error) {
			hosts, err := ParseSenderHosts(s)
			return strings.Join(hosts, " "), err
		},
	}
}

// parserCase is a text and the form it is read as; an empty one is a refusal.
type parserCase struct{ parser, text, want string }

func checkParsers(t *testing.T, cases []parserCase) {
	t.Helper()
	for _, tt := range cases {
		got, err := parsers()[tt.parser](tt.text)
		if err != nil {
			got = ""
		}
		if got != tt.want {
			t.Errorf("%s %q: %q (%v), want %q", tt.parser, tt.text, got, err, tt.want)
		}
	}
}

func TestParseNames(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	checkParsers(t, []parserCase{
		{"hostname", "mail.example.com", "mail.example.com"},
		{"hostname", " Mail.Example.COM. ", "Mail.Example.COM"},
		{"hostname", "localhost", "localhost"},
		{"hostname", "_dmarc.example.com", "_dmarc.example.com"},
		{"hostname", "4u.example", "4u.example"},
		{"hostname", label63 + ".example", label63 + ".example"},
		{"hostname", label63 + "a.example", ""},
		{"hostname", strings.Repeat("a.", 127) + "com", ""},
		{"hostname", "", ""},
		{"hostname", ".", ""},
		{"hostname", "a..b", ""},
		{"hostname", "-a.com", ""},
		{"hostname", "a-.com", ""},
		{"hostname", "a b.com", ""},
		{"hostname", "a\x1b[2J.com", ""},
		{"hostname", "münchen.example", ""},
		{"hostname", "192.0.2.1", ""},
		{"hostname", "192.0.2.999", ""},
		{"interface", "Data_1-a", "Data_1-a"},
		{"interface", "1st", ""},
		{"interface", "a/b", ""},
		{"interface", "", ""},
		{"interface", strings.Repeat("a", 65), ""},
		{"listener", "IncomingMail", "IncomingMail"},
		{"listener", "Incoming Mail", ""},
		{"listener", "../x", ""},
		{"profile", "_bulk", "_bulk"},
		{"profile", "9bulk", ""},
		{"group", "RELAYLIST", "RELAYLIST"},
		{"group", "$X", ""},
		{"policy", "$RELAYED", "RELAYED"},
		{"policy", "Mine", "Mine"},
		{"policy", "relay", ""},
		{"policy", "$$X", ""},
		{"log", "mail_log.d", "mail_log.d"},
		{"log", "..", ""},
		{"log", "a/b", ""},
		{"log", "-x", ""},
		{"file", "mail", "mail"},
		{"file", ".mail", ""},
		{"file", "a b", ""},
		{"email", "Admin@Example.com", "Admin@example.com"},
		{"email", "admin", ""},
		{"email", "admin@", ""},
		{"email", "a..b@example.com", ""},
		{"email", "a@.example.com", ""},
		{"email", strings.Repeat("a", 65) + "@example.com", ""},
		{"comment", " new route ", "new route"},
		{"comment", strings.Repeat("é", 255), strings.Repeat("é", 255)},
		{"comment", strings.Repeat("a", 256), ""},
		{"comment", "\x1b[2J", ""},
		{"comment", "new route\nCommit at", ""},
	})
}

func TestParseNumbers(t *testing.T) {
	checkParsers(t, []parserCase{
		{"netmask", "24", "24"},
		{"netmask", "/24", "24"},
		{"netmask", "255.255.255.0", "24"},
		{"netmask", "0xffffff00", "24"},
		{"netmask", "0xFFFFFF00", "24"},
		{"netmask", "255.255.255.255", "32"},
		{"netmask", "0x80000000", "1"},
		{"netmask", "0", ""},
		{"netmask", "33", ""},
		{"netmask", "0.0.0.0", ""},
		{"netmask", "255.0.255.0", ""},
		{"netmask", "0xff00ff00", ""},
		{"netmask", "0xfff", ""},
		{"netmask", "", ""},
		{"netmask", "::1", ""},
		{"length", "64", "64"},
		{"length", "129", ""},
		{"length", "0", ""},
		{"port", "25", "25"},
		{"port", "65535", "65535"},
		{"port", "0", ""},
		{"port", "65536", ""},
		{"port", "-1", ""},
		{"port", "smtp", ""},
		{"size", "10485760", "10485760"},
		{"size", "10M", "10485760"},
		{"size", "100k", "102400"},
		{"size", "0", "0"},
		{"size", "1G", ""},
		{"size", "1kk", ""},
		{"size", "k", ""},
		{"size", "-1", ""},
		{"size", "1.5M", ""},
		{"size", "9999999999999999M", ""},
		{"message", "20M", "20971520"},
		{"message", "1", ""},
		{"message", "3000M", ""},
		{"logsize", "1k", "1024"},
		{"logsize", "100", ""},
	})
}

func TestParseAddresses(t *testing.T) {
	checkParsers(t, []parserCase{
		{"ipv4", "192.0.2.1", "192.0.2.1"},
		{"ipv4", "127.0.0.2", "127.0.0.2"},
		{"ipv4", "0.0.0.0", ""},
		{"ipv4", "224.0.0.1", ""},
		{"ipv4", "255.255.255.255", ""},
		{"ipv4", "1.2.3", ""},
		{"ipv4", "1.2.3.256", ""},
		{"ipv4", "01.2.3.4", ""},
		{"ipv4", "::1", ""},
		{"ipv6", "2001:DB8::1", "2001:db8::1"},
		{"ipv6", "::1", "::1"},
		{"ipv6", "::", ""},
		{"ipv6", "fe80::1", ""},
		{"ipv6", "fe80::1%eth0", ""},
		{"ipv6", "::ffff:192.0.2.1", ""},
		{"ipv6", "ff02::1", ""},
		{"ipv6", "192.0.2.1", ""},
		{"dns", "192.0.2.1", "192.0.2.1:53"},
		{"dns", "192.0.2.1:5353", "192.0.2.1:5353"},
		{"dns", "::1", "[::1]:53"},
		{"dns", "[::1]", "[::1]:53"},
		{"dns", "[::1]:5353", "[::1]:5353"},
		{"dns", "fe80::1%eth0", "[fe80::1%eth0]:53"},
		{"dns", "192.0.2.1:0", ""},
		{"dns", "0.0.0.0", ""},
		{"dns", "224.0.0.1", ""},
		{"dns", "ns.example.com", ""},
		{"dns", "", ""},
		{"recipient", "Example.com", "example.com"},
		{"recipient", ".example.com", ".example.com"},
		{"recipient", "User@", "User@"},
		{"recipient", "User@Example.com", "User@example.com"},
		{"recipient", "user@[1.2.3.4]", "user@[1.2.3.4]"},
		{"recipient", "All", "ALL"},
		{"recipient", "user@.example.com", ""},
		{"recipient", "@example.com", ""},
		{"recipient", "a b@example.com", ""},
		{"recipient", "user@[1.2.3]", ""},
		{"recipient", "", ""},
	})
}

func TestParseRoutes(t *testing.T) {
	checkParsers(t, []parserCase{
		{"domain", "Example.COM", "example.com"},
		{"domain", ".Example.com", ".example.com"},
		{"domain", "example.com.", "example.com"},
		{"domain", "all", "ALL"},
		{"domain", "[192.0.2.1]", "[192.0.2.1]"},
		{"domain", "[2001:DB8::1]", "[IPv6:2001:db8::1]"},
		{"domain", "[ipv6:2001:db8::1]", "[IPv6:2001:db8::1]"},
		{"domain", "[192.0.2.1", ""},
		{"domain", "192.0.2.1", ""},
		{"domain", "user@example.com", ""},
		{"domain", "..example.com", ""},
		{"domain", "", ""},
		{"hosts", "mx.example.com", "mx.example.com"},
		{"hosts", "MX1.example.com,  mx2.example.com", "mx1.example.com, mx2.example.com"},
		{"hosts", "[mx.example.com]", "[mx.example.com]"},
		{"hosts", "[mx.example.com]:2525/pri=5", "[mx.example.com]:2525/pri=5"},
		{"hosts", "10.0.0.1:2525", "10.0.0.1:2525"},
		{"hosts", "[10.0.0.1]:2525", "10.0.0.1:2525"},
		{"hosts", "2001:db8::1", "2001:db8::1"},
		{"hosts", "[2001:db8::1]", "2001:db8::1"},
		{"hosts", "[2001:db8::1]:26/pri=1", "[2001:db8::1]:26/pri=1"},
		{"hosts", "2001:db8::1/pri=1", "2001:db8::1/pri=1"},
		{"hosts", "mx.example.com/pri=0", "mx.example.com"},
		{"hosts", "usedns", "USEDNS"},
		{"hosts", " /dev/null ", "/dev/null"},
		{"hosts", "USEDNS, mx.example.com", ""},
		{"hosts", "mx.example.com, /dev/null", ""},
		{"hosts", "mx.example.com:0", ""},
		{"hosts", "mx.example.com:", ""},
		{"hosts", "mx.example.com/pri=65536", ""},
		{"hosts", "mx.example.com/pri=", ""},
		{"hosts", "mx.example.com/24", ""},
		{"hosts", "[mx.example.com", ""},
		{"hosts", "mx.example.com]", ""},
		{"hosts", "a,,b", ""},
		{"hosts", "a,", ""},
		{"hosts", "", ""},
		{"hosts", "0.0.0.0", ""},
		{"hosts", "a:25, a:26", ""},
		{"hosts", "a, A:26", ""},
		{"hosts", "fe80::1%eth0", ""},
	})
}

func TestParseSenders(t *testing.T) {
	checkParsers(t, []parserCase{
		{"sender", "10.1.1.1", "10.1.1.1"},
		{"sender", "10.1.1.7/24", "10.1.1.0/24"},
		{"sender", "10.1.1.1-9", "10.1.1.1-10.1.1.9"},
		{"sender", "10.1.1.1-10.1.1.9", "10.1.1.1-10.1.1.9"},
		{"sender", "2001:db8::1-2001:db8::9", "2001:db8::1-2001:db8::9"},
		{"sender", "2001:DB8::/32", "2001:db8::/32"},
		{"sender", "10.1.1.9-1", ""},
		{"sender", "10.1.1.1-256", ""},
		{"sender", "10.1.1.1-::1", ""},
		{"sender", "10.1.1.0/33", ""},
		{"sender", "10.1.1", ""},
		{"sender", "::ffff:10.1.1.1", ""},
		{"sender", "Mail.Example.com", "mail.example.com"},
		{"sender", ".Example.com", ".example.com"},
		{"sender", "some-host.example", "some-host.example"},
		{"sender", "all", "ALL"},
		{"sender", "a_b", "a_b"},
		{"sender", "exa mple", ""},
		{"sender", "", ""},
		{"senders", "10.1.1.1, .example.com ALL", "10.1.1.1 .example.com ALL"},
		{"senders", "10.1.1.1, bad!", ""},
		{"senders", " , ", ""},
	})
}

// Texts that the reference gives.
func TestErrorTexts(t *testing.T) {
	for _, tt := range []struct{ parser, text, want string }{
		{"hostname", "-", "A hostname is a string that must match the following rules:"},
		{"listener", "a b", "Valid characters are"},
		{"interface", "", "The value cannot be blank."},
		{"profile", "1", "The bounce profile name must start with a letter or underscore"},
		{"recipient", "a b", "A Recipient Access Table address can be one of the following"},
		{"recipient", "", "Please enter a value."},
		{"sender", "1.2.3.999", "Invalid IP or IP range"},
		{"sender", "1.2.3.0/99", "A CIDR address is an IP"},
		{"ipv4", "1.2", "The IP address must be 4 numbers "},
		{"hosts", "a:26, a", "The host a already has an alternate port (26)."},
		{"hosts", "a, a:26", "The host a is already using the standard port."},
		{"hosts", strings.Repeat("a.b,", 60), "The value cannot be blank."},
	} {
		_, err := parsers()[tt.parser](tt.text)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %q: %v, want %q", tt.parser, tt.text, err, tt.want)
		}
	}
	many := make([]string, MaxDestinations+1)
	for i := range many {
		many[i] = fmt.Sprintf("mx%d.example.com", i)
	}
	if _, err := ParseRouteHosts(strings.Join(many, ",")); err == nil || err.Error() != "Routes may not contain more than 50 destinations." {
		t.Errorf("got %v", err)
	}
}

// FuzzParsers holds that what a parser gives, it reads as the same again, and
// that no control character gets through.
func FuzzParsers(f *testing.F) {
	for _, seed := range []string{
		"mail.example.com", "$RELAYED", "0xffffff00", "[2001:db8::1]:25/pri=3, a", "10.1.1.1-9", "user@[1.2.3.4]",
		"[::1]:53", "10M", ".example.com", "/dev/null", "ALL", "", "\x00", "a\x1b[2J",
	} {
		f.Add(seed)
	}
	all := parsers()
	f.Fuzz(func(t *testing.T, text string) {
		for name, parse := range all {
			first, err := parse(text)
			if err != nil {
				continue
			}
			again, err := parse(first)
			if err != nil || again != first {
				t.Errorf("%s: %q gives %q, which gives %q (%v)", name, text, first, again, err)
			}
			if strings.ContainsAny(first, "\x00\x1b\r\x7f") {
				t.Errorf("%s: %q gives %q", name, text, first)
			}
		}
	})
}

func TestFormatDNSServer(t *testing.T) {
	for text, want := range map[string]string{"192.0.2.1:53": "192.0.2.1", "[::1]:53": "::1", "[::1]:5353": "[::1]:5353"} {
		if got := FormatDNSServer(netip.MustParseAddrPort(text)); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
