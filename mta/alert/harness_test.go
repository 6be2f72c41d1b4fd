package alert

import (
	"context"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"esa/mta/envelope"
)

// harness is a world whose clock moves only when it is told.
type harness struct {
	t    *testing.T
	path string
	now  time.Time
	set  Settings
	post *post
	*Alerts
}

var (
	ops    = envelope.Address{Local: "ops", Domain: "example.com"}
	boss   = envelope.Address{Local: "boss", Domain: "example.org"}
	epoch  = time.Date(2026, time.March, 2, 9, 30, 0, 0, time.UTC)
	broken = Alert{Class: System, Severity: Warning, Name: "tls-required", About: "example.net", Summary: "A required TLS connection to example.net failed.", Details: []string{"Host: mx.example.net"}}
)

func newHarness(t *testing.T) *harness {
	t.Helper()
	h := &harness{t: t, path: filepath.Join(t.TempDir(), "alerts"), now: epoch, post: &post{}}
	h.set = Settings{Hostname: "gw.example.com", Recipients: []Recipient{{Address: ops}}, Initial: 5 * time.Minute, Max: time.Hour, Keep: 50}
	h.reopen()
	h.Configure(h.set)
	return h
}

// reopen goes on as another process would.
func (h *harness) reopen() {
	h.t.Helper()
	var mids atomic.Uint64
	var err error
	h.Alerts, err = Open(Options{
		Path: h.path, Courier: h.post, Version: "1.2", Serial: "S-1",
		Clock:   func() time.Time { return h.now },
		NextMID: func() envelope.MID { return envelope.MID(mids.Add(1)) },
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) restart() {
	h.t.Helper()
	h.reopen()
	h.Configure(h.set)
}

// after lets time pass, does what is due and gives the subjects and texts of
// what was mailed.
func (h *harness) after(d time.Duration) []string {
	h.t.Helper()
	h.now = h.now.Add(d)
	before := h.post.count()
	for n := -1; n != h.post.count(); { // until nothing more leaves
		n = h.post.count()
		h.pass(h.t.Context())
		h.senders.Wait()
	}
	h.save(h.collect())
	return h.post.texts()[before:]
}

// post is the courier: it takes everything, or answers with fail.
type post struct {
	mu    sync.Mutex
	jobs  []envelope.Job
	mails []string
	fail  func(envelope.Job) envelope.Outcome
}

func (p *post) Deliver(_ context.Context, job envelope.Job) []envelope.Outcome {
	r, _ := job.Body()
	text, _ := io.ReadAll(r)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.jobs = append(p.jobs, job)
	p.mails = append(p.mails, string(text))
	if p.fail != nil {
		return []envelope.Outcome{p.fail(job)}
	}
	return []envelope.Outcome{{Result: envelope.Delivered}}
}

func (p *post) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.mails)
}

func (p *post) texts() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.mails)
}

// subjects gives the subject of each mail.
func subjects(mails []string) []string {
	var all []string
	for _, m := range mails {
		_, rest, _ := strings.Cut(m, "\r\nSubject: ")
		subject, _, _ := strings.Cut(rest, "\r\n")
		all = append(all, subject)
	}
	return all
}

func (h *harness) wantCount(what string, mails []string, want int) {
	h.t.Helper()
	if len(mails) != want {
		h.t.Errorf("%s: %d mails, want %d: %q", what, len(mails), want, subjects(mails))
	}
}
