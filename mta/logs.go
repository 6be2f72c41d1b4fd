package mta

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"esa/mta/maillog"
	"esa/store"
)

// ErrOffline says that nothing is being logged: the gateway does not run.
var ErrOffline = errors.New("the gateway is not running, start it first")

// logsDir is where the logs are in the data directory.
const logsDir = "logs"

// logKind is what a log of a type holds.
func logKind(logType string) maillog.Kind {
	switch logType {
	case store.CLIAuditLog:
		return maillog.CLIAudit
	case store.AuthenticationLog:
		return maillog.Authentication
	case store.SystemLog:
		return maillog.System
	}
	return maillog.TextMail
}

// Log is where what operators do is written; nil, which writes nothing, offline
// before OpenAudit.
func (g *Gateway) Log() *maillog.Log {
	if g.live == nil {
		return g.audit
	}
	return g.live.log
}

// OpenAudit has an offline gateway log what operators do, though nothing of
// mail. It is called before the gateway is used.
func (g *Gateway) OpenAudit() error {
	log, err := maillog.Open(filepath.Join(g.Dir, logsDir), maillog.Options{Clock: g.Clock, Version: g.Version, Serial: g.Serial, Diag: g.Diag})
	if err != nil {
		return err
	}
	audits := slices.DeleteFunc(slices.Clone(g.current.Load().logs), func(s maillog.Subscription) bool { return s.Kind == maillog.TextMail })
	if err := log.Configure(audits, maillog.Settings{}); err != nil {
		return errors.Join(err, log.Close())
	}
	g.audit = log
	return nil
}

// Close ends the logs, which outlast Run: operators may still be there when no
// mail moves any more.
func (g *Gateway) Close() error {
	if log := g.Log(); log != nil {
		return log.Close()
	}
	return nil
}

// FollowLog writes the last lines of a log and new ones as they come, until
// ctx ends.
func (g *Gateway) FollowLog(ctx context.Context, name string, w io.Writer) error {
	if g.live == nil {
		return ErrOffline
	}
	return g.live.log.Follow(ctx, name, w)
}

// GrepLog writes the lines that match and counts them. Offline it searches
// what a gateway has left; of a log that none has written nothing matches.
func (g *Gateway) GrepLog(ctx context.Context, s maillog.Search, w io.Writer) (int, error) {
	if g.live != nil {
		return g.live.log.Grep(ctx, s, w)
	}
	if s.Tail {
		return 0, ErrOffline
	}
	dir := filepath.Join(g.Dir, logsDir)
	if _, err := os.Stat(filepath.Join(dir, s.Log)); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	// Without Configure it only reads.
	log, err := maillog.Open(dir, maillog.Options{})
	if err != nil {
		return 0, err
	}
	return log.Grep(ctx, s, w)
}

// RolloverLog begins a new file of a log.
func (g *Gateway) RolloverLog(name string) error {
	if g.live == nil {
		return ErrOffline
	}
	return g.live.log.Rollover(name)
}
