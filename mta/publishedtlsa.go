package mta

import (
	"context"
	"sync"
	"time"

	"esa/mta/dane"
	"esa/mta/lookup"
	"esa/store"
)

// PublishedTLSA asks DNS, validated, for the TLSA records of the listeners of a
// configuration, and holds the certificates against them. It takes some seconds
// at most.
func (g *Gateway) PublishedTLSA(ctx context.Context, c *store.Config) []store.PublishedTLSA {
	services := c.TLSAServices()
	found := make([]store.PublishedTLSA, len(services))
	r, done := g.resolver()
	defer done()
	ctx, cancel := context.WithTimeout(ctx, mailHostsTime)
	defer cancel()
	var lookups sync.WaitGroup
	for i, s := range services {
		lookups.Go(func() { found[i] = published(s, r.Checked().TLSA(ctx, s.Name), g.Clock()) })
	}
	lookups.Wait()
	return found
}

// published compares what DNS says with a certificate.
func published(s store.TLSAService, a lookup.TLSAAnswer, now time.Time) store.PublishedTLSA {
	p := store.PublishedTLSA{TLSAService: s, State: store.TLSANone}
	for _, r := range a.Records {
		p.Published = append(p.Published, r.String())
	}
	usable := dane.Usable(a.Records)
	switch {
	case !a.Usable():
		p.State, p.Why = store.TLSAUnknown, a.Why
	case len(a.Records) == 0:
	case a.Status != lookup.Secure:
		p.State = store.TLSAUnusable
	default:
		p.State = store.TLSABroken
		if _, fault := dane.Verify(s.Chain, usable, []string{s.Host}, now); fault == nil {
			p.State = store.TLSAFits
		}
	}
	return p
}
