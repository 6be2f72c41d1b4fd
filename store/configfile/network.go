package configfile

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"esa/store"
)

// sections is the table of the file, in the order it is written. Names that an
// appliance has are in the reference (esa-operations 5.3, 5.4).
func sections() []section {
	return []section{
		{"Network Configuration", network()},
		{"System Configuration", system()},
		{"Administrative Access Configuration", access()},
		{"Listener Configuration", listeners()},
		{"Mail Delivery Configuration", delivery()},
	}
}

// network is what the machine is called and where it is.
func network() []element[store.Config] {
	return []element[store.Config]{
		leaf("hostname", word(store.ParseHostname), func(c *store.Config) *string { return &c.Hostname }),
		list[store.Config, interfaceForm]{
			name: "interfaces", item: "interface", most: store.MaxInterfaces, fields: interfaceFields(),
			all: func(c *store.Config) []interfaceForm { return formsOf(c.Interfaces, newInterfaceForm) },
			keep: func(r *reader, e tag, c *store.Config, forms []interfaceForm) {
				c.Interfaces = entriesOf(r, e, forms, interfaceForm.entry)
			},
		}.element(),
		group("dns", func(c *store.Config) *store.DNS { return &c.DNS }, dnsFields()...),
		leaf("dns_cache_ttl_min", number[int](), func(c *store.Config) *int { return &c.DNS.MinTTL }),
		interfaceName("dns_interface", func(c *store.Config) *string { return &c.DNS.Interface }),
	}
}

// formsOf makes the forms of entries for the file.
func formsOf[E, F any](entries []E, form func(E) F) []F {
	forms := make([]F, len(entries))
	for i, e := range entries {
		forms[i] = form(e)
	}
	return forms
}

// entriesOf makes entries of what was read.
func entriesOf[E, F any](r *reader, e tag, forms []F, entry func(F) (E, error)) []E {
	var entries []E
	for i, f := range forms {
		made, err := entry(f)
		if err != nil {
			r.refuse(e.at, "<%s>, entry %d: %v", e.name, i+1, err)
		}
		entries = append(entries, made)
	}
	return entries
}

// interfaceName is the name of an interface. An appliance has blanks in it,
// where ours has underscores.
func interfaceName[T any](name string, place func(*T) *string) element[T] {
	e := leaf(name, text[string](), place)
	e.read = func(r *reader, at tag, t *T) {
		read := strings.TrimSpace(r.leaf())
		ours := strings.Map(func(c rune) rune {
			if c == ' ' || c == '.' || c == '/' {
				return '_'
			}
			return c
		}, read)
		if ours != read {
			r.note("The interface %q is called %s.", read, ours)
		}
		if _, err := store.ParseInterfaceName(ours); ours != "" && err != nil {
			r.refuse(at.at, "<%s>: %v", name, err)
		}
		*place(t) = ours
		r.places.holds(r.path, at, ours)
	}
	return e
}

// interfaceForm is an interface as the file has it.
type interfaceForm struct {
	name, hostname string
	ip4, mask, ip6 string
	prefix         int
	ssh            uint16
}

func newInterfaceForm(i store.Interface) interfaceForm {
	f := interfaceForm{name: i.Name, hostname: i.Hostname, ssh: i.SSHPort}
	if i.IPv4.IsValid() {
		f.ip4, f.mask = i.IPv4.Addr().String(), formatNetmask(i.IPv4.Bits())
	}
	if i.IPv6.IsValid() {
		f.ip6, f.prefix = i.IPv6.Addr().String(), i.IPv6.Bits()
	}
	return f
}

func interfaceFields() []element[interfaceForm] {
	return []element[interfaceForm]{
		interfaceName("interface_name", func(f *interfaceForm) *string { return &f.name }),
		optional("ip", text[string](), func(f *interfaceForm) *string { return &f.ip4 }),
		optional("netmask", text[string](), func(f *interfaceForm) *string { return &f.mask }),
		optional("ip6", text[string](), func(f *interfaceForm) *string { return &f.ip6 }),
		optional("prefix_length6", number[int](), func(f *interfaceForm) *int { return &f.prefix }),
		leaf("interface_hostname", word(store.ParseHostname), func(f *interfaceForm) *string { return &f.hostname }),
		optional("sshd_port", number[uint16](), func(f *interfaceForm) *uint16 { return &f.ssh }),
	}
}

// formatNetmask gives 255.255.255.0 for 24.
func formatNetmask(bits int) string {
	mask := ^uint32(0) << (32 - bits)
	return netip.AddrFrom4([4]byte{byte(mask >> 24), byte(mask >> 16), byte(mask >> 8), byte(mask)}).String()
}

// entry makes the interface.
func (f interfaceForm) entry() (store.Interface, error) {
	i := store.Interface{Name: f.name, Hostname: f.hostname, SSHPort: f.ssh}
	if f.ip4 != "" {
		addr, err := store.ParseIPv4(f.ip4)
		if err != nil {
			return i, err
		}
		bits, err := store.ParseNetmask(cmp.Or(f.mask, "32"))
		if err != nil {
			return i, err
		}
		i.IPv4 = netip.PrefixFrom(addr, bits)
	}
	if f.ip6 != "" {
		addr, err := store.ParseIPv6(f.ip6)
		if err != nil {
			return i, err
		}
		bits, err := store.ParsePrefixLength(fmt.Sprint(f.prefix))
		if err != nil {
			return i, err
		}
		i.IPv6 = netip.PrefixFrom(addr, bits)
	}
	return i, nil
}

// server is the address of a DNS server.
func server() codec[netip.AddrPort] {
	return codec[netip.AddrPort]{store.FormatDNSServer, store.ParseDNSServer}
}

func dnsFields() []element[store.DNS] {
	return []element[store.DNS]{
		leaf("use_root_dns", flag(), func(d *store.DNS) *bool { return &d.FromRoot }),
		localDNS(),
		plain("root_dns/root_server", func(d *store.DNS) *[]store.RootServer { return &d.Roots }, store.MaxRootServers,
			leaf("root_server_name", text[string](), func(s *store.RootServer) *string { return &s.Name }),
			leaf("ip", server(), func(s *store.RootServer) *netip.AddrPort { return &s.Addr })),
		plain("alt_dns/alt_dns_domain", func(d *store.DNS) *[]store.AlternateDNS { return &d.Alternates }, store.MaxAlternates,
			leaf("dns_domain", word(store.ParseDomain), func(a *store.AlternateDNS) *string { return &a.Domain }),
			nameservers()),
		values("trust_anchors/trust_anchor", store.MaxTrustAnchors, text[string](), func(d *store.DNS) *[]string { return &d.Anchors }),
		leaf("dns_ptr_timeout", number[int](), func(d *store.DNS) *int { return &d.ReverseTimeout }),
	}
}

// priority is the attribute of a server.
const priority = "priority"

// localDNS are the servers that are asked, each with its priority.
func localDNS() element[store.DNS] {
	one := element[[]store.DNSServer]{
		name: "dns_ip", repeats: true, attributes: []string{priority},
		write: func(w *writer, all *[]store.DNSServer) {
			for _, s := range *all {
				w.leaf("dns_ip", server().format(s.Addr), attribute{priority, fmt.Sprint(s.Priority)})
			}
		},
		read: func(r *reader, e tag, all *[]store.DNSServer) {
			order, err := number[int]().parse(e.attribute(priority))
			if err != nil {
				r.refuse(e.at, "The priority of <dns_ip> must be a number.")
			}
			addr, err := server().parse(r.leaf())
			switch {
			case err != nil:
				r.refuse(e.at, "<dns_ip>: %v", err)
			case len(*all) == store.MaxDNSServers:
				r.stop(e.at, "There is a maximum of %d DNS servers.", store.MaxDNSServers)
			}
			*all = append(*all, store.DNSServer{Addr: addr, Priority: order})
		},
	}
	return replacing("local_dns", func(d *store.DNS) *[]store.DNSServer { return &d.Servers }, one)
}

// replacing is a group whose elements add to a list, which begins empty.
func replacing[T, E any](name string, place func(*T) *[]E, fields ...element[[]E]) element[T] {
	e := group(name, place, fields...)
	e.read = func(r *reader, _ tag, t *T) {
		*place(t) = nil
		readFields(r, fields, place(t))
	}
	return e
}

// nameservers are the servers of one domain. Their names, which an appliance
// also takes, are not asked for: ours are addresses.
func nameservers() element[store.AlternateDNS] {
	return element[store.AlternateDNS]{
		name: "nameserver", repeats: true,
		write: func(w *writer, a *store.AlternateDNS) {
			for _, s := range a.Servers {
				w.open("nameserver")
				w.leaf("ip", server().format(s))
				w.close("nameserver")
			}
		},
		read: func(r *reader, e tag, a *store.AlternateDNS) {
			if len(a.Servers) == store.MaxDNSServers {
				r.stop(e.at, "There is a maximum of %d DNS servers of a domain.", store.MaxDNSServers)
			}
			var addr netip.AddrPort
			readFields(r, []element[netip.AddrPort]{leaf("ip", server(), same[netip.AddrPort])}, &addr)
			a.Servers = append(a.Servers, addr)
		},
	}
}
