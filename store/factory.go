package store

import (
	"net/netip"
	"slices"
)

// FactoryFacts is what the factory configuration takes from the machine.
type FactoryFacts struct {
	Hostname string
	DNS      []netip.AddrPort // the servers of /etc/resolv.conf
	Demo     Certificate      // as NewDemo makes it; a gateway without has no certificate
}

// Factory gives the configuration of a gateway that nobody has configured: it
// relays for this machine only.
func Factory(facts FactoryFacts) *Config {
	hostname, err := ParseHostname(facts.Hostname)
	if err != nil {
		hostname = "localhost"
	}
	c := &Config{
		Hostname:       hostname,
		Interfaces:     []Interface{{Name: "Management", Hostname: hostname, IPv4: netip.MustParsePrefix("127.0.0.1/8"), SSHPort: 2222}},
		Delivery:       Delivery{Concurrency: 10000, TLSConcurrency: 100},
		Destinations:   Destinations{Default: factoryDestination()},
		DNS:            factoryDNS(facts.DNS),
		Listeners:      []Listener{factoryListener()},
		Reception:      factoryReception(),
		BounceProfiles: []BounceProfile{defaultProfile()},
		Logs:           factoryLogs(),
		Authorities:    Authorities{System: true},
		SSL:            factorySSL(),
		Alerts:         factoryAlerts(),
		Users:          factoryUsers(),
		Passphrases:    factoryPassphrases(),
		SSHD:           SSHD{MinRSABits: LeastSSHKeyBits},
		AdminAccess:    factoryAdminAccess(),
	}
	if facts.Demo.Name != "" {
		c.Certificates = []Certificate{facts.Demo}
	}
	return c
}

// factoryLogs are the subscriptions of the appliance whose types there are, in
// its order.
func factoryLogs() []LogSubscription {
	errors := NewLog("error_logs", TextMailLog)
	errors.Level = 1
	return []LogSubscription{
		NewLog("authentication", AuthenticationLog),
		NewLog("cli_logs", CLIAuditLog),
		errors,
		NewLog("mail_logs", TextMailLog),
		NewLog("system_logs", SystemLog),
	}
}

func factoryDNS(servers []netip.AddrPort) DNS {
	d := DNS{ReverseTimeout: 20, MinTTL: 1800}
	for _, s := range servers {
		known := slices.ContainsFunc(d.Servers, func(o DNSServer) bool { return o.Addr == s })
		if !known && checkServer(s) == nil && len(d.Servers) < MaxDNSServers {
			d.Servers = append(d.Servers, DNSServer{Addr: s, Priority: len(d.Servers)})
		}
	}
	return d
}

func factoryListener() Listener {
	l := NewListener("OutgoingMail", Private)
	l.Interface, l.Port = "Management", 2525
	l.HAT.Groups[0].Hosts = []string{"127.0.0.0/8", "::1"}
	return l
}

// NewListener gives a listener with the defaults of its type. It relays for
// nobody and takes mail for nobody yet: hosts of the RELAYLIST (first group of
// a private one) and recipients are the operator's to name.
func NewListener(name string, t ListenerType) Listener {
	l := Listener{
		Name: name, Type: t, Port: 25,
		MaxConnections: publicConns, QueueSize: defaultQueueSize,
		Received: true, CleanSMTP: Clean,
	}
	if t == Private {
		l.MaxConnections = privateConns
		l.HAT = privateHAT()
		return l
	}
	l.HAT = publicHAT()
	l.RAT = []RATEntry{{Address: allHosts}}
	return l
}

// factoryParams are the limits of $ACCEPTED, which are the defaults.
func factoryParams() PolicyParams {
	return PolicyParams{MaxSize: 104857600, MaxMessages: 1000, MaxRecipients: 1000, MaxConnections: 1000}
}

func privateHAT() HAT {
	return HAT{
		Groups: []SenderGroup{
			{Name: "RELAYLIST", Policy: "RELAYED", Comment: "Hosts that may relay"},
			{Name: allHosts, Hosts: []string{allHosts}, Policy: "BLOCKED"},
		},
		Policies: []Policy{
			{Name: "RELAYED", Behavior: Relay, Params: PolicyParams{MaxPerHour: NoLimit}},
			{Name: "BLOCKED", Behavior: Refuse},
		},
		Default: factoryParams(),
	}
}

// RelayFor puts a sender group RELAYLIST of these hosts first, with the policy
// $RELAYED, as private listeners have them.
func (h *HAT) RelayFor(hosts []string) {
	private := privateHAT()
	group, policy := private.Groups[0], private.Policies[0]
	group.Hosts = hosts
	h.Groups = slices.Insert(h.Groups, 0, group)
	h.Policies = append(h.Policies, policy)
}

func publicHAT() HAT {
	return HAT{
		Groups: []SenderGroup{
			{Name: "WHITELIST", Policy: "TRUSTED", Comment: "My trusted senders have no anti-spam scanning or rate limiting"},
			{Name: "BLACKLIST", Policy: "BLOCKED", Comment: "Spammers are rejected"},
			{Name: "SUSPECTLIST", Policy: "THROTTLED", Comment: "Suspicious senders are throttled"},
			{Name: "UNKNOWNLIST", Policy: "ACCEPTED", Comment: "Reviewed but undecided, continue normal acceptance"},
			{Name: allHosts, Hosts: []string{allHosts}, Policy: "ACCEPTED"},
		},
		Policies: []Policy{
			{Name: "ACCEPTED", Behavior: Accept},
			{Name: "THROTTLED", Behavior: Accept, Params: PolicyParams{MaxSize: 1 << 20, MaxMessages: 10, MaxRecipients: 20, MaxConnections: 10, MaxPerHour: 20}},
			{Name: "TRUSTED", Behavior: Accept, Params: PolicyParams{MaxPerHour: NoLimit}},
			{Name: "BLOCKED", Behavior: Refuse},
		},
		Default: factoryParams(),
	}
}
