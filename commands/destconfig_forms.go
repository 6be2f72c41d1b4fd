package commands

import (
	"cmp"
	"strings"

	"esa/shell"
	"esa/store"
)

// destKeys lists the keys of the one-line forms over one entry.
func destKeys(cfg *store.Config, to *store.Destination) []key {
	return []key{
		{"concurrency_limit", "N", orDefault(to, &to.Concurrency, number(&to.Concurrency, 1, store.MaxDestinationConcurrency))},
		{"concurrency_limit_type", "host|MXIP", orDefault(to, &to.Scope, parsed(&to.Scope, store.ParseScope))},
		{"concurrency_limit_apply", "system|VG", orDefault(to, &to.Place, parsed(&to.Place, store.ParsePlace))},
		{"max_messages_per_connection", "N", orDefault(to, &to.MaxMessages, number(&to.MaxMessages, 1, store.MaxMessagesPerConnection))},
		{"recipient_limit_minutes", "N", number(&to.RecipientMinutes, 1, store.MaxRecipientMinutes)},
		{"recipient_limit", "N|none", orNone(&to.RecipientLimit, number(&to.RecipientLimit, 1, store.MaxRecipientLimit))},
		{"use_tls", "MODE", orDefault(to, &to.TLS, parsed(&to.TLS, store.ParseDestinationTLS))},
		{"dane", "none|opportunistic|mandatory", orDefault(to, &to.DANE, parsed(&to.DANE, store.ParseDANE))},
		{"bounce_profile", "PROFILE", orDefault(to, &to.BounceProfile, parsed(&to.BounceProfile, func(text string) (string, error) {
			if to.Domain == "" {
				return "", shell.Refusedf("The default has no bounce profile of its own: use bounceconfig.")
			}
			n, err := findProfile(cfg, text)
			if err != nil {
				return "", err
			}
			return cfg.BounceProfiles[n].Name, nil
		}))},
		{"ip_sort_pref", "PREFER_V4|PREFER_V6|REQUIRE_V4|REQUIRE_V6", orDefault(to, &to.Family, parsed(&to.Family, store.ParseFamilyOrder))},
	}
}

// orDefault has the word default empty a place of an entry, and leaves the
// rest to set.
func orDefault[T any](to *store.Destination, place *T, set func(string) error) func(string) error {
	return func(text string) error {
		if !strings.EqualFold(text, leaveToDefault) {
			return set(text)
		}
		if to.Domain == "" {
			return shell.Refusedf("The default has nothing to take a value from.")
		}
		var nothing T
		*place = nothing
		return nil
	}
}

// orNone has none and default stand for no limit of its own.
func orNone(place *int, set func(string) error) func(string) error {
	return func(text string) error {
		if strings.EqualFold(text, "none") || strings.EqualFold(text, leaveToDefault) {
			*place = 0
			return nil
		}
		return set(text)
	}
}

// setDestination reads the words of a one-line form into an entry. A limit
// that is set without scope or place gets those that the dialog proposes.
func setDestination(cfg *store.Config, to *store.Destination, words []string) error {
	before := *to
	if err := setKeys(destKeys(cfg, to), words); err != nil {
		return err
	}
	switch {
	case to.RecipientLimit != 0:
		to.RecipientMinutes = cmp.Or(to.RecipientMinutes, proposedMinutes)
	case to.RecipientMinutes != before.RecipientMinutes:
		return shell.Refusedf("A recipient limit needs both a number of recipients and one of minutes.")
	default:
		to.RecipientMinutes = 0
	}
	switch {
	case to.Limited():
		to.Scope, to.Place = cmp.Or(to.Scope, store.WholeDomain), cmp.Or(to.Place, store.SystemWide)
	case to.Scope != before.Scope || to.Place != before.Place:
		return shell.Refusedf("There is no limit that could be applied so: set concurrency_limit or recipient_limit too.")
	default:
		to.Scope, to.Place = "", ""
	}
	return nil
}

func destSetForm(d *Dialog, env Env, args []string) error {
	if args[0] == "new" {
		return destNewForm(d, env, args[1:])
	}
	return destEditForm(d, env, args[1:])
}

func destNewForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		if err := roomForDestination(cfg); err != nil {
			return err
		}
		domain, err := freeDestination(cfg, args[0])
		if err != nil {
			return err
		}
		to := store.Destination{Domain: domain}
		if err := setDestination(cfg, &to, args[1:]); err != nil {
			return err
		}
		cfg.Destinations.Entries = append(cfg.Destinations.Entries, to)
		noteDANE(d, to.Within(cfg.Destinations.Default))
		d.Printf("Entry for %s created.\n", domain)
		return nil
	})
}

func destEditForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		to := &cfg.Destinations.Default
		if !isDefaultEntry(args[0]) {
			n, err := knownDestination(cfg, args[0])
			if err != nil {
				return err
			}
			to = &cfg.Destinations.Entries[n]
		}
		if err := setDestination(cfg, to, args[1:]); err != nil {
			return err
		}
		noteDANE(d, to.Within(cfg.Destinations.Default))
		if to.Domain == "" {
			d.Text("Default changed.")
		} else {
			d.Printf("Entry for %s changed.\n", to.Domain)
		}
		return nil
	})
}

func destDeleteForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		n, err := knownDestination(cfg, args[0])
		if err != nil {
			return err
		}
		deleteDestination(d, cfg, n)
		return nil
	})
}

func destListForm(d *Dialog, env Env, _ []string) error {
	d.Text(destList(env.Config()))
	return d.Err()
}

func destDetailForm(d *Dialog, env Env, args []string) error {
	which, err := destinationsMeant(env.Config(), args[0])
	if err != nil {
		return refused(err)
	}
	showDestinations(d, env.Config(), which)
	return d.Err()
}

func destClearForm(d *Dialog, env Env, _ []string) error {
	return env.Edit(func(cfg *store.Config) error {
		clearDestinations(d, cfg)
		return nil
	})
}

func destImportForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error { return importDestinations(d, env, cfg, args[0]) })
}

func destExportForm(d *Dialog, env Env, args []string) error {
	return exportDestinations(d, env, env.Config(), args[0])
}
