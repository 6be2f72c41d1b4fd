package main

import (
	"context"
	"net/netip"
	"os"

	"esa/commands"
	"esa/mta"
	"esa/mta/delivery"
	"esa/mta/envelope"
	"esa/store"
)

// daneView is trials of DANE as commands see them.
type daneView struct{ gateway *mta.Gateway }

func (v daneView) DANETrials() (commands.DANETrials, error) {
	return daneTrials{v.gateway.DANETrials()}, nil
}

func (v daneView) Handling(c *store.Config) func(string) (store.Destination, *store.Route) {
	return mta.Handling(c)
}

type daneTrials struct{ *mta.DANETrials }

func (t daneTrials) Try(ctx context.Context, trial commands.DANETrial, w commands.DANEWitness) *envelope.Failure {
	return t.DANETrials.Try(ctx, delivery.DANETrial(trial), w)
}

// stubDANE makes trials without a gateway: it asks the servers of the system.
type stubDANE struct{ servers []netip.AddrPort }

func (s stubDANE) DANETrials() (commands.DANETrials, error) {
	name, err := os.Hostname()
	if err != nil {
		name = "localhost"
	}
	trials, err := mta.StubDANETrials(name, s.servers)
	return daneTrials{trials}, err
}

func (s stubDANE) Handling(c *store.Config) func(string) (store.Destination, *store.Route) {
	return mta.Handling(c)
}
