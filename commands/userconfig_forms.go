package commands

import (
	"cmp"
	"strings"

	"esa/shell"
	"esa/store"
)

// policyKeys lists the keys of the policy, in the order of the dialog.
func policyKeys(p *store.PassphrasePolicy) []key {
	return []key{
		{"min_length", "N", number(&p.MinLength, store.MinPassphraseLength, store.MaxPassphraseLength)},
		{"mixed_case", "yes|no", yesNo(&p.Mixed)},
		{"number", "yes|no", yesNo(&p.Digit)},
		{"special", "yes|no", yesNo(&p.Special)},
		{"ban_username", "yes|no", yesNo(&p.NotName)},
		{"ban_reuse", "N", number(&p.Former, 0, store.MaxFormer)},
		{"expire_days", "N", number(&p.ExpireDays, 0, store.MaxExpireDays)},
	}
}

// userForm edits the users by a one-line form, whose first word names one.
func userForm(d *Dialog, env Env, name string, change func(cfg *store.Config, n int) error) error {
	if !reauthenticate(d, env) {
		return cmp.Or(d.Err(), shell.ErrFailed)
	}
	return env.Edit(func(cfg *store.Config) error {
		n, err := userIndex(cfg, name)
		if err != nil {
			return err
		}
		return change(cfg, n)
	})
}

func userNewForm(d *Dialog, env Env, args []string) error {
	if !reauthenticate(d, env) {
		return cmp.Or(d.Err(), shell.ErrFailed)
	}
	return env.Edit(func(cfg *store.Config) error {
		if err := roomForUser(cfg); err != nil {
			return err
		}
		name, err := freeUserName(cfg, args[0])
		if err != nil {
			return err
		}
		role, err := store.ParseRole(args[1])
		if err != nil {
			return err
		}
		u := store.User{Name: name, FullName: name, Role: role}
		if len(args) > 2 {
			if err := setKeys([]key{{"fullname", "TEXT", parsed(&u.FullName, store.ParseFullName)}}, args[2:]); err != nil {
				return err
			}
		}
		cfg.Users = append(cfg.Users, u)
		d.Printf("User %q created.\n%s\nUse userconfig passphrase %s.\n", name, withoutPassphrase, name)
		return d.Err()
	})
}

func userEditForm(d *Dialog, env Env, args []string) error {
	return userForm(d, env, args[0], func(cfg *store.Config, n int) error {
		u := cfg.Users[n]
		err := setKeys([]key{
			{"fullname", "TEXT", parsed(&u.FullName, store.ParseFullName)},
			{"role", "ROLE", parsed(&u.Role, store.ParseRole)},
		}, args[1:])
		if err == nil {
			err = mayModify(u)
		}
		if err == nil {
			cfg.Users[n] = u
		}
		return err
	})
}

func userDeleteForm(d *Dialog, env Env, args []string) error {
	return userForm(d, env, args[0], func(cfg *store.Config, n int) error {
		if err := mayDelete(env, args[0]); err != nil {
			return err
		}
		deleteUser(d, cfg, n)
		return d.Err()
	})
}

// userPassphraseForm asks for the passphrase and does not show it: no line that
// is kept anywhere has it.
func userPassphraseForm(d *Dialog, env Env, args []string) error {
	how := "assign"
	if len(args) > 1 {
		how = strings.ToLower(args[1])
	}
	return userForm(d, env, args[0], func(cfg *store.Config, n int) error {
		switch how {
		case "force":
			return forcePassphrase(d, cfg, n)
		case "none":
			removePassphrase(d, cfg, n)
			return d.Err()
		}
		a := accounts{d: d, env: env, cfg: cfg}
		u, given := a.newPassphrase(cfg.Users[n])
		if err := d.Err(); err != nil {
			return err
		}
		if !given {
			return shell.Refusedf("The passphrase of %q was not changed.", args[0])
		}
		cfg.Users[n] = u
		d.Printf("\nThe passphrase of %q is assigned.\n", args[0])
		return d.Err()
	})
}

func userPolicyForm(d *Dialog, env Env, args []string) error {
	if !reauthenticate(d, env) {
		return cmp.Or(d.Err(), shell.ErrFailed)
	}
	return env.Edit(func(cfg *store.Config) error {
		set := cfg.Passphrases
		if err := setKeys(policyKeys(&set), args); err != nil {
			return err
		}
		cfg.Passphrases = set
		return nil
	})
}

func userStatusForm(d *Dialog, env Env, args []string) error {
	return userForm(d, env, args[0], func(cfg *store.Config, n int) error {
		lockUser(d, cfg, n, strings.EqualFold(args[1], "locked"))
		return d.Err()
	})
}

func userPrintForm(d *Dialog, env Env, _ []string) error {
	d.Text(userList(env.Config()))
	return d.Err()
}
