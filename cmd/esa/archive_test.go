package main

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"esa/commands"
	"esa/mta/archive"
	"esa/store"
	"esa/store/configfile"
)

// TestArchiveFileThatCannotBe: a text that no file holds is damage to an
// archive, which is not tried again; a failure to write is none.
func TestArchiveFileThatCannotBe(t *testing.T) {
	c := store.Factory(store.FactoryFacts{Hostname: "gw.test"})
	if err := archiveFile(commands.Version{})(full{}, c, store.Archive{}); err == nil || errors.Is(err, archive.ErrDamaged) {
		t.Errorf("a writer that fails: %v", err)
	}
	c.Users[0].FullName = "\x01"
	if err := archiveFile(commands.Version{})(io.Discard, c, store.Archive{}); !errors.Is(err, archive.ErrDamaged) {
		t.Errorf("a control character: %v", err)
	}
}

// full is a writer without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// TestArchiveFile: a copy has the secrets of the configuration, those of the
// archive among them, as the archive says; what has them can be loaded.
func TestArchiveFile(t *testing.T) {
	const passphrase, secret = "canary of the copies", "canary of a user"
	c := store.Factory(store.FactoryFacts{Hostname: "gw.test"})
	c.Users[0].Passphrase = "$argon2id$" + secret
	for _, tt := range []struct {
		archive store.Archive
		keys    configfile.Keys
		plain   bool
		loads   bool
	}{
		{archive: store.Archive{Name: "a", Target: "/a", Secrets: store.ArchiveMasked}},
		{archive: store.Archive{Name: "a", Target: "/a", Secrets: store.ArchiveEncrypted, Passphrase: passphrase}, keys: configfile.Keys{Passphrase: func() (string, error) { return passphrase, nil }}, loads: true},
		{archive: store.Archive{Name: "a", Target: "/a", Secrets: store.ArchivePlain}, plain: true, loads: true},
	} {
		c.Archives = []store.Archive{tt.archive}
		var file bytes.Buffer
		if err := archiveFile(commands.Version{})(&file, c, tt.archive); err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(file.Bytes(), []byte(secret)); got != tt.plain {
			t.Errorf("%s: the secret is there: %v", tt.archive.Secrets, got)
		}
		if bytes.Contains(file.Bytes(), []byte(passphrase)) {
			t.Errorf("%s: the passphrase is there", tt.archive.Secrets)
		}
		read, err := configfile.Read(t.Context(), file.Bytes(), store.Factory(store.FactoryFacts{Hostname: "other.test"}), configfile.ReadOptions{Keys: tt.keys})
		if loads := err == nil && read.Config.Equal(c); loads != tt.loads {
			t.Errorf("%s: loaded: %v, %v", tt.archive.Secrets, loads, err)
		}
	}
}
