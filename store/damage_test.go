package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
)

// busyDatabase gives the bytes of a database with several revisions, free
// pages, a table of many pages and uncommitted changes, and what runs in it.
func busyDatabase(t *testing.T) ([]byte, *Config) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.db")
	s, err := Open(path, Options{Clock: tick(), Factory: testConfig})
	if err != nil {
		t.Fatal(err)
	}
	console := s.NewSession(admin)
	for i := range 25 {
		edit(t, console, func(c *Config) {
			c.Hostname = fmt.Sprintf("mail%d.example.com", i)
			c.Routes = append(c.Routes, Route{Domain: fmt.Sprintf("d%d.example.com", i), UseDNS: true})
		})
		commit(t, console, "")
	}
	edit(t, console, setHostname("pending.example.com"))
	config, _ := s.Running()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data, config
}

// trial is a file to damage, and what must run in it.
type trial struct {
	*testing.T
	path string
	want *Config
}

// survives opens damaged bytes. Whatever they hold, the process lives, and the
// database is refused as it is or runs what ran.
func (t trial) survives(what string, data []byte) (opened bool) {
	t.Helper()
	if err := os.WriteFile(t.path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.path, Options{})
	if err != nil {
		var refused *OpenError
		if !errors.As(err, &refused) {
			t.Errorf("%s: refused without a reason: %v", what, err)
		}
		after, err := os.ReadFile(t.path)
		if err != nil || !bytes.Equal(after, data) {
			t.Errorf("%s: refused, but changed (%v)", what, err)
		}
		return false
	}
	if config, _ := s.Running(); !config.Equal(t.want) {
		t.Errorf("%s: runs something else", what)
	}
	// What is not checked at the start may be refused when it is read.
	history, _ := s.Revisions(0)
	for _, r := range history[:min(len(history), 3)] {
		_, _ = s.Revision(r.Number)
	}
	_, _ = s.Pendings()
	if err := s.Close(); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	return true
}

func TestEveryPageZeroed(t *testing.T) {
	data, config := busyDatabase(t)
	trial := trial{t, filepath.Join(t.TempDir(), "config.db"), config}
	size := os.Getpagesize()
	refused := 0
	for at := 0; at+size <= len(data); at += size {
		damaged := bytes.Clone(data)
		clear(damaged[at : at+size])
		if !trial.survives(fmt.Sprintf("page %d zeroed", at/size), damaged) {
			refused++
		}
	}
	if refused < 5 {
		t.Errorf("only %d pages matter", refused)
	}
}

func TestEveryLength(t *testing.T) {
	data, config := busyDatabase(t)
	trial := trial{t, filepath.Join(t.TempDir(), "config.db"), config}
	for n := len(data) - 1; n >= 0; n -= os.Getpagesize() - 1 {
		trial.survives(fmt.Sprintf("cut to %d bytes", n), data[:n])
	}
}

func TestRandomDamage(t *testing.T) {
	data, config := busyDatabase(t)
	trial := trial{t, filepath.Join(t.TempDir(), "config.db"), config}
	rounds := 200
	if testing.Short() {
		rounds = 50
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range rounds {
		damaged := bytes.Clone(data)
		for range 1 + random.IntN(4) {
			at := random.IntN(len(damaged))
			if i%2 == 0 { // the first bytes of a page steer bbolt
				at = at/os.Getpagesize()*os.Getpagesize() + random.IntN(64)
			}
			damaged[min(at, len(damaged)-1)] = byte(random.Uint32())
		}
		trial.survives(fmt.Sprintf("round %d", i), damaged)
	}
}

func TestUnusedTailCutOffIsNoDamage(t *testing.T) {
	data, config := busyDatabase(t)
	m, err := readMeta(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config.db")
	if err := os.WriteFile(path, data[:int(m.pages)*int(m.pageSize)], 0o600); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, path)
	if running, _ := s.Running(); !running.Equal(config) {
		t.Error("runs something else")
	}
	console := s.NewSession(admin)
	edit(t, console, setHostname("after.example.com"))
	commit(t, console, "")
}

// FuzzCheckFile holds that what checkFile lets pass, bbolt can read to the end.
func FuzzCheckFile(f *testing.F) {
	path := filepath.Join(f.TempDir(), "seed.db")
	s, err := Open(path, Options{Factory: testConfig})
	if err != nil {
		f.Fatal(err)
	}
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	seed, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(0), uint64(0))
	f.Add(uint32(4096*2+8), uint64(0xffff))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, at uint32, change uint64) {
		data := bytes.Clone(seed)
		for i, b := range number(change) {
			data[(int(at)+i)%len(data)] ^= b
		}
		if checkFile(bytes.NewReader(data), int64(len(data))) != nil {
			return
		}
		path := filepath.Join(dir, "fuzz.db")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			return
		}
		defer db.Close()
		_ = db.View(func(tx *bbolt.Tx) error {
			for range tx.Check() {
			}
			return nil
		})
	})
}
