package mta

import (
	"errors"
	"slices"
	"testing"
	"time"

	"esa/store"
)

// TestCommit_OfWhoMayNot: the role that counts is that of the commit, by the
// real gateway; a commit that is refused changes nothing and keeps the edits.
func TestCommit_OfWhoMayNot(t *testing.T) {
	w := start(t, nil)
	lowered, gone := w.edit("ann", hostname("ann.test")), w.edit("bob", hostname("bob.test"))
	raised := w.edit("ann", func(c *store.Config) { c.Users[1].Role = store.Administrators })
	refuse := func(s *store.Session, want store.RightsError) {
		t.Helper()
		before := w.steadiness()
		_, err := w.try(s)
		_, checked := w.gateway.Check(t.Context(), store.CommitRequest{Session: s})
		for _, err := range []error{err, checked} {
			got, ok := errors.AsType[*store.RightsError](err)
			if !ok || got.User != want.User || got.Gone != want.Gone || got.Role != want.Role || !slices.Equal(got.Sections, want.Sections) {
				t.Errorf("%v, want %+v", err, want)
			}
		}
		if after := w.steadiness(); !after.equal(before) {
			t.Errorf("before %+v, after %+v", before, after)
		}
	}
	refuse(raised, store.RightsError{User: "ann", Role: store.Operators, Sections: []string{"Users"}})
	w.commit(func(c *store.Config) { c.Users[1].Role = store.ReadOnlyOperators })
	refuse(lowered, store.RightsError{User: "ann", Role: store.ReadOnlyOperators, Sections: []string{"Hostname"}})
	if !lowered.Dirty() {
		t.Error("the edits of who may not commit are gone")
	}
	w.commit(func(c *store.Config) { c.Users = c.Users[:2] })
	if _, err := w.try(gone); !errors.Is(err, store.ErrNothing) {
		t.Errorf("a commit of a user who was deleted: %v", err)
	}
	begun := w.session("bob") // by a login that was under way
	if err := begun.Edit(func(c *store.Config) error { c.Hostname = "bob.test"; return nil }); err != nil {
		t.Fatal(err)
	}
	refuse(begun, store.RightsError{User: "bob", Gone: true})
}

// TestC6_EndedByWhoMayNot: an operator neither keeps nor undoes what only
// administrators may change; who made the trial always may.
func TestC6_EndedByWhoMayNot(t *testing.T) {
	w, _ := trialWorld(t, nil)
	s := w.edit("admin", func(c *store.Config) { c.AdminAccess.Timeout = 99 })
	if _, err := w.gateway.Commit(t.Context(), store.CommitRequest{Session: s, Force: true, Confirm: time.Minute}); err != nil {
		t.Fatal(err)
	}
	ann, admin := store.Who{User: "ann"}, store.Who{User: "admin"}
	for _, err := range []error{second(w.gateway.ConfirmCommit(t.Context(), ann)), second(w.gateway.RevertCommit(t.Context(), ann))} {
		if refused, ok := errors.AsType[*store.RightsError](err); !ok || !slices.Equal(refused.Sections, []string{"Administrative access"}) {
			t.Errorf("ended by an operator: %v", err)
		}
	}
	if _, err := w.gateway.RevertCommit(t.Context(), admin); err != nil {
		t.Errorf("by who made it: %v", err)
	}
}

// TestCommit_LastAdministratorAsks: nobody is locked out without a question.
func TestCommit_LastAdministratorAsks(t *testing.T) {
	w := start(t, func(_ *world, c *store.Config) { c.Users[0].Keys = []string{"ssh-ed25519 AAAA admin"} })
	s := w.edit("admin", func(c *store.Config) { c.Users[0].Keys = nil })
	_, err := w.try(s)
	if ask, ok := errors.AsType[*store.AskError](err); !ok || len(ask.Questions) != 1 {
		t.Fatalf("%v", err)
	}
	if _, err := w.gateway.Commit(t.Context(), store.CommitRequest{Session: s, Force: true}); err != nil {
		t.Errorf("with force: %v", err)
	}
}
