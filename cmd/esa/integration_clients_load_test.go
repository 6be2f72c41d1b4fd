//go:build integration

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// dialFrom logs in as a user, from an address of this machine.
func (r *reachable) dialFrom(source string, auth ssh.AuthMethod) (*ssh.Client, error) {
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: patience}
	conn, err := from.Dial("tcp", net.JoinHostPort(r.host, r.port))
	if err != nil {
		return nil, err
	}
	c, channels, requests, err := ssh.NewClientConn(conn, r.host, &ssh.ClientConfig{
		User: "ann", Auth: []ssh.AuthMethod{auth}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return ssh.NewClient(c, channels, requests), nil
}

// withKey is how ann logs in.
func (r *reachable) withKey(t *testing.T) ssh.AuthMethod {
	t.Helper()
	text, err := os.ReadFile(r.key)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return ssh.PublicKeys(signer)
}

// TestWrongPasswords (G1): 1,000 wrong passwords from other addresses do not
// disturb an operator who is logged in, nor one who logs in, nor mail.
func TestWrongPasswords(t *testing.T) {
	const wanted, attackers, tries = 1000, 50, 3
	r := startReachable(t)
	key := r.withKey(t)
	operator, err := r.dialFrom("127.0.0.1", key)
	if err != nil {
		t.Fatal(err)
	}
	defer operator.Close()

	var given, refused atomic.Int64
	sources := make(chan string)
	var attack sync.WaitGroup
	for range attackers {
		attack.Go(func() {
			for source := range sources {
				wrong := ssh.RetryableAuthMethod(ssh.PasswordCallback(func() (string, error) {
					given.Add(1)
					return "wrong", nil
				}), tries)
				if client, err := r.dialFrom(source, wrong); err == nil {
					t.Errorf("a wrong password was taken from %s", source)
					client.Close()
				} else {
					refused.Add(1)
				}
			}
		})
	}
	begun := time.Now()
	go func() {
		defer close(sources)
		source := netip.MustParseAddr("127.0.1.1")
		for given.Load() < wanted && time.Since(begun) < 10*patience {
			sources <- source.String()
			source = source.Next()
		}
	}()
	over := make(chan struct{})
	go func() {
		attack.Wait()
		close(over)
	}()

	var commands, logins []time.Duration
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for busy := true; busy; {
		select {
		case <-over:
			busy = false
		case <-tick.C:
		}
		commands = append(commands, r.timed(t, func() error { return execOn(operator, "status") }))
		logins = append(logins, r.timed(t, func() error {
			client, err := r.dialFrom("127.0.0.1", key)
			if err != nil {
				return err
			}
			defer client.Close()
			return execOn(client, "version")
		}))
	}
	t.Logf("%d wrong passwords and %d connections refused in %v; beside them %d commands took %v at most, %v in the middle, and %d logins %v and %v",
		given.Load(), refused.Load(), time.Since(begun).Round(time.Millisecond),
		len(commands), slices.Max(commands), middle(commands), len(logins), slices.Max(logins), middle(logins))
	if given.Load() < wanted {
		t.Errorf("only %d passwords were asked for", given.Load())
	}
	if worst := max(slices.Max(commands), slices.Max(logins)); worst > 10*time.Second {
		t.Errorf("the operator waited %v", worst)
	}
}

// timed is how long something took that must work.
func (r *reachable) timed(t *testing.T, do func() error) time.Duration {
	t.Helper()
	begun := time.Now()
	if err := do(); err != nil {
		t.Error(err)
	}
	return time.Since(begun)
}

func middle(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// execOn runs a command line on a connection.
func execOn(client *ssh.Client, line string) error {
	session, err := client.NewSession()
	if err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	defer session.Close()
	if out, err := session.CombinedOutput(line); err != nil {
		return fmt.Errorf("%s: %w\n%s", line, err, out)
	}
	return nil
}

// typist is a session that is typed to without a terminal.
type typist struct {
	session *ssh.Session
	in      io.WriteCloser
	out     *bufio.Reader
}

func newTypist(client *ssh.Client) (*typist, error) {
	session, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	in, err := session.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w := &typist{session, in, bufio.NewReader(out)}
	if err := session.Shell(); err != nil {
		return nil, err
	}
	_, err = w.prompt()
	return w, err
}

// prompt gives what is shown up to the next prompt.
func (w *typist) prompt() (string, error) {
	var shown strings.Builder
	for {
		text, err := w.out.ReadString('>')
		shown.WriteString(text)
		if err != nil {
			return shown.String(), err
		}
		if strings.HasSuffix(shown.String(), "mail.example.com>") {
			return shown.String(), nil
		}
	}
}

func (w *typist) line(text string) (string, error) {
	if _, err := io.WriteString(w.in, text+"\n"); err != nil {
		return "", err
	}
	return w.prompt()
}

// TestFiftySessions: each has edits of its own, one commits, and nobody sees
// another's.
func TestFiftySessions(t *testing.T) {
	const sessions = 50
	r := startReachable(t)
	key := r.withKey(t)
	typists := make([]*typist, sessions)
	each := func(what string, do func(i int) error) {
		t.Helper()
		var working sync.WaitGroup
		for i := range sessions {
			working.Go(func() {
				if err := do(i); err != nil {
					t.Errorf("%s of session %d: %v", what, i, err)
				}
			})
		}
		working.Wait()
		if t.Failed() {
			t.FailNow()
		}
	}
	each("login", func(i int) error {
		client, err := r.dialFrom("127.0.0.1", key)
		if err != nil {
			return err
		}
		t.Cleanup(func() { client.Close() })
		typists[i], err = newTypist(client)
		return err
	})
	each("edit", func(i int) error {
		shown, err := typists[i].line(fmt.Sprintf("smtproutes new d%d.test next.example.com", i))
		if err == nil && strings.Contains(shown, "Unknown") {
			err = errors.New(shown)
		}
		return err
	})
	if shown, err := typists[0].line(`commit "one of fifty" Y`); err != nil || !strings.Contains(shown, "Changes committed: ") {
		t.Fatalf("commit: %v\n%s", err, shown)
	}
	each("showchanges", func(i int) error {
		shown, err := typists[i].line("showchanges")
		if err != nil || i == 0 {
			return err
		}
		for j := range sessions {
			if strings.Contains(shown, fmt.Sprintf("d%d.test", j)) != (i == j) {
				return fmt.Errorf("the edit of session %d: %s", j, shown)
			}
		}
		return nil
	})
	each("end", func(i int) error {
		err := errors.Join(typists[i].in.Close(), typists[i].session.Wait())
		if e, ok := errors.AsType[*ssh.ExitError](err); ok && i > 0 && e.ExitStatus() == 1 {
			return nil // its edits were not committed
		}
		return err
	})
	routes := r.script("smtproutes print")
	if !strings.Contains(routes, "d0.test") || strings.Contains(routes, "d1.test") {
		t.Errorf("the routes that run:\n%s", routes)
	}
}
