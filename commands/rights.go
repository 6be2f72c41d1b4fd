package commands

import (
	"io"
	"slices"
	"time"

	"esa/shell"
	"esa/store"
)

// May refuses a command that the user's present role does not allow: the one
// place where that is decided (reference esa-operations 1.7). The role is that
// of the running configuration, so that a commit which changes it is felt at
// the next line. Without a configuration, where no gateway was ever set up,
// nothing is refused.
func (e Env) May(c *Command) error {
	if e.Store == nil {
		return nil
	}
	running, _ := e.Store.Running()
	u, ok := running.User(e.Who.User)
	fresh := []string{"exit", "help", "passphrase", "whoami"}
	switch {
	case !ok && c.Name != "exit":
		return shell.Refusedf("The user %q does not exist any more.", e.Who.User)
	case ok && !slices.Contains(c.Roles, string(u.Role)):
		return shell.Refusedf("You are not in the correct access group to use %s.", c.Name)
	case e.PassphraseDue && !slices.Contains(fresh, c.Name):
		return PassphraseDue(running, e.Who, e.Clock())
	}
	return nil
}

// PassphraseDue refuses a user who has to choose another passphrase. On the
// machine itself nobody has to: a passphrase plays no part there.
func PassphraseDue(running *store.Config, who store.Who, now time.Time) error {
	u, _ := running.User(who.User)
	if who.Source == store.LocalSource || !running.Passphrases.Expired(u, store.DayOf(now)) {
		return nil
	}
	return shell.Refusedf("Your passphrase must be changed before anything else. Use passphrase.")
}

// LoggedIn gives the environment of a session that begins: one whose user has
// to choose another passphrase can do nothing else until that is done. A session
// that was open before may go on.
func (e Env) LoggedIn() Env {
	running, _ := e.Store.Running()
	e.PassphraseDue = PassphraseDue(running, e.Who, e.Clock()) != nil
	return e
}

// GuardFiles gives the files to those only whose present role may use them.
func GuardFiles(files Files, s *store.Store, user string) Files { return guardedFiles{files, s, user} }

type guardedFiles struct {
	files Files
	store *store.Store
	user  string
}

func (g guardedFiles) check() error {
	running, _ := g.store.Running()
	return MayUseFiles(running, g.user)
}

func (g guardedFiles) Read(name string) ([]byte, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	return g.files.Read(name)
}

func (g guardedFiles) Write(name string, data []byte) error {
	if err := g.check(); err != nil {
		return err
	}
	return g.files.Write(name, data)
}

func (g guardedFiles) Save(name string, write func(io.Writer) error) error {
	if err := g.check(); err != nil {
		return err
	}
	return g.files.Save(name, write)
}

func (g guardedFiles) SaveNew(name string, write func(io.Writer) error) error {
	if err := g.check(); err != nil {
		return err
	}
	return g.files.SaveNew(name, write)
}

// MayUseFiles refuses the files of configuration/ and logs/ to users of a role
// that has no file system (reference esa-operations 1.7), by the running
// configuration.
func MayUseFiles(running *store.Config, user string) error {
	u, ok := running.User(user)
	switch {
	case !ok:
		return shell.Refusedf("The user %q does not exist any more.", user)
	case !u.Role.Files():
		return shell.Refusedf("You are not in the correct access group to use files.")
	}
	return nil
}

// Who may run a command.
func administrators() []string { return []string{string(store.Administrators)} }
func operators() []string      { return append(administrators(), string(store.Operators)) }
func service() []string        { return append(operators(), string(store.Technicians)) }
func readers() []string        { return append(operators(), string(store.ReadOnlyOperators)) }
func observers() []string      { return append(readers(), string(store.Technicians)) }
func everyone() []string       { return append(observers(), string(store.Guests)) }

// mayRun gives the roles that may run a command. A command that stands nowhere
// is for Administrators, until somebody has decided.
func mayRun(name string) []string {
	for _, set := range []struct {
		roles []string
		names []string
	}{
		// Session, and status information.
		{everyone(), []string{
			"date", "dnsstatus", "exit", "help", "hostrate", "hoststatus", "last", "passphrase", "rate", "setttymode", "status", "tophosts",
			"topin", "version", "who", "whoami",
		}},
		// The work queue, with those who may suspend mail.
		{observers(), []string{"workqueue"}},
		// Read-Only Operators see all, and edit without committing.
		{readers(), []string{
			"alertconfig", "bounceconfig", "certconfig", "clearchanges", "commitdetail", "daneconfig", "daneverify", "deliveryconfig",
			"destconfig", "dig", "displayalerts", "dnsconfig", "dnssecverify", "exceptionconfig", "findevent", "grep", "interfaceconfig",
			"listenerconfig", "logconfig", "nslookup", "oldmessage", "queueconfig", "rollbackconfig", "sethostname", "showchanges", "showconfig",
			"showmessage", "showrecipients", "smtproutes", "sslconfig", "tail", "tlsverify",
		}},
		// What suspends mail, and what lets it go on; copies of the configuration.
		{service(), []string{"mailconfig", "resume", "resumedel", "resumelistener", "saveconfig", "suspend", "suspenddel", "suspendlistener"}},
		// What takes effect.
		{operators(), []string{
			"archivemessage", "bouncerecipients", "commit", "deleterecipients", "delivernow", "dnsflush", "loadconfig", "redirectrecipients",
			"removemessage", "resetcounters", "rollovernow",
		}},
		{administrators(), []string{"adminaccessconfig", "resetconfig", "sshconfig", "systemsetup", "userconfig"}},
	} {
		if slices.Contains(set.names, name) {
			return set.roles
		}
	}
	return administrators()
}
