package commands

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"esa/mta/envelope"
	"esa/mta/lookup"
	"esa/store"
)

// The words for how a trial, a host or an address ended.
const (
	daneSuccess = "success"
	daneFailed  = "failed"
)

// daneFindings keeps all that a trial finds. In JSON it is what daneverify json
// gives.
type daneFindings struct {
	Domain string      `json:"domain"`
	Result string      `json:"result"`
	Reason string      `json:"reason,omitempty"` // one word; empty on success
	Text   string      `json:"text,omitempty"`   // of the reason
	MXData daneAnswer  `json:"mx"`
	Hosts  []*daneHost `json:"hosts"`

	now   time.Time
	trial DANETrial
}

// daneAnswer is how far an answer from DNS can be believed.
type daneAnswer struct {
	Status string `json:"status"`
	Code   string `json:"code,omitempty"` // of an answer that can be used: "NoError", "NXDomain"
	Why    string `json:"why,omitempty"`
}

type daneHost struct {
	Name      string         `json:"name"`
	Result    string         `json:"result"`
	Reason    string         `json:"reason,omitempty"`
	Text      string         `json:"text,omitempty"`
	TLSAData  *daneTLSA      `json:"tlsa,omitempty"`
	Addresses []*daneAddress `json:"addresses"`
}

type daneTLSA struct {
	daneAnswer
	Records []daneRecord `json:"records"`
	Names   []string     `json:"names"` // that a certificate may be for under usage 2
}

type daneRecord struct {
	Record string `json:"record"`
	Usable bool   `json:"usable"`
}

type daneAddress struct {
	Family       string            `json:"family"`
	Address      string            `json:"address,omitempty"`
	DNS          daneAnswer        `json:"dns"`
	From         string            `json:"from,omitempty"`
	Protocol     string            `json:"protocol,omitempty"`
	Cipher       string            `json:"cipher,omitempty"`
	Certificates []daneCertificate `json:"certificates,omitempty"`
	Match        *daneMatch        `json:"match,omitempty"`
	Reason       string            `json:"reason,omitempty"`
	Text         string            `json:"text,omitempty"`
}

type daneCertificate struct {
	Names    []string  `json:"names"`
	NotAfter time.Time `json:"not_after"`
	Days     int       `json:"days_remaining"`
}

type daneMatch struct {
	Record string `json:"record"`
	Depth  int    `json:"depth"`
	Name   string `json:"name,omitempty"`
}

func answerOf(a lookup.Answer) daneAnswer {
	status := daneAnswer{Status: a.Status.String(), Why: printable(a.Why)}
	if a.Usable() {
		status.Code = rcode(a)
	}
	return status
}

// end takes how the trial ended.
func (f *daneFindings) end(why *envelope.Failure) {
	if f.Hosts == nil {
		f.Hosts = []*daneHost{} // an empty list in JSON
	}
	if f.Result = daneSuccess; why != nil {
		f.Result, f.Reason, f.Text = daneFailed, string(why.Reason), printable(strings.Join(why.Reply, " "))
	}
}

func (f *daneFindings) MX(host string, a lookup.MXAnswer) {
	f.MXData = answerOf(a.Answer)
	if host != "" {
		f.host(host)
	}
}

// host is the finding of a mail host, which is the last one.
func (f *daneFindings) host(name string) *daneHost {
	if n := len(f.Hosts); n > 0 && f.Hosts[n-1].Name == name {
		return f.Hosts[n-1]
	}
	h := &daneHost{Name: name}
	f.Hosts = append(f.Hosts, h)
	return h
}

// address is the one that is tried now.
func (f *daneFindings) address() *daneAddress {
	h := f.Hosts[len(f.Hosts)-1]
	return h.Addresses[len(h.Addresses)-1]
}

func (f *daneFindings) Address(host, family string, addr netip.Addr, a lookup.Answer) {
	h := f.host(host)
	found := &daneAddress{Family: family, DNS: answerOf(a)}
	if addr.IsValid() {
		found.Address = addr.String()
	}
	h.Addresses = append(h.Addresses, found)
}

func (f *daneFindings) NextAddress(string, string, netip.Addr) {}
func (f *daneFindings) NextMX()                                {}
func (f *daneFindings) Connecting(netip.AddrPort)              {}
func (f *daneFindings) Checking()                              {}

func (f *daneFindings) Connected(_ netip.AddrPort, from netip.Addr) { f.address().From = from.String() }

func (f *daneFindings) TLSA(host string, a lookup.TLSAAnswer, usable []lookup.TLSA, names []string) {
	found := &daneTLSA{daneAnswer: answerOf(a.Answer), Records: []daneRecord{}, Names: names}
	for _, r := range a.Records {
		found.Records = append(found.Records, daneRecord{r.String(), containsTLSA(usable, r)})
	}
	f.host(host).TLSAData = found
}

func (f *daneFindings) Established(protocol, cipher string) {
	f.address().Protocol, f.address().Cipher = protocol, cipher
}

func (f *daneFindings) Presented(chain []*x509.Certificate) {
	for _, c := range chain {
		_, days := store.ValidityOf(c, f.now)
		f.address().Certificates = append(f.address().Certificates, daneCertificate{store.NamesOf(c), c.NotAfter.UTC(), days})
	}
}

func (f *daneFindings) Matched(record lookup.TLSA, depth int, name string) {
	f.address().Match = &daneMatch{record.String(), depth, printable(name)}
}

func (f *daneFindings) Failed(_ netip.AddrPort, why envelope.Failure) {
	f.address().Reason, f.address().Text = string(why.Reason), printable(strings.Join(why.Reply, " "))
}

func (f *daneFindings) Judged(host string, why *envelope.Failure) {
	h := f.host(host)
	if h.Result = daneSuccess; why != nil {
		h.Result, h.Reason, h.Text = daneFailed, string(why.Reason), printable(strings.Join(why.Reply, " "))
	}
}

func (f *daneFindings) word() string {
	if f.Result == daneSuccess {
		return "SUCCESS"
	}
	return "FAILED"
}

// detail says on one line what the result rests on.
func (f *daneFindings) detail() string {
	if f.Result != daneSuccess {
		if f.Text == "" {
			return ": " + f.Reason
		}
		return fmt.Sprintf(": %s (%s)", f.Reason, f.Text)
	}
	for _, h := range f.Hosts {
		for _, a := range h.Addresses {
			if h.Result == daneSuccess && a.Match != nil && len(a.Certificates) > 0 {
				usage := strings.Join(strings.Fields(a.Match.Record)[:3], " ")
				return fmt.Sprintf(": %s [%s] %s, %d days remaining", h.Name, a.Address, usage, a.Certificates[0].Days)
			}
		}
	}
	return ""
}

// opportunistic says what becomes of mail to a domain with DANE Opportunistic:
// the first host that is not left out decides (reference dane-dnssec 1.3).
// byTLS is the TLS setting of the destination, insecureMX whether daneconfig
// has hosts authenticated that INSECURE MX records name.
func (f *daneFindings) opportunistic(byTLS string, insecureMX bool) string {
	switch envelope.Reason(f.Reason) {
	case envelope.ReasonNoHost, envelope.ReasonNoMail:
		return "bounces"
	}
	insecure := f.MXData.Status == lookup.Insecure.String()
	for _, h := range f.Hosts {
		unusable := h.TLSAData != nil && h.TLSAData.Status == lookup.Secure.String() && !h.TLSAData.usable()
		switch {
		case insecure && !insecureMX && h.reachable():
			return "TLS " + byTLS // whatever TLSA records the host has: a delivery does not ask for them
		case h.Result == daneSuccess, insecure && insecureMX && h.matched():
			return "DANE"
		case h.Reason == string(envelope.ReasonDANE):
			return "TLS " + byTLS
		case h.Reason == string(envelope.ReasonTLSA) && unusable:
			return "encrypted"
		}
	}
	return "waits"
}

// reachable reports whether DNS gives an address of the host.
func (h *daneHost) reachable() bool {
	return slices.ContainsFunc(h.Addresses, func(a *daneAddress) bool { return a.Address != "" })
}

// matched reports whether a certificate of the host fits its TLSA records.
func (h *daneHost) matched() bool {
	return slices.ContainsFunc(h.Addresses, func(a *daneAddress) bool { return a.Match != nil })
}

func (t *daneTLSA) usable() bool {
	for _, r := range t.Records {
		if r.Usable {
			return true
		}
	}
	return false
}

// mandatory says what becomes of it with DANE Mandatory.
func (f *daneFindings) mandatory() string {
	switch envelope.Reason(f.Reason) {
	case "":
		return "DANE"
	case envelope.ReasonNoHost, envelope.ReasonNoMail:
		return "bounces"
	}
	return "waits"
}
