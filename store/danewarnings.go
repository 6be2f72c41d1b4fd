package store

import (
	"fmt"
	"net/netip"
	"strings"
)

// WantsDANE reports whether DANE is looked for at any destination.
func (c *Config) WantsDANE() bool {
	wanted := c.Destinations.Default.DANE.Wanted()
	for _, e := range c.Destinations.Entries {
		wanted = wanted || e.DANE.Wanted()
	}
	return wanted
}

// shownDomains is how many domains one warning names.
const shownDomains = 5

// warnDANE tells what DANE does that its operator may not have meant
// (reference dane-dnssec 1.1, S9 and S10, and 1.4).
func (c *Config) warnDANE(p *problems) {
	if !c.WantsDANE() {
		return
	}
	f := newDestinationFinder(c)
	f.warnRoutes(c, p)
	f.warnOwnDomains(c, p)
	for _, e := range append([]Destination{c.Destinations.Default}, c.Destinations.Entries...) {
		whole := e.Within(c.Destinations.Default)
		if (e.Domain == "" || e.DANE != DANEInherit || e.TLS != TLSInherit) && whole.DANE == DANEOpportunistic && whole.TLS == TLSOff {
			p.at(destinationPlace(e.Domain), destinationFix(e.Domain)+" use_tls=on")(
				"DANE is Opportunistic and TLS is No: mail to hosts without DANE goes in clear.")
		}
	}
}

func destinationPlace(domain string) string {
	if domain == "" {
		return "default destination"
	}
	return fmt.Sprintf("destination %q", domain)
}

// destinationFix begins the command that changes a destination.
func destinationFix(domain string) string {
	if domain == "" {
		domain = "default"
	}
	return "destconfig edit " + domain
}

// destinationFinder finds what holds for a domain, however many there are.
type destinationFinder struct {
	entries  map[string]Destination
	routes   map[string]Route
	defaults Destination
}

func newDestinationFinder(c *Config) destinationFinder {
	f := destinationFinder{entries: map[string]Destination{}, routes: map[string]Route{}, defaults: c.Destinations.Default}
	for _, e := range c.Destinations.Entries {
		f.entries[e.Domain] = e.Within(f.defaults)
	}
	for _, r := range c.Routes {
		f.routes[strings.ToLower(r.Domain)] = r
	}
	return f
}

// closest gives the row of a domain, or of the longest partial domain above.
func closest[V any](rows map[string]V, domain string) (row V, ok bool) {
	for name := domain; !ok && name != ""; {
		row, ok = rows[name]
		if dot := strings.IndexByte(name[1:], '.'); dot >= 0 && !strings.HasPrefix(name, "[") {
			name = name[1+dot:]
		} else {
			name = ""
		}
	}
	return row, ok
}

// find gives what holds for a domain, an address in brackets, or the domain of
// a route, which may be ALL.
func (f destinationFinder) find(domain string) Destination {
	if e, ok := closest(f.entries, strings.Trim(strings.ToLower(domain), "[]")); ok {
		return e
	}
	return f.defaults
}

// off is the command that switches DANE off for a domain, or for ALL.
func (f destinationFinder) off(domain string) string {
	command := "destconfig new " + domain
	if _, there := f.entries[domain]; there {
		command = destinationFix(domain)
	} else if strings.EqualFold(domain, "ALL") {
		command = destinationFix("")
	}
	return command + " dane=none"
}

// diverts reports whether a route sends mail for a domain elsewhere than DNS
// says.
func (f destinationFinder) diverts(domain string) (Route, bool) {
	if _, err := netip.ParseAddr(domain); err == nil {
		domain = "[" + domain + "]"
	}
	r, ok := closest(f.routes, domain)
	if !ok {
		r, ok = f.routes["all"]
	}
	return r, ok && !r.UseDNS && !r.Discard
}

// warnRoutes tells of mail that waits, and then bounces, because a route
// stands between DANE and the mail hosts of its domain.
func (f destinationFinder) warnRoutes(c *Config, p *problems) {
	warned := map[string]bool{}
	warn := func(domain string, mode DANEMode, r Route) {
		domain = strings.Trim(domain, "[]")
		if warned[domain] {
			return
		}
		name := domain
		if strings.EqualFold(domain, "ALL") {
			name = "domains without a route of their own"
		}
		switch {
		case !c.DANE.RouteHosts:
			warned[domain] = true
			p.at(fmt.Sprintf("route %q", r.Domain), "daneconfig, or "+f.off(domain))(
				"Mail to %s will wait and bounce: DANE is %s, and fails for SMTP routes other than USEDNS.", name, mode.Text())
		case mode == DANEMandatory && r.toAddresses():
			warned[domain] = true
			p.at(fmt.Sprintf("route %q", r.Domain), f.off(domain))(
				"Mail to %s will wait and bounce: DANE is Mandatory, and an address has no TLSA record.", name)
		}
	}
	for _, r := range c.Routes {
		if mode := f.find(r.Domain).DANE; mode.Wanted() && !r.UseDNS && !r.Discard {
			warn(r.Domain, mode, r)
		}
	}
	for _, e := range c.Destinations.Entries {
		if r, ok := f.diverts(e.Domain); ok && e.DANE.Wanted() {
			warn(e.Domain, e.DANE, r)
		}
	}
}

// toAddresses reports whether every host of a route is an address.
func (r Route) toAddresses() bool {
	for _, h := range r.Hosts {
		if !strings.Contains(h.Host, ":") && strings.Trim(h.Host, "0123456789.") != "" {
			return false
		}
	}
	return true
}

// warnOwnDomains tells of domains that mail comes in for and goes out to: hosts
// that relay here are held to what DNS says of them.
func (f destinationFinder) warnOwnDomains(c *Config, p *problems) {
	var own []string
	seen := map[string]bool{}
	for _, l := range c.Listeners {
		if l.Type != Public {
			continue
		}
		for _, domain := range l.ownDomains() {
			if f.find(domain).DANE.Wanted() && !seen[domain] {
				seen[domain] = true
				own = append(own, domain)
			}
		}
	}
	if len(own) == 0 {
		return
	}
	names := strings.Join(own[:min(len(own), shownDomains)], ", ")
	if more := len(own) - shownDomains; more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	p.at("DANE", f.off(own[0]))(
		"It is on for domains that listeners take mail for (%s): mail to them from hosts that may relay waits if their mail hosts do not pass.", names)
}
