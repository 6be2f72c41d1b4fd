package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Role is what a user may do (reference esa-operations 1.7). What each may run
// is the table of package commands, what each may commit that of MayCommit.
type Role string

// The roles of the console; the others of an ESA have no command line.
const (
	Administrators    Role = "Administrators"
	Operators         Role = "Operators"
	ReadOnlyOperators Role = "Read-Only Operators"
	Guests            Role = "Guests"
	Technicians       Role = "Technicians"
)

// Roles lists the roles in the order of the menu.
func Roles() []Role {
	return []Role{Administrators, Operators, ReadOnlyOperators, Guests, Technicians}
}

// Group is the word for the role in lists of users and in configuration files.
func (r Role) Group() string {
	switch r {
	case Administrators:
		return "admin"
	case Operators:
		return "operators"
	case ReadOnlyOperators:
		return "readonly"
	case Technicians:
		return "technician"
	case Guests:
		return "guest"
	}
	return ""
}

// Files reports whether the role may read and write the files of the gateway:
// in dialogs that import and export, and through sftp and scp.
func (r Role) Files() bool { return r == Administrators || r == Operators || r == Technicians }

// ParseRole reads a role by its name or its group, in any case.
func ParseRole(text string) (Role, error) {
	text = strings.TrimSpace(text)
	for _, r := range Roles() {
		if strings.EqualFold(text, string(r)) || strings.EqualFold(text, r.Group()) {
			return r, nil
		}
	}
	words := make([]string, 0, len(Roles()))
	for _, r := range Roles() {
		words = append(words, r.Group())
	}
	return "", refuse("The role %q is not known. Valid roles are %s.", text, strings.Join(words, ", "))
}

// AdminName is the account that every gateway has: it cannot be deleted, and
// is always one of the Administrators.
const AdminName = "admin"

// SystemName is whose commits those of the gateway itself are. No account can
// have it.
const SystemName = "system"

// Bounds of users.
const (
	MaxUsers        = 200
	MaxUserKeys     = 100 // of one user
	maxUserName     = 32
	maxFullName     = 64    // characters
	maxKeyLine      = 16384 // bytes
	maxFormerHashes = 15
)

// User is one account.
type User struct {
	Name       string   `label:"User name"`
	FullName   string   `label:"Full name"`
	Role       Role     `label:"Role"`
	Passphrase Secret   `label:"Passphrase" zero:"None"` // its hash, from HashPassphrase; empty: no login with one
	Changed    Day      `label:"Passphrase set on"`      // what its age is counted from
	Former     []Secret `label:"Former passphrases"`     // hashes, the newest first, as many as the policy compares with
	MustChange bool     `label:"Passphrase must be changed at the next login"`
	Keys       []string `label:"SSH public keys"` // lines of an authorized_keys file, without options
	Suspended  bool     `label:"Locked"`          // nobody logs in with it over the network
}

func (u User) key() string { return u.Name }

// Check reports whether a passphrase is the user's. A user who has none, or is
// locked, is not let in by any. It takes the time and the memory of one hash:
// whoever checks for strangers does it through Store.Authenticate, which
// bounds how many at once.
func (u User) Check(passphrase string) bool {
	return u.Passphrase != "" && !u.Suspended && matches(u.Passphrase, passphrase)
}

// User gives the user of that name; case matters.
func (c *Config) User(name string) (User, bool) {
	i := slices.IndexFunc(c.Users, func(u User) bool { return u.Name == name })
	if i < 0 {
		return User{}, false
	}
	return c.Users[i], true
}

func factoryUsers() []User {
	return []User{{Name: AdminName, FullName: "Administrator", Role: Administrators}}
}

// ParseUserName reads the name of a new account.
func ParseUserName(text string) (string, error) {
	name := strings.TrimSpace(text)
	if name == "" {
		return "", errBlank
	}
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	}
	if first := name[0]; len(name) > maxUserName || strings.ContainsFunc(name, bad) || first != '_' && (first < 'a' || first > 'z') {
		return "", refuse("The user name must start with a lowercase letter or underscore.\nValid characters are lowercase letters, numbers, dashes, underscores and periods; at most %d.", maxUserName)
	}
	if slices.Contains([]string{"operator", "root", SystemName}, name) {
		return "", refuse("The user name %q is reserved.", name)
	}
	return name, nil
}

// ParseFullName reads the name of a person.
func ParseFullName(text string) (string, error) {
	name := strings.TrimSpace(text)
	switch {
	case name == "":
		return "", errBlank
	case utf8.RuneCountInString(name) > maxFullName:
		return "", refuse("The value must not be longer than %d characters.", maxFullName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return "", ValueError("The value must not contain control characters.")
	}
	return name, nil
}

func (c *Config) validateUsers(p *problems) {
	if len(c.Users) > MaxUsers {
		p.at("users", "userconfig -> DELETE")("There is a maximum of %d users.", MaxUsers)
	}
	if admin, ok := c.User(AdminName); !ok || admin.Role != Administrators {
		p.at("users", "rollbackconfig")("There must be a user %q, who is one of the %s.", AdminName, Administrators)
	}
	seen := map[string]bool{}
	for _, u := range c.Users {
		report := p.at(fmt.Sprintf("user %q", u.Name), "userconfig -> EDIT")
		if seen[u.Name] {
			report("The user name is there twice.")
		}
		seen[u.Name] = true
		u.validate(report)
	}
	c.Passphrases.validate(p)
}

func (u User) validate(report func(format string, args ...any)) {
	_, badName := ParseUserName(u.Name)
	_, badFull := ParseFullName(u.FullName)
	_, badRole := ParseRole(string(u.Role))
	for _, err := range []error{badName, badFull, badRole} {
		if err != nil {
			report("%v", err)
		}
	}
	for _, hash := range append(u.Former, u.Passphrase) {
		if _, err := readHash(hash); hash != "" && err != nil {
			report("A passphrase is not as this program keeps them: %v.", err)
		}
	}
	if len(u.Former) > maxFormerHashes {
		report("There are more than %d former passphrases.", maxFormerHashes)
	}
	if len(u.Keys) > MaxUserKeys {
		report("There is a maximum of %d SSH keys for a user.", MaxUserKeys)
	}
	for _, line := range u.Keys {
		if len(line) > maxKeyLine || !utf8.ValidString(line) || strings.ContainsFunc(line, unicode.IsControl) {
			report("An SSH key is not one line of at most %d characters.", maxKeyLine)
		}
	}
}

// Day is a day in UTC, counted from 1 January 1970; 0 is none.
type Day int

// DayOf gives the day of a time.
func DayOf(t time.Time) Day { return Day(t.Unix() / (24 * 60 * 60)) }

// Since gives how many days lie between an earlier day and d.
func (d Day) Since(earlier Day) int { return int(d - earlier) }

func (d Day) String() string {
	if d == 0 {
		return ""
	}
	return time.Unix(int64(d)*24*60*60, 0).UTC().Format(time.DateOnly)
}

// ParseDay reads what String writes; empty is none.
func ParseDay(text string) (Day, error) {
	if text == "" {
		return 0, nil
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return 0, ValueError("The value must be a day such as 2026-01-31.")
	}
	return DayOf(t), nil
}

// ErrLogin refuses a login, without the reason: who guesses learns nothing.
var ErrLogin = errors.New("the user name or the passphrase is wrong")
