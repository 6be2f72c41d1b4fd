//go:build integration

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// sshHost is OpenSSH's server on a port of its own, which lets nobody in yet.
type sshHost struct {
	port       int
	home       string // holds its keys, authorized_keys and what it is sent
	authorized string
}

func startSSHHost(t *testing.T) *sshHost {
	t.Helper()
	const program = "/usr/sbin/sshd" // it insists on its whole name
	if _, err := os.Stat(program); err != nil {
		t.Skip("OpenSSH's server is not installed")
	}
	need(t, "ssh-keygen", "ssh-keyscan", "scp")
	if os.Geteuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h := &sshHost{port: freePort(t, "127.0.0.3"), home: t.TempDir()}
	h.authorized = filepath.Join(h.home, "authorized_keys")
	perform(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(h.home, "host_key"))
	config := filepath.Join(h.home, "sshd_config")
	text := fmt.Sprintf("ListenAddress 127.0.0.3:%d\nHostKey %s/host_key\nAuthorizedKeysFile %s\nPidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin yes\n",
		h.port, h.home, h.authorized)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-D", "-e", "-f", config)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("sshd says\n%s", errs.String())
		}
	})
	waitListening(t, fmt.Sprintf("127.0.0.3:%d", h.port))
	return h
}

// TestArchive_OpenSSH: every commit comes to another host by scp, from the
// moment on that the host lets the gateway in; what was committed before that
// too. The copy can be loaded by whoever has the passphrase.
//
//	commit ─► esa ──scp──► OpenSSH sshd ─► a file ─► loadconfig
func TestArchive_OpenSSH(t *testing.T) {
	h := startSSHHost(t)
	user := strings.TrimSpace(output(t, "", "id", "-un"))
	copies := filepath.Join(h.home, "copies")
	if err := os.Mkdir(copies, 0o700); err != nil {
		t.Fatal(err)
	}
	key := regexp.MustCompile(`(?m)^\S+ ssh-ed25519 \S+$`).FindString(output(t, "", "ssh-keyscan", "-T", scanTime, "-t", "ed25519", "-p", fmt.Sprint(h.port), "127.0.0.3"))
	g := startGateway(t, t.TempDir())
	if err := os.WriteFile(filepath.Join(g.dir, "configuration", "key"), []byte("a long passphrase\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.script(fmt.Sprintf(`archiveconfig new far scp://%s@127.0.0.3:%d%s hostkey="%s" passphrases=encrypt passphrase_file=key`, user, h.port, copies, key),
		"commit archive")
	waitFor(t, "a refusal that is told", func() bool {
		return strings.Contains(g.script("archiveconfig print"), "unable to authenticate")
	})
	g.script("sethostname next.example.com", "commit next")

	public := regexp.MustCompile(`(?m)^ecdsa-sha2-nistp256 \S+$`).FindString(g.script("archiveconfig key far"))
	if err := os.WriteFile(h.authorized, []byte(public+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.script("archiveconfig retry")
	waitFor(t, "the copies", func() bool { return count(t, copies) == 2 })
	waitFor(t, "the end of the failure", func() bool { return !strings.Contains(g.script("archiveconfig print"), "Failed at") })
	g.script("smtproutes new example.com mx.example.net", "commit third")
	// Of a copy on its way there is a file already.
	third := regexp.MustCompile(`next\.example\.com-0*(\d+)-[^/]*\.xml$`)
	waitFor(t, "the whole third copy", func() bool {
		last, _ := filepath.Glob(filepath.Join(copies, "next.example.com-*.xml"))
		return len(last) == 2 && strings.Contains(g.script("archiveconfig print"), "Copied last: revision "+third.FindStringSubmatch(last[1])[1]+",")
	})
	if n := count(t, copies); n != 3 {
		t.Errorf("%d copies of three commits", n)
	}

	last, err := filepath.Glob(filepath.Join(copies, "next.example.com-*.xml"))
	if err != nil || len(last) != 2 {
		t.Fatalf("copies: %v, %v", last, err)
	}
	fresh := startGateway(t, t.TempDir())
	perform(t, "cp", last[1], filepath.Join(fresh.dir, "configuration", "copy.xml"))
	perform(t, "cp", filepath.Join(g.dir, "configuration", "key"), filepath.Join(fresh.dir, "configuration", "key"))
	if out := fresh.script("loadconfig copy.xml passphrase_file=key", "showchanges", "clear y"); !strings.Contains(out, "example.com: added: mx.example.net") || !strings.Contains(out, "far: added") {
		t.Errorf("the copy, loaded:\n%s", out)
	}
}
