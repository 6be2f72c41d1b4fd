// Bench measures the gateway against Postfix, and its handshakes against a bare
// Go server, on the same machine, in the same run, alternating, and prints tables.
//
//	main.go        the command line
//	rows.go        what is measured, and in which order
//	handshakes.go  inbound STARTTLS, against a bare Go server
//	dane.go        DANE, against posttls-finger and Unbound
//	danelab.go     the domains for that, signed, and who answers for them
//	measure.go     one measurement
//	system.go      what is measured: a program that can be filled, started, ended
//	gateway.go     ours
//	postfix.go     theirs
//	bare.go        the bare Go server, this program in another process
//	process.go     processor time and memory of a process and its children
//	disk.go        a disk with a journal
//	table.go       how it is printed
//
// Load and sink (package smtpload) run in this process, so both programs share
// the processors with the same burden. Both keep their queue on the same file
// system, write a log line for each step, look up no names, and sync as they
// are shipped.
//
// It needs Postfix and root to start it. The rows with slow syncs need strace,
// mkfs.ext4 and a loop device, those of DANE NSD, Unbound and the tools of BIND;
// they are left out with a word where one is missing.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"
)

// plan is what the command line asks for.
type plan struct {
	binary string
	dir    string // queues are in a directory made here
	rounds int
	length time.Duration // of one round of load
	rows   string        // words, see all
	sizes  string        // of messages, for throughput
	crowds string        // numbers of sessions, for throughput
	queued string        // lengths of the queue, for growth
	zones  int           // number of signed domains, for dane
}

// all is every row.
const all = "throughput,single,start,drain,greet,tls,handshakes,slow,growth,dane"

func main() {
	if len(os.Args) > 1 && os.Args[1] == bareWord {
		bareMain(os.Args[2:])
		return
	}
	var p plan
	set := flag.NewFlagSet("bench", flag.ExitOnError)
	set.StringVar(&p.binary, "esa", "./esa", "the gateway's `binary`")
	set.StringVar(&p.dir, "dir", "/var/tmp", "`directory` for the queues; Postfix's users must be able to enter it")
	set.IntVar(&p.rounds, "rounds", 3, "how often each row is measured; medians are printed")
	set.DurationVar(&p.length, "time", 4*time.Second, "how long messages are sent in one round")
	set.StringVar(&p.rows, "rows", all, "what is measured, `words` separated by commas")
	set.StringVar(&p.sizes, "sizes", "1024,10240,1048576", "`bytes` of the messages of the row throughput")
	set.StringVar(&p.crowds, "sessions", "1,20,100", "`numbers` of sessions of the rows throughput and slow")
	set.StringVar(&p.queued, "queued", "10000,100000", "`numbers` of queued messages of the row growth")
	set.IntVar(&p.zones, "domains", 2000, "`number` of signed domains of the row dane")
	_ = set.Parse(os.Args[1:]) // it exits by itself

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := p.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func (p plan) run(ctx context.Context) error {
	b, err := newBench(ctx, p)
	if err != nil {
		return err
	}
	defer b.close()
	for _, row := range []struct {
		word string
		run  func() error
	}{
		{"throughput", b.throughput},
		{"single", b.single},
		{"start", b.start},
		{"drain", b.drain},
		{"greet", b.greet},
		{"tls", b.encrypted},
		{"handshakes", b.handshakes},
		{"slow", b.slow},
		{"growth", b.growth},
		{"dane", b.dane},
	} {
		if !strings.Contains(p.rows, row.word) {
			continue
		}
		if err := row.run(); err != nil {
			return fmt.Errorf("%s: %w", row.word, err)
		}
	}
	return nil
}
