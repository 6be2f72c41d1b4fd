// Package dnslab makes a small Internet on loopback out of programs that nobody
// here wrote, for the integration run and the benchmark:
//
//	zone.go    zones are signed with the tools of BIND, children first
//	server.go  NSD serves them, the root zone from an address and port of its
//	           own; Unbound resolves, and validates or not
//
// All domains are below "test.". It needs nsd, unbound, dnssec-keygen and
// dnssec-signzone, and root for port 53.
package dnslab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// patience bounds every wait for a server.
const patience = time.Minute

// Programs are what Start and Resolve run.
func Programs() []string { return []string{"nsd", "unbound", "dnssec-keygen", "dnssec-signzone"} }

// Plan is what a lab is to be. The servers keep their files in Dir, which must
// be empty and is the caller's to remove.
type Plan struct {
	Dir   string
	Root  netip.AddrPort // of the server of the root zone
	Other netip.Addr     // of the server of all other zones, on port 53
	Zones []Zone         // below "test.", final dot included
}

// Lab is such an Internet, running.
type Lab struct {
	Plan
	Anchor string // the key of its root, a DNSKEY record in zone-file form

	running []*Server
}

// Start signs the zones and starts their name servers. The caller closes the
// lab.
func Start(p Plan) (_ *Lab, err error) {
	l := &Lab{Plan: p}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	if err := l.signAll(); err != nil {
		return nil, err
	}
	if err := l.serve("root", p.Root, []string{"."}); err != nil {
		return nil, err
	}
	names := []string{"test."}
	for _, z := range p.Zones {
		names = append(names, z.Name)
	}
	return l, l.serve("zones", netip.AddrPortFrom(p.Other, 53), names)
}

// RootHints gives the lab's root server as a file of root hints has it.
func (l *Lab) RootHints() string { return "ns.root.test. A " + l.Root.String() + "\n" }

// Close ends all servers and waits for them.
func (l *Lab) Close() error {
	var errs []error
	for _, s := range l.running {
		errs = append(errs, s.Stop())
	}
	l.running = nil
	return errors.Join(errs...)
}

// Finger gives the command that asks Postfix's own client whether DANE protects
// the mail to domains, one for each line of its standard input; after what it
// says of each there is a line with its exit status. The client sees resolver,
// which must be on port 53, as that of the system.
func (l *Lab) Finger(resolver netip.Addr) (*exec.Cmd, error) {
	file := filepath.Join(l.Dir, "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver "+resolver.String()+"\noptions edns0 trust-ad\n"), 0o644); err != nil {
		return nil, err
	}
	const script = `mount --bind "$1" /etc/resolv.conf && while read -r domain; do posttls-finger -c -l dane "$domain" 2>&1; echo "$?"; done`
	return exec.Command("unshare", "-m", "sh", "-c", script, "sh", file), nil
}

// write makes a file of the lab.
func (l *Lab) write(name, text string) (path string, err error) {
	path = filepath.Join(l.Dir, name)
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// run runs a program in the lab's directory and gives what it printed.
func (l *Lab) run(program string, args ...string) (string, error) {
	cmd := exec.Command(program, args...)
	cmd.Dir = l.Dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
