//go:build integration

// The integration run drives the built gateway with programs nobody here
// wrote. It needs the Debian packages that .ci/run installs; what is missing
// makes a test skip with its reason. All traffic stays on loopback.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"esa/mta/mtatest"
)

// gateway is `esa serve` on a data directory of its own.
type gateway struct {
	t    *testing.T
	dir  string
	wrap []string // what esa is started with: a program that ends in it, its arguments before
	cmd  *exec.Cmd
	done chan error
}

// binary is what `make build` made.
func binary(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "esa"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skip("the binary is not built: run make integration")
	}
	return path
}

// need skips the test if a program of a real peer is not installed.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
}

// startGateway starts the gateway and waits until its console answers. A new
// data directory is given a DNS server on loopback first: nothing of a test
// asks the machine's.
func startGateway(t *testing.T, dir string) *gateway {
	t.Helper()
	return startWrapped(t, dir)
}

// startWrapped does the same with esa started by another program, which must
// become esa or be its child's child: what is killed is the process here.
func startWrapped(t *testing.T, dir string, wrap ...string) *gateway {
	t.Helper()
	g := &gateway{t: t, dir: dir, wrap: wrap, done: make(chan error, 1)}
	if _, err := os.Stat(filepath.Join(dir, "config.db")); errors.Is(err, fs.ErrNotExist) {
		g.useDNS(mtatest.NewDNSServer(t, "").Addr())
	}
	g.cmd = g.esa("serve")
	g.cmd.Stderr = complaints{}
	out, err := g.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.cmd.Start(); err != nil {
		t.Fatalf("starting the gateway: %v", err)
	}
	lines := bufio.NewScanner(out)
	ready := make(chan bool, 1)
	go func() {
		for lines.Scan() {
			if strings.Contains(lines.Text(), "console.sock") {
				ready <- true
			}
		}
		g.done <- g.cmd.Wait()
	}()
	t.Cleanup(func() { g.kill() })
	select {
	case <-ready:
	case err := <-g.done:
		t.Fatalf("the gateway ended at once: %v", err)
	case <-time.After(patience):
		t.Fatal("the gateway does not say that it is ready")
	}
	return g
}

// complaints shows what a gateway says on standard error, but for what every
// gateway of root says.
type complaints struct{}

func (complaints) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("The gateway runs as root:")) {
		return len(p), nil
	}
	return os.Stderr.Write(p)
}

// esa is a process on the gateway's directory.
func (g *gateway) esa(words ...string) *exec.Cmd {
	g.t.Helper()
	all := slices.Concat(g.wrap, []string{binary(g.t), "--data", g.dir}, words)
	return exec.Command(all[0], all[1:]...)
}

// useDNS puts one server in the place of those the factory configuration took
// from the machine, before the gateway starts.
func (g *gateway) useDNS(server netip.AddrPort) {
	g.t.Helper()
	lines := []string{}
	for line := range strings.Lines(g.script("dnsconfig print")) {
		if m := regexp.MustCompile(`^\d+\. Priority: \d+  (\S+)`).FindStringSubmatch(line); m != nil {
			lines = append(lines, "dnsconfig delete "+m[1])
		}
	}
	lines = append(lines, "dnsconfig new "+server.String(), `commit "loopback DNS"`)
	g.script(lines...)
}

// stop asks the gateway to end and waits for it.
func (g *gateway) stop() {
	g.t.Helper()
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return
	}
	select {
	case err := <-g.done:
		if err != nil {
			g.t.Errorf("the gateway ended with %v", err)
		}
	case <-time.After(patience):
		g.t.Error("the gateway does not end")
		g.kill()
	}
}

// kill is kill -9.
func (g *gateway) kill() {
	if err := g.cmd.Process.Kill(); err == nil {
		<-g.done
	}
}

// script feeds commands and answers to the gateway's console on standard
// input, and fails the test unless they all worked.
func (g *gateway) script(lines ...string) string {
	g.t.Helper()
	out, err := g.try(lines...)
	if err != nil {
		g.t.Fatalf("script failed: %v\n%s", err, out)
	}
	return out
}

func (g *gateway) try(lines ...string) (string, error) {
	cmd := g.esa()
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	limit := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer limit.Stop()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// idle reports whether no recipient is left in the queue, and all of it is
// read.
func (g *gateway) idle() bool {
	out := g.script("status")
	if strings.Contains(out, "Messages not yet read:") {
		return false
	}
	for line := range strings.Lines(out) {
		if rest, found := strings.CutPrefix(strings.TrimSpace(line), "Active Recipients"); found {
			return strings.TrimSpace(rest) == "0"
		}
	}
	g.t.Fatalf("status does not tell the active recipients:\n%s", out)
	return false
}

// privileged reports whether ports below 1024 can be had.
func privileged() bool {
	l, err := net.Listen("tcp", "127.0.0.2:25")
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// mailLog gives all lines of mail_logs, saved files first.
func (g *gateway) mailLog() []string {
	g.t.Helper()
	files, err := filepath.Glob(filepath.Join(g.dir, "logs", "mail_logs", "mail.@*"))
	if err != nil {
		g.t.Fatal(err)
	}
	var lines []string
	for _, file := range files { // names sort by time
		data, err := os.ReadFile(file)
		if err != nil {
			g.t.Fatal(err)
		}
		lines = append(lines, strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")...)
	}
	return lines
}

// waitFor asks again and again until the condition holds, at most as long as
// patience: what is awaited happens in another process.
func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited %s in vain for %s", patience, what)
		case <-tick.C:
		}
	}
}

// freePort finds a TCP port that is free on the address now.
func freePort(t *testing.T, address string) int {
	t.Helper()
	addr, err := mtatest.FreeAddr(address)
	if err != nil {
		t.Fatal(err)
	}
	return int(addr.Port())
}

// startSink runs Postfix's smtp-sink, which writes each message to a file of
// the folder it gives back.
func startSink(t *testing.T, port int) string {
	t.Helper()
	need(t, "smtp-sink")
	// Started as root it runs as nobody: the folders above must let it in.
	folder, err := os.MkdirTemp("/var/tmp", "esa-sink")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("smtp-sink", "-u", "nobody", "-m", "600", "-d", folder+"/m.", fmt.Sprintf("127.0.0.1:%d", port), "1024")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting smtp-sink: %v", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	waitFor(t, "smtp-sink "+errs.String(), func() bool {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return folder
}

// count gives the number of files in a folder.
func count(t *testing.T, folder string) int {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return len(entries)
}
