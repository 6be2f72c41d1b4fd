package mta

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"esa/mta/mtatest"
	"esa/store"
)

// hostname is a change that shows.
func hostname(name string) func(*store.Config) {
	return func(c *store.Config) { c.Hostname = name }
}

// listenAt adds an interface and a listener on an address.
func listenAt(name string, addr netip.AddrPort) func(*store.Config) {
	return func(c *store.Config) {
		c.Interfaces = append(c.Interfaces, store.Interface{
			Name: name, Hostname: "gw.test", IPv4: netip.PrefixFrom(addr.Addr(), 8),
		})
		l := c.Clone().Listeners[0]
		l.Name, l.Interface, l.Port = name, name, addr.Port()
		c.Listeners = append(c.Listeners, l)
	}
}

// TestC1_KilledBetweenSaveAndSwap_ComesUpWithTheNewRevision copies the data
// directory at the moment between the two.
func TestC1_KilledBetweenSaveAndSwap_ComesUpWithTheNewRevision(t *testing.T) {
	w := start(t, nil)
	before := w.revision()
	var swapped bool
	var left string
	w.diag.watch("configuration saved", func() {
		swapped = w.gateway.current.Load().revision != before
		left = copyTree(t, w.dir)
	})
	w.commit(hostname("new.test"))
	if left == "" || swapped {
		t.Fatalf("saved: %v, swapped before: %v", left != "", swapped)
	}
	if got := w.revision(); got != before+1 {
		t.Errorf("revision %d runs after the commit, want %d", got, before+1)
	}
	w.end()

	after := w.at(left)
	after.run()
	if got := after.revision(); got != before+1 || after.gateway.current.Load().config.Hostname != "new.test" {
		t.Errorf("comes up with revision %d, want %d", got, before+1)
	}
	if p, err := after.store.Pendings(); len(p) > 0 || err != nil {
		t.Errorf("pending after the restart: %v, %v", p, err)
	}
}

// TestC1_KilledBeforeSave_ComesUpWithTheOldRevision: the clock is asked in
// Save, before anything is written.
func TestC1_KilledBeforeSave_ComesUpWithTheOldRevision(t *testing.T) {
	w := start(t, nil)
	before := w.revision()
	s := w.edit("admin", hostname("new.test"))
	var left string
	w.now = func() time.Time {
		if left = copyTree(t, w.dir); w.gateway.current.Load().revision != before {
			t.Error("swapped before it was saved")
		}
		w.now = time.Now
		return time.Now()
	}
	// The turn asks for the time first, and is not meant.
	save := w.now
	w.now = func() time.Time { w.now = save; return time.Now() }
	if _, err := w.try(s); err != nil || left == "" {
		t.Fatalf("commit: %v, copied: %v", err, left != "")
	}
	w.end()

	after := w.at(left)
	after.run()
	if got := after.revision(); got != before || after.gateway.current.Load().config.Hostname != "gw.test" {
		t.Errorf("comes up with revision %d, want %d", got, before)
	}
	after.wantLost("admin", hostname("new.test"))
}

// wantLost fails unless a lost session of the user left exactly this change;
// it is resumed and committed.
func (w *world) wantLost(user string, change func(*store.Config)) {
	w.t.Helper()
	lost, err := w.store.Lost(user)
	if err != nil || len(lost) != 1 || lost[0].Err != nil || lost[0].User != user {
		w.t.Fatalf("lost changes of %s: %+v, %v", user, lost, err)
	}
	s := w.session(user)
	defer s.Close(false)
	if err := s.Resume(lost[0].ID); err != nil {
		w.t.Fatal(err)
	}
	config, _ := w.store.Running()
	want := config.Clone()
	change(want)
	if !s.Config().Equal(want) {
		w.t.Errorf("resumed: %v", s.Changes())
	}
	if _, err := w.try(s); err != nil {
		w.t.Errorf("committing what was resumed: %v", err)
	}
}

// TestC5_PendingEditsSurviveAKill and stay those of their user.
func TestC5_PendingEditsSurviveAKill(t *testing.T) {
	w := start(t, nil)
	w.edit("ann", hostname("ann.test"))
	batch := w.store.NewSession(store.Who{User: "bob", Source: "console", Method: "batch"})
	if err := batch.Edit(func(c *store.Config) error { c.Hostname = "bob.test"; return nil }); err != nil {
		t.Fatal(err)
	}
	left := copyTree(t, w.dir)
	w.end()

	after := w.at(left)
	after.run()
	if lost, err := after.store.Lost("bob"); len(lost) > 0 || err != nil {
		t.Errorf("a batch left %v, %v", lost, err)
	}
	after.wantLost("ann", hostname("ann.test"))
}

// TestC7_SameObject: the second is refused and told who, when and what; its
// edits stay.
func TestC7_SameObject(t *testing.T) {
	w := start(t, nil)
	ann, bob := w.edit("ann", hostname("ann.test")), w.edit("bob", hostname("bob.test"))
	began := time.Now()
	report, err := w.try(ann)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.try(bob)
	conflict, ok := errors.AsType[*store.ConflictError](err)
	if !ok || len(conflict.Conflicts) != 1 {
		t.Fatalf("commit: %v, want one conflict", err)
	}
	c := conflict.Conflicts[0]
	if c.User != "ann" || c.Source != "192.0.2.7" || c.Revision != report.Revision.Number || c.Time.Before(began.Add(-time.Minute)) ||
		!strings.Contains(c.Theirs, "ann.test") || !strings.Contains(c.Mine, "bob.test") {
		t.Errorf("the conflict says %+v", c)
	}
	if got := w.revision(); got != report.Revision.Number || !bob.Dirty() {
		t.Errorf("revision %d, want %d; still pending: %v", got, report.Revision.Number, bob.Dirty())
	}
}

// TestC7_DifferentObjects: both land, whoever commits first.
func TestC7_DifferentObjects(t *testing.T) {
	w := start(t, nil)
	ann := w.edit("ann", hostname("ann.test"))
	bob := w.edit("bob", func(c *store.Config) { c.Listeners[0].DefaultDomain = "bob.test" })
	for _, s := range []*store.Session{bob, ann} {
		if _, err := w.try(s); err != nil {
			t.Fatal(err)
		}
	}
	w.revision()
	config := w.gateway.current.Load().config
	if config.Hostname != "ann.test" || config.Listeners[0].DefaultDomain != "bob.test" {
		t.Errorf("host name %q, default domain %q", config.Hostname, config.Listeners[0].DefaultDomain)
	}
}

// TestC8_TheFactoryCanBeRestored: a restore is a commit like any other, and
// obeyed like any other.
func TestC8_TheFactoryCanBeRestored(t *testing.T) {
	w := start(t, nil)
	first, number := w.store.Running()
	for _, user := range []string{"ann", "bob", "ann"} {
		s := w.edit(user, func(c *store.Config) {
			c.Hostname = user + ".test"
			c.Listeners[0].DefaultDomain = user + ".test"
		})
		if _, err := w.gateway.Commit(t.Context(), store.CommitRequest{Session: s, Comment: "by " + user}); err != nil {
			t.Fatal(err)
		}
	}
	record, err := w.store.Revision(number + 1)
	if err != nil || record.User != "ann" || record.Comment != "by ann" || record.Source != "192.0.2.7" || len(record.Changes) != 2 {
		t.Errorf("the history says %+v, %v", record, err)
	}
	old, err := w.store.Revision(number)
	if err != nil {
		t.Fatal(err)
	}
	s := w.session("admin")
	if err := s.Load(old.Config); err != nil {
		t.Fatal(err)
	}
	report, err := w.try(s)
	if err != nil || report.Revision.Number != number+4 || !w.gateway.current.Load().config.Equal(first) {
		t.Errorf("restored as %+v, %v", report.Revision, err)
	}
	dial(t, w.addr).do("MAIL FROM:<nodomain>", "501")
}

// faults are the causes that must fail a commit as a whole.
var faults = []struct {
	name   string
	stage  func(w *world) // before the commit
	change func(w *world) func(*store.Config)
	want   []string // one problem each: place, text or fix
}{
	{
		name: "port taken",
		change: func(w *world) func(*store.Config) {
			return listenAt("Second", taken(w, "127.0.0.2"))
		},
		want: []string{`listener "Second": Port `},
	},
	{
		name: "address not on this machine",
		change: func(*world) func(*store.Config) {
			return func(c *store.Config) {
				listenAt("Second", netip.MustParseAddrPort("192.0.2.77:2525"))(c)
			}
		},
		want: []string{`interface "Second": Address 192.0.2.77 is not on this machine`, `listener "Second": Address 192.0.2.77 is not on this machine`},
	},
	{
		name: "bad reference",
		change: func(*world) func(*store.Config) {
			return func(c *store.Config) { c.Listeners[0].HAT.Groups[0].Policy = "NOSUCH" }
		},
		want: []string{`listener "OutgoingMail" sender group "RELAYLIST": The policy "$NOSUCH" does not exist`},
	},
	{
		name:  "log directory not writable",
		stage: func(w *world) { w.file("logs/audit") },
		change: func(*world) func(*store.Config) {
			return func(c *store.Config) {
				l := c.Logs[3]
				l.Name = "audit"
				c.Logs = append(c.Logs, l)
			}
		},
		want: []string{"logs: "},
	},
	{
		name: "everything at once",
		stage: func(w *world) {
			w.file("logs/audit")
			w.file("logs/other")
		},
		change: func(w *world) func(*store.Config) {
			return func(c *store.Config) {
				for _, name := range []string{"audit", "other"} {
					l := c.Logs[3]
					l.Name = name
					c.Logs = append(c.Logs, l)
				}
				c.Delivery.Interface = "Nowhere"
				listenAt("Second", taken(w, "127.0.0.2"))(c)
				listenAt("Third", netip.MustParseAddrPort("192.0.2.77:2525"))(c)
				c.Listeners[1].HAT.Groups[0].Policy = "NOSUCH"
			}
		},
		want: []string{
			"NOSUCH", "Nowhere", `interface "Third": `, `listener "Second": Port `, `listener "Third": Address `,
			"logs: Making log directory", "logs: Making log directory",
		},
	},
}

// taken gives an address and port that another program has.
func taken(w *world, address string) netip.AddrPort {
	w.t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// file puts a file where a directory is needed: a fault that root meets too.
func (w *world) file(name string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), nil, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// steadiness is what a failed commit must leave as it was.
type steadiness struct {
	revision uint64
	running  *generation
	sockets  map[string]string
	sessions int
}

func (w *world) steadiness() steadiness {
	w.t.Helper()
	return steadiness{w.revision(), w.gateway.current.Load(), inodes(w.t, w.addr.Port()), w.gateway.live.server.Connections()}
}

func (s steadiness) equal(o steadiness) bool {
	same := s.revision == o.revision && s.running == o.running && s.sessions == o.sessions && len(s.sockets) == len(o.sockets)
	for addr, inode := range s.sockets {
		same = same && o.sockets[addr] == inode
	}
	return same
}

// TestC4_AFailedCommitChangesNothing, and tells everything at once with what
// mends it.
func TestC4_AFailedCommitChangesNothing(t *testing.T) {
	for _, tt := range faults {
		t.Run(tt.name, func(t *testing.T) {
			w := start(t, nil)
			open := dial(t, w.addr)
			open.do("MAIL FROM:<a@sender.test>", "250")
			if tt.stage != nil {
				tt.stage(w)
			}
			s := w.edit("admin", tt.change(w))
			pending, before := s.Config(), w.steadiness()
			if len(before.sockets) != 1 {
				t.Fatalf("sockets before: %v", before.sockets)
			}
			problems := w.problems(s)
			wantProblems(t, problems, tt.want)
			if after := w.steadiness(); !after.equal(before) || s.Config() != pending || !s.Dirty() {
				t.Errorf("before %+v, after %+v; pending kept: %v", before, after, s.Config() == pending)
			}
			_, err := w.gateway.Check(t.Context(), store.CommitRequest{Session: s})
			if check, ok := errors.AsType[*store.CheckError](err); !ok || !slices.Equal(check.Problems, problems) {
				t.Errorf("commit check says %v", err)
			}
			open.do("RCPT TO:<b@rcpt.test>", "250")
			dial(t, w.addr)
			// What was in the way is not any more: nothing of it is left behind.
			w.commit(hostname("other.test"))
		})
	}
}

// wantProblems looks for one problem for each text.
func wantProblems(t *testing.T, problems []store.Problem, want []string) {
	t.Helper()
	left := slices.Clone(problems)
	for _, text := range want {
		i := slices.IndexFunc(left, func(p store.Problem) bool { return strings.Contains(p.Place+": "+p.Text, text) })
		if i < 0 {
			t.Errorf("no problem says %q", text)
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	for _, p := range left {
		t.Errorf("too much: %+v", p)
	}
	for _, p := range problems {
		if p.Fix == "" || p.Text == "" || strings.Contains(p.Text, "\n") {
			t.Errorf("%+v does not say what is wrong and what mends it in one line", p)
		}
	}
}

// TestC4_SaveFails: what was bound for the change is given back.
func TestC4_SaveFails(t *testing.T) {
	w := start(t, nil)
	open := dial(t, w.addr)
	added := freeAddr(t, "127.0.0.2")
	s := w.edit("admin", listenAt("Second", added))
	before := w.steadiness()
	w.store.Close()
	if _, err := w.try(s); err == nil || !strings.Contains(err.Error(), "what ran before runs on for now") {
		t.Fatalf("commit: %v", err)
	}
	if after := w.steadiness(); !after.equal(before) || !s.Dirty() {
		t.Errorf("before %+v, after %+v; still pending: %v", before, after, s.Dirty())
	}
	l, err := net.Listen("tcp", added.String())
	if err != nil {
		t.Fatalf("the address is not free again: %v", err)
	}
	l.Close()
	open.do("NOOP", "250")
	w.openStore(nil)
	if _, revision := w.store.Running(); revision != before.revision {
		t.Errorf("revision %d was saved", revision)
	}
}

// TestC4_SaveInDoubt: where nobody knows what the disk holds, nobody is told
// that it holds what was there before.
func TestC4_SaveInDoubt(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("saving: %w", store.ErrInDoubt), "what ran before runs on for now: saving: the disk failed"},
		{errors.New("disk full"), "nothing was changed: disk full"},
	} {
		if got := saveFailed(tt.err); !strings.Contains(got.Error(), tt.want) || !errors.Is(got, tt.err) {
			t.Errorf("%v", got)
		}
	}
}

// TestC4_AQuestionChangesNothing: what opens a relay is asked first.
func TestC4_AQuestionChangesNothing(t *testing.T) {
	w := start(t, nil)
	s := w.edit("admin", func(c *store.Config) { c.Listeners[0].HAT.Groups[0].Hosts = []string{"ALL"} })
	before := w.steadiness()
	_, err := w.try(s)
	if ask, ok := errors.AsType[*store.AskError](err); !ok || len(ask.Questions) == 0 {
		t.Fatalf("commit: %v, want a question", err)
	}
	if after := w.steadiness(); !after.equal(before) || !s.Dirty() {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if _, err := w.gateway.Commit(t.Context(), store.CommitRequest{Session: s, Force: true}); err != nil {
		t.Errorf("with force: %v", err)
	}
}

// TestCommitNothing tells that there is nothing to commit.
func TestCommitNothing(t *testing.T) {
	w := start(t, nil)
	if _, err := w.try(w.session("admin")); !errors.Is(err, store.ErrNothing) {
		t.Errorf("commit: %v", err)
	}
}

// TestCommitProbesAddedDNSServers: only those, and only for a note.
func TestCommitProbesAddedDNSServers(t *testing.T) {
	old, added := mtatest.NewDNSServer(t, ""), mtatest.NewDNSServer(t, "")
	w := start(t, func(_ *world, c *store.Config) {
		c.DNS.Servers = []store.DNSServer{{Addr: old.Addr()}}
	})
	report := w.commit(func(c *store.Config) {
		c.DNS.Servers = append(c.DNS.Servers, store.DNSServer{Addr: added.Addr()})
	})
	if len(report.Notes) != 1 || !strings.Contains(report.Notes[0], added.Addr().String()) {
		t.Errorf("notes: %q", report.Notes)
	}
	if len(old.Queries()) > 0 || len(added.Queries()) == 0 {
		t.Errorf("asked: %d questions to the old server, %d to the added one", len(old.Queries()), len(added.Queries()))
	}
	if note := w.gateway.ProbeDNS(context.Background(), added.Addr()); !strings.Contains(note, ", but does not pass DNSSEC records on") {
		t.Errorf("a server without signatures: %q", note)
	}
	signing := mtatest.NewLabServer(t, mtatest.NewLab(t, time.Now(), mtatest.Zone{Name: "."}))
	if note := w.gateway.ProbeDNS(context.Background(), signing.Addr()); !strings.Contains(note, "passes DNSSEC records on") {
		t.Errorf("a server with signatures: %q", note)
	}
	if note := w.gateway.ProbeDNS(context.Background(), freeAddr(t, "127.0.0.1")); !strings.Contains(note, "does not answer") {
		t.Errorf("a server that is not there: %q", note)
	}
}
