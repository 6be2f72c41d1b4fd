package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"esa/mta/mtatest/smtpload"
)

// launcher starts one system of a place.
type launcher func(s system, addr string) (*running, error)

func (b *bench) plainly(s system, addr string) (*running, error) { return start(b.ctx, s, addr) }

// during runs both systems at once: the one that waits for its turn takes
// nothing from the other.
func (b *bench) during(p *place, launch launcher, do func(both [2]*running) error) error {
	var both [2]*running
	var err error
	for i, s := range p.both {
		if both[i], err = launch(s, p.addr[i]); err != nil {
			break
		}
	}
	if err == nil {
		err = do(both)
	}
	for _, r := range both {
		if r != nil {
			err = errors.Join(err, r.stop())
		}
	}
	return err
}

// cell is what the rounds of one size and number of sessions gave, ours first.
type cell struct {
	load   smtpload.Load
	rounds [2][]round
	memory [2]int64
}

// measure loads both systems in turns.
func (b *bench) measure(both [2]*running, l smtpload.Load) (*cell, error) {
	c := &cell{load: l}
	for n := range b.rounds + 1 {
		for i, r := range both {
			this := l
			if n == 0 { // not counted: helpers are started, directories are made
				this.Time = max(b.length/8, 100*time.Millisecond)
			}
			got, err := b.load(r, this)
			if err != nil {
				return nil, err
			}
			c.memory[i] = max(c.memory[i], r.peak(r.process))
			if n > 0 {
				c.rounds[i] = append(c.rounds[i], got)
			}
		}
	}
	return c, nil
}

// throughput is messages a second, processor time and memory, by size and
// number of sessions.
func (b *bench) throughput() error {
	cells, err := b.cells(b.here, b.sizes, b.plainly)
	return errors.Join(err, printCells(os.Stdout, cells))
}

// slow is throughput with syncs that take 5 ms longer, on a journal.
func (b *bench) slow() (err error) {
	const by = 5 * time.Millisecond
	if err := need("strace", "mkfs.ext4", "losetup", "mount"); err != nil {
		progress("the rows with slow syncs are left out: %v", err)
		return nil
	}
	dir, remove, err := b.journalled()
	if err != nil {
		progress("the rows with slow syncs are left out: %v", err)
		return nil
	}
	defer func() { err = errors.Join(err, remove()) }()
	p, err := b.newPlace(dir)
	if err != nil {
		return err
	}
	progress("from now on every sync takes %s longer", by)
	cells, err := b.cells(p, "1024", func(s system, addr string) (*running, error) {
		return startSlow(b.ctx, s, addr, slowness{by, filepath.Join(b.root, s.name()+"-syncs")})
	})
	return errors.Join(err, printSlow(os.Stdout, cells))
}

// cells measures every size with every number of sessions.
func (b *bench) cells(p *place, sizes string, launch launcher) ([]*cell, error) {
	lengths, err := numbers(sizes)
	crowds, err2 := numbers(b.crowds)
	if err = errors.Join(err, err2); err != nil {
		return nil, err
	}
	var cells []*cell
	for _, size := range lengths {
		for _, sessions := range crowds {
			progress("%s, %d sessions", sizeText(size), sessions)
			l := smtpload.Load{Sessions: sessions, Time: b.length, Size: size}
			err := b.during(p, launch, func(both [2]*running) error {
				c, err := b.measure(both, l)
				if err == nil {
					cells = append(cells, c)
				}
				return err
			})
			if err != nil {
				return cells, err
			}
		}
	}
	return cells, nil
}

// pair is one figure of both systems, ours first.
type pair [2][]float64

// columns begins a table of figures.
func (b *bench) columns(ours, theirs string) { b.heading = [2]string{ours, theirs} }

// figure prints one line for a figure of each system, the first of a table with
// its heading.
func (b *bench) figure(what, unit string, p pair) error {
	if b.heading != [2]string{} {
		fmt.Printf("\n| | ratio | %s | %s |\n|---|---:|---:|---:|\n", b.heading[0], b.heading[1])
		b.heading = [2]string{}
	}
	identity := func(v float64) float64 { return v }
	ours, theirs := median(p[0], identity), median(p[1], identity)
	_, err := fmt.Printf("| %s, %s | %.2f | %.4g | %.4g |\n", what, unit, ours/theirs, ours, theirs)
	return err
}

// single is the way of one message when nothing else is to do.
func (b *bench) single() error {
	progress("latency of one message")
	const messages = 100
	var p pair
	err := b.during(b.here, b.plainly, func(both [2]*running) error {
		for range b.rounds {
			for i, r := range both {
				took, err := smtpload.Load{Addr: r.addr, Messages: messages, Size: 1 << 10}.OneByOne(b.ctx, b.sink)
				if err != nil {
					return err
				}
				p[i] = append(p[i], median(took, func(d time.Duration) float64 { return d.Seconds() * 1000 }))
			}
		}
		return nil
	})
	return errors.Join(err, b.figure("latency of one message to the sink", "ms", p))
}

// start is the time from the command to the first greeting.
func (b *bench) start() error {
	progress("start-up")
	var p pair
	for range b.rounds {
		err := b.during(b.here, b.plainly, func(both [2]*running) error {
			for i, r := range both {
				p[i] = append(p[i], r.ready.Seconds()*1000)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return b.figure("start until the first 220", "ms", p)
}

// drain delivers what was queued while the program was down.
func (b *bench) drain() error {
	const messages = 5000
	var p pair
	for range b.rounds {
		for i, s := range b.here.both {
			progress("%s with %d messages queued", s.name(), messages)
			if err := s.fill(b.ctx, messages); err != nil {
				return err
			}
			before := b.sink.Count()
			r, err := start(b.ctx, s, b.here.addr[i])
			if err != nil {
				return err
			}
			last, err := b.sink.Await(b.ctx, before+messages)
			if err = errors.Join(err, r.stop()); err != nil {
				return err
			}
			p[i] = append(p[i], messages/last.Sub(r.up).Seconds())
		}
	}
	return b.figure("5,000 queued, from the first 220 until delivered", "messages/s", p)
}

// greet is connections that do nothing.
func (b *bench) greet() error {
	progress("connect, EHLO, QUIT")
	var p pair
	err := b.during(b.here, b.plainly, func(both [2]*running) error {
		for n := range b.rounds + 1 {
			for i, r := range both {
				begun := time.Now()
				greeted, err := smtpload.Load{Addr: r.addr, Sessions: 20, Time: b.length / 2}.Greet(b.ctx)
				if err != nil {
					return err
				}
				if n > 0 {
					p[i] = append(p[i], float64(greeted)/time.Since(begun).Seconds())
				}
			}
		}
		return nil
	})
	return errors.Join(err, b.figure("connect, EHLO, QUIT", "a second", p))
}

// encrypted is the relay of messages of 1 KB with 20 sessions to a sink that
// takes them by STARTTLS.
func (b *bench) encrypted() error {
	progress("by STARTTLS to the sink")
	dir := filepath.Join(b.root, "starttls")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	p, err := b.newPlace(dir)
	if err != nil {
		return err
	}
	if err := p.encrypt(); err != nil {
		return err
	}
	var rates pair
	err = b.during(p, b.plainly, func(both [2]*running) error {
		c, err := b.measure(both, smtpload.Load{Sessions: 20, Time: b.length, Size: 1 << 10})
		if err != nil {
			return err
		}
		for i, rounds := range c.rounds {
			for _, r := range rounds {
				rates[i] = append(rates[i], r.rate)
			}
		}
		return nil
	})
	return errors.Join(err, b.figure("1 KB, 20 sessions, by STARTTLS to the sink", "messages/s", rates))
}

// growth is ours alone: does a queue for a destination that is down slow down
// the mail of others?
func (b *bench) growth() error {
	lengths, err := numbers(b.queued)
	if err != nil {
		return err
	}
	fmt.Println("\n| queued for a dead destination | messages/s | CPU-s per 1,000 | start until 220, ms | until all are read, s | peak memory, MB | bytes per queued message |")
	fmt.Println("|---:|---:|---:|---:|---:|---:|---:|")
	before, empty := 0, int64(0)
	for _, length := range append([]int{0}, lengths...) {
		progress("%d queued", length)
		if err := b.here.gateway.fillFor(b.ctx, length-before, deadDomain); err != nil {
			return err
		}
		before = length
		memory, err := b.grown(length, empty)
		if err != nil {
			return err
		}
		if length == 0 {
			empty = memory
		}
	}
	return nil
}

// grown measures one length, and gives the memory before any load.
func (b *bench) grown(length int, empty int64) (int64, error) {
	r, err := start(b.ctx, b.here.gateway, b.here.addr[0])
	if err != nil {
		return 0, err
	}
	read, err := b.here.gateway.untilRead(b.ctx, r, length)
	memory := r.process.memory()
	var rounds []round
	for n := 0; err == nil && n < b.rounds+1; n++ {
		var got round
		if got, err = b.load(r, smtpload.Load{Sessions: 20, Time: b.length, Size: 1 << 10}); n > 0 {
			rounds = append(rounds, got)
		}
	}
	peak := r.process.highest()
	if err = errors.Join(err, r.stop()); err != nil {
		return 0, err
	}
	each := int64(0)
	if length > 0 {
		each = max(0, memory-empty) / int64(length)
	}
	_, err = fmt.Printf("| %d | %.0f | %.2f | %.0f | %.1f | %d | %d |\n", length,
		median(rounds, round.getRate), median(rounds, round.getCPU), r.ready.Seconds()*1000, read.Seconds(), peak>>20, each)
	return memory, err
}
