package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"esa/mta/counters"
	"esa/mta/envelope"
	"esa/mta/maillog"
)

// rig is a queue under test with all that it needs.
type rig struct {
	*Queue
	t        testing.TB
	dir      string
	counters *counters.Counters
	log      *maillog.Log
	stop     context.CancelFunc
	ended    chan error
}

// setup says what a rig is made of; the zero value is usual.
type setup struct {
	dir     string // keeps queue, log and counters; empty: a new one
	courier Courier
	clock   func() time.Time
	disk    disk
	diag    *slog.Logger
	perFile bool
	fault   func(Fault)
}

func (s setup) open(t testing.TB) *rig {
	t.Helper()
	r, err := s.tryOpen(t)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (s setup) tryOpen(t testing.TB) (*rig, error) {
	t.Helper()
	if s.dir == "" {
		s.dir = t.TempDir()
	}
	if s.disk == nil {
		s.disk = &faultDisk{}
	}
	if s.courier == nil {
		s.courier = &courier{}
	}
	c, err := counters.Open(filepath.Join(s.dir, "counters"), s.clock)
	if err != nil {
		t.Fatal(err)
	}
	log, err := maillog.Open(filepath.Join(s.dir, "logs"), maillog.Options{Clock: s.clock})
	if err != nil {
		t.Fatal(err)
	}
	err = log.Configure([]maillog.Subscription{
		{Name: "mail_logs", FileName: "mail", Level: maillog.Information, MaxSize: 100 << 20, MaxFiles: 10},
	}, maillog.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	q, err := open(Options{
		Dir: filepath.Join(s.dir, "queue"), Courier: s.courier, Log: log, Counters: c, Clock: s.clock,
		Diag: s.diag, Hostname: func() string { return "gw.test" },
		Fault: s.fault,
	}, s.disk)
	if err != nil {
		log.Close()
		return nil, err
	}
	q.Configure(Policy{PerFileSync: s.perFile})
	return &rig{Queue: q, t: t, dir: s.dir, counters: c, log: log}, nil
}

// run starts the queue.
func (r *rig) run() *rig {
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	r.ended = make(chan error, 1)
	go func() { r.ended <- r.Run(ctx) }()
	return r
}

// close ends everything in order.
func (r *rig) close() {
	r.t.Helper()
	if r.stop != nil {
		r.stop()
		if err := <-r.ended; err != nil {
			r.t.Error(err)
		}
	}
	for _, err := range []error{r.Close(), r.counters.Close(), r.log.Close()} {
		if err != nil {
			r.t.Error(err)
		}
	}
}

// lines gives the mail log without times and headers.
func (r *rig) lines() []string {
	r.t.Helper()
	var lines []string
	for _, line := range r.raw() {
		if _, rest, ok := strings.Cut(line, "Info: "); ok && !isFrame(rest) {
			lines = append(lines, strings.TrimRight(rest, " "))
		}
	}
	return lines
}

// raw gives all lines of the mail log.
func (r *rig) raw() []string {
	r.t.Helper()
	files, err := filepath.Glob(filepath.Join(r.dir, "logs", "mail_logs", "mail.@*"))
	if err != nil || len(files) == 0 {
		r.t.Fatal("no mail log", err)
	}
	var lines []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			r.t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// isFrame reports whether a log line is about the log.
func isFrame(line string) bool {
	return strings.HasPrefix(line, "Begin Logfile") || strings.HasPrefix(line, "Version:") ||
		strings.HasPrefix(line, "Time offset") || strings.HasPrefix(line, "End Logfile")
}

// with gives the log lines that hold word.
func (r *rig) with(word string) []string {
	r.t.Helper()
	var found []string
	for _, l := range r.lines() {
		if strings.Contains(l, word) {
			found = append(found, l)
		}
	}
	return found
}

// message makes an envelope from a sender and recipients, as "user@domain".
func (r *rig) message(from string, to ...string) envelope.Message {
	return message(r.counters.NextMID(), from, to...)
}

func message(mid envelope.MID, from string, to ...string) envelope.Message {
	m := envelope.Message{MID: mid, ICID: 1, Sender: address(from), Listener: "OutgoingMail"}
	for i, a := range to {
		m.Recipients = append(m.Recipients, envelope.Recipient{RID: envelope.RID(i), Address: address(a)})
	}
	return m
}

func address(s string) envelope.Address {
	local, domain, _ := strings.Cut(s, "@")
	return envelope.Address{Local: local, Domain: domain}
}

const bodyText = "Subject: test\r\n\r\nHello.\r\n"

// add queues a message.
func (r *rig) add(m envelope.Message) envelope.MID {
	r.t.Helper()
	if err := r.tryAdd(m, bodyText); err != nil {
		r.t.Fatal(err)
	}
	return m.MID
}

func (r *rig) tryAdd(m envelope.Message, body string) error {
	d, err := r.Begin(m)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(d, body); err != nil {
		return errors.Join(err, d.Abort())
	}
	return d.Commit(m)
}

// courier is a next hop: it answers by its function and remembers.
type courier struct {
	answer func(job envelope.Job, to envelope.Recipient) envelope.Outcome // nil: all delivered

	mu   sync.Mutex
	jobs []tried
}

// tried is an attempt that a courier saw.
type tried struct {
	at   time.Time
	mid  envelope.MID
	job  envelope.Job
	body string
}

func (c *courier) Deliver(_ context.Context, job envelope.Job) []envelope.Outcome {
	seen := tried{at: time.Now(), mid: job.Message.MID, job: job}
	if body, err := job.Body(); err == nil {
		b, err := io.ReadAll(body)
		if err = errors.Join(err, body.Close()); err == nil {
			seen.body = string(b)
		}
	}
	c.mu.Lock()
	c.jobs = append(c.jobs, seen)
	c.mu.Unlock()
	var outs []envelope.Outcome
	for _, to := range job.Recipients {
		out := envelope.Outcome{Result: envelope.Delivered, DCID: 1}
		if c.answer != nil {
			out = c.answer(job, to)
		}
		out.RID = to.RID
		outs = append(outs, out)
	}
	return outs
}

func (c *courier) seen() []tried {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]tried(nil), c.jobs...)
}

// deliver is a function as a Courier.
type deliver func(ctx context.Context, job envelope.Job) []envelope.Outcome

func (f deliver) Deliver(ctx context.Context, job envelope.Job) []envelope.Outcome {
	return f(ctx, job)
}

// The usual outcomes.
func accepted() envelope.Outcome {
	return envelope.Outcome{Result: envelope.Delivered, DCID: 1, Reply: "ok"}
}

func refused() envelope.Outcome {
	return envelope.Outcome{Result: envelope.Bounced, DCID: 1, Failure: envelope.Failure{
		Permanent: true, Code: 550, Enhanced: "5.1.0", Phrase: "Unknown address error",
		Reason: envelope.ReasonRefused, Reply: []string{"no such user"}, Host: "mx.test",
	}}
}

func busy() envelope.Outcome {
	return envelope.Outcome{DCID: 1, Failure: envelope.Failure{
		Code: 451, Enhanced: "4.3.0", Phrase: "Other mail system problem",
		Reason: envelope.ReasonDeferred, Reply: []string{"later"}, Host: "mx.test",
	}}
}

func hostDown() envelope.Outcome {
	return envelope.Outcome{HostDown: true, Failure: envelope.Failure{
		Enhanced: "4.4.0", Phrase: "Other network problem", Reason: envelope.ReasonTimeout, Reply: []string{"timeout"},
	}}
}

// always answers every recipient alike.
func always(out func() envelope.Outcome) func(envelope.Job, envelope.Recipient) envelope.Outcome {
	return func(envelope.Job, envelope.Recipient) envelope.Outcome { return out() }
}

var errStaged = errors.New("staged fault")

// faultDisk is a disk that fails when it is told to, and does not wait for
// real syncs: what a test must not count on is staged, not waited for.
type faultDisk struct {
	osDisk
	fail  func(op, path string) error // asked before each operation; nil: never
	steps atomic.Int64                // operations that change the disk
	dieAt int64                       // from this step on nothing happens any more; 0: never
	died  time.Time                   // when that was; to be read when nobody uses the disk any more
}

// step counts an operation that changes the disk and says whether it happens.
func (d *faultDisk) step(op, path string) error {
	n := d.steps.Add(1)
	if d.dieAt > 0 && n >= d.dieAt {
		if n == d.dieAt {
			d.died = time.Now()
		}
		return fmt.Errorf("%s %s: %w", op, filepath.Base(path), errStaged)
	}
	if d.fail != nil {
		return d.fail(op, path)
	}
	return nil
}

// dead reports whether nothing happens any more.
func (d *faultDisk) dead() bool { return d.dieAt > 0 && d.steps.Load() >= d.dieAt }

func (d *faultDisk) create(path string) (diskFile, error) {
	if err := d.step("create", path); err != nil {
		return nil, err
	}
	f, err := d.osDisk.create(path)
	if err != nil {
		return nil, err
	}
	return &faultFile{f, d, path}, nil
}

func (d *faultDisk) appendTo(path string, line []byte) error {
	if err := d.step("append", path); err != nil {
		return err
	}
	return d.osDisk.appendTo(path, line)
}

func (d *faultDisk) writeAt(path string, b byte, at int64) error {
	if err := d.step("mark", path); err != nil {
		return err
	}
	return d.osDisk.writeAt(path, b, at)
}

func (d *faultDisk) remove(path string) error {
	if err := d.step("remove", path); err != nil {
		return err
	}
	return d.osDisk.remove(path)
}

func (d *faultDisk) rename(from, to string) error {
	if err := d.step("rename", from); err != nil {
		return err
	}
	return d.osDisk.rename(from, to)
}

func (d *faultDisk) claim(from, to string) error {
	if err := d.step("claim", to); err != nil {
		return err
	}
	return d.osDisk.claim(from, to)
}

func (d *faultDisk) open(path string) (diskReader, error) {
	if d.fail != nil {
		if err := d.fail("open", path); err != nil {
			return nil, err
		}
	}
	return d.osDisk.open(path)
}

func (d *faultDisk) openSystem(path string) (syncHandle, error) {
	if d.fail != nil {
		if err := d.fail("opensystem", path); err != nil {
			return nil, err
		}
	}
	return d.openDir(path)
}

func (d *faultDisk) openDir(path string) (syncHandle, error) {
	h, err := d.osDisk.openDir(path)
	if err != nil {
		return nil, err
	}
	return &faultHandle{h, d, path}, nil
}

func (d *faultDisk) free(path string) (space, error) {
	if d.fail != nil {
		if err := d.fail("free", path); err != nil {
			return space{}, err
		}
	}
	return d.osDisk.free(path)
}

type faultHandle struct {
	syncHandle
	d    *faultDisk
	path string
}

func (h *faultHandle) Sync() error {
	if err := h.d.step("sync", h.path); err != nil {
		return err
	}
	return nil
}

type faultFile struct {
	diskFile
	d    *faultDisk
	path string
}

func (f *faultFile) Write(p []byte) (int, error) {
	if err := f.d.step("write", f.path); err != nil {
		return 0, err
	}
	return f.diskFile.Write(p)
}

func (f *faultFile) WriteAt(p []byte, at int64) (int, error) {
	op := "writeat"
	if at == markOffset {
		op = "mark"
	}
	if err := f.d.step(op, f.path); err != nil {
		return 0, err
	}
	return f.diskFile.WriteAt(p, at)
}

func (f *faultFile) Truncate(size int64) error {
	if err := f.d.step("truncate", f.path); err != nil {
		return err
	}
	return f.diskFile.Truncate(size)
}

func (f *faultFile) Sync() error {
	if err := f.d.step("fsync", f.path); err != nil {
		return err
	}
	return nil
}

// files lists what is in the queue directory, without its frame.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(filepath.Join(dir, "queue"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != versionFile {
			rel, _ := filepath.Rel(filepath.Join(dir, "queue"), path)
			found = append(found, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
