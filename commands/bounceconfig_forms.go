package commands

import (
	"cmp"
	"slices"
	"strings"

	"esa/shell"
	"esa/store"
)

// bounceKeys lists the keys of the one-line forms over one profile, in the
// order of the dialog.
func bounceKeys(p *store.BounceProfile) []key {
	k := profileKeys{p}
	return []key{
		{"max_retries", "N", k.number(&p.MaxRetries, store.MaxRetries)},
		{"max_queue_lifetime", "SECONDS", k.number(&p.MaxLifetime, store.MaxLifetime)},
		{"initial_retry", "SECONDS", k.number(&p.InitialRetry, store.MaxRetryInterval)},
		{"max_retry_timeout", "SECONDS", k.number(&p.MaxRetry, store.MaxRetryInterval)},
		{"send_bounces", "yes|no", k.tri(&p.SendBounces)},
		{"use_dsn_bounce_format", "yes|no", k.tri(&p.UseDSN)},
		{"bounce_subject", "TEXT", k.subject(&p.Subject)},
		{"use_bounce_response_code", "yes|no", k.tri(&p.ParseStatus)},
		{"send_warnings", "yes|no", k.tri(&p.SendWarnings)},
		{"delay_subject", "TEXT", k.subject(&p.WarningSubject)},
		{"send_warnings_interval", "SECONDS", k.number(&p.WarningInterval, store.MaxLifetime)},
		{"send_warnings_count", "N", k.number(&p.WarningCount, store.MaxWarnings)},
		{"bounce_address", "ADDRESS|none", parsed(&p.Alternate, noneOr(store.ParseEmail))},
		{"host_initial_retry", "SECONDS", k.defaultOnly(number(&p.HostInitialRetry, 1, store.MaxRetryInterval))},
		{"host_max_retry_timeout", "SECONDS", k.defaultOnly(number(&p.HostMaxRetry, 1, store.MaxRetryInterval))},
		{"max_bounce_copy", "BYTES", k.defaultOnly(number(&p.MaxCopy, 0, store.MaxBounceCopy))},
	}
}

// profileKeys makes the readers of a profile's settings.
type profileKeys struct{ profile *store.BounceProfile }

func (k profileKeys) number(place *int, most int) func(string) error {
	return inherited(k, place, number(place, 1, most))
}

func (k profileKeys) tri(place *store.Tri) func(string) error {
	return inherited(k, place, parsed(place, func(text string) (store.Tri, error) {
		on, err := parseYesNo(text)
		return store.TriOf(on), err
	}))
}

func (k profileKeys) subject(place *string) func(string) error {
	return inherited(k, place, parsed(place, store.ParseSubject))
}

// inherited has the word default empty a place, and leaves the rest to set.
func inherited[T any](k profileKeys, place *T, set func(string) error) func(string) error {
	return func(text string) error {
		switch {
		case !strings.EqualFold(text, leaveToDefault):
			return set(text)
		case k.profile.Name == store.DefaultProfile:
			return shell.Refusedf("The profile Default has nothing to take a value from.")
		}
		var nothing T
		*place = nothing
		return nil
	}
}

// defaultOnly refuses what is set for the whole gateway in another profile.
func (k profileKeys) defaultOnly(set func(string) error) func(string) error {
	return func(text string) error {
		if k.profile.Name != store.DefaultProfile {
			return shell.Refusedf("This setting can only be changed in the profile Default.")
		}
		return set(text)
	}
}

// setProfile reads the words of a one-line form into a profile.
func setProfile(cfg *store.Config, p *store.BounceProfile, keys []key, words []string) error {
	if err := setKeys(keys, words); err != nil {
		return err
	}
	from := cfg.Profile(store.DefaultProfile)
	initial, most := cmp.Or(p.InitialRetry, from.InitialRetry), cmp.Or(p.MaxRetry, from.MaxRetry)
	if initial > most || p.HostInitialRetry > p.HostMaxRetry {
		return shell.Refusedf("The initial number of seconds must not be more than the maximum.")
	}
	return nil
}

func bounceSetForm(d *Dialog, env Env, args []string) error {
	if args[0] == "new" {
		return bounceNewForm(d, env, args[1:])
	}
	return bounceEditForm(d, env, args[1:])
}

func bounceNewForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		if err := roomForProfile(cfg); err != nil {
			return err
		}
		name, err := freeProfileName(cfg, args[0], "")
		if err != nil {
			return err
		}
		p := store.BounceProfile{Name: name}
		if len(args) > 1 {
			if err := setProfile(cfg, &p, bounceKeys(&p), args[1:]); err != nil {
				return err
			}
		}
		cfg.BounceProfiles = append(cfg.BounceProfiles, p)
		d.Printf("Bounce profile %s created.\n", name)
		return nil
	})
}

func bounceEditForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		n, err := findProfile(cfg, args[0])
		if err != nil {
			return err
		}
		p := cfg.BounceProfiles[n]
		name := p.Name
		keys := append(bounceKeys(&p), key{"name", "NAME", parsed(&name, func(s string) (string, error) {
			if p.Name == store.DefaultProfile {
				return "", shell.Refusedf("The default profile may not be renamed")
			}
			return freeProfileName(cfg, s, p.Name)
		})})
		if err := setProfile(cfg, &p, keys, args[1:]); err != nil {
			return err
		}
		p.Name = name
		changeProfile(cfg, n, p)
		d.Printf("Bounce profile %s changed.\n", name)
		return nil
	})
}

func findProfile(cfg *store.Config, name string) (int, error) {
	n := find(profileNames(cfg), name)
	if n < 0 {
		return -1, shell.Refusedf("The bounce profile %q does not exist.", name)
	}
	return n, nil
}

func bounceDeleteForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		n, err := findProfile(cfg, args[0])
		if err != nil {
			return err
		}
		if err := deletableProfile(cfg, n); err != nil {
			return err
		}
		d.Printf("Bounce profile %s deleted.\n", cfg.BounceProfiles[n].Name)
		cfg.BounceProfiles = slices.Delete(cfg.BounceProfiles, n, n+1)
		return nil
	})
}

func bounceSetupForm(_ *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		return setKeys([]key{{"bounce_down", "yes|no", yesNo(&cfg.BounceDown)}}, args)
	})
}

func bouncePrintForm(d *Dialog, env Env, _ []string) error {
	d.Text(bounceList(env.Config()))
	return d.Err()
}
