package commands

import (
	"esa/shell"
	"esa/store"
)

func dnsNewForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		if err := roomForServer(&cfg.DNS); err != nil {
			return err
		}
		addr, err := freeServer(&cfg.DNS, args[0])
		if err != nil {
			return err
		}
		s := store.DNSServer{Addr: addr}
		if len(args) > 1 {
			if err := setNumber(&s.Priority, args[1], 0, store.MaxDNSPriority); err != nil {
				return err
			}
		}
		addServer(&cfg.DNS, s)
		d.Printf("DNS server %s added.\n", store.FormatDNSServer(addr))
		return nil
	})
}

func dnsAlternateForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		domain, err := store.ParseDomain(args[0])
		if err != nil {
			return err
		}
		servers, err := moreServers(&cfg.DNS, domain, args[1:])
		if err != nil {
			return err
		}
		if err := addAlternate(&cfg.DNS, domain, servers); err != nil {
			return err
		}
		d.Printf("Alternate DNS servers for %s added.\n", domain)
		return nil
	})
}

func dnsDeleteForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		text := args[0]
		if server, err := store.ParseDNSServer(text); err == nil {
			text = store.FormatDNSServer(server)
		}
		n := find(dnsNames(cfg), text)
		if n < 0 {
			return shell.Refusedf("%s is neither a DNS server nor an alternate domain that is configured.", args[0])
		}
		name, what := dnsNames(cfg)[n], "DNS server"
		if n >= len(cfg.DNS.Servers) {
			what = "Alternate DNS servers for"
		}
		deleteDNS(&cfg.DNS, n)
		d.Printf("%s %s removed.\n", what, name)
		return nil
	})
}

// dnsKeys lists the keys of the one-line form of SETUP, in the order of the
// dialog.
func dnsKeys(cfg *store.Config, dns *store.DNS) []key {
	return []key{
		{"root", "yes|no", yesNo(&dns.FromRoot)},
		{"interface", "NAME|auto", source(cfg, &dns.Interface)},
		{"reverse_timeout", "SECONDS", number(&dns.ReverseTimeout, 0, store.MaxReverseTimeout)},
		{"min_ttl", "SECONDS", number(&dns.MinTTL, 0, store.MaxDNSCacheMinimum)},
	}
}

func dnsSetupForm(_ *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error { return setKeys(dnsKeys(cfg, &cfg.DNS), args) })
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
