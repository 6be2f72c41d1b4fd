package commands

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"esa/shell"
	"esa/store"
)

// interfaceconfig gives names to addresses that this machine has. It never
// changes the system.
func interfaceconfig() Command {
	return Command{
		Name:  "interfaceconfig",
		Short: "Configure IP interfaces.",
		Long: `An interface names one IPv4 or IPv6 address of this machine, or one of each,
and the host name that goes with it: listeners greet with it, and mail that
leaves by it says it in EHLO. The system's own addresses are not changed. PORT is
the system's device, such as eth0, or auto.`,
		Commit: true,
		Forms: []Form{
			{Usage: "interfaceconfig new NAME PORT HOSTNAME [--ip=ADDRESS[/MASK]] [--ip6=ADDRESS[/PREFIX]]", Run: interfaceNewForm},
			{Usage: "interfaceconfig edit NAME [--name=NAME] [--hostname=HOSTNAME] [--ip=ADDRESS[/MASK]] [--ip6=ADDRESS[/PREFIX]]", Run: interfaceEditForm},
			{Usage: "interfaceconfig delete NAME", Run: interfaceDeleteForm},
			{Usage: "interfaceconfig print", Run: interfacePrintForm},
		},
		Dialog: interfaceDialog,
	}
}

func interfaceDialog(d *Dialog, env Env) error {
	return env.Edit(func(cfg *store.Config) error {
		for d.Menu(interfaceList(env, cfg), interfaceMenu(cfg)...) {
			switch d.Op() {
			case "NEW":
				interfaceNew(d, env, cfg)
			case "EDIT":
				interfaceEdit(d, env, cfg)
			case "DELETE":
				interfaceDelete(d, cfg)
			}
		}
		return d.Err()
	})
}

func interfaceMenu(cfg *store.Config) []shell.Op {
	ops := []shell.Op{{Word: "NEW", Text: "Create a new interface."}}
	if len(cfg.Interfaces) > 0 {
		ops = append(ops, shell.Op{Word: "EDIT", Text: "Modify an interface."}, shell.Op{Word: "DELETE", Text: "Remove an interface."})
	}
	return ops
}

// interfaceList is the numbered list above the menu: name, address, network
// and the system's device it is on, host name.
func interfaceList(env Env, cfg *store.Config) string {
	if len(cfg.Interfaces) == 0 {
		return "There are no interfaces configured."
	}
	var b strings.Builder
	b.WriteString("Currently configured interfaces:\n")
	for i, on := range cfg.Interfaces {
		fmt.Fprintf(&b, "%d. %s (%s on %s: %s)\n", i+1, on.Name, addresses(on), deviceOf(env, on.Addrs()), on.Hostname)
	}
	return b.String()
}

// deviceOf names the system's device that has the first of the addresses, "-"
// where none has it by name.
func deviceOf(env Env, addrs []netip.Addr) string {
	all, err := env.Machine.Addresses()
	if err != nil || len(addrs) == 0 {
		return "-"
	}
	if i := slices.IndexFunc(all, func(a Address) bool { return a.Prefix.Addr() == addrs[0] }); i >= 0 {
		return all[i].Device
	}
	if i := slices.IndexFunc(all, func(a Address) bool { return a.Prefix.Contains(addrs[0]) }); i >= 0 {
		return all[i].Device
	}
	return "-"
}

func interfaceNew(d *Dialog, env Env, cfg *store.Config) {
	if len(cfg.Interfaces) >= store.MaxInterfaces {
		tell(d, shell.Refusedf("You are only allowed to configure a maximum of %d interfaces.", store.MaxInterfaces))
		return
	}
	var i store.Interface
	i.Name = shell.Ask(d, `Please enter a name for this IP interface (Ex: "InternalNet"):`, "", func(s string) (string, error) {
		return freeInterfaceName(cfg, s, "")
	})
	i = interfaceQuestions(d, env, cfg, i)
	if d.Err() == nil {
		cfg.Interfaces = append(cfg.Interfaces, i)
	}
}

// interfaceQuestions is what NEW and EDIT ask after the name.
func interfaceQuestions(d *Dialog, env Env, cfg *store.Config, i store.Interface) store.Interface {
	for {
		v4, v6 := i.IPv4, i.IPv6
		if d.YesNo("Would you like to configure an IPv4 address for this interface (y/n)?", v4.IsValid() || !v6.IsValid()) {
			v4 = askIPv4(d, env, cfg, i)
		} else {
			v4 = netip.Prefix{}
		}
		if d.YesNo("Would you like to configure an IPv6 address for this interface (y/n)?", v6.IsValid()) {
			v6 = askIPv6(d, env, cfg, i)
		} else {
			v6 = netip.Prefix{}
		}
		if v4.IsValid() || v6.IsValid() || d.Err() != nil {
			i.IPv4, i.IPv6 = v4, v6
			break
		}
		if !d.Refuse(shell.Refusedf("An interface must have an IPv4 or an IPv6 address.")) {
			break
		}
	}
	i.Hostname = shell.Ask(d, "Hostname:", i.Hostname, store.ParseHostname)
	return i
}

func askIPv4(d *Dialog, env Env, cfg *store.Config, i store.Interface) netip.Prefix {
	addr := shell.Ask(d, "IPv4 Address (Ex: 192.168.1.2 ):", addrText(i.IPv4), func(s string) (netip.Addr, error) {
		addr, err := store.ParseIPv4(s)
		if err != nil {
			return addr, err
		}
		return addr, usableAddr(env, cfg, i.Name, addr)
	})
	bits := networkBits(env, addr, 24)
	if i.IPv4.IsValid() && i.IPv4.Addr() == addr {
		bits = i.IPv4.Bits()
	}
	mask := shell.Ask(d, `Netmask (Ex: "24", "255.255.255.0" or "0xffffff00"):`, strconv.Itoa(bits), store.ParseNetmask)
	if d.Err() != nil {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(addr, mask)
}

func askIPv6(d *Dialog, env Env, cfg *store.Config, i store.Interface) netip.Prefix {
	addr := shell.Ask(d, "IPv6 Address (Ex: 2001:db8::1 ):", addrText(i.IPv6), func(s string) (netip.Addr, error) {
		addr, err := store.ParseIPv6(s)
		if err != nil {
			return addr, err
		}
		return addr, usableAddr(env, cfg, i.Name, addr)
	})
	bits := networkBits(env, addr, 64)
	if i.IPv6.IsValid() && i.IPv6.Addr() == addr {
		bits = i.IPv6.Bits()
	}
	length := shell.Ask(d, "Prefix length:", strconv.Itoa(bits), store.ParsePrefixLength)
	if d.Err() != nil {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(addr, length)
}

// addrText shows an address as a default, nothing where there is none.
func addrText(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.Addr().String()
}

// usableAddr refuses an address that another interface than own has, or that
// the machine does not have.
func usableAddr(env Env, cfg *store.Config, own string, addr netip.Addr) error {
	for _, other := range cfg.Interfaces {
		if other.Name != own && slices.Contains(other.Addrs(), addr) {
			return shell.Refusedf("The IP address %q is already configured.", addr)
		}
	}
	if err := env.Machine.Has(addr); err != nil {
		return shell.Refusedf("The IP address %q is not on this machine. Add it to the system first.", addr)
	}
	return nil
}

// networkBits proposes the mask of the system's own network that holds addr.
func networkBits(env Env, addr netip.Addr, otherwise int) int {
	all, err := env.Machine.Addresses()
	if err != nil {
		return otherwise
	}
	for _, a := range all {
		if a.Prefix.Addr() == addr {
			return a.Prefix.Bits()
		}
	}
	for _, a := range all {
		if a.Prefix.Contains(addr) {
			return a.Prefix.Bits()
		}
	}
	return otherwise
}

// freeInterfaceName reads a name that no other interface has.
func freeInterfaceName(cfg *store.Config, text, own string) (string, error) {
	name, err := store.ParseInterfaceName(text)
	if err != nil {
		return "", err
	}
	if _, taken := cfg.Interface(name); taken && name != own {
		return "", shell.Refusedf("The interface name %q is already in use.", name)
	}
	return name, nil
}

func pickInterface(d *Dialog, cfg *store.Config, question string) int {
	names := make([]string, len(cfg.Interfaces))
	for i, on := range cfg.Interfaces {
		names[i] = on.Name
	}
	return d.Pick(question, names, -1)
}

func interfaceEdit(d *Dialog, env Env, cfg *store.Config) {
	n := pickInterface(d, cfg, "Enter the name or number of the interface you wish to edit.")
	if d.Err() != nil {
		return
	}
	i := cfg.Interfaces[n]
	name := shell.Ask(d, `IP interface name (Ex: "InternalNet"):`, i.Name, func(s string) (string, error) {
		return freeInterfaceName(cfg, s, i.Name)
	})
	i = interfaceQuestions(d, env, cfg, i)
	if d.Err() != nil {
		return
	}
	cfg.Interfaces[n] = i
	cfg.RenameInterface(i.Name, name)
}

func interfaceDelete(d *Dialog, cfg *store.Config) {
	n := pickInterface(d, cfg, "Enter the name or number of the interface you wish to delete.")
	if d.Err() != nil {
		return
	}
	tell(d, deleteInterface(cfg, n))
}

// deleteInterface removes an interface that nothing uses.
func deleteInterface(cfg *store.Config, n int) error {
	name := cfg.Interfaces[n].Name
	if uses := cfg.Uses(name); len(uses) > 0 {
		return shell.Refusedf("The interface %q is in use by %s. Choose another interface there first.", name, strings.Join(uses, ", "))
	}
	cfg.Interfaces = slices.Delete(cfg.Interfaces, n, n+1)
	return nil
}

func interfaceNewForm(d *Dialog, env Env, args []string) error {
	words, err := shell.Settings(args[3:])
	if err != nil {
		return err
	}
	return env.Edit(func(cfg *store.Config) error {
		if len(cfg.Interfaces) >= store.MaxInterfaces {
			return shell.Refusedf("You are only allowed to configure a maximum of %d interfaces.", store.MaxInterfaces)
		}
		name, err := freeInterfaceName(cfg, args[0], "")
		if err != nil {
			return err
		}
		words["--hostname"] = args[2]
		i, err := setInterface(env, cfg, store.Interface{Name: name}, words)
		if err != nil {
			return err
		}
		if device := deviceOf(env, i.Addrs()); !strings.EqualFold(args[1], "auto") && device != args[1] {
			return shell.Refusedf("The address is on %s, not on %s.", device, args[1])
		}
		cfg.Interfaces = append(cfg.Interfaces, i)
		d.Printf("Interface %s created.\n", name)
		return nil
	})
}

func interfaceEditForm(d *Dialog, env Env, args []string) error {
	words, err := shell.Settings(args[1:])
	if err != nil {
		return err
	}
	return env.Edit(func(cfg *store.Config) error {
		n, err := interfaceIndex(cfg, args[0])
		if err != nil {
			return err
		}
		i, err := setInterface(env, cfg, cfg.Interfaces[n], words)
		if err != nil {
			return err
		}
		cfg.Interfaces[n] = i
		if text, given := words["--name"]; given {
			name, err := freeInterfaceName(cfg, text, i.Name)
			if err != nil {
				return err
			}
			cfg.RenameInterface(i.Name, name)
		}
		d.Printf("Interface %s changed.\n", cfg.Interfaces[n].Name)
		return nil
	})
}

// setInterface fills an interface from the words of a one-line form. An empty
// address takes that family away.
func setInterface(env Env, cfg *store.Config, i store.Interface, words map[string]string) (store.Interface, error) {
	if text, given := words["--hostname"]; given {
		name, err := store.ParseHostname(text)
		if err != nil {
			return i, err
		}
		i.Hostname = name
	}
	for key, family := range map[string]family{
		"--ip":  {&i.IPv4, store.ParseIPv4, store.ParseNetmask, 24},
		"--ip6": {&i.IPv6, store.ParseIPv6, store.ParsePrefixLength, 64},
	} {
		text, given := words[key]
		if !given {
			continue
		}
		if text == "" {
			*family.prefix = netip.Prefix{}
			continue
		}
		prefix, err := family.parse(env, text)
		if err == nil {
			err = usableAddr(env, cfg, i.Name, prefix.Addr())
		}
		if err != nil {
			return i, err
		}
		*family.prefix = prefix
	}
	if len(i.Addrs()) == 0 {
		return i, shell.Refusedf("An interface must have an IPv4 or an IPv6 address.")
	}
	return i, nil
}

// family is how addresses of one family are read, and where they go.
type family struct {
	prefix    *netip.Prefix
	address   func(string) (netip.Addr, error)
	mask      func(string) (int, error)
	otherwise int // the mask where neither the operator nor the system says one
}

func (f family) parse(env Env, text string) (netip.Prefix, error) {
	text, mask, given := strings.Cut(text, "/")
	addr, err := f.address(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	bits := networkBits(env, addr, f.otherwise)
	if given {
		if bits, err = f.mask(mask); err != nil {
			return netip.Prefix{}, err
		}
	}
	return netip.PrefixFrom(addr, bits), nil
}

func interfaceIndex(cfg *store.Config, name string) (int, error) {
	i := slices.IndexFunc(cfg.Interfaces, func(i store.Interface) bool { return i.Name == name })
	if i < 0 {
		return -1, noInterface(name)
	}
	return i, nil
}

func interfaceDeleteForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		n, err := interfaceIndex(cfg, args[0])
		if err != nil {
			return err
		}
		if err := deleteInterface(cfg, n); err != nil {
			return err
		}
		d.Printf("Interface %s deleted.\n", args[0])
		return nil
	})
}

func interfacePrintForm(d *Dialog, env Env, _ []string) error {
	d.Text(interfaceList(env, env.Config()))
	return d.Err()
}
