package main

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"esa/store"
)

// TestConsole_FiftySessions: fifty people edit at once, each sees her own edits
// only, one commits, and none is disturbed; two scripts come and go meanwhile.
func TestConsole_FiftySessions(t *testing.T) {
	const people = 50
	dir, _ := prepared(t)
	h := openHouse(t, dir)
	var sessions sync.WaitGroup
	for n := range 2 {
		sessions.Go(func() {
			for range 10 {
				h.exec(fmt.Sprintf("bounceconfig new Script%d; clear y; version", n)).want(t, 0, "Current Version")
			}
		})
	}
	for n := range people {
		sessions.Go(func() {
			p := sitDownAs(t, dir, "admin", 200)
			p.patience = 5 * limit // each edit is on the disk before the prompt comes
			p.sees(".test> ")
			own := fmt.Sprintf("P%02d", n)
			p.types("bounceconfig", "[]> ")
			p.types("new", "[]> ")
			p.types(own, "[100]> ")
			p.presses("\x03")
			p.sees(".test> ")
			p.types("bounceconfig new "+own+" max_retries=7", ".test> ")
			if shown := p.types("showchanges", ".test> "); !strings.Contains(shown, own+": added") || strings.Count(shown, ": added") != 1 {
				t.Errorf("%s sees %s", own, shown)
			}
			if n == 25 {
				p.types(`commit "one of many" Y`, "Changes committed: ")
				p.sees(".test> ")
				p.types("exit", "")
			} else {
				p.types("exit", "Are you sure you wish to exit?")
				p.types("y", "")
			}
			if err := p.session.Wait(); err != nil {
				t.Errorf("%s leaves: %v", own, err)
			}
			p.conn.Close()
		})
	}
	sessions.Wait()
	h.p.console.wait(t.Context())
	config, revision := h.p.store.Running()
	if names := config.BounceProfiles; revision != 2 || len(names) != 2 || names[1].Name != "P25" {
		t.Errorf("revision %d runs, with %d bounce profiles", revision, len(names))
	}
	if pending, err := h.p.store.Pendings(); len(pending) > 0 || err != nil {
		t.Errorf("left behind: %v, %v", pending, err)
	}
}

// TestConsole_KilledClients breaks the connection at every prompt of long
// dialogs, in pastes, at the pager and while a command runs: what runs stays
// what it was, and nothing of the session stays behind.
func TestConsole_KilledClients(t *testing.T) {
	dir, _ := prepared(t)
	h := openHouse(t, dir)
	h.exec("version").want(t, 0)
	before := runtime.NumGoroutine()
	for _, tt := range []struct {
		name    string
		typed   []string // each with what the screen shows then
		expects []string
	}{
		{"a menu", []string{"listenerconfig", "edit", "1", "setup", "received", ""}, []string{"[]> ", "[]> ", "[]> ", "[]> ", "? [Y]> ", "[]> "}},
		{"questions", []string{"interfaceconfig", "new", "Data", "", "127.0.0.3"}, []string{"[]> ", "[]> ", "[Y]> ", "[]> ", "[255."}},
		{"a paste", []string{"certconfig", "certificate", "paste", "some", "-----BEGIN CERTIFICATE-----", "MIIB"}, []string{"[]> ", "[]> ", "> ", "'.'):", "", ""}},
		{"a hidden answer", []string{"passphrase", "n", "geheim"}, []string{"[N]> ", "> ", ""}},
		{"the pager", []string{"help"}, []string{"-Press Any Key For More-"}},
		{"a running command", []string{"tail system_logs"}, []string{"has started"}},
		{"commit", []string{"sethostname mx.gw.test", "commit", "words"}, []string{".test> ", "[]> ", "? [Y]> "}},
	} {
		for n := range tt.typed {
			p := sitDown(t, dir)
			if shown := p.sees(".test> "); strings.Contains(shown, "uncommitted changes") {
				p.types("clear y", ".test> ")
			}
			for i, line := range tt.typed[:n+1] {
				p.types(line, tt.expects[i])
			}
			p.vanishes()
			h.p.console.wait(t.Context())
			if name, revision := h.running(); revision != 1 || name != "gw.test" {
				t.Fatalf("%s, killed after %q: revision %d runs", tt.name, tt.typed[:n+1], revision)
			}
			h.drop(t)
		}
	}
	settled := time.Now().Add(limit)
	for runtime.NumGoroutine() > before && time.Now().Before(settled) {
		runtime.Gosched()
	}
	if now := runtime.NumGoroutine(); now > before {
		stacks := make([]byte, 1<<20)
		t.Errorf("%d goroutines, %d before:\n%s", now, before, stacks[:runtime.Stack(stacks, true)])
	}
	h.exec("status").want(t, 0, "Online")
}

// drop forgets what lost sessions left, so that nobody is asked about it.
func (h *house) drop(t *testing.T) {
	t.Helper()
	lost, err := h.p.store.Lost("admin")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lost {
		s := h.p.store.NewSession(store.Who{User: "admin", Interactive: true})
		if err := errors.Join(s.Resume(l.ID), s.Discard(), s.Close(false)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestConsole_CtrlCEndsWhatRuns: a log that is followed, a listing at the pager,
// a menu, a paste, numbers that are watched, a probe; and nothing but those.
func TestConsole_CtrlCEndsWhatRuns(t *testing.T) {
	dir, _ := prepared(t)
	h := openHouse(t, dir)
	p := sitDown(t, dir)
	p.sees(".test> ")
	p.types("sethostname kept.test", ".test> ")
	for _, tt := range []struct{ line, shown string }{
		{"tail system_logs", "has started"},
		{"help", "-Press Any Key For More-"},
		{"certconfig", "[]> "},
		{"certconfig\rcertificate\rpaste\rsome\r-----BEGIN CERTIFICATE-----", "BEGIN CERTIFICATE-----"},
		{"rate 10", "Received"},
		{"daneverify mail.example.com", ""},
	} {
		p.types(tt.line, tt.shown)
		p.presses("\x03")
		p.sees("\r\ngw.test> ")
	}
	p.types("showchanges", "kept.test")
	h.wantRunning("gw.test", 1)
}
