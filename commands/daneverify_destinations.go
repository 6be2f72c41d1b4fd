package commands

import (
	"net/netip"
	"slices"
	"strings"

	"esa/store"
)

const daneProgress = 50 // trials of destinations

// daneDestinations tells what DANE would do to the domains that mail goes to.
func daneDestinations(d *Dialog, env Env, _ []string) error {
	cfg := env.Config()
	handling := env.DANE.Handling(cfg)
	targets, rows := mailDestinations(env, cfg)
	if len(targets)+len(rows) == 0 {
		d.Text("There is no destination: destconfig names no domain, and no mail is in the queue.")
		return d.Err()
	}
	trials := trialsTo(targets)
	found := map[DANETrial]*daneFindings{}
	err := tryMany(d, env, trials, func(f *daneFindings) {
		found[f.trial] = f
		if done := len(found); done%daneProgress == 0 {
			d.Printf("[%d/%d] %s\n", done, len(trials), f.Domain)
		}
	})
	if err != nil {
		return err
	}
	for _, t := range targets {
		to, _ := handling(t.domain)
		rows = append(rows, t.outcome(found, to.TLS.Text(), cfg.DANE.InsecureMX))
	}
	slices.SortFunc(rows, func(a, b daneOutcome) int { return strings.Compare(a.domain, b.domain) })
	const format = "%-30s %-13s %-20s %-9s %s\n"
	d.Printf(format, "Domain", "DANE now", "Opportunistic", "Mandatory", "Why")
	for _, r := range rows {
		to, _ := handling(r.domain)
		d.Printf(format, r.domain, to.DANE.Text(), r.opportunistic, r.mandatory, r.why)
	}
	return d.Err()
}

// daneOutcome is what DANE would do to a destination, or at one host of its
// route.
type daneOutcome struct{ domain, opportunistic, mandatory, why string }

// daneTarget is a destination, and what its mail goes to: the domain itself, or
// the hosts of its SMTP route, those that are tried first before the others. A
// trial without a domain stands for an address.
type daneTarget struct {
	domain string
	hosts  []string // as the route names them; nil: there is no route
	trials []DANETrial
}

// routed is a destination whose route names hosts.
func routed(domain string, r *store.Route) daneTarget {
	t := daneTarget{domain: domain}
	hosts := slices.SortedStableFunc(slices.Values(r.Hosts), func(a, b store.RouteHost) int { return a.Priority - b.Priority })
	for _, h := range hosts {
		trial := DANETrial{}
		if _, err := netip.ParseAddr(h.Host); err != nil {
			trial = DANETrial{Domain: strings.ToLower(h.Host), Port: h.Port, Host: h.Bracketed}
		}
		t.hosts, t.trials = append(t.hosts, h.Host), append(t.trials, trial)
	}
	return t
}

// trialsTo are the trials of all targets, each once.
func trialsTo(targets []daneTarget) []DANETrial {
	var all []DANETrial
	seen := map[DANETrial]bool{{}: true}
	for _, t := range targets {
		for _, trial := range t.trials {
			if !seen[trial] {
				seen[trial] = true
				all = append(all, trial)
			}
		}
	}
	return all
}

// outcome is that of the first host that mail gets to; without one it waits. Why
// is said of Mandatory, as for a domain without a route. A route to hosts that do
// not exist is an operator's fault, of which no sender is told.
func (t daneTarget) outcome(found map[DANETrial]*daneFindings, byTLS string, insecureMX bool) daneOutcome {
	var all []daneOutcome
	for i, trial := range t.trials {
		o := daneOutcome{t.domain, "TLS " + byTLS, "waits", "an address has no TLSA record"}
		if f := found[trial]; f != nil {
			o = daneOutcome{t.domain, f.opportunistic(byTLS, insecureMX), f.mandatory(), strings.TrimPrefix(f.detail(), ": ")}
		}
		if t.hosts != nil {
			o.why = "SMTP route to " + t.hosts[i] + ": " + o.why
			o.opportunistic, o.mandatory = strings.Replace(o.opportunistic, "bounces", "waits", 1), strings.Replace(o.mandatory, "bounces", "waits", 1)
		}
		all = append(all, o)
	}
	first := func(word func(daneOutcome) string) daneOutcome {
		return all[max(0, slices.IndexFunc(all, func(o daneOutcome) bool { return word(o) != "waits" }))]
	}
	told := first(func(o daneOutcome) string { return o.mandatory })
	told.opportunistic = first(func(o daneOutcome) string { return o.opportunistic }).opportunistic
	return told
}

// mailDestinations lists the destinations of destconfig and of the queue, apart
// those that an SMTP route or their form decides about.
func mailDestinations(env Env, cfg *store.Config) (targets []daneTarget, others []daneOutcome) {
	seen, handling := map[string]bool{}, env.DANE.Handling(cfg)
	add := func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		domain, err := parseMailDomain(name)
		to, route := handling(name)
		switch {
		case route != nil && route.Discard:
			others = append(others, daneOutcome{name, "-", "-", "mail to it is discarded (smtproutes)"})
		case route != nil && !route.UseDNS && !cfg.DANE.RouteHosts:
			others = append(others, daneOutcome{name, "waits", "waits", "SMTP route to " + route.String() + " (daneconfig)"})
		case route != nil && !route.UseDNS:
			targets = append(targets, routed(name, route))
		case strings.HasPrefix(name, "."):
			others = append(others, daneOutcome{name, "-", "-", "not one domain: try those below it"})
		case err != nil:
			others = append(others, daneOutcome{name, "TLS " + to.TLS.Text(), "waits", "an address has no TLSA record"})
		default:
			targets = append(targets, daneTarget{domain: name, trials: []DANETrial{{Domain: domain}}})
		}
	}
	for _, e := range cfg.Destinations.Entries {
		add(e.Domain)
	}
	// Without a gateway the queue is not known: the configuration is.
	hosts, _ := env.Look.Hosts()
	slices.SortFunc(hosts, func(a, b Host) int { return strings.Compare(a.Domain, b.Domain) })
	for _, h := range hosts {
		if h.Active > 0 {
			add(h.Domain)
		}
	}
	return targets, others
}
