package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"esa/mta/mtatest"
	"esa/mta/mtatest/smtpload"
)

// ports are those of one system: its own, that of the sink, and one where
// nobody listens.
type ports struct{ own, sink, dead int }

func (p ports) address() string { return fmt.Sprintf("127.0.0.1:%d", p.own) }

// bench is one run.
type bench struct {
	plan
	ctx  context.Context
	sink *smtpload.Sink
	root string // everything is below it
	here *place // on the file system of the plan's directory

	heading [2]string // of the table of figures, until it is printed
}

// place is a directory with both systems, ours first.
type place struct {
	gateway *gateway
	both    [2]system
	addr    [2]string
}

func newBench(ctx context.Context, p plan) (_ *bench, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("starting Postfix takes root")
	}
	if err := need("postfix", "postconf"); err != nil {
		return nil, err
	}
	b := &bench{plan: p, ctx: ctx}
	b.columns("esa", "Postfix")
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.binary, err = filepath.Abs(p.binary); err != nil {
		return nil, err
	}
	if b.root, err = os.MkdirTemp(p.dir, "esa-bench"); err != nil {
		return nil, err
	}
	if err := os.Chmod(b.root, 0o755); err != nil {
		return nil, err
	}
	if b.sink, err = smtpload.Listen("127.0.0.1:0"); err != nil {
		return nil, err
	}
	b.here, err = b.newPlace(b.root)
	return b, err
}

func (b *bench) close() {
	if b.sink != nil {
		_ = b.sink.Close() // the run is over
	}
	if b.root != "" {
		_ = os.RemoveAll(b.root)
	}
}

// need tells which programs are not installed.
func need(programs ...string) error {
	var errs []error
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			errs = append(errs, fmt.Errorf("%s is not installed", program))
		}
	}
	return errors.Join(errs...)
}

// newPlace makes both systems in a directory.
func (b *bench) newPlace(dir string) (*place, error) {
	var p place
	var own [2]ports
	for i := range own {
		own[i] = ports{own: freePort(), sink: b.sink.Addr().Port, dead: freePort()}
		p.addr[i] = own[i].address()
	}
	var err error
	if p.gateway, err = newGateway(b.binary, filepath.Join(dir, "esa"), own[0]); err != nil {
		return nil, err
	}
	theirs, err := newPostfix(filepath.Join(dir, "postfix"), own[1])
	p.both = [2]system{p.gateway, theirs}
	return &p, err
}

// encrypt has both systems deliver by STARTTLS only.
func (p *place) encrypt() error {
	if err := p.gateway.script("destconfig edit default use_tls=require", `commit "STARTTLS"`); err != nil {
		return err
	}
	theirs := p.both[1].(*postfix)
	out, err := exec.Command("postconf", "-c", filepath.Join(theirs.dir, "etc"), "-e", "smtp_tls_security_level=encrypt").CombinedOutput()
	if err != nil {
		return fmt.Errorf("configuring Postfix: %w\n%s", err, out)
	}
	return nil
}

// freePort finds a port that is free now; 0 if there is none.
func freePort() int {
	addr, err := mtatest.FreeAddr("127.0.0.1")
	if err != nil {
		return 0
	}
	return int(addr.Port())
}

// round is what one round of load gave.
type round struct {
	rate  float64 // messages a second, from the first connection to the last delivery
	cpu   float64 // seconds per 1,000 messages
	syncs float64 // per message
}

// load sends messages to a system for one round.
func (b *bench) load(r *running, l smtpload.Load) (round, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	l.Addr = r.addr
	before, cpu, syncs := b.sink.Count(), r.process.cpu(), r.synced()
	begun := time.Now()
	n, err := l.Send(ctx)
	if err != nil {
		return round{}, fmt.Errorf("sending to %s: %w", r.name(), err)
	}
	last, err := b.sink.Await(ctx, before+n)
	if err != nil {
		return round{}, fmt.Errorf("%d of %d messages came from %s: %w", b.sink.Count()-before, n, r.name(), err)
	}
	return round{
		rate:  float64(n) / last.Sub(begun).Seconds(),
		cpu:   (r.process.cpu() - cpu).Seconds() * 1000 / float64(n),
		syncs: float64(r.synced()-syncs) / float64(n),
	}, nil
}

// synced is how many syncs there were so far, where they are counted.
func (r *running) synced() int {
	if r.syncs == "" {
		return 0
	}
	text, err := os.ReadFile(r.syncs)
	if err != nil {
		return 0
	}
	return countSyncs(text)
}

// countSyncs counts the calls in what strace wrote down; one that is cut in two
// by another thread's says so only at its end.
func countSyncs(record []byte) int { return bytes.Count(record, []byte("(DELAYED)\n")) }

// median gives the middle of what pick takes of each.
func median[T any](all []T, pick func(T) float64) float64 {
	values := make([]float64, len(all))
	for i, one := range all {
		values[i] = pick(one)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// each calls do for 0 … n-1 from so many goroutines. The first error ends it.
func each(ctx context.Context, workers, n int, do func(int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(i); err != nil {
					cancel(err)
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// numbers reads "10000,100000".
func numbers(text string) ([]int, error) {
	var all []int
	for word := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil {
			return nil, errors.New("not a number: " + word)
		}
		all = append(all, n)
	}
	return all, nil
}
