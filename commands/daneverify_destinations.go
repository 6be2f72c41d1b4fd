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
		rows = append(rows, t.outcome(found, cfg.DANE.InsecureMX))
	}
	slices.SortFunc(rows, func(a, b daneOutcome) int { return strings.Compare(a.domain, b.domain) })
	const format = "%-30s %-13s %-20s %-9s %s\n"
	d.Printf(format, "Domain", "DANE now", "Opportunistic", "Mandatory", "Why")
	for _, r := range rows {
		d.Printf(format, r.domain, r.now, r.opportunistic, r.mandatory, r.why)
	}
	return d.Err()
}

// daneOutcome is what DANE does to a destination now and would do to it, or at
// one host of its route.
type daneOutcome struct{ domain, now, opportunistic, mandatory, why string }

// daneTarget is a destination, and what its mail goes to: the domain itself, or
// the hosts of its SMTP route, those that are tried first before the others.
type daneTarget struct {
	domain string
	to     store.Destination
	hops   []daneHop
}

// daneHop is one of them. A trial without a domain stands for an address.
type daneHop struct {
	host  string // as the route names it; empty: there is no route
	trial DANETrial
}

// routeHops are the hosts of a route.
func routeHops(r *store.Route) []daneHop {
	var hops []daneHop
	hosts := slices.SortedStableFunc(slices.Values(r.Hosts), func(a, b store.RouteHost) int { return a.Priority - b.Priority })
	for _, h := range hosts {
		hop := daneHop{host: h.Host}
		if _, err := netip.ParseAddr(h.Host); err != nil {
			hop.trial = DANETrial{Domain: strings.ToLower(h.Host), Port: h.Port, Host: h.Bracketed}
		}
		hops = append(hops, hop)
	}
	return hops
}

// trialsTo are the trials of all targets, each once.
func trialsTo(targets []daneTarget) []DANETrial {
	var all []DANETrial
	seen := map[DANETrial]bool{{}: true}
	for _, t := range targets {
		for _, h := range t.hops {
			if !seen[h.trial] {
				seen[h.trial] = true
				all = append(all, h.trial)
			}
		}
	}
	return all
}

// outcome is that of the first host that mail gets to; without one it waits. Why
// is said of Mandatory, as for a domain without a route. A route to hosts that do
// not exist is an operator's fault, of which no sender is told.
func (t daneTarget) outcome(found map[DANETrial]*daneFindings, insecureMX bool) daneOutcome {
	now, byTLS := t.to.DANE.Text(), t.to.TLS.Text()
	var all []daneOutcome
	for _, h := range t.hops {
		o := daneOutcome{t.domain, now, "TLS " + byTLS, "waits", "an address has no TLSA record"}
		if f := found[h.trial]; f != nil {
			o = daneOutcome{t.domain, now, f.opportunistic(byTLS, insecureMX), f.mandatory(), strings.TrimPrefix(f.detail(), ": ")}
		}
		if h.host != "" {
			o.why = "SMTP route to " + h.host + ": " + o.why
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
		to, route := handling(name)
		decided := func(both, why string) {
			others = append(others, daneOutcome{name, to.DANE.Text(), both, both, why})
		}
		switch {
		case route != nil && route.Discard:
			decided("-", "mail to it is discarded (smtproutes)")
		case route != nil && !route.UseDNS && !cfg.DANE.RouteHosts:
			decided("waits", "SMTP route to "+route.String()+" (daneconfig)")
		case route != nil && !route.UseDNS:
			targets = append(targets, daneTarget{name, to, routeHops(route)})
		case strings.HasPrefix(name, "."):
			decided("-", "not one domain: try those below it")
		default:
			hop := daneHop{}
			if domain, err := parseMailDomain(name); err == nil {
				hop.trial.Domain = domain
			}
			targets = append(targets, daneTarget{name, to, []daneHop{hop}})
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
