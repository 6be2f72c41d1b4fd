package store

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Bounds of the routing table.
const (
	MaxRoutes       = 40000 // the default route counts
	MaxDestinations = 50
	MaxRouteText    = 16 << 10 // bytes of the destinations of one route
)

// The destinations that are words.
const (
	useDNS  = "USEDNS"
	discard = "/dev/null"
)

// Route says where mail for a domain goes. Exactly one of Hosts, UseDNS and
// Discard is set. Whatever their order, the most specific route wins.
type Route struct {
	Domain  string // "example.com", ".example.com", "[192.0.2.1]" or "ALL"
	Hosts   []RouteHost
	UseDNS  bool // by MX as if there were no route
	Discard bool // /dev/null
}

func (r Route) key() string { return r.Domain }

// RouteHost is one destination.
type RouteHost struct {
	Host      string // a host name or an address
	Bracketed bool   // by address records, ignoring MX
	Port      uint16 // 0: 25
	Priority  int    // 0 first; equal ones take turns
}

// String gives the destinations of r in the form that ParseRouteHosts reads.
func (r Route) String() string {
	switch {
	case r.UseDNS:
		return useDNS
	case r.Discard:
		return discard
	}
	hosts := make([]string, len(r.Hosts))
	for i, h := range r.Hosts {
		hosts[i] = h.String()
	}
	return strings.Join(hosts, ", ")
}

// String gives "host", "[host]", "host:port", "[v6]:port", each with
// "/pri=N" behind it if there is a priority.
func (h RouteHost) String() string {
	text := h.Host
	if h.Bracketed || h.Port != 0 && strings.Contains(h.Host, ":") {
		text = "[" + text + "]"
	}
	if h.Port != 0 {
		text += fmt.Sprintf(":%d", h.Port)
	}
	if h.Priority != 0 {
		text += fmt.Sprintf("/pri=%d", h.Priority)
	}
	return text
}

// ParseRouteDomain reads the domain of a route and gives its one form: lower
// case, an address in brackets, ALL in capitals.
func ParseRouteDomain(text string) (string, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return "", errBlank
	case strings.EqualFold(text, allHosts):
		return allHosts, nil
	case strings.HasPrefix(text, "["):
		return parseLiteral(text)
	}
	return parseDomain(strings.TrimSuffix(text, "."))
}

// ParseRouteHosts reads destinations as they are typed: USEDNS or /dev/null by
// itself, or hosts separated by commas. The Route it gives has no domain.
func ParseRouteHosts(text string) (Route, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return Route{}, errBlank
	case len(text) > MaxRouteText:
		return Route{}, refuse("The value must not be longer than %d bytes.", MaxRouteText)
	case strings.EqualFold(text, useDNS):
		return Route{UseDNS: true}, nil
	case text == discard:
		return Route{Discard: true}, nil
	}
	var r Route
	for part := range strings.SplitSeq(text, ",") {
		h, err := parseRouteHost(strings.TrimSpace(part))
		if err != nil {
			return Route{}, err
		}
		r.Hosts = append(r.Hosts, h)
	}
	return r, r.checkHosts()
}

func parseRouteHost(text string) (RouteHost, error) {
	var h RouteHost
	if strings.EqualFold(text, useDNS) || text == discard {
		return h, refuse("The value %s must be entered by itself.", text)
	}
	if text == "" {
		return h, errBlank
	}
	name, pri, hasPri := strings.Cut(text, "/pri=")
	if hasPri {
		n, err := strconv.ParseUint(pri, 10, 16)
		if err != nil {
			return h, refuse("The priority must be a number from 0 to 65535.")
		}
		h.Priority = int(n)
	}
	if _, err := netip.ParseAddr(name); err != nil { // not a bare IPv6 address
		var port string
		if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, ']') {
			name, port = name[:i], name[i+1:]
			n, err := ParsePort(port)
			if err != nil {
				return h, err
			}
			h.Port = n
		}
	}
	if inner, ok := strings.CutPrefix(name, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); !ok {
			return h, refuse("A square bracket is not closed.")
		}
		name, h.Bracketed = inner, true
	}
	return h.named(name)
}

// named gives h its host. Brackets around an address say nothing more than
// the address does.
func (h RouteHost) named(name string) (RouteHost, error) {
	if addr, err := netip.ParseAddr(name); err == nil {
		if addr.Zone() != "" || addr.IsUnspecified() || addr.IsMulticast() || addr.Is4In6() {
			return RouteHost{}, refuse("The IP address %q is not one of a host.", name)
		}
		h.Host, h.Bracketed = addr.String(), false
		return h, nil
	}
	host, err := ParseHostname(name)
	if err != nil {
		return RouteHost{}, err
	}
	h.Host = strings.ToLower(host)
	return h, nil
}

// checkHosts looks at the destinations together.
func (r Route) checkHosts() error {
	if len(r.Hosts) > MaxDestinations {
		return refuse("Routes may not contain more than %d destinations.", MaxDestinations)
	}
	for i, h := range r.Hosts {
		first := slices.IndexFunc(r.Hosts, func(o RouteHost) bool { return o.Host == h.Host })
		if first == i {
			continue
		}
		if port := r.Hosts[first].Port; port != 0 {
			return refuse("The host %s already has an alternate port (%d).", h.Host, port)
		}
		return refuse("The host %s is already using the standard port.", h.Host)
	}
	return nil
}

// check looks at one route by the rules that hold when it is typed.
func (r Route) check() error {
	if domain, err := ParseRouteDomain(r.Domain); err != nil {
		return err
	} else if domain != r.Domain {
		return refuse("The domain must be written %q.", domain)
	}
	kinds := 0
	for _, is := range []bool{len(r.Hosts) > 0, r.UseDNS, r.Discard} {
		if is {
			kinds++
		}
	}
	if kinds != 1 {
		return refuse("A route must have destination hosts, USEDNS or /dev/null, and only one of these.")
	}
	for _, h := range r.Hosts {
		if parsed, err := parseRouteHost(h.String()); err != nil {
			return err
		} else if parsed != h {
			return refuse("The destination %q must be written %q.", h, parsed)
		}
	}
	return r.checkHosts()
}

func (c *Config) validateRoutes(p *problems) {
	if len(c.Routes) > MaxRoutes {
		p.at("SMTP routes", "smtproutes -> DELETE")("There is a maximum of %d routes.", MaxRoutes)
	}
	seen := make(map[string]bool, len(c.Routes))
	for _, r := range c.Routes {
		report := p.at(fmt.Sprintf("route %q", r.Domain), "smtproutes -> EDIT")
		if err := r.check(); err != nil {
			report("%v", err)
		}
		if err := duplicateRoute(seen, r.Domain); err != nil {
			report("%v", err)
		}
	}
}

// duplicateRoute notes the domain and refuses it the second time.
func duplicateRoute(seen map[string]bool, domain string) error {
	switch {
	case !seen[domain]:
		seen[domain] = true
		return nil
	case domain == allHosts:
		return refuse("There is already a default route set.")
	}
	return refuse("The value %s is already in the routing table.", domain)
}
