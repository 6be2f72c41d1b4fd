package store

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// OpensRelay gives one line for each way in which to would pass on mail for
// strangers and from did not: hosts of the internet at large that a listener
// relays for, or domains at large that a public listener takes. What was open
// before is not told again, unless it is reached at another address.
func OpensRelay(from, to *Config) []string {
	before := map[string]bool{}
	for _, line := range relays(from) {
		before[line] = true
	}
	var opened []string
	for _, line := range relays(to) {
		if !before[line] {
			opened = append(opened, line)
		}
	}
	return opened
}

func relays(c *Config) []string {
	var lines []string
	for _, l := range c.Listeners {
		place := l.place()
		for _, a := range c.Addresses(l) {
			place += " " + a.String()
		}
		wide, total := wideSenders(l)
		for _, host := range wide {
			lines = append(lines, fmt.Sprintf("%s relays for %s", place, host))
		}
		// Many small networks make a large one.
		if len(wide) == 0 && total > 1<<24 {
			lines = append(lines, fmt.Sprintf("%s relays for %d addresses of the internet", place, total))
		}
		for _, e := range l.RAT {
			if e.Accept && (e.Address == allHosts || topLevel(e.Address)) {
				lines = append(lines, fmt.Sprintf("%s accepts mail for %s", place, e.Address))
			}
		}
	}
	return lines
}

// wideSenders gives the members that l relays for and that stand for many
// hosts of others, and how many public IPv4 addresses it relays for in all.
// That an earlier group may refuse some of them is not counted in favour.
func wideSenders(l Listener) (wide []string, total uint64) {
	for _, g := range l.HAT.Groups {
		behavior, _, _ := l.HAT.Resolve(g)
		// Without a recipient table, to accept is to relay.
		if behavior != Relay && (behavior != Accept || l.Type == Public) {
			continue
		}
		for _, host := range g.Hosts {
			from, to, isAddrs := senderRange(host)
			switch {
			case host == allHosts, topLevel(host), anyStranger(host), isAddrs && from.Is6() && wide6(from, to):
				wide = append(wide, host)
			case isAddrs && from.Is4() && !internal(from, to):
				n := uint64(v4number(to)-v4number(from)) + 1
				if total += n; n > 1<<24 {
					wide = append(wide, host)
				}
			}
		}
	}
	return wide, total
}

// topLevel reports whether a partial domain is a whole top-level domain.
func topLevel(host string) bool {
	return strings.HasPrefix(host, ".") && !strings.Contains(host[1:], ".")
}

// anyStranger reports whether a member is hosts by what DNS says of them,
// wherever they are.
func anyStranger(host string) bool {
	return hasListPrefix(host) || slices.Contains([]string{"nx.domain", "serv.fail", "not.double.verified"}, host)
}

// wide6 reports whether an IPv6 range is more than one provider's network.
func wide6(from, to netip.Addr) bool {
	a, b := from.As16(), to.As16()
	return string(a[:4]) != string(b[:4]) && !internal(from, to)
}

// internal reports whether a range lies in one block that is never routed on
// the internet.
func internal(from, to netip.Addr) bool {
	for _, block := range []string{"10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10"} {
		if p := netip.MustParsePrefix(block); p.Contains(from) && p.Contains(to) {
			return true
		}
	}
	return false
}
