package commands

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"esa/shell"
	"esa/store"
)

// systemsetup is the wizard that makes a new gateway one that receives and
// relays (reference esa-cli-config 14.5). What this build does not have is not
// asked: the licence, the web interface, scanning and reports;
// nor what the system keeps itself: default router, time zone and time servers.
func systemsetup() Command {
	return Command{
		Name:  "systemsetup",
		Short: "First time system setup.",
		Long: `Asks for the passphrase of admin, the host name, the addresses of this machine
to use, the DNS servers, the domains to accept mail for, the hosts to relay for
and who is told of trouble, and commits. The listeners that are there are
removed, with all their tables. SMTP routes of other domains, destination
controls, bounce profiles and logs stay.`,
		Commit: true,
		Dialog: systemsetupDialog,
	}
}

func systemsetupDialog(d *Dialog, env Env) error {
	if env.Session.Dirty() {
		return shell.Refusedf("There are changes that are not committed. Use commit or clear first.")
	}
	sure := d.YesNo(`WARNING: The system setup wizard will completely delete any existing
"listeners" and all associated settings including the "Host Access Table" -
mail operations may be interrupted.

Are you sure you wish to continue?`, true)
	if err := d.Err(); err != nil || !sure {
		return err
	}
	err := env.Edit(func(cfg *store.Config) error {
		w := wizard{d: d, env: env, cfg: cfg}
		if err := w.passphrase(); err != nil {
			return err
		}
		cfg.Hostname = shell.Ask(d, `Please create a fully qualified hostname for this gateway (Ex: "mail3.example.com"):`, cfg.Hostname, store.ParseHostname)
		if err := w.interfaces(); err != nil {
			return err
		}
		w.dns()
		w.listeners()
		w.alerts()
		return d.Err()
	})
	if err != nil {
		return err
	}
	return commitSetup(d, env)
}

// commitSetup ends the wizard. What Ctrl-C leaves is discarded with the rest of
// the dialog.
func commitSetup(d *Dialog, env Env) error {
	d.Text("\n" + listenerList(env.Config()))
	now := d.YesNo("Would you like to commit these changes at this time?", true)
	if err := d.Err(); err != nil {
		return errors.Join(err, env.Session.Discard())
	}
	if !now {
		d.Text("Your changes are pending. Use commit to put them into effect.")
		return d.Err()
	}
	if err := commitLine(d, env, "systemsetup", store.CommitRequest{}); err != nil {
		return err
	}
	if !env.Session.Dirty() {
		d.Text("\nCongratulations! System setup is complete. For advanced configuration,\ntype help: the help of the commands is the User Guide.")
	}
	return d.Err()
}

// wizard asks for one part of the configuration after the other.
type wizard struct {
	d   *Dialog
	env Env
	cfg *store.Config
}

// passphrase asks for that of admin. Enter leaves it as it is: a script need
// not know one.
func (w wizard) passphrase() error {
	n, err := userIndex(w.cfg, store.AdminName)
	if err != nil {
		return err
	}
	admin := w.cfg.Users[n]
	if w.env.reauthenticates(admin) {
		old := w.d.Passphrase("Old passphrase:")
		if w.d.Err() == nil && !w.env.knows(w.d, admin, old) {
			return shell.Refusedf("Old passphrase did not match.")
		}
	}
	text := askPassphrase(w.d, w.env, passphraseQuestion{user: admin, policy: w.cfg.Passphrases, text: "Enter your New Passphrase:"})
	switch {
	case w.d.Err() != nil:
		return w.d.Err()
	case text == "" && admin.Passphrase == "":
		w.d.Text("The account admin has no passphrase: nobody can log in with one over the network.")
		return nil
	case text == "":
		w.d.Text("The passphrase of admin stays as it is.")
		return nil
	}
	w.cfg.Users[n], err = w.cfg.Passphrases.Set(admin, text, store.DayOf(w.env.Clock()), w.env.Random)
	return err
}

// device is a network device of the system with its addresses.
type device struct {
	name     string
	prefixes []netip.Prefix
}

func (v device) loopback() bool {
	return !slices.ContainsFunc(v.prefixes, func(p netip.Prefix) bool { return !p.Addr().IsLoopback() })
}

// devices lists the devices of the system in its order. Addresses that hold on
// one link only are no places for a listener.
func (w wizard) devices() ([]device, error) {
	all, err := w.env.Machine.Addresses()
	if err != nil {
		return nil, fmt.Errorf("reading the addresses of this machine: %w", err)
	}
	var devices []device
	for _, a := range all {
		if a.Prefix.Addr().IsLinkLocalUnicast() {
			continue
		}
		n := slices.IndexFunc(devices, func(v device) bool { return v.name == a.Device })
		if n < 0 {
			devices, n = append(devices, device{name: a.Device}), len(devices)
		}
		devices[n].prefixes = append(devices[n].prefixes, a.Prefix)
	}
	if len(devices) == 0 {
		return nil, shell.Refusedf("This machine has no address. Add one to the system first.")
	}
	return devices, nil
}

// interfaces puts the interfaces that are chosen in the place of those there
// are.
func (w wizard) interfaces() error {
	devices, err := w.devices()
	if err != nil {
		return err
	}
	before := w.cfg.Interfaces
	for w.cfg.Interfaces = nil; len(w.cfg.Interfaces) == 0 && w.d.Err() == nil; {
		for _, v := range devices {
			w.useDevice(v, before)
		}
		if len(w.cfg.Interfaces) == 0 && !w.d.Refuse(shell.Refusedf("At least one network interface must be used.")) {
			break
		}
	}
	w.keepSSH(before)
	for _, name := range []*string{&w.cfg.Delivery.Interface, &w.cfg.DNS.Interface, &w.cfg.Alerts.Interface} {
		if _, ok := w.cfg.Interface(*name); !ok {
			*name = ""
		}
	}
	return w.d.Err()
}

// keepSSH has operators log in by SSH on the first interface, if they did on one
// that is gone, and else nowhere.
func (w wizard) keepSSH(before []store.Interface) {
	if len(w.cfg.Interfaces) == 0 || len(w.cfg.SSHAddresses()) > 0 {
		return
	}
	for _, old := range before {
		if old.SSHPort != 0 {
			w.cfg.Interfaces[0].SSHPort = old.SSHPort
			return
		}
	}
}

// useDevice asks for the interfaces on one device.
func (w wizard) useDevice(v device, before []store.Interface) {
	use := w.d.YesNo(fmt.Sprintf("Do you want to use the network interface %q (%s)?", v.name, prefixTexts(v.prefixes)), !v.loopback())
	for use && w.d.Err() == nil && roomForInterface(w.cfg) == nil {
		i := w.proposed(v, before)
		i.Name = shell.Ask(w.d, `Please create a nickname for this interface (Ex: "InternalNet"):`, i.Name, func(s string) (string, error) {
			return freeInterfaceName(w.cfg, s, "")
		})
		i = askAddresses(w.d, w.env, w.cfg, i)
		if w.d.Err() != nil {
			return
		}
		w.cfg.Interfaces = append(w.cfg.Interfaces, i)
		use = w.more(v, i) && w.d.YesNo(fmt.Sprintf("Do you want to use another address of %q?", v.name), false)
	}
}

// more reports whether a device has another address for an interface like i.
// All of 127.0.0.0/8 is on the loopback device.
func (w wizard) more(v device, i store.Interface) bool {
	return v.loopback() || slices.ContainsFunc(w.free(v), func(p netip.Prefix) bool {
		return p.Addr().Is4() && i.IPv4.IsValid() || p.Addr().Is6() && i.IPv6.IsValid()
	})
}

func prefixTexts(prefixes []netip.Prefix) string {
	texts := make([]string, len(prefixes))
	for i, p := range prefixes {
		texts[i] = p.String()
	}
	return strings.Join(texts, ", ")
}

// free gives the addresses of a device that no interface has yet.
func (w wizard) free(v device) []netip.Prefix {
	var left []netip.Prefix
	for _, p := range v.prefixes {
		taken := func(i store.Interface) bool { return slices.Contains(i.Addrs(), p.Addr()) }
		if !slices.ContainsFunc(w.cfg.Interfaces, taken) {
			left = append(left, p)
		}
	}
	return left
}

// proposed is an interface with the first free addresses of a device, under
// the name that the first of them had before.
func (w wizard) proposed(v device, before []store.Interface) store.Interface {
	i := store.Interface{Hostname: w.cfg.Hostname}
	for _, p := range w.free(v) {
		if p.Addr().Is4() && !i.IPv4.IsValid() {
			i.IPv4 = p
		} else if p.Addr().Is6() && !i.IPv6.IsValid() {
			i.IPv6 = p
		}
	}
	names := []string{"Management", v.name}
	for _, old := range before {
		if slices.ContainsFunc(i.Addrs(), func(a netip.Addr) bool { return slices.Contains(old.Addrs(), a) }) {
			names = slices.Insert(names, 0, old.Name)
			i.SSHPort = old.SSHPort
		}
	}
	for _, name := range names {
		if free, err := freeInterfaceName(w.cfg, name, ""); err == nil {
			i.Name = free
			break
		}
	}
	return i
}

// dns asks for the servers, in the order they are to be asked, unless those of
// the root are.
func (w wizard) dns() {
	set := w.cfg.DNS
	set.FromRoot = askRoot(w.d, set.FromRoot)
	if !set.FromRoot {
		set.Servers = nil
	}
	for n := 0; w.d.Err() == nil && !set.FromRoot; n++ {
		current := ""
		if n < len(w.cfg.DNS.Servers) {
			current = store.FormatDNSServer(w.cfg.DNS.Servers[n].Addr)
		}
		addr := shell.Ask(w.d, "Please enter the IP address of your DNS server.", current, func(s string) (netip.AddrPort, error) {
			return freeServer(&set, s)
		})
		addServer(&set, store.DNSServer{Addr: addr, Priority: n})
		if roomForServer(&set) != nil || !w.d.YesNo("Do you want to enter another DNS IP address?", n+1 < len(w.cfg.DNS.Servers)) {
			break
		}
	}
	if w.d.Err() == nil {
		w.cfg.DNS = set
	}
}

// listeners makes a public listener and, where there is another interface for
// it, a private one. With one interface the public listener relays too, as on
// appliances with two ports.
func (w wizard) listeners() {
	w.cfg.Listeners = nil
	w.d.Text("\nYou are now going to configure how the gateway accepts mail by creating a\n\"Listener\".")
	public := w.listener(store.NewListener("IncomingMail", store.Public))
	public.RAT = askAccepted(w.d)
	w.routes(public.RAT)
	public.HAT.Default = askPolicy(w.d, public.HAT.Default, shaking{w.cfg, &public})
	relays := w.d.YesNo("Do you want to configure the gateway to relay mail for internal hosts?", true)
	if relays && len(w.cfg.Interfaces) == 1 {
		hosts := askRelayed(w.d)
		public.HAT.RelayFor(hosts)
	}
	if w.d.Err() == nil {
		addListener(w.d, w.cfg, public)
	}
	if relays && len(w.cfg.Interfaces) > 1 {
		private := w.listener(store.NewListener("OutgoingMail", store.Private))
		private.HAT.Groups[0].Hosts = askRelayed(w.d)
		private.HAT.Default = askPolicy(w.d, private.HAT.Default, shaking{w.cfg, &private})
		if w.d.Err() == nil {
			addListener(w.d, w.cfg, private)
		}
	}
}

// alerts asks who is told of trouble. Those who are told already keep what they
// are told of.
func (w wizard) alerts() {
	before := w.cfg.Alerts.Recipients
	recipients := shell.Ask(w.d, "Please enter the email address(es) to send alerts.\n(Ex: \"administrator@example.com\")\nSeparate multiple addresses with commas, or enter NONE to send no alerts.",
		cmp.Or(strings.Join(alertAddresses(w.cfg), ", "), nobody), func(text string) ([]store.AlertRecipient, error) { return alertRecipients(text, before) })
	if w.d.Err() == nil {
		w.cfg.Alerts.Recipients = recipients
	}
}

// nobody is how an empty list of alert recipients is written.
const nobody = "NONE"

// alertRecipients reads addresses separated by commas. One that is in before is
// taken from there.
func alertRecipients(text string, before []store.AlertRecipient) ([]store.AlertRecipient, error) {
	read := &store.Config{}
	if strings.EqualFold(text, nobody) {
		return nil, nil
	}
	for word := range strings.SplitSeq(text, ",") {
		if err := roomForAlerts(read); err != nil {
			return nil, err
		}
		address, err := store.ParseEmail(word)
		if err != nil {
			return nil, err
		}
		r := newAlertRecipient(address)
		if n := find(alertAddresses(&store.Config{Alerts: store.Alerts{Recipients: before}}), address); n >= 0 {
			r = before[n]
		}
		if find(alertAddresses(read), address) < 0 {
			read.Alerts.Recipients = append(read.Alerts.Recipients, r)
		}
	}
	return read.Alerts.Recipients, nil
}

// listener asks for name and interface. The port stays 25.
func (w wizard) listener(l store.Listener) store.Listener {
	l.Name = shell.Ask(w.d, `Please create a name for this listener (Ex: "OutboundMail"):`, l.Name, func(s string) (string, error) {
		return freeListenerName(w.cfg, s, "")
	})
	for w.d.Err() == nil {
		free := w.freeInterface(l)
		l.Interface = w.d.ChooseName("Please choose an IP interface for this Listener.", interfaceChoices(w.cfg), free)
		err := freeAddress(w.cfg, l, "")
		if err == nil || !w.d.Refuse(err) {
			break
		}
	}
	return l
}

// freeInterface names the first interface that has no listener.
func (w wizard) freeInterface(l store.Listener) string {
	for _, i := range w.cfg.Interfaces {
		l.Interface = i.Name
		if freeAddress(w.cfg, l, "") == nil {
			return i.Name
		}
	}
	return ""
}

// routes asks where the mail goes that a listener accepts.
func (w wizard) routes(rat []store.RATEntry) {
	var domains []string
	for _, e := range rat {
		domain := e.Address[strings.LastIndexByte(e.Address, '@')+1:]
		if domain != "" && domain != everybody && !slices.Contains(domains, domain) {
			domains = append(domains, domain)
		}
	}
	if len(domains) == 0 || !w.d.YesNo(fmt.Sprintf("Would you like to configure SMTP routes for %s?", strings.Join(domains, ", ")), true) {
		return
	}
	question := fmt.Sprintf("Enter the destination mail server which you want mail for %s to be delivered.\nSeparate multiple entries with commas.", strings.Join(domains, ", "))
	route := shell.Ask(w.d, question, "", store.ParseRouteHosts)
	for _, domain := range domains {
		if w.d.Err() != nil {
			return
		}
		if n := routeIndex(w.cfg, domain); n >= 0 {
			w.cfg.Routes = slices.Delete(w.cfg.Routes, n, n+1)
		}
		if err := roomForRoute(w.cfg); err != nil {
			tell(w.d, err)
			return
		}
		addRoute(w.d, w.cfg, domain, route)
	}
}
