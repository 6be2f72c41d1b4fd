package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"esa/commands"
	"esa/shell/attach"
)

// What the clients written for an appliance rely on, line by line as the
// reference has it (clients 1.1): each test is named for its paragraph there.

// prompts are the patterns by which clients know that a command is over.
var prompts = map[string]*regexp.Regexp{
	"oxidized":      regexp.MustCompile(`(?m)^\r*\(?[\w.\- ]+\)?[#>]\s+\z`),
	"netshot":       regexp.MustCompile(`(?m)^([a-zA-Z0-9-_.]+|\((Cluster|Machine) [a-zA-Z0-9-_.]+\) ?)> \z`),
	"commutateurs":  regexp.MustCompile(`> \z`),
	"oxidized SMA":  regexp.MustCompile(`(?m)^\r*([-\w. ]+\.[-\w. ]+\.[-\w. ]+[#>]\s+)\z`),
	"oxidized fork": regexp.MustCompile(`(?m)^[^<][\w*\.]+>\s?\z`),
}

// client is a connection that many sessions share.
func client(t *testing.T, dir string) *ssh.Client {
	t.Helper()
	conn, err := attach.Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(5*limit, func() { conn.Close() }) // for all sessions together
	t.Cleanup(func() { watchdog.Stop(); conn.Close() })
	c, channels, requests, err := ssh.NewClientConn(conn, "console", &ssh.ClientConfig{
		User: "admin", HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return ssh.NewClient(c, channels, requests)
}

// executed is what an exec request gave.
type executed struct {
	status      int
	out, errors string
}

// execute runs a line in a channel of its own.
func execute(t *testing.T, c *ssh.Client, line string, pty bool) executed {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var out, errOut bytes.Buffer
	s.Stdout, s.Stderr = &out, &errOut
	if pty {
		if err := s.RequestPty("vt100", 24, 80, nil); err != nil {
			t.Fatal(err)
		}
	}
	err = s.Run(line)
	var exit *ssh.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%q: %v", line, err)
	}
	status := 0
	if exit != nil {
		status = exit.ExitStatus()
	}
	return executed{status, out.String(), errOut.String()}
}

// atPrompt reads until what is on the screen ends in a prompt, and gives it as
// it was sent.
func (p *person) atPrompt() string {
	p.t.Helper()
	p.waits()
	part := make([]byte, 4096)
	for {
		shown := p.screen.String()
		if strings.HasSuffix(shown, ".test> ") {
			p.screen.Reset()
			return shown
		}
		n, err := p.out.Read(part)
		p.screen.Write(part[:n])
		if n == 0 && err != nil {
			p.t.Fatalf("waiting for the prompt: %v, after\n%s", err, shown)
		}
	}
}

func (p *person) presses(keys string) {
	p.t.Helper()
	if _, err := io.WriteString(p.keys, keys); err != nil {
		p.t.Fatal(err)
	}
}

// resizes tells of a window of so many rows, and returns when that is known at
// the other end.
func (p *person) resizes(rows int) {
	p.t.Helper()
	if err := p.session.WindowChange(rows, 100); err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.session.SendRequest("keepalive@openssh.com", true, nil); err != nil {
		p.t.Fatal(err)
	}
}

// TestClients_Prompt: every pattern finds it, after login, after a command with
// edits pending, and after a listing was left at the pager.
func TestClients_Prompt(t *testing.T) {
	dir, _ := prepared(t)
	openHouse(t, dir)
	p := sitDown(t, dir)
	check := func(when, shown string) {
		t.Helper()
		for name, pattern := range prompts {
			if name != "oxidized SMA" && !pattern.MatchString(shown) {
				t.Errorf("%s: the pattern of %s does not find the prompt in %q", when, name, shown)
			}
		}
	}
	check("login", p.atPrompt())
	p.presses("sethostname a-b.gw.test\r\r")
	p.atPrompt()
	p.presses("version\n")
	check("pending", p.atPrompt())
	p.presses("help\n")
	p.sees("-Press Any Key For More-")
	p.presses("q")
	check("left at the pager", p.atPrompt())
	p.presses("commit x Y\n")
	p.sees("Changes committed")
	if shown := p.atPrompt(); !prompts["oxidized SMA"].MatchString(shown) {
		t.Errorf("three labels: %q", shown)
	}
}

// TestClients_Output: the words that tell failure begin a line, and good output
// has none of them. (NOERROR of DNS is a word of its own.)
func TestClients_Output(t *testing.T) {
	dir, _ := prepared(t)
	openHouse(t, dir)
	c := client(t, dir)
	failures := regexp.MustCompile(`(?m)^Unknown command|does not exist|Invalid arguments|Parsing failed|\bERROR|Aborting|missing feature key`)
	for _, line := range []string{
		"nosuch", "certconfig nosuch", `sethostname a\b`, "logconfig delete nosuch", "tail nosuch", "help nosuch",
	} {
		if r := execute(t, c, line, false); r.status != 1 || !failures.MatchString(r.out) && !strings.Contains(r.out, "invalid escape") {
			t.Errorf("%s: status %d, %q", line, r.status, r.out)
		}
	}
	good := []string{
		"version", "status", "status detail", "who", "whoami", "date", "showchanges", "help", "tophosts active_rcpts",
		"smtproutes print", "destconfig list", "logconfig print", "workqueue status", "grep nosuch mail_logs", "displayalerts", "commitdetail",
		"sethostname other.test; commit \"a comment\" Y", "commit y y", "clear",
	}
	for _, command := range commands.Table() {
		good = append(good, "help "+command.Name)
	}
	for _, line := range good {
		r := execute(t, c, line, false)
		if found := failures.FindString(r.out); found != "" || r.status != 0 {
			t.Errorf("%s: status %d, %q in\n%s", line, r.status, found, r.out)
		}
	}
	if out := execute(t, c, "grep nosuch mail_logs", false).out; out != "No results were found. Use another regular expression(s) to search.\n" {
		t.Errorf("grep: %q", out)
	}
}

// TestClients_Version: the fields that inventories read, with their patterns.
func TestClients_Version(t *testing.T) {
	dir, _ := prepared(t)
	openHouse(t, dir)
	out := execute(t, client(t, dir), "version", false).out
	for _, field := range []string{
		`(?m)^Version: ([0-9.-]+)$`, `(?m)^Model: (.+)$`, `(?m)^Serial #: ([0-9A-Z-]+)$`, `(?m)^CPUs:.* ([0-9]+) allocated$`,
		`(?m)^Memory:.* ([0-9]+) MB allocated$`, `(?m)^BIOS: \S`, `(?m)^Install Date: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$`, `(?m)^Build Date: \S`,
	} {
		if !regexp.MustCompile(field).MatchString(out) {
			t.Errorf("%s does not match\n%s", field, out)
		}
	}
}

// TestClients_Commit: the dialog as scripts drive it.
func TestClients_Commit(t *testing.T) {
	dir, _ := prepared(t)
	openHouse(t, dir)
	p := sitDown(t, dir)
	p.atPrompt()
	p.presses("commit\n")
	if shown := p.atPrompt(); !strings.Contains(shown, "There is no data to commit.\r\n") {
		t.Errorf("nothing to commit: %q", shown)
	}
	p.presses("sethostname new.test\n")
	p.atPrompt()
	p.presses("clear\n")
	p.sees("Are you sure you want to clear all changes since the last commit?")
	p.presses("n\n")
	p.atPrompt()
	p.presses("commit\n")
	p.sees("[]> ")
	p.presses("some words\n")
	p.sees("Do you want to save the current configuration for rollback?")
	p.presses("\n")
	if shown := p.atPrompt(); !regexp.MustCompile(`\r\nChanges committed: \w{3} \w{3} [ \d]\d `).MatchString(shown) || !strings.HasSuffix(shown, "\r\nnew.test> ") {
		t.Errorf("committed: %q", shown)
	}
}

// TestClients_Pager: what it shows at the end of a page, how it is erased, what
// switches it off.
func TestClients_Pager(t *testing.T) {
	dir, _ := prepared(t)
	openHouse(t, dir)
	p := sitDown(t, dir)
	p.atPrompt()
	const echo = 1 // line of the command
	for _, key := range []string{" ", "\n", "x"} {
		p.presses("help\n")
		if page := p.sees("-Press Any Key For More-"); strings.Count(page, "\n") != echo+24-1 {
			t.Errorf("a page of 24 rows has %d lines", strings.Count(page, "\n")-echo)
		}
		if rest := p.screen.String(); rest != "" {
			t.Errorf("behind the pager: %q", rest)
		}
		p.presses(key)
		p.sees("\r" + strings.Repeat(" ", len("-Press Any Key For More-")) + "\r")
		p.presses("q")
		p.atPrompt()
	}
	p.resizes(40)
	p.presses("help\n")
	if page := p.sees("-Press Any Key For More-"); strings.Count(page, "\n") != echo+40-1 {
		t.Errorf("a page of 40 rows has %d lines", strings.Count(page, "\n")-echo)
	}
	p.presses("q")
	p.atPrompt()
	p.presses("setttymode 0 1\n")
	p.atPrompt()
	p.presses("help\n")
	if shown := p.atPrompt(); strings.Contains(shown, "-Press Any Key") {
		t.Errorf("paged after setttymode 0 1: %q", shown)
	}
	p.presses("setttymode 1 0\n")
	p.atPrompt()
	p.resizes(16777215)
	p.presses("help\n")
	if shown := p.atPrompt(); strings.Contains(shown, "-Press Any Key") {
		t.Errorf("paged with 16777215 rows: %q", shown)
	}
}

// TestClients_Session: both line ends are Enter, an LF behind a CR is none; the
// banner has none of the words that login scripts wait for; exit ends with 0.
func TestClients_Session(t *testing.T) {
	dir, _ := prepared(t)
	openHouse(t, dir)
	p := sitDown(t, dir)
	banner := p.atPrompt()
	for _, word := range []string{"denied", "Sorry", "Login failed", "Password:", "Username:", "User:", "Press any key to continue"} {
		if strings.Contains(banner, word) {
			t.Errorf("the banner has %q:\n%s", word, banner)
		}
	}
	if strings.Contains(strings.ReplaceAll(banner, "Last login:", ""), "ogin:") {
		t.Errorf("the banner asks to log in:\n%s", banner)
	}
	if !regexp.MustCompile(`\d\r\n\r\nWelcome to the .*\r\n\r\nNOTE: `).MatchString(banner) {
		t.Errorf("the banner's shape is not that of the appliance:\n%q", banner)
	}
	for _, end := range []string{"\r", "\n", "\r\n"} {
		p.presses("whoami" + end)
		if shown := p.atPrompt(); !strings.HasPrefix(shown, "whoami\r\nUsername: admin\r\n") || strings.Count(shown, ".test> ") != 1 {
			t.Errorf("Enter as %q: %q", end, shown)
		}
	}
	p.presses("exit\n")
	if err := p.session.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
}

// TestClients_ExitWithoutWaiting: a client that leaves with its last line leaves
// nothing behind.
func TestClients_ExitWithoutWaiting(t *testing.T) {
	dir, _ := prepared(t)
	h := openHouse(t, dir)
	p := sitDown(t, dir)
	p.atPrompt()
	p.presses("exit\n")
	p.vanishes()
	h.p.console.wait(t.Context())
	if pendings, err := h.p.store.Pendings(); len(pendings) > 0 || err != nil {
		t.Errorf("kept for the next login: %v, %v", pendings, err)
	}
}

// TestClients_Batch: the rules of the exec line.
func TestClients_Batch(t *testing.T) {
	dir, _ := prepared(t)
	openHouse(t, dir)
	c := client(t, dir)
	const who = "Username: admin\nFull Name: Administrator\nGroups: admin, operators, config, log, guest\n"
	for _, tt := range []struct {
		line   string
		status int
		out    string
	}{
		{"whoami", 0, who},
		{" whoami ; ; whoami;", 0, who + who},
		{`help "whoami"; "whoami"`, 0, execute(t, c, "help whoami", false).out + who},
		{`grep "a;b" mail_logs`, 0, "No results were found. Use another regular expression(s) to search.\n"},
		{`grep "\\\"" mail_logs`, 0, "No results were found. Use another regular expression(s) to search.\n"},
		{`grep "\d" mail_logs; whoami`, 1, "Command contained invalid escape character: \\d\n" + who},
		{"nosuch", 1, "Unknown command or missing feature key: nosuch\n"},
		{"exit; nosuch", 0, ""},
	} {
		for _, pty := range []bool{false, true} {
			want := tt.out
			if pty {
				want = strings.ReplaceAll(want, "\n", "\r\n")
			}
			if got := execute(t, c, tt.line, pty); got.status != tt.status || got.out != want || got.errors != "" {
				t.Errorf("%q, pty %v: %+v, want status %d\n%q", tt.line, pty, got, tt.status, want)
			}
		}
	}
	if got := execute(t, c, "help", true); strings.Contains(got.out, "-Press Any Key") || strings.Count(got.out, "\n") < 30 {
		t.Errorf("an exec line with a terminal of 24 rows is paged: %q", got.out)
	}
}

// TestClients_TypedIntoABatch: SOAR types its password and Enter when an exec
// line with a terminal has shown something. It answers nothing and is not shown.
func TestClients_TypedIntoABatch(t *testing.T) {
	dir, _ := prepared(t)
	h := openHouse(t, dir)
	c := client(t, dir)
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	keys, err1 := s.StdinPipe()
	out, err2 := s.StdoutPipe()
	if err := errors.Join(err1, err2, s.RequestPty("vt100", 24, 80, nil), s.Start("whoami; tail system_logs; sethostname; whoami")); err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, keys: keys, out: out}
	shown := p.sees("\n")
	p.presses("geheim\n")
	shown += p.sees("The gateway has started")
	p.presses("\x03")
	rest, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	shown += p.screen.String() + string(rest)
	var exit *ssh.ExitError
	if err := s.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 1 {
		t.Errorf("it ended with %v", err)
	}
	if strings.Contains(shown, "geheim") || !strings.Contains(shown, "The input ended inside the command") || strings.Count(shown, "Full Name") != 2 {
		t.Errorf("it showed %q", shown)
	}
	h.wantRunning("gw.test", 1)
}

// TestClients_ManyChannels: at once on one connection, each with its output and
// its exit status.
func TestClients_ManyChannels(t *testing.T) {
	dir, _ := prepared(t)
	openHouse(t, dir)
	c := client(t, dir)
	var running sync.WaitGroup
	for n := range 10 {
		running.Go(func() {
			name := fmt.Sprintf("nosuch%d", n)
			if got := execute(t, c, name+"; whoami", false); got.status != 1 || !strings.HasPrefix(got.out, "Unknown command or missing feature key: "+name+"\nUsername: admin\n") {
				t.Errorf("%s: %+v", name, got)
			}
			if got := execute(t, c, "version", false); got.status != 0 || !strings.HasPrefix(got.out, "Current Version\n") {
				t.Errorf("version: %+v", got)
			}
		})
	}
	running.Wait()
}
