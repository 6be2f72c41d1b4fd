package mta

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"esa/mta/alert"
	"esa/mta/archive"
	"esa/store"
)

// This file is the archives of the gateway: where every committed configuration
// is copied to, and what operators see of that.

// archiveFile remembers in the data directory what was copied.
const archiveFile = "archived"

func archivePlaces(c *store.Config) []archive.Place {
	var places []archive.Place
	for _, a := range c.Archives {
		places = append(places, archivePlace(a))
	}
	return places
}

func archivePlace(a store.Archive) archive.Place {
	at := a.Place()
	p := archive.Place{Name: a.Name, Directory: at.Directory, User: at.User, HostKey: a.HostKey, Key: a.Key.Reveal()}
	if at.Host != "" {
		p.Address = at.Addr()
	}
	return p
}

func (g *Gateway) openArchives(l *live) *archive.Archives {
	return archive.New(archive.Options{
		Path: filepath.Join(g.Dir, archiveFile), Source: revisionFiles{g}, Dial: l.dialWeb, Clock: g.Clock, Diag: g.Diag,
		Failed: alerting{g}.notArchived, Passed: alerting{g}.passedOver,
	})
}

// revisionFiles gives the revisions of the store as files.
type revisionFiles struct{ gateway *Gateway }

// After lists the revisions that are newer than n.
func (r revisionFiles) After(n uint64) ([]uint64, error) {
	kept, err := r.gateway.Store.Revisions(0)
	if err != nil {
		return nil, err
	}
	var newer []uint64
	for i := len(kept) - 1; i >= 0; i-- {
		if kept[i].Number > n {
			newer = append(newer, kept[i].Number)
		}
	}
	return newer, nil
}

// File writes a revision as the present settings of a place ask for. What they
// say of secrets is meant for the present target alone, so that another one
// gets nothing.
func (r revisionFiles) File(place archive.Place, revision uint64) (archive.File, error) {
	running, _ := r.gateway.Store.Running()
	a := running.Archive(place.Name)
	if a == nil || archivePlace(*a) != place {
		return archive.File{}, archive.ErrChanged
	}
	record, err := r.gateway.Store.Revision(revision)
	if damaged := (*store.DamagedRevision)(nil); errors.As(err, &damaged) {
		return archive.File{}, fmt.Errorf("%w: %w", archive.ErrDamaged, damaged.Err)
	}
	if err != nil {
		return archive.File{}, err
	}
	var text bytes.Buffer
	if err := r.gateway.ConfigFile(&text, record.Config, *a); err != nil {
		return archive.File{}, err
	}
	return archive.File{
		Name: fmt.Sprintf("%s-%06d-%s.xml", record.Config.Hostname, revision, record.Time.UTC().Format("20060102T150405Z")),
		Data: text.Bytes(),
	}, nil
}

// Archived tells how the places of the running configuration do; offline, what
// a gateway has left of that.
func (g *Gateway) Archived() []archive.State {
	if g.live != nil {
		return g.live.archives.States()
	}
	archives := archive.New(archive.Options{Path: filepath.Join(g.Dir, archiveFile), Clock: g.Clock, Diag: g.Diag})
	current := g.current.Load()
	archives.Configure(archivePlaces(current.config), current.revision)
	return archives.States()
}

// ArchiveNow has everything copied that was not yet, without waiting for its
// time.
func (g *Gateway) ArchiveNow() error {
	if g.live == nil {
		return ErrOffline
	}
	g.live.archives.Retry()
	return nil
}

// HostKey asks the host of a target for its key, and gives it with its
// fingerprint. Nobody says that it is the right host.
func (g *Gateway) HostKey(ctx context.Context, address string) (key, fingerprint string, err error) {
	if g.live == nil {
		return "", "", ErrOffline
	}
	return g.live.archives.HostKey(ctx, address)
}

// notArchived tells that a configuration was not copied.
func (a alerting) notArchived(s archive.State) {
	a.gateway.live.alerts.Raise(alert.Alert{
		Class: alert.System, Severity: alert.Warning, Name: "archive", About: s.Name,
		Summary: fmt.Sprintf("The configuration was not copied to the archive %q.", s.Name),
		Details: []string{
			fmt.Sprintf("Reason: %v", s.Err),
			fmt.Sprintf("It is tried again at %s. Nothing is lost: what is committed meanwhile is copied then.", s.Due.Local().Format(time.ANSIC)),
			"Use archiveconfig to see how the archives do, and to change them.",
		},
	})
}

// passedOver tells that there is no copy of a revision, and will not be.
func (a alerting) passedOver(place string, revision uint64, why error) {
	a.gateway.live.alerts.Raise(alert.Alert{
		Class: alert.System, Severity: alert.Warning, Name: "archive-damage", About: fmt.Sprintf("%s %d", place, revision),
		Summary: fmt.Sprintf("Revision %d was not copied to the archive %q.", revision, place),
		Details: []string{
			fmt.Sprintf("Reason: %v", why),
			"It is not tried again. The revisions after it are copied.",
			fmt.Sprintf("Use commitdetail %d to see what is left of it.", revision),
		},
	})
}
