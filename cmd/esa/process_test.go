package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"esa/shell/attach"
)

// program is a process that is esa.
func program(t *testing.T, dir string, words ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, append([]string{"--data", dir}, words...)...)
	// The race detector would sleep a second at every end.
	cmd.Env = append(os.Environ(), asProgram+"=1", "GORACE=atexit_sleep_ms=0")
	return cmd
}

// esa runs a process to its end.
func esa(t *testing.T, dir, input string, words ...string) result {
	t.Helper()
	cmd := program(t, dir, words...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	r := result{0, string(out)}
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		r.status = e.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return r
}

// served is a process that runs `esa serve`.
type served struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan error
}

// startServing returns when the console is there.
func startServing(t *testing.T, dir string) *served {
	t.Helper()
	return startComplaining(t, dir, os.Stderr)
}

// startComplaining does the same; the process has this standard error.
func startComplaining(t *testing.T, dir string, complaints *os.File) *served {
	t.Helper()
	s := &served{t: t, cmd: program(t, dir, "serve"), done: make(chan error, 1)}
	s.cmd.Stderr = complaints
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.signal(syscall.SIGKILL) })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.Contains(line, "The gateway is running") {
		t.Fatalf("esa serve says %q, %v", line, err)
	}
	go func() { s.done <- s.cmd.Wait() }()
	return s
}

// signal ends the process and gives what it ended with.
func (s *served) signal(sig syscall.Signal) error {
	if s.cmd.Process == nil || s.cmd.Process.Signal(sig) != nil {
		return nil // it has ended
	}
	select {
	case err := <-s.done:
		return err
	case <-time.After(2 * limit):
		s.t.Errorf("the gateway does not end at %v", sig)
		return nil
	}
}

// dialListener connects as soon as the listener is there: it is bound beside
// the console.
func dialListener(t *testing.T, addr netip.AddrPort) net.Conn {
	t.Helper()
	end := time.NewTimer(limit)
	defer end.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.Dial("tcp", addr.String())
		if err == nil {
			t.Cleanup(func() { conn.Close() })
			return conn
		}
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatal(err)
		}
	}
}

// absent fails if a path is there.
func absent(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is there (%v)", path, err)
	}
}

func TestProcess_HelpAndVersionLeaveNothingBehind(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for _, words := range [][]string{{"help"}, {"version"}, {"--version"}, {"help", "commit"}, {"help; version"}} {
		esa(t, dir, "", words...).want(t, 0)
		absent(t, dir)
	}
	esa(t, dir, "", "help").want(t, 0, "sethostname", "commit")
	esa(t, dir, "", "version").want(t, 0, release)
	esa(t, dir, "", "--help").want(t, 0, "usage: esa")
	esa(t, dir, "", "--datum").want(t, statusUsage, "unknown option --datum", "usage: esa")
	absent(t, dir)
}

func TestProcess_Offline(t *testing.T) {
	dir, _ := prepared(t)
	esa(t, dir, "", "sethostname", "new.test").want(t, 1, "have been dropped")
	esa(t, dir, "", `sethostname new.test; commit "no gateway yet" Y`).want(t, 0, "Changes committed: ")
	esa(t, dir, "showchanges\nsethostname newer.test\ncommit batch Y\n").want(t, 0, "new.test> ", "Changes committed: ")
	esa(t, dir, "nosuchcommand\nsethostname newest.test\ncommit batch Y\n").want(t, 1, "An earlier command of this batch failed")
	esa(t, dir, "nosuchcommand\nsethostname newest.test\ncommit batch Y\n", "--go-on").want(t, 1, "Changes committed: ")
	esa(t, dir, "", "status").want(t, 0, "Offline")
	esa(t, dir, "", "tail", "mail_logs").want(t, 1, "The gateway is not running")
	absent(t, filepath.Join(dir, attach.SocketName))
	h := openHouse(t, dir)
	h.wantRunning("newest.test", 4)
}

// TestProcess_OfflineWarnsOfWhatCannotBeBound and commits.
func TestProcess_OfflineWarnsOfWhatCannotBeBound(t *testing.T) {
	dir, listener := prepared(t)
	l, err := net.Listen("tcp", listener.String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	esa(t, dir, "", `sethostname new.test; commit "later" Y`).want(t, 0, "Changes committed: ", fmt.Sprintf("Port %d on 127.0.0.1 is in use", listener.Port()))
}

// TestProcess_KillLosesNothing: what was committed runs after kill -9, what an
// open session had pending is offered again.
func TestProcess_KillLosesNothing(t *testing.T) {
	dir, listener := prepared(t)
	s := startServing(t, dir)
	p := sitDown(t, dir)
	p.sees("gw.test> ")
	p.types("sethostname committed.test", "gw.test> ")
	p.types(`commit "before" Y`, "committed.test> ")
	p.types("sethostname pending.test", "committed.test> ")
	if err := s.signal(syscall.SIGKILL); err == nil {
		t.Fatal("the gateway was not killed")
	}

	startServing(t, dir)
	again := sitDown(t, dir)
	again.sees("resume them?")
	again.types("", "committed.test> ")
	again.types("showchanges", "pending.test")
	esa(t, dir, "", "version").want(t, 0)
	conn := dialListener(t, listener)
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, "220 ") {
		t.Errorf("greeted %q, %v", line, err)
	}
}

func TestProcess_SignalDrains(t *testing.T) {
	dir, listener := prepared(t)
	s := startServing(t, dir)
	conn := dialListener(t, listener)
	in := bufio.NewReader(conn)
	if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "220 ") {
		t.Fatalf("greeted %q, %v", line, err)
	}
	told := make(chan string, 1)
	go func() {
		line, _ := in.ReadString('\n')
		told <- line
		conn.Close()
	}()
	if err := s.signal(syscall.SIGTERM); err != nil {
		t.Errorf("ended with %v", err)
	}
	if line := <-told; !strings.HasPrefix(line, "421 ") {
		t.Errorf("the idle session is told %q", line)
	}
	absent(t, filepath.Join(dir, attach.SocketName))
}

func TestProcess_SecondGatewayNamesTheFirst(t *testing.T) {
	dir, _ := prepared(t)
	s := startServing(t, dir)
	esa(t, dir, "", "serve").want(t, 1, fmt.Sprintf("is in use by process %d (the gateway) since ", s.cmd.Process.Pid))
	esa(t, dir, "", "status").want(t, 0, "Online")
}

// TestProcess_OthersCanWriteTheDirectory: it is refused before anything is
// made in it.
func TestProcess_OthersCanWriteTheDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	for _, words := range [][]string{{"serve"}, {"status"}} {
		esa(t, dir, "", words...).want(t, 1, "can be written by others (mode 0777): use chmod 700")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("made there: %v, %v", entries, err)
	}
}

// TestProcess_DatabaseThatIsRefused: with a reason, and left as it is.
func TestProcess_DatabaseThatIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(path string) error
		want  string
	}{
		{"gone", os.Remove, "is missing"},
		{"a directory", func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }, "is not a file"},
		{"empty", func(path string) error { return os.Truncate(path, 0) }, "is empty"},
		{"another file", func(path string) error { return os.WriteFile(path, []byte("hostname = gw.test\n"), 0o600) }, "is not a configuration database"},
		{"cut", func(path string) error { return os.Truncate(path, 20000) }, "is damaged"},
		{"newer", newerVersion, "was written by a newer version of this program"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, _ := prepared(t)
			esa(t, dir, "", `sethostname last.test; commit "the last one"`).want(t, 0)
			path := filepath.Join(dir, "config.db")
			if err := tt.spoil(path); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(path)
			for _, words := range [][]string{{"serve"}, {"status"}, {"sethostname a.test; commit"}} {
				esa(t, dir, "", words...).want(t, 1, path, tt.want)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Errorf("the file was changed: %d bytes, then %d", len(before), len(after))
			}
			if tt.name == "newer" {
				esa(t, dir, "", "restore").want(t, 1, "was written by a newer version")
				return
			}
			esa(t, dir, "", "status").want(t, 1, "'esa --data "+dir+" restore' starts again with revision 2, which admin committed on ")
			esa(t, dir, "", "restore").want(t, 0, "The configuration is that of revision 2, which admin committed on ")
			esa(t, dir, "version\n").want(t, 0, "last.test> ")
			esa(t, dir, "", "restore").want(t, 1, "the database is whole")
		})
	}
}

// newerVersion makes the database one that a later program wrote.
func newerVersion(path string) error {
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("about")).Put([]byte("schema"), []byte{0, 0, 0, 0, 0, 16, 0, 0})
	})
	return errors.Join(err, db.Close())
}
