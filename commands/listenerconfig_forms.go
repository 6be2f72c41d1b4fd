package commands

import (
	"esa/shell"
	"esa/store"
)

// This file is the one-line forms of listenerconfig.

// listenerKeys lists the keys of the one-line forms over one listener.
func listenerKeys(cfg *store.Config, l *store.Listener) []key {
	return []key{
		{"port", "N", parsed(&l.Port, store.ParsePort)},
		{"connections", "N", number(&l.MaxConnections, 1, store.MaxListenerConns)},
		{"queue", "N", number(&l.QueueSize, 1, store.MaxQueueSize)},
		{"default_domain", "DOMAIN|none", parsed(&l.DefaultDomain, noneOr(store.ParseHostname))},
		{"received", "yes|no", yesNo(&l.Received)},
		{"clean_smtp", "clean|reject|allow", parsed(&l.CleanSMTP, parseCleanSMTP)},
		{"bounce_profile", "PROFILE", parsed(&l.BounceProfile, func(text string) (string, error) {
			n, err := findProfile(cfg, text)
			if err != nil {
				return "", err
			}
			return listenerProfile(cfg.BounceProfiles[n].Name), nil
		})},
		{"certificate", "NAME|none", parsed(&l.Certificate, func(text string) (string, error) { return findCertificate(cfg, text) })},
		{"accept", "LIST", func(text string) error {
			if l.Type != store.Public {
				return shell.Refusedf("A private listener has no Recipient Access Table.")
			}
			return parsed(&l.RAT, parseRecipients)(text)
		}},
		{"relay", "LIST", func(text string) error {
			if l.Type != store.Private {
				return shell.Refusedf("relay= is for private listeners. Use hostaccess to let hosts relay on a public one.")
			}
			return parsed(&l.HAT.Groups[0].Hosts, store.ParseSenderHosts)(text)
		}},
	}
}

// onInterface is the key, or the word, for the interface of a listener.
func onInterface(cfg *store.Config, l *store.Listener) key {
	return key{"interface", "INTERFACE", parsed(&l.Interface, func(text string) (string, error) {
		n, err := findInterface(cfg, text)
		if err != nil {
			return "", err
		}
		return cfg.Interfaces[n].Name, nil
	})}
}

func listenerNewForm(d *Dialog, env Env, args []string) error {
	name, kind, on, protocol, words := args[0], args[1], args[2], args[3], args[4:]
	return env.Edit(func(cfg *store.Config) error {
		if err := roomForListener(cfg); err != nil {
			return err
		}
		if kind == "blackhole" {
			return noBlackhole()
		}
		if protocol == "qmqp" {
			return noQMQP()
		}
		name, err := freeListenerName(cfg, name, "")
		if err != nil {
			return err
		}
		l := store.NewListener(name, store.ListenerType(kind))
		keys := append(listenerKeys(cfg, &l), onInterface(cfg, &l))
		if err := setKeys(keys, append(words, "interface="+on)); err != nil {
			return err
		}
		if err := freeAddress(cfg, l, ""); err != nil {
			return err
		}
		addListener(d, cfg, l)
		return nil
	})
}

func listenerEditForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		n, err := findListener(cfg, args[0])
		if err != nil {
			return err
		}
		l := cfg.Listeners[n]
		own, certificate := l.Name, l.Certificate
		keys := append(listenerKeys(cfg, &l), onInterface(cfg, &l), key{"name", "NAME", parsed(&l.Name, func(text string) (string, error) {
			return freeListenerName(cfg, text, own)
		})})
		if err := setKeys(keys, args[1:]); err != nil {
			return err
		}
		if err := freeAddress(cfg, l, own); err != nil {
			return err
		}
		cfg.Listeners[n] = l
		d.Printf("Listener %s changed.\n", l.Name)
		tellDemo(d, l.Certificate, certificate)
		return nil
	})
}

func findListener(cfg *store.Config, name string) (int, error) {
	n := find(listenerNames(cfg), name)
	if n < 0 {
		return -1, shell.Refusedf("The listener %q does not exist.", name)
	}
	return n, nil
}

func listenerDeleteForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		n, err := findListener(cfg, args[0])
		if err == nil {
			deleteListener(d, cfg, n)
		}
		return err
	})
}

func listenerPrintForm(d *Dialog, env Env, args []string) error {
	cfg := env.Config()
	if len(args) == 0 {
		d.Text(listenerList(cfg))
		return d.Err()
	}
	n, err := findListener(cfg, args[0])
	if err != nil {
		return err
	}
	l := cfg.Listeners[n]
	d.Text(listenerSummary(cfg, l) + "\n\n" + setupSummary(l))
	d.Text("\nHost Access Table:\n" + hostAccess(l.HAT))
	if l.Type == store.Public {
		d.Text("\nRecipient Access Table:\n" + recipientAccess(l.RAT))
	}
	return d.Err()
}
