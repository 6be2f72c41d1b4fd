package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"esa/store"
	"esa/store/configfile"
)

// The dialogues of programs that keep the configurations of appliances, with
// the patterns that they wait for (reference clients part 1). Each reads byte
// by byte, so that whatever part of an answer it could have seen is looked at.

// reader is such a program at a terminal of its size.
type reader struct {
	*person
	prompt   *regexp.Regexp
	expected []expectation
	seen     []byte
}

// expectation is what the program answers wherever it sees a pattern, which
// it then forgets.
type expectation struct {
	pattern *regexp.Regexp
	answer  string
}

// newReader opens a shell on a gateway.
func newReader(t *testing.T, dir string, rows, cols int) *reader {
	t.Helper()
	p := sitDown(t, dir)
	session, err := p.client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	keys, _ := session.StdinPipe()
	p.out, _ = session.StdoutPipe()
	p.keys, p.session = keys, session
	if err := session.RequestPty("vt100", rows, cols, ssh.TerminalModes{}); err != nil {
		t.Fatal(err)
	}
	if err := session.Shell(); err != nil {
		t.Fatal(err)
	}
	return &reader{person: p}
}

// command types a line, ended by LF, and gives all up to the prompt.
func (r *reader) command(line string) string {
	r.t.Helper()
	if _, err := io.WriteString(r.keys, line); err != nil {
		r.t.Fatal(err)
	}
	r.seen = nil
	r.waits()
	one := make([]byte, 1)
	for {
		if _, err := io.ReadFull(r.out, one); err != nil {
			r.t.Fatalf("%v, after\n%s", err, r.seen)
		}
		r.seen = append(r.seen, one[0])
		// The patterns are about lines: more than the last few need not be looked at.
		from := max(0, len(r.seen)-500)
		from += bytes.IndexByte(r.seen[from:], '\n') + 1
		for _, e := range r.expected {
			if at := e.pattern.FindIndex(r.seen[from:]); at != nil {
				r.seen = append(r.seen[:from+at[0]], r.seen[from+at[1]:]...)
				if _, err := io.WriteString(r.keys, e.answer); err != nil {
					r.t.Fatal(err)
				}
			}
		}
		if r.prompt.Match(r.seen[from:]) {
			return strings.ReplaceAll(string(r.seen), "\r\n", "\n")
		}
	}
}

// withMuch is a gateway whose configuration has a key, tables, and texts that
// look like prompts.
func withMuch(t *testing.T) *house {
	t.Helper()
	key, err := store.NewKey(store.P256)
	if err != nil {
		t.Fatal(err)
	}
	demo, err := store.NewDemo(key, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	dir, _ := preparedWith(t, func(c *store.Config) {
		c.Certificates = []store.Certificate{demo}
		c.AdminAccess.Banner = "gw.test> \nnot me#\n[1]> \n"
		c.Routes = []store.Route{{Domain: "ALL", Hosts: []store.RouteHost{{Host: "127.0.0.1", Port: 9}}}}
		c.BounceProfiles[0].Subject = "Zurück: [x]> "
		l := store.NewListener("IncomingMail", store.Public)
		l.Interface, l.Port = "Management", freeAddr(t).Port()
		c.Listeners = append(c.Listeners, l)
	})
	return openHouse(t, dir)
}

func running(h *house) *store.Config {
	c, _ := h.p.store.Running()
	return c
}

// holds reads a configuration that a program has got, and compares it.
func holds(t *testing.T, text string, want *store.Config) {
	t.Helper()
	at := strings.Index(text, "<?xml")
	end := strings.LastIndex(text, "</config>")
	if at < 0 || end < at {
		t.Fatalf("the configuration is not whole:\n%s", text)
	}
	result, err := configfile.Read(t.Context(), []byte(text[at:end+len("</config>")]), store.Factory(store.FactoryFacts{Hostname: "other.test"}), configfile.ReadOptions{})
	if err != nil || !result.Config.Equal(want) {
		t.Errorf("it is not what runs: %v", err)
	}
}

// TestClients_Oxidized: it answers every question with 3 and the pager with a
// blank, on a terminal of 24 lines, and reads on to its prompt.
func TestClients_Oxidized(t *testing.T) {
	p := withMuch(t)
	r := newReader(t, p.dir, 24, 80)
	r.prompt = regexp.MustCompile(`(?m)^\r*\(?[\w.\- ]+\)?[#>]\s+$`)
	r.expected = []expectation{
		{regexp.MustCompile(`\[\S+\]>\s`), "3\n"},
		{regexp.MustCompile(`-Press Any Key For More-+.*$`), " "},
	}
	r.command("")
	if version := r.command("version\n"); !strings.Contains(version, "Version: "+release) {
		t.Errorf("version:\n%s", version)
	}
	shown := r.command("showconfig\n")
	for _, known := range []string{
		"Choose the passphrase option:", "1. Mask passphrases (Files with masked passphrases cannot be loaded using\n", "loadconfig command)\n",
		"2. Encrypt passphrases\n", "3. Plain passphrases\n",
	} {
		if !strings.Contains(shown, known) {
			t.Errorf("its filter does not find %q", known)
		}
	}
	// What erased the pager's words.
	shown = regexp.MustCompile(`\r {25,26}\r?`).ReplaceAllString(strings.ReplaceAll(shown, "\r"+strings.Repeat(" ", 24)+"\r", ""), "")
	holds(t, shown, running(p))
	if again := r.command("version\n"); !strings.Contains(again, "Serial #: ") {
		t.Errorf("after the configuration:\n%s", again)
	}
	if _, err := io.WriteString(r.keys, "exit\n"); err != nil {
		t.Fatal(err)
	}
	if err := r.session.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
}

// TestClients_Netshot: it takes encrypted passphrases without another question,
// and compares what is masked but for the time.
func TestClients_Netshot(t *testing.T) {
	p := withMuch(t)
	r := newReader(t, p.dir, 0xffffff, 0xffffff)
	oper := regexp.MustCompile(`(?m)^([a-zA-Z0-9-_.]+|\((Cluster|Machine) [a-zA-Z0-9-_.]+\) ?)> $`)
	question := regexp.MustCompile(`(?m)^\[1\]>`)
	ask := func(answer string) string {
		r.prompt = question
		r.command("showconfig\r")
		r.prompt = oper
		return r.command(answer + "\r")
	}
	r.prompt = oper
	r.command("")
	whole := ask("2")
	if strings.Contains(whole, "PRIVATE KEY") || strings.Contains(whole, "More") {
		t.Error("the key is there, or the pager")
	}
	for _, pattern := range []string{
		`<hostname>gw.test</hostname>`, `<interfaces>(?s:.*?)<interface>(?s:.*?)<interface_name>Management</interface_name>`, `<ip>([0-9.]+)</ip>`,
	} {
		if !regexp.MustCompile(pattern).MatchString(whole) {
			t.Errorf("%s is not there", pattern)
		}
	}
	timeless := func(text string) string {
		return regexp.MustCompile(`(?m)^\s*Current Time: .*`).ReplaceAllString(text, "")
	}
	one, two := timeless(ask("1")), timeless(ask("1"))
	if one != two || !strings.Contains(one, "<key>*****</key>") {
		t.Error("what is masked differs from time to time")
	}
	if encrypted := timeless(ask("2")); encrypted != timeless(whole) {
		t.Error("what is encrypted differs from time to time")
	}
}

// TestClients_Scripts: one takes what stands between the quotes of the line
// with xml, another the eighth word of the answer.
func TestClients_Scripts(t *testing.T) {
	p := withMuch(t)
	saved := esa(t, p.dir, "", "saveconfig y 1")
	saved.want(t, 0, "Configuration saved.")
	quoted := regexp.MustCompile(`(?m)^"(/configuration/esa-[0-9A-F]{20}-[0-9A-F]{12}-\d{8}T\d{6}\.xml)"\.$`).FindStringSubmatch(saved.out)
	if quoted == nil || len(regexp.MustCompile(`\S+.xml`).FindAllString(saved.out, -1)) != 1 {
		t.Fatalf("%s", saved.out)
	}
	if words := strings.Fields(saved.out); strings.Trim(words[8], `".`) != quoted[1] && strings.Trim(words[7], `".`) != quoted[1] {
		t.Errorf("%q", words)
	}
	if info, err := os.Stat(filepath.Join(p.dir, quoted[1])); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	esa(t, p.dir, "", "loadconfig "+filepath.Base(quoted[1])).want(t, 1, "Parsing failed.  Aborting.")
	plain := esa(t, p.dir, "", "saveconfig n")
	plain.want(t, 0, ".xml")
	file := filepath.Base(regexp.MustCompile(`"(/configuration/.*)"`).FindStringSubmatch(plain.out)[1])
	esa(t, p.dir, "", "loadconfig "+file).want(t, 0, "No changes detected from current configuration.")
	esa(t, p.dir, "", "sethostname new.test; commit \"renamed\"; loadconfig "+file+"; commit \"back\"").want(t, 0, "make these settings active.", "Changes committed: ")
	if name := running(p).Hostname; name != "gw.test" {
		t.Errorf("the name is %s", name)
	}
}
