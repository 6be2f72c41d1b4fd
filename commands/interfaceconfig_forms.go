package commands

import (
	"strings"

	"esa/shell"
	"esa/store"
)

// addressKeys lists the keys of the one-line forms for the addresses of i.
func addressKeys(env Env, cfg *store.Config, i *store.Interface) []key {
	var keys []key
	for _, f := range families() {
		keys = append(keys, key{f.key, f.keyText, func(text string) error { return f.set(env, cfg, i, text) }})
	}
	return keys
}

// interfaceKeys are those, and the port of SSH. The addresses of i are read
// first: whether its port is free depends on them.
func interfaceKeys(env Env, cfg *store.Config, i *store.Interface) []key {
	return append(addressKeys(env, cfg, i), key{"--ssh", "PORT|off", func(text string) (err error) {
		if strings.EqualFold(text, "off") {
			i.SSHPort = 0
			return nil
		}
		i.SSHPort, err = freeSSHPort(cfg, *i, text)
		return err
	}})
}

func interfaceNewForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		if err := roomForInterface(cfg); err != nil {
			return err
		}
		var i store.Interface
		var err error
		if i.Name, err = freeInterfaceName(cfg, args[0], ""); err != nil {
			return err
		}
		if i.Hostname, err = store.ParseHostname(args[2]); err != nil {
			return err
		}
		if len(args) > 3 {
			err = setKeys(interfaceKeys(env, cfg, &i), args[3:])
		}
		if err == nil {
			err = needAddress(i)
		}
		if err != nil {
			return err
		}
		if device := deviceOf(env, i); !strings.EqualFold(args[1], auto) && args[1] != device {
			return shell.Refusedf("The address is on %s, not on %s.", device, args[1])
		}
		cfg.Interfaces = append(cfg.Interfaces, i)
		d.Printf("Interface %s created.\n", i.Name)
		return nil
	})
}

func interfaceEditForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		n, err := findInterface(cfg, args[0])
		if err != nil {
			return err
		}
		i := cfg.Interfaces[n]
		name := i.Name
		keys := append(interfaceKeys(env, cfg, &i),
			key{"--name", "NAME", parsed(&name, func(text string) (string, error) { return freeInterfaceName(cfg, text, i.Name) })},
			key{"--hostname", "HOSTNAME", parsed(&i.Hostname, store.ParseHostname)})
		if err := setKeys(keys, args[1:]); err != nil {
			return err
		}
		if err := needAddress(i); err != nil {
			return err
		}
		changeInterface(cfg, n, i, name)
		d.Printf("Interface %s changed.\n", name)
		return nil
	})
}

func interfaceDeleteForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		n, err := findInterface(cfg, args[0])
		if err != nil {
			return err
		}
		name := cfg.Interfaces[n].Name
		if err := deleteInterface(cfg, n); err != nil {
			return err
		}
		d.Printf("Interface %s deleted.\n", name)
		return nil
	})
}

func interfacePrintForm(d *Dialog, env Env, _ []string) error {
	d.Text(interfaceList(env, env.Config()))
	return d.Err()
}
