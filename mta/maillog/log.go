// Package maillog writes the logs: one method per event of a message's journey,
// and of the operators' doings, in the words of the ESA, so that the tools
// written for its logs read ours. Numbers such as 2.3 are sections of the reference that
// the words come from; only this package knows how an event is spelt.
//
//	receiving.go   inbound connections and messages (2.3)
//	delivering.go  delivery, bounces (2.4)
//	system.go      the gateway itself (2.5)
//	resolving.go   DNS (2.5, 2.6)
//	auditing.go    operators: logins, what they type, commits (2.8)
//	escape.go      what came from the network, made harmless (2.1)
//	sink.go        the files of one subscription (2.1, 2.7)
//	read.go        reading them: tail and grep
//
// A line is written through: when the method returns, the kernel has it, and a
// gateway killed at any moment has lost none. Measured, a write(2) per line
// and subscription costs 0.6 µs; a buffer would save 0.5 µs and lose up to
// what it holds, among it the last word on messages that the queue has already
// removed. What a power failure leaves is up to the file system.
//
// A log never stands in the way of mail. What cannot be written is counted,
// tried again once a second, and told in the log itself when it works again.
package maillog

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// maxLine is how long a line may be, in bytes, its end included. The longest
// honest one lists some ten thousand recipients.
const maxLine = 128 << 10

// Options are what a Log is made with.
type Options struct {
	Clock   func() time.Time // lines have its time zone; nil: time.Now
	Version string           // for the header of every file
	Serial  string
	Diag    *slog.Logger // told when files cannot be written; nil: nobody
}

// Settings are the options of logconfig SETUP: what is written of a message
// beside its envelope.
type Settings struct {
	MessageID      bool
	Subject        bool
	RemoteResponse bool
}

// Log writes every event to the subscriptions that want it. All methods are
// safe for concurrent use; a nil *Log writes nothing.
type Log struct {
	dir  string
	o    Options
	view atomic.Pointer[view] // what an event looks at before it is spelt

	mu        sync.Mutex // from taking the time to the write: files are in order
	sinks     []*sink
	followers map[chan struct{}]string // told of every line of a subscription
	closed    bool
	second    int64  // the time stamp is of this second
	stamp     []byte // "Wed Nov 19 09:16:46 2014 "
	buf       []byte
	told      []func() // for Diag, once mu is free
}

// view is what Configure last set, for a look without lock.
type view struct {
	set     Settings
	deepest [kinds]Level // of all subscriptions of a kind; 0: nobody listens
}

// Open makes a Log that keeps each subscription in a directory under dir. It
// writes nothing before Configure.
func Open(dir string, o Options) (*Log, error) {
	if dir == "" {
		return nil, errors.New("opening mail log: no directory")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Diag == nil {
		o.Diag = slog.New(slog.DiscardHandler)
	}
	l := &Log{dir: dir, o: o, followers: make(map[chan struct{}]string)}
	l.view.Store(&view{})
	return l, nil
}

// Configure puts subscriptions and settings into effect: new ones begin a file
// or go on with the one they left, removed ones end theirs, changed ones obey
// from the next line on. No line is lost or torn. An error says which files
// could not be made; they are tried again, and all else is in effect.
func (l *Log) Configure(subs []Subscription, set Settings) error {
	if err := validate(subs); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.unlock()
	if l.closed {
		return errClosed
	}
	now := l.o.Clock()
	var errs []error
	var next []*sink
	v := view{set: set}
	for _, sub := range subs {
		s := l.sinkLocked(sub.Name)
		if s == nil {
			s = &sink{log: l, dir: filepath.Join(l.dir, sub.Name)}
		}
		errs = append(errs, s.configure(sub, now))
		next = append(next, s)
		v.deepest[sub.Kind] = max(v.deepest[sub.Kind], sub.Level)
	}
	for _, old := range l.sinks {
		if !contains(subs, old.sub.Name) {
			old.end(now)
		}
	}
	l.sinks = next
	l.view.Store(&v)
	return errors.Join(errs...)
}

// Check reports everything that would keep Configure from writing. It creates
// the directories and leaves no other trace.
func (l *Log) Check(subs []Subscription) error {
	if err := validate(subs); err != nil {
		return err
	}
	var errs []error
	for _, sub := range subs {
		errs = append(errs, probe(filepath.Join(l.dir, sub.Name)))
	}
	return errors.Join(errs...)
}

// Rollover saves the current file of a subscription and begins the next.
func (l *Log) Rollover(name string) error {
	l.mu.Lock()
	defer l.unlock()
	s := l.sinkLocked(name)
	if s == nil {
		return unknown(name)
	}
	return s.roll(l.o.Clock())
}

// Close ends all writing and all followers. The current files stay current:
// the next Open goes on with them.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	l.view.Store(&view{})
	var errs []error
	for _, s := range l.sinks {
		errs = append(errs, s.close())
		s.wake()
	}
	return errors.Join(errs...)
}

// enabled reports whether any mail log wants lines of a level.
func (l *Log) enabled(level Level) bool { return l.wanted(TextMail, level) }

// wanted reports whether any subscription of a kind wants lines of a level.
func (l *Log) wanted(kind Kind, level Level) bool {
	return l != nil && level <= l.view.Load().deepest[kind]
}

func (l *Log) settings() Settings {
	if l == nil {
		return Settings{}
	}
	return l.view.Load().set
}

// local gives a time as the lines themselves have it.
func (l *Log) local(t time.Time) string {
	if l == nil {
		return ""
	}
	return t.In(l.o.Clock().Location()).Format(time.ANSIC)
}

func (l *Log) infof(format string, args ...any)  { l.logf(Information, format, args...) }
func (l *Log) debugf(format string, args ...any) { l.logf(Debug, format, args...) }

func (l *Log) logf(level Level, format string, args ...any) {
	if l.enabled(level) {
		l.put(TextMail, level, fmt.Sprintf(format, args...))
	}
}

// put writes one line to every subscription of a kind that wants it. Whatever the event
// forgot to escape is escaped here, and no line gets longer than maxLine.
func (l *Log) put(kind Kind, level Level, text string) {
	text = line(text)
	l.mu.Lock()
	defer l.unlock()
	if l.closed {
		return
	}
	now := l.o.Clock()
	l.buf = l.appendLine(l.buf[:0], now, level, text)
	for _, s := range l.sinks {
		if s.sub.Kind == kind && level <= s.sub.Level {
			s.write(l.buf, now)
		}
	}
}

// appendLine adds "Www Mmm dd HH:MM:SS YYYY Level: text" (2.1).
func (l *Log) appendLine(b []byte, now time.Time, level Level, text string) []byte {
	if sec := now.Unix(); sec != l.second || l.stamp == nil {
		l.second = sec
		l.stamp = append(now.AppendFormat(l.stamp[:0], time.ANSIC), ' ')
	}
	b = append(b, l.stamp...)
	b = append(b, level.String()...)
	b = append(b, ": "...)
	const cut = "[...]\n"
	if room := maxLine - len(b) - len(cut); len(text) > room {
		for !utf8.RuneStart(text[room]) {
			room--
		}
		return append(append(b, text[:room]...), cut...)
	}
	return append(append(b, text...), '\n')
}

// tellLater keeps a word for Diag until unlock: whoever reads our diagnostics
// must not hold up the log.
func (l *Log) tellLater(f func()) { l.told = append(l.told, f) }

// unlock frees mu and tells Diag what was kept.
func (l *Log) unlock() {
	told := l.told
	l.told = nil
	l.mu.Unlock()
	for _, f := range told {
		f()
	}
}

func (l *Log) sinkLocked(name string) *sink {
	for _, s := range l.sinks {
		if s.sub.Name == name {
			return s
		}
	}
	return nil
}

var errClosed = errors.New("the mail log is closed")

// unknown is the error for a name that is not a subscription.
func unknown(name string) error { return fmt.Errorf("there is no log %q", name) }
