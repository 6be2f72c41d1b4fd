package maillog

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock {
	return &clock{now: time.Date(2026, 2, 4, 9, 16, 46, 0, time.FixedZone("CST", -21600))}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

var mail = Subscription{Name: "mail_logs", FileName: "mail", Level: Information, MaxSize: 10 << 20, MaxFiles: 10}

// harness is a Log on a directory of its own, at a time of its own.
type harness struct {
	*Log
	t     testing.TB
	dir   string
	clock *clock
	diag  *bytes.Buffer
}

func newHarness(t testing.TB, subs ...Subscription) *harness {
	h := &harness{t: t, dir: t.TempDir(), clock: newClock(), diag: &bytes.Buffer{}}
	h.reopen(subs...)
	return h
}

// reopen begins again as another process would, without closing.
func (h *harness) reopen(subs ...Subscription) {
	h.t.Helper()
	diag := slog.New(slog.NewTextHandler(h.diag, nil))
	l, err := Open(h.dir, Options{Clock: h.clock.Now, Version: "1.0", Serial: "S1", Diag: diag})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = l.Close() })
	h.Log = l
	if err := l.Configure(subs, Settings{MessageID: true, Subject: true, RemoteResponse: true}); err != nil {
		h.t.Fatal(err)
	}
}

// files gives the names of a subscription's files.
func (h *harness) files(name string) []string {
	h.t.Helper()
	files, err := h.Files(name)
	if err != nil {
		h.t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
	}
	return names
}

// text gives the content of one file without the times.
func (h *harness) text(name, file string) string {
	h.t.Helper()
	data, err := os.ReadFile(filepath.Join(h.dir, name, file))
	if err != nil {
		h.t.Fatal(err)
	}
	return stampPattern.ReplaceAllString(string(data), "")
}

var stampPattern = regexp.MustCompile(`(?m)^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} `)

const header = "Info: Begin Logfile\nInfo: Version: 1.0 SN: S1\nInfo: Time offset from UTC: -21600 seconds\n"

func wantText(t testing.TB, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestFileBeginsWithHeader(t *testing.T) {
	h := newHarness(t, mail)
	h.ServerStarting()
	data, err := os.ReadFile(filepath.Join(h.dir, "mail_logs", "mail.current"))
	if err != nil {
		t.Fatal(err)
	}
	wantText(t, string(data), `Wed Feb  4 09:16:46 2026 Info: Begin Logfile
Wed Feb  4 09:16:46 2026 Info: Version: 1.0 SN: S1
Wed Feb  4 09:16:46 2026 Info: Time offset from UTC: -21600 seconds
Wed Feb  4 09:16:46 2026 Info: SMTP server starting
`)
	wantText(t, strings.Join(h.files("mail_logs"), " "), "mail.@20260204T091646.current")
}

func TestLevelsAreCumulative(t *testing.T) {
	h := newHarness(t,
		Subscription{"errors", TextMail, "mail", Critical, 1 << 20, 10},
		Subscription{"warnings", TextMail, "mail", Warning, 1 << 20, 10},
		Subscription{"all", TextMail, "mail", Trace, 1 << 20, 10})
	for level := Critical; level <= Trace; level++ {
		h.logf(level, "%d", level)
	}
	wantText(t, h.text("errors", "mail.current"), header+"Critical: 1\n")
	wantText(t, h.text("warnings", "mail.current"), header+"Critical: 1\nWarning: 2\n")
	wantText(t, h.text("all", "mail.current"), header+"Critical: 1\nWarning: 2\nInfo: 3\nDebug: 4\nTrace: 5\n")
}

func TestRolloverByCall(t *testing.T) {
	h := newHarness(t, mail)
	h.infof("one")
	h.clock.Add(time.Hour)
	if err := h.Rollover("mail_logs"); err != nil {
		t.Fatal(err)
	}
	h.infof("two")
	// A second one in the same second: names still tell the order.
	if err := h.Rollover("mail_logs"); err != nil {
		t.Fatal(err)
	}
	wantText(t, strings.Join(h.files("mail_logs"), " "),
		"mail.@20260204T091646.s mail.@20260204T101646.s mail.@20260204T101647.current")
	wantText(t, h.text("mail_logs", "mail.@20260204T091646.s"), header+"Info: one\nInfo: End Logfile\n")
	wantText(t, h.text("mail_logs", "mail.@20260204T101646.s"), header+"Info: two\nInfo: End Logfile\n")
	wantText(t, h.text("mail_logs", "mail.current"), header)
	if err := h.Rollover("nothing"); err == nil {
		t.Error("a log that does not exist rolled over")
	}
}

func TestRolloverBySizeKeepsMaxFiles(t *testing.T) {
	h := newHarness(t, Subscription{"mail_logs", TextMail, "mail", Information, 4096, 3})
	for i := range 400 {
		h.infof("line %03d", i)
	}
	names := h.files("mail_logs")
	if len(names) != 3 {
		t.Fatalf("%d files are kept, want 3: %v", len(names), names)
	}
	for _, name := range names {
		info, err := os.Stat(filepath.Join(h.dir, "mail_logs", name))
		if err != nil || info.Size() > 4096 {
			t.Errorf("%s: %v, error %v", name, info.Size(), err)
		}
	}
	if got := h.text("mail_logs", "mail.current"); !strings.HasSuffix(got, "line 399\n") {
		t.Errorf("the current file ends with %q", got[len(got)-20:])
	}
}

func TestOneFileOnly(t *testing.T) {
	h := newHarness(t, Subscription{"mail_logs", TextMail, "mail", Information, 4096, 1})
	if err := h.Rollover("mail_logs"); err != nil {
		t.Fatal(err)
	}
	h.infof("here")
	wantText(t, strings.Join(h.files("mail_logs"), " "), "mail.@20260204T091647.current")
	wantText(t, h.diag.String(), "")
}

func TestLongLineIsCut(t *testing.T) {
	h := newHarness(t, mail)
	h.infof("%s", strings.Repeat("é", maxLine))
	got, err := os.ReadFile(filepath.Join(h.dir, "mail_logs", "mail.current"))
	if err != nil {
		t.Fatal(err)
	}
	last := got[bytes.LastIndexByte(got[:len(got)-1], '\n')+1:]
	if len(last) > maxLine || len(last) < maxLine-1 || !bytes.HasSuffix(last, []byte("é[...]\n")) {
		t.Errorf("%d bytes, ends with %q", len(last), last[len(last)-12:])
	}
}

func TestNilLog(t *testing.T) {
	var l *Log
	l.ServerStarting()
	l.MessageID(1, "x")
	l.Pending(1, nil, time.Now(), "Default")
	l.DNSQuery("a", "MX")
}

func TestConfigureChangesSubscriptions(t *testing.T) {
	h := newHarness(t, mail, Subscription{"gone", TextMail, "mail", Debug, 1 << 20, 10})
	h.debugf("seen by one")
	changed := mail
	changed.Level, changed.FileName = Debug, "post"
	h.clock.Add(time.Minute)
	if err := h.Configure([]Subscription{changed, {"new", TextMail, "mail", Debug, 1 << 20, 10}}, Settings{}); err != nil {
		t.Fatal(err)
	}
	h.debugf("seen by two")
	h.MessageID(1, "not asked for")
	wantText(t, strings.Join(h.files("mail_logs"), " "), "mail.@20260204T091646.s post.@20260204T091746.current")
	wantText(t, h.text("mail_logs", "mail.@20260204T091646.s"), header+"Info: End Logfile\n")
	wantText(t, h.text("mail_logs", "post.current"), header+"Debug: seen by two\n")
	wantText(t, h.text("gone", "mail.@20260204T091646.s"), header+"Debug: seen by one\nInfo: End Logfile\n")
	wantText(t, h.text("new", "mail.current"), header+"Debug: seen by two\n")
	for _, link := range []string{"mail_logs/mail.current", "gone/mail.current"} {
		if _, err := os.Lstat(filepath.Join(h.dir, link)); !os.IsNotExist(err) {
			t.Errorf("%s is still there", link)
		}
	}
}

func TestRestartGoesOnWithTheFile(t *testing.T) {
	h := newHarness(t, mail)
	h.infof("before")
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h.infof("lost in time")
	h.clock.Add(time.Hour)
	h.reopen(mail)
	h.infof("after")
	wantText(t, strings.Join(h.files("mail_logs"), " "), "mail.@20260204T091646.current")
	wantText(t, h.text("mail_logs", "mail.current"), header+"Info: before\n"+header+"Info: after\n")
}

func TestCrashLeftHalfALine_ItIsCutOff(t *testing.T) {
	for _, tail := range []string{"Wed Feb  4 09:16:46 2026 Info: MID 1", strings.Repeat("\x00", 10000)} {
		h := newHarness(t, mail)
		h.infof("before")
		f, err := os.OpenFile(filepath.Join(h.dir, "mail_logs", "mail.current"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(tail); err != nil {
			t.Fatal(err)
		}
		f.Close()
		h.reopen(mail)
		wantText(t, h.text("mail_logs", "mail.current"), header+"Info: before\n"+header)
	}
}

func TestCrashInRollover_BothFilesAreCurrent(t *testing.T) {
	h := newHarness(t, mail)
	h.infof("before")
	newer := filepath.Join(h.dir, "mail_logs", "mail.@20260204T091650.current")
	if err := os.WriteFile(newer, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h.reopen(mail)
	wantText(t, strings.Join(h.files("mail_logs"), " "), "mail.@20260204T091646.s mail.@20260204T091650.current")
	wantText(t, h.text("mail_logs", "mail.current"), header)
}

func TestClockGoesBack_NamesDoNot(t *testing.T) {
	h := newHarness(t, mail)
	h.clock.Add(-2 * time.Hour)
	if err := h.Rollover("mail_logs"); err != nil {
		t.Fatal(err)
	}
	wantText(t, strings.Join(h.files("mail_logs"), " "), "mail.@20260204T091646.s mail.@20260204T091647.current")
}

func TestBadSubscriptions(t *testing.T) {
	good := mail
	for _, tt := range []struct {
		name string
		sub  Subscription
	}{
		{"empty name", Subscription{"", TextMail, "mail", 3, 1 << 20, 10}},
		{"parent directory", Subscription{"..", TextMail, "mail", 3, 1 << 20, 10}},
		{"separator", Subscription{"a/b", TextMail, "mail", 3, 1 << 20, 10}},
		{"hidden", Subscription{".a", TextMail, "mail", 3, 1 << 20, 10}},
		{"too long", Subscription{strings.Repeat("a", 65), TextMail, "mail", 3, 1 << 20, 10}},
		{"file name leads out", Subscription{"a", TextMail, "../mail", 3, 1 << 20, 10}},
		{"file name with @", Subscription{"a", TextMail, "mail@", 3, 1 << 20, 10}},
		{"level 0", Subscription{"a", TextMail, "mail", 0, 1 << 20, 10}},
		{"level 6", Subscription{"a", TextMail, "mail", 6, 1 << 20, 10}},
		{"no kind", Subscription{"a", kinds, "mail", 3, 1 << 20, 10}},
		{"no room", Subscription{"a", TextMail, "mail", 3, 100, 10}},
		{"no file", Subscription{"a", TextMail, "mail", 3, 1 << 20, 0}},
		{"twice", good},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHarness(t, good)
			if err := h.Check([]Subscription{good, tt.sub}); err == nil {
				t.Error("Check accepts it")
			}
			if err := h.Configure([]Subscription{good, tt.sub}, Settings{}); err == nil {
				t.Error("Configure accepts it")
			}
			h.infof("still written")
			wantText(t, h.text("mail_logs", "mail.current"), header+"Info: still written\n")
		})
	}
}

func TestCheckFindsDirectoryThatCannotBeMade(t *testing.T) {
	h := newHarness(t, mail)
	if err := os.WriteFile(filepath.Join(h.dir, "taken"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	bad := mail
	bad.Name = "taken"
	if err := h.Check([]Subscription{mail, bad}); err == nil {
		t.Error("Check sees nothing")
	}
	if err := h.Check([]Subscription{mail}); err != nil {
		t.Error(err)
	}
}

// grepAll gives all lines of a log that match, without the times.
func (h *harness) grepAll(name, pattern string) []string {
	h.t.Helper()
	var out bytes.Buffer
	if _, err := h.Grep(context.Background(), Search{Log: name, Expression: regexp.MustCompile(pattern)}, &out); err != nil {
		h.t.Fatal(err)
	}
	text := stampPattern.ReplaceAllString(out.String(), "")
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// TestNoLineLostOrTorn writes from several goroutines while subscriptions
// change and files roll over, and wants every line once and in order.
func TestNoLineLostOrTorn(t *testing.T) {
	const writers, lines = 4, 500
	sub := Subscription{"mail_logs", TextMail, "mail", Information, 64 << 10, 1 << 20} // none is dropped, however often they roll over
	other := Subscription{"other", TextMail, "mail", Debug, 8 << 10, 2}
	h := newHarness(t, sub)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range lines {
				h.infof("writer %d line %d", w, i)
				if i%20 == 0 {
					h.clock.Add(time.Second)
				}
			}
		})
	}
	written := make(chan struct{})
	go func() { wg.Wait(); close(written) }()
	for i := 0; ; i++ {
		select {
		case <-written:
			checkLines(t, h.grepAll("mail_logs", "writer"), writers, lines)
			return
		default:
		}
		var err error
		switch i % 4 {
		case 0:
			err = h.Configure([]Subscription{sub, other}, Settings{})
		case 1:
			err = h.Rollover("mail_logs")
		case 2:
			err = h.Configure([]Subscription{sub}, Settings{})
		case 3:
			sub.FileName = fmt.Sprintf("mail%d", i%3)
			err = h.Configure([]Subscription{sub}, Settings{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// checkLines wants lines 0, 1, 2, … of each writer in this order.
func checkLines(t *testing.T, got []string, writers, lines int) {
	t.Helper()
	next := make([]int, writers)
	for _, text := range got {
		var w, i int
		if _, err := fmt.Sscanf(text+"\n", "Info: writer %d line %d\n", &w, &i); err != nil {
			t.Fatalf("torn line %q", text)
		}
		if next[w] != i {
			t.Fatalf("writer %d: line %d where %d should be", w, i, next[w])
		}
		next[w]++
	}
	for w, n := range next {
		if n != lines {
			t.Errorf("writer %d: %d lines of %d", w, n, lines)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	for _, n := range []int{0, 1, 2} {
		b.Run(fmt.Sprintf("subscriptions=%d", n), func(b *testing.B) {
			var subs []Subscription
			for i := range n {
				subs = append(subs, Subscription{fmt.Sprintf("log%d", i), TextMail, "mail", Information, 10 << 20, 2})
			}
			l, err := Open(b.TempDir(), Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			if err := l.Configure(subs, Settings{}); err != nil {
				b.Fatal(err)
			}
			const text = "MID 12345678 ICID 87654321 RID 0 To: <somebody@mail.example.com>"
			b.ReportAllocs()
			for b.Loop() {
				l.put(TextMail, Information, text)
			}
		})
	}
}

func BenchmarkEvent(b *testing.B) {
	l, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	if err := l.Configure([]Subscription{mail}, Settings{}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Queued(12345678)
		}
	})
}
