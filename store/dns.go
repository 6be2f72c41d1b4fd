package store

import (
	"fmt"
	"net/netip"
	"strings"
)

// Bounds of the DNS section.
const (
	MaxDNSServers      = 20   // local servers, and servers of one alternate domain
	MaxAlternates      = 1000 // domains with servers of their own
	MaxDNSPriority     = 65535
	MaxRootServers     = 100
	MaxTrustAnchors    = 200
	MaxReverseTimeout  = 300   // seconds; 0 switches reverse lookups off
	MaxDNSCacheMinimum = 86400 // seconds
)

// DNS is whom the resolver asks.
type DNS struct {
	Servers        []DNSServer    `label:"Local DNS cache servers"`
	Alternates     []AlternateDNS `label:"Alternate DNS servers"`
	Interface      string         `label:"IP interface for DNS traffic"` // empty: Auto
	ReverseTimeout int            `label:"Seconds to wait before timing out reverse DNS lookups"`
	MinTTL         int            `label:"Minimum TTL in seconds for DNS cache"`
	FromRoot       bool           `label:"Use the Internet root DNS servers"` // and not Servers
	Roots          []RootServer   `label:"Root DNS servers" zero:"Built in"`
	Anchors        []string       `label:"Trust anchors"` // DS and DNSKEY records in zone-file form, beside the root's keys
}

// RootServer is an address of a name server of the root.
type RootServer struct {
	Name string // lower case, without final dot
	Addr netip.AddrPort
}

func (r RootServer) String() string { return r.Name + " " + FormatDNSServer(r.Addr) }

// DNSServer is one server; the lowest priority number is asked first.
type DNSServer struct {
	Addr     netip.AddrPort
	Priority int
}

func (s DNSServer) String() string {
	return fmt.Sprintf("%s (priority %d)", FormatDNSServer(s.Addr), s.Priority)
}

// AlternateDNS names the servers to ask for one domain and what is below it.
type AlternateDNS struct {
	Domain  string           `label:"Domain"`
	Servers []netip.AddrPort `label:"Servers"`
}

func (a AlternateDNS) key() string { return a.Domain }

func (a AlternateDNS) String() string {
	servers := make([]string, len(a.Servers))
	for i, s := range a.Servers {
		servers[i] = FormatDNSServer(s)
	}
	return strings.Join(servers, ", ")
}

// dnsPort is where a server is asked when no port is given.
const dnsPort = 53

// ParseDNSServer reads the address of a server: "192.0.2.1", "2001:db8::1",
// or with a port, "192.0.2.1:5353", "[::1]:53".
func ParseDNSServer(text string) (netip.AddrPort, error) {
	text = strings.TrimSpace(text)
	server, err := netip.ParseAddrPort(text)
	if err != nil {
		var addr netip.Addr
		addr, err = netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
		server = netip.AddrPortFrom(addr, dnsPort)
	}
	if err != nil {
		return netip.AddrPort{}, errIPv4
	}
	return server, checkServer(server)
}

func checkServer(server netip.AddrPort) error {
	switch a := server.Addr(); {
	case !a.IsValid():
		return errIPv4
	case a.IsUnspecified() || a.IsMulticast() || a.Is4In6():
		return refuse("The IP address %q is not one of a server.", a)
	case server.Port() == 0:
		return errPort
	}
	return nil
}

// ParseDomain reads a domain name and gives it in lower case.
func ParseDomain(text string) (string, error) {
	name, err := ParseHostname(text)
	return strings.ToLower(name), err
}

// FormatDNSServer is the form ParseDNSServer reads; the standard port is left
// out.
func FormatDNSServer(server netip.AddrPort) string {
	if server.Port() == dnsPort {
		return server.Addr().String()
	}
	return server.String()
}

func (c *Config) validateDNS(p *problems) {
	report := p.at("DNS", "dnsconfig -> SETUP")
	d := &c.DNS
	if d.Interface != "" {
		if _, ok := c.Interface(d.Interface); !ok {
			report("The interface %q does not exist.", d.Interface)
		}
	}
	if err := inRange(int64(d.ReverseTimeout), 0, MaxReverseTimeout); err != nil {
		report("Reverse DNS timeout: %v", err)
	}
	if err := inRange(int64(d.MinTTL), 0, MaxDNSCacheMinimum); err != nil {
		report("Minimum TTL: %v", err)
	}
	if len(d.Servers) > MaxDNSServers {
		report("There is a maximum of %d DNS servers.", MaxDNSServers)
	}
	seen := map[netip.AddrPort]int{}
	for _, s := range d.Servers {
		report := p.at(fmt.Sprintf("DNS server %s", s.Addr), "dnsconfig -> EDIT")
		if err := checkServer(s.Addr); err != nil {
			report("%v", err)
		}
		if err := inRange(int64(s.Priority), 0, MaxDNSPriority); err != nil {
			report("Priority: %v", err)
		}
		if priority, ok := seen[s.Addr]; ok {
			report("%s is already configured with priority %d.", FormatDNSServer(s.Addr), priority)
		}
		seen[s.Addr] = s.Priority
	}
	for _, r := range d.Roots {
		if err := checkServer(r.Addr); err != nil {
			p.at("root DNS server "+r.Name, "dnsconfig -> ROOTHINTS")("%v", err)
		}
	}
	if len(d.Roots) > MaxRootServers {
		p.at("DNS", "dnsconfig -> ROOTHINTS")("There is a maximum of %d addresses of root DNS servers.", MaxRootServers)
	}
	if len(d.Anchors) > MaxTrustAnchors {
		p.at("DNS", "dnsconfig -> ANCHORS")("There is a maximum of %d trust anchors.", MaxTrustAnchors)
	}
	c.validateAlternates(p)
}

func (c *Config) validateAlternates(p *problems) {
	if len(c.DNS.Alternates) > MaxAlternates {
		p.at("DNS", "dnsconfig -> DELETE")("There is a maximum of %d alternate domains.", MaxAlternates)
	}
	seen := map[string]bool{}
	for _, a := range c.DNS.Alternates {
		report := p.at(fmt.Sprintf("alternate DNS servers of %q", a.Domain), "dnsconfig -> EDIT")
		if domain, err := ParseDomain(a.Domain); err != nil {
			report("%v", err)
		} else if domain != a.Domain {
			report("The domain must be written in lower case.")
		}
		if seen[a.Domain] {
			report("The domain %q is configured twice.", a.Domain)
		}
		seen[a.Domain] = true
		if len(a.Servers) == 0 || len(a.Servers) > MaxDNSServers {
			report("A domain must have from 1 to %d servers.", MaxDNSServers)
		}
		servers := map[netip.AddrPort]bool{}
		for _, s := range a.Servers {
			if err := checkServer(s); err != nil {
				report("%v", err)
			}
			if servers[s] {
				report("%s already appears to be configured for domain %q.", FormatDNSServer(s), a.Domain)
			}
			servers[s] = true
		}
	}
}
