package commands

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
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
leaves by it says it in EHLO. The system's own addresses are not changed. PORT
is the system's device, such as eth0, or auto.

Operators log in by SSH on the addresses of the interfaces that enable it. The
console on the machine itself needs no SSH.`,
		Commit: true,
		Forms: []Form{
			{Usage: usage("interfaceconfig new NAME PORT HOSTNAME", interfaceKeys(Env{}, nil, &store.Interface{})), Run: interfaceNewForm},
			{Usage: usage("interfaceconfig edit NAME [--name=NAME] [--hostname=HOSTNAME]", interfaceKeys(Env{}, nil, &store.Interface{})), Run: interfaceEditForm},
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
		ops = append(ops,
			shell.Op{Word: "EDIT", Text: "Modify an interface."},
			shell.Op{Word: "DELETE", Text: "Remove an interface."})
	}
	return ops
}

// interfaceList is the numbered list above the menu (reference esa-cli-config
// 6): name, addresses, the system's device that has them, host name.
func interfaceList(env Env, cfg *store.Config) string {
	if len(cfg.Interfaces) == 0 {
		return "There are no interfaces configured."
	}
	var b strings.Builder
	b.WriteString("Currently configured interfaces:\n")
	for n, i := range cfg.Interfaces {
		fmt.Fprintf(&b, "%d. %s (%s on %s: %s)\n", n+1, i.Name, addresses(i), deviceOf(env, i), i.Hostname)
	}
	return b.String()
}

// interfaceText is an interface in the lists of other commands.
func interfaceText(i store.Interface) string {
	return fmt.Sprintf("%s (%s: %s)", i.Name, addresses(i), i.Hostname)
}

// addresses gives "192.0.2.1/24" or "192.0.2.1/24, 2001:db8::1/64".
func addresses(i store.Interface) string {
	var all []string
	for _, p := range []netip.Prefix{i.IPv4, i.IPv6} {
		if p.IsValid() {
			all = append(all, p.String())
		}
	}
	return strings.Join(all, ", ")
}

// deviceOf names the system's device that an interface is on, "-" where none
// has its address.
func deviceOf(env Env, i store.Interface) string {
	for _, addr := range i.Addrs() {
		if on, ok := systemNetwork(env, addr); ok {
			return on.Device
		}
	}
	return "-"
}

// systemNetwork finds the address of the system that is addr, or else one
// whose network addr is in.
func systemNetwork(env Env, addr netip.Addr) (Address, bool) {
	all, err := env.Machine.Addresses()
	if err != nil {
		return Address{}, false
	}
	n := slices.IndexFunc(all, func(a Address) bool { return a.Prefix.Addr() == addr })
	if n < 0 {
		n = slices.IndexFunc(all, func(a Address) bool { return a.Prefix.Contains(addr) })
	}
	if n < 0 {
		return Address{}, false
	}
	return all[n], true
}

func interfaceNew(d *Dialog, env Env, cfg *store.Config) {
	if err := roomForInterface(cfg); err != nil {
		tell(d, err)
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

func roomForInterface(cfg *store.Config) error {
	if len(cfg.Interfaces) >= store.MaxInterfaces {
		return shell.Refusedf("You are only allowed to configure a maximum of %d interfaces.", store.MaxInterfaces)
	}
	return nil
}

// freeInterfaceName reads a name that no other interface than own has, in
// whatever case.
func freeInterfaceName(cfg *store.Config, text, own string) (string, error) {
	name, err := store.ParseInterfaceName(text)
	if err != nil {
		return "", err
	}
	taken := slices.ContainsFunc(cfg.Interfaces, func(i store.Interface) bool {
		return i.Name != own && strings.EqualFold(i.Name, name)
	})
	if taken || strings.EqualFold(name, auto) {
		return "", shell.Refusedf("The interface name %q is already in use.", name)
	}
	return name, nil
}

// interfaceQuestions is what NEW and EDIT ask after the name.
func interfaceQuestions(d *Dialog, env Env, cfg *store.Config, i store.Interface) store.Interface {
	i = askAddresses(d, env, cfg, i)
	i.Hostname = shell.Ask(d, "Hostname:", i.Hostname, store.ParseHostname)
	i.SSHPort = askSSH(d, cfg, i)
	return i
}

// askSSH asks for the port of SSH, 0 where there shall be none.
func askSSH(d *Dialog, cfg *store.Config, i store.Interface) uint16 {
	if !d.YesNo("Do you want to enable SSH on this interface?", i.SSHPort != 0) {
		return 0
	}
	current := fmt.Sprint(cmp.Or(i.SSHPort, store.DefaultSSHPort))
	return shell.Ask(d, "Which port do you want to use for SSH?", current, func(s string) (uint16, error) {
		return freeSSHPort(cfg, i, s)
	})
}

// freeSSHPort reads a port that no listener has on the addresses of i.
func freeSSHPort(cfg *store.Config, i store.Interface, text string) (uint16, error) {
	port, err := store.ParsePort(text)
	if err != nil {
		return 0, err
	}
	for _, l := range cfg.Listeners {
		for _, addr := range cfg.Addresses(l) {
			if addr.Port() == port && slices.Contains(i.Addrs(), addr.Addr()) {
				return 0, shell.Refusedf("Port %d of %s is currently assigned to listener %q.", port, addr.Addr(), l.Name)
			}
		}
	}
	return port, nil
}

// askAddresses asks for the addresses of an interface, at least one.
func askAddresses(d *Dialog, env Env, cfg *store.Config, i store.Interface) store.Interface {
	for {
		asked := i
		for _, f := range families() {
			f.ask(d, env, cfg, &asked)
		}
		if err := needAddress(asked); err == nil || !d.Refuse(err) {
			return asked
		}
	}
}

func needAddress(i store.Interface) error {
	if len(i.Addrs()) == 0 {
		return shell.Refusedf("An interface must have an IPv4 or an IPv6 address.")
	}
	return nil
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
	if d.Err() == nil {
		changeInterface(cfg, n, i, name)
	}
}

// changeInterface is where dialog and one-line form of EDIT meet: whoever uses
// the interface goes on doing so under its new name.
func changeInterface(cfg *store.Config, n int, i store.Interface, name string) {
	cfg.Interfaces[n] = i
	cfg.RenameInterface(i.Name, name)
}

func interfaceDelete(d *Dialog, cfg *store.Config) {
	n := pickInterface(d, cfg, "Enter the name or number of the interface you wish to delete.")
	if d.Err() == nil {
		tell(d, deleteInterface(cfg, n))
	}
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

func pickInterface(d *Dialog, cfg *store.Config, question string) int {
	return d.Pick(question, interfaceNames(cfg), -1)
}

func interfaceNames(cfg *store.Config) []string {
	names := make([]string, len(cfg.Interfaces))
	for n, i := range cfg.Interfaces {
		names[n] = i.Name
	}
	return names
}

// findInterface gives the index of the interface that a one-line form names.
func findInterface(cfg *store.Config, name string) (int, error) {
	n := find(interfaceNames(cfg), name)
	if n < 0 {
		return -1, noInterface(name)
	}
	return n, nil
}

func noInterface(name string) error {
	return shell.Refusedf("The interface %q does not exist. Use interfaceconfig to create it.", name)
}
