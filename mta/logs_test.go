package mta

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"esa/mta/maillog"
)

// TestGrepOffline searches what a gateway has left, and makes nothing.
func TestGrepOffline(t *testing.T) {
	w := newWorld(t, nil)
	w.gateway = Offline(w.options())
	search := maillog.Search{Log: "mail_logs", Expression: regexp.MustCompile("MID 6 ")}
	var shown strings.Builder
	if n, err := w.gateway.GrepLog(t.Context(), search, &shown); n != 0 || err != nil {
		t.Errorf("of a log that was never written: %d, %v", n, err)
	}
	dir := filepath.Join(w.dir, "logs", "mail_logs")
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a search has made a log: %v", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	const line = "Mon Mar  2 09:28:02 2026 Info: MID 6 ICID 5 From: <a@example.com>\n"
	for name, text := range map[string]string{"mail.@20260302T000000.s": "Start MID 5\n" + line, "mail.@20260303T000000.current": "MID 6 done\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := w.gateway.GrepLog(t.Context(), search, &shown); n != 2 || err != nil || shown.String() != line+"MID 6 done\n" {
		t.Errorf("%d, %v:\n%s", n, err, &shown)
	}
	if files, err := os.ReadDir(dir); len(files) != 2 || err != nil {
		t.Errorf("after reading: %v, %v", files, err)
	}
}
