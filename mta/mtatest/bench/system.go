package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// system is a mail program on a directory of its own.
type system interface {
	name() string
	daemon() string // the name of the process that ends it all when it is told to
	// command is what runs it in the foreground.
	command() *exec.Cmd
	// fill puts messages of 1 KB into the queue while it does not run.
	fill(ctx context.Context, messages int) error
	// peak is the most memory it had, in bytes.
	peak(of *process) int64
}

// patience bounds every wait for a program.
const patience = 5 * time.Minute

// running is a system that has been started.
type running struct {
	system
	cmd     *exec.Cmd
	addr    string
	process *process
	ready   time.Duration // from its start to the first 220
	up      time.Time     // of the first 220
	syncs   string        // file with a line for each sync; empty: not counted
}

// start starts a system and waits for its greeting on addr.
func start(ctx context.Context, s system, addr string) (*running, error) {
	return launch(ctx, &running{system: s, addr: addr, cmd: s.command()})
}

// slowness is how much longer each sync takes, and the file that gets a line for
// each.
type slowness struct {
	by     time.Duration
	record string
}

// startSlow starts a system with slow syncs.
func startSlow(ctx context.Context, s system, addr string, slow slowness) (*running, error) {
	of := s.command()
	calls := "fsync,fdatasync,syncfs"
	// strace goes before all others, so that its delays are what was asked for;
	// what it runs does not.
	before := []string{"-n", "-15", "strace", "-f", "--seccomp-bpf", "-qq", "-o", slow.record, "-e", "trace=" + calls,
		"-e", fmt.Sprintf("inject=%s:delay_exit=%d", calls, slow.by.Microseconds()), "nice", "-n", "15"}
	cmd := exec.Command("nice", append(before, of.Args...)...)
	return launch(ctx, &running{system: s, addr: addr, cmd: cmd, syncs: slow.record})
}

func launch(ctx context.Context, r *running) (*running, error) {
	var said bytes.Buffer
	r.cmd.Stderr = &said
	// Postfix ends its whole process group.
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	begun := time.Now()
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", r.name(), err)
	}
	r.process = &process{pid: r.cmd.Process.Pid}
	if err := greeting(ctx, r.addr); err != nil {
		return nil, fmt.Errorf("waiting for %s: %w\n%s", r.name(), errors.Join(err, r.stop()), said.String())
	}
	r.up = time.Now()
	r.ready = r.up.Sub(begun)
	return r, nil
}

// greeting waits until somebody says 220.
func greeting(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			until, _ := ctx.Deadline()
			if err := conn.SetDeadline(until); err != nil {
				return errors.Join(err, conn.Close())
			}
			line, err := bufio.NewReader(conn).ReadString('\n')
			if err == nil && strings.HasPrefix(line, "220") {
				fmt.Fprint(conn, "QUIT\r\n")
				return conn.Close()
			}
			conn.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// stop ends a system as its operators do and waits for its end.
func (r *running) stop() error {
	for _, s := range r.process.tree() {
		if s.name == r.daemon() {
			_ = syscall.Kill(s.pid, syscall.SIGTERM) // it may have gone by itself
		}
	}
	over := time.AfterFunc(patience, func() { _ = r.cmd.Process.Kill() })
	defer over.Stop()
	err := r.cmd.Wait()
	if _, ended := errors.AsType[*exec.ExitError](err); ended {
		return nil // by our signal
	}
	return err
}
