package commands

import (
	"strings"

	"esa/shell"
	"esa/store"
)

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
		if _, err := setInterface(env, cfg, &i, append(args[3:], "--hostname="+args[2])); err != nil {
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
		name, err := setInterface(env, cfg, &i, args[1:])
		if err != nil {
			return err
		}
		changeInterface(cfg, n, i, name)
		d.Printf("Interface %s changed.\n", name)
		return nil
	})
}

// setInterface fills an interface from the words of a one-line form, and gives
// the name that it is to have.
func setInterface(env Env, cfg *store.Config, i *store.Interface, words []string) (name string, err error) {
	name = i.Name
	err = settings(words, func(key, value string) (err error) {
		switch key {
		case "--name":
			name, err = freeInterfaceName(cfg, value, i.Name)
		case "--hostname":
			i.Hostname, err = store.ParseHostname(value)
		}
		for _, f := range families() {
			if f.key == key {
				err = f.set(env, cfg, i, value)
			}
		}
		return err
	})
	if err == nil {
		err = needAddress(*i)
	}
	return name, err
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
