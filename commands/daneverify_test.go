package commands

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/netip"
	"strings"
	"testing"
	"time"

	"esa/mta/envelope"
	"esa/mta/lookup"
	"esa/shell/shelltest"
	"esa/store"
)

// fakeDANE is the Internet that daneverify sees. What a domain has is in its
// first label; ietf.org, cisco.com and thinkbeyond.ch are as the reference
// shows them.
type fakeDANE struct{ clock func() time.Time }

func (f fakeDANE) DANETrials() (DANETrials, error) { return f, nil }
func (fakeDANE) Close()                            {}

func (fakeDANE) Handling(c *store.Config) func(string) (store.Destination, *store.Route) {
	return func(domain string) (store.Destination, *store.Route) {
		to, route := c.Destinations.Default, (*store.Route)(nil)
		for _, e := range c.Destinations.Entries {
			if e.Domain == domain {
				to = e.Within(c.Destinations.Default)
			}
		}
		for i, r := range c.Routes {
			if r.Domain == domain {
				route = &c.Routes[i]
			}
		}
		return to, route
	}
}

func daneFailure(reason envelope.Reason, text string) *envelope.Failure {
	return &envelope.Failure{Reason: reason, Reply: []string{text}}
}

func (f fakeDANE) Try(ctx context.Context, t DANETrial, w DANEWitness) *envelope.Failure {
	act, rest, _ := strings.Cut(t.Domain, ".")
	mx := func(status lookup.Status, hosts ...string) lookup.MXAnswer {
		a := lookup.MXAnswer{Answer: lookup.Answer{Status: status, Canonical: t.Domain}}
		for _, h := range hosts {
			a.Records = append(a.Records, lookup.MX{Host: h})
		}
		return a
	}
	switch act {
	case "panics":
		panic("a fault of ours")
	case "bogus":
		a := mx(lookup.Bogus)
		a.Why = "the signature of MX bogus." + rest + ". expired"
		w.MX("", a)
		return daneFailure(envelope.ReasonDNSSEC, "the MX record of "+t.Domain+" is BOGUS: "+a.Why)
	case "silent":
		a := mx(lookup.Failed)
		a.Why = "timeout asking 192.0.2.53"
		w.MX("", a)
		return daneFailure(envelope.ReasonDNS, "the MX record of "+t.Domain+" could not be looked up: "+a.Why)
	case "missing":
		a := mx(lookup.Secure)
		a.NXDomain = true
		w.MX("", a)
		return daneFailure(envelope.ReasonNoHost, t.Domain+" does not exist")
	case "null":
		w.MX("", mx(lookup.Secure, ""))
		return daneFailure(envelope.ReasonNoMail, t.Domain+" takes no mail")
	case "nomx":
		w.MX("", mx(lookup.Secure))
		return f.host(t, t.Domain, w, "4.31.198.44")
	case "cisco", "thinkbeyond":
		return insecureDomain(t, w, mx)
	case "forged":
		w.MX("mail."+t.Domain, mx(lookup.Insecure, "mail."+t.Domain))
		if f.host(t, "mail."+t.Domain, w, "4.31.198.44") == nil {
			return daneFailure(envelope.ReasonDANE, "the MX record of "+t.Domain+" is INSECURE")
		}
	}
	w.MX("mail."+t.Domain, mx(lookup.Secure, "mail."+t.Domain))
	return f.host(t, "mail."+t.Domain, w, "4.31.198.44")
}

// insecureDomain is a domain whose zones are not signed.
func insecureDomain(t DANETrial, w DANEWitness, mx func(lookup.Status, ...string) lookup.MXAnswer) *envelope.Failure {
	hosts := map[string][]string{"alln-mx-01.cisco.com": {"173.37.147.230"}, "rcdn-mx-01.cisco.com": {"72.163.7.166"}, "aer-mx-01.cisco.com": {"173.38.212.150"}}
	names := []string{"alln-mx-01.cisco.com", "rcdn-mx-01.cisco.com", "aer-mx-01.cisco.com"}
	if t.Domain == "thinkbeyond.ch" {
		names = []string{"thinkbeyond-ch.mail.protection.outlook.com"}
		hosts = map[string][]string{names[0]: {"104.47.9.36", "104.47.10.36"}}
	}
	var why *envelope.Failure
	for i, name := range names {
		if i > 0 {
			w.NextMX()
		}
		w.MX(name, mx(lookup.Insecure, names...))
		for n, text := range hosts[name] {
			addr := netip.MustParseAddr(text)
			if n > 0 {
				w.NextAddress(name, "A", addr)
			}
			w.Address(name, "A", addr, lookup.Answer{Status: lookup.Insecure})
		}
		f := daneFailure(envelope.ReasonDANE, "the A record of "+name+" is INSECURE")
		w.Judged(name, f)
		if why == nil {
			why = f
		}
	}
	return why
}

// host is a host with DANE, or what its domain's first label makes of it.
func (f fakeDANE) host(t DANETrial, name string, w DANEWitness, text string) *envelope.Failure {
	act, _, _ := strings.Cut(t.Domain, ".")
	why := f.address(t, name, w, netip.MustParseAddr(text))
	if act == "two" {
		second := netip.MustParseAddr("2001:db8::2")
		w.NextAddress(name, "AAAA", second)
		if after := f.address(DANETrial{Domain: "ietf.org"}, name, w, second); !t.All {
			why = after
		}
	}
	w.Judged(name, why)
	return why
}

func (f fakeDANE) address(t DANETrial, name string, w DANEWitness, addr netip.Addr) *envelope.Failure {
	act, _, _ := strings.Cut(t.Domain, ".")
	family := "A"
	if addr.Is6() {
		family = "AAAA"
	}
	secure := lookup.Answer{Status: lookup.Secure, Canonical: name}
	switch act {
	case "addrbogus":
		w.Address(name, family, netip.Addr{}, lookup.Answer{Status: lookup.Bogus, Why: "no signature"})
		return daneFailure(envelope.ReasonDNSSEC, "the A record of "+name+" is BOGUS: no signature")
	case "addrsilent":
		w.Address(name, family, netip.Addr{}, lookup.Answer{Why: "ServFail"})
		return daneFailure(envelope.ReasonDNS, "the A record of "+name+" could not be looked up: ServFail")
	case "noaddr":
		w.Address(name, family, netip.Addr{}, lookup.Answer{Status: lookup.Secure, NXDomain: true})
		return daneFailure(envelope.ReasonNoAddress, name+" has no address")
	}
	w.Address(name, family, addr, secure)
	to := netip.AddrPortFrom(addr, 25)
	w.Connecting(to)
	if act == "closed" || act == "two" {
		why := daneFailure(envelope.ReasonConnect, "connection refused")
		w.Failed(to, *why)
		return why
	}
	w.Connected(to, netip.MustParseAddr("216.71.133.161"))
	return f.tlsa(t, name, w, to)
}

// goodTLSA is the record of the reference.
func goodTLSA() lookup.TLSA {
	return lookup.TLSA{Usage: 3, Selector: 1, MatchingType: 1, Data: []byte{0x0c, 0x72, 0xac, 0x70}}
}

func (f fakeDANE) tlsa(t DANETrial, name string, w DANEWitness, to netip.AddrPort) *envelope.Failure {
	act, _, _ := strings.Cut(t.Domain, ".")
	good := goodTLSA()
	answer := lookup.TLSAAnswer{Answer: lookup.Answer{Status: lookup.Secure}, Records: []lookup.TLSA{good}}
	var why *envelope.Failure
	switch act {
	case "notlsa":
		answer = lookup.TLSAAnswer{Answer: lookup.Answer{Status: lookup.Secure, NXDomain: true}}
		why = daneFailure(envelope.ReasonDANE, "there is no TLSA record for "+name)
	case "tlsabogus":
		answer = lookup.TLSAAnswer{Answer: lookup.Answer{Status: lookup.Bogus, Why: "no signature"}}
		why = daneFailure(envelope.ReasonDNSSEC, "the TLSA record of "+name+" is BOGUS: no signature")
	case "tlsainsecure":
		answer.Status = lookup.Insecure
		why = daneFailure(envelope.ReasonDANE, "the TLSA record of "+name+" is INSECURE")
	case "tlsasilent":
		answer = lookup.TLSAAnswer{Answer: lookup.Answer{Why: "timeout asking 192.0.2.53"}}
		why = daneFailure(envelope.ReasonDNS, "the TLSA record of "+name+" could not be looked up: timeout asking 192.0.2.53")
	case "unusable":
		answer.Records = []lookup.TLSA{{Usage: 1, Selector: 1, MatchingType: 1, Data: []byte{1, 2}}}
		why = daneFailure(envelope.ReasonTLSA, "no TLSA record of "+name+" can be used")
	case "issuer":
		answer.Records = []lookup.TLSA{{Usage: 2, Selector: 1, MatchingType: 1, Data: []byte{7, 7}}, {Usage: 0, Data: []byte{0}}}
	}
	if why != nil {
		w.TLSA(name, answer, nil, nil)
		return why
	}
	w.TLSA(name, answer, answer.Records[:1], []string{name, t.Domain})
	return f.handshake(t, w, to, answer)
}

func (f fakeDANE) handshake(t DANETrial, w DANEWitness, to netip.AddrPort, tlsa lookup.TLSAAnswer) *envelope.Failure {
	act, _, _ := strings.Cut(t.Domain, ".")
	name, record := "mail."+t.Domain, tlsa.Records[0]
	fail := func(reason envelope.Reason, text string) *envelope.Failure {
		why := daneFailure(reason, text)
		w.Failed(to, *why)
		return why
	}
	if act == "busy" {
		return fail(envelope.ReasonRefused, "no service\x1b[2J")
	}
	w.Checking()
	switch act {
	case "plain":
		return fail(envelope.ReasonNoSTARTTLS, name+" does not offer STARTTLS")
	case "old":
		return fail(envelope.ReasonHandshake, "alert from the peer: protocol version not supported")
	}
	w.Established("TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384")
	w.Presented([]*x509.Certificate{{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: f.clock().Add(-time.Hour), NotAfter: f.clock().Add(60 * 24 * time.Hour),
	}})
	if act == "other" {
		return fail(envelope.ReasonTLSA, "verify error: the certificate fits no TLSA record")
	}
	if act == "issuer" {
		w.Matched(record, 1, name)
	} else {
		w.Matched(record, 0, "")
	}
	return nil
}

// endless is trials that take until they are given up.
type endless struct{ fakeDANE }

func (e endless) DANETrials() (DANETrials, error) { return e, nil }

func (endless) Try(ctx context.Context, _ DANETrial, w DANEWitness) *envelope.Failure {
	<-ctx.Done()
	return daneFailure(envelope.ReasonLocal, "stopped")
}

// TestDANEVerify_Interrupted: Ctrl-C ends all trials, and no verdict is given.
func TestDANEVerify_Interrupted(t *testing.T) {
	for _, line := range []string{"daneverify a.example", "daneverify a.example b.example", "daneverify json a.example"} {
		w := newWorld(t)
		env := w.env("admin", false)
		ctx, stop := context.WithCancel(t.Context())
		env.DANE = stoppingDANE{endless{}, stop}
		screen := shelltest.NewScreen()
		screen.Plain = true
		if status := w.shell(env, screen).Exec(ctx, line); status == 0 {
			t.Errorf("%s: exit status 0", line)
		}
		if strings.Contains(screen.String(), "DANE ") {
			t.Errorf("%s: a verdict in\n%s", line, screen)
		}
	}
}

// stoppingDANE is stopped once trials are made.
type stoppingDANE struct {
	endless
	stop func()
}

func (s stoppingDANE) DANETrials() (DANETrials, error) {
	s.stop()
	return s.endless, nil
}

// TestDANEVerify_Many: each domain has its line and its place in the table; a
// trial that breaks does not take the others with it.
func TestDANEVerify_Many(t *testing.T) {
	w := newWorld(t)
	screen := shelltest.NewScreen()
	screen.Plain = true
	status := w.shell(w.env("admin", false), screen).Exec(t.Context(), "daneverify ietf.org notlsa.example panics.example null.example plain.example notlsa2.example")
	if status != 1 {
		t.Errorf("exit status %d", status)
	}
	for _, want := range []string{
		"/6] DANE SUCCESS for ietf.org: mail.ietf.org [4.31.198.44] 3 1 1, 60 days remaining\n",
		"/6] DANE FAILED for notlsa.example: dane-required (there is no TLSA record for mail.notlsa.example)\n",
		"/6] DANE FAILED for panics.example: local-error (internal error: a fault of ours)\n",
		"/6] DANE FAILED for null.example: null-mx (null.example takes no mail)\n",
		"[1/6] ", "[6/6] ",
		"\n\nResult                       Domains\nDANE SUCCESS                       2\ndane-required                      1\nlocal-error                        1\n" +
			"null-mx                            1\nstarttls-not-supported             1\nDANE verification completed.\n",
	} {
		if !strings.Contains(screen.String(), want) {
			t.Errorf("%q is missing in\n%s", want, screen)
		}
	}
}

// TestDANEVerify_Destinations: what opportunistic and mandatory do with a
// trial is the table of the reference, 1.3.
func TestDANEVerify_Destinations(t *testing.T) {
	for _, tt := range []struct{ domain, opportunistic, mandatory string }{
		{"forged.example", "TLS Preferred", "waits"},
		{"ietf.org", "DANE", "DANE"},
		{"notlsa.example", "TLS Preferred", "waits"},
		{"unusable.example", "encrypted", "waits"},
		{"other.example", "waits", "waits"},
		{"tlsabogus.example", "waits", "waits"},
		{"bogus.example", "waits", "waits"},
		{"cisco.com", "TLS Preferred", "waits"},
		{"missing.example", "bounces", "bounces"},
		{"null.example", "bounces", "bounces"},
		{"closed.example", "waits", "waits"},
	} {
		w := newWorld(t)
		f := tryOne(t.Context(), w.env("admin", false), fakeDANE{w.time.Now}, DANETrial{Domain: tt.domain})
		if o, m := f.opportunistic("Preferred", false), f.mandatory(); o != tt.opportunistic || m != tt.mandatory {
			t.Errorf("%s: %s, %s; want %s, %s", tt.domain, o, m, tt.opportunistic, tt.mandatory)
		}
	}
}

// TestDANEVerify_InsecureMX: a delivery asks the hosts that an INSECURE MX
// record names for TLSA records only where daneconfig says so; what is wrong
// with these holds no mail otherwise.
func TestDANEVerify_InsecureMX(t *testing.T) {
	address := &daneAddress{Address: "192.0.2.1"}
	fits := &daneAddress{Address: "192.0.2.1", Match: &daneMatch{Record: "3 1 1 00"}}
	usable := &daneTLSA{daneAnswer: daneAnswer{Status: "SECURE"}, Records: []daneRecord{{"3 1 1 00", true}}}
	unusable := &daneTLSA{daneAnswer: daneAnswer{Status: "SECURE"}, Records: []daneRecord{{"1 1 1 00", false}}}
	for _, tt := range []struct {
		name             string
		host             daneHost
		asDefault, asked string
	}{
		{"matches", daneHost{Reason: "dane-required", TLSAData: usable, Addresses: []*daneAddress{fits}}, "TLS Preferred", "DANE"},
		{"does not match", daneHost{Reason: "tlsa-invalid", TLSAData: usable, Addresses: []*daneAddress{address}}, "TLS Preferred", "waits"},
		{"none usable", daneHost{Reason: "tlsa-invalid", TLSAData: unusable, Addresses: []*daneAddress{address}}, "TLS Preferred", "encrypted"},
		{"no records", daneHost{Reason: "dane-required", Addresses: []*daneAddress{address}}, "TLS Preferred", "TLS Preferred"},
		{"bogus records", daneHost{Reason: "dnssec-invalid", Addresses: []*daneAddress{address}}, "TLS Preferred", "waits"},
		{"bogus address", daneHost{Reason: "dnssec-invalid", Addresses: []*daneAddress{{}}}, "waits", "waits"},
	} {
		f := daneFindings{Reason: tt.host.Reason, MXData: daneAnswer{Status: "INSECURE"}, Hosts: []*daneHost{&tt.host}}
		if a, b := f.opportunistic("Preferred", false), f.opportunistic("Preferred", true); a != tt.asDefault || b != tt.asked {
			t.Errorf("%s: %s, with insecure_mx %s; want %s, %s", tt.name, a, b, tt.asDefault, tt.asked)
		}
	}
}
