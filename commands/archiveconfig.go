package commands

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"esa/shell"
	"esa/store"
)

// archiveconfig says where every committed configuration is copied to.
func archiveconfig() Command {
	return Command{
		Name:  "archiveconfig",
		Short: "Configure where committed configurations are copied to.",
		Long: `Every configuration that is committed is copied, as the file that saveconfig
writes, to each archive: a directory of this machine, or one of another host by
scp. No commit waits for that. What cannot be copied is tried again, with an
alert, and nothing is left out as long as its revision is kept; a revision that
is damaged is passed over, with an alert. Old copies are not removed.

A host is known by its host key, and the gateway there by a key of its own,
which is made with the archive. KEY shows it as a line for authorized_keys.

TARGET is a directory that begins with /, or scp://USER@HOST[:PORT]/DIRECTORY.
KEY is the host key, as ssh-keyscan shows it. passphrases is mask (such copies
cannot be loaded), encrypt or plain; FILE is a file in the directory
configuration whose first line is the passphrase to encrypt with.`,
		Commit: true,
		Forms: []Form{
			{Usage: usage("archiveconfig new NAME TARGET", archiveKeys(Env{}, &store.Archive{})), Run: archiveNewForm},
			{Usage: usage("archiveconfig edit NAME [target=TARGET]", archiveKeys(Env{}, &store.Archive{})), Run: archiveEditForm},
			{Usage: "archiveconfig delete NAME", Run: archiveDeleteForm},
			{Usage: "archiveconfig key NAME", Run: archiveKeyForm},
			{Usage: "archiveconfig retry", Run: archiveRetryForm},
			{Usage: "archiveconfig print", Run: archivePrintForm},
		},
		Dialog: archiveDialog,
	}
}

func archiveDialog(d *Dialog, env Env) error {
	return env.Edit(func(cfg *store.Config) error {
		for d.Menu(archiveSummary(env, cfg), archiveMenu(cfg)...) {
			switch d.Op() {
			case "NEW":
				tell(d, archiveNew(d, env, cfg))
			case "EDIT":
				tell(d, archiveEdit(d, env, cfg))
			case "DELETE":
				archiveDelete(d, cfg)
			case "KEY":
				if a := askArchive(d, cfg, "Choose the archive:"); a != nil {
					tell(d, showArchiveKey(d, *a))
				}
			case "RETRY":
				tell(d, archiveRetryForm(d, env, nil))
			}
		}
		return d.Err()
	})
}

func archiveMenu(cfg *store.Config) []shell.Op {
	ops := []shell.Op{{Word: "NEW", Text: "Add an archive."}}
	if len(cfg.Archives) == 0 {
		return ops
	}
	return append(ops,
		shell.Op{Word: "EDIT", Text: "Modify an archive."},
		shell.Op{Word: "DELETE", Text: "Remove an archive."},
		shell.Op{Word: "KEY", Text: "Show the public key of this gateway for an archive."},
		shell.Op{Word: "RETRY", Text: "Copy now what could not be copied yet."})
}

// archiveSummary is the block above the menu.
func archiveSummary(env Env, cfg *store.Config) string {
	if len(cfg.Archives) == 0 {
		return "Committed configurations are not copied anywhere.\n"
	}
	states := env.Archives.Archived()
	var b strings.Builder
	b.WriteString("Committed configurations are copied to:\n")
	for i, a := range cfg.Archives {
		fmt.Fprintf(&b, "%d. %s: %s (passphrases: %s)\n", i+1, a.Name, a.Target, a.Secrets)
		n := slices.IndexFunc(states, func(s ArchiveState) bool { return s.Name == a.Name })
		if n < 0 {
			b.WriteString("   It is not committed yet.\n")
			continue
		}
		b.WriteString(archiveStateText(states[n]))
	}
	return b.String()
}

// archiveStateText tells how an archive does.
func archiveStateText(s ArchiveState) string {
	text := "   Nothing was copied yet.\n"
	if !s.At.IsZero() {
		text = fmt.Sprintf("   Copied last: revision %d, %s\n", s.Revision, s.At.Local().Format(time.ANSIC))
	}
	var passed []string
	for _, n := range s.Passed {
		passed = append(passed, fmt.Sprintf("revision %d", n))
	}
	if len(passed) > 0 {
		text += "   Damaged, and passed over: " + strings.Join(passed, ", ") + "\n"
	}
	if s.Err != nil {
		text += fmt.Sprintf("   Failed at %s: %s\n   Tried again at %s.\n", s.Failed.Local().Format(time.ANSIC), printable(s.Err.Error()), s.Due.Local().Format(time.ANSIC))
	}
	return text
}

func archiveNames(cfg *store.Config) []string {
	names := make([]string, len(cfg.Archives))
	for i, a := range cfg.Archives {
		names[i] = a.Name
	}
	return names
}

// askArchive asks for one of the archives; nil where it was not answered.
func askArchive(d *Dialog, cfg *store.Config, question string) *store.Archive {
	n := d.Choose(question, archiveNames(cfg), -1)
	if d.Err() != nil {
		return nil
	}
	return &cfg.Archives[n]
}

func archiveNew(d *Dialog, env Env, cfg *store.Config) error {
	if err := roomForArchive(cfg); err != nil {
		return err
	}
	a := store.Archive{Secrets: store.ArchiveMasked}
	a.Name = shell.Ask(d, "Please enter the name of the archive.", "", func(s string) (string, error) { return freeArchiveName(cfg, s) })
	archiveQuestions(d, env, &a)
	if d.Err() != nil {
		return d.Err()
	}
	return addArchive(d, env, cfg, a)
}

func roomForArchive(cfg *store.Config) error {
	if len(cfg.Archives) >= store.MaxArchives {
		return shell.Refusedf("There is a maximum of %d archives.", store.MaxArchives)
	}
	return nil
}

// freeArchiveName reads a name that no archive has.
func freeArchiveName(cfg *store.Config, text string) (string, error) {
	name, err := store.ParseArchiveName(text)
	if err == nil && cfg.Archive(name) != nil {
		return "", shell.Refusedf("Archive %q already exists.", name)
	}
	return name, err
}

// freeTarget refuses a target that another archive has.
func freeTarget(cfg *store.Config, a store.Archive) error {
	for _, other := range cfg.Archives {
		if other.Name != a.Name && other.Target == a.Target {
			return shell.Refusedf("Archive %q has the target %s already.", other.Name, a.Target)
		}
	}
	return nil
}

// archiveQuestions is what NEW and EDIT ask after the name.
func archiveQuestions(d *Dialog, env Env, a *store.Archive) {
	before := a.Place()
	a.Target = shell.Ask(d, "Please enter the directory to copy to, or the host and directory.\n(Ex: /var/backups/esa, scp://backup@host.example.com/var/backups/esa)", a.Target, store.ParseArchiveTarget)
	if place := a.Place(); place.Host != "" && d.Err() == nil {
		if place.Addr() != before.Addr() {
			a.HostKey = ""
		}
		a.HostKey = askHostKey(d, env, place, a.HostKey)
	}
	n := d.Choose("Choose the passphrase option:", []string{
		"Mask passphrases (Files with masked passphrases cannot be loaded using\nloadconfig command)",
		"Encrypt passphrases",
		"Plain passphrases",
	}, slices.Index(store.ArchiveSecretsChoices(), a.Secrets))
	if d.Err() != nil {
		return
	}
	a.Secrets = store.ArchiveSecretsChoices()[n]
	if a.Secrets == store.ArchiveEncrypted && (a.Passphrase == "" || d.YesNo("Do you want to change the passphrase of the copies?", false)) {
		a.Passphrase = store.Secret(askArchivePassphrase(d))
	}
}

// askHostKey asks for the key of a host, or fetches it.
func askHostKey(d *Dialog, env Env, place store.ArchiveTarget, current string) string {
	question, def := "Please enter the host key of "+place.Host+", or press Enter to fetch it from the host.", shell.Shown{}
	if current != "" {
		question, def = "Please enter the host key of "+place.Host+".", shell.Shown{Text: "the present one", Answer: current}
	}
	for d.Err() == nil {
		key := shell.AskShown(d, question, def, func(s string) (string, error) {
			if s == "" {
				return "", nil
			}
			return store.ParseHostKey(s)
		})
		if key != "" || d.Err() != nil {
			return key
		}
		key, fingerprint, err := env.Archives.HostKey(d.Context(), place.Addr())
		if err != nil {
			tell(d, shell.Refusedf("The host key of %s was not fetched: %s", place.Host, printable(err.Error())))
			continue
		}
		d.Printf("\n%s has the host key\n%s\n%s\n", place.Host, key, fingerprint)
		if d.YesNo("Is this the right key?", false) {
			return key
		}
	}
	return ""
}

// askArchivePassphrase asks twice, without echo.
func askArchivePassphrase(d *Dialog) string {
	for {
		passphrase := d.Secret("Enter the passphrase to encrypt with: whoever loads a copy needs it.")
		err := checkFilePassphrase(passphrase)
		if err == nil && d.Err() == nil && d.Secret("Enter the same passphrase again:") != passphrase {
			err = shell.Refusedf("The passphrases do not match.")
		}
		if d.Err() != nil || err == nil || !d.Refuse(err) {
			return passphrase
		}
	}
}

// complete makes what an archive needs beside what was said, and takes away
// what it does not.
func complete(env Env, a *store.Archive) error {
	if a.Secrets != store.ArchiveEncrypted {
		a.Passphrase = ""
	}
	if a.Place().Host == "" {
		a.HostKey, a.Key = "", ""
		return nil
	}
	if a.Key != "" {
		return nil
	}
	key, err := env.NewKey(store.P256)
	if err == nil {
		a.Key, err = store.EncodeKey(key)
	}
	return err
}

// addArchive is where dialog and one-line form of NEW meet.
func addArchive(d *Dialog, env Env, cfg *store.Config, a store.Archive) error {
	if err := complete(env, &a); err != nil {
		return err
	}
	if err := a.Check(); err != nil {
		return err
	}
	if err := freeTarget(cfg, a); err != nil {
		return err
	}
	cfg.Archives = append(cfg.Archives, a)
	d.Printf("Archive %q added. Configurations are copied to it from the next commit on.\n", a.Name)
	warnOfPlain(d, a)
	if a.Key != "" {
		return showArchiveKey(d, a)
	}
	return nil
}

func warnOfPlain(d *Dialog, a store.Archive) {
	if a.Secrets == store.ArchivePlain {
		d.Text("WARNING: the copies hold passphrases and private keys that anybody who gets them\ncan read.")
	}
}

// showArchiveKey shows what lets the gateway in at the host.
func showArchiveKey(d *Dialog, a store.Archive) error {
	place := a.Place()
	if place.Host == "" {
		return shell.Refusedf("Archive %q is a directory of this machine: it needs no key.", a.Name)
	}
	line, err := a.PublicKey()
	if err != nil {
		return err
	}
	d.Printf("\nFor the authorized_keys of %s on %s:\n%s\n", place.User, place.Host, line)
	return nil
}

func archiveEdit(d *Dialog, env Env, cfg *store.Config) error {
	place := askArchive(d, cfg, "Choose the archive to edit:")
	if place == nil {
		return d.Err()
	}
	a := *place
	archiveQuestions(d, env, &a)
	if d.Err() != nil {
		return d.Err()
	}
	if err := freeTarget(cfg, a); err != nil {
		return err
	}
	return changeArchive(d, env, place, a)
}

// changeArchive is where dialog and one-line form of EDIT meet.
func changeArchive(d *Dialog, env Env, place *store.Archive, a store.Archive) error {
	if err := complete(env, &a); err != nil {
		return err
	}
	if err := a.Check(); err != nil {
		return err
	}
	made := place.Key == "" && a.Key != ""
	*place = a
	d.Printf("Archive %q changed.\n", a.Name)
	warnOfPlain(d, a)
	if made {
		return showArchiveKey(d, a)
	}
	return nil
}

func archiveDelete(d *Dialog, cfg *store.Config) {
	if a := askArchive(d, cfg, "Choose the archive to remove:"); a != nil {
		deleteArchive(d, cfg, a.Name)
	}
}

// deleteArchive is where dialog and one-line form of DELETE meet.
func deleteArchive(d *Dialog, cfg *store.Config, name string) {
	cfg.Archives = slices.DeleteFunc(cfg.Archives, func(a store.Archive) bool { return a.Name == name })
	d.Printf("Archive %q removed. Its copies stay where they are.\n", name)
}
