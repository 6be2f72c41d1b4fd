package store

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// testConfig is a configuration that uses every section and has no fault.
func testConfig() *Config {
	c := Factory(FactoryFacts{Hostname: "mail.example.com", DNS: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}})
	c.Interfaces = append(c.Interfaces, Interface{
		Name: "Data1", Hostname: "mx.example.com",
		IPv4: netip.MustParsePrefix("192.0.2.10/24"), IPv6: netip.MustParsePrefix("2001:db8::10/64"),
	})
	c.Routes = []Route{
		{Domain: "example.com", Hosts: []RouteHost{{Host: "mx1.example.com"}, {Host: "10.0.0.1", Port: 2525, Priority: 10}}},
		{Domain: ".example.net", UseDNS: true},
		{Domain: "[IPv6:2001:db8::1]", Discard: true},
		{Domain: "ALL", Hosts: []RouteHost{{Host: "smart.example.org", Bracketed: true}}},
	}
	c.DNS.Alternates = []AlternateDNS{{Domain: "corp.example", Servers: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.53:5353")}}}
	in := NewListener("IncomingMail", Public)
	in.Interface = "Data1"
	in.RAT = []RATEntry{{Address: "example.com", Accept: true}, {Address: "ALL", Code: 550, Text: "no such user"}}
	c.Listeners = append(c.Listeners, in)
	c.BounceProfiles = append(c.BounceProfiles, BounceProfile{Name: "Bulk", MaxRetries: 5, SendBounces: No, Alternate: "bounces@example.com"})
	return c
}

// tick is a clock that moves a second at each look.
func tick() func() time.Time {
	var looks atomic.Int64
	return func() time.Time {
		return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(looks.Add(1)) * time.Second)
	}
}

// newStore opens a new database, and checks it when the test is over.
func newStore(t *testing.T) (*Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.db")
	return openStore(t, path), path
}

func openStore(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path, Options{Clock: tick(), Factory: testConfig})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		checkBolt(t, path)
	})
	return s
}

// checkBolt runs bbolt's own check, and ours.
func checkBolt(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := checkFile(f, info.Size()); err != nil {
		t.Errorf("checkFile: %v", err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("bbolt: %v", err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

var admin = Who{User: "admin", Source: "192.0.2.7", Method: "cli", Interactive: true}

// edit makes one change in a session.
func edit(t *testing.T, s *Session, change func(*Config)) {
	t.Helper()
	if err := s.Edit(func(c *Config) error { change(c); return nil }); err != nil {
		t.Fatal(err)
	}
}

// commit merges and saves what a session has.
func commit(t *testing.T, s *Session, comment string) Revision {
	t.Helper()
	merged, err := s.Merge()
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.store.Save(Commit{Session: s, Merged: merged, Comment: comment, Result: "applied"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func setHostname(name string) func(*Config) { return func(c *Config) { c.Hostname = name } }

func TestOpenMakesFactoryConfiguration(t *testing.T) {
	s, path := newStore(t)
	config, revision := s.Running()
	if revision != 1 || !config.Equal(testConfig()) {
		t.Errorf("revision %d, config %+v", revision, config)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode %o", got)
	}
	if _, err := os.Stat(path + ".new"); err == nil {
		t.Error("the unfinished file is still there")
	}
	history, err := s.Revisions(0)
	if err != nil || len(history) != 1 || history[0].User != "system" {
		t.Errorf("history %+v, %v", history, err)
	}
}

func TestOpenAgainKeepsEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.db")
	s, err := Open(path, Options{Clock: tick(), Factory: testConfig})
	if err != nil {
		t.Fatal(err)
	}
	console := s.NewSession(admin)
	edit(t, console, setHostname("new.example.com"))
	want := commit(t, console, "renamed")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = openStore(t, path)
	config, revision := s.Running()
	if revision != 2 || config.Hostname != "new.example.com" {
		t.Errorf("revision %d, hostname %q", revision, config.Hostname)
	}
	record, err := s.Revision(2)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(record.Revision); got != fmt.Sprint(want) {
		t.Errorf("revision\n%v, want\n%v", got, want)
	}
	if len(record.Changes) != 1 || record.Changes[0].New != "new.example.com" {
		t.Errorf("changes %+v", record.Changes)
	}
}

func TestOpenTightensFileMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.db")
	s, err := Open(path, Options{Factory: testConfig})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), os.Chmod(path, 0o644)); err != nil {
		t.Fatal(err)
	}
	openStore(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestOpenRefusesDatabaseInUse(t *testing.T) {
	_, path := newStore(t)
	var refused *OpenError
	if _, err := Open(path, Options{}); !errors.As(err, &refused) || refused.Reason != InUse {
		t.Errorf("got %v", err)
	}
}

// G9: Open names the reason and leaves the file untouched.
func TestOpenRefusesWhatItCannotUnderstand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "good.db")
	s, err := Open(path, Options{Factory: testConfig})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := readMeta(bytes.NewReader(good), int64(len(good)))
	if err != nil {
		t.Fatal(err)
	}
	used := int(m.pages) * int(m.pageSize)
	zeroed := bytes.Clone(good)
	clear(zeroed[2*os.Getpagesize():])
	noMeta := bytes.Clone(good)
	clear(noMeta[16+32 : 2*os.Getpagesize()])
	for _, tt := range []struct {
		name string
		data []byte
		want Reason
	}{
		{"empty file", nil, Empty},
		{"one byte", []byte{0}, Foreign},
		{"garbage", bytes.Repeat([]byte("garbage!"), 8192), Foreign},
		{"text", []byte("<?xml version=\"1.0\"?><config/>"), Foreign},
		{"zeros", make([]byte, 65536), Foreign},
		{"cut to half", good[:used/2], Damaged},
		{"cut by one byte", good[:used-1], Damaged},
		{"pages zeroed", zeroed, Damaged},
		{"meta pages damaged", noMeta, Damaged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.db")
			if err := os.WriteFile(path, tt.data, 0o600); err != nil {
				t.Fatal(err)
			}
			refuses(t, path, tt.want)
			after, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(after, tt.data) {
				t.Errorf("the file was changed (%v)", err)
			}
		})
	}
	t.Run("directory", func(t *testing.T) { refuses(t, t.TempDir(), NotAFile) })
}

// G9: a file on a disk that is not mounted is no reason for a new one.
func TestOpenRefusesALinkThatLeadsNowhere(t *testing.T) {
	dir := t.TempDir()
	path, away := filepath.Join(dir, "config.db"), filepath.Join(dir, "disk", "config.db")
	if err := os.Symlink(away, path); err != nil {
		t.Fatal(err)
	}
	refuses(t, path, Unreadable)
	if to, err := os.Readlink(path); err != nil || to != away {
		t.Errorf("the link is gone: %q, %v", to, err)
	}
}

func refuses(t *testing.T, path string, want Reason) {
	t.Helper()
	s, err := Open(path, Options{})
	if err == nil {
		_ = s.Close()
	}
	var refused *OpenError
	if !errors.As(err, &refused) || refused.Reason != want {
		t.Errorf("got %v, want: %s", err, want)
	}
}

func TestOpenRefusesForeignAndNewerDatabases(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*bbolt.Tx) error
		want   Reason
	}{
		{"of another program", func(tx *bbolt.Tx) error { return tx.DeleteBucket(aboutBucket) }, Foreign},
		{"newer", func(tx *bbolt.Tx) error { return tx.Bucket(aboutBucket).Put(schemaKey, number(schemaVersion+1)) }, Newer},
		{"without version", func(tx *bbolt.Tx) error { return tx.Bucket(aboutBucket).Delete(schemaKey) }, Damaged},
		{"version 0", func(tx *bbolt.Tx) error { return tx.Bucket(aboutBucket).Put(schemaKey, number(0)) }, Damaged},
		{"without revisions", func(tx *bbolt.Tx) error { return tx.DeleteBucket(revisionBucket) }, Damaged},
		{"without running revision", func(tx *bbolt.Tx) error { return tx.Bucket(revisionBucket).Delete(number(1)) }, Damaged},
		{"running revision not named", func(tx *bbolt.Tx) error { return tx.Bucket(aboutBucket).Delete(runningKey) }, Damaged},
		{"running configuration edited", func(tx *bbolt.Tx) error {
			b := tx.Bucket(configBucket)
			return b.Put(number(1), bytes.Replace(b.Get(number(1)), []byte("mail.example.com"), []byte("evil.example.com"), 1))
		}, Damaged},
		{"running revision edited", func(tx *bbolt.Tx) error {
			b := tx.Bucket(revisionBucket)
			return b.Put(number(1), bytes.Replace(b.Get(number(1)), []byte("system"), []byte("nobody"), 1))
		}, Damaged},
		{"unknown field", func(tx *bbolt.Tx) error {
			b := tx.Bucket(configBucket)
			data := append([]byte(`{"Surprise":1,`), b.Get(number(1))[1:]...)
			r, _, err := readRevision(tx, 1)
			if err != nil {
				return err
			}
			_, err = putRevision(tx, r, testConfig())
			return errors.Join(err, b.Put(number(1), data))
		}, Damaged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.db")
			s, err := Open(path, Options{Factory: testConfig})
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(s.db.Update(tt.change), s.Close()); err != nil {
				t.Fatal(err)
			}
			refuses(t, path, tt.want)
		})
	}
}
