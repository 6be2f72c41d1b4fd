package delivery

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"esa/mta/dane"
	"esa/mta/envelope"
	"esa/mta/lookup"
	"esa/mta/route"
)

// DANETrial asks whether mail to a domain is protected by DANE (RFC 7672), as
// a destination with DANE Mandatory would find it without an SMTP route; or mail
// to a host that a route names, where DANE is done for such hosts.
type DANETrial struct {
	Domain string // lower case, in the form that DNS knows
	All    bool   // try every address of every host, and pass only if all do
	Port   uint16 // 0: 25
	Host   bool   // Domain is a mail host, in brackets in its route: MX records are not asked for
}

// DANEWitness is told what happens in a DANETrial. For each mail host in
// turn: MX, then for each address of it that is tried Address, Connecting,
// Connected, TLSA, Checking, Established, Presented, Matched; last Judged.
type DANEWitness interface {
	// MX is a host that the domain's mail goes to. It is empty where the answer
	// names none; if a domain is there without MX records it is its own host.
	MX(host string, a lookup.MXAnswer)
	// Address is one that is tried next; invalid where the answer has none.
	// family is "A" or "AAAA".
	Address(host, family string, addr netip.Addr, a lookup.Answer)
	NextAddress(host, family string, addr netip.Addr) // comes after a failed one
	NextMX()
	Connecting(to netip.AddrPort)
	Connected(to netip.AddrPort, from netip.Addr)
	// TLSA is the answer that decides, which of its records can be used, and
	// the names that a certificate may be for under usage 2.
	TLSA(host string, a lookup.TLSAAnswer, usable []lookup.TLSA, names []string)
	Checking() // STARTTLS is asked for
	Established(protocol, cipher string)
	// Presented is the chain of the host as it came, its own certificate first.
	Presented(chain []*x509.Certificate)
	// Matched is what the certificate was authenticated by: depth is that of the
	// certificate which the record names, name is empty under usage 3.
	Matched(record lookup.TLSA, depth int, name string)
	// Failed is an address that cannot be had so.
	Failed(to netip.AddrPort, f envelope.Failure)
	// Judged says what DANE makes of a host: nil if mail to it is protected.
	// ReasonDANE is a host that DANE does not apply to.
	Judged(host string, why *envelope.Failure)
}

// DANEResolver answers from DNS, validated.
type DANEResolver interface {
	route.Resolver
	dane.Resolver
}

// Bounds of a DANETrial.
const (
	maxTrialHosts     = 20
	maxTrialAddresses = 10               // of one family of a host
	trialTime         = 90 * time.Second // for one address, once it is connected to
	smtpPort          = 25
)

// TryDANE makes a trial. It gives nil if the domain is protected, else why it
// is not: the failure of the domain, or of the host that mail prefers. The mail
// log has the connections as it has those of deliveries.
func (c *Client) TryDANE(ctx context.Context, r DANEResolver, t DANETrial, w DANEWitness) *envelope.Failure {
	set := c.settings.Load()
	if set == nil {
		return localFailure(errNotConfigured)
	}
	t.Port = cmp.Or(t.Port, smtpPort)
	run := &daneTrial{DANETrial: t, DANEWitness: w, client: c, set: set, dns: r}
	f := run.domain(ctx)
	if ctx.Err() != nil {
		return stopped()
	}
	return f
}

// daneTrial is a trial under way.
type daneTrial struct {
	DANETrial
	DANEWitness
	client *Client
	set    *running
	dns    DANEResolver
	mx     lookup.MXAnswer
}

// domain asks for the mail hosts and tries them in their order.
func (t *daneTrial) domain(ctx context.Context) *envelope.Failure {
	if t.Host {
		t.mx = lookup.MXAnswer{Answer: lookup.Answer{Status: lookup.Secure, Canonical: t.Domain}}
	} else {
		t.mx = t.dns.MX(ctx, t.Domain)
	}
	switch {
	case t.mx.Status == lookup.Bogus:
		t.MX("", t.mx)
		return insecure("4.7.5", envelope.ReasonDNSSEC, because("the MX record of "+t.Domain+" is BOGUS", t.mx.Why))
	case !t.mx.Usable():
		t.MX("", t.mx)
		return insecure("4.4.3", envelope.ReasonDNS, because("the MX record of "+t.Domain+" could not be looked up", t.mx.Why))
	case t.mx.NXDomain:
		t.MX("", t.mx)
		return insecure("5.1.2", envelope.ReasonNoHost, t.Domain+" does not exist")
	case t.mx.Null():
		t.MX("", t.mx)
		return insecure("5.1.10", envelope.ReasonNoMail, t.Domain+" takes no mail")
	}
	hosts := t.hosts()
	var first *envelope.Failure
	for i, host := range hosts {
		if i > 0 {
			t.NextMX()
		}
		if len(t.mx.Records) > 0 {
			t.MX(host, t.mx)
		}
		f := t.host(ctx, host)
		if f == nil && t.mx.Status != lookup.Secure {
			// RFC 7672 §2.2.1: whoever forges the MX record names a host of his
			// own, whose certificate then fits.
			f = insecure("4.7.5", envelope.ReasonDANE, "the MX record of "+t.Domain+" is INSECURE")
		}
		t.Judged(host, f)
		first = cmp.Or(first, f)
		if ctx.Err() != nil || f == nil && !t.All {
			return f
		}
	}
	return first
}

// hosts are the mail hosts by preference, equal ones by name: an operator who
// asks twice is told the same.
func (t *daneTrial) hosts() []string {
	if len(t.mx.Records) == 0 {
		t.MX("", t.mx)
		return []string{t.Domain}
	}
	records := slices.SortedFunc(slices.Values(t.mx.Records), func(a, b lookup.MX) int {
		return cmp.Or(cmp.Compare(a.Preference, b.Preference), strings.Compare(a.Host, b.Host))
	})
	var hosts []string
	for _, r := range records[:min(len(records), maxTrialHosts)] {
		if !slices.Contains(hosts, r.Host) {
			hosts = append(hosts, r.Host)
		}
	}
	return hosts
}

// trialAddress is an address of a host, or a family that could not be looked
// up.
type trialAddress struct {
	family string
	addr   netip.Addr
	answer lookup.Answer
}

// host tries the addresses of a host until one passes, or all of them.
func (t *daneTrial) host(ctx context.Context, host string) *envelope.Failure {
	answers := []lookup.AddrAnswer{t.dns.Addrs(ctx, host, false), {}}
	early := t.askEarly(ctx, answers[0])
	defer early.end()
	answers[1] = t.dns.Addrs(ctx, host, true)
	tried := addressesOf(answers)
	if len(tried) == 0 {
		t.Address(host, "A", netip.Addr{}, answers[0].Answer)
		return insecure("4.4.3", envelope.ReasonNoAddress, host+" has no address")
	}
	h := dane.Host{Mode: dane.Mandatory, MX: lookup.Secure, Name: host, Port: t.Port, Addrs: answers}
	if t.mx.Status == lookup.Secure { // else the domain's host is whoever forged the MX record says (§3.2.2)
		h.Domain, h.Expanded = t.Domain, cmp.Or(t.mx.Canonical, t.Domain)
	}
	demand := dane.Decide(ctx, early, h)
	var first *envelope.Failure
	if demand.Action != dane.Authenticate {
		first = insecure("4.7.5", demand.Reason, demand.Text)
	}
	passed := false
	for i, a := range tried {
		if i > 0 && a.addr.IsValid() {
			t.NextAddress(host, a.family, a.addr)
		}
		t.Address(host, a.family, a.addr, a.answer)
		outside := a.answer.Status == lookup.Insecure && a.answer.Alias != lookup.Secure
		if !a.addr.IsValid() || outside || len(demand.TLSA) == 0 {
			continue
		}
		f, known := t.address(ctx, route.NextHop{Host: host, Addr: netip.AddrPortFrom(a.addr, t.Port)}, demand)
		if known {
			return first // the same for every other address
		}
		first, passed = cmp.Or(first, f), passed || f == nil
		if ctx.Err() != nil || f == nil && !t.All {
			break
		}
	}
	if passed && !t.All {
		return nil
	}
	return first
}

// earlyTLSA is a lookup of TLSA records that began before it was known whether
// it is needed.
type earlyTLSA struct {
	dane.Resolver
	name   string // that was asked for; "" if none was
	answer lookup.TLSAAnswer
	asking sync.WaitGroup // ends when answer is set
	cancel context.CancelFunc
}

// askEarly asks for the TLSA records of a host while its other family is looked
// up. Those of a host without a Secure address are not asked for, as Decide has it.
func (t *daneTrial) askEarly(ctx context.Context, a lookup.AddrAnswer) *earlyTLSA {
	ctx, cancel := context.WithCancel(ctx)
	e := &earlyTLSA{Resolver: t.dns, cancel: cancel}
	if a.Status == lookup.Secure && len(a.Addrs) > 0 {
		e.name = dane.Name(t.Port, a.Canonical)
		e.asking.Go(func() { e.answer = t.dns.TLSA(ctx, e.name) })
	}
	return e
}

// TLSA gives the early answer, or asks if the name turned out to be another.
func (e *earlyTLSA) TLSA(ctx context.Context, name string) lookup.TLSAAnswer {
	if name != e.name {
		return e.Resolver.TLSA(ctx, name)
	}
	e.asking.Wait()
	return e.answer
}

// end gives up an answer that nobody needs.
func (e *earlyTLSA) end() {
	e.cancel()
	e.asking.Wait()
}

// addressesOf lists the addresses of a host, IPv4 first; of a family that could
// not be looked up, what says so.
func addressesOf(answers []lookup.AddrAnswer) []trialAddress {
	var all []trialAddress
	for i, answer := range answers {
		family := []string{"A", "AAAA"}[i]
		if !answer.Usable() {
			all = append(all, trialAddress{family: family, answer: answer.Answer})
		}
		for _, addr := range answer.Addrs[:min(len(answer.Addrs), maxTrialAddresses)] {
			all = append(all, trialAddress{family, addr, answer.Answer})
		}
	}
	return all
}

// address tries one address. known reports that the TLSA records have decided
// about the host already.
func (t *daneTrial) address(ctx context.Context, hop route.NextHop, demand dane.Decision) (f *envelope.Failure, known bool) {
	g := guard{mode: RequireTLS, sni: demand.Base, dane: demand}
	t.Connecting(hop.Addr)
	conn, err := t.client.connect(ctx, t.set, hop, t.set.key(hop.Addr, g))
	if err != nil {
		f = broken(err)
		t.Failed(hop.Addr, *f)
		return f, false
	}
	until := time.Now().Add(trialTime)
	conn.leash = newLeash(ctx, conn.raw, t.set.Timeouts, &until)
	defer conn.leash.release()
	t.Connected(hop.Addr, conn.local)
	t.TLSA(hop.Host, demand.TLSA[len(demand.TLSA)-1], demand.Records, demand.Names)
	if demand.Action != dane.Authenticate {
		conn.close(false)
		return nil, true
	}
	f = t.converse(ctx, conn, g)
	if f != nil {
		t.Failed(hop.Addr, *f)
	}
	return f, false
}

// converse brings a connection as far as the certificate, which is held against
// the records as in a delivery, and ends it.
func (t *daneTrial) converse(ctx context.Context, conn *conn, g guard) *envelope.Failure {
	if f := conn.greet(t.set); f != nil {
		conn.close(f.Code != 0 && f.Code != 421)
		return f
	}
	t.Checking()
	e, f := conn.upgrade(ctx, g, t.set)
	if e != nil && e.state.Version != 0 {
		t.Established(e.protocol(), e.cipher())
		t.Presented(e.state.PeerCertificates)
	}
	if f != nil {
		t.client.logTLS(conn.dcid, f)
		conn.close(inClear(f))
		return f
	}
	t.client.opt.Log.DeliverySecured(conn.dcid, e.protocol(), e.cipher(), t.Domain)
	match, _ := dane.Verify(e.state.PeerCertificates, g.dane.Records, g.dane.Names, t.client.opt.Clock())
	t.Matched(match.Record, match.Depth, match.Name)
	conn.close(true)
	return nil
}

func because(what, why string) string {
	if why == "" {
		return what
	}
	return fmt.Sprintf("%s: %s", what, why)
}
