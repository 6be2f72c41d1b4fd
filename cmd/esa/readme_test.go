package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"esa/commands"
	"esa/shell"
	"esa/shell/attach"
	"esa/shell/shelltest"
	"esa/store"
)

// Parts of the README are made, and checked, here: the first session is what
// the gateway really shows, the list of commands is the table's.

const readmeFile = "../../README.md"

// TestReadmeCommands: the list of commands in the README is that of the table.
func TestReadmeCommands(t *testing.T) {
	rows := ""
	for line := range strings.Lines(shell.HelpList(commands.Table())) {
		rows += "    " + line
	}
	holdReadme(t, "commands", rows)
}

// TestReadmeForms: so is the list of one-line forms.
func TestReadmeForms(t *testing.T) {
	text := ""
	for _, c := range commands.Table() {
		for _, f := range c.Forms {
			for line := range strings.Lines(f.Usage + "\n") {
				text += "    " + line
			}
		}
	}
	holdReadme(t, "forms", text)
}

// TestReadmeSession: the first session in the README, typed into a gateway
// that nobody has configured yet, shows what the README says.
func TestReadmeSession(t *testing.T) {
	readme, err := os.ReadFile(readmeFile)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := marks("session")
	_, rest, ok := strings.Cut(string(readme), begin)
	block, _, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatal("the README has no session")
	}
	var screen strings.Builder
	for line := range strings.Lines(strings.Trim(block, "\n") + "\n") {
		screen.WriteString(strings.TrimPrefix(line, "    "))
	}
	file := filepath.Join(t.TempDir(), "session.txt")
	if err := os.WriteFile(file, []byte(screen.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	p := newcomersGateway(t)
	who := store.Who{User: "admin", Source: "console", Method: "cli", Interactive: true}
	shelltest.Runner{Masks: timeMasks()}.Run(t, file, func(c shell.Console) {
		session := p.store.NewSession(who)
		sh := shell.Shell[commands.Env]{
			Commands: commands.Table(), Env: p.console.environment(who, session, time.Now()),
			Console: c, Prompt: p.console.prompt, Begin: commands.Welcome, Panics: true,
		}
		sh.Interactive(t.Context())
		if err := session.Close(false); err != nil {
			t.Error(err)
		}
	})
	if shelltest.Updating() {
		shown, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var indented strings.Builder
		for line := range strings.Lines(string(shown)) {
			if strings.TrimSpace(line) != "" {
				line = "    " + line
			}
			indented.WriteString(line)
		}
		holdReadme(t, "session", indented.String())
	}
}

// newcomersGateway runs a gateway with the factory configuration, but for a
// fixed host name and ports that are free.
func newcomersGateway(t *testing.T) *process {
	t.Helper()
	inv := invocation{dir: t.TempDir(), user: "admin"}
	p, err := openProcess(t.Context(), inv, false)
	if err != nil {
		t.Fatal(err)
	}
	listener, console := freeAddr(t), freeAddr(t)
	session := p.store.NewSession(store.Who{User: "admin"})
	err = session.Edit(func(c *store.Config) error {
		c.Hostname, c.Interfaces[0].Hostname, c.Listeners[0].Port = "mail.example.com", "mail.example.com", listener.Port()
		c.Interfaces[0].SSHPort = console.Port()
		c.DNS.Servers = []store.DNSServer{{Addr: netip.MustParseAddrPort("127.0.0.1:53")}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.gateway.Commit(t.Context(), store.CommitRequest{Session: session}); err != nil {
		t.Fatal(err)
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	if p, err = openProcess(t.Context(), inv, true); err != nil {
		t.Fatal(err)
	}
	socket, err := attach.Listen(inv.dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.run(ctx, socket) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return p
}

// timeMasks replaces what differs from run to run by an example of it.
func timeMasks() []shelltest.Mask {
	return []shelltest.Mask{
		{Pattern: regexp.MustCompile(`[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} \S+`), Text: "Sun Nov 22 09:30:00 2026 GMT"},
		{Pattern: regexp.MustCompile(`\(\d+h \d+m \d+s\)`), Text: "(0h 2m 41s)"},
		{Pattern: regexp.MustCompile(`Kilobytes Free +[\d,]+`), Text: "Kilobytes Free                 39,458,745"},
	}
}

// marks are the lines around a part of the README.
func marks(name string) (begin, end string) {
	return fmt.Sprintf("<!-- %s -->\n", name), fmt.Sprintf("<!-- /%s -->", name)
}

// holdReadme compares a part of the README, or rewrites it with -update.
func holdReadme(t *testing.T, name, want string) {
	t.Helper()
	readme, err := os.ReadFile(readmeFile)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := marks(name)
	before, rest, ok := strings.Cut(string(readme), begin)
	part, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("the README has no part %q", name)
	}
	want = "\n" + want + "\n"
	if part == want {
		return
	}
	if !shelltest.Updating() {
		t.Fatalf("the README's part %q is stale: run make docs", name)
	}
	if err := os.WriteFile(readmeFile, []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
