package commands

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"esa/shell"
	"esa/store"
)

// family is how the addresses of one IP version are asked for and read.
type family struct {
	name       string // "IPv4"
	key        string // in one-line forms
	keyText    string
	of         func(*store.Interface) *netip.Prefix
	question   string
	parse      func(string) (netip.Addr, error)
	usualBits  int // of the network, where the system does not say
	bitsAsked  string
	bitsText   func(int) string
	bitsParsed func(string) (int, error)
}

func families() []family {
	return []family{
		{
			name: "IPv4", key: "--ip", keyText: "ADDRESS[/MASK]",
			of:         func(i *store.Interface) *netip.Prefix { return &i.IPv4 },
			question:   "IPv4 Address (Ex: 192.168.1.2 ):",
			parse:      store.ParseIPv4,
			usualBits:  24,
			bitsAsked:  `Netmask (Ex: "24", "255.255.255.0" or "0xffffff00"):`,
			bitsText:   func(bits int) string { return net.IP(net.CIDRMask(bits, 32)).String() },
			bitsParsed: store.ParseNetmask,
		},
		{
			name: "IPv6", key: "--ip6", keyText: "ADDRESS[/PREFIX]",
			of:         func(i *store.Interface) *netip.Prefix { return &i.IPv6 },
			question:   "IPv6 Address (Ex: 2001:db8::1 ):",
			parse:      store.ParseIPv6,
			usualBits:  64,
			bitsAsked:  "Prefix length:",
			bitsText:   strconv.Itoa,
			bitsParsed: store.ParsePrefixLength,
		},
	}
}

// ask asks for the address of the family and its network. An interface without
// another address is proposed to have one.
func (f family) ask(d *Dialog, env Env, cfg *store.Config, i *store.Interface) {
	at := f.of(i)
	question := fmt.Sprintf("Would you like to configure an %s address for this interface (y/n)?", f.name)
	if !d.YesNo(question, at.IsValid() || len(i.Addrs()) == 0) {
		*at = netip.Prefix{}
		return
	}
	current := ""
	if at.IsValid() {
		current = at.Addr().String()
	}
	addr := shell.Ask(d, f.question, current, func(s string) (netip.Addr, error) { return f.address(env, cfg, *i, s) })
	bits := shell.Ask(d, f.bitsAsked, f.bitsText(f.bits(env, *at, addr)), f.bitsParsed)
	*at = netip.PrefixFrom(addr, bits)
}

// set reads "ADDRESS" or "ADDRESS/BITS" of a one-line form. Nothing takes the
// address away.
func (f family) set(env Env, cfg *store.Config, i *store.Interface, text string) error {
	at := f.of(i)
	if text == "" {
		*at = netip.Prefix{}
		return nil
	}
	text, mask, given := strings.Cut(text, "/")
	addr, err := f.address(env, cfg, *i, text)
	if err != nil {
		return err
	}
	bits := f.bits(env, *at, addr)
	if given {
		if bits, err = f.bitsParsed(mask); err != nil {
			return err
		}
	}
	*at = netip.PrefixFrom(addr, bits)
	return nil
}

// address reads an address that the machine has and no other interface than i.
func (f family) address(env Env, cfg *store.Config, i store.Interface, text string) (netip.Addr, error) {
	addr, err := f.parse(text)
	if err != nil {
		return addr, err
	}
	for _, other := range cfg.Interfaces {
		if other.Name != i.Name && slices.Contains(other.Addrs(), addr) {
			return addr, shell.Refusedf("The IP address %q is already configured.", addr)
		}
	}
	if err := env.Machine.Has(addr); err != nil {
		return addr, shell.Refusedf("The IP address %q is not on this machine. Add it to the system first.", addr)
	}
	return addr, nil
}

// bits proposes the length of the network that addr is in: as it is configured
// already, or as the system has it.
func (f family) bits(env Env, current netip.Prefix, addr netip.Addr) int {
	if current.IsValid() && current.Addr() == addr {
		return current.Bits()
	}
	if on, ok := systemNetwork(env, addr); ok {
		return on.Prefix.Bits()
	}
	return f.usualBits
}
