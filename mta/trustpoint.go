package mta

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"esa/mta/dns"
	"esa/mta/dnssec"
	"esa/mta/durable"
)

// rootTrust follows the keys of the DNS root (RFC 5011) over restarts. Its
// file is replaced whole, and the one before is kept: a file that cannot be
// read never widens or ends trust, it only forgets what was learnt.
type rootTrust struct {
	path string
	diag *slog.Logger

	mu    sync.Mutex
	point *dnssec.TrustPoint // replaced by refresh, never changed
}

// First look at the keys after a start; later ones by RFC 5011 §2.3.
const firstRefresh = time.Minute

// openRootTrust takes up what the file says, else what the file before it
// said, else begins with the keys that are built in.
func openRootTrust(path string, diag *slog.Logger) *rootTrust {
	r := &rootTrust{path: path, diag: diag, point: dnssec.NewTrustPoint(".", dnssec.RootAnchors())}
	for _, file := range []string{path, path + ".previous"} {
		data, err := os.ReadFile(file)
		if err == nil {
			err = r.point.Decode(data)
		}
		if err == nil {
			return r
		}
		if !errors.Is(err, fs.ErrNotExist) {
			diag.Error("the state of the DNS root keys cannot be used", "file", file, "error", err)
		}
	}
	diag.Info("the keys of the DNS root begin with those built in")
	return r
}

// anchors gives the keys to be trusted now.
func (r *rootTrust) anchors() dnssec.Anchors {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.point.Anchors()
}

// known tells of the keys as they are followed.
func (r *rootTrust) known() []dnssec.KnownKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.point.Known()
}

// run looks at the keys from time to time until ctx ends, and calls changed
// when other keys are to be trusted.
func (r *rootTrust) run(ctx context.Context, resolver *dns.Resolver, changed func()) {
	timer := time.NewTimer(firstRefresh)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(r.refresh(ctx, resolver, changed))
	}
}

// refresh looks at the keys once and tells when to look again.
func (r *rootTrust) refresh(ctx context.Context, resolver *dns.Resolver, changed func()) time.Duration {
	// Looking takes time, in which a commit asks for the anchors: the copy is
	// shown the keys.
	point := r.point.Clone()
	before := point.Anchors()
	changes, next, err := resolver.ObserveKeys(ctx, point)
	after := point.Anchors()
	if err == nil || len(changes) > 0 {
		if saved := save(r.path, point); saved != nil {
			r.diag.Error("saving the state of the DNS root keys", "error", saved)
		}
	}
	r.mu.Lock()
	r.point = point
	r.mu.Unlock()
	for _, change := range changes {
		r.diag.Warn("DNS root keys", "change", change)
	}
	if err != nil && ctx.Err() == nil {
		r.diag.Warn("the keys of the DNS root could not be looked at", "error", err, "again in", next)
	}
	if !before.Equal(after) {
		changed()
	}
	return next
}

// save replaces the file.
func save(path string, point *dnssec.TrustPoint) error {
	data, err := point.Encode()
	if err != nil {
		return err
	}
	return durable.ReplaceKeeping(path, data, path+".previous")
}
