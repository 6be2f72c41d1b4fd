package commands

import (
	"testing"

	"esa/store"
)

// Who may have the files of configuration/ and logs/ (reference esa-operations
// 1.7: Read-Only Operators have no file system, Technicians save the
// configuration; Guests have no use for it that is named).
func TestMayUseFiles(t *testing.T) {
	running := store.Factory(store.FactoryFacts{Hostname: "gw.test"})
	for role, may := range map[store.Role]bool{
		store.Administrators: true, store.Operators: true, store.Technicians: true,
		store.ReadOnlyOperators: false, store.Guests: false,
	} {
		name := "a-" + role.Group()
		running.Users = append(running.Users, store.User{Name: name, Role: role})
		if err := MayUseFiles(running, name); (err == nil) != may {
			t.Errorf("%s: %v", role, err)
		}
	}
	if err := MayUseFiles(running, "nobody"); err == nil {
		t.Error("somebody who is no user may transfer files")
	}
}
