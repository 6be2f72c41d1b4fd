package store

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestFactoryIsValid(t *testing.T) {
	for _, facts := range []FactoryFacts{
		{},
		{Hostname: "mail.example.com"},
		{Hostname: "not a name!"},
		{Hostname: "box", DNS: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.53:53"), netip.MustParseAddrPort("127.0.0.53:53"), {}}},
	} {
		c := Factory(facts)
		if p := c.Validate(); len(p) > 0 {
			t.Errorf("%+v: %v", facts, p)
		}
		if got := OpensRelay(&Config{}, c); len(got) > 0 {
			t.Errorf("%+v: %v", facts, got)
		}
	}
	if got := len(Factory(FactoryFacts{DNS: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.53:53"), netip.MustParseAddrPort("127.0.0.53:53")}}).DNS.Servers); got != 1 {
		t.Errorf("%d DNS servers", got)
	}
	if p := testConfig().Validate(); len(p) > 0 {
		t.Errorf("the test configuration: %v", p)
	}
}

// badConfig is one fault and the problem it must give.
type badConfig struct {
	name   string
	change func(*Config)
	want   string // place: text
}

func checkBad(t *testing.T, faults []badConfig) {
	t.Helper()
	for _, tt := range faults {
		c := testConfig()
		tt.change(c)
		found := c.Validate()
		if !slices.ContainsFunc(found, func(p Problem) bool { return strings.Contains(p.Place+": "+p.Text, tt.want) }) {
			t.Errorf("%s: got %.600s\nwant %s", tt.name, fmt.Sprint(found), tt.want)
		}
		for _, p := range found {
			if p.Place == "" || p.Text == "" || p.Fix == "" {
				t.Errorf("%s: half a problem: %+v", tt.name, p)
			}
		}
		if !strings.HasPrefix(tt.name, "too many") && len(found) > 3 {
			t.Errorf("%s: %d problems from one fault: %v", tt.name, len(found), found)
		}
	}
}

// listener gives the public one of testConfig.
func listener(c *Config) *Listener { return &c.Listeners[1] }

func TestBadSystemAndInterfaces(t *testing.T) {
	checkBad(t, []badConfig{
		{"hostname", setHostname("-"), "hostname: A hostname is a string"},
		{"interface name", func(c *Config) { c.Interfaces[0].Name = "1"; c.Listeners = c.Listeners[1:] }, `interface "1": The interface name must`},
		{"interface twice", func(c *Config) { c.Interfaces[0].Name = "Data1"; c.Listeners = c.Listeners[1:] }, `interface "Data1": The name "Data1" is used`},
		{"interface host name", func(c *Config) { c.Interfaces[0].Hostname = "" }, `interface "Management": A hostname is`},
		{"no address", func(c *Config) { c.Interfaces[0].IPv4 = netip.Prefix{} }, `interface "Management": An interface must have`},
		{"address twice", func(c *Config) { c.Interfaces[0].IPv4 = netip.MustParsePrefix("192.0.2.10/32") }, `interface "Data1": The IP address "192.0.2.10" is already configured`},
		{"any address", func(c *Config) { c.Interfaces[0].IPv4 = netip.MustParsePrefix("0.0.0.0/8") }, `interface "Management": The IP cannot start with 0.`},
		{"no mask", func(c *Config) { c.Interfaces[0].IPv4 = netip.MustParsePrefix("192.0.2.1/0") }, `interface "Management": The netmask must`},
		{"IPv6 as IPv4", func(c *Config) { c.Interfaces[0].IPv4 = netip.MustParsePrefix("::2/64") }, `interface "Management": The IP address must be 4 numbers`},
		{"no IPv6 mask", func(c *Config) { c.Interfaces[0].IPv6 = netip.MustParsePrefix("::2/0") }, `interface "Management": The prefix length must`},
		{"mapped IPv6", func(c *Config) { c.Interfaces[0].IPv6 = netip.MustParsePrefix("ff02::2/64") }, `interface "Management": The IP address "ff02::2" is not`},
		{"too many interfaces", func(c *Config) { c.Interfaces = make([]Interface, MaxInterfaces+1) }, `interfaces: You are only allowed to configure a maximum of 256 interfaces.`},
		{"delivery interface", func(c *Config) { c.Delivery.Interface = "Gone" }, `mail delivery: The interface "Gone" does not exist.`},
		{"concurrency", func(c *Config) { c.Delivery.Concurrency = 0 }, `mail delivery: Concurrency 0: The value must be a number from 1 to 50000.`},
		{"TLS concurrency", func(c *Config) { c.Delivery.TLSConcurrency = 50001 }, `mail delivery: Concurrency 50001: The value must`},
	})
}

func TestBadRoutesAndDNS(t *testing.T) {
	checkBad(t, []badConfig{
		{"route domain", func(c *Config) { c.Routes[0].Domain = "Example.com" }, `route "Example.com": The domain must be written "example.com".`},
		{"route twice", func(c *Config) { c.Routes[1].Domain = "example.com" }, `route "example.com": The value example.com is already in the routing table.`},
		{"route to nowhere", func(c *Config) { c.Routes[0].Hosts = nil }, `route "example.com": A route must have destination hosts`},
		{"route both ways", func(c *Config) { c.Routes[0].UseDNS = true }, `route "example.com": A route must have destination hosts`},
		{"route host", func(c *Config) { c.Routes[0].Hosts[0].Host = "A" }, `route "example.com": The destination "A" must be written "a".`},
		{"route priority", func(c *Config) { c.Routes[0].Hosts[0].Priority = -1 }, `route "example.com": The priority must`},
		{"route host twice", func(c *Config) { c.Routes[0].Hosts[1].Host = "mx1.example.com" }, `route "example.com": The host mx1.example.com is already using the standard port.`},
		{"too many routes", func(c *Config) { c.Routes = make([]Route, MaxRoutes+1) }, `SMTP routes: There is a maximum of 40000 routes.`},
		{"DNS interface", func(c *Config) { c.DNS.Interface = "Gone" }, `DNS: The interface "Gone" does not exist.`},
		{"DNS server", func(c *Config) { c.DNS.Servers[0].Addr = netip.AddrPort{} }, `The IP address must be 4 numbers`},
		{"DNS server twice", func(c *Config) { c.DNS.Servers = append(c.DNS.Servers, c.DNS.Servers[0]) }, `192.0.2.53 is already configured with priority 0.`},
		{"DNS priority", func(c *Config) { c.DNS.Servers[0].Priority = -1 }, `DNS server 192.0.2.53:53: Priority: The value must`},
		{"reverse timeout", func(c *Config) { c.DNS.ReverseTimeout = 301 }, `DNS: Reverse DNS timeout: The value must`},
		{"minimum TTL", func(c *Config) { c.DNS.MinTTL = -1 }, `DNS: Minimum TTL: The value must`},
		{"too many servers", func(c *Config) { c.DNS.Servers = make([]DNSServer, MaxDNSServers+1) }, `DNS: There is a maximum of 20 DNS servers.`},
		{"alternate domain", func(c *Config) { c.DNS.Alternates[0].Domain = "." }, `alternate DNS servers of ".": A hostname is`},
		{"alternate case", func(c *Config) { c.DNS.Alternates[0].Domain = "A.b" }, `alternate DNS servers of "A.b": The domain must be written in lower case.`},
		{"alternate without server", func(c *Config) { c.DNS.Alternates[0].Servers = nil }, `A domain must have from 1 to 20 servers.`},
		{"alternate server twice", func(c *Config) {
			a := &c.DNS.Alternates[0]
			a.Servers = append(a.Servers, a.Servers[0])
		}, `10.0.0.53:5353 already appears to be configured for domain "corp.example".`},
		{"alternate twice", func(c *Config) { c.DNS.Alternates = append(c.DNS.Alternates, c.DNS.Alternates[0]) }, `The domain "corp.example" is configured twice.`},
	})
}

func TestBadListeners(t *testing.T) {
	checkBad(t, []badConfig{
		{"listener name", func(c *Config) { listener(c).Name = "a b" }, `listener "a b": The listener name must`},
		{"listener twice", func(c *Config) { listener(c).Name = "OutgoingMail" }, `listener "OutgoingMail": The name "OutgoingMail" is used`},
		{"listener type", func(c *Config) { listener(c).Type = "x"; listener(c).RAT = nil }, `listener "IncomingMail": The type "x" is not known.`},
		{"listener interface", func(c *Config) { listener(c).Interface = "Gone" }, `listener "IncomingMail": The interface "Gone" does not exist.`},
		{"listener port", func(c *Config) { listener(c).Port = 0 }, `listener "IncomingMail": The port must`},
		{"port taken", func(c *Config) { listener(c).Interface, listener(c).Port = "Management", 2525 }, `listener "IncomingMail": Port 2525 of 127.0.0.1 is currently assigned to listener "OutgoingMail".`},
		{"listener concurrency", func(c *Config) { listener(c).MaxConnections = 0 }, `listener "IncomingMail": Maximum concurrency: The value must`},
		{"listen queue", func(c *Config) { listener(c).QueueSize = 0 }, `listener "IncomingMail": TCP listen queue size: The value must`},
		{"default domain", func(c *Config) { listener(c).DefaultDomain = "-" }, `listener "IncomingMail": Default domain: A hostname is`},
		{"clean SMTP", func(c *Config) { listener(c).CleanSMTP = "" }, `listener "IncomingMail": The treatment "" of bare CR and LF`},
		{"listener bounce profile", func(c *Config) { listener(c).BounceProfile = "Gone" }, `listener "IncomingMail": The bounce profile "Gone" does not exist.`},
		{"too many listeners", func(c *Config) { c.Listeners = make([]Listener, MaxListeners+1) }, `listeners: There is a maximum of 100 listeners.`},
	})
}

func TestBadAccessTables(t *testing.T) {
	checkBad(t, []badConfig{
		{"group policy", func(c *Config) { listener(c).HAT.Groups[0].Policy = "GONE" }, `listener "IncomingMail" sender group "WHITELIST": The policy "$GONE" does not exist.`},
		{"group name", func(c *Config) { listener(c).HAT.Groups[0].Name = "$" }, `sender group "$": The sender group name must`},
		{"group twice", func(c *Config) { listener(c).HAT.Groups[0].Name = "BLACKLIST" }, `The name "BLACKLIST" is used by another sender group.`},
		{"group host", func(c *Config) { listener(c).HAT.Groups[0].Hosts = []string{"1.2.3.4/99"} }, `sender group "WHITELIST": "1.2.3.4/99": A CIDR address`},
		{"group host form", func(c *Config) { listener(c).HAT.Groups[0].Hosts = []string{"10.0.0.1/8"} }, `"10.0.0.1/8" must be written "10.0.0.0/8".`},
		{"group comment", func(c *Config) { listener(c).HAT.Groups[0].Comment = "a\nb" }, `Comment: The value must not contain control characters.`},
		{"no ALL group", func(c *Config) { listener(c).HAT.Groups = listener(c).HAT.Groups[:4] }, `listener "IncomingMail": The last sender group must be "ALL"`},
		{"too many hosts", func(c *Config) { listener(c).HAT.Groups[0].Hosts = slices.Repeat([]string{"10.0.0.1"}, MaxSenderHosts) }, `There is a maximum of 40000 hosts`},
		{"policy name", func(c *Config) { listener(c).HAT.Policies[0].Name = "RELAY" }, `policy "RELAY": The policy name cannot be RELAY.`},
		{"policy twice", func(c *Config) { listener(c).HAT.Policies[0].Name = "BLOCKED" }, `The name "BLOCKED" is used by another policy.`},
		{"policy behavior", func(c *Config) { listener(c).HAT.Policies[0].Behavior = "x" }, `policy "ACCEPTED": Invalid selected behavior: "x"`},
		{"policy size", func(c *Config) { listener(c).HAT.Policies[0].Params.MaxSize = 1 }, `policy "ACCEPTED": Maximum message size: The value must`},
		{"policy messages", func(c *Config) { listener(c).HAT.Policies[0].Params.MaxMessages = -1 }, `policy "ACCEPTED": Maximum messages per connection: The value must`},
		{"default size", func(c *Config) { listener(c).HAT.Default.MaxSize = 0 }, `listener "IncomingMail" default policy parameters: Maximum message size: The value must`},
		{"default connections", func(c *Config) { listener(c).HAT.Default.MaxConnections = 0 }, `default policy parameters: Maximum concurrent connections: The value must`},
		{"too many groups", func(c *Config) { listener(c).HAT.Groups = make([]SenderGroup, MaxSenderGroups+1) }, `There is a maximum of 1000 sender groups`},
		{"recipient", func(c *Config) { listener(c).RAT[0].Address = "a b" }, `recipient "a b": A Recipient Access Table address`},
		{"recipient form", func(c *Config) { listener(c).RAT[0].Address = "A.b" }, `recipient "A.b": The address must be written "a.b".`},
		{"recipient twice", func(c *Config) { listener(c).RAT[0].Address = "ALL" }, `recipient "ALL": There is another entry`},
		{"no ALL recipient", func(c *Config) { listener(c).RAT = listener(c).RAT[:1] }, `listener "IncomingMail": The last entry must be "ALL".`},
		{"private with recipients", func(c *Config) { listener(c).Type = Private }, `listener "IncomingMail": A private listener has no Recipient Access Table.`},
		{"reply to accepted", func(c *Config) { listener(c).RAT[0].Code = 550 }, `accepted recipient must be 250.`},
		{"reply to refused", func(c *Config) { listener(c).RAT[1].Code = 250 }, `rejected recipient must be from 400`},
		{"reply 421", func(c *Config) { listener(c).RAT[1].Code = 421 }, `rejected recipient must be from 400`},
		{"reply text", func(c *Config) { listener(c).RAT[1].Text = "a\r\n250 ok" }, `A line of the response must be printable ASCII`},
		{"reply without code", func(c *Config) { listener(c).RAT[1].Code = 0 }, `A custom SMTP response must have a code.`},
		{"too many recipients", func(c *Config) { listener(c).RAT = make([]RATEntry, MaxRATEntries+1) }, `There is a maximum of 40000 entries.`},
	})
}

func TestBadProfilesAndLogs(t *testing.T) {
	checkBad(t, []badConfig{
		{"no default profile", func(c *Config) { c.BounceProfiles = c.BounceProfiles[1:] }, `bounce profiles: The first bounce profile must be "Default".`},
		{"profile name", func(c *Config) { c.BounceProfiles[1].Name = "1" }, `bounce profile "1": The bounce profile name must start with a letter or underscore`},
		{"profile twice", func(c *Config) { c.BounceProfiles[1] = c.BounceProfiles[0] }, `bounce profile "Default": Profile name already in use`},
		{"retries", func(c *Config) { c.BounceProfiles[0].MaxRetries = 0 }, `bounce profile "Default": Maximum number of retries: The value must`},
		{"lifetime", func(c *Config) { c.BounceProfiles[1].MaxLifetime = -1 }, `bounce profile "Bulk": Maximum number of seconds in the queue: The value must`},
		{"intervals", func(c *Config) { c.BounceProfiles[1].InitialRetry = 7200 }, `bounce profile "Bulk": The initial retry interval, 7200, must not be longer than the maximum, 3600.`},
		{"host intervals", func(c *Config) { c.BounceProfiles[0].HostInitialRetry = 7200 }, `The initial retry interval of a host`},
		{"host setting elsewhere", func(c *Config) { c.BounceProfiles[1].HostMaxRetry = 60 }, `bounce profile "Bulk": Maximum number of seconds before retrying a host: The value must`},
		{"default inherits", func(c *Config) { c.BounceProfiles[0].UseDSN = Inherit }, `bounce profile "Default": Please answer Yes or No`},
		{"subject", func(c *Config) { c.BounceProfiles[1].Subject = "a\r\nBcc: x" }, `Subject: The value must not contain control characters.`},
		{"default subject", func(c *Config) { c.BounceProfiles[0].Subject = " " }, `bounce profile "Default": The value cannot be blank.`},
		{"alternate address", func(c *Config) { c.BounceProfiles[1].Alternate = "x" }, `bounce profile "Bulk": The address must be an email`},
		{"too many profiles", func(c *Config) { c.BounceProfiles = make([]BounceProfile, MaxProfiles+1) }, `There is a maximum of 100 bounce profiles.`},
		{"log name", func(c *Config) { c.Logs[0].Name = "../x" }, `log "../x": The log name must`},
		{"log twice", func(c *Config) { c.Logs[0].Name = "mail_logs" }, `log "mail_logs": Log name 'mail_logs' already in use`},
		{"log type", func(c *Config) { c.Logs[0].Type = "x" }, `log "authentication": The log type "x" is not known.`},
		{"log level", func(c *Config) { c.Logs[0].Level = 6 }, `log "authentication": Log level: The value must be a number from 1 to 5.`},
		{"log file", func(c *Config) { c.Logs[0].FileName = "a/b" }, `log "authentication": File name: The file name must`},
		{"log size", func(c *Config) { c.Logs[0].MaxSize = 1 }, `log "authentication": Maximum file size: The value must`},
		{"log files", func(c *Config) { c.Logs[0].MaxFiles = 0 }, `log "authentication": Maximum number of files: The value must`},
		{"too many logs", func(c *Config) { c.Logs = make([]LogSubscription, MaxLogs+1) }, `logs: There is a maximum of 100 log subscriptions.`},
	})
}

func TestValidateGivesEveryProblem(t *testing.T) {
	c := testConfig()
	c.Hostname = ""
	c.Delivery.Interface = "Gone"
	c.Routes[0].Hosts = nil
	c.Logs[0].Level = 0
	if got := c.Validate(); len(got) != 4 {
		t.Errorf("got %v", got)
	}
}

func TestWarnings(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"none", func(*Config) {}, ""},
		{"no DNS", func(c *Config) { c.DNS.Servers = nil }, "No DNS server is configured"},
		{"no listener", func(c *Config) { c.Listeners = nil }, "No listener is configured"},
		{"certificate in use", func(c *Config) {
			c.Certificates, c.Destinations.Certificate = []Certificate{testCertificate(t, "self", c.Interfaces[0].Hostname)}, "self"
		}, "The certificate is self-signed"},
		{"certificate not in use", func(c *Config) { c.Certificates = []Certificate{testCertificate(t, "self", "x.example")} }, ""},
		{"possible delivery", func(c *Config) { c.Delivery.Possible = true }, `"Possible Delivery" is enabled`},
		{"no recipient", func(c *Config) { c.Listeners[1].RAT = c.Listeners[1].RAT[1:] }, "accepts mail for no recipient"},
		{"group never reached", func(c *Config) { c.Listeners[1].HAT.Groups[3].Hosts = []string{"ALL"} }, "it is never reached"},
		{"ALL goes on", func(c *Config) {
			c.Listeners[1].HAT.Groups[3].Hosts = []string{"ALL"}
			c.Listeners[1].HAT.Groups[3].Policy = "CONTINUE"
		}, ""},
	} {
		c := testConfig()
		c.Routes = c.Routes[:2] // no /dev/null
		tt.change(c)
		got := c.Warnings(certNow(), nil)
		if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.Contains(got[0].Text, tt.want)) {
			t.Errorf("%s: got %v, want %q", tt.name, got, tt.want)
		}
	}
	c := testConfig()
	c.DNS.Servers = nil
	c.Listeners[1].HAT.Default.SenderCheck = VerifySenders()
	if got := c.Warnings(certNow(), nil); !slices.ContainsFunc(got, func(p Problem) bool { return strings.Contains(p.Text, "verifies envelope senders") }) {
		t.Errorf("verification without DNS: %v", got)
	}
	if got := testConfig().Warnings(certNow(), nil); len(got) != 1 || !strings.Contains(got[0].Text, "discarded") {
		t.Errorf("/dev/null: %v", got)
	}
}

func TestWarningsOfMissingIssuer(t *testing.T) {
	root := testEntity(t, "Root", true, nil)
	lower := testEntity(t, "Lower", true, &root)
	leaf := testEntity(t, "mx.example.com", false, &lower)
	other := testEntity(t, "Other", true, nil)
	for _, tt := range []struct {
		name         string
		system, list []*x509.Certificate
		want         int
	}{
		{"the machine's list is not known", nil, nil, 0},
		{"not even with a custom list", nil, []*x509.Certificate{other.cert}, 0},
		{"nobody knows the issuer", []*x509.Certificate{root.cert}, nil, 1},
		{"the custom list has it", []*x509.Certificate{root.cert}, []*x509.Certificate{lower.cert}, 0},
	} {
		c := testConfig()
		c.Routes = c.Routes[:2] // no /dev/null
		c.Certificates = []Certificate{profile(t, "mine", leaf, leaf.cert)}
		c.Destinations.Certificate, c.Delivery.Interface = "mine", "Data1"
		for _, cert := range tt.list {
			c.Authorities.List = append(c.Authorities.List, Authority(EncodeCertificates([]*x509.Certificate{cert})))
		}
		if got := c.Warnings(certNow(), tt.system); len(got) != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestOpensRelay(t *testing.T) {
	relayFor := func(hosts ...string) func(*Config) {
		return func(c *Config) { c.Listeners[0].HAT.Groups[0].Hosts = hosts }
	}
	accepts := func(address string) func(*Config) {
		return func(c *Config) { c.Listeners[1].RAT[0].Address = address }
	}
	many := make([]string, 300)
	for i := range many {
		many[i] = fmt.Sprintf("%d.%d.0.0/14", 20+i/64, i%64*4)
	}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"nothing", func(*Config) {}, ""},
		{"internal networks", relayFor("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8", "127.0.0.1"), ""},
		{"a provider's networks", relayFor("20.0.0.0/8", "2001:db8::/32", ".example.com"), ""},
		{"ALL", relayFor("ALL"), `listener "OutgoingMail" 127.0.0.1:2525 relays for ALL`},
		{"everything as a network", relayFor("0.0.0.0/0"), "relays for 0.0.0.0/0"},
		{"two halves", relayFor("0.0.0.0/1", "128.0.0.0/1"), "relays for 0.0.0.0/1"},
		{"a long range", relayFor("1.0.0.0-223.255.255.255"), "relays for 1.0.0.0-223.255.255.255"},
		{"from internal outwards", relayFor("10.0.0.0-20.0.0.0"), "relays for 10.0.0.0-20.0.0.0"},
		{"all of IPv6", relayFor("::/0"), "relays for ::/0"},
		{"an IPv6 range", relayFor("2000::1-3fff::1"), "relays for 2000::1-3fff::1"},
		{"a top-level domain", relayFor(".com"), "relays for .com"},
		{"many small networks", relayFor(many...), "addresses of the internet"},
		{"ACCEPT on a private listener", func(c *Config) { c.Listeners[0].HAT.Groups[1].Policy = "ACCEPT" }, "relays for ALL"},
		{"RELAY on a public listener", func(c *Config) { c.Listeners[1].HAT.Groups[4].Policy = "RELAY" }, `listener "IncomingMail" 192.0.2.10:25 [2001:db8::10]:25 relays for ALL`},
		{"RELAY by its policy", func(c *Config) { c.Listeners[1].HAT.Policies[0].Behavior = Relay }, "relays for ALL"},
		{"all recipients", func(c *Config) { c.Listeners[1].RAT[1].Accept = true }, "accepts mail for ALL"},
		{"a top-level recipient", accepts(".com"), "accepts mail for .com"},
		{"another recipient", accepts(".example.org"), ""},
		{"changed to private", func(c *Config) { c.Listeners[1].Type, c.Listeners[1].RAT = Private, nil }, "relays for ALL"},
	} {
		c := testConfig()
		tt.change(c)
		got := OpensRelay(testConfig(), c)
		if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) == 0 || !strings.Contains(got[0], tt.want)) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
		if again := OpensRelay(c, c.Clone()); len(again) > 0 {
			t.Errorf("%s: told again: %q", tt.name, again)
		}
	}
	// What relays on loopback for all may not be moved out in silence.
	open := testConfig()
	relayFor("ALL")(open)
	moved := open.Clone()
	moved.Listeners[0].Interface = "Data1"
	if got := OpensRelay(open, moved); len(got) == 0 {
		t.Error("moved to another address: not told")
	}
}

func TestProfileInherits(t *testing.T) {
	c := testConfig()
	got := c.Profile("Bulk")
	want := defaultProfile()
	want.Name, want.MaxRetries, want.SendBounces, want.Alternate = "Bulk", 5, No, "bounces@example.com"
	if got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	for _, name := range []string{"", "Default", "Gone"} {
		if got := c.Profile(name); got != defaultProfile() {
			t.Errorf("%q: %+v", name, got)
		}
	}
	// The alternate address is not inherited: to answer No is to have none.
	c.BounceProfiles[0].Alternate, c.BounceProfiles[1].Alternate = "all@example.com", ""
	if got := c.Profile("Bulk").Alternate; got != "" {
		t.Errorf("alternate address %q", got)
	}
	c.BounceProfiles = nil
	if got := c.Profile("Bulk"); got != defaultProfile() {
		t.Errorf("without profiles: %+v", got)
	}
	if !TriOf(true).Is() || TriOf(false) != No {
		t.Error("TriOf")
	}
}

func TestResolvePolicy(t *testing.T) {
	hat := publicHAT()
	for _, tt := range []struct {
		policy   string
		behavior Behavior
		messages int
		ok       bool
	}{
		{"THROTTLED", Accept, 10, true},
		{"ACCEPTED", Accept, 1000, true},
		{"TCPREFUSE", TCPRefuse, 1000, true},
		{"GONE", "", 0, false},
	} {
		behavior, params, ok := hat.Resolve(SenderGroup{Policy: tt.policy})
		if behavior != tt.behavior || params.MaxMessages != tt.messages || ok != tt.ok {
			t.Errorf("%s: %v %+v %v", tt.policy, behavior, params, ok)
		}
	}
}

func TestLookups(t *testing.T) {
	c := testConfig()
	if got := fmt.Sprint(c.Uses("Management"), c.Uses("Data1"), c.Uses("x")); got != `[listener "OutgoingMail"] [listener "IncomingMail"] []` {
		t.Errorf("Uses: %s", got)
	}
	c.Delivery.Interface, c.DNS.Interface = "Data1", "Data1"
	if got := fmt.Sprint(c.Uses("Data1")); got != `[mail delivery DNS listener "IncomingMail"]` {
		t.Errorf("Uses: %s", got)
	}
	if got := fmt.Sprint(c.Addresses(*c.Listener("IncomingMail"))); got != "[192.0.2.10:25 [2001:db8::10]:25]" {
		t.Errorf("Addresses: %s", got)
	}
	if c.Listener("x") != nil {
		t.Error("a listener that is not there")
	}
	if got := (Problem{"a", "b", "c"}).String(); got != "a: b (c)" {
		t.Errorf("String: %s", got)
	}
}
