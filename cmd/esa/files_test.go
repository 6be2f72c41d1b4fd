package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"esa/shell/attach"
)

// fileClient is a foreign client of the console of a house.
func fileClient(t *testing.T, dir string) *ssh.Client {
	t.Helper()
	conn, err := attach.Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, channels, requests, err := ssh.NewClientConn(conn, "gw.test", &ssh.ClientConfig{User: "admin", HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		t.Fatal(err)
	}
	client := ssh.NewClient(c, channels, requests)
	t.Cleanup(func() { client.Close() })
	return client
}

// What a file client puts into configuration/ is what commands read there, and
// the other way round.
func TestFiles_SFTP(t *testing.T) {
	dir, _ := prepared(t)
	h := openHouse(t, dir)
	channel, requests, err := fileClient(t, dir).OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	status := make(chan uint32, 1)
	go func() {
		for r := range requests {
			var exit struct{ Status uint32 }
			if r.Type == "exit-status" && ssh.Unmarshal(r.Payload, &exit) == nil {
				status <- exit.Status
			}
		}
		close(status)
	}()
	if ok, err := channel.SendRequest("subsystem", true, ssh.Marshal(struct{ Name string }{"sftp"})); !ok || err != nil {
		t.Fatal(ok, err)
	}
	client, err := sftp.NewClientPipe(channel, channel)
	if err != nil {
		t.Fatal(err)
	}
	f, err := client.Create("configuration/routes.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(f, "routed.test: next.test\n")
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	h.exec("who").want(t, 0, "sftp")
	h.batch(false, "smtproutes", "import", "routes.txt", "", `commit ""`, "smtproutes", "export", "exported.txt", "").want(t, 0)
	g, err := client.Open("/configuration/exported.txt")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(g); err != nil || !strings.Contains(string(text), "routed.test") {
		t.Errorf("exported %q, %v", text, err)
	}
	g.Close()
	// scp over SFTP fails unless it is told a status.
	if err := channel.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if code, told := <-status; code != 0 || !told {
		t.Errorf("status %d, told %v", code, told)
	}
}

func TestFiles_SCP(t *testing.T) {
	dir, _ := prepared(t)
	openHouse(t, dir)
	client := fileClient(t, dir)
	scp := func(line, says string) (status int, told string) {
		t.Helper()
		session, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		session.Stdin = strings.NewReader(says)
		out, err := session.Output(line)
		if e, ok := errors.AsType[*ssh.ExitError](err); ok {
			return e.ExitStatus(), string(out)
		}
		if err != nil {
			t.Fatal(err)
		}
		return 0, string(out)
	}
	if status, told := scp("scp -t /configuration", "C0644 5 a.txt\nhello\x00"); status != 0 || told != "\x00\x00\x00" {
		t.Errorf("writing: status %d, %q", status, told)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "configuration", "a.txt")); string(text) != "hello" {
		t.Errorf("written: %q, %v", text, err)
	}
	if status, told := scp("scp -f /configuration/a.txt", "\x00\x00\x00"); status != 0 || told != "C0600 5 a.txt\nhello\x00" {
		t.Errorf("reading: status %d, %q", status, told)
	}
	if status, told := scp("scp -f /config.db", "\x00"); status != 1 || !strings.HasPrefix(told, "\x01scp: /config.db: no such file") {
		t.Errorf("outside: status %d, %q", status, told)
	}
	// What only looks like one is a command that we do not have.
	if status, told := scp("scp a b", ""); status != 1 || !strings.Contains(told, "Unknown command or missing feature key: scp") {
		t.Errorf("a copy that we are to make: status %d, %q", status, told)
	}
}

func TestFiles_UnknownSubsystemIsRefused(t *testing.T) {
	dir, _ := prepared(t)
	openHouse(t, dir)
	session, err := fileClient(t, dir).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.RequestSubsystem("netconf"); err == nil {
		t.Error("a subsystem that we do not have was started")
	}
}

// What a crash left of a file on its way is gone after the next start.
func TestFiles_StartClearsUnfinished(t *testing.T) {
	dir, _ := prepared(t)
	left := filepath.Join(dir, "configuration", ".new-left")
	if err := errors.Join(os.MkdirAll(filepath.Dir(left), 0o700), os.WriteFile(left, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	openHouse(t, dir)
	if _, err := os.Lstat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v", left, err)
	}
}

// A file client whose user is removed, or locked, is gone at once; what it was
// writing is not kept.
func TestFiles_EndWithTheUser(t *testing.T) {
	for _, line := range []string{"userconfig delete ann", "userconfig status ann locked"} {
		t.Run(line, func(t *testing.T) {
			h, addr, signer := withAnn(t, nil)
			ann, err := logIn(addr, "ann", ssh.PublicKeys(signer))
			if err != nil {
				t.Fatal(err)
			}
			defer ann.Close()
			client, err := sftp.NewClient(ann)
			if err != nil {
				t.Fatal(err)
			}
			f, err := client.Create("/configuration/begun")
			if err != nil {
				t.Fatal(err)
			}
			h.exec(line+`; commit "" Y`).want(t, 0, "Changes committed: ")
			if err := client.Wait(); err == nil {
				t.Error("the client was told that all is well")
			}
			if err := f.Close(); err == nil {
				t.Error("the file was kept")
			}
			if left, err := os.ReadDir(filepath.Join(h.dir, "configuration")); len(left) != 0 {
				t.Errorf("left in configuration/: %v, %v", left, err)
			}
			h.exec("grep ann cli_logs").want(t, 0, "User ann login from", "file write of /configuration/begun failed: the client was lost")
		})
	}
}

func TestFiles_IdleClientIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		ended := make(chan time.Duration, 1)
		w := newWatched(&bytes.Buffer{}, 5*time.Minute, func() { ended <- time.Since(begun) })
		for _, move := range []func([]byte) (int, error){w.Write, w.Read} {
			time.Sleep(4 * time.Minute)
			if _, err := move([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if after := <-ended; after != 13*time.Minute {
			t.Errorf("ended after %v", after)
		}
	})
}
