package main

import (
	"bytes"
	"testing"

	"esa/commands"
	"esa/store"
	"esa/store/configfile"
)

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
		read, err := configfile.Read(file.Bytes(), store.Factory(store.FactoryFacts{Hostname: "other.test"}), configfile.ReadOptions{Keys: tt.keys})
		if loads := err == nil && read.Config.Equal(c); loads != tt.loads {
			t.Errorf("%s: loaded: %v, %v", tt.archive.Secrets, loads, err)
		}
	}
}
