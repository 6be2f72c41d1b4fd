package maillog

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"esa/mta/lookup"
)

// asked gives the name of a question: the root, which has no labels, is a dot.
func asked(name string) string {
	if name == "" {
		return "."
	}
	return name
}

// DNSQuery writes that something asks for a name and type (Debug).
func (l *Log) DNSQuery(name, qtype string) {
	if l.enabled(Debug) {
		l.debugf("DNS query: Q(%s, %s)", literal(asked(name)), literal(qtype))
	}
}

// DNSQueryServer writes that the question goes to the configured server of
// this number, counted from 0 in the order of preference (Debug).
func (l *Log) DNSQueryServer(name, qtype string, number int) {
	if l.enabled(Debug) {
		l.debugf("DNS query: QN(%s, %s, 'recursive_nameserver%d.parent')", literal(asked(name)), literal(qtype), number)
	}
}

// DNSQuerySent writes that the question goes out to an address, and how long
// the answer is waited for (Debug).
func (l *Log) DNSQuerySent(name, qtype string, server netip.AddrPort, timeout time.Duration) {
	if !l.enabled(Debug) {
		return
	}
	n, t, s := literal(asked(name)), literal(qtype), literal(serverText(server))
	l.debugf("DNS query: QIP (%s,%s,%s,%d)", n, t, s, int(timeout.Seconds()))
	l.debugf("DNS query: Q (%s, %s, %s)", n, t, s)
}

// CachedAnswer is an answer that the resolver keeps.
type CachedAnswer struct {
	Name, Type string
	Expires    time.Time
	Status     lookup.Status
	MX         []lookup.MX // of an MX answer
	Texts      []string    // of any other: each record's value
}

// DNSAnswered writes what a server answered, and for how long it holds
// (Debug). A name without records of the type has no status.
func (l *Log) DNSAnswered(a CachedAnswer, ttl time.Duration) {
	if !l.enabled(Debug) {
		return
	}
	var items []string
	for _, mx := range a.MX {
		items = append(items, fmt.Sprintf("(%d, %s)", mx.Preference, literal(mx.Host+".")))
	}
	for _, text := range a.Texts {
		items = append(items, literal(text))
	}
	status := ""
	if len(items) > 0 {
		status = strings.ToLower(a.Status.String())
	}
	l.debugf("DNSSEC Response data([%s], %s, 0, %d)", strings.Join(items, ", "), status, int(ttl.Seconds()))
}

// DNSCached writes that an answer is kept (Debug). The expiry is in Unix
// seconds; what the original counts is not known.
func (l *Log) DNSCached(a CachedAnswer) {
	if !l.enabled(Debug) {
		return
	}
	head := fmt.Sprintf("(%dL, 0, %s, ", a.Expires.Unix(), literal(a.Status.String()))
	var items []string
	for _, mx := range a.MX {
		items = append(items, fmt.Sprintf("%s(%d, %s))", head, mx.Preference, literal(mx.Host)))
	}
	for _, text := range a.Texts {
		items = append(items, head+literal(text)+")")
	}
	l.debugf("DNS encache (%s, %s, [%s])", word(asked(a.Name)), word(a.Type), strings.Join(items, ", "))
}

// DNSNoData writes that a name has no record of a type (Debug).
func (l *Log) DNSNoData(name, qtype string) {
	l.debugf("Received NODATA for domain %s type %s", word(asked(name)), word(qtype))
}

// InvalidDNSResponse writes an answer that cannot be used: what is "SERVER
// FAILED" or a phrase like it (Warning).
func (l *Log) InvalidDNSResponse(what string, server netip.AddrPort, name string) {
	l.logf(Warning, "Received an invalid DNS Response: %s to IP %s looking up %s", line(what), serverText(server), word(asked(name)))
}

// DNSSECError is an answer that does not hold against the chain of trust.
type DNSSECError struct {
	Name, Type string
	Server     netip.AddrPort
	Why        string
}

// InvalidDNSSECResponse writes an answer that does not validate (Warning).
func (l *Log) InvalidDNSSECResponse(e DNSSECError) {
	server := serverText(e.Server)
	l.logf(Warning, "Received an invalid DNSSEC Response: DNSSEC_Error(%s, %s, %s, 'DNSSEC Error for hostname %s (%s) while asking %s. Error was: %s') of qtype %s looking up %s",
		literal(asked(e.Name)), literal(e.Type), literal(server), word(asked(e.Name)), word(e.Type), server, line(e.Why), word(e.Type), word(asked(e.Name)))
}

// serverText leaves out the port that name servers have.
func serverText(server netip.AddrPort) string {
	if server.Port() == 53 {
		return server.Addr().String()
	}
	return server.String()
}
