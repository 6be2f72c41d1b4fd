package mta

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"esa/mta/alert"
	"esa/mta/archive"
	"esa/store"
)

// archiveNames lists the copies in a directory.
func archiveNames(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// archiving has the gateway write the host name as the whole file.
func archiving(w *world) {
	w.tune = func(g *Gateway) {
		g.ConfigFile = func(out io.Writer, c *store.Config, a store.Archive) error {
			_, err := fmt.Fprintf(out, "%s for %s", c.Hostname, a.Name)
			return err
		}
	}
}

// TestArchive: every commit is copied, the one that is taken back and what
// comes after a restart too; nothing waits for it.
func TestArchive(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, nil)
	archiving(w)
	w.run()
	w.commit(func(c *store.Config) {
		c.Archives = []store.Archive{{Name: "backup", Target: dir, Secrets: store.ArchiveMasked}}
	})
	w.trial(hostname("trial.test"))
	if _, err := w.gateway.RevertCommit(t.Context(), store.Who{User: store.SystemName}); err != nil {
		t.Fatal(err)
	}
	copied := func(revision uint64) func() bool {
		return func() bool { s := w.gateway.Archived(); return len(s) == 1 && s[0].Revision == revision }
	}
	await(t, "the copies", copied(4))
	w.end()
	w.gateway = Offline(w.options())
	if s := w.gateway.Archived(); len(s) != 1 || s[0].Revision != 4 || s[0].Err != nil {
		t.Errorf("offline: %+v", s)
	}
	w.commit(hostname("offline.test"))
	w.store.Close()
	w.openStore(nil)
	w.run()
	await(t, "the copy of what was committed offline", copied(5))

	names := strings.Fields(archiveNames(t, dir))
	for i, want := range []string{"gw.test-000002-", "trial.test-000003-", "gw.test-000004-", "offline.test-000005-"} {
		found := false
		for _, name := range names {
			stamp, ok := strings.CutPrefix(name, want)
			if !ok {
				continue
			}
			found = true
			if _, err := time.Parse("20060102T150405Z.xml", stamp); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			hostname, _, _ := strings.Cut(want, "-")
			if data, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(data) != hostname+" for backup" {
				t.Errorf("%s holds %q, %v", name, data, err)
			}
		}
		if !found {
			t.Errorf("copy %d is missing: %v", i, names)
		}
	}
	if len(names) != 4 {
		t.Errorf("copies: %v", names)
	}
}

// TestArchive_Failure is told by an alert, and keeps no commit waiting.
func TestArchive_Failure(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "away")
	w := newWorld(t, nil)
	archiving(w)
	w.run()
	w.commit(func(c *store.Config) {
		c.Archives = []store.Archive{{Name: "backup", Target: dir, Secrets: store.ArchiveMasked}}
	})
	w.commit(hostname("next.test"))
	await(t, "the alert", func() bool {
		alerts, err := w.gateway.Alerts()
		return err == nil && len(alerts) > 0 && strings.Contains(alerts[len(alerts)-1].Text, `not copied to the archive "backup"`)
	})
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := w.gateway.ArchiveNow(); err != nil {
		t.Fatal(err)
	}
	await(t, "the copies", func() bool { s := w.gateway.Archived()[0]; return s.Revision == 3 && s.Err == nil })
	w.commit(func(c *store.Config) { c.Archives = nil })
	if s := w.gateway.Archived(); len(s) > 0 {
		t.Errorf("states of none: %+v", s)
	}
}

// TestArchive_DamagedRevision is passed over and told by an alert; what was
// committed after it is copied.
func TestArchive_DamagedRevision(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, nil)
	archiving(w)
	w.gateway = Offline(w.options())
	w.commit(func(c *store.Config) {
		c.Archives = []store.Archive{{Name: "backup", Target: dir, Secrets: store.ArchiveMasked}}
	})
	w.run()
	await(t, "the first copy", func() bool { s := w.gateway.Archived(); return len(s) == 1 && s[0].Revision == 2 })
	w.end()
	w.gateway = Offline(w.options())
	w.commit(hostname("damage.test"))
	w.commit(hostname("next.test"))
	database := filepath.Join(w.dir, "config.db")
	w.store.Close()
	text, err := os.ReadFile(database)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(database, bytes.ReplaceAll(text, []byte("damage.test"), []byte("DAMAGE.test")), 0o600); err != nil {
		t.Fatal(err)
	}
	w.openStore(nil)
	w.run()
	await(t, "the copy of what was committed last", func() bool {
		s := w.gateway.Archived()
		return len(s) == 1 && s[0].Revision == 4 && slices.Equal(s[0].Passed, []uint64{3}) && s[0].Err == nil
	})
	await(t, "the alert", func() bool {
		alerts, err := w.gateway.Alerts()
		return err == nil && slices.ContainsFunc(alerts, func(a alert.Stored) bool {
			return strings.Contains(a.Text, `Revision 3 was not copied to the archive "backup".`)
		})
	})
	if names := strings.Fields(archiveNames(t, dir)); len(names) != 2 {
		t.Errorf("copies: %v", names)
	}
}

// TestArchive_ChangedTarget: a target that was replaced gets nothing, for the
// settings of the new one may show secrets to it that the old one must not see.
func TestArchive_ChangedTarget(t *testing.T) {
	w := newWorld(t, nil)
	archiving(w)
	w.run()
	old := store.Archive{Name: "backup", Target: t.TempDir(), Secrets: store.ArchiveMasked}
	w.commit(func(c *store.Config) { c.Archives = []store.Archive{old} })
	next := old
	next.Target, next.Secrets = t.TempDir(), store.ArchivePlain
	w.commit(func(c *store.Config) { c.Archives = []store.Archive{next} })
	files := revisionFiles{w.gateway}
	if file, err := files.File(archivePlace(old), 2); !errors.Is(err, archive.ErrChanged) {
		t.Errorf("for the old target: %q, %v", file.Data, err)
	}
	if file, err := files.File(archivePlace(next), 2); err != nil || string(file.Data) != "gw.test for backup" {
		t.Errorf("for the new target: %q, %v", file.Data, err)
	}
	w.commit(func(c *store.Config) { c.Archives = nil })
	if _, err := files.File(archivePlace(next), 2); !errors.Is(err, archive.ErrChanged) {
		t.Errorf("for a target that was removed: %v", err)
	}
}
