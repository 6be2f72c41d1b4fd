package mta

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHistoryThatWasChanged is told, and keeps nothing from running.
func TestHistoryThatWasChanged(t *testing.T) {
	w := start(t, nil)
	w.commit(hostname("new.test"))
	alerts := func() string {
		stored, err := w.gateway.Alerts()
		if err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for _, a := range stored {
			all.WriteString(a.Text + "\n")
		}
		return all.String()
	}
	if got := alerts(); got != "" {
		t.Errorf("alerts of a history that is whole: %s", got)
	}
	w.end()
	w.store.Close()
	path := filepath.Join(w.dir, "config.db")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.ReplaceAll(data, []byte("Factory configuration"), []byte("Nobody ever saw this!"))
	if bytes.Equal(changed, data) {
		t.Fatal("the comment is not in the file")
	}
	if err := os.WriteFile(path, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	w.openStore(nil)
	w.run()
	await(t, "the alert", func() bool { return strings.Contains(alerts(), "changed afterwards, newest first: 1\n") })
	w.awaitBound(1)
	if w.revision() != 2 {
		t.Errorf("revision %d runs", w.revision())
	}
}
