package commands

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
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
domain and everything below it, instead of the others. This build asks your own
servers; it cannot resolve from the root servers itself.`,
		Commit: true,
		Forms: []Form{
			{Usage: "dnsconfig new SERVER [PRIORITY]", Run: dnsNewForm},
			{Usage: "dnsconfig alternate DOMAIN SERVER...", Run: dnsAlternateForm},
			{Usage: "dnsconfig delete SERVER", Run: dnsDeleteForm},
			{Usage: "dnsconfig setup [interface=NAME|auto] [reverse_timeout=SECONDS] [min_ttl=SECONDS]", Run: dnsSetupForm},
			{Usage: "dnsconfig print", Run: dnsPrintForm},
			{Usage: "dnsconfig probe SERVER", Run: dnsProbeForm},
		},
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
			}
		}
		return d.Err()
	})
}

func dnsMenu(cfg *store.Config) []shell.Op {
	ops := []shell.Op{{Word: "NEW", Text: "Add a new server."}}
	if len(cfg.DNS.Servers)+len(cfg.DNS.Alternates) > 0 {
		ops = append(ops, shell.Op{Word: "EDIT", Text: "Edit a server."}, shell.Op{Word: "DELETE", Text: "Remove a server."})
	}
	return append(ops, shell.Op{Word: "SETUP", Text: "Configure general settings."})
}

// dnsEntries lists servers and alternates in the order of their numbers.
func dnsEntries(cfg *store.Config) []string {
	var entries []string
	for _, s := range cfg.DNS.Servers {
		entries = append(entries, fmt.Sprintf("Priority: %d  %s", s.Priority, store.FormatDNSServer(s.Addr)))
	}
	for _, a := range cfg.DNS.Alternates {
		entries = append(entries, fmt.Sprintf("%s: %s", a.Domain, a))
	}
	return entries
}

func dnsSummary(cfg *store.Config) string {
	var b strings.Builder
	if len(cfg.DNS.Servers) == 0 {
		b.WriteString("Currently no DNS servers are configured.\n")
	} else {
		b.WriteString("Currently using the local DNS cache servers:\n")
	}
	for i, entry := range dnsEntries(cfg) {
		if i == len(cfg.DNS.Servers) {
			b.WriteString("Alternate servers:\n")
		}
		fmt.Fprintf(&b, "%d. %s\n", i+1, entry)
	}
	return b.String()
}

func dnsNew(d *Dialog, cfg *store.Config) {
	kind := d.Choose("Do you want to add a new local DNS cache server or an alternate domain server?",
		[]string{"Add a new local DNS cache server.", "Add a new alternate domain server."}, 0)
	if kind == 1 {
		a := askAlternate(d, cfg)
		if d.Err() == nil {
			tell(d, addAlternate(cfg, a))
		}
		return
	}
	if s := askServer(d, cfg); d.Err() == nil {
		tell(d, addServer(cfg, s))
	}
}

// askServer asks for a server that is not there yet.
func askServer(d *Dialog, cfg *store.Config) store.DNSServer {
	addr := shell.Ask(d, "Please enter the IP address of your DNS server.", "", func(s string) (netip.AddrPort, error) {
		return newServer(cfg, s)
	})
	return store.DNSServer{Addr: addr, Priority: askPriority(d, addr, 0)}
}

// newServer reads a server that is not there yet.
func newServer(cfg *store.Config, text string) (netip.AddrPort, error) {
	server, err := store.ParseDNSServer(text)
	if err != nil {
		return server, err
	}
	for _, s := range cfg.DNS.Servers {
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

func addServer(cfg *store.Config, s store.DNSServer) error {
	if len(cfg.DNS.Servers) >= store.MaxDNSServers {
		return shell.Refusedf("There is a maximum of %d DNS servers.", store.MaxDNSServers)
	}
	cfg.DNS.Servers = append(cfg.DNS.Servers, s)
	// The list shows, and the resolver asks, the best first.
	slices.SortStableFunc(cfg.DNS.Servers, func(a, b store.DNSServer) int { return a.Priority - b.Priority })
	return nil
}

func askAlternate(d *Dialog, cfg *store.Config) store.AlternateDNS {
	a := store.AlternateDNS{
		Domain: shell.Ask(d, "Please enter the domain this server is authoritative for. (Ex: \"com\").", "", parseAlternateDomain),
	}
	server := shell.Ask(d, fmt.Sprintf("Please enter the IP address of the DNS server for %s.", a.Domain), "",
		func(s string) (netip.AddrPort, error) { return newAlternateServer(cfg, a.Domain, s) })
	a.Servers = []netip.AddrPort{server}
	return a
}

func parseAlternateDomain(text string) (string, error) {
	domain, err := store.ParseHostname(text)
	return strings.ToLower(domain), err
}

// newAlternateServer reads a server that the domain does not have yet.
func newAlternateServer(cfg *store.Config, domain, text string) (netip.AddrPort, error) {
	server, err := store.ParseDNSServer(text)
	if err != nil {
		return server, err
	}
	for _, a := range cfg.DNS.Alternates {
		if a.Domain == domain && slices.Contains(a.Servers, server) {
			return server, shell.Refusedf("%s already appears to be configured for domain %s.", store.FormatDNSServer(server), domain)
		}
	}
	return server, nil
}

// addAlternate adds servers for a domain to those it has.
func addAlternate(cfg *store.Config, a store.AlternateDNS) error {
	i := slices.IndexFunc(cfg.DNS.Alternates, func(o store.AlternateDNS) bool { return o.Domain == a.Domain })
	if i >= 0 {
		cfg.DNS.Alternates[i].Servers = append(cfg.DNS.Alternates[i].Servers, a.Servers...)
		return nil
	}
	if len(cfg.DNS.Alternates) >= store.MaxAlternates {
		return shell.Refusedf("There is a maximum of %d alternate domains.", store.MaxAlternates)
	}
	cfg.DNS.Alternates = append(cfg.DNS.Alternates, a)
	return nil
}

func dnsEdit(d *Dialog, cfg *store.Config) {
	n := d.Pick("Enter the number of the server you wish to edit.", dnsEntries(cfg), -1)
	if d.Err() != nil {
		return
	}
	if n >= len(cfg.DNS.Servers) {
		editAlternate(d, cfg, n-len(cfg.DNS.Servers))
		return
	}
	s := cfg.DNS.Servers[n]
	old := s.Addr
	s.Addr = shell.Ask(d, "Please enter the IP address of your DNS server.", store.FormatDNSServer(old), func(text string) (netip.AddrPort, error) {
		if same, err := store.ParseDNSServer(text); err == nil && same == old {
			return same, nil
		}
		return newServer(cfg, text)
	})
	s.Priority = askPriority(d, s.Addr, s.Priority)
	if d.Err() != nil {
		return
	}
	cfg.DNS.Servers = slices.Delete(cfg.DNS.Servers, n, n+1)
	tell(d, addServer(cfg, s))
}

// editAlternate replaces the servers of an alternate domain.
func editAlternate(d *Dialog, cfg *store.Config, n int) {
	a := cfg.DNS.Alternates[n]
	question := fmt.Sprintf("Please enter the IP addresses of the DNS servers for %s, separated by commas.", a.Domain)
	servers := shell.Ask(d, question, a.String(), func(s string) ([]netip.AddrPort, error) {
		return parseServers(strings.Split(s, ","))
	})
	if d.Err() == nil {
		cfg.DNS.Alternates[n].Servers = servers
	}
}

// parseServers reads several servers, each of which counts once.
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
	return servers, nil
}

func dnsDelete(d *Dialog, cfg *store.Config) {
	n := d.Pick("Enter the number of the server you wish to delete.", dnsEntries(cfg), -1)
	if d.Err() == nil {
		deleteDNS(cfg, n)
	}
}

// deleteDNS removes an entry by its place in dnsEntries.
func deleteDNS(cfg *store.Config, n int) {
	if n < len(cfg.DNS.Servers) {
		cfg.DNS.Servers = slices.Delete(cfg.DNS.Servers, n, n+1)
		return
	}
	n -= len(cfg.DNS.Servers)
	cfg.DNS.Alternates = slices.Delete(cfg.DNS.Alternates, n, n+1)
}

func dnsSetup(d *Dialog, cfg *store.Config) {
	set := cfg.DNS
	set.Servers = slices.Clone(set.Servers)
	for {
		source := d.Choose("Do you want the Gateway to use the Internet's root DNS servers or would you like it to use your own DNS servers?",
			[]string{"Use Internet root DNS servers", "Use own DNS cache servers"}, 1)
		if source == 1 || !d.Refuse(shell.Refusedf("This build does not resolve from the root DNS servers. Use your own DNS cache servers.")) {
			break
		}
	}
	if len(set.Servers) == 0 {
		more := *cfg
		more.DNS = set
		for again := true; again; again = d.YesNo("Do you want to enter another DNS IP address?", false) {
			if s := askServer(d, &more); d.Err() == nil {
				tell(d, addServer(&more, s))
			}
		}
		set.Servers = more.DNS.Servers
	}
	set.Interface = chooseInterface(d, "Choose the IP interface for DNS traffic.", cfg, set.Interface)
	set.ReverseTimeout = d.Int("Enter the number of seconds to wait before timing out reverse DNS lookups.", set.ReverseTimeout, 0, store.MaxReverseTimeout)
	set.MinTTL = d.Int("Enter the minimum TTL in seconds for DNS cache.", set.MinTTL, 0, store.MaxDNSCacheMinimum)
	if d.Err() == nil {
		cfg.DNS = set
	}
}

func dnsNewForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		server, err := newServer(cfg, args[0])
		if err != nil {
			return err
		}
		s := store.DNSServer{Addr: server}
		if len(args) > 1 {
			if s.Priority, err = strconv.Atoi(args[1]); err != nil || s.Priority < 0 || s.Priority > store.MaxDNSPriority {
				return shell.Refusedf("The priority must be a number from 0 to %d.", store.MaxDNSPriority)
			}
		}
		if err := addServer(cfg, s); err != nil {
			return err
		}
		d.Printf("DNS server %s added.\n", store.FormatDNSServer(server))
		return nil
	})
}

func dnsAlternateForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		domain, err := parseAlternateDomain(args[0])
		if err != nil {
			return err
		}
		for _, text := range args[1:] {
			if _, err := newAlternateServer(cfg, domain, text); err != nil {
				return err
			}
		}
		servers, err := parseServers(args[1:])
		if err != nil {
			return err
		}
		if err := addAlternate(cfg, store.AlternateDNS{Domain: domain, Servers: servers}); err != nil {
			return err
		}
		d.Printf("Alternate DNS servers for %s added.\n", domain)
		return nil
	})
}

func dnsDeleteForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		server, err := store.ParseDNSServer(args[0])
		for i, s := range cfg.DNS.Servers {
			if err == nil && s.Addr == server {
				deleteDNS(cfg, i)
				d.Printf("DNS server %s removed.\n", store.FormatDNSServer(server))
				return nil
			}
		}
		for i, a := range cfg.DNS.Alternates {
			if strings.EqualFold(a.Domain, args[0]) {
				deleteDNS(cfg, len(cfg.DNS.Servers)+i)
				d.Printf("Alternate DNS servers for %s removed.\n", a.Domain)
				return nil
			}
		}
		return shell.Refusedf("%s is neither a DNS server nor an alternate domain that is configured.", args[0])
	})
}

func dnsSetupForm(_ *Dialog, env Env, args []string) error {
	words, err := shell.Settings(args)
	if err != nil {
		return err
	}
	return env.Edit(func(cfg *store.Config) error {
		for key, value := range words {
			var err error
			switch key {
			case "interface":
				err = setSource(cfg, &cfg.DNS.Interface, value)
			case "reverse_timeout":
				err = setNumber(&cfg.DNS.ReverseTimeout, value, 0, store.MaxReverseTimeout)
			default:
				err = setNumber(&cfg.DNS.MinTTL, value, 0, store.MaxDNSCacheMinimum)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func dnsPrintForm(d *Dialog, env Env, _ []string) error {
	d.Text(dnsSummary(env.Config()))
	return d.Err()
}

func dnsProbeForm(d *Dialog, env Env, args []string) error {
	server, err := store.ParseDNSServer(args[0])
	if err != nil {
		return refused(err)
	}
	d.Text(env.Gateway.ProbeDNS(d.Context(), server))
	return d.Err()
}
