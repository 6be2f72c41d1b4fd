// Package queue keeps accepted mail until every recipient is settled, and
// decides when each is tried.
//
// The store, behind a handful of calls (add, read, note, done, aside, close):
//
//	disk.go     what is asked of the file system
//	file.go     one file per message: header, envelope, body
//	journal.go  beside it, from the first failure on, what became of its recipients
//	syncer.go   one sync for all that wait
//	spare.go    files of finished messages, for later ones
//	store.go    where files are, and what is found at start
//	add.go      a message on its way into the store
//
// The scheduler, on top:
//
//	lot.go          recipients of one message and one destination: what an attempt takes
//	destination.go  concurrency, hosts that are down, who is next
//	quota.go        recipients per interval, and where limits are counted
//	schedule.go     what is due, and in which order
//	run.go          recovery, workers, shutdown
//	attempt.go      one attempt, from the word that it begins to its outcome
//	settle.go       what outcomes mean for recipients and log
//	tally.go        what they mean for counters, in all and by destination
//	notice.go       bounces and delay warnings
//	fault.go        what is wrong with the store
//	view.go         what operators see
//	act.go          what they do to mail that waits: delete, bounce, send elsewhere, try now
//	suspend.go      and to destinations
//
// What holds after any crash (reliability R1–R6): a message whose Commit
// returned nil is there whole; one whose Commit failed or never came is not
// delivered; a recipient is tried again only if the crash came between the
// next hop's answer and the journal's record of it.
//
// Time: within the process everything runs on the monotonic clock. Times on
// disk are wall time; when they are read back they are clamped to what the
// profile allows, so a clock that jumped neither expires nor freezes anything
// (R17). A recipient found at start expires only after one more attempt.
//
// # Where the time goes
//
// Looked at with pprof under make bench (1 KB, 20 sessions, ext4 without a
// journal, two cores shared with others, hence processor time and not rates)
// and with BenchmarkThrough, which is this package alone. What was found, and
// what was done about it:
//
//   - Half of the gateway's time was in system calls. Making and removing files
//     was a quarter of all on a disk that had rested, and 71 % after some ten
//     thousand removals: a new inode passes over each that was freed in the last
//     minutes. Files are used again instead (spare.go). A message costs this
//     package 93–102 µs of processor time instead of 187–289, and the whole
//     gateway 0.20–0.29 ms instead of 0.36–1.3.
//   - The first attempt opened the file again to mark it and to read it. A fresh
//     file stays open until it has ended, which is also what lets a file be used
//     again without opening it: six system calls a message.
//   - In a burst a destination that begins with five attempts at once left the
//     others to be read back: 8 % of the profile. A few dozen wait in memory
//     now (plan.keep), and nothing is read back until more than that wait.
//   - The free space was asked for twice a message, the removal of a journal
//     that never was once: 2 % each. A glance holds 50 ms where there is plenty;
//     the queue knows which messages have a journal.
//   - Each attempt had a new goroutine, whose stack had to grow, and woke the
//     scheduler at its end. Who ends an attempt begins the next that is due.
//   - Of a message of 1 MB a fifth was the search for bare line ends and 8-bit
//     bytes (mta/message): 242 MB a second, now 400.
//
// Tried and left out: to hold back a sync until those whom the last one released
// are back. With syncs of 5 ms that came to the same 0.10 syncs a message at 20
// sessions: to receive their next messages takes longer than it pays to wait.
// What is left is the network and the file system's own work.
package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"esa/mta/bounce"
	"esa/mta/counters"
	"esa/mta/envelope"
	"esa/mta/maillog"
)

// Errors that callers tell apart. Any other error of Begin, Write or Commit is
// a fault of ours too: the message is not kept, the client may try again.
var (
	ErrNoSpace = errors.New("no space for the queue") // bytes, inodes, quota, or the reserve
	ErrNewer   = errors.New("written by a newer version")
	ErrClosed  = errors.New("queue is closed")
)

// Courier makes one delivery attempt. It returns one Outcome per recipient of
// the job; a missing one counts as Deferred. It must not change job.Message.
// When ctx ends it comes to an end within its own bounds.
type Courier interface {
	Deliver(ctx context.Context, job envelope.Job) []envelope.Outcome
}

// Options are what a Queue is opened with and keeps.
type Options struct {
	Dir      string
	Courier  Courier
	Log      *maillog.Log
	Counters *counters.Counters
	Clock    func() time.Time // wall time; nil: time.Now
	Diag     *slog.Logger     // nil: nobody
	Hostname func() string    // of this gateway, for notices; nil: "localhost"
	KeepOpen int              // descriptors that may be kept between two uses of a file; 0: 256
	Fault    func(Fault)      // is told of faults of the store, from many goroutines; must not wait; nil: nobody
}

// HostRetry is how long a destination whose hosts are all down waits.
type HostRetry struct {
	Initial, Max time.Duration
}

// Policy is what a configuration says about the queue. Zero fields take the
// factory values. Its functions are called from many goroutines.
type Policy struct {
	Concurrency    int                                                     // attempts at once
	TLSConcurrency int                                                     // of those, for destinations that use TLS
	Limits         func(domain string) Limits                              // of one destination
	Interface      string                                                  // that mail leaves by now, where Limits are counted for each
	Profile        func(m *envelope.Message, domain string) bounce.Profile // the bounce profile of a message for a destination
	HostRetry      HostRetry                                               // 60 s doubling to 3600 s
	PerFileSync    bool                                                    // fsync each file, from now on, instead of one syncfs for all that wait
	BounceDown     bool                                                    // bounce all mail for a domain whose host is down
	MaxMessage     int64                                                   // largest message a listener takes: Begin keeps 1.5 times of it free (R8)
}

// Limits bound what goes to one domain. Mail that meets one waits; it is never
// a reason to bounce.
type Limits struct {
	Concurrency  int // attempts at once; 0: 500
	Recipients   int // that are tried within Interval; 0: any number
	Interval     time.Duration
	PerInterface bool // each for every interface that mail leaves by
	TLS          bool // its attempts count for Policy.TLSConcurrency, whatever comes of STARTTLS
}

// Factory values of Policy.
const (
	defaultConcurrency            = 10000
	defaultTLSConcurrency         = 100
	defaultDestinationConcurrency = 500
	defaultMaxMessage             = 10 << 20
)

// defaultKeepOpen is that of Options.
const defaultKeepOpen = 256

func (p Policy) withDefaults() *Policy {
	if p.Concurrency <= 0 {
		p.Concurrency = defaultConcurrency
	}
	if p.TLSConcurrency <= 0 {
		p.TLSConcurrency = defaultTLSConcurrency
	}
	if p.Limits == nil {
		p.Limits = func(string) Limits { return Limits{} }
	}
	if p.Profile == nil {
		p.Profile = func(*envelope.Message, string) bounce.Profile { return bounce.Default() }
	}
	if p.HostRetry.Initial <= 0 {
		p.HostRetry.Initial = time.Minute
	}
	if p.HostRetry.Max <= 0 {
		p.HostRetry.Max = time.Hour
	}
	if p.MaxMessage <= 0 {
		p.MaxMessage = defaultMaxMessage
	}
	return &p
}

// Queue is the queue of one data directory. All methods are safe for
// concurrent use.
type Queue struct {
	o      Options
	store  *store
	policy atomic.Pointer[Policy]
	opened time.Time     // with its monotonic part: the zero of steady time
	wake   chan struct{} // something may be due

	tallies tallies

	mu      sync.Mutex
	plan    plan          // guarded by mu
	alarm   time.Duration // when the scheduler looks again by itself, steady time
	running bool
	ending  bool // Run waits for what is under way
	closed  bool

	workers sync.WaitGroup
}

// Open opens or creates the store. It lists the files, so that no id found
// there is given out again, and reads none of them: Run does.
func Open(o Options) (*Queue, error) {
	return open(o, osDisk{})
}

func open(o Options, d disk) (*Queue, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Diag == nil {
		o.Diag = slog.New(slog.DiscardHandler)
	}
	if o.Hostname == nil {
		o.Hostname = func() string { return "localhost" }
	}
	if o.KeepOpen <= 0 {
		o.KeepOpen = defaultKeepOpen
	}
	s, err := openStore(storeOptions{dir: o.Dir, disk: d, diag: o.Diag})
	if err != nil {
		return nil, fmt.Errorf("opening queue %s: %w", o.Dir, err)
	}
	q := &Queue{o: o, store: s, opened: time.Now(), wake: make(chan struct{}, 1), plan: newPlan()}
	// One half for files that wait for an attempt, one for those that wait for
	// a message.
	q.plan.maxHeld, s.spares.most = o.KeepOpen/2, o.KeepOpen/2
	q.Configure(Policy{})
	o.Counters.Floor(s.highest())
	q.plan.unread = len(s.found)
	return q, nil
}

// Configure puts a policy into effect for everything that starts from now on.
func (q *Queue) Configure(p Policy) {
	q.store.each.Store(p.PerFileSync)
	q.policy.Store(p.withDefaults())
	q.signal()
}

// Close ends the use of the store. Run must have returned.
func (q *Queue) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running {
		return errors.New("closing queue: it still runs")
	}
	if q.closed {
		return nil
	}
	q.closed = true
	for _, it := range q.plan.items {
		q.store.release(it)
	}
	return q.store.close()
}

// Draft is a message on its way into the queue. It is used by one goroutine.
// Exactly one of Commit and Abort ends it; Abort after Commit does nothing.
type Draft struct {
	q *Queue
	d *draft
}

// Begin starts a message. It fails with ErrNoSpace while the disk has less
// than the reserve, so that what is underway can end and bounces still fit.
func (q *Queue) Begin(m envelope.Message) (*Draft, error) {
	q.mu.Lock()
	closed := q.closed
	q.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	if m.MID == 0 {
		return nil, errors.New("queueing: message without id")
	}
	if err := q.store.reserve(q.policy.Load().MaxMessage); err != nil {
		q.tellFault(FaultRead, 0, err)
		return nil, err
	}
	return &Draft{q: q, d: q.store.begin(m)}, nil
}

// Room reports with ErrNoSpace that a message of this size would eat into the
// reserve. What Begin keeps free anyway is always asked for.
func (q *Queue) Room(size int64) error {
	usual := q.policy.Load().MaxMessage
	err := q.store.reserve(max(size, usual))
	if err != nil && size <= usual { // else it may be the client's wish that is too large
		q.tellFault(FaultRead, 0, err)
	}
	return err
}

// Write takes the message text: header and body with CRLF line ends.
func (d *Draft) Write(p []byte) (int, error) {
	n, err := d.d.write(p)
	if err != nil {
		d.q.tellFault(FaultWrite, d.d.begun.MID, err)
	}
	return n, err
}

// Commit takes the complete envelope and returns nil when the message is on
// stable storage and scheduled. After an error nothing of it is kept. Size is
// taken from what was written. The queue keeps the envelope: nobody may change
// its recipients afterwards.
func (d *Draft) Commit(final envelope.Message) error {
	if final.Received.IsZero() {
		final.Received = d.q.o.Clock()
	}
	d.q.mu.Lock()
	closed := d.q.closed
	d.q.mu.Unlock()
	if closed {
		return errors.Join(ErrClosed, d.d.abort())
	}
	final.Size = d.d.length
	file, err := d.d.commitOpen(final)
	if err != nil {
		d.q.tellFault(FaultWrite, final.MID, err)
		return err
	}
	// Before it can be tried: the log tells the two in this order.
	d.q.o.Log.Queued(final.MID)
	rec := newRecord(final)
	rec.body, rec.file, rec.size = d.d.body, file, d.d.size
	d.q.admit(rec, true)
	return nil
}

// Abort drops the message.
func (d *Draft) Abort() error { return d.d.abort() }

// steady is the time since the queue was opened, on the monotonic clock.
func (q *Queue) steady() time.Duration { return time.Since(q.opened) }

// signal makes the scheduler look again.
func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
