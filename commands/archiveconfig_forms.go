package commands

import (
	"strings"

	"esa/shell"
	"esa/store"
)

// This file is the one-line forms of archiveconfig.

// archiveKeys lists the keys of the forms over one archive.
func archiveKeys(env Env, a *store.Archive) []key {
	return []key{
		{"hostkey", "KEY", parsed(&a.HostKey, store.ParseHostKey)},
		{"passphrases", "mask|encrypt|plain", parsed(&a.Secrets, store.ParseArchiveSecrets)},
		{"passphrase_file", "FILE", func(name string) error {
			passphrase, err := passphraseFile(env, name)
			a.Passphrase = store.Secret(passphrase)
			return err
		}},
	}
}

// checkSettings refuses what only the questions of the dialog could ask for.
func checkSettings(a store.Archive) error {
	switch {
	case a.Place().Host != "" && a.HostKey == "":
		return shell.Refusedf("The host key is missing: hostkey=\"ssh-ed25519 AAAA...\", as ssh-keyscan shows it.")
	case a.Secrets == store.ArchiveEncrypted && a.Passphrase == "":
		return shell.Refusedf("The passphrase is missing: passphrase_file=FILE, a file in the directory configuration.")
	}
	return nil
}

func archiveNewForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		if err := roomForArchive(cfg); err != nil {
			return err
		}
		a := store.Archive{Secrets: store.ArchiveMasked}
		var err error
		if a.Name, err = freeArchiveName(cfg, args[0]); err != nil {
			return err
		}
		if a.Target, err = store.ParseArchiveTarget(args[1]); err != nil {
			return err
		}
		if len(args) > 2 {
			if err := setKeys(archiveKeys(env, &a), args[2:]); err != nil {
				return err
			}
		}
		if err := checkSettings(a); err != nil {
			return err
		}
		return addArchive(d, env, cfg, a)
	})
}

// findArchive gives the archive that a one-line form means.
func findArchive(cfg *store.Config, name string) (*store.Archive, error) {
	a := cfg.Archive(strings.TrimSpace(name))
	if a == nil {
		return nil, shell.Refusedf("Archive %q is not there. Use archiveconfig print to list the archives.", name)
	}
	return a, nil
}

func archiveEditForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		place, err := findArchive(cfg, args[0])
		if err != nil {
			return err
		}
		a := *place
		target := key{"target", "TARGET", parsed(&a.Target, store.ParseArchiveTarget)}
		if err := setKeys(append(archiveKeys(env, &a), target), args[1:]); err != nil {
			return err
		}
		if a.Place().Addr() != place.Place().Addr() && a.HostKey == place.HostKey {
			a.HostKey = ""
		}
		if err := checkSettings(a); err != nil {
			return err
		}
		return changeArchive(d, env, place, a)
	})
}

func archiveDeleteForm(d *Dialog, env Env, args []string) error {
	return env.Edit(func(cfg *store.Config) error {
		a, err := findArchive(cfg, args[0])
		if err == nil {
			deleteArchive(d, cfg, a.Name)
		}
		return err
	})
}

func archiveKeyForm(d *Dialog, env Env, args []string) error {
	a, err := findArchive(env.Config(), args[0])
	if err != nil {
		return err
	}
	return showArchiveKey(d, *a)
}

func archiveRetryForm(d *Dialog, env Env, _ []string) error {
	if err := env.Archives.ArchiveNow(); err != nil {
		return err
	}
	d.Text("What was not copied yet is copied now.")
	return d.Err()
}

func archivePrintForm(d *Dialog, env Env, _ []string) error {
	d.Text(archiveSummary(env, env.Config()))
	return d.Err()
}
