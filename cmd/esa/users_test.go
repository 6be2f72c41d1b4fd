package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"esa/shell/attach"
	"esa/shell/sshd"
	"esa/store"
)

// execAs runs a line as a user.
func (h *house) execAs(user, line string) result {
	h.t.Helper()
	conn, err := attach.Dial(h.dir)
	if err != nil {
		h.t.Fatal(err)
	}
	var screen bytes.Buffer
	status, err := attach.Run(h.t.Context(), conn, attach.Options{User: user, Command: line, IsExec: true, Stdout: &screen, Stderr: &screen})
	if err != nil {
		h.t.Fatalf("%v\n%s", err, screen.String())
	}
	return result{status, screen.String()}
}

// TestUsers_OnTheMachine: its owner is admin, and every other account with that
// account's rights, locked ones and those without passphrase too; no account
// that is not there.
func TestUsers_OnTheMachine(t *testing.T) {
	dir, _ := prepared(t)
	h := openHouse(t, dir)
	h.exec("userconfig new ann guest; userconfig status ann locked; userconfig new bob operators; commit users").want(t, 0, "Changes committed: ")
	h.execAs("ann", "whoami; sethostname ann.test").want(t, 1, "Username: ann", "Groups: guest", "You are not in the correct access group to use sethostname.")
	h.execAs("bob", "sethostname bob.test; commit bob; userconfig print").want(t, 1, "Changes committed: ", "You are not in the correct access group to use userconfig.")
	h.wantRunning("bob.test", 3)
	revisions, err := h.p.store.Revisions(1)
	if err != nil || revisions[0].User != "bob" {
		t.Errorf("%+v, %v", revisions, err)
	}
	conn, err := attach.Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := attach.Run(t.Context(), conn, attach.Options{User: "carol", Command: "version", IsExec: true}); !errors.Is(err, attach.ErrRefused) {
		t.Errorf("%v", err)
	}
}

// TestUsers_ADeletedOneIsThrownOut: from whatever the session is doing, and
// what it had pending is offered to nobody.
func TestUsers_ADeletedOneIsThrownOut(t *testing.T) {
	dir, _ := prepared(t)
	h := openHouse(t, dir)
	h.exec("userconfig new ann operators; commit ann").want(t, 0)
	asked, watching := sitDownAs(t, dir, "ann", 24), sitDownAs(t, dir, "ann", 24)
	asked.sees("gw.test> ")
	asked.types("sethostname ann.test", "gw.test> ")
	asked.types("deliveryconfig", "[]> ")
	watching.sees("gw.test> ")
	watching.types("tail mail_logs", "Ctrl-C")
	h.exec("who").want(t, 0, "ann (console) has uncommitted changes")
	h.exec("userconfig delete ann; commit gone").want(t, 0, "Changes committed: ")
	for _, p := range []*person{asked, watching} {
		p.sees("Your account was removed or locked. This session ends.")
		if err := p.session.Wait(); err == nil {
			t.Error("the session ends well")
		}
	}
	h.exec("userconfig new ann operators; commit again").want(t, 0)
	again := sitDownAs(t, dir, "ann", 24)
	if shown := again.sees("gw.test> "); strings.Contains(shown, "resume") {
		t.Errorf("another ann is offered what the first had pending:\n%s", shown)
	}
}

// TestUsers_LockedBeforeTheStoreKnows: a session was let in, and a commit removes
// or locks its user before the store knows of it and could tell it so.
func TestUsers_LockedBeforeTheStoreKnows(t *testing.T) {
	dir, _ := prepared(t)
	h := openHouse(t, dir)
	begins := func(source string) error {
		pending := h.p.store.NewSession(store.Who{User: "ann", Source: source, Method: "cli"})
		ctx, stop := h.p.console.untilExpelled(t.Context(), &sshd.Session{User: "ann", Source: source}, pending)
		defer stop()
		return errors.Join(context.Cause(ctx), pending.Close(false))
	}
	for _, tt := range []struct {
		line       string
		far, local error
	}{
		{"userconfig new ann operators", nil, nil},
		{"userconfig status ann locked", errExpelled, nil},
		{"userconfig delete ann", errExpelled, errExpelled},
	} {
		h.exec(tt.line+"; commit ann").want(t, 0, "Changes committed: ")
		for source, want := range map[string]error{"192.0.2.9": tt.far, store.LocalSource: tt.local} {
			if err := begins(source); !errors.Is(err, want) {
				t.Errorf("%s, from %s: %v, want %v", tt.line, source, err, want)
			}
		}
	}
}

// TestUsers_LastOutlivesTheGateway: logins are listed with their logouts, and
// those that a kill left open as not known.
func TestUsers_LastOutlivesTheGateway(t *testing.T) {
	dir, _ := prepared(t)
	h := openHouse(t, dir)
	h.exec("userconfig new ann guest; commit users").want(t, 0)
	h.execAs("ann", "version").want(t, 0)
	h.execAs("ann", "last").want(t, 0, "still logged in", "Total Time")
	if out, err := h.p.logins.Begin("ann", "192.0.2.9", "cli"); err != nil || out == nil {
		t.Fatal(err)
	}
	h.close()
	h = openHouse(t, dir)
	r := h.exec("last")
	r.want(t, 0, "not known", "192.0.2.9")
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	if len(lines) != 2+5 || !strings.HasPrefix(lines[2], "admin ") || !strings.HasPrefix(lines[3], "ann   ") || strings.Contains(lines[4], "still") {
		t.Errorf("%s", r.out)
	}
	h.exec("last 1").want(t, 0, "still logged in")
	info, err := os.Stat(filepath.Join(dir, loginsFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// TestUsers_PassphraseIsNowhereToBeRead: not on the screen, not in the database
// and in no other file.
func TestUsers_PassphraseIsNowhereToBeRead(t *testing.T) {
	dir, _ := prepared(t)
	h := openHouse(t, dir)
	const secret, other = "Canary-Tweet-1", "Parrot-Talks-2"
	p := sitDownAs(t, dir, "admin", 24)
	shown := p.sees("gw.test> ")
	shown += p.types("passphrase", "(Y/N) [N]> ") + p.types("n", "> ")
	shown += p.types(secret, "again.") + p.sees("> ") + p.types(secret, "Your passphrase has been changed.")
	shown += p.types("userconfig new ann guest", "gw.test> ") + p.types("userconfig passphrase ann", "(Y/N) [N]> ") + p.types("n", "> ")
	shown += p.types(other, "again.") + p.sees("> ") + p.types(other, "is assigned.") + p.types("commit ann", "Changes committed: ")
	shown += p.types("showchanges", "gw.test> ") + p.types("commitdetail", "gw.test> ")
	batch := h.batch(false, "userconfig passphrase ann", "n", "Canary-Sings-3", "Canary-Sings-3", "commit again", "commitdetail")
	batch.want(t, 0, "Passphrase: *****")
	c := canaries{"passphrase": []byte(secret), "other's passphrase": []byte(other), "script's passphrase": []byte("Canary-Sings-3")}
	c.absentFrom(t, "the screen", []byte(shown+batch.out))
	u, err := h.p.store.Authenticate(t.Context(), "admin", secret)
	if err != nil || u.Name != "admin" {
		t.Errorf("%v: this test would find nothing", err)
	}
	hash := u.Passphrase.Reveal()
	c["hash"] = []byte(hash[strings.LastIndexByte(hash, '$')+1:])
	c.absentFrom(t, "the screen", []byte(shown+batch.out))
	h.close()
	c.searchDirectory(t, dir, "hash")
	for _, name := range []string{configFile, configFile + ".copy"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		delete(c, "hash")
		if err != nil {
			t.Fatal(err)
		}
		c.absentFrom(t, name, text)
	}
}

// TestUsers_PassphraseIsDue: who logs in over the network with one that has to
// be changed can do that and nothing else, by no way in; on the machine itself
// it does not matter.
func TestUsers_PassphraseIsDue(t *testing.T) {
	h, addr, signer := withAnn(t, func(c *store.Config) {
		c.Users[1].MustChange = true
	})
	client, err := logIn(addr, "ann", ssh.PublicKeys(signer))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const refusal = "Your passphrase must be changed before anything else."
	says(t, client, "whoami; status; sethostname x.test; commit x").want(t, 1, "Username: ann", refusal)
	says(t, client, "scp -f configuration/x").want(t, 1, refusal)
	h.execAs("ann", "status").want(t, 0, "Online")
	h.wantRunning("gw.test", 1)

	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Stdin = strings.NewReader("passwd\n" + annsPassphrase + "\nn\nAnother-Horse-8\nAnother-Horse-8\nstatus\n")
	var out bytes.Buffer
	s.Stdout = &out
	if err := errors.Join(s.Shell(), s.Wait()); err != nil || !strings.Contains(out.String(), "Your passphrase has been changed.") || strings.Contains(out.String(), "Horse") {
		t.Fatalf("%v\n%s", err, out.String())
	}
	says(t, client, "status").want(t, 0, "Online")
	if _, err := logIn(addr, "ann", ssh.Password(annsPassphrase)); err == nil {
		t.Error("the old passphrase is taken")
	}
	again, err := logIn(addr, "ann", ssh.Password("Another-Horse-8"))
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
}
