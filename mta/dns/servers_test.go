package dns

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"esa/mta/lookup"
	"esa/mta/maillog"
	"esa/mta/mtatest"
)

func textLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// saying gives a server whose answer tells which it is.
func saying(t testing.TB, addr string) *mtatest.DNSServer {
	t.Helper()
	return mtatest.NewDNSServer(t, "*.test. IN A "+addr+"\n*.corp.test. IN A "+addr+"\n*.eu.corp.test. IN A "+addr+
		"\nto.test. IN CNAME target.corp.test.\n")
}

func TestNextServer(t *testing.T) {
	for _, tt := range []struct {
		name string
		act  mtatest.Act
	}{
		{"timeout", mtatest.NoAnswer},
		{"SERVFAIL", mtatest.ServFail},
		{"REFUSED", mtatest.Refused},
		{"FORMERR", mtatest.FormErr},
		{"malformed", mtatest.Garbage},
		{"referral", mtatest.Changed(refer)},
		{"truncated over TCP", mtatest.Truncated},
		{"another name", mtatest.Forged(mtatest.OtherName)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			first, second := saying(t, "192.0.2.1"), saying(t, "192.0.2.2")
			first.Script("a.test", "A", tt.act)
			r := newResolver(t, brief, first, second)
			if a := r.Addrs(t.Context(), "a.test", false); addrs(a) != "192.0.2.2" {
				t.Errorf("Addrs = %+v, want the answer of the second server", a)
			}
		})
	}
	t.Run("closed port", func(t *testing.T) {
		t.Parallel()
		first, second := saying(t, "192.0.2.1"), saying(t, "192.0.2.2")
		first.Close()
		r := newResolver(t, ample, first, second)
		if a := r.Addrs(t.Context(), "a.test", false); addrs(a) != "192.0.2.2" {
			t.Errorf("Addrs = %+v", a)
		}
	})
}

// A datagram that is lost does not lose the lookup: the only server is asked
// again.
func TestSilentServerIsAskedAgain(t *testing.T) {
	t.Parallel()
	s := saying(t, "192.0.2.1")
	s.Script("a.test", "A", mtatest.NoAnswer, mtatest.Honest)
	r := newResolver(t, answered, s)
	if a := r.Addrs(t.Context(), "a.test", false); addrs(a) != "192.0.2.1" {
		t.Errorf("Addrs = %+v", a)
	}
}

func TestSilentServersEndTheLookup(t *testing.T) {
	t.Parallel()
	var all []*mtatest.DNSServer
	for range 3 {
		s := saying(t, "192.0.2.1")
		s.Script("a.test", "A", mtatest.NoAnswer)
		all = append(all, s)
	}
	// Of one priority, so that asking all of them takes half of the time that a
	// lookup has.
	r := New(Options{})
	t.Cleanup(r.Close)
	r.Configure(Settings{Timeout: brief, Servers: equal(all...)})
	a := r.Addrs(t.Context(), "a.test", false)
	if a.Status != lookup.Failed || !strings.HasPrefix(a.Why, "timeout asking ") {
		t.Errorf("Addrs = %+v", a)
	}
	for i, s := range all {
		if n := s.Asked("a.test", "A"); n != passes {
			t.Errorf("server %d was asked %d times, want %d", i, n, passes)
		}
	}
}

// However many servers there are, one lookup asks so many questions at most.
func TestQuestionsAreBounded(t *testing.T) {
	s := saying(t, "192.0.2.1")
	s.Script("a.test", "A", mtatest.Refused)
	r := New(Options{})
	t.Cleanup(r.Close)
	r.Configure(Settings{Timeout: ample, Servers: slices.Repeat(inOrder(s), 2*maxAsked)})
	if a := r.Addrs(t.Context(), "a.test", false); a.Status != lookup.Failed || len(s.Queries()) != maxAsked {
		t.Errorf("Addrs = %+v after %d questions", a, len(s.Queries()))
	}
}

func TestPriorities(t *testing.T) {
	low, high := saying(t, "192.0.2.1"), saying(t, "192.0.2.2")
	r := New(Options{})
	t.Cleanup(r.Close)
	r.Configure(Settings{Timeout: ample, Servers: []Server{{low.Addr(), 10}, {high.Addr(), 1}}})
	for range 20 {
		if a := r.Addrs(t.Context(), "a.test", false); addrs(a) != "192.0.2.2" {
			t.Fatalf("Addrs = %+v, want the answer of the server with the lower number", a)
		}
		r.Flush()
	}
}

func TestEqualPrioritiesShare(t *testing.T) {
	one, two := saying(t, "192.0.2.1"), saying(t, "192.0.2.2")
	r := New(Options{})
	t.Cleanup(r.Close)
	r.Configure(Settings{Timeout: ample, Servers: []Server{{one.Addr(), 0}, {two.Addr(), 0}}})
	const n = 100
	for range n {
		r.Addrs(t.Context(), "a.test", false)
		r.Flush()
	}
	if got := len(one.Queries()); got < n/5 || got > n*4/5 {
		t.Errorf("one of two equal servers got %d of %d questions", got, n)
	}
}

func TestAlternates(t *testing.T) {
	general, corp, eu := saying(t, "192.0.2.1"), saying(t, "192.0.2.2"), saying(t, "192.0.2.3")
	r := New(Options{})
	t.Cleanup(r.Close)
	set := Settings{Timeout: ample, Servers: inOrder(general), Alternates: []Alternate{
		{Domain: "CORP.test.", Servers: []netip.AddrPort{corp.Addr()}},
		{Domain: "eu.corp.test", Servers: []netip.AddrPort{eu.Addr()}},
	}}
	r.Configure(set)
	for name, want := range map[string]string{
		"a.test": "192.0.2.1", "a.corp.test": "192.0.2.2", "a.eu.corp.test": "192.0.2.3", "notcorp.test": "192.0.2.1",
	} {
		if a := r.Addrs(t.Context(), name, false); addrs(a) != want {
			t.Errorf("Addrs(%s) = %+v, want %s", name, a, want)
		}
	}
	if a := r.Addrs(t.Context(), "to.test", false); addrs(a) != "192.0.2.2" || a.Canonical != "target.corp.test" {
		t.Errorf("Addrs = %+v: an alias into the domain of an alternate is to be asked there", a)
	}
	corp.Script("b.corp.test", "A", mtatest.ServFail)
	if a := r.Addrs(t.Context(), "b.corp.test", false); a.Status != lookup.Failed || general.Asked("b.corp.test", "A") != 0 {
		t.Errorf("Addrs = %+v: the general servers have no say below an alternate", a)
	}
}

func TestFailingServerIsAskedLast(t *testing.T) {
	for _, tt := range []struct {
		name string
		act  mtatest.Act
	}{
		{"timeout", mtatest.NoAnswer},
		{"SERVFAIL where others answer", mtatest.ServFail},
		{"REFUSED where others answer", mtatest.Refused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			first, second := saying(t, "192.0.2.1"), saying(t, "192.0.2.2")
			first.Script("a.test", "A", tt.act)
			clock := newTestClock()
			r := newResolverWith(t, Options{Clock: clock.Now}, brief, first, second)
			ask := func(name string) string {
				timeout := ample
				if name == "a.test" { // whose first server may be silent
					timeout = brief
				}
				r.Configure(Settings{Servers: inOrder(first, second), Timeout: timeout})
				r.Flush()
				return addrs(r.Addrs(t.Context(), name, false))
			}
			for range strikes {
				ask("a.test")
			}
			if got := ask("b.test"); got != "192.0.2.2" {
				t.Errorf("after %d failures got %s, want the second server", strikes, got)
			}
			clock.Advance(firstAvoid)
			if got := ask("b.test"); got != "192.0.2.1" {
				t.Errorf("after %v got %s, want the first server again", firstAvoid, got)
			}
			for range strikes - 1 {
				ask("a.test")
			}
			if got := ask("b.test"); got != "192.0.2.1" {
				t.Errorf("got %q: a good answer is to be forgiven", got)
			}
		})
	}
}

// A server that all fail with is not worse than others.
func TestServfailOfANameIsNotHeldAgainstServers(t *testing.T) {
	first, second := saying(t, "192.0.2.1"), saying(t, "192.0.2.2")
	first.Script("a.test", "A", mtatest.ServFail)
	second.Script("a.test", "A", mtatest.ServFail)
	r := newResolver(t, ample, first, second)
	for range 2 * strikes {
		r.Flush()
		r.Addrs(t.Context(), "a.test", false)
	}
	if a := r.Addrs(t.Context(), "b.test", false); addrs(a) != "192.0.2.1" {
		t.Errorf("Addrs = %+v, want the first server", a)
	}
}

func TestAvoidance(t *testing.T) {
	now := time.Now()
	s := &server{}
	for i, want := range []time.Duration{0, 0, firstAvoid} {
		if got := s.ended(false, now); got != want {
			t.Errorf("failure %d: avoided for %v, want %v", i+1, got, want)
		}
	}
	if got := s.ended(false, now); got != 0 || !s.avoided(now) {
		t.Errorf("a failure while avoided: %v, want nothing new", got)
	}
	longest := time.Duration(0)
	for range 20 {
		now = now.Add(maxAvoid)
		longest = max(longest, s.ended(false, now))
	}
	if longest != maxAvoid {
		t.Errorf("longest avoidance %v, want %v", longest, maxAvoid)
	}
	if s.ended(true, now); s.avoided(now) {
		t.Error("still avoided after a good answer")
	}
}

// C7: answers for unsigned zones do not bring a server back that loses signatures.
func TestAvoidance_OfALameServer(t *testing.T) {
	now := time.Now()
	s := &server{}
	s.shun(now)
	if s.ended(true, now); !s.avoided(now) || s.silent(now) {
		t.Error("a good answer ended it")
	}
	if now = now.Add(maxAvoid); s.avoided(now) {
		t.Errorf("still avoided after %v", maxAvoid)
	}
}

// A client is not kept waiting for its name where every server is known to fail.
func TestReverseTimeoutIsCutWhereAllServersFail(t *testing.T) {
	first, second := saying(t, "192.0.2.1"), saying(t, "192.0.2.2")
	r := newResolver(t, ample, first, second)
	whole := r.reverseTimeout()
	if whole <= hopelessTimeout {
		t.Fatalf("%v is too short to be cut", whole)
	}
	for i, s := range r.state.Load().servers.main.groups {
		if got := r.reverseTimeout(); got != whole {
			t.Errorf("%d groups fail: %v, want %v", i, got, whole)
		}
		for range strikes {
			for _, one := range s {
				one.ended(false, r.clock())
			}
		}
	}
	if got := r.reverseTimeout(); got != hopelessTimeout {
		t.Errorf("all fail: %v, want %v", got, hopelessTimeout)
	}
	New(Options{}).reverseTimeout() // without servers
}

func TestConfigure_OldLookupsEndUnderOldSettings(t *testing.T) {
	old, fresh := saying(t, "192.0.2.1"), saying(t, "192.0.2.2")
	release := make(chan struct{})
	old.Script("a.test", "A", mtatest.Held(release, mtatest.Honest))
	r := newResolver(t, ample, old)
	done := make(chan lookup.AddrAnswer)
	go func() { done <- r.Addrs(t.Context(), "a.test", false) }()
	old.Await(t, 1)
	r.Configure(Settings{Servers: inOrder(fresh), Timeout: ample})
	if a := r.Addrs(t.Context(), "a.test", false); addrs(a) != "192.0.2.2" {
		t.Errorf("Addrs = %+v, want the new server", a)
	}
	close(release)
	if a := <-done; addrs(a) != "192.0.2.1" {
		t.Errorf("Addrs = %+v, want the old server", a)
	}
	if a := r.Addrs(t.Context(), "a.test", false); addrs(a) != "192.0.2.2" {
		t.Errorf("Addrs = %+v: the old answer is served under the new settings", a)
	}
}

func TestConfigure_SameServersKeepTheCache(t *testing.T) {
	s := saying(t, "192.0.2.1")
	r := newResolver(t, ample, s)
	r.Addrs(t.Context(), "a.test", false)
	r.Configure(Settings{Servers: inOrder(s), Timeout: time.Second, MinTTL: time.Minute})
	r.Addrs(t.Context(), "a.test", false)
	if n := len(s.Queries()); n != 1 {
		t.Errorf("asked %d times, want 1", n)
	}
}

func TestConfigure_ServersKeepTheirHealth(t *testing.T) {
	bad, good := saying(t, "192.0.2.1"), saying(t, "192.0.2.2")
	bad.Script("a.test", "A", mtatest.NoAnswer)
	r := newResolver(t, brief, bad)
	r.Addrs(t.Context(), "a.test", false)
	r.Flush()
	r.Addrs(t.Context(), "a.test", false)
	r.Configure(Settings{Servers: inOrder(bad, good), Timeout: ample})
	if a := r.Addrs(t.Context(), "b.test", false); addrs(a) != "192.0.2.2" {
		t.Errorf("Addrs = %+v: what was known of the server is forgotten", a)
	}
}

// The lines of a lookup, as tools that read the ESA's log expect them.
func TestMailLog(t *testing.T) {
	dir := t.TempDir()
	clock := newTestClock()
	log, err := maillog.Open(dir, maillog.Options{Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	err = log.Configure([]maillog.Subscription{{Name: "debug", FileName: "mail", Level: maillog.Debug, MaxSize: 1 << 20, MaxFiles: 2}}, maillog.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	first, second := mtatest.NewDNSServer(t, zone), mtatest.NewDNSServer(t, zone)
	first.Script("example.test", "MX", mtatest.ServFail)
	r := newResolverWith(t, Options{Log: log, Clock: clock.Now}, ample, first, second)
	r.MX(context.Background(), "example.test")
	r.Addrs(context.Background(), "example.test", true)
	a, b := first.Addr().String(), second.Addr().String()
	want := strings.Join([]string{
		"Debug: DNS query: Q('example.test', 'MX')",
		"Debug: DNS query: QN('example.test', 'MX', 'recursive_nameserver0.parent')",
		"Debug: DNS query: QIP ('example.test','MX','" + a + "',120)",
		"Debug: DNS query: Q ('example.test', 'MX', '" + a + "')",
		"Warning: Received an invalid DNS Response: SERVER FAILED to IP " + a + " looking up example.test",
		"Debug: DNS query: QN('example.test', 'MX', 'recursive_nameserver1.parent')",
		"Debug: DNS query: QIP ('example.test','MX','" + b + "',120)",
		"Debug: DNS query: Q ('example.test', 'MX', '" + b + "')",
		"Debug: DNSSEC Response data([(10, 'mx1.example.test.'), (20, 'mx2.example.test.')], insecure, 0, 3600)",
		"Debug: DNS encache (example.test, MX, [(1767326645L, 0, 'INSECURE', (10, 'mx1.example.test')), (1767326645L, 0, 'INSECURE', (20, 'mx2.example.test'))])",
		"Debug: DNS query: Q('example.test', 'AAAA')",
		"Debug: DNS query: QN('example.test', 'AAAA', 'recursive_nameserver0.parent')",
		"Debug: DNS query: QIP ('example.test','AAAA','" + a + "',120)",
		"Debug: DNS query: Q ('example.test', 'AAAA', '" + a + "')",
		"Debug: DNSSEC Response data([], , 0, 600)",
		"Debug: Received NODATA for domain example.test type AAAA",
	}, "\n")
	if got := logLines(t, filepath.Join(dir, "debug")); got != want {
		t.Errorf("mail log:\n%s\nwant:\n%s", got, want)
	}
}

// logLines gives what stands after the time in the files of a subscription,
// without headers.
func logLines(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no log files: %v", err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, m := range regexp.MustCompile(`(?m)^.{24} ((?:Debug|Warning): .*)$`).FindAllStringSubmatch(string(text), -1) {
		lines = append(lines, m[1])
	}
	return strings.Join(lines, "\n")
}
