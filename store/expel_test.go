package store

import (
	"errors"
	"testing"
)

func expelled(s *Session) bool {
	select {
	case <-s.Expelled():
		return true
	default:
		return false
	}
}

// crew adds users, and gives the session that did.
func crew(t *testing.T, s *Store, names ...string) *Session {
	t.Helper()
	admin := s.NewSession(Who{User: AdminName, Source: LocalSource})
	edit(t, admin, func(c *Config) {
		for _, name := range names {
			c.Users = append(c.Users, User{Name: name, FullName: name, Role: Operators})
		}
	})
	commit(t, admin, "users")
	return admin
}

func remove(name string) func(*Config) {
	return func(c *Config) {
		for i, u := range c.Users {
			if u.Name == name {
				c.Users = append(c.Users[:i:i], c.Users[i+1:]...)
				return
			}
		}
	}
}

// TestDeletedUserLosesSessionsAndChanges: those of open sessions and those that
// lost ones left; nobody else's.
func TestDeletedUserLosesSessionsAndChanges(t *testing.T) {
	s, path := newStore(t)
	admin := crew(t, s, "ann", "bob")
	person := func(user string) *Session {
		return s.NewSession(Who{User: user, Source: "192.0.2.9", Method: "cli", Interactive: true})
	}
	ann, bob, lost, idle := person("ann"), person("bob"), person("ann"), person("ann")
	for _, session := range []*Session{ann, bob, lost} {
		edit(t, session, setHostname("x.example.com"))
	}
	if err := lost.Close(true); err != nil {
		t.Fatal(err)
	}
	edit(t, admin, remove("ann"))
	commit(t, admin, "ann has left")

	if !expelled(ann) || !expelled(idle) || expelled(bob) || expelled(admin) {
		t.Errorf("expelled: ann %v, idle %v, bob %v, admin %v", expelled(ann), expelled(idle), expelled(bob), expelled(admin))
	}
	if err := ann.Edit(func(c *Config) error { c.Hostname = "y.example.com"; return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("an edit after that: %v", err)
	}
	if _, err := ann.Merge(); !errors.Is(err, ErrNothing) {
		t.Errorf("a merge after that: %v", err)
	}
	if err := errors.Join(ann.Close(true), idle.Close(true)); err != nil {
		t.Error(err)
	}
	check := func(s *Store, when string) {
		t.Helper()
		for id, p := range stored(t, s) {
			if p.User != "bob" {
				t.Errorf("%s: changes of %s are stored under %d", when, p.User, id)
			}
		}
		if got := len(stored(t, s)); got != 1 {
			t.Errorf("%s: %d pending changes, want bob's", when, got)
		}
	}
	check(s, "after the commit")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check(openStore(t, path), "after a start")
}

// TestEditUnderWay_OfADeletedUserIsNotKept: the edit began before the commit
// and ends after it.
func TestEditUnderWay_OfADeletedUserIsNotKept(t *testing.T) {
	s, _ := newStore(t)
	admin := crew(t, s, "ann")
	ann := s.NewSession(Who{User: "ann", Source: "192.0.2.9", Method: "cli", Interactive: true})
	err := ann.Edit(func(c *Config) error {
		c.Hostname = "ann.example.com"
		edit(t, admin, remove("ann"))
		commit(t, admin, "ann has left")
		return nil
	})
	if !errors.Is(err, ErrClosed) || len(stored(t, s)) != 0 {
		t.Errorf("%v, %d pending changes", err, len(stored(t, s)))
	}
}

// TestLockedUser_IsExpelledFromTheNetworkOnly: what the user has pending is kept
// for the day of the unlocking.
func TestLockedUser_IsExpelledFromTheNetworkOnly(t *testing.T) {
	s, _ := newStore(t)
	admin := crew(t, s, "ann")
	far := s.NewSession(Who{User: "ann", Source: "192.0.2.9", Method: "cli", Interactive: true})
	near := s.NewSession(Who{User: "ann", Source: LocalSource, Method: "cli", Interactive: true})
	edit(t, far, setHostname("x.example.com"))
	lock := func(locked bool) {
		edit(t, admin, func(c *Config) { c.Users[1].Suspended = locked })
		commit(t, admin, "lock")
	}
	lock(true)
	if !expelled(far) || expelled(near) {
		t.Errorf("expelled: far %v, near %v", expelled(far), expelled(near))
	}
	if err := far.Close(true); err != nil {
		t.Fatal(err)
	}
	if lost, err := s.Lost("ann"); err != nil || len(lost) != 1 {
		t.Errorf("%v, %v", lost, err)
	}
	lock(false)
	edit(t, admin, remove("ann"))
	commit(t, admin, "ann has left")
	if !expelled(near) || len(stored(t, s)) != 0 {
		t.Errorf("near %v, %d pending changes", expelled(near), len(stored(t, s)))
	}
}
