//go:build integration

package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"esa/shell/attach"
)

// trials is what a client that commits on trial was told.
type trials struct {
	stands  int  // the number of the host name that was confirmed last
	opened  int  // of the trial that was under way at the end
	confirm bool // it was asked to confirm that one
}

// tryOut commits host names with rising numbers on trial until the gateway is
// gone; every second one is confirmed, the others are taken back. It talks to
// the console itself: esa would go on without a gateway.
func tryOut(ctx context.Context, dir string, from int) trials {
	told := trials{}
	for n := from; ; n++ {
		told.opened, told.confirm = n, n%2 == 0
		act, want := "revert", "Changes taken back: "
		if told.confirm {
			act, want = "confirm", " is confirmed."
		}
		conn, err := attach.Dial(dir)
		if err != nil {
			return told
		}
		var out bytes.Buffer
		_, err = attach.Run(ctx, conn, attach.Options{
			User: "admin", IsExec: true, Command: fmt.Sprintf("sethostname gw%d.example.com; commit confirmed 60; commit %s", n, act),
			Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out,
		})
		if !strings.Contains(out.String(), want) || err != nil {
			return told
		}
		if told.confirm {
			told.stands = n
		}
	}
}

// check fails unless what runs is what was confirmed last: or what was asked to
// be confirmed at the end, of which nobody was told.
func (told trials) check(t *testing.T, g *gateway) {
	t.Helper()
	got := hostNumber(g)
	if got != told.stands && !(told.confirm && got == told.opened) {
		t.Errorf("gw%d runs; gw%d was confirmed, gw%d on trial (to be confirmed: %v)", got, told.stands, told.opened, told.confirm)
	}
	if out, err := g.try("commit confirm"); err == nil || !strings.Contains(out, "No commit waits") {
		t.Errorf("after the restart: %s", out)
	}
}

// TestTrial_Kill (C6): kill -9 at any moment of commits on trial. What nobody
// confirmed does not run after the restart; what was confirmed does.
func TestTrial_Kill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	g := startGateway(t, dir)
	g.script("sethostname gw0.example.com", "commit begin")
	stands := 0
	for round := 0; round < 1+kills/5 || stands == 0 && round < kills; round++ {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		told := make(chan trials, 1)
		go func() { told <- tryOut(ctx, dir, round*10000+1) }()
		// The moment is what is tested: any of them must do.
		time.Sleep(50*time.Millisecond + rand.N(200*time.Millisecond))
		g.kill()
		now := <-told
		cancel()
		if now.stands == 0 {
			now.stands = stands
		}
		g = startGateway(t, dir)
		now.check(t, g)
		stands = hostNumber(g)
	}
	if stands == 0 {
		t.Error("nothing was ever confirmed")
	}
	g.stop()
}

// TestTrial_KillWhileItWaits (C6): a trial of which a whole hour is left, from a
// session that is long gone.
func TestTrial_KillWhileItWaits(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	g := startGateway(t, dir)
	g.script("sethostname gw1.example.com", "commit begin")
	out := g.script("sethostname gw2.example.com", "commit confirmed 60", "status")
	if !strings.Contains(out, "is taken back at") || hostNumber(g) != 2 {
		t.Fatalf("the trial does not run:\n%s", out)
	}
	g.kill()
	g = startGateway(t, dir)
	if n := hostNumber(g); n != 1 {
		t.Errorf("gw%d runs after the restart", n)
	}
	if out := g.script("rollbackconfig list", "displayalerts"); !strings.Contains(out, "restarted before the commit was confirmed") || !strings.Contains(out, "was taken back") {
		t.Errorf("nobody is told:\n%s", out)
	}
	g.stop()
}

// TestTrial_PowerCut (C6): the same, with only what the disk holds.
func TestTrial_PowerCut(t *testing.T) {
	template := filepath.Join(t.TempDir(), "data")
	g := startGateway(t, template)
	g.script("sethostname gw0.example.com", "commit begin")
	g.stop()
	for round := range powerCuts {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			d := newLoopDisk(t)
			dir := filepath.Join(d.dir(), "data")
			perform(t, "cp", "-a", template, dir)
			perform(t, "sync", "-f", dir)
			g := startGateway(t, dir)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			told := make(chan trials, 1)
			go func() { told <- tryOut(ctx, dir, 1) }()
			time.Sleep(200*time.Millisecond + rand.N(200*time.Millisecond)) // any moment must do
			d.cutPower(g)
			now := <-told
			again := startGateway(t, dir)
			now.check(t, again)
			again.stop()
		})
	}
}
