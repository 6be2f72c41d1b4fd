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

	term.keys("whoa", "Tab")
	term.await(prompt + " whoami")
	term.keys("Enter")
	waitFor(t, "the answer of whoami", func() bool {
		return strings.Contains(term.screen(), "Username: ann") && strings.HasSuffix(term.screen(), prompt)
	})
	term.keys("Up")
	term.await(prompt + " whoami")
	term.keys("C-c")
	term.await("\n" + prompt)

	term.say("status detail", "-Press Any Key For More-")
	term.pages(prompt)
	term.tmux("resize-window", "-x", "100", "-y", "60")
	term.say("help", "-Press Any Key For More-")
	term.pages(prompt)

	term.line("tail cli_logs")
	waitFor(t, "the log", func() bool { return strings.Contains(term.screen(), "tail cli_logs'; prompt was") })
	term.keys("C-c")
	term.await("^C\n" + prompt)

	term.say("smtproutes", "[]>")
	term.say("new", "[]>")
	term.say("person.test", "[]>")
	term.keys("C-c")
	term.await("^C\n" + prompt)
	term.say("smtproutes new person.test next.example.com", "created.\n"+prompt)
	committed := term.say(`commit "für später"`, prompt)
	detail := term.say("commitdetail", prompt)
	if !strings.Contains(committed, "Changes committed: ") || !strings.Contains(detail, "für später") {
		t.Errorf("the commit:\n%s%s", committed, detail)
	}
	term.say("smtproutes delete person.test", prompt)
	term.say("exit", "Are you sure you wish to exit? [N]>")
	term.line("y")
	waitFor(t, "the end of the client", func() bool {
		return exec.Command("tmux", "-S", term.socket, "has-session").Run() != nil
	})
}

// say types a line and gives what came after it, once that ends in text.
func (term *terminal) say(line, text string) (answer string) {
	term.t.Helper()
	term.line(line)
	waitFor(term.t, fmt.Sprintf("%q after %q", text, line), func() bool {
		screen := term.screen()
		typed := strings.LastIndex(screen, "> "+line+"\n")
		answer = screen[max(typed, 0):]
		// A page on, what was typed has left the screen.
		return strings.HasSuffix(answer, text) && (typed >= 0 || strings.Contains(text, "Press Any Key"))
	})
	return answer
}

// pages turns the pages of a listing until the prompt is there. The key is
// one that means nothing at the prompt, where it comes when a page was the last:
// Ctrl-U, which empties the line.
func (term *terminal) pages(prompt string) {
	term.t.Helper()
	waitFor(term.t, "the last page", func() bool {
		screen := term.screen()
		if strings.HasSuffix(screen, "-Press Any Key For More-") {
			term.keys("C-u")
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
