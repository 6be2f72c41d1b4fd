package store

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// snapshot gives the database file as a crash would leave it now.
func snapshot(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// restarted opens what a crash left.
func restarted(t *testing.T, data []byte) *Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.db")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return openStore(t, path)
}

func TestCrashBeforeRename_NextStartMakesADatabase(t *testing.T) {
	for name, left := range map[string][]byte{"nothing written": nil, "half written": make([]byte, 10000)} {
		path := filepath.Join(t.TempDir(), "config.db")
		if err := os.WriteFile(path+".new", left, 0o600); err != nil {
			t.Fatal(err)
		}
		s := openStore(t, path)
		if _, revision := s.Running(); revision != 1 {
			t.Errorf("%s: runs %d", name, revision)
		}
		if _, err := os.Stat(path + ".new"); err == nil {
			t.Errorf("%s: the unfinished file is still there", name)
		}
	}
}

func TestCreateThatFailsLeavesNoDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "config.db")
	if _, err := Open(path, Options{}); err == nil {
		t.Error("made in a directory that is not there")
	}
	path = filepath.Join(t.TempDir(), "config.db")
	if err := os.MkdirAll(filepath.Join(path+".new", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); err == nil {
		t.Error("made over a directory")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a database is there")
	}
}

// C1: all of a commit, or nothing of it.
func TestCrashInsideSave_RevisionOrEdits(t *testing.T) {
	s, path := newStore(t)
	session := s.NewSession(admin)
	edit(t, session, setHostname("a.example.com"))
	before := snapshot(t, path)
	var during []byte
	if err := s.db.Update(func(tx *bbolt.Tx) error {
		_, err := putRevision(tx, Revision{Number: 2}, session.Config())
		during = snapshot(t, path)
		return fmt.Errorf("rolled back: %w", err)
	}); err == nil {
		t.Fatal("not rolled back")
	}
	commit(t, session, "")
	after := snapshot(t, path)

	old, err := readMeta(bytes.NewReader(before), int64(len(before)))
	if err != nil {
		t.Fatal(err)
	}
	size := int(old.pageSize)
	newest := size * int((old.transactions+1)%2) // bbolt writes the two meta pages in turn
	noMeta, tornMeta := bytes.Clone(after), bytes.Clone(after)
	copy(noMeta[newest:newest+size], before[newest:newest+size])
	clear(tornMeta[newest+pageHeader+metaSum : newest+size])
	for _, tt := range []struct {
		name     string
		data     []byte
		revision uint64
		pending  int
	}{
		{"before the transaction", before, 1, 1},
		{"before the pages are written", during, 1, 1},
		{"before the meta page is written", noMeta, 1, 1},
		{"while the meta page is written", tornMeta, 1, 1},
		{"after it", after, 2, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := restarted(t, tt.data)
			config, revision := s.Running()
			want := map[uint64]string{1: "mail.example.com", 2: "a.example.com"}[tt.revision]
			if revision != tt.revision || config.Hostname != want {
				t.Errorf("runs %d, %s", revision, config.Hostname)
			}
			lost, err := s.Lost("admin")
			if err != nil || len(lost) != tt.pending {
				t.Errorf("pending: %+v, %v", lost, err)
			}
			for _, p := range lost {
				session := s.NewSession(admin)
				if err := session.Resume(p.ID); err != nil {
					t.Fatal(err)
				}
				commit(t, session, "again")
			}
			if config, _ := s.Running(); config.Hostname != "a.example.com" {
				t.Errorf("in the end %s", config.Hostname)
			}
		})
	}
}

func TestCrashWhilePendingIsStored_TheEditBeforeIsThere(t *testing.T) {
	s, path := newStore(t)
	session := s.NewSession(admin)
	edit(t, session, setHostname("a.example.com"))
	first := snapshot(t, path)
	edit(t, session, setHostname("b.example.com"))
	second := snapshot(t, path)
	if err := session.Discard(); err != nil {
		t.Fatal(err)
	}
	for want, data := range map[string][]byte{"a.example.com": first, "b.example.com": second, "": snapshot(t, path)} {
		s := restarted(t, data)
		got := ""
		for _, p := range stored(t, s) {
			config, err := decode(p.Config)
			if err != nil {
				t.Fatal(err)
			}
			got = config.Hostname
		}
		if got != want {
			t.Errorf("pending %q, want %q", got, want)
		}
	}
}

// committer is run as a process of its own and killed: it commits without
// pause, and says so on standard output after each.
const committer = "STORE_TEST_COMMITTER"

func TestCommitter(t *testing.T) {
	path := os.Getenv(committer)
	if path == "" {
		t.Skip("only run by TestKillWhileCommitting")
	}
	s, err := Open(path, Options{Factory: testConfig})
	if err != nil {
		t.Fatal(err)
	}
	session := s.NewSession(admin)
	for {
		_, revision := s.Running()
		edit(t, session, setHostname(fmt.Sprintf("h%d.example.com", revision+1)))
		fmt.Printf("committed %d\n", commit(t, session, "").Number)
	}
}

// C1 and C5 with a real kill -9: what was said to be committed runs, or the
// one after it, which was not yet said.
func TestKillWhileCommitting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.db")
	for round := range 6 {
		said := killed(t, path, 3+round*5)
		s, err := Open(path, Options{Clock: tick()})
		if err != nil {
			t.Fatal(err)
		}
		config, revision := s.Running()
		if revision != said && revision != said+1 {
			t.Errorf("round %d: revision %d said, %d runs", round, said, revision)
		}
		if config.Hostname != fmt.Sprintf("h%d.example.com", revision) {
			t.Errorf("round %d: revision %d is %s", round, revision, config.Hostname)
		}
		lost, err := s.Lost("admin")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range lost {
			if p.Err != nil || p.Base > revision {
				t.Errorf("round %d: pending %+v", round, p)
			}
		}
		history, err := s.Revisions(0)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range history {
			if r.Altered {
				t.Errorf("round %d: revision %d altered", round, r.Number)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		checkBolt(t, path)
	}
}

// killed runs a committer until it has said so n times, kills it, and gives the
// last revision that it said.
func killed(t *testing.T, path string, n int) uint64 {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestCommitter$")
	cmd.Env = append(os.Environ(), committer+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	var said uint64
	lines := bufio.NewScanner(out)
	for count := 0; lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "committed "); ok {
			if said, err = strconv.ParseUint(text, 10, 64); err != nil {
				t.Fatal(err)
			}
			if count++; count == n {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	_ = cmd.Wait() // it was killed
	if said == 0 {
		t.Fatal("nothing was committed")
	}
	return said
}
