package store

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// RightsError refuses a commit that the present role of its user does not
// cover. Nothing was changed.
type RightsError struct {
	User     string
	Gone     bool     // there is no such user any more
	Role     Role     // empty with Gone
	Sections []string // what it would change and may not, by their labels
}

func (e *RightsError) Error() string {
	if e.Gone {
		return `the user "` + e.User + `" does not exist any more`
	}
	return `the user "` + e.User + `" (` + string(e.Role) + `) may not commit changes of: ` + strings.Join(e.Sections, ", ")
}

// MayCommit checks whether a user, by the running configuration c, may make
// next of it; the error is a *RightsError. Operators commit all but what only
// Administrators may, other roles nothing, and the gateway itself everything.
func (c *Config) MayCommit(user string, next *Config) error { return c.mayMake(user, c, next) }

// MayChangePassphrase is MayCommit of what the command of that name has made,
// which knows the user and the policy: everybody may change their own.
func (c *Config) MayChangePassphrase(user string, next *Config) error {
	return c.mayMake(user, c.withoutPassphrase(user), next.withoutPassphrase(user))
}

func (c *Config) mayMake(user string, from, to *Config) error {
	u, ok := c.User(user)
	switch {
	case user == SystemName:
		return nil
	case !ok:
		return &RightsError{User: user, Gone: true}
	case u.Role == Administrators:
		return nil
	}
	before, after := reflect.ValueOf(from).Elem(), reflect.ValueOf(to).Elem()
	e := &RightsError{User: user, Role: u.Role}
	for i := range before.NumField() {
		field := before.Type().Field(i)
		covered := u.Role == Operators && field.Tag.Get("rights") == ""
		if !covered && !equal(before.Field(i), after.Field(i)) {
			e.Sections = append(e.Sections, field.Tag.Get("label"))
		}
	}
	if len(e.Sections) > 0 {
		return e
	}
	return nil
}

// withoutPassphrase gives c without what a user may change of himself.
func (c *Config) withoutPassphrase(user string) *Config {
	bare := *c
	bare.Users = slices.Clone(c.Users)
	for i := range bare.Users {
		if u := &bare.Users[i]; u.Name == user {
			u.Passphrase, u.Changed, u.Former, u.MustChange = "", 0, nil, false
		}
	}
	return &bare
}

// LocksOutAdministrators gives what must be confirmed of a change after which
// no administrator can log in over the network, where one could before.
func LocksOutAdministrators(from, to *Config) []string {
	if !from.administrable() || to.administrable() {
		return nil
	}
	return []string{"no administrator will be able to log in over the network any more"}
}

// EndsSession gives what must be confirmed of a change that expels the session
// it comes from.
func EndsSession(from, to *Config, who Who) []string {
	was, known := from.User(who.User)
	u, stays := to.User(who.User)
	switch {
	case known && !stays:
		return []string{fmt.Sprintf("your own account %q is removed, and this session ends", who.User)}
	case stays && u.Suspended && !was.Suspended && who.Source != LocalSource:
		return []string{fmt.Sprintf("your own account %q is locked, and this session ends", who.User)}
	}
	return nil
}

// administrable reports whether an administrator can log in over the network.
func (c *Config) administrable() bool {
	return slices.ContainsFunc(c.Users, func(u User) bool { return u.Role == Administrators && c.NetworkLogin(u) })
}

// NetworkLogin reports whether somebody can log in as a user over the network:
// by a passphrase, or by a key that the SSH server takes.
func (c *Config) NetworkLogin(u User) bool {
	return !u.Suspended && (u.Passphrase != "" || slices.ContainsFunc(u.Keys, c.SSHD.accepts))
}

// left gives the users of c that are not in next.
func (c *Config) left(next *Config) []string {
	var gone []string
	for _, u := range c.Users {
		if _, stays := next.User(u.Name); !stays {
			gone = append(gone, u.Name)
		}
	}
	return gone
}
