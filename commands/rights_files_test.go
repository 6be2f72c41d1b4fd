package commands

import (
	"testing"

	"esa/store"
)

// Who may have the files of configuration/ and logs/ (reference esa-operations
// 1.7: Read-Only Operators have no file system; Guests and Technicians have no
// use for it that is named).
func TestMayTransfer(t *testing.T) {
	running := store.Factory(store.FactoryFacts{Hostname: "gw.test"})
	for role, may := range map[store.Role]bool{
		store.Administrators: true, store.Operators: true,
		store.ReadOnlyOperators: false, store.Technicians: false, store.Guests: false,
	} {
		name := "a-" + role.Group()
		running.Users = append(running.Users, store.User{Name: name, Role: role})
		if err := MayTransfer(running, name); (err == nil) != may {
			t.Errorf("%s: %v", role, err)
		}
	}
	if err := MayTransfer(running, "nobody"); err == nil {
		t.Error("somebody who is no user may transfer files")
	}
}
