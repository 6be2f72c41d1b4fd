package commands

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"esa/shell"
	"esa/shell/sshd"
	"esa/store"
)

// fakeLogs has the logs of the factory, one of them with a few lines.
type fakeLogs struct {
	lines      map[string][]string
	rolledOver []string
	ended      bool // nothing is waited for
}

func newLogs() *fakeLogs {
	return &fakeLogs{lines: map[string][]string{
		"authentication": {}, "cli_logs": {}, "error_logs": {}, "system_logs": {},
		"mail_logs": {
			"Mon Mar  2 09:28:01 2026 Info: New SMTP ICID 5 interface Management (127.0.0.1) address 127.0.0.1 reverse dns host localhost verified yes",
			"Mon Mar  2 09:28:02 2026 Info: Start MID 6 ICID 5",
			"Mon Mar  2 09:28:02 2026 Info: MID 6 ICID 5 From: <a@example.com>",
			"Mon Mar  2 09:28:03 2026 Info: ICID 5 close",
		},
	}}
}

func (l *fakeLogs) known(name string) error {
	if _, ok := l.lines[name]; !ok {
		return fmt.Errorf("there is no log %q", name)
	}
	return nil
}

func (l *fakeLogs) Follow(ctx context.Context, name string, w io.Writer) error {
	if err := l.known(name); err != nil {
		return err
	}
	for _, line := range l.lines[name] {
		if _, err := io.WriteString(w, line+"\n"); err != nil {
			return err
		}
	}
	return l.wait(ctx)
}

// wait is for lines that never come.
func (l *fakeLogs) wait(ctx context.Context) error {
	if l.ended {
		return nil
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

func (l *fakeLogs) Grep(ctx context.Context, q GrepQuery, w io.Writer) (int, error) {
	if err := l.known(q.Log); err != nil {
		return 0, err
	}
	n := 0
	for _, line := range l.lines[q.Log] {
		if q.Expression.MatchString(line) == q.Invert {
			continue
		}
		n++
		if _, err := io.WriteString(w, line+"\n"); err != nil {
			return n, err
		}
	}
	if q.Tail {
		return n, l.wait(ctx)
	}
	return n, nil
}

func (l *fakeLogs) Rollover(name string) error {
	l.rolledOver = append(l.rolledOver, name)
	return l.known(name)
}

// machine has two devices.
type machine struct{}

func (machine) Addresses() ([]Address, error) {
	return []Address{
		{netip.MustParsePrefix("127.0.0.1/8"), "lo"},
		{netip.MustParsePrefix("::1/128"), "lo"},
		{netip.MustParsePrefix("192.0.2.10/24"), "eth0"},
		{netip.MustParsePrefix("2001:db8::10/64"), "eth0"},
	}, nil
}

func (machine) Authorities() ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for _, name := range []string{"system", "second_system"} {
		text, err := os.ReadFile(filepath.Join("testdata", "certconfig", "pki", name+".pem"))
		if err != nil {
			return nil, err
		}
		certs, err := store.ReadAuthorities(text)
		if err != nil {
			return nil, err
		}
		all = append(all, certs...)
	}
	return all, nil
}

func (m machine) Has(addr netip.Addr) error {
	all, _ := m.Addresses()
	if addr.Is4() && addr.IsLoopback() || slices.ContainsFunc(all, func(a Address) bool { return a.Prefix.Addr() == addr }) {
		return nil
	}
	return fmt.Errorf("%s is not an address of this machine", addr)
}

// fakeFiles is configuration/ by name. Names that begin with "full" cannot be
// written, those with "broken" not be read.
type fakeFiles map[string][]byte

func checkFileName(name string) error {
	if strings.ContainsAny(name, "/\\") || name == "." || name == ".." {
		return shell.Refusedf("The file name is not valid: symbols such as / are not allowed.")
	}
	return nil
}

func (f fakeFiles) Read(name string) ([]byte, error) {
	if err := checkFileName(name); err != nil {
		return nil, err
	}
	if strings.HasPrefix(name, "broken") {
		return nil, &fs.PathError{Op: "read", Path: name, Err: syscall.EIO}
	}
	data, ok := f[name]
	if !ok {
		return nil, shell.Refusedf("Error: the file %q does not exist.", name)
	}
	return bytes.Clone(data), nil
}

func (f fakeFiles) Write(name string, data []byte) error {
	if err := checkFileName(name); err != nil {
		return err
	}
	if strings.HasPrefix(name, "full") || f.full() {
		return &fs.PathError{Op: "write", Path: name, Err: syscall.ENOSPC}
	}
	f[name] = bytes.Clone(data)
	return nil
}

func (f fakeFiles) Save(name string, write func(io.Writer) error) error {
	var data bytes.Buffer
	if err := write(&data); err != nil {
		return err
	}
	return f.Write(name, data.Bytes())
}

func (f fakeFiles) SaveNew(name string, write func(io.Writer) error) error {
	var data bytes.Buffer
	if err := write(&data); err != nil {
		return err
	}
	if _, taken := f[name]; taken {
		return &fs.PathError{Op: "save", Path: name, Err: fs.ErrExist}
	}
	return f.Write(name, data.Bytes())
}

// full says that a file named "disk-full" is there.
func (f fakeFiles) full() bool { return f["disk-full"] != nil }

// fakeSSH has two host keys, and reads keys as the session server does.
type fakeSSH struct{}

func (fakeSSH) HostKeys() ([]SSHKey, error) {
	return []SSHKey{
		{Type: "ssh-ed25519", Fingerprint: "SHA256:Qg5jQ9CZ0l0u2l3ZzWZ0v1uXm0cX0t3n5m1sJ3yq0aE"},
		{Type: "ssh-rsa", Bits: 3072, Fingerprint: "SHA256:7cG1T2b1pQ0mZ5oX3wV9nU8rS6yK4jH2fD1aL0eB9iM"},
	}, nil
}

func (fakeSSH) ParseKey(text string) (SSHKey, error) {
	k, err := sshd.ParseKey(text)
	if err != nil {
		err = shell.Refusedf("SSH key does not appear to be valid: %w.", err)
	}
	return SSHKey(k), err
}
