// Package alert tells operators by mail what they should look at. It stands
// apart from the queue, which may be what an alert is about: it has a spool of
// its own, small and durable.
//
// The steps of an alert, in order:
//
//	Raise     escapes and bounds the text; an alert that was raised before waits (suppress.go)
//	pass      keeps it, for displayalerts, and makes a mail for each recipient that wants it (run.go)
//	save      puts both into one file, whole or not at all (file.go)
//	send      one attempt by the courier, which takes the route and the TLS decisions of all mail
//	settle    gone, tried again later, or given up after a day (spool.go)
//
// Bounds: 50 mails wait at most, 60 leave within an hour, whatever happens;
// what does not fit is counted and told in the next mail. Repeated alerts about
// the same thing wait in intervals that grow: each is twice the one before and
// the first, up to a maximum (reference esa-cli-config 11).
//
// A mail of an alert that fails raises no alert: the courier of this package
// has nobody to tell. Nothing from the network is repeated unescaped.
//
// After a crash: what was raised in the moment before it may be lost; a mail
// that was just taken by its next hop may be sent twice.
package alert

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"esa/mta/envelope"
	"esa/mta/maillog"
)

// Class is what an alert is about.
type Class string

// System is the class of everything that this build raises.
const System Class = "System"

// Severity is how soon somebody should look.
type Severity string

// The severities, the worst first.
const (
	Critical    Severity = "Critical"
	Warning     Severity = "Warning"
	Information Severity = "Information"
)

// rank orders severities: the larger, the worse.
func (s Severity) rank() int {
	switch s {
	case Critical:
		return 2
	case Warning:
		return 1
	default:
		return 0
	}
}

// Alert is one thing to tell. Alerts of one Name about the same thing, in
// whatever case, are repetitions.
type Alert struct {
	Class    Class
	Severity Severity
	Name     string // of the kind of alert: "tls-required"; a word of the program, never the network's
	About    string // a domain, the name of a certificate
	Summary  string // one sentence: the subject of the mail
	Details  []string
}

// Bounds of what one alert repeats, in bytes after escaping, and in lines.
const (
	maxSummary = 300
	maxDetail  = 600
	maxDetails = 20
)

// escaped gives a with nothing in it that is not printable ASCII, within the
// bounds.
func (a Alert) escaped() Alert {
	a.About = printable(strings.ToLower(a.About), maxSummary)
	a.Summary = printable(a.Summary, maxSummary)
	details := make([]string, min(len(a.Details), maxDetails))
	for i := range details {
		details[i] = printable(a.Details[i], maxDetail)
	}
	a.Details = details
	return a
}

// printable escapes as Go does and cuts what is longer than limit.
func printable(text string, limit int) string {
	var b strings.Builder
	for len(text) > 0 {
		_, n := utf8.DecodeRuneInString(text)
		piece := text[:n]
		text = text[n:]
		if piece[0] < ' ' || piece[0] > '~' {
			piece = strings.Trim(strconv.QuoteToASCII(piece), `"`)
		}
		if b.Len()+len(piece) > limit {
			return b.String() + "..."
		}
		b.WriteString(piece)
	}
	return b.String()
}

// text is what displayalerts and the mail show of an alert.
func (a Alert) text() string {
	return strings.Join(append([]string{a.Summary}, a.Details...), "\n")
}

// Recipient is whom to tell what.
type Recipient struct {
	Address envelope.Address
	Wants   func(Alert) bool // nil: everything
}

// Settings is what a configuration says about alerts.
type Settings struct {
	Hostname   string           // of this gateway
	From       envelope.Address // sender of the mails; null: alert@Hostname
	Recipients []Recipient
	// Initial is how long a repeated alert waits first, 0 for not at all; Max
	// bounds the intervals that follow.
	Initial, Max time.Duration
	Keep         int           // alerts that Stored gives at most
	Certificates []Certificate // whose end is told of
}

// Courier makes one delivery attempt and gives one outcome for each recipient
// of the job. When ctx ends it comes to an end within its own bounds.
type Courier interface {
	Deliver(ctx context.Context, job envelope.Job) []envelope.Outcome
}

// Options are what Alerts work with for their whole life.
type Options struct {
	Path    string // of the file; its directory exists
	Courier Courier
	NextMID func() envelope.MID
	Log     *maillog.Log
	Version string // of the program, for the mails
	Serial  string
	Clock   func() time.Time // wall time; nil: time.Now
	Diag    *slog.Logger     // nil: nobody
}

// Alerts raises, keeps and mails alerts. Raise, Configure and Stored are safe
// for concurrent use.
type Alerts struct {
	o      Options
	wake   chan struct{}
	damage error

	mu         sync.Mutex // never held while something is written
	settings   Settings
	configured bool    // until then nothing is mailed or forgotten
	raised     []Alert // not yet seen by pass
	state      state
	changed    bool            // state is not as it was saved
	lost       int             // alerts and mails that there was no room for since the last mail
	sending    map[uint64]bool // mails under way

	senders sync.WaitGroup
}

// Open reads the file, or begins without one. A damaged file is set aside: the
// alerts in it are lost and Damage tells. The error is that of a file system
// that does not let the file be read.
func Open(o Options) (*Alerts, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Diag == nil {
		o.Diag = slog.New(slog.DiscardHandler)
	}
	a := &Alerts{o: o, wake: make(chan struct{}, 1), sending: map[uint64]bool{}}
	var err error
	a.state, a.damage, err = load(o.Path)
	return a, err
}

// Damage says that Open found a damaged file, and where it is kept now; nil
// otherwise.
func (a *Alerts) Damage() error { return a.damage }

// Configure puts settings into effect for every alert from now on. What waits
// in the spool stays addressed as it is.
func (a *Alerts) Configure(s Settings) {
	a.mu.Lock()
	a.settings, a.configured = s, true
	a.mu.Unlock()
	a.signal()
}

// Raise tells of something, and never waits. An alert about the same is not
// repeated before its interval is over. Before the first Configure an alert is
// kept until then.
func (a *Alerts) Raise(alert Alert) {
	alert = alert.escaped()
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.state.admit(alert, a.o.Clock(), a.settings) {
		return
	}
	if len(a.raised) == maxRaised {
		a.lost++
		return
	}
	a.raised = append(a.raised, alert)
	a.signal()
}

// maxRaised bounds the alerts that pass has not seen yet.
const maxRaised = 100

// Stored gives the alerts that are kept, the newest first.
func (a *Alerts) Stored() []Stored {
	a.mu.Lock()
	defer a.mu.Unlock()
	return newestFirst(a.state.Stored)
}

func newestFirst(stored []Stored) []Stored {
	stored = slices.Clone(stored)
	slices.Reverse(stored)
	return stored
}

// signal makes Run look again.
func (a *Alerts) signal() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}
