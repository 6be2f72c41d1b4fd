//go:build integration

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestClientTerminal: a person at OpenSSH's client in a real terminal: a
// passphrase, a command completed and called back, pages, a log that is watched
// and left, a window that changes its size, a dialog, the end.
func TestClientTerminal(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {200, 50}} {
		t.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(t *testing.T) { personAt(t, size[0], size[1]) })
	}
}

func personAt(t *testing.T, cols, rows int) {
	need(t, "tmux", "ssh")
	r := startReachable(t)
	const prompt = "mail.example.com>"
	term := openTerminal(t, cols, rows, "ssh", "-F", "none", "-p", r.port, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "PubkeyAuthentication=no", "-o", "LogLevel=ERROR", "ann@"+r.host)
	term.await("ann@127.0.0.1's password:")
	term.line("not it")
	term.await("Permission denied, please try again.\nann@127.0.0.1's password:")
	term.line(clientPassphrase)
	term.await(prompt)
	if screen := term.screen(); strings.Contains(screen, "Kla") {
		t.Errorf("the passphrase shows:\n%s", screen)
	}

	term.keys("whoa", "Tab", "Enter")
	term.await(prompt)
	if screen := term.screen(); !strings.Contains(screen, "Username: ann") {
		t.Errorf("whoami:\n%s", screen)
	}
	term.keys("Up")
	term.await(prompt + " whoami")
	term.keys("C-c")
	term.await(prompt)

	term.line("status detail")
	term.await("-Press Any Key For More-")
	term.pages(prompt)
	term.tmux("resize-window", "-x", "100", "-y", "60")
	term.line("help")
	term.pages(prompt)

	term.line("tail cli_logs")
	waitFor(t, "the log", func() bool { return strings.Contains(term.screen(), "tail cli_logs'; prompt was") })
	term.keys("C-c")
	term.await(prompt)

	term.line("smtproutes")
	term.await("[]>")
	term.line("new")
	term.await("[]>")
	term.line("person.test")
	term.await("[]>")
	term.keys("C-c")
	term.await(prompt)
	term.line("smtproutes new person.test next.example.com")
	term.await("created.\n" + prompt)
	term.line(`commit "für später"`)
	waitFor(t, "the commit", func() bool { return strings.Contains(term.screen(), "Changes committed: ") })
	term.await(prompt)
	term.line("commitdetail")
	term.await(prompt)
	if screen := term.screen(); !strings.Contains(screen, "für später") {
		t.Errorf("the comment:\n%s", screen)
	}
	term.line("smtproutes delete person.test")
	term.await(prompt)
	term.line("exit")
	term.await("Are you sure you wish to exit? [N]>")
	term.line("y")
	waitFor(t, "the end of the client", func() bool {
		return exec.Command("tmux", "-S", term.socket, "has-session").Run() != nil
	})
}

// pages turns the pages of a listing until the prompt is there. A blank more
// than there are pages is typed at the prompt, where it means nothing.
func (term *terminal) pages(prompt string) {
	term.t.Helper()
	waitFor(term.t, "the last page", func() bool {
		screen := term.screen()
		if strings.HasSuffix(screen, "-Press Any Key For More-") {
			term.keys("Space")
		}
		return strings.HasSuffix(screen, prompt)
	})
}

// TestClientSavedConfiguration: what saveconfig prints is the path that scp
// takes, as the scripts for an appliance read it, and loadconfig takes it back.
func TestClientSavedConfiguration(t *testing.T) {
	r := startReachable(t)
	do := func(words ...string) ran {
		t.Helper()
		return r.run(t, "", openSSHWith(words[0], words[1:]...)...)
	}
	said := do("ssh", "ann@@HOST", "saveconfig n 3").clean(t, "Configuration saved.").out
	path := regexp.MustCompile(`(?m)^"(/configuration/[^"]+\.xml)"\.$`).FindStringSubmatch(said)
	if path == nil {
		t.Fatalf("no path of its own line:\n%s", said)
	}
	for _, mode := range []string{"-O", "-s"} {
		do("scp", mode, "ann@@HOST:"+path[1], "saved.xml").clean(t)
		text, err := os.ReadFile(filepath.Join(r.home, "saved.xml"))
		if err != nil || !strings.HasPrefix(string(text), "<?xml") || !strings.Contains(string(text), "mail.example.com") {
			t.Errorf("%s brought %.200q, %v", mode, text, err)
		}
	}
	text, err := os.ReadFile(filepath.Join(r.home, "saved.xml"))
	if err != nil {
		t.Fatal(err)
	}
	r.file(t, "changed.xml", strings.ReplaceAll(string(text), "mail.example.com", "moved.example.com"))
	do("scp", "-O", "changed.xml", "ann@@HOST:/configuration/").clean(t)
	do("ssh", "ann@@HOST", `loadconfig changed.xml; commit "loaded" Y`).want(t, 0, "Changes committed: ")
	do("ssh", "ann@@HOST", "version; sethostname moved.example.com; showchanges").want(t, 0, "No changes have been made")
}
