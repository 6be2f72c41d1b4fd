package commands

import (
	"context"
	"net/netip"
	"time"

	"esa/mta/envelope"
	"esa/mta/lookup"
	"esa/shell"
)

// Look is what commands see of the gateway at work, beyond its Status. Where
// the gateway does not run, everything of it is refused.
type Look interface {
	// Hosts lists the destinations in memory, in no particular order.
	Hosts() ([]Host, error)
	// Host looks at one destination, known or not; it may wait some seconds
	// for DNS.
	Host(ctx context.Context, domain string) (HostDetail, error)
	// Peers lists who is connected, those with most connections first.
	Peers() ([]Peer, error)
	ResetCounters() (time.Time, error)
	FlushDNS() error
	// QueryDNS asks past the cache for records of one of QueryTypes.
	QueryDNS(ctx context.Context, name, queryType string) (Records, error)
}

// Rate is events per hour over the last 1, 5 and 15 minutes.
type Rate struct {
	Minute, FiveMinutes, QuarterHour int64
}

// Host is one destination. What is counted, is since the start or since the
// destination was last forgotten.
type Host struct {
	Domain      string
	State       string // "up", "down", "unknown"
	Active      int    // recipients that wait: the sum of the next two
	Unattempted int
	Attempted   int
	Outbound    int              // connections at work
	Pending     int              // attempts underway that have none yet
	Counters    map[string]int64 // by their names in /xml/status, sums included
}

// HostDetail is all that is known of one destination.
type HostDetail struct {
	Host
	Oldest       time.Time        // zero: no message
	LastActivity time.Time        // zero: none
	Suspended    bool             // delivery to it, by an operator
	NextAttempt  time.Time        // zero: none is planned, or it is due
	Limited      bool             // NextAttempt is when the recipient limit allows it
	Last         envelope.Failure // the last failure; Reason is empty if there was none
	LastAt       time.Time
	Last5XX      envelope.Failure // of a recipient refused for good; Code is 0 if there was none
	Last5XXAt    time.Time
	Route        string // destinations of its SMTP route; empty: DNS decides
	MX           lookup.MXAnswer
	Addresses    []HostAddresses
	Expires      time.Time // of Addresses
}

// HostAddresses are the addresses of one MX preference.
type HostAddresses struct {
	Preference uint16
	Addrs      []netip.Addr
}

// Peer is a client with open connections to one listener.
type Peer struct {
	Host        string // its verified name, or its address
	Addr        netip.Addr
	Listener    string
	Connections int
}

// Record is a DNS record in words.
type Record struct {
	Type string
	Text string
	TTL  time.Duration
}

// Records is the answer to one question.
type Records struct {
	lookup.Answer
	Records []Record
}

// online refuses where the gateway does not run.
func online(env Env) (Status, error) {
	s := env.Gateway.Status()
	if s.Since.IsZero() {
		return s, shell.Refusedf("The gateway is not running. Start it first.")
	}
	return s, nil
}

// watched shows lines again and again until Ctrl-C, or until count of them
// are shown; 0 is no limit. heading stands above every 20.
func watched(d *Dialog, env Env, p pace, line func() (string, error)) error {
	d.Live()
	for n := 0; p.count == 0 || n < p.count; n++ {
		if n > 0 && env.Wait(d.Context(), p.every) != nil {
			return shell.ErrStopped
		}
		text, err := line()
		if err != nil {
			return err
		}
		if n%20 == 0 {
			d.Text("\n" + p.heading)
		}
		d.Text(text)
		if d.Err() != nil {
			return d.Err()
		}
	}
	return d.Err()
}

// pace is how a display goes on.
type pace struct {
	heading string
	every   time.Duration
	count   int
}

// maxPace bounds the seconds between displays, and how many there are.
const maxPace = 86400

// askPace asks how often to show a display that Ctrl-C ends.
func askPace(d *Dialog) pace {
	p := pace{every: time.Duration(d.Int("Enter the number of seconds between displays.", 10, 1, maxPace)) * time.Second}
	if d.Err() == nil && d.Interactive() {
		d.Text("Hit Ctrl-C to return to the main prompt.")
	}
	return p
}

// parsePace reads the words SECONDS [COUNT] of a one-line form.
func parsePace(args []string) (pace, error) {
	seconds := 0
	if err := setNumber(&seconds, args[0], 1, maxPace); err != nil {
		return pace{}, err
	}
	p := pace{every: time.Duration(seconds) * time.Second}
	if len(args) > 1 {
		return p, setNumber(&p.count, args[1], 1, maxPace)
	}
	return p, nil
}
