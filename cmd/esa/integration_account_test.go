//go:build integration

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// testUID is the account esa of these tests.
const testUID = 64321

// withAccount gives what esa is to be started with to find the account esa on
// a machine that may not have it: a mount of its own over /etc/passwd.
func withAccount(t *testing.T) []string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("changing the user needs root")
	}
	need(t, "unshare", "mount")
	known, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	known = regexp.MustCompile(`(?m)^esa:.*\n`).ReplaceAll(known, nil)
	known = fmt.Appendf(known, "esa:x:%d:%d::/nonexistent:/usr/sbin/nologin\n", testUID, testUID)
	path := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(path, known, 0o644); err != nil {
		t.Fatal(err)
	}
	wrap := []string{"unshare", "--mount", "--propagation", "private", "sh", "-c", `mount --bind "$0" /etc/passwd && exec "$@"`, path}
	out, err := exec.Command(wrap[0], append(wrap[1:], "grep", "-c", "^esa:", "/etc/passwd")...).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "1" {
		t.Skipf("a mount of our own: %v %s", err, out)
	}
	return wrap
}

// openPlace is a directory that every account can enter, gone after the test.
func openPlace(t *testing.T) string {
	t.Helper()
	place, err := os.MkdirTemp("/var/tmp", "esa-account")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(place) })
	if err := os.Chmod(place, 0o755); err != nil {
		t.Fatal(err)
	}
	return place
}

// rights are the lines of /proc/PID/status that say what a process may do.
func rights(t *testing.T, pid int) map[string]string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		found[name] = strings.Join(strings.Fields(value), " ")
	}
	return found
}

// TestAccount: started as root where the account esa exists, the gateway is
// that account, may listen below port 1024 and nothing else, and all that it
// makes is its own, offline too.
func TestAccount(t *testing.T) {
	wrap := withAccount(t)
	dir := filepath.Join(openPlace(t), "new", "data")
	sinkPort := freePort(t, "127.0.0.1")
	folder := startSink(t, sinkPort)
	g := startWrapped(t, dir, wrap...) // its DNS server was entered offline
	port := listenPort(t)
	g.script(relayScript(port, sinkPort)...)

	has := rights(t, g.cmd.Process.Pid)
	id := fmt.Sprint(testUID)
	for name, want := range map[string]string{
		"Uid": strings.Join([]string{id, id, id, id}, " "), "Gid": strings.Join([]string{id, id, id, id}, " "), "Groups": "",
		"CapInh": "0000000000000400", "CapPrm": "0000000000000400", "CapEff": "0000000000000400",
		"CapBnd": "0000000000000400", "CapAmb": "0000000000000400", "NoNewPrivs": "1",
	} {
		if has[name] != want {
			t.Errorf("%s is %q, want %q", name, has[name], want)
		}
	}
	swaks(t, fmt.Sprintf("127.0.0.2:%d", port), "user@example.net", "taken without root")
	waitFor(t, "the message at the sink", func() bool { return found(t, folder, "Subject: taken without root") })
	g.stop()
	g.script("version") // offline, by root
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Sys().(*syscall.Stat_t).Uid != testUID {
			t.Errorf("%s belongs to user %d", path, info.Sys().(*syscall.Stat_t).Uid)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestAccount_StaysRoot: where it has to, and says why.
func TestAccount_StaysRoot(t *testing.T) {
	wrap := withAccount(t)
	of := func(dir string, wrap []string) string {
		g := &gateway{t: t, dir: dir, wrap: wrap}
		cmd := g.esa("serve")
		var said strings.Builder
		cmd.Stderr = &said
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 1)
		_, reading := out.Read(first) // that it runs
		uid := rights(t, cmd.Process.Pid)["Uid"]
		if err := errors.Join(reading, cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil || uid != "0 0 0 0" {
			t.Errorf("%v; user %s; %s", err, uid, said.String())
		}
		return said.String()
	}
	roots := t.TempDir()
	if said := of(roots, wrap); !strings.Contains(said, "runs as root: the data directory "+roots+" belongs to root; chown -R esa: "+roots) {
		t.Errorf("root's directory: %q", said)
	}
	closed := filepath.Dir(t.TempDir()) // only its owner can enter
	if said := of(filepath.Join(closed, "data"), wrap); !strings.Contains(said, "runs as root: the account esa cannot enter "+closed) {
		t.Errorf("a place that is closed: %q", said)
	}
	if _, err := os.ReadFile("/etc/passwd"); err == nil && exec.Command("id", "esa").Run() != nil {
		if said := of(filepath.Join(openPlace(t), "data"), nil); !strings.Contains(said, "runs as root: there is no account esa on this machine.") {
			t.Errorf("no account: %q", said)
		}
	}
}
