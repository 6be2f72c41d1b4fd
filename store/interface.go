package store

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// MaxInterfaces is how many IP interfaces can be configured.
const MaxInterfaces = 256

// Interface gives a name to addresses that the system already has. At least
// one of the two is valid; the bits are those of its network.
type Interface struct {
	Name     string       `label:"Name"`
	Hostname string       `label:"Hostname"`
	IPv4     netip.Prefix `label:"IPv4 address"`
	IPv6     netip.Prefix `label:"IPv6 address"`
	SSHPort  uint16       `label:"SSH port" zero:"Off"` // operators log in on it; 0: they do not
}

func (i Interface) key() string { return i.Name }

// Addrs gives the addresses of the interface, IPv4 first.
func (i Interface) Addrs() []netip.Addr {
	var addrs []netip.Addr
	for _, p := range []netip.Prefix{i.IPv4, i.IPv6} {
		if p.IsValid() {
			addrs = append(addrs, p.Addr())
		}
	}
	return addrs
}

// Interface gives the interface of that name.
func (c *Config) Interface(name string) (Interface, bool) {
	i := slices.IndexFunc(c.Interfaces, func(i Interface) bool { return i.Name == name })
	if i < 0 {
		return Interface{}, false
	}
	return c.Interfaces[i], true
}

// Uses says who refers to the interface of that name, as places of Problems.
func (c *Config) Uses(name string) []string {
	var uses []string
	if c.Delivery.Interface == name {
		uses = append(uses, "mail delivery")
	}
	if c.DNS.Interface == name {
		uses = append(uses, "DNS")
	}
	if c.Alerts.Interface == name {
		uses = append(uses, "alerts")
	}
	for _, l := range c.Listeners {
		if l.Interface == name {
			uses = append(uses, l.place())
		}
	}
	return uses
}

// RenameInterface gives an interface another name, wherever it is named.
func (c *Config) RenameInterface(from, to string) {
	rename := func(name *string) {
		if *name == from {
			*name = to
		}
	}
	for i := range c.Interfaces {
		rename(&c.Interfaces[i].Name)
	}
	for i := range c.Listeners {
		rename(&c.Listeners[i].Interface)
	}
	if from != "" {
		rename(&c.Delivery.Interface)
		rename(&c.DNS.Interface)
		rename(&c.Alerts.Interface)
	}
}

func (c *Config) validateInterfaces(p *problems) {
	if len(c.Interfaces) > MaxInterfaces {
		p.at("interfaces", "interfaceconfig -> DELETE")("You are only allowed to configure a maximum of %d interfaces.", MaxInterfaces)
	}
	names, addrs := map[string]bool{}, map[netip.Addr]bool{}
	for _, i := range c.Interfaces {
		report := p.at(fmt.Sprintf("interface %q", i.Name), "interfaceconfig -> EDIT")
		if _, err := ParseInterfaceName(i.Name); err != nil {
			report("%v", err)
		}
		if names[i.Name] {
			report("The name %q is used by another interface.", i.Name)
		}
		names[i.Name] = true
		if _, err := ParseHostname(i.Hostname); err != nil {
			report("%v", err)
		}
		if len(i.Addrs()) == 0 {
			report("An interface must have an IPv4 or an IPv6 address.")
		}
		for _, err := range i.checkAddrs() {
			report("%v", err)
		}
		for _, a := range i.Addrs() {
			if addrs[a] {
				report("The IP address %q is already configured.", a)
			}
			addrs[a] = true
		}
	}
}

// checkAddrs looks at the addresses of one interface by the rules that hold
// when they are typed.
func (i Interface) checkAddrs() []error {
	var errs []error
	if i.IPv4.IsValid() {
		if _, err := ParseIPv4(i.IPv4.Addr().String()); err != nil {
			errs = append(errs, err)
		} else if i.IPv4.Bits() < 1 {
			errs = append(errs, errNetmask)
		}
	}
	if i.IPv6.IsValid() {
		if _, err := ParseIPv6(i.IPv6.Addr().String()); err != nil {
			errs = append(errs, err)
		} else if i.IPv6.Bits() < 1 {
			errs = append(errs, errPrefixLength)
		}
	}
	return errs
}

var (
	errNetmask      = refuse(`The netmask must be given as a number of bits, four numbers or a hexadecimal number. (Ex: "24", "255.255.255.0" or "0xffffff00")`)
	errPrefixLength = refuse("The prefix length must be a number from 1 to 128.")
)

// ParseNetmask reads an IPv4 netmask ("24", "255.255.255.0" or "0xffffff00")
// and gives its bits, 1 to 32.
func ParseNetmask(text string) (int, error) {
	text = strings.TrimSpace(text)
	var mask uint64
	hex, isHex := strings.CutPrefix(strings.ToLower(text), "0x")
	addr, addrErr := netip.ParseAddr(text)
	switch {
	case isHex:
		n, err := strconv.ParseUint(hex, 16, 32)
		if err != nil || len(hex) != 8 {
			return 0, errNetmask
		}
		mask = n
	case addrErr == nil && addr.Is4():
		mask = uint64(v4number(addr))
	default:
		n, err := strconv.ParseUint(strings.TrimPrefix(text, "/"), 10, 8)
		if err != nil || n < 1 || n > 32 {
			return 0, errNetmask
		}
		return int(n), nil
	}
	for bits := 1; bits <= 32; bits++ {
		if mask == 0xffffffff<<(32-bits)&0xffffffff {
			return bits, nil
		}
	}
	return 0, errNetmask
}

// ParsePrefixLength reads the prefix length of an IPv6 address.
func ParsePrefixLength(text string) (int, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(strings.TrimSpace(text), "/"), 10, 8)
	if err != nil || n < 1 || n > 128 {
		return 0, errPrefixLength
	}
	return int(n), nil
}
