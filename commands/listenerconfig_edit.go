package commands

import (
	"fmt"

	"esa/shell"
	"esa/store"
)

// This file is EDIT of listenerconfig.

func listenerEdit(d *Dialog, cfg *store.Config) {
	n := pickListener(d, cfg, "Enter the name or number of the listener you wish to edit.")
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
		case "LIMITS":
			l.MaxConnections = d.Int("Enter the maximum number of concurrent connections.", l.MaxConnections, 1, store.MaxListenerConns)
			l.QueueSize = d.Int("Enter the TCP listen queue size.", l.QueueSize, 1, store.MaxQueueSize)
		case "SETUP":
			l = listenerSetup(d, l)
		case "BOUNCECONFIG":
			l.BounceProfile = askBounceProfile(d, cfg, l.BounceProfile)
		case "CERTIFICATE":
			d.Text("This build does not use TLS yet: a listener has no certificate.")
		case "HOSTACCESS":
			d.Text("This build does not edit the host access table yet. It has:\n" + hostAccess(l.HAT))
		case "RCPTACCESS":
			d.Text("This build does not edit the recipient access table yet. It has:\n" + recipientAccess(l.RAT))
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

// listenerSummary is the block above the menu of EDIT.
func listenerSummary(cfg *store.Config, l store.Listener) string {
	return fmt.Sprintf(`Name: %s
Type: %s
Interface: %s TCP Port %d
Protocol: SMTP
Default Domain: %s
Max Concurrency: %d (TCP Queue: %d)
TLS: No
Bounce Profile: %s`, l.Name, typeName(l.Type), listenerPlace(cfg, l), l.Port, orNone(l.DefaultDomain, "<none configured>"),
		l.MaxConnections, l.QueueSize, orNone(l.BounceProfile, store.DefaultProfile))
}

func orNone(s, none string) string {
	if s == "" {
		return none
	}
	return s
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
			l.DefaultDomain = askDefaultDomain(d, l.DefaultDomain)
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
	return fmt.Sprintf("Default Domain: %s\nAdd \"Received:\" Header: %s\nBare CR and LF: %s",
		orNone(l.DefaultDomain, "<none configured>"), received, cleanText(l.CleanSMTP))
}

func askDefaultDomain(d *Dialog, current string) string {
	return shell.Ask(d, "Enter the default domain, which completes addresses without one.\nEnter \"none\" to have none.", current,
		func(s string) (string, error) {
			if s == "" || s == "none" {
				return "", nil
			}
			return store.ParseHostname(s)
		})
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
	var options []string
	chosen := 0
	for i, mode := range cleanModes() {
		options = append(options, cleanText(mode))
		if mode == current {
			chosen = i
		}
	}
	return cleanModes()[d.Choose("Choose how to handle bare CR and LF characters.", options, chosen)]
}

// hostAccess is the table as the appliance prints it.
func hostAccess(h store.HAT) string {
	text := ""
	for _, p := range h.Policies {
		text += fmt.Sprintf("$%s\n    %s\n", p.Name, p.Behavior)
	}
	for _, g := range h.Groups {
		text += g.Name + ":\n"
		for _, host := range g.Hosts {
			text += "    " + host + "\n"
		}
		text += "    " + policyWord(h, g) + "\n"
	}
	return text
}

// policyWord is "$RELAYED" for a policy, the word itself for a behavior.
func policyWord(h store.HAT, g store.SenderGroup) string {
	for _, p := range h.Policies {
		if p.Name == g.Policy {
			return "$" + g.Policy
		}
	}
	return g.Policy
}

func recipientAccess(rat []store.RATEntry) string {
	text := ""
	for _, e := range rat {
		text += fmt.Sprintf("%s %s\n", e.Address, e)
	}
	return text
}
