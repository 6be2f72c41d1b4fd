package mta

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"esa/mta/dns"
	"esa/mta/dnssec"
	"esa/mta/mtatest"
	"esa/store"
)

func TestRootTrust(t *testing.T) {
	lab := mtatest.NewLab(t, time.Now(), mtatest.Zone{Name: "."}, mtatest.Zone{Name: "test."})
	server := mtatest.NewLabServer(t, lab)
	resolver := dns.New(dns.Options{})
	t.Cleanup(resolver.Close)
	resolver.Configure(dns.Settings{Servers: []dns.Server{{Addr: server.Addr()}}})
	configured, err := dnssec.ParseAnchors(lab.Anchor("."))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "root-keys")
	open := func() *rootTrust {
		r := openRootTrust(path, slog.New(slog.DiscardHandler))
		keys := r.point.Keys
		r.point = dnssec.NewTrustPoint(".", configured) // instead of the keys of the Internet
		r.point.Keys = keys
		return r
	}
	r, changes := open(), 0
	next := r.refresh(t.Context(), resolver, func() { changes++ })
	if next != time.Hour || changes != 1 || len(r.point.Keys) != 1 || r.point.Keys[0].State != dnssec.Valid {
		t.Errorf("first look: again in %v, %d changes, %+v", next, changes, r.point.Keys)
	}
	learnt := r.anchors().Lines()
	again := open()
	if !slices.Equal(again.anchors().Lines(), learnt) {
		t.Errorf("after a restart: %q, before: %q", again.anchors().Lines(), learnt)
	}
	again.refresh(t.Context(), resolver, func() { t.Error("a change without one") })
	if err := os.WriteFile(path, []byte("{half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := open().anchors().Lines(); !slices.Equal(got, learnt) {
		t.Errorf("V-77: with a damaged file: %q, want what the one before said", got)
	}
	os.Remove(path)
	os.Remove(path + ".previous")
	if got := openRootTrust(path, slog.New(slog.DiscardHandler)).anchors().Lines(); !slices.Equal(got, dnssec.RootAnchors().Lines()) {
		t.Errorf("V-76: without a file: %q", got)
	}
	server.Usually(mtatest.ServFail)
	if next := r.refresh(t.Context(), resolver, func() { t.Error("a change without an answer") }); next != time.Hour {
		t.Errorf("without an answer: again in %v", next)
	}
}

// TestStoredAnchors: a digest that is cut off, stored before it would have been
// refused, takes no other anchor with it.
func TestStoredAnchors(t *testing.T) {
	c := store.Factory(store.FactoryFacts{Hostname: "gw.test"})
	c.DNS.Anchors = []string{"cut.test. 3600 IN DS 7 13 2 0A", "priv.test. 3600 IN DS 8 13 2 " + strings.Repeat("0A", 32)}
	g, problems := build(c, 1, trust{})
	if lines := g.dns.DNSSEC.Anchor.Lines(); len(problems) > 0 || len(lines) != 2 {
		t.Errorf("%q, %+v", lines, problems)
	}
}
