package main

import (
	"context"
	"errors"
	"net/netip"
	"strings"

	"esa/commands"
	"esa/mta"
	"esa/mta/dns"
	"esa/mta/dnssec"
	"esa/shell"
	"esa/store"
)

// prover validates names, as a gateway does.
type prover interface {
	Prove(ctx context.Context, q dns.ProofQuery) (dns.Proof, error)
	RootKeys() []dnssec.KnownKey
}

// dnssecView is chains of trust as commands see them.
type dnssecView struct{ prover prover }

func (v dnssecView) Prove(ctx context.Context, q commands.ProofQuery) (commands.Proof, error) {
	query := dns.ProofQuery{Name: q.Name, Type: q.Type, At: q.At, Server: q.Server}
	if len(q.Anchors) > 0 {
		anchors, err := dnssec.ParseAnchors(strings.Join(q.Anchors, "\n"))
		if err != nil {
			return commands.Proof{}, err
		}
		query.Anchors = &anchors
	}
	p, err := v.prover.Prove(ctx, query)
	if errors.Is(err, dns.ErrQueryType) || errors.Is(err, dns.ErrQueryName) {
		return commands.Proof{}, shell.Refusedf("%w.", err)
	}
	return commands.Proof(p), err
}

func (v dnssecView) ParseAnchors(text string) ([]string, error) {
	anchors, err := dnssec.ParseAnchors(text)
	if err == nil {
		err = anchors.Check()
	}
	if err != nil {
		return nil, err
	}
	return anchors.Lines(), nil
}

func (v dnssecView) ParseRoots(text string) ([]store.RootServer, error) {
	roots, err := dns.ParseRoots(text)
	return rootServers(roots), err
}

func (v dnssecView) Roots() []store.RootServer { return rootServers(dns.RootServers()) }

func rootServers(roots []dns.Root) []store.RootServer {
	var all []store.RootServer
	for _, r := range roots {
		for _, addr := range r.Addrs {
			all = append(all, store.RootServer{Name: r.Name, Addr: addr})
		}
	}
	return all
}

func (v dnssecView) RootKeys() []commands.RootKey {
	var keys []commands.RootKey
	for _, k := range v.prover.RootKeys() {
		keys = append(keys, commands.RootKey{Tag: k.Tag, State: string(k.State), Since: k.Since})
	}
	return keys
}

// stub proves names without a gateway: it asks the servers of the system and
// trusts what is built in.
type stub struct{ servers []netip.AddrPort }

func (s stub) Prove(ctx context.Context, q dns.ProofQuery) (dns.Proof, error) {
	r := mta.Stub(s.servers)
	defer r.Close()
	return r.Prove(ctx, q)
}

func (s stub) RootKeys() []dnssec.KnownKey {
	return dnssec.NewTrustPoint(".", dnssec.RootAnchors()).Known()
}
