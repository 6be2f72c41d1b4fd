//go:build integration

package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"
)

// ledger is what a sink took: for each message id how often, and whether its
// text was whole.
type ledger struct {
	gate    *gate
	mu      sync.Mutex
	arrived map[string]int // by X-Id
	given   map[string]int // recipients, by X-Id
	damaged []string
}

// gate is a listener that can keep clients waiting: they are connected and
// hear nothing, or no answer to MAIL.
type gate struct {
	net.Listener
	mu   sync.Mutex
	shut chan struct{} // closed when clients are let in
}

func (g *gate) Accept() (net.Conn, error) {
	conn, err := g.Listener.Accept()
	g.pass()
	return conn, err
}

// pass waits until clients are let in.
func (g *gate) pass() {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut != nil {
		<-shut
	}
}

// hold makes the sink keep clients waiting until release.
func (l *ledger) hold() {
	l.gate.mu.Lock()
	defer l.gate.mu.Unlock()
	if l.gate.shut == nil {
		l.gate.shut = make(chan struct{})
	}
}

func (l *ledger) release() {
	l.gate.mu.Lock()
	defer l.gate.mu.Unlock()
	if l.gate.shut != nil {
		close(l.gate.shut)
		l.gate.shut = nil
	}
}

// ledgerSink is go-smtp's server, which writes down what it takes.
func ledgerSink(t *testing.T) (*ledger, int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &ledger{gate: &gate{Listener: listener}, arrived: map[string]int{}, given: map[string]int{}}
	server := gosmtp.NewServer(gosmtp.BackendFunc(func(*gosmtp.Conn) (gosmtp.Session, error) { return &ledgerSession{ledger: l}, nil }))
	server.Domain = "sink.example"
	server.ErrorLog = log.New(io.Discard, "", 0) // a killed client is no news here
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(l.gate) })
	t.Cleanup(func() {
		l.release()
		server.Close()
		serving.Wait()
	})
	return l, listener.Addr().(*net.TCPAddr).Port
}

type ledgerSession struct {
	ledger     *ledger
	recipients int
}

func (s *ledgerSession) Reset()                                 { s.recipients = 0 }
func (*ledgerSession) Logout() error                            { return nil }
func (s *ledgerSession) Mail(string, *gosmtp.MailOptions) error { s.ledger.gate.pass(); return nil }
func (s *ledgerSession) Rcpt(string, *gosmtp.RcptOptions) error { s.recipients++; return nil }
func (s *ledgerSession) Data(r io.Reader) error {
	m, err := mail.ReadMessage(bufio.NewReader(r))
	if err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, m.Body); err != nil {
		return err
	}
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	id := m.Header.Get("X-Id")
	s.ledger.arrived[id]++
	s.ledger.given[id] += s.recipients
	if want := m.Header.Get("X-Sum"); want != "" && fmt.Sprintf("%x", sum.Sum(nil)) != want {
		s.ledger.damaged = append(s.ledger.damaged, id)
	}
	return nil
}

// missing counts the ids that have not arrived.
func (l *ledger) missing(ids []string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, id := range ids {
		if l.arrived[id] == 0 {
			n++
		}
	}
	return n
}

// arrival sends a message with this X-Id and gives how long it takes to get to
// the sink.
func (l *ledger) arrival(t *testing.T, id string, send func()) time.Duration {
	t.Helper()
	began := time.Now()
	send()
	for l.missing([]string{id}) > 0 {
		if time.Since(began) > patience {
			t.Fatalf("%s does not arrive", id)
		}
		time.Sleep(200 * time.Microsecond)
	}
	return time.Since(began)
}

// p99 gives the time that 99 of 100 keep. It sorts took.
func p99(took []time.Duration) time.Duration {
	slices.Sort(took)
	return took[len(took)*99/100]
}

// atBest measures a time again while it is beyond a bound, five times at most,
// and gives the best: what the gateway makes others wait for it makes them wait
// for every time, other work of the machine passes.
func atBest(bound time.Duration, measure func() time.Duration) time.Duration {
	best := measure()
	for n := 1; n < 5 && best > bound; n++ {
		best = min(best, measure())
	}
	return best
}

// sent is what became of messages: those that got 250 and those that were put
// off by a 4xx. Of others nobody knows.
type sent struct{ taken, refused []string }

// sender sends messages one after the other until the gateway is gone, or
// refuses one for good.
func sender(ctx context.Context, server, name string) sent {
	var all sent
	for n := 0; ctx.Err() == nil; n++ {
		id := fmt.Sprintf("%s-%d", name, n)
		body := strings.Repeat(id+" says something in a line of its own.\r\n", 1+n%50)
		text := fmt.Sprintf("X-Id: %s\r\nX-Sum: %x\r\nSubject: %s\r\n\r\n%s", id, sha256.Sum256([]byte(body)), id, body)
		err := smtp.SendMail(server, nil, "sender@example.org", []string{"rcpt@example.net"}, []byte(text))
		refusal, answered := errors.AsType[*textproto.Error](err)
		switch {
		case err == nil:
			all.taken = append(all.taken, id)
		case answered && refusal.Code/100 == 4:
			all.refused = append(all.refused, id)
		default:
			return all
		}
	}
	return all
}

// TestKill: kill -9 at random moments under load, again and again. Every
// message that got 250 arrives, whole; twice only where a kill came between
// the sink's answer and our record of it. The mail log accounts for each. A
// build that replied before it stored loses messages here in every run.
func TestKill(t *testing.T) {
	const senders = 8
	port := listenPort(t)
	server := fmt.Sprintf("127.0.0.2:%d", port)
	sink, sinkPort := ledgerSink(t)
	dir := t.TempDir()
	g := startGateway(t, dir)
	g.script(relayScript(port, sinkPort)...)

	var taken []string
	for round := range kills {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		ids := make([]sent, senders)
		var sending sync.WaitGroup
		for i := range senders {
			sending.Go(func() { ids[i] = sender(ctx, server, fmt.Sprintf("%d-%d", round, i)) })
		}
		// The moment is what is tested: any of them must do.
		time.Sleep(100*time.Millisecond + rand.N(600*time.Millisecond))
		g.kill()
		sending.Wait()
		cancel()
		for _, part := range ids {
			taken = append(taken, part.taken...)
		}
		g = startGateway(t, dir)
		waitListening(t, server)
	}
	waitFor(t, "all accepted messages at the sink", func() bool { return sink.missing(taken) == 0 })
	waitFor(t, "an empty queue", g.idle)
	g.stop()

	twice := 0
	for _, n := range sink.arrived {
		twice += n - 1
	}
	t.Logf("%d kills, %d messages accepted, 0 lost, %d delivered twice", kills, len(taken), twice)
	readBooks(g.mailLog()).balance(t)
	if len(sink.damaged) > 0 {
		t.Errorf("%d messages arrived changed: %v", len(sink.damaged), sink.damaged)
	}
	if len(taken) < kills*senders {
		t.Errorf("only %d messages were accepted: the load was none", len(taken))
	}
	if limit := kills * senders * 4; twice > limit {
		t.Errorf("%d messages arrived twice, more than %d", twice, limit)
	}
}
