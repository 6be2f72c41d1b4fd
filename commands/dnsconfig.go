package commands

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"esa/shell"
	"esa/store"
)

// dnsconfig says whom the resolver asks.
func dnsconfig() Command {
	return Command{
		Name:  "dnsconfig",
		Short: "Configure DNS.",
		Long: `A lower priority number is asked first. The address of a server may carry a
port: 192.0.2.1:5353, [2001:db8::1]:5353. Alternate servers are asked for one
domain and everything below it, instead of the others.

SETUP can have the gateway resolve from the root DNS servers itself: those that
are built in, or those of ROOTHINTS, a file with a name and an address, with or
without a port, on each line. ANCHORS adds keys that DNSSEC answers are held
against, at any name, beside those of the DNS root: DS or DNSKEY records as in a
zone file.`,
		Commit: true,
		Forms: append([]Form{
			{Usage: "dnsconfig new SERVER [PRIORITY]", Run: dnsNewForm},
			{Usage: "dnsconfig alternate DOMAIN SERVER...", Run: dnsAlternateForm},
			{Usage: "dnsconfig delete SERVER|DOMAIN", Run: dnsDeleteForm},
			{Usage: usage("dnsconfig setup", dnsKeys(nil, &store.DNS{})), Run: dnsSetupForm},
			{Usage: "dnsconfig print", Run: dnsPrintForm},
			{Usage: "dnsconfig probe SERVER", Run: dnsProbeForm},
		}, dnsTrustForms()...),
		Dialog: dnsDialog,
	}
}

func dnsDialog(d *Dialog, env Env) error {
	return env.Edit(func(cfg *store.Config) error {
		for d.Menu(dnsSummary(cfg), dnsMenu(cfg)...) {
			switch d.Op() {
			case "NEW":
				dnsNew(d, cfg)
			case "EDIT":
				dnsEdit(d, cfg)
			case "DELETE":
				dnsDelete(d, cfg)
			case "SETUP":
				dnsSetup(d, cfg)
			case "ROOTHINTS":
				dnsRoots(d, env, cfg)
			case "ANCHORS":
				dnsAnchors(d, env, cfg)
			}
		}
		return d.Err()
	})
}

func dnsMenu(cfg *store.Config) []shell.Op {
	ops := []shell.Op{{Word: "NEW", Text: "Add a new server."}}
	if len(cfg.DNS.Servers)+len(cfg.DNS.Alternates) > 0 {
		ops = append(ops,
			shell.Op{Word: "EDIT", Text: "Edit a server."},
			shell.Op{Word: "DELETE", Text: "Remove a server."})
	}
	return append(ops,
		shell.Op{Word: "SETUP", Text: "Configure general settings."},
		shell.Op{Word: "ROOTHINTS", Text: "Manage the root DNS servers."},
		shell.Op{Word: "ANCHORS", Text: "Manage the trust anchors of DNSSEC."})
}

// dnsSummary is the block above the menu (reference esa-cli-config 10). The
// numbers of alternate servers go on behind the others, as in dnsNames.
func dnsSummary(cfg *store.Config) string {
	var b strings.Builder
	switch {
	case cfg.DNS.FromRoot && len(cfg.DNS.Servers) == 0:
		b.WriteString("Currently using the Internet root DNS servers.\n")
	case cfg.DNS.FromRoot:
		b.WriteString("Currently using the Internet root DNS servers, and not the local DNS cache servers:\n")
	case len(cfg.DNS.Servers) == 0:
		b.WriteString("Currently no DNS servers are configured.\n")
	default:
		b.WriteString("Currently using the local DNS cache servers:\n")
	}
	for i, s := range cfg.DNS.Servers {
		fmt.Fprintf(&b, "%d. Priority: %d  %s\n", i+1, s.Priority, store.FormatDNSServer(s.Addr))
	}
	if len(cfg.DNS.Alternates) > 0 {
		b.WriteString("\nCurrently using these alternate domain servers:\n")
	}
	for i, a := range cfg.DNS.Alternates {
		fmt.Fprintf(&b, "%d. %s: %s\n", len(cfg.DNS.Servers)+i+1, a.Domain, a)
	}
	return b.String()
}

// dnsNames gives what servers and alternates are called by: the address, the
// domain.
func dnsNames(cfg *store.Config) []string {
	var names []string
	for _, s := range cfg.DNS.Servers {
		names = append(names, store.FormatDNSServer(s.Addr))
	}
	for _, a := range cfg.DNS.Alternates {
		names = append(names, a.Domain)
	}
	return names
}

func dnsNew(d *Dialog, cfg *store.Config) {
	kind := d.Choose("Do you want to add a new local DNS cache server or an alternate domain server?",
		[]string{"Add a new local DNS cache server.", "Add a new alternate domain server."}, 0)
	if kind == 0 {
		newServer(d, &cfg.DNS)
	} else {
		newAlternate(d, &cfg.DNS)
	}
}

func newServer(d *Dialog, dns *store.DNS) {
	if err := roomForServer(dns); err != nil {
		tell(d, err)
		return
	}
	addr := shell.Ask(d, "Please enter the IP address of your DNS server.", "", func(s string) (netip.AddrPort, error) {
		return freeServer(dns, s)
	})
	priority := askPriority(d, addr, 0)
	if d.Err() == nil {
		addServer(dns, store.DNSServer{Addr: addr, Priority: priority})
	}
}

func roomForServer(dns *store.DNS) error {
	if len(dns.Servers) >= store.MaxDNSServers {
		return shell.Refusedf("There is a maximum of %d DNS servers.", store.MaxDNSServers)
	}
	return nil
}

// freeServer reads a server that is not there yet.
func freeServer(dns *store.DNS, text string) (netip.AddrPort, error) {
	server, err := store.ParseDNSServer(text)
	if err != nil {
		return server, err
	}
	for _, s := range dns.Servers {
		if s.Addr == server {
			return server, shell.Refusedf("%s is already configured with priority %d.", store.FormatDNSServer(server), s.Priority)
		}
	}
	return server, nil
}

func askPriority(d *Dialog, server netip.AddrPort, current int) int {
	question := fmt.Sprintf("Please enter the priority for %s.\nA value of 0 has the highest priority.\n"+
		"The IP will be chosen at random if they have the same priority.", store.FormatDNSServer(server))
	return d.Int(question, current, 0, store.MaxDNSPriority)
}

// addServer puts a server in its place: the list shows, and the resolver asks,
// the best first.
func addServer(dns *store.DNS, s store.DNSServer) {
	dns.Servers = append(dns.Servers, s)
	slices.SortStableFunc(dns.Servers, func(a, b store.DNSServer) int { return a.Priority - b.Priority })
}

func newAlternate(d *Dialog, dns *store.DNS) {
	domain := shell.Ask(d, `Please enter the domain this server is authoritative for. (Ex: "com").`, "", store.ParseDomain)
	servers := shell.Ask(d, fmt.Sprintf("Please enter the IP address of the DNS server for %s.", domain), "", func(s string) ([]netip.AddrPort, error) {
		return moreServers(dns, domain, []string{s})
	})
	if d.Err() == nil {
		tell(d, addAlternate(dns, domain, servers))
	}
}

// moreServers reads servers that the domain does not have yet.
func moreServers(dns *store.DNS, domain string, texts []string) ([]netip.AddrPort, error) {
	servers, err := parseServers(texts)
	if err != nil {
		return nil, err
	}
	i := alternateIndex(dns, domain)
	if i < 0 {
		return servers, nil
	}
	known := dns.Alternates[i].Servers
	for _, server := range servers {
		if slices.Contains(known, server) {
			return nil, shell.Refusedf("%s already appears to be configured for domain %s.", store.FormatDNSServer(server), domain)
		}
	}
	return servers, roomForServers(len(known) + len(servers))
}

// parseServers reads the servers of a domain, each of which counts once.
func parseServers(texts []string) ([]netip.AddrPort, error) {
	var servers []netip.AddrPort
	for _, text := range texts {
		server, err := store.ParseDNSServer(text)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(servers, server) {
			servers = append(servers, server)
		}
	}
	return servers, roomForServers(len(servers))
}

func roomForServers(n int) error {
	if n > store.MaxDNSServers {
		return shell.Refusedf("There is a maximum of %d DNS servers for a domain.", store.MaxDNSServers)
	}
	return nil
}

func alternateIndex(dns *store.DNS, domain string) int {
	return slices.IndexFunc(dns.Alternates, func(a store.AlternateDNS) bool { return a.Domain == domain })
}

// addAlternate adds servers for a domain to those it has.
func addAlternate(dns *store.DNS, domain string, servers []netip.AddrPort) error {
	if i := alternateIndex(dns, domain); i >= 0 {
		dns.Alternates[i].Servers = append(dns.Alternates[i].Servers, servers...)
		return nil
	}
	if len(dns.Alternates) >= store.MaxAlternates {
		return shell.Refusedf("There is a maximum of %d alternate domains.", store.MaxAlternates)
	}
	dns.Alternates = append(dns.Alternates, store.AlternateDNS{Domain: domain, Servers: servers})
	return nil
}

func dnsEdit(d *Dialog, cfg *store.Config) {
	n := d.Pick("Enter the name or number of the server you wish to edit.", dnsNames(cfg), -1)
	if d.Err() != nil {
		return
	}
	if n < len(cfg.DNS.Servers) {
		editServer(d, &cfg.DNS, n)
	} else {
		editAlternate(d, &cfg.DNS.Alternates[n-len(cfg.DNS.Servers)])
	}
}

func editServer(d *Dialog, dns *store.DNS, n int) {
	s := dns.Servers[n]
	others := &store.DNS{Servers: slices.Delete(slices.Clone(dns.Servers), n, n+1)}
	s.Addr = shell.Ask(d, "Please enter the IP address of your DNS server.", store.FormatDNSServer(s.Addr), func(text string) (netip.AddrPort, error) {
		return freeServer(others, text)
	})
	s.Priority = askPriority(d, s.Addr, s.Priority)
	if d.Err() == nil {
		addServer(others, s)
		dns.Servers = others.Servers
	}
}

// editAlternate replaces the servers of an alternate domain.
func editAlternate(d *Dialog, a *store.AlternateDNS) {
	question := fmt.Sprintf("Please enter the IP addresses of the DNS servers for %s, separated by commas.", a.Domain)
	servers := shell.Ask(d, question, a.String(), func(s string) ([]netip.AddrPort, error) {
		return parseServers(strings.Split(s, ","))
	})
	if d.Err() == nil {
		a.Servers = servers
	}
}

func dnsDelete(d *Dialog, cfg *store.Config) {
	n := d.Pick("Enter the name or number of the server you wish to delete.", dnsNames(cfg), -1)
	if d.Err() == nil {
		deleteDNS(&cfg.DNS, n)
	}
}

// deleteDNS removes what has this place in dnsNames.
func deleteDNS(dns *store.DNS, n int) {
	if n < len(dns.Servers) {
		dns.Servers = slices.Delete(dns.Servers, n, n+1)
		return
	}
	n -= len(dns.Servers)
	dns.Alternates = slices.Delete(dns.Alternates, n, n+1)
}

func dnsSetup(d *Dialog, cfg *store.Config) {
	set := cfg.DNS
	set.Servers = slices.Clone(set.Servers)
	set.FromRoot = askRoot(d, set.FromRoot)
	for again := !set.FromRoot && len(set.Servers) == 0; again; {
		newServer(d, &set)
		again = d.YesNo("Do you want to enter another DNS IP address?", false)
	}
	set.Interface = chooseSource(d, cfg, "Choose the IP interface for DNS traffic.", set.Interface)
	set.ReverseTimeout = d.Int("Enter the number of seconds to wait before timing out reverse DNS lookups.", set.ReverseTimeout, 0, store.MaxReverseTimeout)
	set.MinTTL = d.Int("Enter the minimum TTL in seconds for DNS cache.", set.MinTTL, 0, store.MaxDNSCacheMinimum)
	if d.Err() == nil {
		cfg.DNS = set
	}
}

// askRoot asks who resolves.
func askRoot(d *Dialog, now bool) bool {
	current := 1
	if now {
		current = 0
	}
	return d.Choose("Do you want the Gateway to use the Internet's root DNS servers or would you like it to use your own DNS servers?",
		[]string{"Use Internet root DNS servers", "Use own DNS cache servers"}, current) == 0
}
