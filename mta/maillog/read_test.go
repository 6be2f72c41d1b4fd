package maillog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// patience bounds every wait for a line that must come.
const patience = 30 * time.Second

// follower reads what Follow or a tailing Grep writes, line by line.
type follower struct {
	t     *testing.T
	lines chan string
	stop  context.CancelFunc
	done  chan error
}

func follow(t *testing.T, start func(context.Context, io.Writer) error) *follower {
	ctx, stop := context.WithCancel(context.Background())
	f := &follower{t: t, lines: make(chan string, 1000), stop: stop, done: make(chan error, 1)}
	go func() { f.done <- start(ctx, f) }()
	t.Cleanup(stop)
	return f
}

func (f *follower) Write(p []byte) (int, error) {
	for text := range strings.SplitAfterSeq(string(p), "\n") {
		if text != "" {
			f.lines <- stampPattern.ReplaceAllString(strings.TrimSuffix(text, "\n"), "")
		}
	}
	return len(p), nil
}

func (f *follower) want(lines ...string) {
	f.t.Helper()
	for _, want := range lines {
		if got := f.next(want); got != want {
			f.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// next gives the next line. Where all is over, the lines from before come first.
func (f *follower) next(want string) string {
	f.t.Helper()
	select {
	case got := <-f.lines:
		return got
	case err := <-f.done:
		f.done <- err // for wantEnd
		select {
		case got := <-f.lines:
			return got
		default:
			f.t.Fatalf("ended with %v, want %q", err, want)
		}
	case <-time.After(patience):
		f.t.Fatalf("nothing comes, want %q", want)
	}
	return ""
}

func (f *follower) wantEnd(want error) {
	f.t.Helper()
	select {
	case err := <-f.done:
		if (err == nil) != (want == nil) || want != nil && err.Error() != want.Error() {
			f.t.Errorf("ended with %v, want %v", err, want)
		}
	case <-time.After(patience):
		f.t.Fatal("does not end")
	}
}

func TestFollow(t *testing.T) {
	h := newHarness(t, mail)
	for i := range 30 {
		h.infof("old %d", i)
	}
	f := follow(t, func(ctx context.Context, w io.Writer) error { return h.Follow(ctx, "mail_logs", w) })
	for i := range 10 {
		f.want("Info: old " + string(rune('0'+2)) + string(rune('0'+i)))
	}
	h.infof("new 1")
	f.want("Info: new 1")
	if err := h.Rollover("mail_logs"); err != nil {
		t.Fatal(err)
	}
	if err := h.Rollover("mail_logs"); err != nil {
		t.Fatal(err)
	}
	h.infof("new 2")
	head := strings.Split(strings.TrimSpace(header), "\n")
	f.want("Info: End Logfile")
	f.want(head...)
	f.want("Info: End Logfile")
	f.want(head...)
	f.want("Info: new 2")
	f.stop()
	f.wantEnd(nil)
}

func TestFollowShortLog(t *testing.T) {
	h := newHarness(t, mail)
	f := follow(t, func(ctx context.Context, w io.Writer) error { return h.Follow(ctx, "mail_logs", w) })
	f.want(strings.Split(strings.TrimSpace(header), "\n")...)
	h.infof("new")
	f.want("Info: new")
}

func TestFollowEndsWithTheSubscription(t *testing.T) {
	h := newHarness(t, mail)
	f := follow(t, func(ctx context.Context, w io.Writer) error { return h.Follow(ctx, "mail_logs", w) })
	f.want(strings.Split(strings.TrimSpace(header), "\n")...)
	if err := h.Configure(nil, Settings{}); err != nil {
		t.Fatal(err)
	}
	f.want("Info: End Logfile")
	f.wantEnd(unknown("mail_logs"))
}

func TestFollowEndsWithTheLog(t *testing.T) {
	h := newHarness(t, mail)
	f := follow(t, func(ctx context.Context, w io.Writer) error { return h.Follow(ctx, "mail_logs", w) })
	f.want(strings.Split(strings.TrimSpace(header), "\n")...)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	f.wantEnd(errClosed)
}

func TestFollowEndsWithItsWriter(t *testing.T) {
	h := newHarness(t, mail)
	r, w := io.Pipe()
	r.Close()
	if err := h.Follow(context.Background(), "mail_logs", w); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("ended with %v", err)
	}
}

// TestFollowLosesNothing follows a log that rolls over all the time.
func TestFollowLosesNothing(t *testing.T) {
	h := newHarness(t, Subscription{"mail_logs", TextMail, "mail", Information, 4096, 1000})
	f := follow(t, func(ctx context.Context, w io.Writer) error {
		_, err := h.Grep(ctx, Search{Log: "mail_logs", Expression: regexp.MustCompile("writer"), Tail: true}, w)
		return err
	})
	const lines = 2000
	go func() {
		for i := range lines {
			h.infof("writer 0 line %d", i)
		}
	}()
	var got []string
	for range lines {
		select {
		case text := <-f.lines:
			got = append(got, text)
		case <-time.After(patience):
			t.Fatalf("nothing more comes after %d lines", len(got))
		}
	}
	checkLines(t, got, 1, lines)
	f.stop()
	f.wantEnd(nil)
}

func TestGrep(t *testing.T) {
	h := newHarness(t, mail)
	for _, text := range []string{"a0", "a1", "match 1", "a2", "a3", "a4", "match 2", "match 3", "a5"} {
		h.infof("%s", text)
		if text == "a2" {
			if err := h.Rollover("mail_logs"); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		name, pattern string
		o             Search
		matches       int
		want          string
	}{
		{"plain", `match \d`, Search{}, 3, "match 1|match 2|match 3"},
		{"whole line", `^\w{3} Feb  4 .* Info: a[05]$`, Search{}, 2, "a0|a5"},
		{"invert", `match|Log|Version|Time|a[1-5]`, Search{Invert: true}, 1, "a0"},
		{"context", "match", Search{Context: 1}, 3, "a1|match 1|a2|--|a4|match 2|match 3|a5"},
		{"context touches", "a1|a2", Search{Context: 1}, 2, "a0|a1|match 1|a2|End Logfile"},
		{"none", "nothing", Search{Context: 3}, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			search := tt.o
			search.Log, search.Expression = "mail_logs", regexp.MustCompile(tt.pattern)
			n, err := h.Grep(context.Background(), search, &out)
			if err != nil || n != tt.matches {
				t.Errorf("%d matches, error %v; want %d", n, err, tt.matches)
			}
			text := strings.ReplaceAll(stampPattern.ReplaceAllString(out.String(), ""), "Info: ", "")
			wantText(t, strings.TrimSuffix(strings.ReplaceAll(text, "\n", "|"), "|"), tt.want)
		})
	}
}

func TestReadingWithoutConfigure(t *testing.T) {
	h := newHarness(t, mail)
	h.infof("here")
	other, err := Open(h.dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	n, err := other.Grep(context.Background(), Search{Log: "mail_logs", Expression: regexp.MustCompile("here")}, &out)
	if n != 1 || err != nil {
		t.Errorf("%d matches, error %v", n, err)
	}
	for _, name := range []string{"nothing", "..", "", "a/b"} {
		if _, err := other.Files(name); err == nil {
			t.Errorf("Files(%q) gives no error", name)
		}
		if err := other.Follow(context.Background(), name, io.Discard); err == nil {
			t.Errorf("Follow(%q) gives no error", name)
		}
	}
}

// TestForeignFile: somebody else's bytes reach no terminal and no limit.
func TestForeignFile(t *testing.T) {
	h := newHarness(t, mail)
	long := strings.Repeat("x", 3*maxLine)
	text := "\x1b[2J bad\r\n" + long + "\nwithout end"
	path := filepath.Join(h.dir, "mail_logs", "mail.@20200101T000000.c")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got := h.grepAll("mail_logs", "bad|xxx|without end")
	if len(got) != 3 || got[0] != `\x1b[2J bad\r` || got[1] != long[:maxLine] || got[2] != "without end" {
		t.Errorf("%d lines: %.200q", len(got), got)
	}
}

func TestGrepEndsWithItsContext(t *testing.T) {
	h := newHarness(t, mail)
	ctx, stop := context.WithCancel(context.Background())
	stop()
	_, err := h.Grep(ctx, Search{Log: "mail_logs", Expression: regexp.MustCompile("x")}, io.Discard)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
