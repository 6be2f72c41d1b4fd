package commands

import (
	"fmt"

	"esa/shell"
	"esa/store"
)

// passphrase changes the passphrase of whoever is logged in (reference
// esa-cli-config 14.3). It takes effect at once, by a commit of its own: what
// the session has pending stays pending.
func passphrase() Command {
	return Command{
		Name:    "passphrase",
		Aliases: []string{"passwd", "password"},
		Short:   "Change your passphrase.",
		Long: `The new passphrase counts at once; your other changes stay pending. On the
machine itself the old passphrase is not asked for: who may open its console
may do everything. Without an answer nothing is changed.`,
		Dialog: passphraseDialog,
	}
}

func passphraseDialog(d *Dialog, env Env) error {
	running, _ := env.Store.Running()
	u, ok := running.User(env.Who.User)
	if !ok {
		return shell.Refusedf("The user %q does not exist any more.", env.Who.User)
	}
	if env.reauthenticates(u) {
		old := d.Passphrase("Old passphrase:")
		if err := d.Err(); err != nil {
			return err
		}
		if !env.knows(d, u, old) {
			return shell.Refusedf("Old passphrase did not match.")
		}
	}
	text := askPassphrase(d, env, passphraseQuestion{user: u, policy: running.Passphrases, text: "Enter your New Passphrase:"})
	if err := d.Err(); err != nil {
		return err
	}
	if text == "" {
		d.Text("Your passphrase was not changed.")
		return d.Err()
	}
	if err := commitPassphrase(d, env, text); err != nil {
		return err
	}
	d.Text("\nYour passphrase has been changed.")
	return d.Err()
}

// commitPassphrase makes it the passphrase of whoever is logged in, in a
// session beside this one.
func commitPassphrase(d *Dialog, env Env, text string) error {
	who := env.Who
	who.Interactive = false // what fails here is not kept
	beside := env.Store.NewSession(who)
	defer func() { _ = beside.Close(false) }()
	err := beside.Edit(func(cfg *store.Config) error {
		n, err := userIndex(cfg, env.Who.User)
		if err != nil {
			return err
		}
		cfg.Users[n], err = cfg.Passphrases.Set(cfg.Users[n], text, store.DayOf(env.Clock()), env.Random)
		return err
	})
	if err == nil {
		_, err = env.Gateway.Commit(d.Context(), store.CommitRequest{
			Session: beside, Comment: fmt.Sprintf("Passphrase of %s changed", env.Who.User), OwnPassphrase: true,
		})
	}
	if err != nil {
		return shell.Refusedf("Your passphrase was not changed: %w.", err)
	}
	return nil
}

// reauthenticates reports whether a user is asked for the passphrase before it
// can be changed, or other accounts can. On the machine itself the kernel has
// said who it is.
func (e Env) reauthenticates(u store.User) bool {
	return u.Passphrase != "" && e.Who.Source != store.LocalSource
}

// knows reports whether text is the passphrase of a user.
func (e Env) knows(d *Dialog, u store.User, text string) bool {
	_, err := e.Store.Authenticate(d.Context(), u.Name, text)
	return err == nil
}

// reauthenticate asks a person for the passphrase before accounts are changed
// (reference esa-cli-config 14.2). A script has just given it.
func reauthenticate(d *Dialog, env Env) bool {
	running, _ := env.Store.Running()
	u, ok := running.User(env.Who.User)
	if !ok || !env.reauthenticates(u) || !d.Interactive() {
		return d.Err() == nil
	}
	text := d.Passphrase("Enter your Passphrase to make changes:")
	if d.Err() != nil {
		return false
	}
	if !env.knows(d, u, text) {
		d.Refuse(shell.Refusedf("The passphrase did not match."))
		return false
	}
	return true
}

// passphraseQuestion asks for a new passphrase.
type passphraseQuestion struct {
	user   store.User // with the passphrases that may not come again
	policy store.PassphrasePolicy
	text   string
}

// askPassphrase asks for a new passphrase that fits the policy, until it was
// given twice alike. It gives the empty text where none is wanted.
func askPassphrase(d *Dialog, env Env, q passphraseQuestion) string {
	if d.YesNo("Would you like to get a system generated passphrase? (Y/N)", false) {
		if text := generatePassphrase(d, env, q.policy); text != "" || d.Err() != nil {
			return text
		}
	}
	for d.Err() == nil {
		text := d.Passphrase(q.text)
		if text == "" || d.Err() != nil {
			return ""
		}
		if err := q.policy.Check(q.user, text); err != nil {
			d.Refuse(refused(err))
			continue
		}
		again := d.Passphrase("Please enter the new passphrase again.")
		if d.Err() == nil && again == text {
			return text
		}
		d.Refuse(shell.Refusedf("The passphrases do not match."))
	}
	return ""
}

// generatePassphrase shows one until the operator takes it; "" if none is
// wanted after all.
func generatePassphrase(d *Dialog, env Env, policy store.PassphrasePolicy) string {
	text, err := policy.Generate(env.Random)
	if err != nil {
		d.Refuse(err)
		return ""
	}
	d.Printf("\nThe following is your system generated passphrase: %s\n", text)
	if d.YesNo("Do you want to proceed with this system generated passphrase?", true) && d.Err() == nil {
		return text
	}
	return ""
}
