// Package dane decides what DANE demands of the connection to one host of a
// destination (RFC 7672), and whether a certificate fits (RFC 6698, 7671). It
// asks for TLSA records through an interface, and knows nothing of connections.
//
// The steps for a host, in order (RFC 7672 §2.2, reference dane-dnssec 1.2, 1.9):
//
//	Decide   MX and address answers: does DANE apply to the host at all?
//	         TLSA at the name that its aliases lead to, then at its own name
//	Usable   which of the records can be used (record.go)
//	Verify   the certificate against them, after the handshake (certificate.go)
//
// What crypto/tls cannot read or speak is a handshake that failed, and the host
// is left out: certificates with a negative serial number and other faults that
// crypto/x509 refuses (reference D-66), servers with DHE suites only (D-95), raw
// public keys (D-97).
//
// Once records are Secure nothing is ever sent in clear to the host, and no
// lookup that failed counts as "no records". All failures wait and try again.
package dane

import (
	"context"
	"fmt"
	"slices"

	"esa/mta/envelope"
	"esa/mta/lookup"
)

// Mode is what a destination wants.
type Mode int

// The modes, in the order of destination controls.
const (
	Off Mode = iota
	Opportunistic
	Mandatory
)

// Action is what to do with a host.
type Action int

const (
	// ByTLSMode: DANE does not apply, the TLS mode of the destination does.
	ByTLSMode Action = iota
	// Authenticate: TLS, and a certificate that fits the records. Else nothing
	// is sent to the host.
	Authenticate
	// Encrypt: TLS with any certificate. Else nothing is sent to the host.
	Encrypt
	// Skip: nothing is sent to the host now.
	Skip
)

// Decision is what DANE demands of a host.
type Decision struct {
	Action  Action
	Reason  envelope.Reason // of Skip
	Text    string          // why, for the log and for operators
	Base    string          // TLSA base domain, which is the name for SNI too; with Authenticate and Encrypt
	Domain  string          // next-hop domain that a match speaks for; empty where it speaks for the host alone
	Names   []string        // that the certificate may be for under usage 2, Base first
	Records []lookup.TLSA   // usable ones; with Authenticate
	TLSA    []lookup.TLSAAnswer
}

// Host is a mail host of a destination, as DNS gave it. Names are lower case
// without final dot.
type Host struct {
	Mode     Mode
	Literal  bool          // Name is an address, or one in brackets; of the rest only Mode counts
	Insecure bool          // hosts that Insecure MX records name are authenticated too, if Opportunistic (§2.2.1)
	Domain   string        // next-hop domain: of the recipient, or the host that an SMTP route names
	Expanded string        // where aliases of Domain lead; the same if there are none
	MX       lookup.Status // of the lookup that named the host: Secure or Insecure, or what it failed with
	Name     string        // as the MX record has it
	Port     uint16
	Addrs    []lookup.AddrAnswer // both families, those not asked for left out
}

// Resolver looks up TLSA records, validated.
type Resolver interface {
	TLSA(ctx context.Context, name string) lookup.TLSAAnswer
}

// Decide says what DANE demands of a host. It asks for TLSA records at two
// names at most, and for none where the host's address is not Secure: some
// servers of unsigned zones do not answer such questions (RFC 7672 §2.2.2).
func Decide(ctx context.Context, r Resolver, h Host) Decision {
	if h.Mode == Off {
		return Decision{Text: "DANE is off"}
	}
	if h.Literal {
		return h.lacking(h.Name + " is an address, which has no TLSA record")
	}
	if h.MX != lookup.Secure && !h.named() {
		return h.without("the MX record of "+h.Domain, h.MX, "")
	}
	a, family := h.addresses()
	names := []string{a.Canonical}
	switch {
	case !a.Usable():
		return h.without(fmt.Sprintf("the %s record of %s", family, h.Name), a.Status, a.Why)
	case a.Status == lookup.Insecure && (a.Canonical == h.Name || a.Alias != lookup.Secure):
		return h.without(fmt.Sprintf("the %s record of %s", family, h.Name), a.Status, "")
	case a.Status == lookup.Insecure:
		names = []string{h.Name}
	case a.Canonical != h.Name:
		names = append(names, h.Name)
	}
	d := Decision{}
	for _, base := range names {
		answer := r.TLSA(ctx, Name(h.Port, base))
		d.TLSA = append(d.TLSA, answer)
		if !answer.Usable() {
			no := h.without("the TLSA record of "+base, answer.Status, answer.Why)
			no.TLSA = d.TLSA
			return no
		}
		if answer.Status == lookup.Secure && len(answer.Records) > 0 {
			return h.demand(d, base, answer.Records)
		}
	}
	no := h.without("the TLSA record of "+names[0], lookup.Insecure, "")
	last := d.TLSA[len(d.TLSA)-1]
	if len(last.Records) == 0 {
		no = h.lacking("there is no TLSA record for " + h.Name)
	}
	no.TLSA = d.TLSA
	return no
}

// Name is where the TLSA records of a TCP server are (RFC 6698 §3). host is in
// its one form, without final dot.
func Name(port uint16, host string) string { return fmt.Sprintf("_%d._tcp.%s", port, host) }

// named reports whether the host is authenticated though its domain is not.
func (h Host) named() bool { return h.MX == lookup.Insecure && h.Insecure && h.Mode == Opportunistic }

// addresses joins the answers of both families: one that holds stands for a
// host whose other family cannot be found out. Of two that hold the weaker
// counts.
func (h Host) addresses() (a lookup.AddrAnswer, family string) {
	for i, answer := range h.Addrs {
		name := "A"
		if slices.ContainsFunc(answer.Addrs, addrIs6) {
			name = "AAAA"
		}
		better := answer.Usable() && len(answer.Addrs) > 0 && (!a.Usable() || len(a.Addrs) == 0 || answer.Status == lookup.Insecure)
		if i == 0 || better {
			a, family = answer, name
		}
	}
	return a, family
}

// demand is what Secure records demand. Records of which none is usable still
// forbid clear text (RFC 7672 §2.2).
func (h Host) demand(d Decision, base string, records []lookup.TLSA) Decision {
	d.Base, d.Records = base, Usable(records)
	d.Names = []string{base}
	names := []string{h.Domain, h.Expanded}
	if h.named() {
		names = nil // the domain's host is whoever forged the MX record says (§3.2.2)
	}
	for _, name := range names {
		if name != "" && !slices.Contains(d.Names, name) {
			d.Names = append(d.Names, name)
		}
	}
	switch {
	case len(d.Records) > 0:
		if d.Action = Authenticate; !h.named() {
			d.Domain = h.Domain
		}
	case h.Mode == Mandatory:
		d.Action, d.Reason = Skip, envelope.ReasonTLSA
		d.Text = "no TLSA record of " + base + " can be used"
	default:
		d.Action = Encrypt
		d.Text = "no TLSA record of " + base + " can be used: any certificate will do"
	}
	return d
}

// without is the end for a host of which something is not Secure.
func (h Host) without(what string, status lookup.Status, why string) Decision {
	switch status {
	case lookup.Bogus:
		return Decision{Action: Skip, Reason: envelope.ReasonDNSSEC, Text: join(what+" is BOGUS", why)}
	case lookup.Insecure:
		return h.lacking(what + " is INSECURE")
	default:
		return Decision{Action: Skip, Reason: envelope.ReasonDNS, Text: join(what+" could not be looked up", why)}
	}
}

// lacking is the end for a host that DANE does not apply to.
func (h Host) lacking(why string) Decision {
	if h.Mode == Mandatory {
		return Decision{Action: Skip, Reason: envelope.ReasonDANE, Text: why}
	}
	return Decision{Text: why}
}

func join(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}
