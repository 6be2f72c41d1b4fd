package mta

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"esa/mta/maillog"
	"esa/mta/mtatest"
	"esa/store"
)

// occupied is a world whose second listener cannot be bound; l has its port.
func occupied(t *testing.T) (w *world, l net.Listener) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w = newWorld(t, twoListeners(l.Addr().(*net.TCPAddr).AddrPort()))
	w.run()
	w.awaitBound(1)
	await(t, "the report", func() bool { return len(w.gateway.Status().Unbound) == 1 })
	return w, l
}

// TestBoot_WhatCannotBindIsTriedAgain, and keeps neither the others from
// running nor an operator from committing.
func TestBoot_WhatCannotBindIsTriedAgain(t *testing.T) {
	w, l := occupied(t)
	second := l.Addr().(*net.TCPAddr).AddrPort()
	if got := w.gateway.Status().Unbound[0]; !strings.HasPrefix(got, `listener "Second": Port `) {
		t.Errorf("status says %q", got)
	}
	dial(t, w.addr).mail("a@sender.test", "b@rcpt.test", "Subject: x\r\n\r\nx")

	report := w.commit(func(c *store.Config) { c.Interfaces[1].Hostname = "late.test" })
	if len(report.Warnings) != 1 || report.Warnings[0].Place != `listener "Second"` {
		t.Errorf("warnings of an unrelated commit: %+v", report.Warnings)
	}
	if got := w.gateway.Status().Unbound; len(got) != 1 {
		t.Errorf("status after an unrelated commit: %q", got)
	}
	// What this commit adds is another matter.
	problems := w.problems(w.edit("admin", listenAt("Third", taken(w, "127.0.0.3"))))
	if len(problems) != 1 || problems[0].Place != `listener "Third"` {
		t.Errorf("problems: %+v", problems)
	}

	l.Close()
	w.awaitBound(2)
	if got, err := greet(second); err != nil || !strings.HasPrefix(got, "220 late.test ") {
		t.Errorf("greeted %q, %v", got, err)
	}
	await(t, "an empty report", func() bool { return len(w.gateway.Status().Unbound) == 0 })
}

// TestBoot_ACommitEndsTheWaiting: by removing or by moving the listener.
func TestBoot_ACommitEndsTheWaiting(t *testing.T) {
	for name, change := range map[string]func(c *store.Config, free uint16){
		"removed": func(c *store.Config, _ uint16) { c.Listeners = c.Listeners[:1] },
		"moved":   func(c *store.Config, free uint16) { c.Listeners[1].Port = free },
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := occupied(t)
			w.commit(func(c *store.Config) { change(c, freeAddr(t, "127.0.0.2").Port()) })
			if got := w.gateway.Status().Unbound; len(got) != 0 {
				t.Errorf("status says %q", got)
			}
			w.awaitBound(len(w.gateway.current.Load().sockets))
		})
	}
}

// TestBoot_AddressGone: a machine that has lost an address can still be
// configured.
func TestBoot_AddressGone(t *testing.T) {
	w := newWorld(t, twoListeners(netip.MustParseAddrPort("192.0.2.77:2525")))
	w.run()
	await(t, "the report", func() bool { return len(w.gateway.Status().Unbound) == 1 })
	report := w.commit(hostname("other.test"))
	if len(report.Warnings) != 2 {
		t.Errorf("warnings: %+v", report.Warnings)
	}
	if got, err := greet(w.addr); err != nil || !strings.HasPrefix(got, "220 ") {
		t.Errorf("greeted %q, %v", got, err)
	}
}

// TestBoot_CommitWhileStarting: a console may be there before the listeners.
func TestBoot_CommitWhileStarting(t *testing.T) {
	for range 5 {
		w := newWorld(t, nil)
		w.open()
		w.commit(hostname("before.test"))
		ctx, cancel := context.WithCancel(t.Context())
		w.stop, w.ended = cancel, make(chan error, 1)
		go func() { w.ended <- w.gateway.Run(ctx) }()
		second := freeAddr(t, "127.0.0.2")
		w.commit(listenAt("Second", second))
		if w.revision() != 3 {
			t.Errorf("revision %d runs", w.revision())
		}
		if got, err := greet(second); err != nil || !strings.HasPrefix(got, "220 ") {
			t.Errorf("greeted %q, %v", got, err)
		}
		w.awaitBound(2)
		w.end()
	}
}

// TestOffline: a commit is checked and saved for the start to come; what
// cannot be bound now is a warning, what can never run is refused.
func TestOffline(t *testing.T) {
	w := newWorld(t, nil)
	w.gateway = Offline(w.options())
	port := taken(w, "127.0.0.2")
	report := w.commit(func(c *store.Config) {
		listenAt("Second", port)(c)
		listenAt("Third", netip.MustParseAddrPort("192.0.2.77:2525"))(c)
	})
	places := map[string]bool{}
	for _, p := range report.Warnings {
		places[p.Place] = p.Fix != ""
	}
	for _, place := range []string{`listener "Second"`, `interface "Third"`, `listener "Third"`} {
		if !places[place] {
			t.Errorf("no warning of %s: %+v", place, report.Warnings)
		}
	}
	problems := w.problems(w.edit("admin", func(c *store.Config) { c.Listeners[0].Interface = "Nowhere" }))
	if len(problems) != 1 || !strings.Contains(problems[0].Text, "Nowhere") {
		t.Errorf("problems: %+v", problems)
	}
	if got := w.gateway.Status(); got.Running || got.Unbound != nil {
		t.Errorf("status: %+v", got)
	}
	for _, err := range []error{
		w.gateway.FollowLog(t.Context(), "mail_logs", os.Stderr), w.gateway.RolloverLog("mail_logs"), second(w.gateway.GrepLog(t.Context(), maillog.Search{Tail: true}, nil)),
	} {
		if !errors.Is(err, ErrOffline) {
			t.Errorf("a log offline: %v", err)
		}
	}
	if _, err := os.Stat(filepath.Join(w.dir, "logs")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("offline has left logs: %v", err)
	}
	if got := w.gateway.ProbeDNS(t.Context(), port); !strings.Contains(got, "was not asked") {
		t.Errorf("probe: %q", got)
	}
	w.reopen()
	if w.revision() != report.Revision.Number {
		t.Errorf("the gateway starts with revision %d, want %d", w.revision(), report.Revision.Number)
	}
}

func second[T any](_ T, err error) error { return err }

// TestOpenFails: what was opened before the fault is closed again.
func TestOpenFails(t *testing.T) {
	w := newWorld(t, nil)
	w.file("queue")
	if _, err := Open(w.options()); err == nil {
		t.Fatal("opened without a queue")
	}
	if err := os.Remove(filepath.Join(w.dir, "queue")); err != nil {
		t.Fatal(err)
	}
	w.run()
	w.awaitBound(1)
	w.end()
	wantNobodyLeft(t)
}

// TestR20_Drain: an idle session gets 421, a transaction under way its 250,
// and what was accepted is there after the restart.
func TestR20_Drain(t *testing.T) {
	var hop *mtatest.Peer
	up := make(chan struct{})
	w := start(t, func(w *world, c *store.Config) {
		hop = mtatest.StartPeer(t, mtatest.PeerScript{Answer: func(_ *mtatest.PeerConn, command string) string {
			select {
			case <-up:
				return ""
			default:
			}
			if strings.HasPrefix(command, "MAIL") {
				return "451 4.3.0 later"
			}
			return ""
		}})
		c.Routes = []store.Route{routeTo("ALL", hop)}
		c.BounceProfiles[0].InitialRetry, c.BounceProfiles[0].MaxRetry = 60, 60
	})
	idle, busy := dial(t, w.addr), dial(t, w.addr)
	idle.do("EHLO client.test", "250")
	busy.do("MAIL FROM:<a@sender.test>", "250")
	busy.do("RCPT TO:<b@rcpt.test>", "250")
	busy.do("DATA", "354")
	busy.send("Subject: begun")
	stop := w.stop
	stop()
	idle.want("421")
	idle.closed()
	if _, err := net.Dial("tcp", w.addr.String()); err == nil {
		t.Error("a new connection is taken")
	}
	busy.do("\r\nx\r\n.", "250")
	busy.want("421")
	busy.closed()
	w.end()
	wantNobodyLeft(t)
	if s, err := w.try(w.edit("admin", hostname("late.test"))); err == nil {
		t.Errorf("committed after the end: %+v", s)
	}

	close(up)
	w.reopen()
	w.awaitBound(1)
	await(t, "the message in the queue or at the hop", func() bool {
		return w.gateway.Status().Queue.Messages == 1 || len(hop.Messages()) == 1
	})
}

// TestR20_RunThatIsToEndAtOnce closes everything too.
func TestR20_RunThatIsToEndAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	w.open()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.gateway.Run(ended); err != nil {
		t.Error(err)
	}
	wantNobodyLeft(t)
}

// wantNobodyLeft fails if a goroutine of the gateway is there after its end.
func wantNobodyLeft(t *testing.T) {
	t.Helper()
	var left string
	await(t, "the end of all goroutines", func() bool {
		stacks := make([]byte, 1<<20)
		left = ""
		for _, g := range strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			ours := strings.Contains(g, "esa/mta") && !strings.Contains(g, "mtatest") && !strings.Contains(g, "testing.tRunner")
			if ours {
				left += g + "\n\n"
			}
		}
		return left == ""
	})
}
