package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"esa/mta/counters"
	"esa/mta/envelope"
	"esa/mta/maillog"
	"esa/mta/mtatest/smtpload"
	"esa/mta/queue"
)

// gateway is ours.
type gateway struct {
	binary, dir string
	port        int
}

// deadDomain has a route to a port where nobody listens.
const deadDomain = "dead.example"

// newGateway makes a data directory: relaying for loopback on one port,
// everything goes to another; no names are looked up.
func newGateway(binary, dir string, ports ports) (*gateway, error) {
	g := &gateway{binary: binary, dir: dir, port: ports.own}
	return g, g.script(
		"dnsconfig setup reverse_timeout=0",
		fmt.Sprintf("listenerconfig edit OutgoingMail port=%d", ports.own),
		fmt.Sprintf("smtproutes new ALL [127.0.0.1]:%d", ports.sink),
		fmt.Sprintf("smtproutes new %s [127.0.0.1]:%d", deadDomain, ports.dead),
		`commit "benchmark"`)
}

// script has the console do commands.
func (g *gateway) script(lines ...string) error {
	cmd := exec.Command(g.binary, "--data", g.dir)
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("configuring the gateway: %w\n%s", err, out)
	}
	return nil
}

// otherDNS gives the commands that put one DNS server in the place of those
// that the machine has.
func (g *gateway) otherDNS(server string) ([]string, error) {
	out, err := exec.Command(g.binary, "--data", g.dir, "dnsconfig", "print").Output()
	if err != nil {
		return nil, fmt.Errorf("asking for the DNS servers: %w", err)
	}
	var lines []string
	for _, found := range dnsServer.FindAllSubmatch(out, -1) {
		lines = append(lines, "dnsconfig delete "+string(found[1]))
	}
	return append(lines, "dnsconfig new "+server), nil
}

// dnsServer is a server as dnsconfig lists it.
var dnsServer = regexp.MustCompile(`(?m)^\d+\. Priority: \d+  (\S+)`)

func (g *gateway) name() string   { return "esa" }
func (g *gateway) daemon() string { return filepath.Base(g.binary) }

func (g *gateway) command() *exec.Cmd { return exec.Command(g.binary, "--data", g.dir, "serve") }

func (g *gateway) peak(of *process) int64 { return of.highest() }

func (g *gateway) fill(ctx context.Context, messages int) error {
	return g.fillFor(ctx, messages, "example.net")
}

// fillFor leaves the queue as a gateway does that was killed right after it
// took the messages.
func (g *gateway) fillFor(ctx context.Context, messages int, domain string) (err error) {
	ids, err := counters.Open(filepath.Join(g.dir, "counters"), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ids.Close()) }()
	log, err := maillog.Open(filepath.Join(g.dir, "filling"), maillog.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	q, err := queue.Open(queue.Options{Dir: filepath.Join(g.dir, "queue"), Log: log, Counters: ids})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	text := smtpload.Text(1 << 10)
	return each(ctx, 50, messages, func(n int) error {
		m := envelope.Message{
			MID: ids.NextMID(), Sender: envelope.Address{Local: "sender", Domain: "example.org"}, Listener: "OutgoingMail",
			Recipients: []envelope.Recipient{{Address: envelope.Address{Local: fmt.Sprintf("rcpt%d", n), Domain: domain}}},
		}
		d, err := q.Begin(m)
		if err != nil {
			return err
		}
		if _, err := d.Write(text[:len(text)-len(".\r\n")]); err != nil {
			return errors.Join(err, d.Abort())
		}
		return d.Commit(m)
	})
}

// untilRead waits until a gateway that was just started has read so many
// messages, and gives how long that took from the first 220.
func (g *gateway) untilRead(ctx context.Context, r *running, messages int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for {
		n, err := g.active(ctx)
		if err != nil || n >= messages {
			return time.Since(r.up), err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// active asks how many recipients wait.
func (g *gateway) active(ctx context.Context) (int, error) {
	out, err := exec.CommandContext(ctx, g.binary, "--data", g.dir, "status").Output()
	if err != nil {
		return 0, fmt.Errorf("asking for the status: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		if rest, found := strings.CutPrefix(strings.TrimSpace(line), "Active Recipients"); found {
			return strconv.Atoi(strings.ReplaceAll(strings.TrimSpace(rest), ",", ""))
		}
	}
	return 0, errors.New("the status does not tell the active recipients")
}
