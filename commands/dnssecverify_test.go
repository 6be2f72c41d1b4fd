package commands

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"esa/shell"
	"esa/store"
)

// fakeDNSSEC is the chains of trust that commands see: what becomes of a name
// is in its first label.
type fakeDNSSEC struct{}

func (fakeDNSSEC) Prove(ctx context.Context, q ProofQuery) (Proof, error) {
	if strings.EqualFold(q.Type, "ANY") {
		return Proof{}, shell.Refusedf("%q: not a record type that can be validated.", q.Type)
	}
	what := q.Type + " " + q.Name + "."
	p := Proof{Chain: []string{"Trust anchor for .", "DNSKEY .: signed by key 20326 (RSASHA256), which is vouched for; 3 usable keys"}, State: "SECURE", Code: "NOERROR"}
	first, _, _ := strings.Cut(q.Name, ".")
	switch {
	case first == "bogus" || q.At.Year() > 2100:
		p.State, p.Code, p.Why = "BOGUS", "SERVFAIL", "the signature of "+what+" expired at 2026-01-01 00:00:00 UTC"
	case first == "insecure":
		p.State, p.Why = "INSECURE", "the zone "+q.Name+". is not signed, as . proves"
	case first == "silent" || q.Server.IsValid() && !q.Server.Addr().IsLoopback():
		return Proof{State: "INDETERMINATE", Code: "SERVFAIL", Why: "timeout asking 192.0.2.53"}, nil
	case first == "missing":
		p.Code = "NXDOMAIN"
		p.Chain = append(p.Chain, what+": none, secure, proven by .")
	case first == "evil":
		p.Records = []string{"evil. 60 IN TXT \x1b[2J"}
	case len(q.Anchors) > 0:
		p.Chain = append([]string{"Trusted: " + q.Anchors[0]}, what+": secure, signed by "+q.Name+".")
	default:
		p.Chain = append(p.Chain, what+": secure, signed by example.com.")
		p.Records = []string{q.Name + ". 300 IN " + q.Type + " 192.0.2.2"}
	}
	return p, nil
}

func (fakeDNSSEC) ParseAnchors(text string) ([]string, error) {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.Join(strings.Fields(line), " ")
		fields := strings.Fields(line)
		if len(fields) < 6 || !slices.Contains(fields, "DS") && !slices.Contains(fields, "DNSKEY") {
			return nil, errors.New("a trust anchor is a DS or DNSKEY record")
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func (fakeDNSSEC) ParseRoots(text string) ([]store.RootServer, error) {
	var roots []store.RootServer
	for line := range strings.Lines(text) {
		name, addr, _ := strings.Cut(strings.TrimSpace(line), " ")
		at, err := store.ParseDNSServer(addr)
		if err != nil {
			return nil, errors.New("line 1 is not a name and an address")
		}
		roots = append(roots, store.RootServer{Name: name, Addr: at})
	}
	return roots, nil
}

func (fakeDNSSEC) Roots() []store.RootServer {
	return []store.RootServer{
		{Name: "a.root-servers.net", Addr: netip.MustParseAddrPort("198.41.0.4:53")},
		{Name: "b.root-servers.net", Addr: netip.MustParseAddrPort("170.247.170.2:53")},
	}
}

func (fakeDNSSEC) RootKeys() []RootKey {
	return []RootKey{
		{Tag: 38696, State: "Valid"},
		{Tag: 20326, State: "Missing", Since: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)},
	}
}
