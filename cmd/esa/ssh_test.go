package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"esa/store"
)

const annsPassphrase = "Correct-Horse-7"

// newKey makes a key pair: what signs, and the line of authorized_keys.
func newKey(t *testing.T) (ssh.Signer, string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}

// withAnn opens a house where ann, an operator, logs in by SSH, by passphrase or
// key, and bob is locked.
func withAnn(t *testing.T, change func(*store.Config)) (*house, netip.AddrPort, ssh.Signer) {
	t.Helper()
	hash, err := store.HashPassphrase(annsPassphrase, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	addr := freeAddr(t)
	signer, line := newKey(t)
	dir, _ := preparedWith(t, func(c *store.Config) {
		c.Interfaces[0].SSHPort = addr.Port()
		c.Users = append(c.Users,
			store.User{Name: "ann", FullName: "Ann", Role: store.Operators, Passphrase: hash, Keys: []string{line}},
			store.User{Name: "bob", FullName: "Bob", Role: store.Administrators, Passphrase: hash, Keys: []string{line}, Suspended: true})
		if change != nil {
			change(c)
		}
	})
	h := openHouse(t, dir)
	awaitSSH(t, addr)
	return h, addr, signer
}

// awaitSSH waits until somebody greets at addr: the gateway binds beside its
// start.
func awaitSSH(t *testing.T, addr netip.AddrPort) {
	t.Helper()
	end := time.NewTimer(limit)
	defer end.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		greeting, err := greetingAt(addr)
		if err == nil && strings.HasPrefix(greeting, "SSH-2.0-") {
			return
		}
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("nobody greets at %s: %q, %v", addr, greeting, err)
		}
	}
}

// greetingAt is the first line that comes from addr.
func greetingAt(addr netip.AddrPort) (string, error) {
	conn, err := net.DialTimeout("tcp", addr.String(), limit)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return "", err
	}
	line := make([]byte, 256)
	n, err := conn.Read(line)
	return string(line[:n]), err
}

// logIn is a client of user at addr.
func logIn(addr netip.AddrPort, user string, auth ...ssh.AuthMethod) (*ssh.Client, error) {
	return ssh.Dial("tcp", addr.String(), &ssh.ClientConfig{
		User: user, Auth: auth, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: limit,
	})
}

// says gives what a command line shows, and its exit status.
func says(t *testing.T, client *ssh.Client, line string) result {
	t.Helper()
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.CombinedOutput(line)
	if e, ok := errors.AsType[*ssh.ExitError](err); ok {
		return result{e.ExitStatus(), string(out)}
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return result{0, string(out)}
}

func TestSSH_PassphraseAndKey(t *testing.T) {
	_, addr, signer := withAnn(t, nil)
	stranger, _ := newKey(t)
	for _, tt := range []struct {
		name, user string
		auth       ssh.AuthMethod
		in         bool
	}{
		{"passphrase", "ann", ssh.Password(annsPassphrase), true},
		{"key", "ann", ssh.PublicKeys(signer), true},
		{"second key", "ann", ssh.PublicKeys(stranger, signer), true},
		{"wrong passphrase", "ann", ssh.Password("wrong"), false},
		{"wrong key", "ann", ssh.PublicKeys(stranger), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, err := logIn(addr, tt.user, tt.auth)
			if (err == nil) != tt.in {
				t.Fatalf("logged in: %v", err)
			}
			if err == nil {
				defer client.Close()
				says(t, client, "whoami").want(t, 0, "Username: ann")
			}
		})
	}
}

// Nobody gets in without a passphrase or a key of their own, whoever is asked
// for. (A test of its own: the penalties of wrong guesses are per address.)
func TestSSH_WhoIsNobodyHere(t *testing.T) {
	_, addr, signer := withAnn(t, nil)
	for _, tt := range []struct {
		name, user string
		auth       []ssh.AuthMethod
	}{
		{"no attempt", "admin", nil},
		{"locked user's key", "bob", []ssh.AuthMethod{ssh.PublicKeys(signer)}},
		{"another's key", "admin", []ssh.AuthMethod{ssh.PublicKeys(signer)}},
	} {
		if client, err := logIn(addr, tt.user, tt.auth...); err == nil {
			client.Close()
			t.Errorf("%s: logged in", tt.name)
		}
	}
}

func TestSSH_WithoutPassphraseNobodyIsLetIn(t *testing.T) {
	_, addr, _ := withAnn(t, nil)
	for _, user := range []string{"admin", "bob", "nobody"} {
		if client, err := logIn(addr, user, ssh.Password("")); err == nil {
			client.Close()
			t.Errorf("%s: logged in", user)
		}
	}
}

// A commit moves the port: who is in stays, the new port answers, the old one
// does not. The question is asked of who came by it.
func TestSSH_CommitMovesThePort(t *testing.T) {
	h, addr, _ := withAnn(t, nil)
	client, err := logIn(addr, "ann", ssh.Password(annsPassphrase))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	next := freeAddr(t)
	move := func(port uint16) string { return fmt.Sprintf("interfaceconfig edit Management --ssh=%d; ", port) }
	says(t, client, move(next.Port())+"commit -y").want(t, 1,
		fmt.Sprintf("WARNING: You are logged in by SSH on 127.0.0.1 port %d, which will be gone.", addr.Port()))
	says(t, client, move(next.Port())+"commit moved y force").want(t, 0, "Changes committed")
	says(t, client, "whoami").want(t, 0, "Username: ann")
	awaitSSH(t, next)
	if greeting, err := greetingAt(addr); err == nil && strings.HasPrefix(greeting, "SSH") {
		t.Errorf("the old port greets: %q", greeting)
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).AddrPort().Port()
	h.exec(move(port)+"commit -y").want(t, 1, `SSH of interface "Management": Port `+fmt.Sprint(port)+` on 127.0.0.1 is in use`, "Use interfaceconfig -> EDIT.")
	awaitSSH(t, next)
}

// The banner comes before the login, and addresses that are not allowed are
// told so before anything else.
func TestSSH_AdminAccessIsObeyed(t *testing.T) {
	h, addr, _ := withAnn(t, func(c *store.Config) { c.AdminAccess.Banner = "Authorised users only.\nReally.\n" })
	banner := ""
	client, err := ssh.Dial("tcp", addr.String(), &ssh.ClientConfig{
		User: "ann", Auth: []ssh.AuthMethod{ssh.Password(annsPassphrase)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: limit,
		BannerCallback: func(text string) error { banner += text; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if want := "Authorised users only.\r\nReally.\r\n"; banner != want {
		t.Errorf("banner %q, want %q", banner, want)
	}
	h.exec("adminaccessconfig ipaccess restrict 192.0.2.0/24; commit -y").want(t, 0, "Changes committed")
	if greeting, err := greetingAt(addr); !strings.Contains(greeting, "Connections from your address are not allowed.") {
		t.Errorf("%q, %v", greeting, err)
	}
	says(t, client, "whoami").want(t, 0, "Username: ann")
	h.exec("adminaccessconfig ipaccess allowall; commit -y").want(t, 0, "Changes committed")
	awaitSSH(t, addr)
	h.exec("sshconfig sshd setup kex=diffie-hellman-group14-sha256; commit -y").want(t, 0, "Changes committed")
	_, err = ssh.Dial("tcp", addr.String(), &ssh.ClientConfig{
		Config: ssh.Config{KeyExchanges: []string{ssh.KeyExchangeCurve25519}}, User: "ann", HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: limit,
	})
	if _, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err); !ok {
		t.Errorf("an algorithm that was not chosen: %v", err)
	}
}

// The gateway stops while sessions over the network are open.
func TestSSH_TheGatewayStops(t *testing.T) {
	h, addr, signer := withAnn(t, nil)
	client, err := logIn(addr, "ann", ssh.PublicKeys(signer))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("tail mail_logs"); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	h.close()
	if _, err := io.ReadAll(out); err != nil {
		t.Error(err)
	}
}

// A connection outlasts the account that it was opened with: nothing more is
// opened on it.
func TestSSH_NoSessionOfALockedUser(t *testing.T) {
	h, addr, signer := withAnn(t, nil)
	client, err := logIn(addr, "ann", ssh.PublicKeys(signer))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	says(t, client, "whoami").want(t, 0, "Username: ann")
	h.exec("userconfig status ann locked; commit -y").want(t, 0, "Changes committed")
	for _, line := range []string{"whoami", "scp -f configuration/x"} {
		says(t, client, line).want(t, 1, "Your account was removed or locked.")
	}
}

// Who logs in and out, and who tries to, is in the authentication log.
func TestSSH_LoginsAreLogged(t *testing.T) {
	h, addr, signer := withAnn(t, nil)
	if client, err := logIn(addr, "ann\nroot", ssh.Password("guess")); err == nil {
		client.Close()
		t.Fatal("logged in")
	}
	client, err := logIn(addr, "ann", ssh.PublicKeys(signer))
	if err != nil {
		t.Fatal(err)
	}
	says(t, client, "whoami").want(t, 0, "Username: ann")
	client.Close()
	h.close()
	files, err := filepath.Glob(filepath.Join(h.dir, "logs", "authentication", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no log: %v", err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`Warning: An authentication attempt by the user ann\nroot from 127.0.0.1 failed using an SSH connection (password): the user name or the passphrase is wrong`,
		"Info: The user ann successfully logged on from 127.0.0.1 with privilege Operators using an SSH connection (publickey).",
		"Info: The user ann logged out from 127.0.0.1 after ",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not logged:\n%s", want, text)
		}
	}
}

// A host key that others can read is not used: nobody can log in over the
// network until that is mended, status says why, and all else goes on.
func TestSSH_HostKeyThatIsRefused(t *testing.T) {
	addr := freeAddr(t)
	dir, _ := preparedWith(t, func(c *store.Config) { c.Interfaces[0].SSHPort = addr.Port() })
	key := filepath.Join(dir, "ssh", "host_rsa")
	if err := os.Mkdir(filepath.Dir(key), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, []byte("seen by others"), 0o644); err != nil {
		t.Fatal(err)
	}
	h := openHouse(t, dir)
	end := time.Now().Add(limit)
	for !strings.Contains(h.exec("status").out, "SSH not started:") && time.Now().Before(end) {
	}
	h.exec("status").want(t, 0, "SSH not started:", "host_rsa: can be read or written by others (mode 0644)", "System status:                 Online")
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	awaitSSH(t, addr)
	if got := h.exec("status"); strings.Contains(got.out, "SSH not started") {
		t.Errorf("after the key was removed:\n%s", got.out)
	}
}
