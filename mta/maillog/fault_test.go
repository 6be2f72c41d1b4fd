package maillog

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFullDisk writes to a device that is always full.
func TestFullDisk(t *testing.T) {
	h := newHarness(t, mail)
	h.infof("before")
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	good := h.sinks[0].f
	h.sinks[0].f = full
	for range 5 {
		h.infof("lost")
	}
	h.sinks[0].f = good
	h.infof("lost too: not tried again yet")
	h.clock.Add(again)
	h.infof("after")
	wantText(t, h.text("mail_logs", "mail.current"), header+
		"Info: before\nCritical: 6 log lines were lost: write /dev/full: no space left on device\nInfo: after\n")
	wantDiag(t, h, `level=ERROR msg="mail log: writing" log=mail_logs`, `level=WARN msg="mail log is written again" log=mail_logs lost=6`)
}

// TestFileTakenAway: somebody cleans up too much while the gateway runs. The
// log begins anew within a second, and by hand at once.
func TestFileTakenAway(t *testing.T) {
	for name, take := range map[string]func(dir string) error{
		"directory": os.RemoveAll,
		"files": func(dir string) error {
			files, err := filepath.Glob(filepath.Join(dir, "*"))
			for _, file := range files {
				err = errors.Join(err, os.Remove(file))
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, mail)
			h.infof("before")
			dir := filepath.Join(h.dir, "mail_logs")
			if err := take(dir); err != nil {
				t.Fatal(err)
			}
			h.clock.Add(again)
			h.infof("after")
			wantText(t, h.text("mail_logs", "mail.current"), header+"Info: after\n")
			wantDiag(t, h, "the current file is gone, a new one begins")

			if err := take(dir); err != nil {
				t.Fatal(err)
			}
			if err := h.Rollover("mail_logs"); err != nil {
				t.Fatal(err)
			}
			h.infof("after rollover")
			wantText(t, h.text("mail_logs", "mail.current"), header+"Info: after rollover\n")
		})
	}
}

func wantDiag(t *testing.T, h *harness, wants ...string) {
	t.Helper()
	got := strings.Split(strings.TrimSpace(h.diag.String()), "\n")
	if len(got) != len(wants) {
		t.Fatalf("diagnostics: %q", got)
	}
	for i, want := range wants {
		if !strings.Contains(got[i], want) {
			t.Errorf("diagnostics: %q, want %q", got[i], want)
		}
	}
}

// TestFullFileSystem fills a small file system: lines are cut off whole, and
// go on when there is room.
func TestFullFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("no small file system: ", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	h := &harness{t: t, dir: dir, clock: newClock(), diag: nil}
	l, err := Open(dir, Options{Clock: h.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	h.Log = l
	defer l.Close()
	filler := filepath.Join(dir, "filler")
	if err := l.Configure([]Subscription{mail}, Settings{}); err != nil {
		t.Fatal(err)
	}
	written, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	defer written.Close()
	n, err := written.Write(make([]byte, 1<<20))
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the fault does not happen: %d bytes, %v", n, err)
	}
	long := strings.Repeat("x", 5000)
	l.infof("%s", long) // takes what is left of a page, then fails
	if n := l.sinks[0].lost; n != 1 {
		t.Fatalf("%d lines lost", n)
	}
	if err := written.Truncate(0); err != nil {
		t.Fatal(err)
	}
	h.clock.Add(again)
	l.infof("after")
	got := h.grepAll("mail_logs", "lost|x|after")
	if len(got) != 2 || !strings.HasPrefix(got[0], "Critical: 1 log lines were lost: write ") || got[1] != "Info: after" {
		t.Errorf("%.100q", got)
	}
}

// TestDirectoryCannotBeMade: the other subscriptions work, and this one does
// as soon as it can.
func TestDirectoryCannotBeMade(t *testing.T) {
	h := newHarness(t, mail)
	taken := filepath.Join(h.dir, "second")
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	second := mail
	second.Name = "second"
	if err := h.Configure([]Subscription{mail, second}, Settings{}); err == nil {
		t.Error("Configure says nothing")
	}
	h.infof("one")
	if err := os.Remove(taken); err != nil {
		t.Fatal(err)
	}
	h.clock.Add(again)
	h.infof("two")
	wantText(t, h.text("mail_logs", "mail.current"), header+"Info: one\nInfo: two\n")
	got := h.text("second", "mail.current")
	if !strings.HasPrefix(got, header+"Critical: 1 log lines were lost: ") || !strings.HasSuffix(got, "\nInfo: two\n") {
		t.Errorf("second log: %s", got)
	}
}

// TestRolloverFails_OldFileGoesOn: a new file cannot be made, because a file
// stands where its directory was.
func TestRolloverFails_OldFileGoesOn(t *testing.T) {
	h := newHarness(t, Subscription{"mail_logs", TextMail, "mail", Information, 4096, 10})
	dir, moved := filepath.Join(h.dir, "mail_logs"), filepath.Join(h.dir, "moved")
	if err := errors.Join(os.Rename(dir, moved), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		h.infof("line %03d", i)
	}
	if err := errors.Join(os.Remove(dir), os.Rename(moved, dir)); err != nil {
		t.Fatal(err)
	}
	h.clock.Add(again)
	h.infof("line 100")
	if got := h.grepAll("mail_logs", "line"); len(got) != 101 || len(h.files("mail_logs")) != 2 {
		t.Errorf("%d lines, files %v", len(got), h.files("mail_logs"))
	}
	if n := strings.Count(h.diag.String(), "beginning a new file"); n != 1 {
		t.Errorf("%d diagnostics of one failure", n)
	}
}

// TestKilled_NoLineLost: what a method returned from is in the file.
func TestKilled_NoLineLost(t *testing.T) {
	if dir := os.Getenv("MAILLOG_TEST_DIR"); dir != "" {
		writeForEver(dir)
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilled_NoLineLost$")
	cmd.Env = append(os.Environ(), "MAILLOG_TEST_DIR="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(out)
	n := 0
	for in.Scan() {
		if n++; n == 1000 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // was killed
	h := &harness{t: t, dir: dir, clock: newClock()}
	h.Log, err = Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := h.grepAll("mail_logs", "line")
	if n < 1000 || len(got) < n {
		t.Errorf("%d lines were written, %d are there", n, len(got))
	}
	checkLines(t, got, 1, len(got))
}

// writeForEver says on standard output which lines are written.
func writeForEver(dir string) {
	l, err := Open(dir, Options{})
	if err == nil {
		err = l.Configure([]Subscription{mail}, Settings{})
	}
	for i := 0; err == nil; i++ {
		l.infof("writer 0 line %d", i)
		_, err = fmt.Println(i)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
