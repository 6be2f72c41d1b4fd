package commands

import (
	"context"
	"io"
	"strings"
	"time"

	"esa/mta/envelope"
	"esa/shell"
	"esa/store"
)

// Mail is the queue as commands see it and act on it. Where the gateway does
// not run, everything of it is refused.
type Mail interface {
	// Each reads the messages that have recipients of a selection, oldest id
	// first, until visit returns false. The error is about one message that
	// could not be read; the others were.
	Each(s Selection, visit func(Queued) bool) error
	// Open gives a message and its text with CRLF line ends, which the caller
	// closes. It refuses one that is not in the queue.
	Open(mid envelope.MID) (Queued, io.ReadCloser, error)
	// Delete, Bounce and Redirect say what they have done even with an error.
	// They end early with ctx, whose cause is the error then.
	Delete(ctx context.Context, s Selection, p Progress) (Acted, error)
	Bounce(ctx context.Context, s Selection, p Progress) (Acted, error)
	Redirect(ctx context.Context, to envelope.Machine, p Progress) (Acted, error)
	// DeliverNow schedules mail for a domain, or all where it is empty, and
	// gives how many recipients that are.
	DeliverNow(domain string) (recipients int, err error)
	// Send queues a mail of the gateway's own; it is on stable storage when Send
	// returns.
	Send(l Letter) (envelope.MID, error)
}

// Letter is a mail that the gateway sends to operators, with a file in it.
type Letter struct {
	To       []envelope.Address
	Subject  string // ASCII
	Text     string // ASCII, lines end in LF
	FileName string
	File     []byte
}

// Selection says which recipients are meant: those for which all that is set
// holds.
type Selection struct {
	Domain string            // being delivered to it; lower case
	Sender *envelope.Address // of this envelope sender
	MID    envelope.MID
}

// Progress is told how many of the messages to look at were looked at, and
// when a delivery under way has to be waited for.
type Progress func(looked, all int, waiting bool)

// Acted is what an act has done.
type Acted struct {
	Messages   int
	Recipients int
	Kept       int // recipients that it could not be done to
	Busy       int // recipients that were being delivered when the act was given up
	Unread     int // messages found at start that are not read yet
}

// Queued is a message of the queue.
type Queued struct {
	Message    envelope.Message
	Recipients []QueuedRecipient // in the order of Message.Recipients
}

// QueuedRecipient is what became of a recipient so far.
type QueuedRecipient struct {
	Done        bool // the message waits for others
	Selected    bool
	Attempts    int    // that failed
	Domain      string // it is being delivered to
	Underway    bool
	Suspended   bool
	NextAttempt time.Time       // zero: it is due
	Limited     bool            // NextAttempt is when the recipient limit of Domain allows it
	Reason      envelope.Reason // of the last failure
	Code        int
	Reply       string // of the peer, as received
	Host        string
}

// Service is what commands suspend and resume. It lasts over restarts.
type Service interface {
	// ChangeSuspension edits what is suspended; when it returns, that is in
	// effect.
	ChangeSuspension(edit func(*Suspension) error) error
	// AwaitSessions returns when no session of a suspended listener is open;
	// after grace they are cut. It ends early with ctx, and gives how many are
	// left then.
	AwaitSessions(ctx context.Context, grace time.Duration) (left int, err error)
	// AwaitDeliveries does so for deliveries to suspended domains.
	AwaitDeliveries(ctx context.Context, grace time.Duration) (left int, err error)
}

// Suspension is what is suspended.
type Suspension struct {
	AllListeners bool
	Listeners    []string
	AllDomains   bool
	Domains      []string
}

// actWords are the words of one act on queued mail.
type actWords struct {
	verb, doing, done string // "delete", "Deleting", "deleted"
}

// askSelection asks which messages are meant, and whether the operator is
// sure where sure is set (reference esa-operations 3.5).
func askSelection(d *Dialog, w actWords, sure bool) (s Selection, ok bool) {
	options := []string{"By recipient host.", "By Envelope From address.", "All."}
	if !sure {
		options = append(options, "By Message ID.")
	}
	question := ""
	switch d.Choose("Please select how you would like to "+w.verb+" messages:", options, 0) {
	case 0:
		s.Domain = shell.Ask(d, "Please enter the hostname for the messages you wish to "+w.verb+".", "", parseRecipientHost)
		question = "being delivered to \"" + s.Domain + "\""
	case 1:
		sender := shell.Ask(d, "Please enter the Envelope From address for the messages you wish to "+w.verb+".", "", parseSender)
		s.Sender = &sender
		shown := sender.String()
		if sender.IsNull() {
			shown = "<>"
		}
		question = "with the Envelope From address \"" + shown + "\""
	case 2:
		question = "in the delivery queue"
	default:
		s.MID = askMID(d, "Enter the MID to "+w.verb+".", "")
	}
	if d.Err() != nil {
		return s, false
	}
	return s, !sure || d.YesNo("Are you sure you want to "+w.verb+" all messages "+question+"?", false) && d.Err() == nil
}

// parseSender reads an envelope sender; <> is the null sender, that of
// bounces.
func parseSender(text string) (envelope.Address, error) {
	text = strings.TrimSpace(text)
	if text == "<>" {
		return envelope.Address{}, nil
	}
	if text == "" {
		return envelope.Address{}, shell.Refusedf("The value cannot be blank. Enter <> for messages without sender.")
	}
	a, err := envelope.ParseAddress(strings.TrimSuffix(strings.TrimPrefix(text, "<"), ">"))
	if err != nil {
		return a, shell.Refusedf("%q is not an e-mail address.", text)
	}
	return a, nil
}

func askMID(d *Dialog, question, def string) envelope.MID {
	return shell.Ask(d, question, def, func(text string) (envelope.MID, error) {
		mid, err := parseMID(text)
		return envelope.MID(mid), err
	})
}

// selectionDialog asks for a selection and runs a command on it.
func selectionDialog(w actWords, sure bool, run func(*Dialog, Env, Selection) error) func(*Dialog, Env) error {
	return func(d *Dialog, env Env) error {
		if _, err := online(env); err != nil {
			return err
		}
		s, ok := askSelection(d, w, sure)
		if !ok {
			return d.Err()
		}
		return run(d, env, s)
	}
}

// selectionForms are the one-line forms that name a selection.
func selectionForms(name string, run func(*Dialog, Env, Selection) error) []Form {
	return []Form{
		{Usage: name + " host HOST", Run: func(d *Dialog, env Env, args []string) error {
			host, err := parseRecipientHost(args[0])
			if err != nil {
				return err
			}
			return run(d, env, Selection{Domain: host})
		}},
		{Usage: name + " sender ADDRESS", Run: func(d *Dialog, env Env, args []string) error {
			sender, err := parseSender(args[0])
			if err != nil {
				return err
			}
			return run(d, env, Selection{Sender: &sender})
		}},
		{Usage: name + " all", Run: func(d *Dialog, env Env, _ []string) error { return run(d, env, Selection{}) }},
	}
}

// actOn runs an act and tells what it has done, also where Ctrl-C ended it.
func actOn(d *Dialog, env Env, w actWords, act func(context.Context, Progress) (Acted, error)) (Acted, error) {
	d.Live()
	d.Text(w.doing + ", please wait.")
	done, err := act(d.Context(), progressLine(d, env))
	if err != nil && done == (Acted{}) {
		return done, err
	}
	if d.Context().Err() != nil {
		d.Text("Stopped.")
	}
	return done, err
}

// tellRest tells what an act has not done.
func tellRest(d *Dialog, w actWords, done Acted) {
	if done.Busy > 0 {
		d.Printf("%d recipients are being delivered and were left alone.\n", done.Busy)
	}
	if done.Kept > 0 {
		d.Printf("%d recipients could not be %s: see logs/diagnostics.log.\n", done.Kept, w.done)
	}
	if done.Unread > 0 {
		d.Printf("%d messages are not read yet since the gateway started, and were not looked at: try again later.\n", done.Unread)
	}
}

// actOnMail acts on a selection and counts messages.
func actOnMail(d *Dialog, env Env, w actWords, act func(context.Context, Progress) (Acted, error)) error {
	words := w
	words.doing += " messages"
	done, err := actOn(d, env, words, act)
	if err != nil && done == (Acted{}) && d.Context().Err() == nil {
		return err
	}
	d.Printf("%d messages %s.\n", done.Messages, w.done)
	if done.Recipients != done.Messages {
		d.Printf("%d recipients in all.\n", done.Recipients)
	}
	tellRest(d, w, done)
	if err != nil {
		return err
	}
	return d.Err()
}

// progressEvery is how often long work says how far it is.
const progressEvery = 5 * time.Second

// progressLine tells an operator who waits how far the work is.
func progressLine(d *Dialog, env Env) Progress {
	if !d.Interactive() {
		return nil
	}
	last, told := env.Clock(), false
	return func(looked, all int, waiting bool) {
		if waiting && !told {
			told = true
			d.Text("Waiting for deliveries that are under way to stop; Ctrl-C leaves them alone.")
		}
		if now := env.Clock(); now.Sub(last) >= progressEvery {
			last = now
			d.Printf("%d of %d messages so far; Ctrl-C stops.\n", looked, all)
		}
	}
}

// parseMachine reads a host name or IP address, with a port behind it where
// that is not 25.
func parseMachine(text string) (envelope.Machine, error) {
	r, err := store.ParseRouteHosts(text)
	if err != nil {
		return envelope.Machine{}, refused(err)
	}
	if len(r.Hosts) != 1 || r.Hosts[0].Priority != 0 {
		return envelope.Machine{}, shell.Refusedf("%q is not the hostname or IP address of one machine.", text)
	}
	return envelope.Machine{Host: strings.ToLower(r.Hosts[0].Host), Port: r.Hosts[0].Port}, nil
}
