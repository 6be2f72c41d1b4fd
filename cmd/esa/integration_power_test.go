//go:build integration

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"esa/shell/attach"
)

// A power cut, staged: the data directory lies on an ext4 in a file, which is
// copied while the gateway is stopped. The copy holds what was synced, and
// nothing that only the kernel's cache holds: the file system writes that out
// of its own accord after half a minute at the earliest.

// loopDisk is a file system in a file.
type loopDisk struct {
	t     *testing.T
	place string // holds the image and the mount point
}

func newLoopDisk(t *testing.T) *loopDisk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a file system needs root")
	}
	need(t, "mkfs.ext4", "mount", "cp")
	d := &loopDisk{t: t, place: t.TempDir()}
	image, err := os.Create(d.image())
	if err == nil {
		err = image.Truncate(400 << 20)
		image.Close()
	}
	if err == nil {
		err = os.Mkdir(d.dir(), 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", d.image()).CombinedOutput(); err != nil {
		t.Skipf("mkfs.ext4: %v %s", err, out)
	}
	if err := d.mount(); err != nil {
		t.Skip(err)
	}
	t.Cleanup(d.unmount)
	return d
}

func (d *loopDisk) image() string { return filepath.Join(d.place, "image") }
func (d *loopDisk) dir() string   { return filepath.Join(d.place, "disk") }

func (d *loopDisk) mount() error {
	out, err := exec.Command("mount", "-o", "loop,commit=600", d.image(), d.dir()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("mounting a file: %w %s", err, out)
	}
	return nil
}

// unmount lets go of the disk even where a process still uses it.
func (d *loopDisk) unmount() { syscall.Unmount(d.dir(), unix.MNT_DETACH) }

// perform makes a program's end part of the test.
func perform(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v %s", program, err, out)
	}
}

// cutPower stops the gateway, keeps what the disk holds at that moment, ends
// the gateway and puts the kept disk in place.
func (d *loopDisk) cutPower(g *gateway) {
	d.t.Helper()
	if err := g.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		d.t.Fatal(err)
	}
	waitFor(d.t, "a gateway that is stopped", func() bool { // a thread that syncs stops later than others
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", g.cmd.Process.Pid))
		return err == nil && len(tasks) > 0 && !slices.ContainsFunc(tasks, func(task string) bool {
			stat, err := os.ReadFile(task)
			_, state, _ := strings.Cut(string(stat), ") ")
			return err != nil || !strings.HasPrefix(state, "T") && !strings.HasPrefix(state, "t")
		})
	})
	perform(d.t, "cp", "--sparse=always", d.image(), d.image()+".kept")
	g.kill()
	waitFor(d.t, "the end of the old disk", func() bool { return syscall.Unmount(d.dir(), 0) == nil })
	if err := os.Rename(d.image()+".kept", d.image()); err != nil {
		d.t.Fatal(err)
	}
	if err := d.mount(); err != nil {
		d.t.Fatal(err)
	}
}

// committer commits host names with rising numbers until the gateway is gone,
// and gives the last number that was told to be committed. It talks to the
// console itself: esa would go on without a gateway.
func committer(ctx context.Context, dir string) int {
	for n := 1; ; n++ {
		conn, err := attach.Dial(dir)
		if err != nil {
			return n - 1
		}
		var out bytes.Buffer
		_, err = attach.Run(ctx, conn, attach.Options{
			User: "admin", IsExec: true, Command: fmt.Sprintf("sethostname gw%d.example.com; commit round", n),
			Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out,
		})
		if !strings.Contains(out.String(), "Changes committed: ") || err != nil {
			return n - 1
		}
	}
}

// hostNumber is the number in the host name that runs.
func hostNumber(g *gateway) int {
	g.t.Helper()
	number := regexp.MustCompile(`(?m)^gw(\d+)\.example\.com> `).FindStringSubmatch(g.script("version"))
	if number == nil {
		return 0
	}
	n, err := strconv.Atoi(number[1])
	if err != nil {
		g.t.Fatal(err)
	}
	return n
}

// tally is what became of the messages of a round.
type tally struct {
	taken, lost   int // of those that got 250
	refused, kept int // of those that got 4xx; kept ones were delivered all the same
	reused        int // files that held a second message
}

func (n tally) check(t *testing.T) {
	t.Helper()
	t.Logf("%d messages accepted, %d lost; %d put off, %d of them delivered; %d files seen to be used again", n.taken, n.lost, n.refused, n.kept, n.reused)
	if n.lost > 0 || n.kept > 0 || n.taken < 10 {
		t.Errorf("lost or kept what should not be, or no load: %+v", n)
	}
}

// fileID tells files from those that have their inode number later.
type fileID struct {
	inode uint64
	made  unix.StatxTimestamp
}

// comeAndGo makes the sink take mail now and then, so that messages are
// finished and later ones find their files, and none at last, so that some
// wait. Where no file is seen with another name than before it goes on, for some
// seconds: it gives how many were.
func comeAndGo(sink *ledger, queue string) int {
	names, again := map[fileID]string{}, 0
	begun := time.Now()
	for n := 0; n < 15; n++ {
		if n == 12 && again == 0 && time.Since(begun) < 15*time.Second {
			n = 0
		}
		if n%2 == 1 && n < 12 {
			sink.release()
		} else {
			sink.hold()
		}
		time.Sleep(100 * time.Millisecond) // of load; the moment is of no matter
		files, _ := filepath.Glob(filepath.Join(queue, "*", "*.msg"))
		for _, name := range files {
			var s unix.Statx_t
			if unix.Statx(unix.AT_FDCWD, name, 0, unix.STATX_INO|unix.STATX_BTIME, &s) != nil {
				continue // it is gone
			}
			id := fileID{s.Ino, s.Btime}
			if was, known := names[id]; known && was != name {
				again++
			}
			names[id] = name
		}
	}
	return again
}

// powerRound loads a gateway on a disk of its own, cuts the power, and counts.
// The revision that runs afterwards must be one that was committed, none
// older than told.
func powerRound(t *testing.T, template string, port int, wrap ...string) tally {
	const senders = 8
	sink, sinkPort := ledgerSink(t)
	d := newLoopDisk(t)
	dir := filepath.Join(d.dir(), "data")
	perform(t, "cp", "-a", template, dir)
	perform(t, "sync", "-f", dir)
	g := startWrapped(t, dir, wrap...)
	g.wrap = nil // commands need no faults
	g.script(fmt.Sprintf("smtproutes new ALL [127.0.0.1]:%d", sinkPort), `commit "the sink of this round"`)
	if wrap == nil {
		perform(t, "sync", "-f", dir)
	}
	server := fmt.Sprintf("127.0.0.2:%d", port)
	waitListening(t, server)

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ids := make([]sent, senders)
	var working sync.WaitGroup
	for i := range senders {
		working.Go(func() { ids[i] = sender(ctx, server, fmt.Sprint(i)) })
	}
	committed := 0
	working.Go(func() { committed = committer(ctx, dir) })
	reused := comeAndGo(sink, filepath.Join(dir, "queue"))
	d.cutPower(g)
	working.Wait()

	sink.release()
	again := startGateway(t, dir)
	var all sent
	for _, part := range ids {
		all.taken, all.refused = append(all.taken, part.taken...), append(all.refused, part.refused...)
	}
	if wrap != nil && hostNumber(again) < committed {
		again.script(fmt.Sprintf("smtproutes new ALL [127.0.0.1]:%d", sinkPort), `commit "again"`)
	} else if n := hostNumber(again); n < committed || n > committed+1 {
		t.Errorf("revision gw%d runs, gw%d was told to be committed", n, committed)
	}
	waitFor(t, "an empty queue", again.idle)
	again.stop()
	if len(sink.damaged) > 0 {
		t.Errorf("%d messages arrived changed: %v", len(sink.damaged), sink.damaged)
	}
	return tally{
		taken: len(all.taken), lost: sink.missing(all.taken),
		refused: len(all.refused), kept: len(all.refused) - sink.missing(all.refused),
		reused: reused,
	}
}

// waitListening waits until somebody accepts connections.
func waitListening(t *testing.T, server string) {
	t.Helper()
	waitFor(t, "the listener", func() bool {
		conn, err := net.Dial("tcp", server)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// powerTemplate is a data directory with the relay script and more committed.
func powerTemplate(t *testing.T, port int, more ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	g := startGateway(t, dir)
	g.script(relayScript(port, 9)...)
	g.script(append(more, "smtproutes delete ALL", `commit "each round has its own"`)...)
	g.stop()
	return dir
}

// TestPowerCut (R1, R3, C1): what was told to be accepted or committed is
// there after a power cut, whichever way the queue syncs, in new files and in
// those that held another message before. That the staging would notice is the
// next test; a build that replied before it stored lost 590 of 1,814 messages
// here.
func TestPowerCut(t *testing.T) {
	port := freePort(t, "127.0.0.2")
	templates := []string{powerTemplate(t, port), powerTemplate(t, port, "queueconfig setup sync=files")}
	for round := range powerCuts {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			n := powerRound(t, templates[round%2], port)
			n.check(t)
			if n.reused == 0 {
				t.Error("no file was used again")
			}
		})
	}
}

// TestPowerCut_IsNoticed: a gateway whose syncs do nothing loses mail there.
func TestPowerCut_IsNoticed(t *testing.T) {
	need(t, "strace")
	port := freePort(t, "127.0.0.2")
	n := powerRound(t, powerTemplate(t, port), port,
		"strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync,syncfs", "-e", "inject=fsync,fdatasync,syncfs:retval=0")
	t.Logf("without syncs %d of %d messages are lost", n.lost, n.taken)
	if n.lost == 0 {
		t.Error("nothing was lost: the test above proves nothing")
	}
}

// TestPowerCut_AfterFailedSyncs (R6, R9): where every third sync fails, what
// was accepted is there all the same, and what was put off is not.
func TestPowerCut_AfterFailedSyncs(t *testing.T) {
	need(t, "strace")
	port := freePort(t, "127.0.0.2")
	n := powerRound(t, powerTemplate(t, port), port,
		"strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=syncfs", "-e", "inject=syncfs:error=EIO:when=3+3")
	n.check(t)
	if n.refused == 0 {
		t.Error("no message was put off: the fault did not happen")
	}
}
