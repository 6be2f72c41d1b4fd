package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"esa/commands"
	"esa/mta"
	"esa/mta/archive"
	"esa/store"
	"esa/store/configfile"
)

// archiveView is the archives as commands see them.
type archiveView struct{ gateway *mta.Gateway }

func (a archiveView) Archived() []commands.ArchiveState {
	states := a.gateway.Archived()
	view := make([]commands.ArchiveState, len(states))
	for i, s := range states {
		view[i] = commands.ArchiveState(s)
	}
	return view
}

func (a archiveView) ArchiveNow() error { return readable(a.gateway.ArchiveNow()) }

func (a archiveView) HostKey(ctx context.Context, address string) (key, fingerprint string, err error) {
	key, fingerprint, err = a.gateway.HostKey(ctx, address)
	return key, fingerprint, readable(err)
}

// archiveFile writes a configuration as the copy of an archive.
func archiveFile(v commands.Version) func(w io.Writer, c *store.Config, a store.Archive) error {
	return func(w io.Writer, c *store.Config, a store.Archive) error {
		o := configfile.Options{About: configfile.About{
			Product: v.Product, Model: v.Model, Version: v.Version, Serial: v.Serial, MemoryMB: v.MemoryMB, Time: time.Now(),
		}}
		switch a.Secrets {
		case store.ArchiveEncrypted:
			key, err := configfile.PassphraseKey(a.Passphrase.Reveal(), rand.Reader)
			if err != nil {
				return err
			}
			o.Secrets, o.Key = configfile.Encrypted, key
		case store.ArchivePlain:
			o.Secrets = configfile.Plain
		}
		err := configfile.Write(w, c, o)
		if text := (*configfile.TextError)(nil); errors.As(err, &text) {
			return fmt.Errorf("%w: %w", archive.ErrDamaged, err)
		}
		return err
	}
}
