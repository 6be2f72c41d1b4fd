package commands

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"esa/shell"
	"esa/store"
)

// listenerconfig says where mail is received, and from whom.
func listenerconfig() Command {
	keys := listenerKeys(nil, &store.Listener{})
	return Command{
		Name:  "listenerconfig",
		Short: "Configure mail listeners.",
		Long: `A private listener relays for the hosts you name and for nobody else; a public
one takes mail for the recipients you name. accept= and relay= take lists
separated by commas: recipients as example.com, .example.com, user@ or
user@example.com; hosts as addresses, networks, ranges or host names.

hostaccess edits the host access table: sender groups (hosts and the policy for
them, the first group that matches decides) and mail flow policies. Options of
policies: --max_size --max_conn --max_msgs --max_rcpt --override --cust_acc
--acc_code --cust_rej --rej_code --rate_lim --cust_lim --lim_code --dhap
--dhap_action --cust_dhap --dhap_code --send_rate --cust_send --send_code
--send_except --sig_bits --tls --tls_addresses --verify --cust_malf --malf_code
--cust_unres --unres_code --cust_nonex --nonex_code --exceptions; "default"
takes the value of the default parameters, "none" or "unlimited" turns off.
rate_lim and dhap are recipients an hour; send_rate is recipients/minutes; tls
is off, on (preferred), require, on_verify or require_verify, the last two with
a certificate of the client; tls_addresses are the envelope senders that must
use TLS where it is on; verify looks up the domain of envelope senders,
exceptions uses the table of exceptionconfig. \\n in the text of a reply begins
another line. Import files have the form that export writes.

setup is for all listeners. A TIME is written as 90s, 15m, 1h or 1h30m.

rcptaccess edits the recipient access table. Its files have one entry a line,
an address and ACCEPT or REJECT, then "bypass" if the rate limits shall not
count it, then a code and a text to reply with, if need be; \n begins another
line of the reply; the last entry is ALL.`,
		Commit: true,
		Forms: []Form{
			{Usage: usage("listenerconfig new NAME public|private|blackhole INTERFACE smtp|qmqp", keys), Run: listenerNewForm},
			{Usage: usage("listenerconfig edit NAME [name=NAME] [interface=INTERFACE]", keys), Run: listenerEditForm},
			{Usage: "listenerconfig delete NAME", Run: listenerDeleteForm},
			{Usage: "listenerconfig print [NAME]", Run: listenerPrintForm},
			{Usage: "listenerconfig edit NAME hostaccess ACTION [WORDS...]", Run: hostAccessForm},
			{Usage: "listenerconfig edit NAME rcptaccess ACTION [WORDS...]", Run: rcptAccessForm},
			{Usage: usage("listenerconfig setup", receptionKeys(&store.Reception{})), Run: receptionForm},
		},
		Dialog: listenerDialog,
	}
}

func listenerDialog(d *Dialog, env Env) error {
	return env.Edit(func(cfg *store.Config) error {
		for d.Menu(listenerList(cfg), listenerMenu(cfg)...) {
			switch d.Op() {
			case "NEW":
				listenerNew(d, cfg)
			case "EDIT":
				listenerEdit(d, env, cfg)
			case "DELETE":
				listenerDelete(d, cfg)
			case "SETUP":
				receptionDialog(d, cfg)
			}
		}
		return d.Err()
	})
}

func listenerMenu(cfg *store.Config) []shell.Op {
	ops := []shell.Op{{Word: "NEW", Text: "Create a new listener."}}
	if len(cfg.Listeners) > 0 {
		ops = append(ops,
			shell.Op{Word: "EDIT", Text: "Modify a listener."},
			shell.Op{Word: "DELETE", Text: "Remove a listener."})
	}
	return append(ops, shell.Op{Word: "SETUP", Text: "Change global settings."})
}

// listenerList is the numbered list above the menu (reference
// esa-cli-config 7.1).
func listenerList(cfg *store.Config) string {
	if len(cfg.Listeners) == 0 {
		return "There are no listeners configured."
	}
	var b strings.Builder
	b.WriteString("Currently configured listeners:\n")
	for i, l := range cfg.Listeners {
		place := l.Interface
		if on, ok := cfg.Interface(l.Interface); ok {
			for _, addr := range on.Addrs() {
				place += ", " + addr.String()
			}
		}
		fmt.Fprintf(&b, "%d. %s (on %s) SMTP TCP Port %d %s\n", i+1, l.Name, place, l.Port, typeName(l.Type))
	}
	return b.String()
}

func typeName(t store.ListenerType) string {
	if t == store.Public {
		return "Public"
	}
	return "Private"
}

func listenerNames(cfg *store.Config) []string {
	names := make([]string, len(cfg.Listeners))
	for i, l := range cfg.Listeners {
		names[i] = l.Name
	}
	return names
}

func listenerNew(d *Dialog, cfg *store.Config) {
	if err := roomForListener(cfg); err != nil {
		tell(d, err)
		return
	}
	kind := askListenerType(d)
	name := shell.Ask(d, `Please create a name for this listener (Ex: "OutboundMail"):`, "", func(s string) (string, error) {
		return freeListenerName(cfg, s, "")
	})
	l := store.NewListener(name, kind)
	l = askListenerAddress(d, cfg, l)
	if kind == store.Public {
		l.RAT = askAccepted(d)
	} else {
		l.HAT.Groups[0].Hosts = askRelayed(d)
	}
	l.HAT.Default = askPolicy(d, l.HAT.Default, shaking{cfg, &l})
	if len(cfg.BounceProfiles) > 1 {
		l.BounceProfile = askBounceProfile(d, cfg, l.BounceProfile)
	}
	if d.Err() == nil {
		addListener(d, cfg, l)
	}
}

// addListener is where dialog and one-line form of NEW meet.
func addListener(d *Dialog, cfg *store.Config, l store.Listener) {
	cfg.Listeners = append(cfg.Listeners, l)
	d.Printf("Listener %s created.\n"+
		"Defaults have been set for a %s listener.\n"+
		"Use the listenerconfig->EDIT command to customize the listener.\n", l.Name, typeName(l.Type))
}

func roomForListener(cfg *store.Config) error {
	if len(cfg.Interfaces) == 0 {
		return shell.Refusedf("A listener needs an interface. Use interfaceconfig to create one.")
	}
	if len(cfg.Listeners) >= store.MaxListeners {
		return shell.Refusedf("There is a maximum of %d listeners.", store.MaxListeners)
	}
	return nil
}

func askListenerType(d *Dialog) store.ListenerType {
	for {
		switch d.Choose("Please select the type of listener you want to create.", []string{"Private", "Public", "Blackhole"}, 1) {
		case 0:
			return store.Private
		case 1:
			return store.Public
		}
		if !d.Refuse(noBlackhole()) {
			return store.Public
		}
	}
}

func noBlackhole() error { return shell.Refusedf("This build does not have Blackhole listeners.") }

// freeListenerName reads a name that no other listener than own has. Case
// matters.
func freeListenerName(cfg *store.Config, text, own string) (string, error) {
	name, err := store.ParseListenerName(text)
	if err != nil {
		return "", err
	}
	if cfg.Listener(name) != nil && name != own {
		return "", shell.Refusedf("The listener name %q is already in use.", name)
	}
	return name, nil
}

// askListenerAddress asks for interface, protocol and port until no other
// listener is there.
func askListenerAddress(d *Dialog, cfg *store.Config, l store.Listener) store.Listener {
	choices := interfaceChoices(cfg)
	if l.Interface == "" {
		l.Interface = cfg.Interfaces[0].Name
	}
	for {
		placed := l
		placed.Interface = d.ChooseName("Please choose an IP interface for this Listener.", choices, l.Interface)
		for d.Choose("Choose a protocol.", []string{"SMTP", "QMQP"}, 0) == 1 && d.Refuse(noQMQP()) {
		}
		placed.Port = shell.Ask(d, "Please enter the TCP port for this listener.", strconv.Itoa(int(l.Port)), store.ParsePort)
		err := freeAddress(cfg, placed, l.Name)
		if err == nil || !d.Refuse(err) {
			return placed
		}
	}
}

func interfaceChoices(cfg *store.Config) []shell.Choice {
	choices := make([]shell.Choice, len(cfg.Interfaces))
	for n, i := range cfg.Interfaces {
		choices[n] = shell.Choice{Name: i.Name, Text: interfaceText(i)}
	}
	return choices
}

func noQMQP() error { return shell.Refusedf("This build does not have QMQP.") }

// freeAddress refuses an address and port that another listener than own has.
func freeAddress(cfg *store.Config, l store.Listener, own string) error {
	for _, other := range cfg.Listeners {
		if other.Name != own && other.Interface == l.Interface && other.Port == l.Port {
			return shell.Refusedf("Port %d of %s is currently assigned to listener %q.", l.Port, l.Interface, other.Name)
		}
	}
	return nil
}

func askAccepted(d *Dialog) []store.RATEntry {
	return shell.Ask(d, `Enter the domains or specific email addresses you want to accept mail for.

Hostnames such as "example.com" are allowed.
Partial hostnames such as ".example.com" are allowed.
Usernames such as "postmaster@" are allowed.
Full email addresses such as "joe@example.com" or "joe@[1.2.3.4]" are allowed.
Separate multiple addresses with commas.`, "", parseRecipients)
}

// parseRecipients reads the recipients of a listener; all others are refused.
func parseRecipients(text string) ([]store.RATEntry, error) {
	const all = "ALL"
	last := store.RATEntry{Address: all}
	var rat []store.RATEntry
	for part := range strings.SplitSeq(text, ",") {
		address, err := store.ParseRATAddress(part)
		switch {
		case err != nil:
			return nil, err
		case address == all:
			last.Accept = true
		case !slices.ContainsFunc(rat, func(e store.RATEntry) bool { return e.Address == address }):
			rat = append(rat, store.RATEntry{Address: address, Accept: true})
		}
	}
	return append(rat, last), nil
}

func askRelayed(d *Dialog) []string {
	return shell.Ask(d, `Please specify the systems allowed to relay email through this machine.

Hostnames such as "example.com" are allowed.
Partial hostnames such as ".example.com" are allowed.
IP addresses, CIDR addresses and IP address ranges are allowed.
Separate multiple entries with commas.`, "", store.ParseSenderHosts)
}

// askPolicy asks for the limits that hold for everybody, shows them, and lets
// them be changed.
func askPolicy(d *Dialog, p store.PolicyParams, s shaking) store.PolicyParams {
	if d.YesNo("Do you want to enable rate limiting for this listener? (Rate limiting defines the maximum number of recipients per hour you are willing to receive from a remote domain.)", p.MaxPerHour > 0) {
		p.MaxPerHour = d.Int("Enter the maximum number of recipients per hour to accept from a remote domain.", p.MaxPerHour, 1, store.MaxPerHour)
	}
	d.Text(policyBlock(p))
	if d.YesNo("Would you like to change the default host access policy?", false) {
		p = askDefaultParams(d, p, s)
	}
	return p
}

// sizeText writes a size as the appliance does: 100M, 64k, 1000.
func sizeText(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.FormatInt(n>>20, 10) + "M"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.FormatInt(n>>10, 10) + "k"
	default:
		return strconv.FormatInt(n, 10)
	}
}

// newProfile is what stands behind the profiles where one may be made.
const newProfile = "New Profile"

// askBounceProfile asks for the profile of a listener, as the listener names
// it, among those there are and more.
func askBounceProfile(d *Dialog, cfg *store.Config, current string, more ...string) string {
	names := append(profileNames(cfg), more...)
	n := d.Choose("Please choose a bounce profile to apply:", names, max(0, slices.Index(names, current)))
	return listenerProfile(names[n])
}

// listenerProfile is how a listener names a profile: Default is none.
func listenerProfile(name string) string {
	if name == store.DefaultProfile {
		return ""
	}
	return name
}

func listenerDelete(d *Dialog, cfg *store.Config) {
	n := d.Pick("Enter the name or number of the listener you wish to remove.", listenerNames(cfg), -1)
	if d.Err() == nil {
		deleteListener(d, cfg, n)
	}
}

// deleteListener is where dialog and one-line form of DELETE meet.
func deleteListener(d *Dialog, cfg *store.Config, n int) {
	d.Printf("Listener %s deleted.\n", cfg.Listeners[n].Name)
	cfg.Listeners = slices.Delete(cfg.Listeners, n, n+1)
}
