package mta

import (
	"context"
	"errors"
	"io"

	"esa/mta/maillog"
)

// ErrOffline says that there are no logs to read: the gateway does not run.
var ErrOffline = errors.New("the gateway is not running, start it first")

// FollowLog writes the last lines of a log and new ones as they come, until
// ctx ends.
func (g *Gateway) FollowLog(ctx context.Context, name string, w io.Writer) error {
	if g.live == nil {
		return ErrOffline
	}
	return g.live.log.Follow(ctx, name, w)
}

// GrepLog writes the lines that match and counts them.
func (g *Gateway) GrepLog(ctx context.Context, s maillog.Search, w io.Writer) (int, error) {
	if g.live == nil {
		return 0, ErrOffline
	}
	return g.live.log.Grep(ctx, s, w)
}

// RolloverLog begins a new file of a log.
func (g *Gateway) RolloverLog(name string) error {
	if g.live == nil {
		return ErrOffline
	}
	return g.live.log.Rollover(name)
}
