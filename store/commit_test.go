package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestSave(t *testing.T) {
	s, _ := newStore(t)
	session := s.NewSession(admin)
	edit(t, session, func(c *Config) { c.Hostname = "a.example.com"; c.Routes[0].Hosts = c.Routes[0].Hosts[:1] })
	before, _ := s.Running()
	r := commit(t, session, " two changes ")
	if session.Dirty() || len(stored(t, s)) != 0 {
		t.Error("still pending")
	}
	if got := fmt.Sprintf("%d|%s|%s|%s|%s|%s|%s|%d", r.Number, r.User, r.Source, r.Method, r.Comment, r.Result, r.Objects, r.More); got != `2|admin|192.0.2.7|cli|two changes|applied|[hostname route "example.com"]|0` {
		t.Errorf("revision %s", got)
	}
	now, revision := s.Running()
	if revision != 2 || now.Hostname != "a.example.com" || before.Hostname != "mail.example.com" {
		t.Errorf("runs %d, %s", revision, now.Hostname)
	}
	edit(t, session, setHostname("b.example.com"))
	if next := commit(t, session, ""); next.Number != 3 || next.Previous == r.Previous || len(next.Previous) != 64 {
		t.Errorf("next %+v", next)
	}
}

func TestSaveRefuses(t *testing.T) {
	s, _ := newStore(t)
	session := s.NewSession(admin)
	if _, err := session.Merge(); !errors.Is(err, ErrNothing) {
		t.Errorf("merge of nothing: %v", err)
	}
	edit(t, session, setHostname("a.example.com"))
	merged, err := session.Merge()
	if err != nil {
		t.Fatal(err)
	}
	save := func(comment string) error {
		_, err := s.Save(Commit{Session: session, Merged: merged, Comment: comment})
		return err
	}
	var refused ValueError
	if err := save(strings.Repeat("x", MaxComment+1)); !errors.As(err, &refused) {
		t.Errorf("long comment: %v", err)
	}
	edit(t, session, setHostname("b.example.com"))
	if err := save(""); !errors.Is(err, ErrEdited) {
		t.Errorf("edited since: %v", err)
	}
	if merged, err = session.Merge(); err != nil {
		t.Fatal(err)
	}
	commit(t, dirty(t, s, func(c *Config) { c.BounceDown = true }), "")
	if err := save(""); !errors.Is(err, ErrMoved) {
		t.Errorf("moved: %v", err)
	}
	if session.Config().Hostname != "b.example.com" || len(stored(t, s)) != 1 {
		t.Error("a refused commit changed what is pending")
	}
	if merged, err = session.Merge(); err != nil {
		t.Fatal(err)
	}
	if err := session.Close(true); err != nil {
		t.Fatal(err)
	}
	if err := save(""); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if _, revision := s.Running(); revision != 2 {
		t.Errorf("revision %d", revision)
	}
}

func TestSaveOfWhatRunsAlready(t *testing.T) {
	s, _ := newStore(t)
	session := s.NewSession(admin)
	edit(t, session, setHostname("a.example.com"))
	commit(t, dirty(t, s, setHostname("a.example.com")), "")
	merged, err := session.Merge()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(Commit{Session: session, Merged: merged}); !errors.Is(err, ErrNothing) {
		t.Errorf("got %v", err)
	}
	if session.Dirty() || len(stored(t, s)) != 0 {
		t.Error("nothing to commit, but pending")
	}
	if history, _ := s.Revisions(0); len(history) != 2 {
		t.Errorf("%d revisions", len(history))
	}
}

// C4: a write that fails changes nothing.
func TestSaveThatCannotWriteChangesNothing(t *testing.T) {
	s, _ := newStore(t)
	session := s.NewSession(admin)
	edit(t, session, setHostname("a.example.com"))
	merged, err := session.Merge()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(Commit{Session: session, Merged: merged}); err == nil {
		t.Fatal("saved into a closed database")
	}
	if config, revision := s.Running(); revision != 1 || config.Hostname != "mail.example.com" {
		t.Errorf("runs %d", revision)
	}
	if session.Config().Hostname != "a.example.com" {
		t.Error("the pending changes are gone")
	}
	if err := session.Edit(func(c *Config) error { c.BounceDown = true; return nil }); err == nil {
		t.Error("an edit that could not be kept was taken")
	}
	if session.Config().BounceDown {
		t.Error("half kept")
	}
}

// C7: the same object is refused with who, when and what; others both land.
func TestConflictNamesTheOther(t *testing.T) {
	s, _ := newStore(t)
	session := s.NewSession(admin)
	edit(t, session, func(c *Config) { c.Listeners[1].Port = 27; c.Hostname = "mine.example.com" })
	first := commit(t, dirty(t, s, func(c *Config) { c.Listeners[1].Port = 26 }), "")
	commit(t, dirty(t, s, func(c *Config) { c.BounceDown = true }), "")
	_, err := session.Merge()
	var conflict *ConflictError
	if !errors.As(err, &conflict) || len(conflict.Conflicts) != 1 {
		t.Fatalf("got %v", err)
	}
	want := Conflict{
		Object: `listener "IncomingMail"`, User: "carol", Source: "192.0.2.8", Time: first.Time, Revision: 2,
		Theirs: "TCP port: 25 -> 26", Mine: "TCP port: 25 -> 27",
	}
	if conflict.Conflicts[0] != want {
		t.Errorf("got  %+v\nwant %+v", conflict.Conflicts[0], want)
	}
	for _, part := range []string{"carol", "revision 2", "25 -> 26", "25 -> 27", "2026-03-01 12:00:"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %s", part, err)
		}
	}
	// Taking back the one object lets the rest in.
	edit(t, session, func(c *Config) { c.Listeners[1].Port = 25 })
	commit(t, session, "")
	if c, _ := s.Running(); c.Hostname != "mine.example.com" || c.Listeners[1].Port != 26 || !c.BounceDown {
		t.Errorf("runs %s %d %v", c.Hostname, c.Listeners[1].Port, c.BounceDown)
	}
}

func TestConflictInACommitOfVeryManyObjects(t *testing.T) {
	s, _ := newStore(t)
	session := s.NewSession(admin)
	route := func(host string) Route {
		return Route{Domain: "zz.example", Hosts: []RouteHost{{Host: host}}}
	}
	edit(t, session, func(c *Config) { c.Routes = append(c.Routes, route("mine")) })
	r := commit(t, dirty(t, s, func(c *Config) {
		for i := range maxObjects + 10 {
			c.Routes = append(c.Routes, Route{Domain: fmt.Sprintf("d%d.example", i), UseDNS: true})
		}
		c.Routes = append(c.Routes, route("theirs"))
	}), "import")
	if len(r.Objects) != maxObjects || r.More != 11 {
		t.Errorf("%d objects and %d more", len(r.Objects), r.More)
	}
	var conflict *ConflictError
	if _, err := session.Merge(); !errors.As(err, &conflict) || conflict.Conflicts[0].User != "carol" || conflict.Conflicts[0].Theirs != "added: theirs" {
		t.Errorf("got %v", err)
	}
}

// Who waits longer than the history reaches back is still refused, and told so.
func TestConflictWithARevisionNoLongerKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.db")
	s, err := Open(path, Options{Clock: tick(), Factory: testConfig, KeepRevisions: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	session := s.NewSession(admin)
	edit(t, session, func(c *Config) { c.Hostname = "mine.example.com"; c.BounceDown = true })
	other := s.NewSession(Who{User: "carol"})
	edit(t, other, setHostname("theirs.example.com"))
	commit(t, other, "")
	for i := range KeepAtLeast + 2 {
		edit(t, other, func(c *Config) { c.Delivery.Concurrency = 1 + i })
		commit(t, other, "")
	}
	_, err = session.Merge()
	var conflict *ConflictError
	if !errors.As(err, &conflict) || errors.Is(err, ErrNoRevision) {
		t.Fatalf("got %v", err)
	}
	want := "hostname was changed in a revision that is no longer kept " +
		"(theirs: mail.example.com -> theirs.example.com; yours: mail.example.com -> mine.example.com)"
	if err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// Two operators who edit and commit at random: what one committed stays until
// a later commit changes that very route.
func TestNoCommitIsLost(t *testing.T) {
	s, _ := newStore(t)
	r := rand.New(rand.NewPCG(5, 6))
	sessions := []*Session{s.NewSession(admin), s.NewSession(Who{User: "bob", Interactive: true})}
	want := map[string]string{}
	landed, refused := 0, 0
	for i := range 300 {
		session := sessions[r.IntN(2)]
		for range 1 + r.IntN(2) {
			domain := fmt.Sprintf("d%d.example", r.IntN(20))
			edit(t, session, func(c *Config) { setRoute(c, domain, fmt.Sprintf("mx%d", i)) })
		}
		if r.IntN(3) > 0 {
			continue
		}
		made := ownRoutes(session)
		merged, err := session.Merge()
		var conflict *ConflictError
		if errors.As(err, &conflict) {
			refused++
			if err := session.Discard(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Save(Commit{Session: session, Merged: merged}); err != nil {
			t.Fatal(err)
		}
		landed++
		for domain, hosts := range made {
			want[domain] = hosts
		}
		config, _ := s.Running()
		for _, route := range config.Routes {
			if hosts, ok := want[route.Domain]; ok && hosts != route.String() {
				t.Fatalf("commit %d: %s is %s, want %s", landed, route.Domain, route, hosts)
			}
		}
	}
	if landed < 30 || refused < 10 {
		t.Errorf("%d landed, %d refused", landed, refused)
	}
}

func setRoute(c *Config, domain, host string) {
	hosts := []RouteHost{{Host: host}}
	for i := range c.Routes {
		if c.Routes[i].Domain == domain {
			c.Routes[i].Hosts = hosts
			return
		}
	}
	c.Routes = append(c.Routes, Route{Domain: domain, Hosts: hosts})
}

// ownRoutes gives the routes that a session has changed since its base.
func ownRoutes(s *Session) map[string]string {
	before := map[string]string{}
	for _, r := range s.baseConfig.Routes {
		before[r.Domain] = r.String()
	}
	own := map[string]string{}
	for _, r := range s.Config().Routes {
		if before[r.Domain] != r.String() {
			own[r.Domain] = r.String()
		}
	}
	return own
}

// C8: 60 commits by three users; what was can be read and restored.
func TestSixtyCommitsAndBack(t *testing.T) {
	s, _ := newStore(t)
	users := []*Session{}
	for _, user := range []string{"admin", "bob", "carol"} {
		users = append(users, s.NewSession(Who{User: user, Source: "192.0.2.7", Method: "cli", Interactive: true}))
	}
	for i := range 60 {
		session := users[i%3]
		edit(t, session, setHostname(fmt.Sprintf("h%d.example.com", i)))
		commit(t, session, fmt.Sprintf("commit %d", i))
	}
	history, err := s.Revisions(0)
	if err != nil || len(history) != 61 {
		t.Fatalf("%d revisions, %v", len(history), err)
	}
	for i, r := range history {
		if r.Altered || r.Number != uint64(61-i) {
			t.Errorf("%+v", r)
		}
		if i > 0 && !r.Time.Before(history[i-1].Time) {
			t.Errorf("revision %d is not older than the one after it", r.Number)
		}
	}
	if r := history[0]; r.User != "carol" || r.Comment != "commit 59" {
		t.Errorf("the last: %+v", r)
	}
	for _, back := range []int{1, 10, 49} {
		old, err := s.Revision(history[back].Number)
		if err != nil {
			t.Fatal(err)
		}
		if err := users[0].Load(old.Config); err != nil {
			t.Fatal(err)
		}
		r := commit(t, users[0], "rollback")
		if now, _ := s.Running(); !now.Equal(old.Config) || r.Sum != old.Sum {
			t.Errorf("back %d: not the same", back)
		}
		record, err := s.Revision(r.Number)
		if err != nil || len(record.Changes) != 1 || record.Comment != "rollback" {
			t.Errorf("back %d: %+v, %v", back, record.Changes, err)
		}
	}
	if few, err := s.Revisions(3); err != nil || len(few) != 3 || few[0].Number != 64 {
		t.Errorf("three: %+v, %v", few, err)
	}
	if _, err := s.Revision(4711); !errors.Is(err, ErrNoRevision) {
		t.Errorf("unknown revision: %v", err)
	}
}

func TestLockIsHeldByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := newTurn(time.Now)
		began := time.Now()
		unlock, err := turn.lock(t.Context(), admin)
		if err != nil {
			t.Fatal(err)
		}
		_, err = turn.lock(t.Context(), Who{User: "bob"})
		var busy *BusyError
		if !errors.As(err, &busy) || busy.Who != admin || !busy.Since.Equal(began) || time.Since(began) != turnWait {
			t.Errorf("got %v after %s", err, time.Since(began))
		}
		if !strings.Contains(err.Error(), "admin (192.0.2.7) is committing") {
			t.Errorf("text: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := turn.lock(ctx, admin); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		time.AfterFunc(10*time.Second, unlock)
		again, err := turn.lock(t.Context(), Who{User: "bob"})
		if err != nil {
			t.Fatal(err)
		}
		unlock() // not his any more
		if _, err := turn.lock(t.Context(), admin); !errors.As(err, &busy) || busy.Who.User != "bob" {
			t.Errorf("got %v", err)
		}
		again()
		if _, err := turn.lock(t.Context(), admin); err != nil {
			t.Error(err)
		}
	})
}

// Many sessions at once, for the race detector; each commits until it has
// landed, and all do.
func TestSessionsAtOnce(t *testing.T) {
	s, _ := newStore(t)
	const sessions, rounds = 6, 8
	var wg sync.WaitGroup
	for n := range sessions {
		wg.Go(func() {
			session := s.NewSession(Who{User: fmt.Sprintf("u%d", n), Interactive: n%2 == 0})
			for i := range rounds {
				if err := session.Edit(func(c *Config) error {
					setRoute(c, fmt.Sprintf("d%d.example", n), fmt.Sprintf("mx%d", i))
					return nil
				}); err != nil {
					t.Error(err)
				}
				if err := land(s, session); err != nil {
					t.Error(err)
				}
				if _, err := s.Pendings(); err != nil {
					t.Error(err)
				}
			}
			if err := session.Close(n%3 == 0); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, revision := s.Running(); revision != 1+sessions*rounds {
		t.Errorf("revision %d", revision)
	}
	config, _ := s.Running()
	if len(config.Routes) != 4+sessions {
		t.Errorf("%d routes", len(config.Routes))
	}
}

// land commits under the lock, as the gateway does.
func land(s *Store, session *Session) error {
	unlock, err := s.Lock(context.Background(), session.Who())
	if err != nil {
		return err
	}
	defer unlock()
	merged, err := session.Merge()
	if err != nil {
		return err
	}
	_, err = s.Save(Commit{Session: session, Merged: merged})
	return err
}

// A disk that fails in the very last sync of a commit leaves it open which
// revision it holds: whoever commits next is told, and nothing is saved.
func TestSave_NothingAfterADiskThatFailedHalfway(t *testing.T) {
	s, _ := newStore(t)
	console := s.NewSession(Who{User: "admin", Interactive: true})
	cause := errors.New("input/output error")
	_, running := s.Running()
	if err := s.doubt(running, cause); errors.Is(err, ErrInDoubt) || !errors.Is(err, cause) {
		t.Errorf("the database names the old revision: %v", err)
	}
	if err := s.doubt(running-1, cause); !errors.Is(err, ErrInDoubt) || !errors.Is(err, cause) {
		t.Errorf("the database names another revision: %v", err)
	}
	if err := console.Edit(func(c *Config) error { c.Hostname = "other.example.com"; return nil }); err != nil {
		t.Fatal(err)
	}
	merged, err := console.Merge()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(Commit{Session: console, Merged: merged}); !errors.Is(err, ErrInDoubt) || !console.Dirty() {
		t.Errorf("Save: %v, pending %v", err, console.Dirty())
	}
}
