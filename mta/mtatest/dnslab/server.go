package dnslab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Server is a name server or resolver of the lab.
type Server struct {
	cmd *exec.Cmd
	log *os.File
	all *os.File // a pipe that ends when the last process of the server does
}

// Stop ends the server at once and waits for all its processes: its address is
// free then. A second time it does nothing.
func (s *Server) Stop() error {
	if s.cmd == nil {
		return nil
	}
	_ = s.cmd.Process.Kill() // it may have ended by itself
	err := s.cmd.Wait()
	s.cmd = nil
	if _, killed := errors.AsType[*exec.ExitError](err); killed {
		err = nil
	}
	err = errors.Join(err, s.all.SetReadDeadline(time.Now().Add(patience)))
	_, waiting := io.Copy(io.Discard, s.all)
	return errors.Join(err, waiting, s.all.Close(), s.log.Close())
}

// Pause makes the server silent until Resume: what comes meanwhile waits.
func (s *Server) Pause() error { return s.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume is the end of Pause.
func (s *Server) Resume() error { return s.cmd.Process.Signal(syscall.SIGCONT) }

// serve starts NSD with zones.
func (l *Lab) serve(name string, at netip.AddrPort, zones []string) error {
	var conf strings.Builder
	files := filepath.Join(l.Dir, "nsd-"+name)
	fmt.Fprintf(&conf, "server:\n ip-address: %s@%d\n username: \"\"\n database: \"\"\n zonesdir: %q\n pidfile: \"\"\n xfrdfile: %q\n zonelistfile: %q\n server-count: 1\nremote-control:\n control-enable: no\n",
		at.Addr(), at.Port(), l.Dir, files+".xfrd", files+".zones")
	for _, zone := range zones {
		file := Zone{Name: zone}.file()
		if _, err := os.Stat(filepath.Join(l.Dir, file+".signed")); err == nil {
			file += ".signed"
		}
		fmt.Fprintf(&conf, "zone:\n name: %q\n zonefile: %q\n", zone, file)
	}
	path, err := l.write("nsd-"+name+".conf", conf.String())
	if err != nil {
		return err
	}
	s, err := l.start("nsd-"+name, "nsd", "-d", "-c", path)
	if err != nil {
		return err
	}
	return s.answers(at, zones[0])
}

// Resolver is what a resolver of the lab is to be.
type Resolver struct {
	At     netip.AddrPort
	Checks bool // validates; else it passes on what it gets
}

// Resolve starts Unbound, asking the lab's servers from the root down. It ends
// with the lab, or when it is stopped.
func (l *Lab) Resolve(r Resolver) (*Server, error) {
	modules, anchor := "iterator", ""
	if r.Checks {
		path, err := l.write("anchor", l.Anchor+"\n")
		if err != nil {
			return nil, err
		}
		modules, anchor = "validator iterator", fmt.Sprintf(" trust-anchor-file: %q\n", path)
	}
	name := fmt.Sprintf("unbound-%s-%d", r.At.Addr(), r.At.Port())
	conf, err := l.write(name+".conf", fmt.Sprintf("server:\n interface: %s@%d\n do-daemonize: no\n username: \"\"\n chroot: \"\"\n directory: %q\n pidfile: \"\"\n use-syslog: no\n do-not-query-localhost: no\n"+
		" access-control: 127.0.0.0/8 allow\n do-ip6: no\n module-config: %q\n%s local-zone: \"test.\" nodefault\nremote-control:\n control-enable: no\nstub-zone:\n name: \".\"\n stub-addr: %s@%d\n",
		r.At.Addr(), r.At.Port(), l.Dir, modules, anchor, l.Root.Addr(), l.Root.Port()))
	if err != nil {
		return nil, err
	}
	s, err := l.start(name, "unbound", "-d", "-c", conf)
	if err != nil {
		return nil, err
	}
	return s, s.answers(r.At, "test.")
}

// start runs a server; what it says is in a file.
func (l *Lab) start(name, program string, args ...string) (*Server, error) {
	log, err := os.Create(filepath.Join(l.Dir, name+".log"))
	if err != nil {
		return nil, err
	}
	all, held, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	s := &Server{cmd: exec.Command(program, args...), log: log, all: all}
	s.cmd.Stdout, s.cmd.Stderr, s.cmd.ExtraFiles = log, log, []*os.File{held}
	err = s.cmd.Start()
	if err = errors.Join(err, held.Close()); err != nil {
		return nil, errors.Join(err, all.Close(), log.Close())
	}
	l.running = append(l.running, s)
	return s, nil
}

// answers waits until a server knows the name servers of a zone.
func (s *Server) answers(at netip.AddrPort, zone string) error {
	asking := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, at.String())
	}}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		one, done := context.WithTimeout(ctx, time.Second)
		found, err := asking.LookupNS(one, zone)
		done()
		if err == nil && len(found) > 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			said, _ := os.ReadFile(s.log.Name())
			return fmt.Errorf("waiting for %s: %w\n%s", s.cmd.Path, err, said)
		}
	}
}
