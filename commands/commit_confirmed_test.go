package commands

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"esa/store"
)

// A trial that keeps its operator from logging in again is confirmed from a
// new login only.
func TestConfirmAfterBeingCutOff(t *testing.T) {
	w := newWorld(t)
	env := w.env("admin", true)
	env.Who.Local = netip.MustParseAddrPort("127.0.0.1:2222")
	if err := env.Session.Edit(func(c *store.Config) error {
		c.AdminAccess.Restrict, c.AdminAccess.Sources = true, []string{"198.51.100.0/24"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	screen := w.run(env, "commit confirmed 10 text force", "commit confirm")
	if !strings.Contains(screen, "You are logged in from 192.0.2.9, which will no longer be allowed.\nLog in again, and confirm from there") {
		t.Errorf("confirmed from where nobody can log in:\n%s", screen)
	}
	if _, ok := w.store.Awaiting(); !ok {
		t.Error("nothing waits to be confirmed")
	}
	w.time.advance(time.Second)
	if screen := w.run(w.env("bob", true), "commit confirm"); !strings.Contains(screen, "Revision 2 is confirmed.") {
		t.Errorf("from a new login:\n%s", screen)
	}
}
