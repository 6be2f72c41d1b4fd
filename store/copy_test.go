package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCopy_IsOfWhatRuns(t *testing.T) {
	s, path := newStore(t)
	if _, err := ReadCopy(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("before the first: %v", err)
	}
	commit(t, dirty(t, s, setHostname("a.example.com")), "")
	for range 2 { // the second time nothing is to be done
		if err := s.KeepCopy(); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := ReadCopy(path)
	running, number := s.Running()
	if err != nil || kept.Revision != number || kept.User != "carol" || !kept.Config.Equal(running) {
		t.Errorf("%+v, %v", kept, err)
	}
	info, err := os.Stat(path + copySuffix)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// Every flipped byte and every length is noticed.
func TestCopy_DamagedIsNoCopy(t *testing.T) {
	s, path := newStore(t)
	if err := s.KeepCopy(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path + copySuffix)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(whole); i += 7 {
		bad := append([]byte(nil), whole...)
		bad[i] ^= 4
		for _, data := range [][]byte{bad, whole[:i]} {
			if err := os.WriteFile(path+copySuffix, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := ReadCopy(path); err == nil {
				t.Fatalf("byte %d of %d: read all the same", i, len(whole))
			}
		}
	}
	if err := s.KeepCopy(); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadCopy(path); err != nil {
		t.Errorf("it is not written anew: %v", err)
	}
}

func TestRestore(t *testing.T) {
	s, path := newStore(t)
	commit(t, dirty(t, s, setHostname("a.example.com")), "")
	if err := errors.Join(s.KeepCopy(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Restore(path, time.Now()); err == nil || !strings.Contains(err.Error(), "is whole") {
		t.Fatalf("a database that is whole: %v", err)
	}
	if err := os.Truncate(path, 5000); err != nil {
		t.Fatal(err)
	}
	_, err := Open(path, Options{})
	if open, ok := errors.AsType[*OpenError](err); !ok || open.Reason != Damaged || !strings.Contains(err.Error(), "restore' starts again with revision 2, which carol committed") {
		t.Fatalf("%v", err)
	}
	// A crash after the first step.
	aside := path + ".moved"
	if err := os.Rename(path, aside); err != nil {
		t.Fatal(err)
	}
	_, err = Open(path, Options{})
	if open, ok := errors.AsType[*OpenError](err); !ok || open.Reason != Missing {
		t.Fatalf("without database: %v", err)
	}
	if err := os.Rename(aside, path); err != nil {
		t.Fatal(err)
	}
	kept, aside, err := Restore(path, time.Unix(0, 0))
	if err != nil || kept.Revision != 2 || filepath.Base(aside) != filepath.Base(path)+".damaged-19700101T000000" {
		t.Fatalf("%+v, %s, %v", kept, aside, err)
	}
	if info, err := os.Stat(aside); err != nil || info.Size() != 5000 {
		t.Errorf("aside: %v", err)
	}
	again, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if c, n := again.Running(); c.Hostname != "a.example.com" || n != 3 {
		t.Errorf("revision %d of %s", n, c.Hostname)
	}
	if n := commit(t, dirty(t, again, setHostname("b.example.com")), "").Number; n != 4 {
		t.Errorf("the next is revision %d", n)
	}
}

func TestRestore_WithoutACopy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.db")
	if err := os.WriteFile(path, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); err == nil || !strings.Contains(err.Error(), "put back a good copy, or move it away") {
		t.Errorf("%v", err)
	}
	if _, _, err := Restore(path, time.Now()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "garbage" {
		t.Errorf("%q, %v", data, err)
	}
}
