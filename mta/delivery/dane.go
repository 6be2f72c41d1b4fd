package delivery

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"esa/mta/dane"
	"esa/mta/envelope"
	"esa/mta/lookup"
	"esa/mta/maillog"
	"esa/mta/route"
)

// DANE are the rulings that hold for all destinations that have a DANE mode.
type DANE struct {
	// RouteHosts has DANE done for the hosts of SMTP routes (RFC 7672 §2.2.2).
	// Without it mail with DANE that a route takes elsewhere fails and waits, as
	// on the ESA, unless the route is USEDNS.
	RouteHosts bool
	// InsecureMX has hosts authenticated that INSECURE MX records name, where
	// DANE is opportunistic (§2.2.1).
	InsecureMX bool
}

// Checked answers from DNS with what DNSSEC proves: an answer that does not
// hold is Bogus.
type Checked interface {
	route.Resolver
	dane.Resolver
}

// protection is what DANE comes to in one attempt.
type protection struct {
	mode    dane.Mode
	hosts   map[daneHost]dane.Decision // made so far
	lookups int                        // hosts that DNS was asked about
}

// daneHost is what a decision is about.
type daneHost struct {
	name string
	port uint16
}

// maxDecisions bounds the hosts of an attempt whose TLSA records are asked
// for: each may take as long as all other lookups of the attempt.
const maxDecisions = 8

var errUnproven = errors.New("nobody answers with what DNSSEC proves")

// protect decides whether DANE is looked for at all: not for mail that an
// operator sends elsewhere, nor for what was taken under an ACCEPT policy,
// unless the mode is mandatory and the next hop comes from DNS. What is made
// here counts as taken for relaying. A failure ends the attempt.
func (a *attempt) protect() *envelope.Failure {
	r, routed := a.set.Routes.Route(a.job.Domain)
	m := a.job.Message
	accepted := !m.Relay && m.Listener != ""
	a.dane.mode = a.to.DANE
	switch routed = routed && !r.UseDNS; {
	case a.to.DANE == dane.Off, routed && r.Discard:
		a.dane.mode = dane.Off
	case a.job.Via != nil:
		a.dane.mode = dane.Off
		a.tellDANE(maillog.DANEOutcome{Verdict: maillog.DANENotApplicable, Why: "an operator sends the message to another machine"})
	case accepted && (routed || a.to.DANE != dane.Mandatory):
		a.dane.mode = dane.Off
		a.tellDANE(maillog.DANEOutcome{Verdict: maillog.DANENotApplicable, Why: "the message was not taken under a RELAY policy"})
	case routed && !a.set.DANE.RouteHosts:
		f := daneFailure(envelope.ReasonDANE, "mail for "+a.job.Domain+" goes by an SMTP route")
		a.tellDANE(maillog.DANEOutcome{Verdict: maillog.DANEFailed, Reason: f.Reason, Why: "mail for the domain goes by an SMTP route"})
		a.sound("", f)
		return f
	case a.client.opt.Checked == nil:
		return localFailure(errUnproven)
	}
	return nil
}

// daneFailure is a host, or a domain, that DANE forbids to send to.
func daneFailure(reason envelope.Reason, text string) *envelope.Failure {
	return insecure("4.7.5", reason, string(reason)+": "+text)
}

// lost tells of a plan that did not come to be, where DANE is looked for. All
// such failures wait, but those that are facts about the domain itself
// (RFC 7672 §2.1.2; reference dane-dnssec 1.5).
func (a *attempt) lost(f *envelope.Failure) {
	switch f.Reason {
	case envelope.ReasonNoAddress:
		f.Permanent, f.Enhanced = false, "4.1.2"
	case envelope.ReasonDNS, envelope.ReasonDNSSEC:
		a.tellMissing(f)
		f.Reply = []string{string(f.Reason) + ": " + strings.Join(f.Reply, " ")}
		if f.Reason == envelope.ReasonDNSSEC {
			a.sound(f.Host, f)
		}
	}
}

// tellMissing logs a host, or a domain, that could not be looked up.
func (a *attempt) tellMissing(f *envelope.Failure) {
	if a.dane.mode == dane.Off {
		return
	}
	why := strings.Join(f.Reply, " ")
	var unknown *route.LookupError
	if errors.As(f, &unknown) {
		why = unknown.Error()
	}
	a.tellDANE(maillog.DANEOutcome{Verdict: maillog.DANEFailed, Host: f.Host, Reason: f.Reason, Why: why})
}

// decide says what DANE demands of the host of a hop, and logs it unless that
// is a certificate that fits: how that ends is known after the handshake.
func (a *attempt) decide(ctx context.Context, hop route.NextHop) dane.Decision {
	if a.dane.mode == dane.Off {
		return dane.Decision{}
	}
	key := daneHost{hop.Host, hop.Addr.Port()}
	if d, known := a.dane.hosts[key]; known {
		return d
	}
	d := a.askDANE(ctx, hop)
	if a.dane.hosts == nil {
		a.dane.hosts = make(map[daneHost]dane.Decision)
	}
	a.dane.hosts[key] = d
	o := maillog.DANEOutcome{Host: hop.Host, Reason: d.Reason, Why: d.Text}
	switch d.Action {
	case dane.Authenticate:
		return d
	case dane.Skip:
		o.Verdict = maillog.DANEFailed
	case dane.Encrypt:
		o.Verdict = maillog.DANEUnauthenticated
	default:
		o.Verdict = maillog.DANEFallback
	}
	a.tellDANE(o)
	return d
}

func (a *attempt) askDANE(ctx context.Context, hop route.NextHop) dane.Decision {
	h := dane.Host{Mode: a.dane.mode, Insecure: a.set.DANE.InsecureMX, Name: hop.Host, Port: hop.Addr.Port(), Literal: hop.From == nil}
	if hop.From != nil {
		if a.dane.lookups++; a.dane.lookups > maxDecisions {
			return dane.Decision{Action: dane.Skip, Reason: envelope.ReasonDNS, Text: fmt.Sprintf("%d hosts were looked up before it", maxDecisions)}
		}
		h.Domain, h.Expanded, h.MX, h.Addrs = hop.From.Domain, hop.From.Expanded, hop.From.MX, hop.From.Addrs
	}
	ctx, cancel := context.WithTimeoutCause(ctx, a.set.Timeouts.Lookup, errLookup)
	defer cancel()
	return dane.Decide(ctx, a.client.opt.Checked, h)
}

// skip notes a host that nothing is sent to now, and drops its hops.
func (a *attempt) skip(hop route.NextHop, d dane.Decision) {
	a.hops = slices.DeleteFunc(a.hops, func(h route.NextHop) bool {
		return h.Host == hop.Host && h.Addr.Port() == hop.Addr.Port()
	})
	f := daneFailure(d.Reason, d.Text)
	f.Host = hop.Host
	a.unprotected = true
	a.remember(f)
	a.noteOutcomes(a.pending, 0, f)
	a.sound(hop.Host, f)
}

// missed tells of a connection that did not become what DANE demands, and
// gives the failure in the form that waits with the message.
func (a *attempt) missed(c *conn, f *envelope.Failure) {
	why := strings.TrimPrefix(strings.Join(f.Reply, " "), verifyError)
	if f.Code != 0 {
		why = fmt.Sprintf("STARTTLS was answered with %d %s", f.Code, why)
	}
	a.tellDANE(maillog.DANEOutcome{DCID: c.dcid, Verdict: maillog.DANEFailed, Host: c.host, Reason: f.Reason, Why: why})
	f.Reply = []string{string(f.Reason) + ": " + why}
}

func (a *attempt) tellDANE(o maillog.DANEOutcome) {
	o.MID, o.Domain = a.job.Message.MID, a.job.Domain
	a.client.opt.Log.DANE(o)
}

// sound alarms operators of a failure.
func (a *attempt) sound(host string, f *envelope.Failure) {
	if a.client.opt.Alerts != nil {
		a.client.opt.Alerts.TLSRequired(a.job.Domain, host, *f)
	}
}

// demanded is the part of a connection's key that DANE decides: two
// connections are the same only if the same certificates would have done.
func demanded(d dane.Decision) string {
	if d.Action == dane.ByTLSMode {
		return ""
	}
	hash := sha256.New()
	for _, r := range d.Records {
		fmt.Fprintln(hash, lookup.TLSA.String(r))
	}
	return fmt.Sprintf("%d %s %x", d.Action, strings.Join(append([]string{d.Base}, d.Names...), "\n"), hash.Sum(nil))
}
