package dns

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"esa/mta/dnssec"
	"esa/mta/lookup"
	"esa/mta/mtatest"

	mdns "github.com/miekg/dns"
)

// badEDNS is what a server says that does not know the version of EDNS.
func badEDNS(x *mtatest.DNSExchange) {
	m := x.Reply()
	m.Answer, m.Ns, m.Rcode = nil, nil, mdns.RcodeBadVers
	x.Send(m)
}

// V-65: a server that does not take EDNS is of no use for a proof, and is never
// asked without it; the next one is.
func TestServerWithoutEDNS(t *testing.T) {
	for name, act := range map[string]mtatest.Act{
		"FORMERR": mtatest.FormErr, "NOTIMP": mtatest.Rcode(mdns.RcodeNotImplemented), "BADVERS": badEDNS,
	} {
		t.Run(name, func(t *testing.T) {
			lab := mtatest.NewLab(t, time.Now(), signedZones...)
			old, good := mtatest.NewLabServer(t, lab), mtatest.NewLabServer(t, lab)
			old.Usually(act)
			r := newSigned(t, Options{}, lab, old)
			if mx := r.Checked().MX(t.Context(), "ex.test"); mx.Status != lookup.Failed {
				t.Errorf("alone: %+v", mx)
			}
			r = newSigned(t, Options{}, lab, old, good)
			if mx := r.Checked().MX(t.Context(), "ex.test"); mx.Status != lookup.Secure || len(mx.Records) != 2 {
				t.Errorf("beside a good server: %+v", mx)
			}
			asked := old.Queries()
			for _, q := range asked {
				if q.Size == 0 || !q.DO {
					t.Errorf("asked without EDNS: %+v", q)
				}
			}
			if len(asked) == 0 {
				t.Error("it was not asked at all")
			}
		})
	}
}

// V-61: a server that validates by itself, and refuses what it does not believe,
// hands it over all the same when it is told that we check.
func TestValidatingForwarder(t *testing.T) {
	lab := mtatest.NewLab(t, time.Now(), signedZones...)
	server := mtatest.NewLabServer(t, lab)
	server.Usually(func(x *mtatest.DNSExchange) {
		if !x.Query.CheckingDisabled {
			mtatest.ServFail(x)
			return
		}
		mtatest.Honest(x)
	})
	r := newSigned(t, Options{}, lab, server)
	if mx := r.Checked().MX(t.Context(), "ex.test"); mx.Status != lookup.Secure {
		t.Errorf("%+v", mx)
	}
}

// V-63: what a server says of its own checking counts for nothing either way.
func TestFlagsOfAnswersAreIgnored(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*mdns.Msg)
		want   lookup.Status
	}{
		{"AD without signatures", func(m *mdns.Msg) {
			m.AuthenticatedData, m.CheckingDisabled = true, false
			m.Answer = m.Answer[:min(len(m.Answer), 2)] // the signature is last
		}, lookup.Bogus},
		{"signatures without AD, CD and DO", func(m *mdns.Msg) {
			m.AuthenticatedData, m.CheckingDisabled = false, false
			m.IsEdns0().SetDo(false)
		}, lookup.Secure},
	} {
		lab := mtatest.NewLab(t, time.Now(), signedZones...)
		server := mtatest.NewLabServer(t, lab)
		server.Script("ex.test", "MX", mtatest.Changed(tt.change), mtatest.Changed(tt.change))
		r := newSigned(t, Options{}, lab, server)
		if mx := r.Checked().MX(t.Context(), "ex.test"); mx.Status != tt.want {
			t.Errorf("%s: %+v", tt.name, mx)
		}
		for _, q := range server.Queries() {
			if !q.DO || !q.CD {
				t.Errorf("%s: asked without DO or CD: %+v", tt.name, q)
			}
		}
	}
}

// V-7C: the keys of the root come through whatever server is configured, asked
// with DO and CD, and are believed by their signatures alone: a server that
// strips them teaches nothing, and the next one is asked.
func TestObserveKeysThroughForwarders(t *testing.T) {
	lab := mtatest.NewLab(t, time.Now(), signedZones...)
	stripping, good := mtatest.NewLabServer(t, lab), mtatest.NewLabServer(t, lab)
	stripping.Usually(mtatest.Stripped)
	configured, err := dnssec.ParseAnchors(lab.Anchor("."))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		servers []*mtatest.DNSServer
		learns  bool
	}{{"stripped", []*mtatest.DNSServer{stripping}, false}, {"then signed", []*mtatest.DNSServer{stripping, good}, true}} {
		point := dnssec.NewTrustPoint(".", configured)
		r := newSigned(t, Options{}, lab, tt.servers...)
		_, next, err := r.ObserveKeys(t.Context(), point)
		if (err == nil) != tt.learns || (len(point.Keys) > 0) != tt.learns || next < time.Hour {
			t.Errorf("%s: %v, again in %v, %+v", tt.name, err, next, point.Keys)
		}
	}
	for _, s := range []*mtatest.DNSServer{stripping, good} {
		if asked := s.Queries(); len(asked) == 0 || asked[0].Type != "DNSKEY" || !asked[0].DO || !asked[0].CD || !asked[0].RD {
			t.Errorf("asked %+v", asked)
		}
	}
}

// D-27: the TLSA record is an alias whose target nobody can look up: that is no
// "none".
func TestAliasToWhatCannotBeLookedUp(t *testing.T) {
	zones := append([]mtatest.Zone{}, signedZones...)
	zones = append(zones, mtatest.Zone{Name: "al.test.", Text: "_25._tcp.mx CNAME x.dane.far.test.\n"}, mtatest.Zone{Name: "far.test.", Text: "x.dane TLSA 3 1 1 " + strings.Repeat("00", 32) + "\n"})
	lab := mtatest.NewLab(t, time.Now(), zones...)
	near, far := mtatest.NewLabServer(t, lab), mtatest.NewLabServer(t, lab)
	r := newSigned(t, Options{}, lab, near)
	set := r.state.Load().set
	set.Alternates = []Alternate{{Domain: "far.test", Servers: []netip.AddrPort{far.Addr()}}}
	r.Configure(set)
	if a := r.Checked().TLSA(t.Context(), "_25._tcp.mx.al.test"); a.Status != lookup.Secure || len(a.Records) != 1 {
		t.Errorf("while the target is there: %+v", a)
	}
	r.Flush()
	far.Script("x.dane.far.test", "TLSA", mtatest.ServFail, mtatest.ServFail)
	if a := r.Checked().TLSA(t.Context(), "_25._tcp.mx.al.test"); a.Status != lookup.Failed || a.Why != "ServFail" {
		t.Errorf("target SERVFAIL: %+v", a)
	}
	if far.Asked("x.dane.far.test", "TLSA") < 2 || near.Asked("x.dane.far.test", "TLSA") > 0 {
		t.Error("the target was not asked for where it is served")
	}
}
