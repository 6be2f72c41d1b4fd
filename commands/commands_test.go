package commands

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"esa/shell"
	"esa/shell/shelltest"
	"esa/store"
)

// TestTable holds every command to what help makes of it, and to having
// transcripts.
func TestTable(t *testing.T) {
	var names []string
	for _, c := range Table() {
		names = append(names, c.Name)
		if len(c.Short) > 60 || !strings.HasSuffix(c.Short, ".") || c.Short[:1] != strings.ToUpper(c.Short[:1]) {
			t.Errorf("%s: Short is no sentence of at most 60 characters: %q", c.Name, c.Short)
		}
		for line := range strings.Lines(c.Long) {
			if len(strings.TrimRight(line, "\n")) > 80 {
				t.Errorf("%s: a line of Long is wider than a terminal: %q", c.Name, line)
			}
		}
		if c.Dialog == nil && len(c.Forms) == 0 {
			t.Errorf("%s can do nothing", c.Name)
		}
		for _, f := range c.Forms {
			if strings.Fields(f.Usage)[0] != c.Name || f.Run == nil {
				t.Errorf("%s has a form %q", c.Name, f.Usage)
			}
		}
		if found, _ := filepath.Glob(filepath.Join("testdata", c.Name, "*.txt")); len(found) == 0 {
			t.Errorf("%s has no transcripts", c.Name)
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("the order of help is not that of the alphabet: %v", names)
	}
}

// TestTranscriptFolders finds transcripts of commands that do not exist.
func TestTranscriptFolders(t *testing.T) {
	folders, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		if folder.Name() != "session" && shell.Lookup(Table(), folder.Name()) == nil {
			t.Errorf("testdata/%s is for no command", folder.Name())
		}
	}
}

// TestRandomAnswers types anything into every dialog: none may panic, one that
// is aborted changes nothing, and what one accepts can be committed.
func TestRandomAnswers(t *testing.T) {
	for _, c := range Table() {
		if c.Dialog == nil {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			w, env := randomWorld(t)
			for seed := range uint64(150 / thinning) {
				probe(w, env, &monkey{r: rand.New(rand.NewPCG(1, seed))}, c.Dialog)
			}
		})
	}
}

// TestRandomWords does the same to one-line forms.
func TestRandomWords(t *testing.T) {
	for _, c := range Table() {
		t.Run(c.Name, func(t *testing.T) {
			w, env := randomWorld(t)
			for seed := range uint64(40 / thinning * len(c.Forms)) {
				m := &monkey{r: rand.New(rand.NewPCG(2, seed))}
				line := m.line(c.Forms[seed%uint64(len(c.Forms))].Usage)
				m.typed = append(m.typed, line)
				probe(w, env, m, func(d *Dialog, env Env) error {
					s := w.shell(env, shelltest.NewScreen("^C"))
					s.End = nil
					if s.Exec(d.Context(), line) != 0 {
						return errors.New("the form failed")
					}
					return nil
				})
			}
		})
	}
}

// probe runs a dialog with a monkey's answers.
func probe(w *world, env Env, m *monkey, dialog func(*Dialog, Env) error) {
	t := w.t
	t.Helper()
	before := env.Config().Clone()
	var aborted error
	m.Screen = shelltest.NewScreen()
	s := w.shell(env, m)
	s.Commands = []Command{{Name: "probe", Dialog: func(d *Dialog, env Env) error {
		err := dialog(d, env)
		aborted = cmp.Or(err, d.Err())
		return err
	}}}
	defer func() {
		if p := recover(); p != nil {
			t.Fatalf("panic: %v\n%s\ntyped %q\n%s", p, debug.Stack(), m.typed, m)
		}
	}()
	_ = s.Interactive(t.Context())
	if after := env.Config(); aborted != nil && !errors.Is(aborted, shell.ErrExit) && !after.Equal(before) {
		t.Fatalf("%v, but pending:\n%s\ntyped %q\n%s", aborted, store.FormatChanges(store.Diff(before, after)), m.typed, m)
	}
	// The times of bounce profiles, which inherit, are compared at commit only.
	apart := func(p store.Problem) bool { return strings.HasPrefix(p.Fix, "bounceconfig") }
	if problems := slices.DeleteFunc(env.Config().Validate(), apart); len(problems) > 0 {
		t.Fatalf("this cannot be committed: %v\ntyped %q\n%s", problems, m.typed, m)
	}
}

// randomWorld is one in which nothing waits, with something to list.
func randomWorld(t *testing.T) (*world, Env) {
	w := newWorld(t)
	w.logs.ended = true
	w.files["routes"] = []byte("example.com: mx.example.net\nALL: USEDNS\n")
	env := w.env("admin", false)
	w.run(env, "sethostname two.example.com", "commit text", "smtproutes import routes", "interfaceconfig new Two auto mx.example.com --ip=127.0.0.2")
	return w, env
}

// monkey is a console at which anything is typed: mostly something that fits
// what is shown, else any word, now and then Ctrl-C or the end of input. After
// enough of it, it types Enter until it is out, or the input ends.
type monkey struct {
	*shelltest.Screen
	r     *rand.Rand
	began bool
	seen  int // of what is shown
	typed []string
}

func (m *monkey) ReadLine(_ context.Context, p shell.Prompt) (string, error) {
	atPrompt := p.Complete != nil
	switch {
	case atPrompt && !m.began:
		m.began = true
		return "probe", nil
	case atPrompt, len(m.typed) > 100:
		return "", io.EOF
	}
	shown := m.String()[m.seen:]
	m.seen += len(shown)
	typed := m.answer(shown, p.Text)
	m.typed = append(m.typed, typed)
	switch typed {
	case "^C":
		return "", shell.ErrInterrupt
	case "^D":
		return "", io.EOF
	}
	return typed, nil
}

// fitting finds the words of a menu and the numbers of a list.
var fitting = regexp.MustCompile(`(?m)^- ([A-Z]+) - |^(\d+)\. `)

// answer chooses what to type.
func (m *monkey) answer(shown, prompt string) string {
	fits := fitting.FindAllStringSubmatch(shown, -1)
	switch n := m.r.IntN(100); {
	case len(m.typed) > 40:
		return ""
	case n == 0:
		return "^C"
	case n == 1:
		return "^D"
	case n < 20:
		return ""
	case n < 80 && len(fits) > 0:
		fit := fits[m.r.IntN(len(fits))]
		return fit[1] + fit[2]
	case n < 90 && strings.HasSuffix(prompt, "? [Y]> "), n < 90 && strings.HasSuffix(prompt, "? [N]> "):
		return []string{"y", "n"}[n%2]
	}
	return m.word()
}

// word is one of which many fit somewhere.
func (m *monkey) word() string {
	words := strings.Split("1|2|3|0|-1|7|25|26|60|100|300|3600|99999999999999999999|y|n|yes|default|"+
		"Management|management|Public|OutgoingMail|Default|mail_logs|Two|x|ALL|USEDNS|/dev/null|auto|"+
		"192.0.2.10|127.0.0.2|127.0.0.3/8|255.255.255.0|::1|2001:db8::10|192.0.2.53|192.0.2.54:5353|"+
		"example.com|.example.com|mx.example.net, [mx2.example.net]:26/pri=3|postmaster@|a@example.com|"+
		"routes|broken|full|../x|1k|100M|a b|"+strings.Repeat("x", 300)+"|é\u0301\u202e|%s%n|\"|\\", "|")
	return words[m.r.IntN(len(words))]
}

// line fills a usage with words.
func (m *monkey) line(usage string) string {
	line := ""
	for token := range strings.FieldsSeq(usage) {
		key, _, isKey := strings.Cut(strings.Trim(token, "[]."), "=")
		switch {
		case isKey && m.r.IntN(2) == 0:
			line += shell.Quote(key+"="+m.word()) + " "
		case isKey:
		case token == strings.ToLower(token) && !strings.Contains(token, "["):
			choices := strings.Split(token, "|")
			line += choices[m.r.IntN(len(choices))] + " "
		default:
			line += shell.Quote(m.word()) + " "
		}
	}
	return line
}

// TestLimits fills every list and asks for one more, in both ways.
func TestLimits(t *testing.T) {
	servers := func(n int) []netip.AddrPort {
		all := make([]netip.AddrPort, n)
		for i := range all {
			all[i] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 53)
		}
		return all
	}
	for _, tt := range []struct {
		name  string
		fill  func(*store.Config)
		lines []string
		want  string
	}{
		{"interfaces", func(c *store.Config) {
			c.Interfaces = make([]store.Interface, store.MaxInterfaces)
		}, []string{"interfaceconfig", "new", "", "interfaceconfig new A auto mx.example.com --ip=192.0.2.10"}, "You are only allowed to configure a maximum of 256 interfaces."},
		{"routes", func(c *store.Config) {
			c.Routes = make([]store.Route, store.MaxRoutes)
		}, []string{"smtproutes", "new", "", "smtproutes new example.com USEDNS"}, "There is a maximum of 40000 routes."},
		{"DNS servers", func(c *store.Config) {
			c.DNS.Servers = nil
			for _, s := range servers(store.MaxDNSServers) {
				c.DNS.Servers = append(c.DNS.Servers, store.DNSServer{Addr: s})
			}
		}, []string{"dnsconfig", "new", "1", "", "dnsconfig new 192.0.2.99"}, "There is a maximum of 20 DNS servers."},
		{"alternate domains", func(c *store.Config) {
			for i := range store.MaxAlternates {
				c.DNS.Alternates = append(c.DNS.Alternates, store.AlternateDNS{Domain: fmt.Sprintf("d%d.example", i), Servers: servers(1)})
			}
		}, []string{"dnsconfig", "new", "2", "new.example", "192.0.2.1", "", "dnsconfig alternate new.example 192.0.2.1"}, "There is a maximum of 1000 alternate domains."},
		{"alternate servers", func(c *store.Config) {
			c.DNS.Alternates = []store.AlternateDNS{{Domain: "a.example", Servers: servers(store.MaxDNSServers)}}
		}, []string{"dnsconfig", "new", "2", "a.example", "192.0.2.1", "^C", "dnsconfig alternate a.example 192.0.2.1"}, "There is a maximum of 20 DNS servers for a domain."},
		{"listeners", func(c *store.Config) {
			c.Listeners = make([]store.Listener, store.MaxListeners)
		}, []string{"listenerconfig", "new", "", "listenerconfig new A public Management smtp"}, "There is a maximum of 100 listeners."},
		{"bounce profiles", func(c *store.Config) {
			for len(c.BounceProfiles) < store.MaxProfiles {
				c.BounceProfiles = append(c.BounceProfiles, store.BounceProfile{})
			}
		}, []string{"bounceconfig", "new", "", "bounceconfig new A"}, "There is a maximum of 100 bounce profiles."},
		{"logs", func(c *store.Config) {
			c.Logs = make([]store.LogSubscription, store.MaxLogs)
		}, []string{"logconfig", "new", "", "logconfig new A"}, "There is a maximum of 100 log subscriptions."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			env := w.env("admin", false)
			if err := env.Edit(func(c *store.Config) error { tt.fill(c); return nil }); err != nil {
				t.Fatal(err)
			}
			full := env.Config().Clone()
			screen := w.run(env, tt.lines...)
			if strings.Count(screen, tt.want) != 2 {
				t.Errorf("dialog and form do not both say %q:\n%s", tt.want, screen[max(0, len(screen)-3000):])
			}
			if !env.Config().Equal(full) {
				t.Error("something was added")
			}
		})
	}
}

// blind is a system that cannot be asked for its addresses.
type blind struct{ machine }

func (blind) Addresses() ([]Address, error) { return nil, errors.New("no netlink") }

func TestInterfaceWithoutSystem(t *testing.T) {
	env := newWorld(t).env("admin", false)
	env.Machine = blind{}
	i := store.Interface{IPv4: netip.MustParsePrefix("192.0.2.10/24")}
	if got := deviceOf(env, i); got != "-" {
		t.Errorf("device %q", got)
	}
	for n, want := range []int{24, 64} {
		addr := []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")}[n]
		if got := families()[n].bits(env, netip.Prefix{}, addr); got != want {
			t.Errorf("%v: %d bits, want %d", addr, got, want)
		}
	}
	if got := deviceOf(env, store.Interface{}); got != "-" {
		t.Errorf("device %q of nothing", got)
	}
}

func TestJoinHosts(t *testing.T) {
	for _, tt := range []struct {
		words []string
		want  string
	}{
		{[]string{"a", "b"}, "a,b"},
		{[]string{"a,", ",b", ",", "c, d"}, "a,b,c, d"},
		{[]string{",", ""}, ""},
	} {
		if got := joinHosts(tt.words); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.words, got, tt.want)
		}
	}
}

func TestFileFailed(t *testing.T) {
	refusal := shell.Refusedf("No.")
	for _, tt := range []struct {
		err  error
		want string
	}{
		{refusal, "No."},
		{fmt.Errorf("writing: %w", syscall.ENOSPC), "Error.\nConfiguration filesystem is full."},
		{&fs.PathError{Op: "open", Path: "/secret/path", Err: fs.ErrPermission}, "Error.\nUnable to perform operation due to an I/O error: permission denied."},
	} {
		if got := fileFailed("Error.", tt.err); got.Error() != tt.want {
			t.Errorf("%v: %q, want %q", tt.err, got, tt.want)
		}
	}
}

// TestRefused keeps what wraps a word of the store whole.
func TestRefused(t *testing.T) {
	_, value := store.ParsePort("x")
	joined := errors.Join(errors.New("line 1"), value)
	if got := refused(value); errors.Is(got, joined) || got.Error() != value.Error() {
		t.Errorf("%v", got)
	}
	if got := refused(joined); got != joined {
		t.Errorf("%v, want %v", got, joined)
	}
	if refused(nil) != nil {
		t.Error("an error of nothing")
	}
}

// TestSettings gives keys in their order and stops at the first that fails.
func TestSettings(t *testing.T) {
	var seen []string
	err := settings([]string{"b=2", "A=1=1", "c=3"}, func(key, value string) error {
		seen = append(seen, key+":"+value)
		if key == "b" {
			return errors.New("stop")
		}
		return nil
	})
	if err == nil || !slices.Equal(seen, []string{"a:1=1", "b:2"}) {
		t.Errorf("%v, %q", err, seen)
	}
}

// TestInterruptedCommit waits for a gateway that is busy until Ctrl-C.
func TestInterruptedCommit(t *testing.T) {
	w := newWorld(t)
	env := w.env("admin", true)
	ctx, cancel := context.WithCancelCause(t.Context())
	env.Gateway = waiting{w.gateway, func() { cancel(shell.ErrInterrupt) }}
	screen := shelltest.NewScreen("sethostname mx.example.com", "commit text")
	_ = w.shell(env, screen).Interactive(ctx)
	if _, revision := w.store.Running(); revision != 1 || !env.Session.Dirty() {
		t.Errorf("revision %d, dirty %v\n%s", revision, env.Session.Dirty(), screen)
	}
}

// waiting is a gateway whose turn never comes.
type waiting struct {
	Gateway
	interrupt func()
}

func (g waiting) Check(ctx context.Context, _ store.CommitRequest) (store.CommitReport, error) {
	g.interrupt()
	<-ctx.Done()
	return store.CommitReport{}, fmt.Errorf("waiting for another commit: %w", ctx.Err())
}

// TestRevisionTable sets a comment of several lines on one.
func TestRevisionTable(t *testing.T) {
	at := time.Date(2014, time.May, 23, 6, 53, 43, 0, time.UTC)
	// As the reference has it (2.4).
	want := `   Committed On                User                Description
--------------------------------------------------------------------------------
1. Fri May 23 06:53:43 2014    admin               new user
2. Fri May 23 06:53:43 2014    admin
3. Fri May 23 06:53:43 2014    admin               two lines
`
	got := revisionHeading() + "\n" + revisionRows([]store.Revision{{Time: at, User: "admin", Comment: "new user"}, {Time: at, User: "admin"}, {Time: at, User: "admin", Comment: "two\n\tlines"}}, 0)
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
