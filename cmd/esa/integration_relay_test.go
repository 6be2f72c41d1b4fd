//go:build integration

package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// relayScript is what a person would type: an interface on 127.0.0.2, a
// private listener on it, a route for everything to the sink, commit. An empty
// line takes the default or leaves the menu.
func relayScript(listenPort, sinkPort int) []string {
	return []string{
		"interfaceconfig", "new", "Data2", "y", "127.0.0.2", "", "n", "gw2.example.com", "n", "",
		"listenerconfig", "new", "1", "Relay", "2", "1", fmt.Sprint(listenPort), "127.0.0.0/8", "n", "n", "",
		"smtproutes", "new", "ALL", fmt.Sprintf("[127.0.0.1]:%d", sinkPort), "",
		"commit", "integration", "",
	}
}

// listenPort is 25 where the test may have it, as an operator would, else any.
func listenPort(t *testing.T) int {
	t.Helper()
	if privileged() {
		return 25
	}
	return freePort(t, "127.0.0.2")
}

// source sends messages with Postfix's smtp-source and waits for its end.
func source(t *testing.T, port, sessions, messages int) error {
	t.Helper()
	need(t, "smtp-source")
	cmd := exec.Command("smtp-source", "-s", fmt.Sprint(sessions), "-m", fmt.Sprint(messages), "-l", "1024",
		"-f", "sender@example.org", "-t", "rcpt@example.net", fmt.Sprintf("inet:127.0.0.2:%d", port))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("smtp-source: %w\n%s", err, out)
	}
	return nil
}

// books is what the mail log tells of every message.
type books struct{ queued, finished, done, bounced map[string]int }

func readBooks(lines []string) books {
	b := books{map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}}
	for _, kind := range []struct {
		re *regexp.Regexp
		in map[string]int
	}{
		{regexp.MustCompile(`MID (\d+) queued for delivery`), b.queued},
		{regexp.MustCompile(`Message finished MID (\d+) done`), b.finished},
		{regexp.MustCompile(`Message done DCID \d+ MID (\d+) `), b.done},
		{regexp.MustCompile(`Bounced: DCID \d+ MID (\d+) `), b.bounced},
	} {
		for _, line := range lines {
			if m := kind.re.FindStringSubmatch(line); m != nil {
				kind.in[m[1]]++
			}
		}
	}
	return b
}

// check fails the test unless every queued message was delivered and finished
// exactly once.
func (b books) check(t *testing.T, messages int) {
	t.Helper()
	if len(b.queued) != messages || len(b.bounced) != 0 {
		t.Errorf("%d messages queued and %d bounced, want %d and 0", len(b.queued), len(b.bounced), messages)
	}
	for mid := range b.queued {
		if b.finished[mid] != 1 || b.done[mid] != 1 {
			t.Errorf("MID %s: finished %d times, delivered %d times", mid, b.finished[mid], b.done[mid])
		}
	}
	if len(b.finished) != messages {
		t.Errorf("%d messages finished, want %d", len(b.finished), messages)
	}
}

// balance fails the test unless every message that the log calls queued was
// delivered and finished: after kills perhaps more than once, never not at all
// (R11).
func (b books) balance(t *testing.T) {
	t.Helper()
	again := 0
	for mid := range b.queued {
		if b.done[mid] == 0 || b.finished[mid] == 0 {
			t.Errorf("MID %s is queued in the log, delivered %d times and finished %d times", mid, b.done[mid], b.finished[mid])
		}
		again += b.finished[mid] - 1
	}
	t.Logf("the books: %d messages queued, %d finished twice", len(b.queued), again)
}

// TestRelay: a script on standard input makes the gateway relay for a real
// client to a real server: messages with 20 sessions all arrive, and
// the mail log accounts for each.
//
//	smtp-source ─► 127.0.0.2 listener ─► queue ─► smtproutes ALL ─► smtp-sink
func TestRelay(t *testing.T) {
	const messages = relayMessages
	port, sinkPort := listenPort(t), freePort(t, "127.0.0.1")
	folder := startSink(t, sinkPort)
	g := startGateway(t, t.TempDir())
	out := g.script(relayScript(port, sinkPort)...)
	if !strings.Contains(out, "Changes committed: ") {
		t.Fatalf("no commit:\n%s", out)
	}
	if err := source(t, port, 20, messages); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "all messages at the sink", func() bool { return count(t, folder) == messages })
	waitFor(t, "an empty queue", g.idle)
	g.stop()
	readBooks(g.mailLog()).check(t, messages)
	if n := count(t, folder); n != messages {
		t.Errorf("%d messages at the sink, want %d", n, messages)
	}
}

// TestRelayWhileCommitting: the same with commits during the load. A
// refused or reset connection ends smtp-source with an error.
func TestRelayWhileCommitting(t *testing.T) {
	const messages, commits = relayMessages, stormCommits
	port, sinkPort := listenPort(t), freePort(t, "127.0.0.1")
	folder := startSink(t, sinkPort)
	g := startGateway(t, t.TempDir())
	g.script(relayScript(port, sinkPort)...)

	sent := make(chan error, 1)
	go func() { sent <- source(t, port, 20, messages) }()
	committed := 0
	for committed < commits {
		name := fmt.Sprintf("gw%d.example.com", committed)
		out, err := g.try("sethostname", name, "commit", "storm", "")
		if err != nil || !strings.Contains(out, "Changes committed: ") {
			t.Fatalf("commit %d: %v\n%s", committed, err, out)
		}
		committed++
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	waitFor(t, "all messages at the sink", func() bool { return count(t, folder) == messages })
	waitFor(t, "an empty queue", g.idle)
	g.stop()
	readBooks(g.mailLog()).check(t, messages)
}
