package commands

import (
	"slices"

	"esa/shell"
	"esa/store"
)

// sourcesForm makes a one-line form of an edit of the allowed addresses.
func sourcesForm(edit func(set *store.AdminAccess, args []string) error) func(*Dialog, Env, []string) error {
	return func(d *Dialog, env Env, args []string) error {
		return env.Edit(func(cfg *store.Config) error {
			set := cfg.AdminAccess
			set.Sources = slices.Clone(set.Sources)
			if err := edit(&set, args); err != nil {
				return err
			}
			cfg.AdminAccess = set
			d.Text(accessMode(set) + "\n" + sourcesList(set))
			return d.Err()
		})
	}
}

func allowAll(set *store.AdminAccess, _ []string) error {
	set.Restrict = false
	return nil
}

// restrictAccess uses the list, or that of the form in its place.
func restrictAccess(set *store.AdminAccess, args []string) error {
	if len(args) > 0 {
		set.Sources = nil
	}
	if err := addSources(set, args); err != nil {
		return err
	}
	if len(set.Sources) == 0 {
		return errNoSources()
	}
	set.Restrict = true
	return nil
}

func addSources(set *store.AdminAccess, args []string) error {
	for _, text := range args {
		source, err := freeSource(*set, text)
		if err != nil {
			return err
		}
		set.Sources = append(set.Sources, source)
	}
	return nil
}

func deleteSources(set *store.AdminAccess, args []string) error {
	for _, text := range args {
		source, err := store.ParseAccessSource(text)
		if err != nil {
			return err
		}
		n := slices.Index(set.Sources, source)
		if n < 0 {
			return shell.Refusedf("%s is not in the list.", source)
		}
		set.Sources = slices.Delete(set.Sources, n, n+1)
	}
	if set.Restrict && len(set.Sources) == 0 {
		return errNoSources()
	}
	return nil
}

func clearSources(set *store.AdminAccess, _ []string) error {
	set.Sources = nil
	if set.Restrict {
		return errNoSources()
	}
	return nil
}

func accessPrintForm(d *Dialog, env Env, _ []string) error {
	set := env.Config().AdminAccess
	d.Text(accessMode(set) + "\n" + sourcesList(set))
	return d.Err()
}

func accessTimeoutForm(_ *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		return setNumber(&cfg.AdminAccess.Timeout, args[0], store.MinSessionMinutes, store.MaxSessionMinutes)
	})
}
