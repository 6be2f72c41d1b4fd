package commands

// How commands are tested
//
// Transcripts (see package shelltest) are run by TestTranscripts:
//
//	testdata/COMMAND/*.txt        sessions with a terminal
//	testdata/COMMAND/pages/*.txt  sessions with a terminal of ten rows
//	testdata/COMMAND/plain/*.txt  batches: no terminal, nobody is asked twice;
//	                              end them with ^D, the exit status is shown then
//
// Every transcript has a world of its own (newWorld): a store with the factory
// configuration for mail.example.com, the DNS server 192.0.2.53 and a demo
// certificate, the operators bob and carol beside admin, a machine
// with the addresses of machine.Addresses, a clock that stands still and moves
// on a minute with every commit, files and logs in memory. So times are
// compared as they are. A transcript that needs another beginning types the
// commands that lead there first.
//
// What no operator can do, the command test does (testCommand):
//
//	test file NAME LINE...        puts a file into configuration/
//	test show NAME                shows it
//	test as USER LINE             runs a line of commands in another session, which stays open
//	test lose USER                loses that session: its edits are kept for USER
//	test gateway check|commit HOW the next Check or Commit fails: see staged
//	test mail HOW                 the next act on mail goes so: see fakeMail
//	test store closed             the database fails from here on
//	test alerts none              no alert is kept
//	test logins                   some sessions are over
//	test today DAY                the clock moves on to a day
//	test lists offline            revocation lists cannot be fetched: the gateway does not run
//	test trial over               the gateway takes a commit on trial back
//	test clock MINUTES            time passes
//	test archives offline         the gateway does not run
//	test welcome                  what is shown and asked at login
//	test pki FILE NAME...         puts certificates of testdata/certconfig/pki into one file
//	test p12 FILE PASSPHRASE NAME...
//	                              puts a key and certificates from there into a PKCS#12 file
//
// The keys that the gateway makes are those of that folder: key_2048.pem,
// key_4096.pem and key_p256.pem. leaf.pem is for the last; it was issued by
// intermediate.pem, and that by root.pem. The system trusts system.pem and
// second_system.pem.
//
// A new transcript is a file of prompts with what is typed behind them;
//
//	go test ./commands -run 'TestTranscripts/COMMAND' -update
//
// writes the rest. Read it before it is kept.
//
// Other tests take newWorld and run, which types lines and gives the screen.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"esa/mta/tlsconf"
	"esa/shell"
	"esa/shell/shelltest"
	"esa/store"
)

// TestMain puts the tests where the zone is UTC: times are compared as shown.
func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Exit(m.Run())
}

// masks hide what differs from machine to machine.
func masks() []shelltest.Mask {
	return []shelltest.Mask{
		{Pattern: regexp.MustCompile(`CPUs: \d+ expected, \d+ allocated`), Text: "CPUs: N expected, N allocated"},
		{Pattern: regexp.MustCompile(`(?s)(-----BEGIN CERTIFICATE REQUEST-----\n).*?(\n-----END)`), Text: "${1}...$2"},
		{Pattern: regexp.MustCompile(`(?s)(<(certificate|key)>)\n-----.*?</`), Text: "$1...</"},
		{Pattern: regexp.MustCompile(`\$esa1\$[^<]*`), Text: "$$esa1..."},
		{Pattern: regexp.MustCompile(`Number of CPUs: \d+`), Text: "Number of CPUs: N"},
		{Pattern: regexp.MustCompile(`SHA-256: [0-9a-f]{64}`), Text: "SHA-256: ..."},
		{Pattern: regexp.MustCompile(`SHA-256 [0-9a-f]{16}`), Text: "SHA-256 ..."},
	}
}

func TestTranscripts(t *testing.T) {
	folders, err := filepath.Glob("testdata/*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			if found, _ := filepath.Glob(folder + "/*.txt"); len(found) > 0 {
				shelltest.Runner{Masks: masks()}.Dir(t, folder, interactive)
			}
			if found, _ := filepath.Glob(folder + "/pages/*.txt"); len(found) > 0 {
				shelltest.Runner{Masks: masks(), Rows: 10}.Dir(t, folder+"/pages", interactive)
			}
			if found, _ := filepath.Glob(folder + "/plain/*.txt"); len(found) > 0 {
				shelltest.Runner{Masks: masks(), Plain: true}.Dir(t, folder+"/plain", batch)
			}
		})
	}
}

func interactive(t *testing.T, console shell.Console) {
	w := newWorld(t)
	s := &secretive{Console: console}
	sh := w.shell(w.env("admin", true), s)
	sh.Heard = s.hear
	_ = sh.Interactive(t.Context())
	s.check(t)
}

func batch(t *testing.T, console shell.Console) {
	w := newWorld(t)
	env := w.env("admin", false)
	status := w.shell(env, console).Batch(t.Context(), false)
	fmt.Fprintf(console, "Exit status %d.\n", status)
	if env.Session.Dirty() {
		t.Error("the batch left uncommitted changes")
	}
}

// world is all that commands see.
type world struct {
	t       testing.TB
	store   *store.Store
	gateway *fakeGateway
	look    *fakeLook
	mail    *fakeMail
	service *fakeService
	logs    *fakeLogs
	files   fakeFiles
	time    *clock
	others  map[string]Env // open sessions of other operators
	logins  []Login
	random  io.Reader
}

func newWorld(t testing.TB) *world {
	t.Helper()
	now := &clock{now: time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC)}
	demo := newDemo(t, now.Now())
	s, err := store.Open(filepath.Join(t.TempDir(), "config.db"), store.Options{Clock: now.Now, Factory: func() *store.Config {
		config := store.Factory(store.FactoryFacts{Hostname: "mail.example.com", DNS: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}, Demo: demo})
		for _, name := range []string{"bob", "carol"} {
			config.Users = append(config.Users, store.User{Name: name, FullName: strings.ToUpper(name[:1]) + name[1:], Role: store.Operators})
		}
		return config
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	service := &fakeService{}
	return &world{
		t: t, store: s, gateway: &fakeGateway{store: s, clock: now, service: service}, mail: newMail(now), service: service, look: &fakeLook{clock: now}, logs: newLogs(),
		files: fakeFiles{}, time: now, others: map[string]Env{}, random: rand.NewChaCha8([32]byte{}),
	}
}

// env is the environment of a new session.
func (w *world) env(user string, person bool) Env {
	who := store.Who{User: user, Source: "192.0.2.9", Method: "batch"}
	if person {
		who.Method, who.Interactive = "cli", true
	}
	return Env{
		Who: who, Started: w.time.Now(), Idle: 30 * time.Minute, Session: w.store.NewSession(who), Store: w.store,
		Gateway: w.gateway, Look: w.look, TLS: fakeTLS{}, Revocation: w.gateway, Archives: w.gateway, DNSSEC: fakeDNSSEC{}, DANE: fakeDANE{w.time.Now}, Mail: w.mail, Service: w.service, Wait: w.look.wait, Logs: w.logs, Machine: machine{}, Files: GuardFiles(w.files, w.store, user),
		Ciphers: tlsconf.Catalogue{}, Clock: w.time.Now, NewKey: w.newKey, SSH: fakeSSH{}, FileKey: func() ([]byte, error) { return []byte("the key of the gateway in the tests"), nil },
		Sessions: func() []SessionInfo {
			return []SessionInfo{{User: user, Source: who.Source, Method: who.Method, Started: w.time.Now().Add(-time.Hour), Idle: 3 * time.Second}}
		},
		Logins: func() []Login { return w.logins }, Random: w.random,
		Version: Version{
			Product: "esa mail gateway", Model: "esa", Version: "0.1.0-001", Build: "test",
			Built:     time.Date(2025, time.December, 30, 0, 0, 0, 0, time.UTC),
			Installed: time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC), Serial: "0123456789AB-CDEF012", MemoryMB: 2048,
		},
	}
}

// shell is a session of env on console.
func (w *world) shell(env Env, console shell.Console) *shell.Shell[Env] {
	return &shell.Shell[Env]{
		Commands: append(Table(), w.testCommand()), Env: env, Console: console, Panics: true,
		May: func(c *Command) error {
			if shell.Lookup(Table(), c.Name) == nil {
				return nil // of the test
			}
			return env.May(c)
		},
		Prompt: func() string {
			running, _ := w.store.Running()
			return running.Hostname
		},
		End: Farewell,
	}
}

// run types lines into an interactive session and gives its screen.
func (w *world) run(env Env, lines ...string) string {
	screen := shelltest.NewScreen(lines...)
	_ = w.shell(env, screen).Interactive(w.t.Context())
	return screen.String()
}

// testCommand does what operators cannot.
func (w *world) testCommand() Command {
	return Command{Name: "test", Short: "Prepare what a test needs.", Forms: []Form{
		{Usage: "test file NAME [LINE...]", Run: func(_ *Dialog, _ Env, args []string) error {
			w.files[args[0]] = []byte(strings.Join(args[1:], "\n") + "\n")
			return nil
		}},
		{Usage: "test show NAME", Run: func(d *Dialog, _ Env, args []string) error {
			d.Printf("%s", w.files[args[0]])
			return d.Err()
		}},
		{Usage: "test as USER LINE", Run: w.as},
		{Usage: "test lose USER", Run: func(_ *Dialog, _ Env, args []string) error {
			lost := w.others[args[0]]
			delete(w.others, args[0])
			return lost.Session.Close(true)
		}},
		{Usage: "test gateway check|commit HOW", Run: func(_ *Dialog, _ Env, args []string) error {
			w.gateway.stage(args[0], args[1])
			return nil
		}},
		{Usage: "test mail HOW", Run: func(_ *Dialog, _ Env, args []string) error {
			w.mail.how = args[0]
			return nil
		}},
		{Usage: "test store closed", Run: func(*Dialog, Env, []string) error { return w.store.Close() }},
		{Usage: "test alerts none", Run: func(*Dialog, Env, []string) error {
			w.gateway.noAlerts = true
			return nil
		}},
		{Usage: "test logins", Run: func(*Dialog, Env, []string) error {
			w.logins = someLogins(w.time.Now())
			return nil
		}},
		{Usage: "test today YEAR-MONTH-DAY", Run: func(_ *Dialog, _ Env, args []string) error {
			day, err := time.Parse(time.DateOnly, args[0])
			w.time.advance(day.Sub(w.time.Now()))
			return err
		}},
		{Usage: "test lists offline", Run: func(*Dialog, Env, []string) error {
			w.gateway.noLists = true
			return nil
		}},
		{Usage: "test archives offline", Run: func(*Dialog, Env, []string) error {
			w.gateway.noArchives = true
			return nil
		}},
		{Usage: "test pki FILE NAME...", Run: w.pki},
		{Usage: "test p12 FILE PASSPHRASE KEY NAME...", Run: w.p12},
		{Usage: "test trial over", Run: func(d *Dialog, _ Env, _ []string) error {
			_, err := w.gateway.RevertCommit(d.Context(), store.Who{User: "system", Method: "revert"})
			return err
		}},
		{Usage: "test clock MINUTES", Run: func(_ *Dialog, _ Env, args []string) error {
			minutes, err := strconv.Atoi(args[0])
			w.time.advance(time.Duration(minutes) * time.Minute)
			return err
		}},
		{Usage: "test welcome", Run: func(d *Dialog, env Env, _ []string) error { return Welcome(d, env.LoggedIn()) }},
	}}
}

// as runs a line in the session of another operator.
func (w *world) as(d *Dialog, _ Env, args []string) error {
	env, open := w.others[args[0]]
	if !open {
		env = w.env(args[0], true).LoggedIn()
		w.others[args[0]] = env
	}
	screen := shelltest.NewScreen()
	screen.Plain = true
	other := w.shell(env, screen)
	other.End = nil
	other.Exec(d.Context(), args[1])
	d.Printf("%s", screen)
	return d.Err()
}

// someLogins is a history of sessions.
func someLogins(now time.Time) []Login {
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	return []Login{
		{User: "admin", Source: "192.0.2.9", Method: "cli", In: ago(15 * time.Minute)},
		{User: "bob", Source: "console", Method: "batch", In: ago(50 * time.Minute), Out: ago(50*time.Minute - 3*time.Second)},
		{User: "carol", Source: "2001:db8:1234:5678:9abc:def0:1234:5678", Method: "cli", In: ago(5 * time.Hour), Unknown: true},
		{User: "admin", Source: "192.0.2.9", Method: "cli", In: ago(60 * time.Hour), Out: ago(8 * time.Hour)},
	}
}

// clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

// fakeGateway commits without running anything.
type fakeGateway struct {
	store       *store.Store
	clock       *clock
	service     *fakeService
	checkFails  error // what the next Check ends with
	commitFails error
	noAlerts    bool
	noLists     bool // offline
	noArchives  bool // offline, and nothing copied
}

// stage makes the next check or commit fail.
func (g *fakeGateway) stage(step, how string) {
	err := staged(how, g.clock.Now())
	if step == "check" {
		g.checkFails = err
	} else {
		g.commitFails = err
	}
}

// staged gives each error that a gateway may fail with.
func staged(how string, now time.Time) error {
	switch how {
	case "problems":
		return &store.CheckError{Problems: []store.Problem{
			{Place: `listener "OutgoingMail"`, Text: "Binding 127.0.0.1:2525: address already in use.", Fix: "listenerconfig -> EDIT -> INTERFACE"},
			{Place: `interface "Management"`, Text: "The address 192.0.2.10 is not on this machine.", Fix: "interfaceconfig -> EDIT"},
		}}
	case "busy":
		return &store.BusyError{Who: store.Who{User: "bob", Source: "192.0.2.99"}, Since: now.Add(-time.Minute)}
	case "ask":
		return &store.AskError{Questions: []string{`listener "OutgoingMail" 127.0.0.1:2525 relays for ALL`}}
	case "disk":
		return fmt.Errorf("saving the configuration, nothing was changed: %w", errors.New("no space left on device"))
	case "moved":
		return fmt.Errorf("saving the configuration, nothing was changed: %w", store.ErrMoved)
	}
	panic("there is no such failure: " + how)
}

func (g *fakeGateway) Check(_ context.Context, r store.CommitRequest) (store.CommitReport, error) {
	if err := g.checkFails; err != nil {
		g.checkFails = nil
		return store.CommitReport{}, err
	}
	_, report, err := g.prepare(r)
	return report, err
}

func (g *fakeGateway) Commit(_ context.Context, r store.CommitRequest) (store.CommitReport, error) {
	if err := g.commitFails; err != nil {
		g.commitFails = nil
		return store.CommitReport{}, err
	}
	merged, report, err := g.prepare(r)
	if err != nil {
		return report, err
	}
	if len(report.Questions) > 0 && !r.Force {
		return report, &store.AskError{Questions: report.Questions}
	}
	g.clock.advance(time.Minute)
	before, _ := g.store.Running()
	report.Revision, err = g.store.Save(store.Commit{Session: r.Session, Merged: merged, Comment: r.Comment, Result: "committed", Confirm: r.Confirm})
	for _, server := range merged.Config.DNS.Servers {
		if !slices.Contains(before.DNS.Servers, server) {
			report.Notes = append(report.Notes, g.ProbeDNS(context.Background(), server.Addr))
		}
	}
	return report, err
}

func (g *fakeGateway) prepare(r store.CommitRequest) (store.Merged, store.CommitReport, error) {
	var report store.CommitReport
	if err := g.store.CheckTurn(r.Session); err != nil {
		return store.Merged{}, report, err
	}
	merged, err := r.Session.Merge()
	if err != nil {
		return merged, report, err
	}
	running, _ := g.store.Running()
	if report.Questions, err = r.Review(running, merged.Config); err != nil {
		return merged, report, err
	}
	report.Changes = store.Diff(running, merged.Config)
	system, _ := machine{}.Authorities()
	report.Warnings = merged.Config.Warnings(g.clock.Now(), system)
	if problems := merged.Config.Validate(); len(problems) > 0 {
		return merged, report, &store.CheckError{Problems: problems}
	}
	return merged, report, nil
}

func (g *fakeGateway) ConfirmCommit(context.Context, store.Who) (store.Confirmation, error) {
	return g.store.Confirm()
}

// RevertCommit saves what the gateway would save.
func (g *fakeGateway) RevertCommit(_ context.Context, who store.Who) (store.CommitReport, error) {
	trial, ok := g.store.Awaiting()
	if !ok {
		return store.CommitReport{}, store.ErrNotAwaited
	}
	before, err := g.store.Revision(trial.Return)
	if err != nil {
		return store.CommitReport{}, err
	}
	who.Interactive = false
	session := g.store.NewSession(who)
	defer session.Close(false)
	if err := session.Load(before.Config); err != nil {
		return store.CommitReport{}, err
	}
	merged, err := session.Merge()
	if err != nil {
		return store.CommitReport{}, err
	}
	r, err := g.store.Save(store.Commit{Session: session, Merged: merged, Return: true, Comment: "Back"})
	return store.CommitReport{Revision: r}, err
}

func (g *fakeGateway) Status() Status {
	now := g.clock.Now()
	return Status{
		At: now, Since: now.Add(-25*time.Hour - 2*time.Minute - 3*time.Second), State: "Online",
		OldestMID: 17, Oldest: now.Add(-90 * time.Second), MID: 1234567, ICID: 89012, DCID: 3456,
		Counters:  map[string]Counter{"inj_msgs": {12, 1234, 1234567}, "inj_recips": {15, 2345, 2345678}},
		Rates:     map[string]Rate{"inj_msgs": {6000, 1200, 400}, "soft_bounced_evts": {0, 12, 1234567}},
		Suspended: g.service.now,
		System: System{
			RAM: Percent{true, 5}, TotalCPU: Percent{true, 12}, CPU: Percent{true, 10}, DiskIO: Percent{true, 0},
			LogUsed: Percent{true, 21}, LogFree: 388 << 30,
		},
		Inbound: 2, Outbound: 3, Active: 4567, Unattempted: 4000, Attempted: 567, Destinations: 12, KBUsed: 890, KBFree: 12345678,
	}
}

// MailHosts has the mail of every domain go to mx.example.com.
func (g *fakeGateway) MailHosts(_ context.Context, c *store.Config) []store.Verdict {
	var found []store.MailHosts
	for _, domain := range c.MailDomains() {
		found = append(found, store.MailHosts{Domain: domain, Hosts: []string{"mx.example.com"}})
	}
	return c.MailHostVerdicts(found)
}

// PublishedTLSA is as the profile's name says.
func (g *fakeGateway) PublishedTLSA(_ context.Context, c *store.Config) []store.PublishedTLSA {
	var found []store.PublishedTLSA
	for _, s := range c.TLSAServices() {
		p := store.PublishedTLSA{TLSAService: s, State: store.TLSANone}
		switch s.Certificate {
		case "fits":
			p.State, p.Published = store.TLSAFits, []string{s.Records[0].String()}
		case "broken":
			p.State, p.Published = store.TLSABroken, []string{"3 1 1 00"}
		case "silent":
			p.State, p.Why = store.TLSAUnknown, "timeout asking 192.0.2.53"
		}
		found = append(found, p)
	}
	return found
}

// Alerts gives two, unless there are none yet.
func (g *fakeGateway) Alerts() ([]Alert, error) {
	if g.noAlerts {
		return nil, nil
	}
	now := g.clock.Now()
	return []Alert{
		{At: now.Add(-time.Minute), Severity: "Warning", Text: "A required TLS connection to example.net failed.\nHost: mx.example.net (192.0.2.25 port 25)"},
		{At: now.Add(-26 * time.Hour), Severity: "Critical", Text: "The listener \"IncomingMail\" does not receive mail."},
	}, nil
}

func (g *fakeGateway) ProbeDNS(_ context.Context, server netip.AddrPort) string {
	return fmt.Sprintf("DNS server %s answers (3 ms) and passes DNSSEC records on.", store.FormatDNSServer(server))
}

// Archived has copied to the first archive, and fails with the others.
func (g *fakeGateway) Archived() []ArchiveState {
	running, _ := g.store.Running()
	var states []ArchiveState
	for i, a := range running.Archives {
		s := ArchiveState{Name: a.Name, Revision: 2, At: g.clock.Now().Add(-time.Minute)}
		if i > 0 {
			s = ArchiveState{Name: a.Name, Passed: []uint64{1, 3}, Err: errors.New("the host says: \x1b[31mno"), Failed: g.clock.Now(), Due: g.clock.Now().Add(time.Minute)}
		}
		states = append(states, s)
	}
	return states
}

func (g *fakeGateway) ArchiveNow() error {
	if g.noArchives {
		return shell.Refusedf("The gateway is not running. Start it first.")
	}
	return nil
}

// HostKey knows the hosts of example.com.
func (g *fakeGateway) HostKey(_ context.Context, address string) (key, fingerprint string, err error) {
	if g.noArchives {
		return "", "", shell.Refusedf("The gateway is not running. Start it first.")
	}
	if !strings.Contains(address, "example.com") {
		return "", "", errors.New("dial tcp: connection refused")
	}
	return "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGNvbW1pdHNjb3BpZWR0b2Fob3N0aXNoYXJk", "SHA256:0123456789abcdef", nil
}
