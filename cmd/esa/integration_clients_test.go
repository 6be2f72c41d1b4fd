//go:build integration

package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"esa/store"
)

// The clients of this file are programs nobody here wrote. They log in over TCP
// as ann, one of the Administrators, whose passphrase has what shells and
// scripts like to take for themselves.
const clientPassphrase = `Kla$$e-7 'Tür"`

// reachable is a gateway that operators log in to by SSH, at host and port.
type reachable struct {
	*gateway
	host, port string
	key        string // file with ann's private key
	home       string // HOME of the clients, and their working directory
}

// startReachable starts one.
func startReachable(t *testing.T) *reachable {
	t.Helper()
	hash, err := store.HashPassphrase(clientPassphrase, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	r := &reachable{host: "127.0.0.1", home: t.TempDir()}
	r.key = r.file(t, "id_ed25519", string(pem.EncodeToMemory(block)))
	addr := freeAddr(t)
	r.port = fmt.Sprint(addr.Port())
	dir, _ := preparedWith(t, func(c *store.Config) {
		c.Hostname = "mail.example.com"
		c.Interfaces[0].SSHPort = addr.Port()
		c.Users = append(c.Users,
			store.User{Name: "ann", FullName: "Ann", Role: store.Administrators, Passphrase: hash, Keys: []string{authorized(signer)}},
			store.User{Name: "guest", FullName: "Guest", Role: store.Guests, Passphrase: hash, Keys: []string{authorized(signer)}},
			store.User{Name: "reader", FullName: "Reader", Role: store.ReadOnlyOperators, Passphrase: hash, Keys: []string{authorized(signer)}})
	})
	r.gateway = startGateway(t, dir)
	awaitSSH(t, addr)
	return r
}

func authorized(signer ssh.Signer) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}

// file puts a file into the home of the clients, for its owner only.
func (r *reachable) file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(r.home, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// ran is what a client printed, and how it ended.
type ran struct {
	out, err string
	status   int
}

// run runs a client in its home, with what it reads. The words @HOST, @PORT,
// @KEY and @PASS stand for what it needs to log in.
func (r *reachable) run(t *testing.T, input string, words ...string) ran {
	t.Helper()
	need(t, words[0])
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for i, word := range words {
		words[i] = strings.NewReplacer("@HOST", r.host, "@PORT", r.port, "@KEY", r.key, "@PASS", clientPassphrase).Replace(word)
	}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Dir = r.home
	cmd.Env = append(os.Environ(), "HOME="+r.home, "LC_ALL=C.UTF-8", "TERM=xterm", "SSH_AUTH_SOCK=",
		"ESA_HOST="+r.host, "ESA_PORT="+r.port, "ESA_KEY="+r.key, "ESA_PASS="+clientPassphrase)
	cmd.Stdin = strings.NewReader(input)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	result := ran{out: out.String(), err: errs.String()}
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		result.status = e.ExitCode()
	} else if err != nil {
		t.Fatalf("%s: %v", words[0], err)
	}
	return result
}

// want compares the status and looks for texts in the output.
func (r ran) want(t *testing.T, status int, texts ...string) ran {
	t.Helper()
	bad := r.status != status
	for _, text := range texts {
		if !strings.Contains(r.out, text) {
			t.Errorf("%q is not in the output", text)
			bad = true
		}
	}
	if bad {
		t.Errorf("status %d, want %d\noutput:\n%s\nerrors:\n%s", r.status, status, r.out, r.err)
	}
	return r
}

// clean is want of a client that has nothing to complain of.
func (r ran) clean(t *testing.T, texts ...string) ran {
	t.Helper()
	if r.err != "" {
		t.Errorf("errors: %s", r.err)
	}
	return r.want(t, 0, texts...)
}

// openSSHOptions keep the client from anybody's configuration and from asking.
var openSSHOptions = []string{
	"-F", "none", "-o", "Port=@PORT", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
	"-o", "IdentitiesOnly=yes", "-o", "IdentityFile=@KEY", "-o", "BatchMode=yes",
}

func openSSHWith(program string, words ...string) []string {
	return append(append([]string{program}, openSSHOptions...), words...)
}

// TestClientOpenSSH: exec lines, standard input, keys.
func TestClientOpenSSH(t *testing.T) {
	r := startReachable(t)
	do := func(input string, words ...string) ran {
		t.Helper()
		return r.run(t, input, openSSHWith("ssh", words...)...)
	}
	got := do("", "ann@@HOST", `version; whoami;`).clean(t, "Version: ", "Username: ann")
	if strings.Contains(got.out, "\r") || strings.Contains(got.out, "> ") {
		t.Errorf("an exec line shows %q", got.out)
	}
	do("", "ann@@HOST", `nosuchword`).want(t, 1, "Unknown command or missing feature key: nosuchword")
	got = do("secret typed ahead\n", "-tt", "ann@@HOST", "version").want(t, 0, "Version: ", "\r\n")
	if strings.Contains(got.out, "secret") {
		t.Errorf("typed input of an exec line is echoed: %q", got.out)
	}
	do("sethostname next.example.com\ncommit \"by ssh -T\"\n", "-T", "ann@@HOST").clean(t, "Changes committed: ")
	do("", "ann@@HOST", "showchanges").clean(t, "No changes have been made")
	do("", "guest@@HOST", "sethostname x.example.com").want(t, 1, "You are not in the correct access group")
	do("", "nobody@@HOST", "version").want(t, 255)
	// Many at once on one connection, as Ansible and monitoring do it.
	socket := filepath.Join(r.home, "c")
	do("", "-M", "-S", socket, "-o", "ControlPersist=30", "ann@@HOST", "version").want(t, 0)
	var together sync.WaitGroup
	for range 20 {
		together.Go(func() {
			do("", "-S", socket, "ann@@HOST", "status").clean(t, "Active Recipients")
		})
	}
	together.Wait()
	do("", "-S", socket, "-O", "exit", "ann@@HOST")
}

// TestClientOpenSSHFiles: both protocols of scp both ways, and sftp.
func TestClientOpenSSHFiles(t *testing.T) {
	r := startReachable(t)
	scp := func(words ...string) ran {
		t.Helper()
		return r.run(t, "", openSSHWith("scp", words...)...)
	}
	content := strings.Repeat("all=next.example.com\n", 100_000)
	sent := r.file(t, "routes 1.txt", content)
	for _, mode := range []string{"-O", "-s"} {
		t.Run("scp "+mode, func(t *testing.T) {
			name := "up" + mode + ".txt"
			back := filepath.Join(t.TempDir(), "back")
			scp(mode, sent, "ann@@HOST:/configuration/"+name).clean(t)
			scp(mode, "-p", "ann@@HOST:configuration/"+name, back).clean(t)
			if text, err := os.ReadFile(back); string(text) != content {
				t.Errorf("%d bytes came back, %v", len(text), err)
			}
			folder := t.TempDir()
			scp(mode, "-r", "ann@@HOST:/logs", folder).clean(t)
			if files, _ := filepath.Glob(folder + "/logs/mail_logs/mail.@*.current"); len(files) != 1 {
				t.Errorf("logs brought %v", files)
			}
			scp(mode, "ann@@HOST:/mail_logs/mail.current", folder).clean(t)
			scp(mode, sent, "ann@@HOST:/logs/x").want(t, 1)
			scp(mode, "ann@@HOST:/config.db", folder).want(t, 1)
			scp(mode, "ann@@HOST:/configuration/../../ssh/host_ed25519", folder).want(t, 1)
			for _, user := range []string{"guest", "reader"} {
				got := scp(mode, user+"@@HOST:/configuration/"+name, folder)
				if got.status == 0 || !strings.Contains(got.err, "You are not in the correct access group") {
					t.Errorf("%s: status %d, %q", user, got.status, got.err)
				}
			}
		})
	}
	r.run(t, "ls -l /configuration\nput \"routes 1.txt\" configuration/b.txt\nrename configuration/b.txt configuration/c.txt\n"+
		"get configuration/c.txt\nrm configuration/c.txt\ndf\n", openSSHWith("sftp", "-b", "-", "ann@@HOST")...).want(t, 0, "up-s.txt", "up-O.txt")
	if text, err := os.ReadFile(filepath.Join(r.home, "c.txt")); string(text) != content {
		t.Errorf("%d bytes came by sftp, %v", len(text), err)
	}
	r.run(t, "put \"routes 1.txt\" logs/b.txt\n", openSSHWith("sftp", "-b", "-", "ann@@HOST")...).want(t, 1)
}

// TestClientPuTTY: plink, pscp in both protocols and psftp.
func TestClientPuTTY(t *testing.T) {
	r := startReachable(t)
	fingerprint := r.fingerprint(t)
	login := []string{"-batch", "-hostkey", fingerprint, "-P", "@PORT", "-l", "ann", "-pwfile", r.file(t, "pass", clientPassphrase+"\n")}
	do := func(input, program string, words ...string) ran {
		t.Helper()
		return r.run(t, input, append(append([]string{program}, login...), words...)...)
	}
	do("", "plink", "-ssh", "@HOST", "version; whoami").want(t, 0, "Version: ", "Username: ann")
	do("", "plink", "-ssh", "@HOST", "nosuchword").want(t, 1, "Unknown command")
	do("version\nexit\n", "plink", "-ssh", "-T", "@HOST").want(t, 0, "Version: ")
	sent := r.file(t, "a.txt", "hello\n")
	for _, protocol := range []string{"-scp", "-sftp"} {
		do("", "pscp", protocol, "-q", sent, "@HOST:/configuration/p"+protocol+".txt").want(t, 0)
		do("", "pscp", protocol, "-q", "@HOST:/configuration/p"+protocol+".txt", "back").want(t, 0)
		if text, err := os.ReadFile(filepath.Join(r.home, "back")); string(text) != "hello\n" {
			t.Errorf("pscp %s brought %q, %v", protocol, text, err)
		}
	}
	do("cd configuration\nls\nquit\n", "psftp", "@HOST").want(t, 0, "p-scp.txt", "p-sftp.txt")
}

// scanTime is how many seconds programs that look at a server may wait for it;
// of themselves they give up after a few.
const scanTime = "60"

// fingerprint is that of the Ed25519 host key, as OpenSSH's programs see it.
func (r *reachable) fingerprint(t *testing.T) string {
	t.Helper()
	keys := r.run(t, "", "ssh-keyscan", "-T", scanTime, "-p", "@PORT", "-t", "ed25519", "@HOST").want(t, 0, "ssh-ed25519")
	got := r.run(t, keys.out, "ssh-keygen", "-l", "-f", "-").want(t, 0, "SHA256:")
	return regexp.MustCompile(`SHA256:\S+`).FindString(got.out)
}

// TestClientDropbear: dbclient with passphrase and key.
func TestClientDropbear(t *testing.T) {
	need(t, "dbclient", "dropbearkey")
	r := startReachable(t)
	t.Setenv("DROPBEAR_PASSWORD", clientPassphrase)
	login := []string{"dbclient", "-y", "-y", "-p", "@PORT", "ann@@HOST"}
	r.run(t, "", append(login, "version; whoami")...).want(t, 0, "Version: ", "Username: ann")
	r.run(t, "", append(login, "nosuchword")...).want(t, 1, "Unknown command")
	r.run(t, "version\n", append(login[:3:3], "-T", "-p", "@PORT", "ann@@HOST")...).want(t, 0, "Version: ")
}

// TestClientExpect: a script that types and reads a screen, pager included.
func TestClientExpect(t *testing.T) {
	need(t, "expect", "ssh")
	r := startReachable(t)
	r.run(t, "", "expect", "-f", clientScript(t, "session.exp")).want(t, 0, "THE SCRIPT IS THROUGH")
	r.run(t, "", openSSHWith("ssh", "ann@@HOST", "version; smtproutes print")...).want(t, 0, "expect.example.com")
}

// TestClientParamiko, TestClientNetmiko and TestClientNodeSSH2 are libraries
// that scripts are written with.
func TestClientParamiko(t *testing.T) {
	needPython(t, "paramiko", "scp")
	r := startReachable(t)
	r.run(t, "", "/usr/bin/python3", clientScript(t, "session_paramiko.py")).want(t, 0, "THE SCRIPT IS THROUGH")
}

func TestClientNetmiko(t *testing.T) {
	needPython(t, "netmiko")
	r := startReachable(t)
	r.run(t, "", "/usr/bin/python3", clientScript(t, "session_netmiko.py")).want(t, 0, "THE SCRIPT IS THROUGH")
}

func TestClientNodeSSH2(t *testing.T) {
	need(t, "node", "npm")
	root, err := exec.Command("npm", "root", "-g").Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NODE_PATH", strings.TrimSpace(string(root)))
	if err := exec.Command("node", "-e", "require('ssh2')").Run(); err != nil {
		t.Skip("npm's ssh2 is not installed")
	}
	r := startReachable(t)
	r.run(t, "", "node", clientScript(t, "session_ssh2.js")).want(t, 0, "THE SCRIPT IS THROUGH")
}

// TestClientRANCID: clogin, which collects the configuration of devices. It
// knows other pagers than ours, which it therefore switches off.
func TestClientRANCID(t *testing.T) {
	clogin := "/usr/lib/rancid/bin/clogin"
	need(t, clogin)
	r := startReachable(t)
	// Its file is Tcl: of what is in braces a blank alone needs care.
	escaped := "{" + strings.ReplaceAll(clientPassphrase, " ", `\ `) + "}"
	r.file(t, ".cloginrc", strings.NewReplacer("@PORT", r.port, "@PASS", escaped).Replace(
		"add method * {ssh:@PORT}\nadd user * {ann}\nadd password * @PASS @PASS\nadd autoenable * {1}\n"+
			`add sshcmd * {ssh\ -F\ none\ -o\ StrictHostKeyChecking=no\ -o\ UserKnownHostsFile=/dev/null\ -o\ PubkeyAuthentication=no}`+"\n"))
	r.run(t, "", clogin, "-f", ".cloginrc", "-t", "30", "-c", "setttymode 0 1;version;status detail", "@HOST").
		want(t, 0, "Version: ", "Kilobytes Free")
}

// TestClientAnsible: its module for devices without Python.
func TestClientAnsible(t *testing.T) {
	need(t, "ansible")
	r := startReachable(t)
	t.Setenv("ANSIBLE_HOST_KEY_CHECKING", "False")
	t.Setenv("ANSIBLE_NOCOLOR", "1")
	t.Setenv("ANSIBLE_TIMEOUT", scanTime)
	t.Setenv("ANSIBLE_SSH_CONTROL_PATH_DIR", filepath.Join(r.home, "cp"))
	login := []string{"ansible", "all", "-i", "@HOST,", "-e", "ansible_port=@PORT", "-u", "ann", "--private-key", "@KEY", "-m", "raw", "-a"}
	r.run(t, "", append(login, "version")...).want(t, 0, "Version: ", "rc=0")
	r.run(t, "", append(login, `sethostname ansible.example.com; commit "by Ansible" Y`)...).want(t, 0, "Changes committed: ", "rc=0")
	r.run(t, "", append(login, "nosuchword")...).want(t, 2, "Unknown command", "rc=1")
}

// TestClientAudit: ssh-audit finds nothing to fail.
func TestClientAudit(t *testing.T) {
	need(t, "ssh-audit")
	r := startReachable(t)
	got := r.run(t, "", "ssh-audit", "-n", "-t", scanTime, "-p", "@PORT", "@HOST")
	if strings.Contains(got.out, "[fail]") || got.status != 0 && got.status != 2 || !strings.Contains(got.out, "(kex)") {
		t.Errorf("status %d\n%s%s", got.status, got.out, got.err)
	}
}

// clientScript is a script of testdata/clients.
func clientScript(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", "clients", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// needPython skips the test if Debian's Python lacks a module: what a
// developer's own Python has is not what .ci/run installs.
func needPython(t *testing.T, modules ...string) {
	t.Helper()
	need(t, "/usr/bin/python3")
	for _, module := range modules {
		if err := exec.Command("/usr/bin/python3", "-c", "import "+module).Run(); err != nil {
			t.Skipf("Debian's python3-%s is not installed", module)
		}
	}
}
