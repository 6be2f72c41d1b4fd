package commands

import (
	"slices"

	"esa/shell"
	"esa/store"
)

// This file is the one-line forms of listenerconfig.

func listenerNewForm(d *Dialog, env Env, args []string) error {
	words, err := shell.Settings(args[3:])
	if err != nil {
		return err
	}
	return env.Edit(func(cfg *store.Config) error {
		if err := roomForListener(cfg); err != nil {
			return err
		}
		name, err := freeListenerName(cfg, args[0], "")
		if err != nil {
			return err
		}
		l := store.NewListener(name, store.ListenerType(args[1]))
		words["interface"] = args[2]
		if err := setListener(cfg, &l, words); err != nil {
			return err
		}
		cfg.Listeners = append(cfg.Listeners, l)
		d.Printf("Listener %s created.\n", name)
		return nil
	})
}

// listenerKeys lists the keys of the one-line form of EDIT.
func listenerKeys() []string {
	return []string{
		"name", "interface", "port", "connections", "queue", "default_domain", "received", "clean_smtp", "bounce_profile",
		"accept", "relay",
	}
}

func listenerEditForm(d *Dialog, env Env, args []string) error {
	words, err := shell.Settings(args[1:])
	if err != nil {
		return err
	}
	return env.Edit(func(cfg *store.Config) error {
		l := cfg.Listener(args[0])
		if l == nil {
			return noListener(args[0])
		}
		changed := *l
		if text, given := words["name"]; given {
			if changed.Name, err = freeListenerName(cfg, text, l.Name); err != nil {
				return err
			}
		}
		if err := setListener(cfg, &changed, words); err != nil {
			return err
		}
		*l = changed
		d.Printf("Listener %s changed.\n", changed.Name)
		return nil
	})
}

// setListener fills a listener from the words of a one-line form.
func setListener(cfg *store.Config, l *store.Listener, words map[string]string) error {
	own := l.Name
	for key, value := range words {
		if !slices.Contains(listenerKeys(), key) {
			return shell.Refusedf("Invalid arguments: there is no setting %q. The settings are: %s.", key, wrapped(listenerKeys()))
		}
		if err := setListenerWord(cfg, l, key, value); err != nil {
			return err
		}
	}
	return freeAddress(cfg, *l, own)
}

func setListenerWord(cfg *store.Config, l *store.Listener, key, value string) error {
	var err error
	switch key {
	case "interface":
		if _, ok := cfg.Interface(value); !ok {
			return noInterface(value)
		}
		l.Interface = value
	case "port":
		l.Port, err = store.ParsePort(value)
	case "connections":
		err = setNumber(&l.MaxConnections, value, 1, store.MaxListenerConns)
	case "queue":
		err = setNumber(&l.QueueSize, value, 1, store.MaxQueueSize)
	case "default_domain":
		err = setText(&l.DefaultDomain, value, value == "" || value == "none", store.ParseHostname)
	case "received":
		l.Received, err = parseYesNo(value)
	case "clean_smtp":
		if !slices.Contains(cleanModes(), store.CleanSMTP(value)) {
			return shell.Refusedf("The value must be clean, reject or allow.")
		}
		l.CleanSMTP = store.CleanSMTP(value)
	case "bounce_profile":
		var n int
		if n, err = profileIndex(cfg, value); err == nil {
			l.BounceProfile = cfg.BounceProfiles[n].Name
		}
	case "accept":
		if l.Type != store.Public {
			return shell.Refusedf("A private listener has no recipient access table.")
		}
		l.RAT, err = parseRecipients(value)
	case "relay":
		if l.Type != store.Private {
			return shell.Refusedf("A public listener does not relay in this build.")
		}
		l.HAT.Groups = slices.Clone(l.HAT.Groups)
		l.HAT.Groups[0].Hosts, err = store.ParseSenderHosts(value)
	}
	return err
}

func noListener(name string) error {
	return shell.Refusedf("The listener %q does not exist.", name)
}

func listenerDeleteForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		n := slices.IndexFunc(cfg.Listeners, func(l store.Listener) bool { return l.Name == args[0] })
		if n < 0 {
			return noListener(args[0])
		}
		cfg.Listeners = slices.Delete(cfg.Listeners, n, n+1)
		d.Printf("Listener %s deleted.\n", args[0])
		return nil
	})
}

func listenerPrintForm(d *Dialog, env Env, args []string) error {
	cfg := env.Config()
	if len(args) == 0 {
		d.Text(listenerList(cfg))
		return d.Err()
	}
	l := cfg.Listener(args[0])
	if l == nil {
		return noListener(args[0])
	}
	d.Text(listenerSummary(cfg, *l) + "\n" + setupSummary(*l))
	d.Text("Host Access Table:\n" + hostAccess(l.HAT))
	if l.Type == store.Public {
		d.Text("Recipient Access Table:\n" + recipientAccess(l.RAT))
	}
	return d.Err()
}
