package commands

import (
	"fmt"
	"strconv"
	"strings"

	"esa/shell"
	"esa/store"
)

// userconfig says who may log in and what each may do (reference
// esa-cli-config 14.2). What this build does not have is not asked: external
// and two-factor authentication, roles of one's own.
func userconfig() Command {
	return Command{
		Name:  "userconfig",
		Short: "Configure the accounts of users.",
		Long: `What a role may do:
  admin        everything
  operators    everything but accounts, access to the gateway and systemsetup
  readonly     see all, and prepare changes without committing them; no files
  guest        status information
  technician   suspend and resume mail, files

No form takes a passphrase: it is asked for and not shown. An account without
one, and without an SSH key, cannot log in over the network. A role counts as
soon as it is committed, also in sessions that are open; a user who is deleted
loses sessions and uncommitted changes. The account admin cannot be deleted:
on the machine itself it is always there.`,
		Commit: true,
		Forms: []Form{
			{Usage: "userconfig new USER ROLE [fullname=TEXT]", Run: userNewForm},
			{Usage: "userconfig edit USER [fullname=TEXT] [role=ROLE]", Run: userEditForm},
			{Usage: "userconfig delete USER", Run: userDeleteForm},
			{Usage: "userconfig passphrase USER [assign|force|none]", Run: userPassphraseForm},
			{Usage: usage("userconfig policy", policyKeys(&store.PassphrasePolicy{})), Run: userPolicyForm},
			{Usage: "userconfig status USER active|locked", Run: userStatusForm},
			{Usage: "userconfig print", Run: userPrintForm},
		},
		Dialog: userDialog,
	}
}

func userDialog(d *Dialog, env Env) error {
	return env.Edit(func(cfg *store.Config) error {
		ops := []shell.Op{
			{Word: "NEW", Text: "Create a new account."},
			{Word: "EDIT", Text: "Modify an account."},
			{Word: "DELETE", Text: "Remove an account."},
			{Word: "PASSPHRASE", Text: "Change the passphrase for a user.", Also: "PASSWORD"},
			{Word: "POLICY", Text: "Change passphrase policy settings."},
			{Word: "STATUS", Text: "Change the account status."},
		}
		a := accounts{d: d, env: env, cfg: cfg}
		for d.Menu(userList(cfg), ops...) {
			switch d.Op() {
			case "NEW":
				a.create()
			case "EDIT":
				a.edit()
			case "DELETE":
				a.remove()
			case "PASSPHRASE":
				a.passphrase()
			case "POLICY":
				a.policy()
			case "STATUS":
				a.status()
			}
		}
		return d.Err()
	})
}

// userList is the numbered list above the menu.
func userList(cfg *store.Config) string {
	var b strings.Builder
	b.WriteString("Users:\n")
	for i, u := range cfg.Users {
		fmt.Fprintf(&b, "%d. %s - %q (%s)%s\n", i+1, u.Name, u.FullName, u.Role.Group(), userNote(cfg, u))
	}
	b.WriteString("\nExternal authentication: Disabled\n")
	return b.String()
}

// userNote tells what keeps somebody from logging in over the network.
func userNote(cfg *store.Config, u store.User) string {
	switch {
	case u.Suspended:
		return " - locked"
	case !cfg.NetworkLogin(u) && len(u.Keys) > 0:
		return " - no passphrase, and no key that sshconfig allows"
	case !cfg.NetworkLogin(u):
		return " - no passphrase"
	case u.MustChange && u.Passphrase != "":
		return " - passphrase must be changed"
	}
	return ""
}

func userNames(cfg *store.Config) []string {
	names := make([]string, len(cfg.Users))
	for i, u := range cfg.Users {
		names[i] = u.Name
	}
	return names
}

// userIndex finds a user by name; case matters, as it does at the login.
func userIndex(cfg *store.Config, name string) (int, error) {
	for i, u := range cfg.Users {
		if u.Name == name {
			return i, nil
		}
	}
	return -1, shell.Refusedf("The user %q does not exist. Use userconfig print to list the users.", name)
}

func roomForUser(cfg *store.Config) error {
	if len(cfg.Users) >= store.MaxUsers {
		return shell.Refusedf("There is a maximum of %d users.", store.MaxUsers)
	}
	return nil
}

// freeUserName reads a name that nobody has.
func freeUserName(cfg *store.Config, text string) (string, error) {
	name, err := store.ParseUserName(text)
	if err != nil {
		return "", err
	}
	if _, taken := cfg.User(name); taken {
		return "", shell.Refusedf("The user %q already exists.", name)
	}
	return name, nil
}

// mayModify refuses what would make admin another account.
func mayModify(u store.User) error {
	if u.Name == store.AdminName && u.Role != store.Administrators {
		return shell.Refusedf("User %q cannot be modified: it is always one of the %s.", u.Name, store.Administrators)
	}
	return nil
}

func mayDelete(env Env, name string) error {
	switch name {
	case store.AdminName:
		return shell.Refusedf("User %q cannot be deleted.", name)
	case env.Who.User:
		return shell.Refusedf("You cannot delete yourself.")
	}
	return nil
}

// accounts asks for changes of users.
type accounts struct {
	d   *Dialog
	env Env
	cfg *store.Config
}

// roleTexts tells of the roles where one is chosen.
func roleTexts() []shell.Choice {
	texts := map[store.Role]string{
		store.Administrators:    "Administrators have full access to all settings of the system.",
		store.Operators:         "Operators are restricted from creating new user accounts.",
		store.ReadOnlyOperators: "Read-Only operators may only view settings and status information.",
		store.Guests:            "Guest users may only view status information.",
		store.Technicians:       "Technicians can only suspend and resume mail.",
	}
	var choices []shell.Choice
	for _, r := range store.Roles() {
		choices = append(choices, shell.Choice{Name: string(r), Text: string(r) + " - " + texts[r]})
	}
	return choices
}

func (a accounts) create() {
	if err := roomForUser(a.cfg); err != nil {
		tell(a.d, err)
		return
	}
	if !reauthenticate(a.d, a.env) {
		return
	}
	u := store.User{Name: shell.Ask(a.d, "Enter the new username.", "", func(s string) (string, error) { return freeUserName(a.cfg, s) })}
	u = a.describe(u)
	if a.d.Err() != nil {
		return
	}
	u, given := a.newPassphrase(u)
	if a.d.Err() != nil {
		return
	}
	a.cfg.Users = append(a.cfg.Users, u)
	a.d.Printf("\nUser %q created.\n", u.Name)
	if !given {
		a.d.Text(withoutPassphrase)
	}
}

// withoutPassphrase is said of every account that is made without one.
const withoutPassphrase = "It has no passphrase: nobody can log in with one as this user."

// describe asks for name and role of a person.
func (a accounts) describe(u store.User) store.User {
	u.FullName = shell.Ask(a.d, fmt.Sprintf("Enter the full name for %s.", u.Name), u.FullName, store.ParseFullName)
	if u.Name == store.AdminName {
		return u
	}
	role := string(u.Role)
	if role == "" {
		role = string(store.Operators)
	}
	u.Role = store.Role(a.d.ChooseName(fmt.Sprintf("Assign a role to %q:", u.Name), roleTexts(), role))
	return u
}

// newPassphrase asks for the passphrase of a user; given is false where none is
// wanted.
func (a accounts) newPassphrase(u store.User) (_ store.User, given bool) {
	text := askPassphrase(a.d, a.env, passphraseQuestion{user: u, policy: a.cfg.Passphrases, text: fmt.Sprintf("Enter the passphrase for %s.", u.Name)})
	if text == "" || a.d.Err() != nil {
		return u, false
	}
	changed, err := a.cfg.Passphrases.Set(u, text, store.DayOf(a.env.Clock()), a.env.Random)
	if err != nil {
		tell(a.d, err)
		return u, false
	}
	return changed, true
}

// pick asks for a user, by name or number; -1 once the dialog is over.
func (a accounts) pick(purpose string) int {
	names := userNames(a.cfg)
	return shell.Ask(a.d, "Enter the username or number to "+purpose+".", "", func(s string) (int, error) {
		if n, err := strconv.Atoi(s); err == nil && n >= 1 && n <= len(names) {
			return n - 1, nil
		}
		if s == "" {
			return -1, shell.Refusedf("The value cannot be blank.")
		}
		return userIndex(a.cfg, s)
	})
}

// chosen asks for a user, and then for the operator's own passphrase.
func (a accounts) chosen(purpose string) (n int, ok bool) {
	n = a.pick(purpose)
	return n, a.d.Err() == nil && reauthenticate(a.d, a.env)
}

func (a accounts) edit() {
	n, ok := a.chosen("edit")
	if !ok {
		return
	}
	if u := a.describe(a.cfg.Users[n]); a.d.Err() == nil {
		a.cfg.Users[n] = u
	}
}

func (a accounts) remove() {
	n := a.pick("delete")
	if a.d.Err() != nil {
		return
	}
	name := a.cfg.Users[n].Name
	if err := mayDelete(a.env, name); err != nil {
		tell(a.d, err)
		return
	}
	if !reauthenticate(a.d, a.env) || !a.d.YesNo(fmt.Sprintf("Are you sure you want to delete %s?", name), false) || a.d.Err() != nil {
		return
	}
	deleteUser(a.d, a.cfg, n)
}

// deleteUser takes a user out of the configuration.
func deleteUser(d *Dialog, cfg *store.Config, n int) {
	name := cfg.Users[n].Name
	cfg.Users = append(cfg.Users[:n:n], cfg.Users[n+1:]...)
	d.Printf("User %q deleted.\n", name)
}

func (a accounts) passphrase() {
	ops := []shell.Op{
		{Word: "ASSIGN", Text: "Assign a new passphrase to a user."},
		{Word: "FORCE", Text: "Force a user to change the passphrase at the next login."},
		{Word: "REMOVE", Text: "Remove the passphrase of a user, who can log in with SSH keys only then."},
	}
	for a.d.Menu("", ops...) {
		word := a.d.Op()
		n, ok := a.chosen("change")
		if !ok {
			continue
		}
		switch word {
		case "ASSIGN":
			if u, given := a.newPassphrase(a.cfg.Users[n]); given {
				a.cfg.Users[n] = u
				a.d.Printf("\nThe passphrase of %q is assigned.\n", u.Name)
			}
		case "FORCE":
			tell(a.d, forcePassphrase(a.d, a.cfg, n))
		case "REMOVE":
			removePassphrase(a.d, a.cfg, n)
		}
	}
}

// forcePassphrase has a user choose another passphrase at the next login.
func forcePassphrase(d *Dialog, cfg *store.Config, n int) error {
	u := &cfg.Users[n]
	if u.Passphrase == "" {
		return shell.Refusedf("The user %q has no passphrase.", u.Name)
	}
	u.MustChange = true
	d.Printf("The user %q must change the passphrase at the next login.\n", u.Name)
	return nil
}

func removePassphrase(d *Dialog, cfg *store.Config, n int) {
	u := &cfg.Users[n]
	u.Passphrase, u.Changed, u.MustChange = "", 0, false
	d.Printf("The user %q has no passphrase any more.\n", u.Name)
}

func (a accounts) policy() {
	if !reauthenticate(a.d, a.env) {
		return
	}
	p := a.cfg.Passphrases
	p.MinLength = a.d.Int("Enter the minimum number of characters of a passphrase.", p.MinLength, store.MinPassphraseLength, store.MaxPassphraseLength)
	p.Mixed = a.d.YesNo("Do you want to require at least one upper (A-Z) and one lower (a-z) case letter?", p.Mixed)
	p.Digit = a.d.YesNo("Do you want to require at least one number (0-9)?", p.Digit)
	p.Special = a.d.YesNo("Do you want to require at least one special character?", p.Special)
	p.NotName = a.d.YesNo("Do you want to ban usernames and their variations as passphrases?", p.NotName)
	p.Former = a.d.Int("Enter how many passphrases before the present one cannot be used again.", p.Former, 0, store.MaxFormer)
	p.ExpireDays = a.d.Int("Enter the number of days after which a passphrase must be changed (0: never).", p.ExpireDays, 0, store.MaxExpireDays)
	if a.d.Err() == nil {
		a.cfg.Passphrases = p
	}
}

func (a accounts) status() {
	if !reauthenticate(a.d, a.env) {
		return
	}
	n := a.pick("lock or unlock")
	if a.d.Err() != nil {
		return
	}
	u := &a.cfg.Users[n]
	question := fmt.Sprintf("The account %q is active.\nDo you want to lock it? Nobody can log in with it over the network then.", u.Name)
	if u.Suspended {
		question = fmt.Sprintf("The account %q is locked.\nDo you want to unlock it?", u.Name)
	}
	if a.d.YesNo(question, false) && a.d.Err() == nil {
		lockUser(a.d, a.cfg, n, !u.Suspended)
	}
}

// lockUser locks an account, or unlocks it.
func lockUser(d *Dialog, cfg *store.Config, n int, lock bool) {
	cfg.Users[n].Suspended = lock
	word := "active"
	if lock {
		word = "locked"
	}
	d.Printf("The account %q is %s.\n", cfg.Users[n].Name, word)
}
