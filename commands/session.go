package commands

import (
	"time"

	"esa/shell"
	"esa/store"
)

// Welcome opens an interactive session (reference esa-operations 1.1): when
// this user was here before, what this is, what this user left behind when a
// session was lost, and what others have pending.
func Welcome(d *Dialog, env Env) error {
	showLastLogin(d, env)
	d.Printf("%s %s\n\nWelcome to the %s\n\n", env.Version.Product, env.Version.Version, env.Version.Product)
	if env.Idle > 0 {
		d.Printf("NOTE: This session will expire if left idle for %d minutes. Configuration\n"+
			"changes take effect when they are committed. Changes that are not committed are\n"+
			"kept if this session is lost, and offered to you again.\n", int(env.Idle/time.Minute))
	} else {
		d.Text("NOTE: Configuration changes take effect when they are committed. Changes that\nare not committed are kept if this session is lost, and offered to you again.")
	}
	if running, _ := env.Store.Running(); running.AdminAccess.Welcome != "" {
		d.Text("\n" + running.AdminAccess.Welcome)
	}
	if err := enter(d, env); err != nil {
		return err
	}
	if err := dropDamaged(d, env); err != nil {
		return err
	}
	if err := noticeReturn(d, env); err != nil {
		return err
	}
	if env.May(shell.Lookup(Table(), "clearchanges")) != nil {
		return d.Err() // whoever may not edit has no use for what follows
	}
	if err := offerLost(d, env); err != nil {
		return err
	}
	return showOthers(d, env)
}

// showLastLogin tells of the last session with a terminal that this user had
// before: somebody else's is noticed so.
func showLastLogin(d *Dialog, env Env) {
	for _, l := range env.Logins() {
		if l.User == env.Who.User && l.Method == "cli" && l.In.Before(env.Started) {
			d.Printf("Last login: %s from %s\n", l.In.Local().Format(time.ANSIC), l.Source)
			return
		}
	}
}

// enter says what an account lacks: a passphrase that is due for a change is
// asked for at once, and until there is one nothing else can be done.
func enter(d *Dialog, env Env) error {
	running, _ := env.Store.Running()
	u, _ := running.User(env.Who.User)
	switch {
	case env.PassphraseDue:
		d.Text("\nYour passphrase must be changed before anything else.")
		return passphraseDialog(d, env)
	case u.Name == store.AdminName && u.Passphrase == "" && len(u.Keys) == 0:
		d.Text("\nNOTE: The account admin has no passphrase yet: nobody can log in as admin over\nthe network. Use passphrase to set one, or systemsetup to set up all.")
	}
	return d.Err()
}

// dropDamaged tells of what lost sessions left and nobody can resume, once.
func dropDamaged(d *Dialog, env Env) error {
	pendings, err := env.Store.Pendings()
	for _, p := range pendings {
		if p.User != "" || err != nil {
			continue
		}
		d.Text("Uncommitted changes that a lost session left are damaged and cannot be resumed.\nThey have been dropped; the running configuration is not affected.")
		err = env.Store.DropDamaged(p.ID)
	}
	return err
}

// offerLost asks whether to go on with what was left behind, the newest first.
func offerLost(d *Dialog, env Env) error {
	lost, err := env.Store.Lost(env.Who.User)
	if err != nil {
		return err
	}
	for _, p := range lost {
		since := p.Since.Local().Format(time.ANSIC)
		if p.Err != nil {
			d.Printf("Your uncommitted changes of %s cannot be read: %v.\n", since, p.Err)
			continue
		}
		if d.YesNo("You have uncommitted changes of "+since+": resume them?", true) && d.Err() == nil {
			return env.Session.Resume(p.ID)
		}
	}
	return d.Err()
}

// Farewell ends a batch or an exec line: what it did not commit is dropped,
// and that is a failure.
func Farewell(d *Dialog, env Env) error {
	if !env.Session.Dirty() {
		return nil
	}
	if err := env.Session.Discard(); err != nil {
		return err
	}
	if env.May(shell.Lookup(Table(), "commit")) != nil {
		return shell.Refusedf("Configuration changes have been dropped: your role may not commit them.")
	}
	return shell.Refusedf("Configuration changes were not committed and have been dropped. Use commit.")
}
