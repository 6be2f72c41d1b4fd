package commands

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"esa/shell/shelltest"
	"esa/store"
	"esa/store/configfile"
)

// TestMailconfigSendsTheFile: the letter has what saveconfig writes, and what
// is encrypted is opened with the passphrase.
func TestMailconfigSendsTheFile(t *testing.T) {
	w := newWorld(t)
	env := w.env("admin", true)
	w.run(env, "mailconfig", "admin@example.com, ops@example.net", "2", "long enough", "long enough", "exit")
	if len(w.mail.sent) != 1 {
		t.Fatalf("%d letters", len(w.mail.sent))
	}
	l := w.mail.sent[0]
	if l.Subject != "Configuration of mail.example.com (2026-03-02 09:30:00)" || len(l.To) != 2 || l.To[1].String() != "ops@example.net" ||
		l.FileName != "esa-0123456789AB-CDEF012-20260302T093000.xml" ||
		l.Text != "The configuration of mail.example.com, revision 1, as of Mon, 02 Mar 2026 09:30:00 +0000.\nIt was sent by admin.\n" {
		t.Errorf("%+v", l)
	}
	running, _ := w.store.Running()
	if bytes.Contains(l.File, []byte("PRIVATE KEY")) {
		t.Error("the key is mailed in clear")
	}
	result, err := configfile.Read(t.Context(), l.File, store.Factory(store.FactoryFacts{}), configfile.ReadOptions{Keys: configfile.Keys{
		Passphrase: func() (string, error) { return "long enough", nil },
	}})
	if err != nil || !result.Config.Equal(running) {
		t.Errorf("it is not what runs: %v", err)
	}
}

// meanwhile is configuration/ in which something happens while a new file is
// written.
type meanwhile struct {
	Files
	happens func()
}

func (m meanwhile) SaveNew(name string, write func(io.Writer) error) error {
	return m.Files.SaveNew(name, func(w io.Writer) error {
		err := write(w)
		m.happens()
		return err
	})
}

// TestSaveconfigAtOnce: two sessions that save in the same second, one while the
// other writes, have a file each, and each is told its own.
func TestSaveconfigAtOnce(t *testing.T) {
	w := newWorld(t)
	slow, other := w.env("admin", true), ""
	slow.Files = meanwhile{slow.Files, func() {
		if other == "" {
			other = w.run(w.env("admin", true), "saveconfig n")
		}
	}}
	first, second := "esa-0123456789AB-CDEF012-20260302T093000.xml", "esa-0123456789AB-CDEF012-20260302T093001.xml"
	if shown := w.run(slow, "saveconfig y"); !strings.Contains(shown, second) || strings.Contains(shown, first) {
		t.Errorf("who was slower is told\n%s", shown)
	}
	if !strings.Contains(other, first) {
		t.Errorf("who was first is told\n%s", other)
	}
	masked := []byte("<key>*****</key>")
	if bytes.Contains(w.files[first], masked) || !bytes.Contains(w.files[second], masked) || len(w.files) != 2 {
		t.Errorf("%d files", len(w.files))
	}
}

// TestResetconfigIsForTheUserAdmin: not even another Administrator has it.
func TestResetconfigIsForTheUserAdmin(t *testing.T) {
	w := newWorld(t)
	env := w.env("admin", true)
	if err := env.Edit(func(c *store.Config) error {
		c.Users = append(c.Users, store.User{Name: "ann", FullName: "Ann", Role: store.Administrators})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	w.run(env, "commit \"ann\"", "suspend 0", "exit")
	if shown := w.run(w.env("ann", true), "resetconfig", "exit"); !strings.Contains(shown, "Only the user admin can use resetconfig.") {
		t.Errorf("%s", shown)
	}
	if shown := w.run(w.env("admin", true), "resetconfig", "y", "exit"); !strings.Contains(shown, "restored to the factory default") {
		t.Errorf("%s", shown)
	}
}

// TestLoadconfigFails: a key of the gateway that cannot be read
// and a database that fails end the command with their reason.
func TestLoadconfigFails(t *testing.T) {
	w := newWorld(t)
	w.files["a.xml"] = []byte("<config><hostname>new.example.com</hostname></config>")
	env := w.env("admin", true)
	env.FileKey = func() ([]byte, error) { return nil, bytes.ErrTooLarge }
	for _, line := range []string{"loadconfig a.xml", "showconfig y 2"} {
		if shown := w.run(env, line); !strings.Contains(shown, "The command failed: "+bytes.ErrTooLarge.Error()) {
			t.Errorf("%s: %s", line, shown)
		}
	}
	env = w.env("admin", true)
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	if shown := w.run(env, "loadconfig a.xml"); !strings.Contains(shown, "The command failed: keeping uncommitted changes") {
		t.Errorf("%s", shown)
	}
}

// TestShowconfigOfAnOperator: the answers of who is not one of the
// Administrators give masked passphrases, and end: a program that answers 3
// would ask for ever.
func TestShowconfigOfAnOperator(t *testing.T) {
	w := newWorld(t)
	for _, answer := range []string{"1", "2", "3"} {
		screen := shelltest.NewScreen("showconfig", answer, "exit")
		_ = w.shell(w.env("bob", true), screen).Interactive(t.Context())
		if shown := screen.String(); !strings.Contains(shown, "Passphrases: Masked -->") || !strings.Contains(shown, "<key>*****</key>") ||
			strings.Contains(shown, "only Administrators") != (answer != "1") {
			t.Errorf("%s: %s", answer, shown)
		}
	}
}

// TestLoadconfigKeepsWhatOthersCommitMeanwhile: a commit made while the file is
// read is not undone by the commit of what the file says of something else.
func TestLoadconfigKeepsWhatOthersCommitMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.run(w.env("admin", true), "test file part.xml <config> <hostname>new.example.com</hostname> </config>")
	env := w.env("admin", true)
	key := env.FileKey
	env.FileKey = func() ([]byte, error) {
		w.run(w.env("carol", true).LoggedIn(), "deliveryconfig setup concurrency=77", `commit ""`)
		return key()
	}
	shown := w.run(env, "loadconfig part.xml", "showchanges", `commit ""`)
	running, _ := w.store.Running()
	if running.Hostname != "new.example.com" || running.Delivery.Concurrency != 77 {
		t.Errorf("%s, %d:\n%s", running.Hostname, running.Delivery.Concurrency, shown)
	}
}
