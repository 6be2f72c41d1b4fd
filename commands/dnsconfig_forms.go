package commands

import (
	"slices"
	"strings"

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
		name := strings.ToLower(args[0])
		if server, err := store.ParseDNSServer(name); err == nil {
			name = store.FormatDNSServer(server)
		}
		n := slices.Index(dnsNames(cfg), name)
		if n < 0 {
			return shell.Refusedf("%s is neither a DNS server nor an alternate domain that is configured.", args[0])
		}
		what := "DNS server"
		if n >= len(cfg.DNS.Servers) {
			what = "Alternate DNS servers for"
		}
		deleteDNS(&cfg.DNS, n)
		d.Printf("%s %s removed.\n", what, name)
		return nil
	})
}

func dnsSetupForm(_ *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		return settings(args, func(key, value string) error {
			switch key {
			case "interface":
				return setSource(cfg, &cfg.DNS.Interface, value)
			case "reverse_timeout":
				return setNumber(&cfg.DNS.ReverseTimeout, value, 0, store.MaxReverseTimeout)
			default:
				return setNumber(&cfg.DNS.MinTTL, value, 0, store.MaxDNSCacheMinimum)
			}
		})
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
