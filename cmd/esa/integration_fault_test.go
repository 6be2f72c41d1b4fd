//go:build integration

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// smtpClient is a client that looks at every reply.
type smtpClient struct {
	t    *testing.T
	text *textproto.Conn
}

// dialSMTP connects and reads the greeting.
func dialSMTP(t *testing.T, server string) *smtpClient {
	t.Helper()
	conn, err := net.Dial("tcp", server)
	if err != nil {
		t.Fatal(err)
	}
	c := &smtpClient{t, textproto.NewConn(patient{conn})}
	t.Cleanup(func() { conn.Close() })
	c.expect("220")
	return c
}

// patient is a connection that waits as long as patience for each step.
type patient struct{ net.Conn }

func (p patient) Read(b []byte) (int, error) {
	if err := p.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}

func (p patient) Write(b []byte) (int, error) {
	if err := p.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}

func (c *smtpClient) expect(code string) {
	c.t.Helper()
	n, text, err := c.text.ReadResponse(0)
	if got := fmt.Sprint(n); err != nil && n == 0 || !strings.HasPrefix(got, code) {
		c.t.Fatalf("got %d %s, %v, want %s", n, text, err, code)
	}
}

// do sends command lines and expects a reply to each: its code or the
// beginning of it.
func (c *smtpClient) do(code string, lines ...string) {
	c.t.Helper()
	for _, line := range lines {
		if err := c.text.PrintfLine("%s", line); err != nil {
			c.t.Fatal(err)
		}
		c.expect(code)
	}
}

// begin goes as far as 354.
func (c *smtpClient) begin() {
	c.t.Helper()
	c.do("250", "MAIL FROM:<sender@example.org>", "RCPT TO:<rcpt@example.net>")
	c.do("354", "DATA")
}

// send sends one message and expects the final reply.
func (c *smtpClient) send(code, id string, size int) {
	c.t.Helper()
	c.begin()
	c.body(id, size)
	c.do(code, ".")
}

func (c *smtpClient) body(id string, size int) {
	c.t.Helper()
	line := strings.Repeat("x", 98) + "\r\n"
	text := "X-Id: " + id + "\r\n\r\n" + strings.Repeat(line, size/100)
	if _, err := c.text.W.WriteString(text); err != nil {
		c.t.Fatal(err)
	}
}

// smallPlace is a tmpfs with these options, proven to be one.
func smallPlace(t *testing.T, options string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a file system needs root")
	}
	place := t.TempDir()
	if err := syscall.Mount("tmpfs", place, "tmpfs", 0, options+",mode=0700"); err != nil {
		t.Skipf("mounting a small file system: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(place, unix.MNT_DETACH) })
	return place
}

// fill takes what is left of a file system but for some bytes, until the
// function that it gives is called.
func fill(t *testing.T, place string, but int64) (free func()) {
	t.Helper()
	path := filepath.Join(place, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 64<<10); err == nil; _, err = f.Write(block) {
		var s unix.Statfs_t
		if err := unix.Statfs(place, &s); err != nil {
			t.Fatal(err)
		}
		if left := int64(s.Bavail) * int64(s.Bsize); but > 0 && left <= but {
			break
		}
	}
	if but == 0 && !errors.Is(err, syscall.ENOSPC) || but > 0 && err != nil {
		t.Fatalf("the fault does not happen: %v", err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// startSmall is a gateway on a small file system that takes messages of 1 MB
// and relays to a sink that is not there yet.
func startSmall(t *testing.T, options string) (g *gateway, server string, sink *ledger) {
	t.Helper()
	place := smallPlace(t, options)
	sink, sinkPort := ledgerSink(t)
	port := freePort(t, "127.0.0.2")
	g = startGateway(t, filepath.Join(place, "data"))
	g.script(relayScript(port, sinkPort)...)
	g.script(
		"listenerconfig edit Relay hostaccess edit default --max_size 1M",
		"listenerconfig edit OutgoingMail hostaccess edit default --max_size 1M",
		`commit "small messages"`,
	)
	return g, fmt.Sprintf("127.0.0.2:%d", port), sink
}

// TestDiskFull (R6, R7, R8): what does not fit is put off and not kept,
// deliveries and console go on, and all is well once there is room.
func TestDiskFull(t *testing.T) {
	g, server, sink := startSmall(t, "size=32m")
	place := filepath.Dir(g.dir)
	sink.hold()
	c := dialSMTP(t, server)
	c.do("250", "EHLO client.example")
	c.send("250", "before", 1000)

	// Below the reserve of 1.5 messages.
	free := fill(t, place, 1<<20)
	c.do("452", "MAIL FROM:<sender@example.org>")
	if out := g.script("status"); !strings.Contains(out, "No mail is received:           no space for the queue: ") {
		t.Errorf("status does not tell:\n%s", out)
	}
	sink.release()
	waitFor(t, "the delivery while the disk is nearly full", func() bool { return sink.missing([]string{"before"}) == 0 })
	free()

	// Full in the middle of a message, twice. One that is small may still find
	// room, in a file that was used before.
	for _, size := range []int{900_000, 700_000} {
		waitFor(t, "an empty queue", g.idle) // what is delivered later would make room
		c.begin()
		c.body("refused", size/2)
		free = fill(t, place, 0)
		c.body("refused", size/2)
		c.do("45", ".")
		c.do("45", "MAIL FROM:<sender@example.org>")
		g.script("status", "showchanges")
		if out, err := g.try("sethostname full.example.com", `commit "on a full disk"`); err != nil {
			t.Logf("a commit on a full disk: %s", out)
		}
		free()
		c.do("250", "RSET")
		c.send("250", fmt.Sprint("after ", size), 800_000)
	}
	g.script("sethostname room.example.com", `commit "with room"`)
	waitFor(t, "what was accepted", func() bool { return sink.missing([]string{"after 900000", "after 700000"}) == 0 })
	waitFor(t, "an empty queue", g.idle)
	if sink.missing([]string{"refused"}) == 0 {
		t.Error("a message that was put off was delivered")
	}
	g.stop()
}

// TestInodesRunOut (R7): the same where no file can be made.
func TestInodesRunOut(t *testing.T) {
	g, server, sink := startSmall(t, "size=64m,nr_inodes=1200")
	place := filepath.Join(filepath.Dir(g.dir), "files")
	if err := os.Mkdir(place, 0o700); err != nil {
		t.Fatal(err)
	}
	c := dialSMTP(t, server)
	c.do("250", "EHLO client.example")
	c.begin()
	var err error
	for n := 0; err == nil; n++ {
		err = os.WriteFile(filepath.Join(place, fmt.Sprint(n)), nil, 0o600)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the fault does not happen: %v", err)
	}
	c.body("refused", 1000)
	c.do("45", ".")
	c.do("452", "MAIL FROM:<sender@example.org>")
	g.script("status")
	if err := os.RemoveAll(place); err != nil {
		t.Fatal(err)
	}
	c.send("250", "after", 1000)
	waitFor(t, "what was accepted", func() bool { return sink.missing([]string{"after"}) == 0 })
	if sink.missing([]string{"refused"}) == 0 {
		t.Error("a message that was put off was delivered")
	}
	g.stop()
}

// inject makes system calls of the gateway fail until the function that it
// gives is called.
func inject(t *testing.T, g *gateway, calls, fault string) (end func()) {
	t.Helper()
	need(t, "strace")
	strace := exec.Command("strace", "-f", "-o", "/dev/null", "-e", "trace="+calls, "-e", "inject="+calls+":"+fault, "-p", fmt.Sprint(g.cmd.Process.Pid))
	var said bytes.Buffer
	strace.Stderr = &said
	if err := strace.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- strace.Wait() }()
	waitFor(t, "strace to hold every thread", func() bool {
		select {
		case err := <-ended:
			t.Skipf("strace cannot attach: %v %s", err, said.String())
		default:
		}
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", g.cmd.Process.Pid))
		for _, task := range tasks {
			text, reading := os.ReadFile(task)
			err = errors.Join(err, reading)
			if strings.Contains(string(text), "TracerPid:\t0\n") {
				return false
			}
		}
		return err == nil
	})
	return sync.OnceFunc(func() {
		strace.Process.Signal(syscall.SIGTERM) // it lets go of the threads
		<-ended
	})
}

// TestSyncFails (R6, R7): while no sync works every message is put off and
// none of them is delivered; then the same process takes mail again.
func TestSyncFails(t *testing.T) {
	sink, sinkPort := ledgerSink(t)
	port := freePort(t, "127.0.0.2")
	server := fmt.Sprintf("127.0.0.2:%d", port)
	g := startGateway(t, t.TempDir())
	g.script(relayScript(port, sinkPort)...)

	end := inject(t, g, "syncfs,fsync,fdatasync", "error=EIO")
	defer end()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	all := make([]sent, 4)
	var sending sync.WaitGroup
	for i := range all {
		sending.Go(func() { all[i] = sender(ctx, server, fmt.Sprint("during-", i)) })
	}
	sending.Wait()
	out, err := g.try("sethostname new.example.com", `commit "on a disk that fails"`)
	if err == nil || strings.Contains(out, "Changes committed: ") {
		t.Errorf("a commit that cannot be synced: %v\n%s", err, out)
	}
	end()
	g.script("sethostname newer.example.com", `commit "on a disk that works again"`)

	c := dialSMTP(t, server)
	c.do("250", "EHLO client.example")
	c.send("250", "after", 1000)
	waitFor(t, "what was accepted", func() bool { return sink.missing([]string{"after"}) == 0 })
	waitFor(t, "an empty queue", g.idle)
	var refused []string
	for _, s := range all {
		refused = append(refused, s.refused...)
		if len(s.taken) > 0 {
			t.Errorf("accepted without a sync: %v", s.taken)
		}
	}
	t.Logf("%d messages were put off", len(refused))
	if kept := len(refused) - sink.missing(refused); kept > 0 || len(refused) < len(all) {
		t.Errorf("%d messages put off, %d of them delivered", len(refused), kept)
	}
	g.stop()
}

// freeDescriptor is the lowest number that a process has no descriptor for,
// once that has settled: a limit of it lets the process open nothing.
func freeDescriptor(t *testing.T, pid int) uint64 {
	t.Helper()
	last, same := uint64(0), 0
	waitFor(t, "descriptors that stay as they are", func() bool {
		free := uint64(0)
		for ; ; free++ {
			if _, err := os.Lstat(fmt.Sprintf("/proc/%d/fd/%d", pid, free)); err != nil {
				break
			}
		}
		if free != last {
			last, same = free, 0
		}
		same++
		return same == 10
	})
	return last
}

// TestDescriptorsRunOut (R7, D2): connections that cannot be accepted wait,
// messages that cannot be stored are put off, and all is well once there are
// descriptors again.
func TestDescriptorsRunOut(t *testing.T) {
	sink, sinkPort := ledgerSink(t)
	port := freePort(t, "127.0.0.2")
	server := fmt.Sprintf("127.0.0.2:%d", port)
	g := startGateway(t, t.TempDir())
	g.script(relayScript(port, sinkPort)...)
	c := dialSMTP(t, server)
	c.do("250", "EHLO client.example")
	c.begin()
	pid := g.cmd.Process.Pid
	var usual unix.Rlimit
	err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &usual)
	if err == nil {
		err = unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: freeDescriptor(t, pid), Max: usual.Max}, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.body("refused", 1000)
	c.do("45", ".")
	waiting, err := net.Dial("tcp", server)
	if err != nil {
		t.Fatalf("the listener is gone: %v", err)
	}
	defer waiting.Close()
	waiting.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if n, err := waiting.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the fault does not happen: read %d bytes, %v", n, err)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &usual, nil); err != nil {
		t.Fatal(err)
	}
	waiting.SetReadDeadline(time.Now().Add(patience))
	if _, err := waiting.Read(make([]byte, 1)); err != nil {
		t.Errorf("the connection that waited is not greeted: %v", err)
	}
	c.send("250", "after", 1000)
	waitFor(t, "what was accepted", func() bool { return sink.missing([]string{"after"}) == 0 })
	if sink.missing([]string{"refused"}) == 0 {
		t.Error("a message that was put off was delivered")
	}
	g.stop()
}
