package store

import (
	"fmt"
	"net/netip"
)

// ListenerType tells the two kinds of listeners apart. A private listener has
// no recipient access table: whom it accepts may send to anybody.
type ListenerType string

const (
	Public  ListenerType = "public"
	Private ListenerType = "private"
)

// CleanSMTP is what a listener does about bare CR and LF.
type CleanSMTP string

const (
	Clean  CleanSMTP = "clean"  // make them CR LF
	Reject CleanSMTP = "reject" // refuse the message
	Allow  CleanSMTP = "allow"  // keep them, never as a line end
)

// Bounds and defaults of listeners.
const (
	MaxListeners     = 100
	MaxListenerConns = 50000
	MaxQueueSize     = 4096
	publicConns      = 1000
	privateConns     = 300
	defaultQueueSize = 50
)

// Listener is one SMTP service: where it listens, whom it hears.
type Listener struct {
	Name           string       `label:"Name"`
	Type           ListenerType `label:"Type"`
	Interface      string       `label:"Interface"`
	Port           uint16       `label:"TCP port"`
	MaxConnections int          `label:"Max concurrency"`
	QueueSize      int          `label:"TCP listen queue size"`
	DefaultDomain  string       `label:"Default domain"`
	Received       bool         `label:"Add Received header"`
	CleanSMTP      CleanSMTP    `label:"Bare CR and LF"`
	BounceProfile  string       `label:"Bounce profile" zero:"Default"`
	Certificate    string       `label:"Certificate" zero:"None"` // a certificate profile; empty: no STARTTLS
	HAT            HAT          `label:"Host access table" object:"host access table"`
	RAT            []RATEntry   `label:"Recipient access table" object:"recipient"`
}

func (l Listener) key() string { return l.Name }

func (l Listener) place() string { return fmt.Sprintf("listener %q", l.Name) }

// Listener gives a pointer to the listener of that name, or nil.
func (c *Config) Listener(name string) *Listener {
	for i := range c.Listeners {
		if c.Listeners[i].Name == name {
			return &c.Listeners[i]
		}
	}
	return nil
}

// Addresses gives where l listens: its port on each address of its interface.
func (c *Config) Addresses(l Listener) []netip.AddrPort {
	i, _ := c.Interface(l.Interface)
	var all []netip.AddrPort
	for _, a := range i.Addrs() {
		all = append(all, netip.AddrPortFrom(a, l.Port))
	}
	return all
}

func (c *Config) validateListeners(p *problems) {
	if len(c.Listeners) > MaxListeners {
		p.at("listeners", "listenerconfig -> DELETE")("There is a maximum of %d listeners.", MaxListeners)
	}
	names, taken := map[string]bool{}, map[netip.AddrPort]string{}
	for _, l := range c.Listeners {
		report := p.at(l.place(), "listenerconfig -> EDIT")
		if _, err := ParseListenerName(l.Name); err != nil {
			report("%v", err)
		}
		if names[l.Name] {
			report("The name %q is used by another listener.", l.Name)
		}
		names[l.Name] = true
		if _, ok := c.Interface(l.Interface); !ok {
			p.at(l.place(), "listenerconfig -> EDIT -> INTERFACE")("The interface %q does not exist.", l.Interface)
		}
		for _, a := range c.Addresses(l) {
			if other, ok := taken[a]; ok {
				p.at(l.place(), "listenerconfig -> EDIT -> INTERFACE")("Port %d of %s is currently assigned to listener %q.", a.Port(), a.Addr(), other)
			} else {
				taken[a] = l.Name
			}
		}
		if l.BounceProfile != "" && c.profile(l.BounceProfile) == nil {
			p.at(l.place(), "listenerconfig -> EDIT -> BOUNCECONFIG")("The bounce profile %q does not exist.", l.BounceProfile)
		}
		if l.Certificate != "" && c.Certificate(l.Certificate) == nil {
			p.at(l.place(), "listenerconfig -> EDIT -> CERTIFICATE")("The certificate %q does not exist.", l.Certificate)
		}
		l.validate(p)
	}
}

// validate looks at what needs no other section.
func (l Listener) validate(p *problems) {
	report := p.at(l.place(), "listenerconfig -> EDIT")
	if l.Type != Public && l.Type != Private {
		report("The type %q is not known.", l.Type)
	}
	if l.Port == 0 {
		p.at(l.place(), "listenerconfig -> EDIT -> INTERFACE")("%v", errPort)
	}
	limits := p.at(l.place(), "listenerconfig -> EDIT -> LIMITS")
	if err := inRange(int64(l.MaxConnections), 1, MaxListenerConns); err != nil {
		limits("Maximum concurrency: %v", err)
	}
	if err := inRange(int64(l.QueueSize), 1, MaxQueueSize); err != nil {
		limits("TCP listen queue size: %v", err)
	}
	setup := p.at(l.place(), "listenerconfig -> EDIT -> SETUP")
	if l.DefaultDomain != "" {
		if _, err := ParseHostname(l.DefaultDomain); err != nil {
			setup("Default domain: %v", err)
		}
	}
	if l.CleanSMTP != Clean && l.CleanSMTP != Reject && l.CleanSMTP != Allow {
		setup("The treatment %q of bare CR and LF is not known.", l.CleanSMTP)
	}
	l.HAT.validate(p, l.place())
	l.validateRAT(p)
}
