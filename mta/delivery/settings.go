package delivery

import (
	"cmp"
	"net/netip"
	"strings"
	"time"

	"esa/mta/dane"
	"esa/mta/route"
)

// Settings are what one configuration says about delivery. They are read once
// per attempt.
type Settings struct {
	Hostname             string      // of the system: said in EHLO where the interface has no name
	Interfaces           []Interface // the addresses mail may leave from
	Source               string      // name of the delivery interface; empty is Auto: the system chooses the address
	Routes               route.Table
	Self                 []netip.AddrPort                // of our listeners
	Destination          func(domain string) Destination // nil: the zero one for all; called from many goroutines
	Possible             bool                            // "Possible Delivery": a message whose final dot was not answered counts as delivered
	RecipientsPerMessage int                             // 0 means 100
	TLS                  TLS
	DANE                 DANE
	Timeouts             Timeouts
	Revision             uint64 // of the configuration, for diagnostics
}

// Destination is how mail to one domain is delivered.
type Destination struct {
	Family                route.Family
	MessagesPerConnection int // 0 means 50
	PerAddress            AddressLimits
	TLS                   TLSMode
	DANE                  dane.Mode
}

// AddressLimits are what each address of a destination is given at most. What
// meets a limit everywhere is left to the queue as crowded (gate.go).
type AddressLimits struct {
	Concurrency  int // connections at work at once; 0: any number
	Recipients   int // within Interval; 0: any number
	Interval     time.Duration
	PerInterface bool // each for every interface that mail leaves by
}

// Interface is a named address, or one of each family.
type Interface struct {
	Name     string
	Hostname string
	IPv4     netip.Addr
	IPv6     netip.Addr
}

// Timeouts bound every wait. A zero field has the default beside it, which is
// the minimum of RFC 5321 §4.5.3.2 where that names one.
type Timeouts struct {
	Lookup    time.Duration // all DNS lookups of an attempt: 60 s
	Connect   time.Duration // 30 s
	Greeting  time.Duration // 5 min
	Hello     time.Duration // EHLO, HELO, STARTTLS, RSET: 5 min
	Handshake time.Duration // after the 220 to STARTTLS: 2 min
	Mail      time.Duration // 5 min
	Recipient time.Duration // 5 min
	Data      time.Duration // until 354: 2 min
	Block     time.Duration // for each piece of the body, of at most 32 KB: 3 min
	Final     time.Duration // for the answer to the final dot; not cut by Session, as that would make duplicates: 10 min
	Session   time.Duration // for all that is done on one connection for one message, beside Final: 30 min, and a second for each 8 KB of text
	Attempt   time.Duration // for all hosts of an attempt together, counted like Session: 45 min
	Idle      time.Duration // how long a connection waits for another message: 5 s
	Grace     time.Duration // for what is under way after MAIL when the attempt is cancelled: 30 s
}

const (
	defaultMessages   = 50
	defaultRecipients = 100
)

func (t Timeouts) withDefaults() Timeouts {
	return Timeouts{
		Lookup:    cmp.Or(t.Lookup, time.Minute),
		Connect:   cmp.Or(t.Connect, 30*time.Second),
		Greeting:  cmp.Or(t.Greeting, 5*time.Minute),
		Hello:     cmp.Or(t.Hello, 5*time.Minute),
		Handshake: cmp.Or(t.Handshake, 2*time.Minute),
		Mail:      cmp.Or(t.Mail, 5*time.Minute),
		Recipient: cmp.Or(t.Recipient, 5*time.Minute),
		Data:      cmp.Or(t.Data, 2*time.Minute),
		Block:     cmp.Or(t.Block, 3*time.Minute),
		Final:     cmp.Or(t.Final, 10*time.Minute),
		Session:   cmp.Or(t.Session, 30*time.Minute),
		Attempt:   cmp.Or(t.Attempt, 45*time.Minute),
		Idle:      cmp.Or(t.Idle, 5*time.Second),
		Grace:     cmp.Or(t.Grace, 30*time.Second),
	}
}

// running is Settings made ready: immutable, shared by attempts.
type running struct {
	Settings
	planner route.Planner
	naming  string
	tls     *setup
}

// newRunning makes settings ready that come after others, nil at first.
func newRunning(s *Settings, opt Options, before *running) *running {
	r := &running{Settings: *s}
	if before != nil {
		r.tls = before.tls.follows(s.TLS)
	} else {
		r.tls = newSetup(s.TLS, opt.Clock)
	}
	r.Timeouts = s.Timeouts.withDefaults()
	r.RecipientsPerMessage = cmp.Or(s.RecipientsPerMessage, defaultRecipients)
	v4, v6 := r.families()
	r.planner = route.Planner{
		Resolver: opt.Resolver,
		Table:    s.Routes,
		Self:     s.Self,
		Rand:     opt.Rand,
		NoIPv4:   !v4,
		NoIPv6:   !v6,
	}
	r.naming = r.describeNames()
	return r
}

// destination gives the settings of a domain with their defaults.
func (r *running) destination(domain string) Destination {
	var d Destination
	if r.Destination != nil {
		d = r.Destination(domain)
	}
	d.MessagesPerConnection = cmp.Or(d.MessagesPerConnection, defaultMessages)
	return d
}

// families reports which families mail can leave by: those of the delivery
// interface, with Auto those of any interface. Without interfaces the system
// decides.
func (r *running) families() (v4, v6 bool) {
	if r.Source == "" && len(r.Interfaces) == 0 {
		return true, true
	}
	for _, i := range r.Interfaces {
		if r.Source == "" || i.Name == r.Source {
			v4 = v4 || i.IPv4.IsValid()
			v6 = v6 || i.IPv6.IsValid()
		}
	}
	return v4, v6
}

// source is the address to connect from; invalid where the system chooses.
func (r *running) source(remote netip.Addr) netip.Addr {
	for _, i := range r.Interfaces {
		switch {
		case r.Source == "" || i.Name != r.Source:
		case remote.Is4():
			return i.IPv4
		default:
			return i.IPv6
		}
	}
	return netip.Addr{}
}

// hello is the name for EHLO on a connection from local: that of the interface
// with this address, else that of the system, else the address (RFC 5321
// §4.1.4).
func (r *running) hello(local netip.Addr) string {
	for _, i := range r.Interfaces {
		if local.IsValid() && (i.IPv4 == local || i.IPv6 == local) && i.Hostname != "" {
			return i.Hostname
		}
	}
	switch {
	case r.Hostname != "":
		return r.Hostname
	case local.Is6():
		return "[IPv6:" + local.String() + "]"
	case local.IsValid():
		return "[" + local.String() + "]"
	}
	return "localhost"
}

// describeNames is the part of the settings that decides what we say we are,
// in a form that can be compared: source addresses and their names.
func (r *running) describeNames() string {
	var b strings.Builder
	b.WriteString(r.Hostname)
	for _, i := range r.Interfaces {
		if r.Source == "" || i.Name == r.Source {
			b.WriteString("\n" + i.IPv4.String() + " " + i.IPv6.String() + " " + i.Hostname)
		}
	}
	return b.String()
}

// key is what a connection to remote is under these settings.
func (r *running) key(remote netip.AddrPort, g guard) connKey {
	return connKey{Remote: remote, Source: r.source(remote.Addr()), Naming: r.naming, security: r.security(g)}
}

// made reports whether these settings would make a connection with this key,
// for a destination that asks for the same TLS.
func (r *running) made(k connKey) bool {
	now := r.key(k.Remote, guard{})
	if now.security = k.security; k.security.setup != nil {
		now.security.setup = r.tls
	}
	return k == now
}
