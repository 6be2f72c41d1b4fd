package route

import (
	"errors"
	"fmt"
	"net/netip"

	"esa/mta/envelope"
	"esa/mta/lookup"
)

// badHost is the phrase of the mail log for X.1.2 (reference 2.4).
const badHost = "Bad destination host"

func hardError(name, kind, why string) *envelope.Failure {
	return &envelope.Failure{
		Permanent: true,
		Enhanced:  "5.1.2",
		Phrase:    badHost,
		Reply:     []string{fmt.Sprintf("DNS Hard Error looking up %s (%s):  %s", name, kind, why)},
	}
}

// noDomain is NXDOMAIN for the domain itself.
func noDomain(name string) *envelope.Failure {
	f := hardError(name, "MX", "NXDomain")
	f.Reason = envelope.ReasonNoHost
	return f
}

// noAddress is a host that a usable answer says has no address: why is
// NXDomain or NoData.
func noAddress(host, why string) *envelope.Failure {
	f := hardError(host, "A", why)
	f.Reason, f.Host = envelope.ReasonNoAddress, host
	return f
}

// nullMX is a domain that takes no mail (RFC 7505 §4.1, §4.2).
func nullMX(name string) *envelope.Failure {
	return &envelope.Failure{
		Permanent: true,
		Code:      556,
		Enhanced:  "5.1.10",
		Phrase:    "Recipient address has null MX",
		Reason:    envelope.ReasonNoMail,
		Reply:     []string{"The domain " + name + " does not accept mail (null MX)"},
	}
}

// mailLoop is a domain whose best host is this gateway.
func mailLoop(domain string) *envelope.Failure {
	return &envelope.Failure{
		Permanent: true,
		Enhanced:  "5.4.6",
		Phrase:    "Routing loop detected",
		Reason:    envelope.ReasonLoop,
		Reply:     []string{"Mail for " + domain + " loops back to this gateway"},
	}
}

// LookupError is the Err of a failure that stands for a lookup which did not
// end, or whose answer was forged. The mail log has a line of its own for it.
type LookupError struct {
	Name string
	Type string // "MX", "A" or "AAAA"
	Why  string // lookup.Answer.Why
}

func (e *LookupError) Error() string {
	return fmt.Sprintf("looking up %s (%s): %s", e.Name, e.Type, e.Why)
}

// softError is a lookup that did not end, or whose answer does not hold.
func softError(name, kind string, a lookup.Answer) *envelope.Failure {
	f := &envelope.Failure{
		Enhanced: "4.1.2",
		Phrase:   badHost,
		Reason:   envelope.ReasonDNS,
		Reply:    []string{fmt.Sprintf("DNS Soft Error looking up %s (%s):  %s", name, kind, a.Why)},
		Err:      &LookupError{Name: name, Type: kind, Why: a.Why},
	}
	if a.Status == lookup.Bogus {
		f.Reason = envelope.ReasonDNSSEC
	}
	return f
}

// unusable is a host that has an address, but of a family that mail does not
// leave by here.
func unusable(host string, addr netip.Addr) *envelope.Failure {
	return &envelope.Failure{
		Enhanced: "4.4.0",
		Phrase:   "Other network problem",
		Reason:   envelope.ReasonNoAddress,
		Host:     host,
		Reply:    []string{fmt.Sprintf("No interface to deliver from to %s", addr)},
		Err:      errors.New("the delivery interface has no address of that family"),
	}
}
