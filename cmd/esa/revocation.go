package main

import (
	"context"
	"errors"

	"esa/commands"
	"esa/mta"
	"esa/mta/crl"
)

// revocationView is the revocation lists as commands see them.
type revocationView struct{ gateway *mta.Gateway }

func (r revocationView) RevocationLists() []commands.RevocationList {
	states := r.gateway.RevocationLists()
	lists := make([]commands.RevocationList, len(states))
	for i, s := range states {
		lists[i] = commands.RevocationList(s)
	}
	return lists
}

func (r revocationView) UpdateRevocationList(ctx context.Context, name string) (commands.RevocationList, error) {
	state, err := r.gateway.UpdateRevocationList(ctx, name)
	switch {
	case errors.Is(err, crl.ErrUnknown):
		err = &commands.FetchError{Err: commands.ErrNotCommitted}
	case errors.Is(err, mta.ErrOffline):
		err = readable(err)
	case err != nil && ctx.Err() == nil:
		err = &commands.FetchError{Err: err}
	}
	return commands.RevocationList(state), err
}
