package commands

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"esa/shell"
	"esa/store"
)

// This file is EDIT of listenerconfig.

func listenerEdit(d *Dialog, env Env, cfg *store.Config) {
	n := d.Pick("Enter the name or number of the listener you wish to edit.", listenerNames(cfg), -1)
	if d.Err() != nil {
		return
	}
	for d.Menu(listenerSummary(cfg, cfg.Listeners[n]), listenerEditMenu(cfg.Listeners[n])...) {
		l := cfg.Listeners[n]
		switch d.Op() {
		case "NAME":
			l.Name = shell.Ask(d, "Please enter a new name for this listener:", l.Name, func(s string) (string, error) {
				return freeListenerName(cfg, s, l.Name)
			})
		case "INTERFACE":
			l = askListenerAddress(d, cfg, l)
		case "CERTIFICATE":
			l.Certificate = askCertificate(d, cfg, l.Certificate)
		case "LIMITS":
			l.MaxConnections = d.Int("Enter the maximum number of concurrent connections.", l.MaxConnections, 1, store.MaxListenerConns)
			l.QueueSize = d.Int("Enter the TCP listen queue size.", l.QueueSize, 1, store.MaxQueueSize)
		case "SETUP":
			l = listenerSetup(d, l)
		case "HOSTACCESS":
			l = hostAccessDialog(d, env, cfg, l)
		case "RCPTACCESS":
			l.RAT = rcptAccessDialog(d, env, l.RAT)
		case "BOUNCECONFIG":
			l.BounceProfile = listenerBounce(d, cfg, l.BounceProfile)
		}
		if d.Err() == nil {
			cfg.Listeners[n] = l
		}
	}
}

func listenerEditMenu(l store.Listener) []shell.Op {
	ops := []shell.Op{
		{Word: "NAME", Text: "Change the name of the listener."},
		{Word: "INTERFACE", Text: "Change the interface."},
		{Word: "CERTIFICATE", Text: "Choose the certificate."},
		{Word: "LIMITS", Text: "Change the injection limits."},
		{Word: "SETUP", Text: "Configure general options."},
		{Word: "HOSTACCESS", Text: "Modify the Host Access Table."},
	}
	if l.Type == store.Public {
		ops = append(ops, shell.Op{Word: "RCPTACCESS", Text: "Modify the Recipient Access Table."})
	}
	return append(ops, shell.Op{Word: "BOUNCECONFIG", Text: "Choose the bounce profile to use for messages injected on this listener."})
}

// listenerSummary is the block above the menu of EDIT (reference
// esa-cli-config 7.3). What this build does not have is off.
func listenerSummary(cfg *store.Config, l store.Listener) string {
	on, _ := cfg.Interface(l.Interface)
	return fmt.Sprintf(`Name: %s
Type: %s
Interface: %s (%s) TCP Port %d
Protocol: SMTP
Default Domain: %s
Max Concurrency: %d (TCP Queue: %d)
Domain Map: Disabled
TLS: %s
SMTP Authentication: Disabled
Bounce Profile: %s
Use SenderBase For Reputation Filters and IP Profiling: No
Footer: None
LDAP: Off`, l.Name, typeName(l.Type), l.Interface, addresses(on), l.Port, cmp.Or(l.DefaultDomain, "<none configured>"),
		l.MaxConnections, l.QueueSize, tlsSummary(l), cmp.Or(l.BounceProfile, store.DefaultProfile))
}

func listenerSetup(d *Dialog, l store.Listener) store.Listener {
	ops := []shell.Op{
		{Word: "DEFAULTDOMAIN", Text: "Configure a default domain name."},
		{Word: "RECEIVED", Text: "Set whether or not a Received: header is added."},
		{Word: "CLEANSMTP", Text: "Set whether or not to repair bare CR and LF in messages."},
	}
	for d.Menu(setupSummary(l), ops...) {
		switch d.Op() {
		case "DEFAULTDOMAIN":
			l.DefaultDomain = shell.Ask(d, "Enter the default domain, which completes addresses without one.\n"+
				`Enter "none" to have none.`, cmp.Or(l.DefaultDomain, "none"), noneOr(store.ParseHostname))
		case "RECEIVED":
			l.Received = d.YesNo("Would you like to add a Received: header to messages received on this listener?", l.Received)
		case "CLEANSMTP":
			l.CleanSMTP = askCleanSMTP(d, l.CleanSMTP)
		}
	}
	return l
}

func setupSummary(l store.Listener) string {
	received := "Disabled"
	if l.Received {
		received = "Enabled"
	}
	return fmt.Sprintf(`Default Domain: %s
Add "Received:" Header: %s
Bare CR and LF: %s`, cmp.Or(l.DefaultDomain, "<none configured>"), received, cleanText(l.CleanSMTP))
}

// cleanModes is the order of the choices.
func cleanModes() []store.CleanSMTP {
	return []store.CleanSMTP{store.Clean, store.Reject, store.Allow}
}

func cleanText(mode store.CleanSMTP) string {
	switch mode {
	case store.Reject:
		return "Reject messages with bare CR or LF characters."
	case store.Allow:
		return "Allow messages with bare CR or LF characters."
	default:
		return "Clean messages of bare CR and LF characters."
	}
}

func askCleanSMTP(d *Dialog, current store.CleanSMTP) store.CleanSMTP {
	var choices []shell.Choice
	for _, mode := range cleanModes() {
		choices = append(choices, shell.Choice{Name: string(mode), Text: cleanText(mode)})
	}
	return store.CleanSMTP(d.ChooseName("Choose how to handle bare CR and LF characters.", choices, string(current)))
}

// parseCleanSMTP reads a mode of a one-line form.
func parseCleanSMTP(text string) (store.CleanSMTP, error) {
	if mode := store.CleanSMTP(strings.ToLower(text)); slices.Contains(cleanModes(), mode) {
		return mode, nil
	}
	return "", shell.Refusedf("The value must be clean, reject or allow.")
}

// listenerBounce asks for the profile of a listener, which may be a new one.
func listenerBounce(d *Dialog, cfg *store.Config, current string) string {
	chosen := askBounceProfile(d, cfg, current, newProfile)
	if chosen != newProfile {
		return chosen
	}
	if name := bounceNew(d, cfg); name != "" {
		return name
	}
	return current
}

// hostAccess is the table as the appliance prints it.
func hostAccess(h store.HAT) string {
	var b strings.Builder
	_ = store.WriteHAT(&b, h) // a Builder takes everything
	return b.String()
}

func recipientAccess(rat []store.RATEntry) string {
	var b strings.Builder
	_ = store.WriteRAT(&b, rat) // as above
	return b.String()
}
