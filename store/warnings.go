package store

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"
)

// Warnings gives what Validate lets pass and an operator should know. A new
// open relay is not among them: it is asked about (OpensRelay). The verdicts
// on certificates (CertificateVerdicts) are among them for those that something
// uses; system are the authorities of the machine, nil if they are not known.
func (c *Config) Warnings(now time.Time, system []*x509.Certificate) []Problem {
	var p problems
	if len(c.DNS.Servers) == 0 {
		p.at("DNS", "dnsconfig -> NEW")("No DNS server is configured: mail without an SMTP route to an address will wait.")
	}
	if len(c.Listeners) == 0 {
		p.at("listeners", "listenerconfig -> NEW")("No listener is configured: no mail will be received.")
	}
	if c.Delivery.Possible {
		p.at("mail delivery", "deliveryconfig -> SETUP")(`"Possible Delivery" is enabled: a message whose final reply is lost counts as delivered, and can be lost.`)
	}
	for _, r := range c.Routes {
		if r.Discard {
			p.at(fmt.Sprintf("route %q", r.Domain), "smtproutes -> EDIT")("Mail for this route is discarded.")
		}
	}
	c.warnDANE(&p)
	for _, l := range c.Listeners {
		c.warnListener(&p, l)
	}
	for _, v := range c.CertificateVerdicts(now, c.Authorities.Known(system)) {
		if v.Certificate == "" || len(c.CertificateUses(v.Certificate)) > 0 {
			p = append(p, v.Problem)
		}
	}
	return p
}

func (c *Config) warnListener(p *problems, l Listener) {
	accepts := false
	for _, e := range l.RAT {
		accepts = accepts || e.Accept
	}
	if l.Type == Public && !accepts {
		p.at(l.place(), "listenerconfig -> EDIT -> RCPTACCESS")("The listener accepts mail for no recipient.")
	}
	if l.Type == Private && !l.relaysForSomebody() {
		p.at(l.place(), "listenerconfig edit "+l.Name+" relay=HOSTS")("The listener relays for nobody: it rejects every connection.")
	}
	if len(c.DNS.Servers) == 0 && l.verifiesSenders() {
		p.at(l.place(), "dnsconfig -> NEW")("The listener verifies envelope senders, and without a DNS server it refuses all that have a domain.")
	}
	reachable := true
	for _, g := range l.HAT.Groups {
		if !reachable {
			p.at(fmt.Sprintf("%s sender group %q", l.place(), g.Name), "listenerconfig -> EDIT -> HOSTACCESS -> MOVE")("A group before it holds ALL: it is never reached.")
		}
		behavior, _, _ := l.HAT.Resolve(g)
		for _, host := range g.Hosts {
			reachable = reachable && (host != allHosts || behavior == ContinueOn)
		}
	}
}

// verifiesSenders reports whether any policy in use wants envelope senders
// verified.
func (l Listener) verifiesSenders() bool {
	return slices.ContainsFunc(l.HAT.Groups, func(g SenderGroup) bool {
		behavior, params, _ := l.HAT.Resolve(g)
		return (behavior == Relay || behavior == Accept) && params.SenderCheck.Use == Yes
	})
}

// relaysForSomebody reports whether a sender group with hosts may relay.
func (l Listener) relaysForSomebody() bool {
	return slices.ContainsFunc(l.HAT.Groups, func(g SenderGroup) bool {
		behavior, _, _ := l.HAT.Resolve(g)
		return len(g.Hosts) > 0 && (behavior == Relay || behavior == Accept)
	})
}
