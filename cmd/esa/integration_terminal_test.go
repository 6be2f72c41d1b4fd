//go:build integration

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// terminal is a person's terminal: a tmux server of our own with one window.
type terminal struct {
	t      *testing.T
	socket string
}

// openTerminal runs a command in a terminal of that size.
func openTerminal(t *testing.T, cols, rows int, command ...string) *terminal {
	t.Helper()
	need(t, "tmux")
	term := &terminal{t, filepath.Join(t.TempDir(), "tmux")}
	args := append([]string{"-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(cols), "-y", fmt.Sprint(rows), "--"}, command...)
	term.tmux(args...)
	t.Cleanup(func() { exec.Command("tmux", "-S", term.socket, "kill-server").Run() })
	return term
}

func (term *terminal) tmux(args ...string) string {
	term.t.Helper()
	cmd := exec.Command("tmux", append([]string{"-S", term.socket}, args...)...)
	cmd.Env = append(os.Environ(), "TERM=xterm-256color", "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		term.t.Fatalf("tmux %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// screen is what stands on the screen, without the blanks at line ends.
func (term *terminal) screen() string {
	term.t.Helper()
	var lines []string
	for line := range strings.Lines(term.tmux("capture-pane", "-p")) {
		lines = append(lines, strings.TrimRight(line, " \n"))
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// await waits until the screen ends in text.
func (term *terminal) await(text string) {
	term.t.Helper()
	var last string
	defer func() {
		if term.t.Failed() {
			term.t.Logf("the screen:\n%s", last)
		}
	}()
	waitFor(term.t, fmt.Sprintf("a screen that ends in %q", text), func() bool {
		last = term.screen()
		return strings.HasSuffix(last, text)
	})
}

// keys types: words are key names of tmux, such as Enter, C-c, Up, Tab.
func (term *terminal) keys(keys ...string) {
	term.tmux(append([]string{"send-keys", "--"}, keys...)...)
}

// line types a line.
func (term *terminal) line(text string) {
	term.tmux("send-keys", "-l", "--", text)
	term.keys("Enter")
}

// TestTerminal: a newcomer's first session in a real terminal, in two sizes.
func TestTerminal(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {200, 50}} {
		t.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(t *testing.T) { firstSession(t, size[0], size[1]) })
	}
}

func firstSession(t *testing.T, cols, rows int) {
	dir := t.TempDir()
	offline := exec.Command(binary(t), "--data", dir)
	offline.Stdin = strings.NewReader(fmt.Sprintf("sethostname mail.example.com\nlistenerconfig edit OutgoingMail port=%d\ncommit \"\"\n", freePort(t, "127.0.0.1")))
	if out, err := offline.CombinedOutput(); err != nil {
		t.Fatalf("preparing: %v\n%s", err, out)
	}
	term := openTerminal(t, cols, rows, binary(t), "--data", dir, "run")
	const prompt = "mail.example.com>"
	term.await(prompt)

	// Tab completes the name of a command, Enter keeps the value.
	term.keys("sethostn", "Tab")
	term.await(prompt + " sethostname")
	term.keys("Enter")
	term.await("[mail.example.com]>")
	term.keys("Enter")
	term.await(prompt)

	// Ctrl-C leaves a command and what it collected.
	term.line("smtproutes")
	term.await("- IMPORT - Import new routes from a file.\n[]>")
	term.line("new")
	term.await("Use \"ALL\" to create a default route.\n[]>")
	term.keys("C-c")
	term.await(prompt)
	term.line("showchanges")
	term.await("No changes have been made since the last commit.\n" + prompt)

	// The arrow key brings the last command back; a long listing is paged.
	term.keys("Up")
	term.await(prompt + " showchanges")
	term.keys("C-u")
	if rows < 30 {
		term.say("status", "-Press Any Key For More-")
		term.keys("Space")
		term.await(prompt)
	} else {
		term.say("status", prompt)
	}
	if screen := term.screen(); strings.Contains(screen, "-Press Any Key") || !strings.Contains(screen, "Active Recipients") {
		t.Errorf("the second page:\n%s", screen)
	}
	for line := range strings.Lines(term.screen()) {
		if regexp.MustCompile(`^\s{40,}\S`).MatchString(line) {
			t.Errorf("a line begins where the one before ended: %q", line)
		}
	}

	// What is not committed is asked about; leaving ends the gateway.
	term.say("sethostname other.example.com", prompt)
	term.line("exit")
	term.await("Are you sure you wish to exit? [N]>")
	term.line("y")
	waitFor(t, "the end of the gateway", func() bool {
		out, err := exec.Command("tmux", "-S", term.socket, "list-sessions").CombinedOutput()
		return err != nil && !bytes.Contains(out, []byte("windows"))
	})
}

// TestReplyAfterSync: what strace sees of one message: the reply that accepts
// it is written after the sync that makes it durable.
func TestReplyAfterSync(t *testing.T) {
	need(t, "strace")
	port, sinkPort := listenPort(t), freePort(t, "127.0.0.1")
	startSink(t, sinkPort)
	g := startGateway(t, t.TempDir())
	g.script(relayScript(port, sinkPort)...)
	trace := filepath.Join(t.TempDir(), "trace")
	strace := exec.Command("strace", "-f", "-qq", "-e", "trace=fsync,fdatasync,syncfs,write", "-s", "64",
		"-o", trace, "-p", fmt.Sprint(g.cmd.Process.Pid))
	if err := strace.Start(); err != nil {
		t.Skipf("strace cannot attach: %v", err)
	}
	defer func() {
		strace.Process.Kill()
		strace.Wait()
	}()
	calls := func() string {
		data, err := os.ReadFile(trace)
		if err != nil {
			return ""
		}
		return string(data)
	}
	// Attached once it has seen anything at all: status makes the gateway write.
	waitFor(t, "strace to see the gateway", func() bool {
		g.script("version")
		return strings.Contains(calls(), "write(")
	})
	swaks(t, fmt.Sprintf("127.0.0.2:%d", port), "user@example.net", "traced")
	reply := regexp.MustCompile(`write\(\d+, "250 ok:  Message \d+ accepted`)
	waitFor(t, "the reply in the trace", func() bool { return reply.MatchString(calls()) })
	seen := calls()
	end := reply.FindStringIndex(seen)[0]
	start := strings.LastIndex(seen[:end], `"354 go ahead`)
	if start < 0 {
		t.Fatalf("no 354 before the reply:\n%s", seen)
	}
	if !regexp.MustCompile(`(?:syncfs|fsync|fdatasync)\(\d+\) += 0|<\.\.\. (?:syncfs|fsync|fdatasync) resumed>\) += 0`).MatchString(seen[start:end]) {
		t.Errorf("no sync between 354 and the reply:\n%s", seen[start:end])
	}
}
