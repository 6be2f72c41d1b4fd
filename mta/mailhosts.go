package mta

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"esa/mta/lookup"
	"esa/store"
)

// Bounds of asking DNS where the mail of our domains goes.
const (
	maxMailDomains = 20
	mailHostsTime  = 10 * time.Second
)

// MailHosts asks DNS where mail goes for the domains that listeners take mail
// for, and gives what does not agree with the host names of their interfaces,
// and what TLSA records do not agree with the certificates of listeners; it takes some seconds at most. Where something could not be asked, that is
// among what it gives.
func (g *Gateway) MailHosts(ctx context.Context, c *store.Config) []store.Verdict {
	domains := c.MailDomains()
	if len(domains) == 0 {
		return nil
	}
	if g.live == nil {
		return []store.Verdict{{Problem: store.Problem{
			Place: "MX records", Text: "They were not looked up: the gateway does not run.", Fix: "commit check when it runs",
		}}}
	}
	ctx, cancel := context.WithTimeout(ctx, mailHostsTime)
	defer cancel()
	asked := domains[:min(len(domains), maxMailDomains)]
	found := make([]store.MailHosts, len(asked))
	var lookups sync.WaitGroup
	for i, domain := range asked {
		lookups.Go(func() { found[i] = mailHosts(domain, g.live.resolver.MX(ctx, domain)) })
	}
	lookups.Wait()
	verdicts := append(c.MailHostVerdicts(found), store.TLSAVerdicts(g.PublishedTLSA(ctx, c))...)
	if more := len(domains) - len(asked); more > 0 {
		verdicts = append(verdicts, store.Verdict{Problem: store.Problem{
			Place: "MX records", Text: fmt.Sprintf("Those of %d domains were looked up, of %d more they were not.", len(asked), more), Fix: "nslookup DOMAIN MX",
		}})
	}
	return verdicts
}

// mailHosts is an answer in the terms of the store.
func mailHosts(domain string, a lookup.MXAnswer) store.MailHosts {
	h := store.MailHosts{Domain: domain}
	switch {
	case !a.Usable():
		h.Failed = a.Why
	case a.NXDomain:
		h.Failed = "the domain does not exist"
	case a.Null():
		h.Null = true
	case len(a.Records) == 0:
		h.Hosts = []string{domain} // RFC 5321 §5.1
	}
	slices.SortStableFunc(a.Records, func(x, y lookup.MX) int { return int(x.Preference) - int(y.Preference) })
	for _, mx := range a.Records {
		if h.Failed == "" && !h.Null {
			h.Hosts = append(h.Hosts, mx.Host)
		}
	}
	return h
}
