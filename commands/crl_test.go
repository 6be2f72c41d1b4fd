package commands

import (
	"context"
	"errors"
	"time"

	"esa/shell"
)

// The revocation lists of the tests are those that are committed. One whose
// name begins with "new" was never fetched, "old" is outdated and "bad" was not
// to be had the last time; these cannot be fetched. The others have two entries.

func (g *fakeGateway) RevocationLists() []RevocationList {
	running, _ := g.store.Running()
	lists := make([]RevocationList, len(running.Revocation.Sources))
	for i, s := range running.Revocation.Sources {
		lists[i] = g.revocationList(s.Name)
	}
	return lists
}

func (g *fakeGateway) revocationList(name string) RevocationList {
	now := g.clock.Now()
	l := RevocationList{
		Name: name, Fetched: now.Add(-time.Hour), Issued: now.Add(-2 * time.Hour), NextUpdate: now.Add(7 * 24 * time.Hour), Entries: 2, Due: now.Add(23 * time.Hour),
	}
	failure := errors.New("Get \"http://crl.example.com/\": no address\r\nwas found")
	switch name[:min(3, len(name))] {
	case "new":
		return RevocationList{Name: name}
	case "old":
		l.NextUpdate, l.Entries = now.Add(-time.Minute), 1
		l.Failed, l.Err = now.Add(-time.Minute), failure
	case "bad":
		l.Failed, l.Err = now.Add(-time.Minute), failure
	}
	return l
}

func (g *fakeGateway) UpdateRevocationList(ctx context.Context, name string) (RevocationList, error) {
	if g.noLists {
		return RevocationList{}, shell.Refusedf("The gateway is not running. Start it first.")
	}
	running, _ := g.store.Running()
	if running.Revocation.CRLSource(name) == nil {
		return RevocationList{}, &FetchError{ErrNotCommitted}
	}
	l := g.revocationList(name)
	if l.Fetched.IsZero() {
		l = g.revocationList("fetched")
	}
	if l.Err != nil {
		return l, &FetchError{Err: l.Err}
	}
	return l, ctx.Err()
}
