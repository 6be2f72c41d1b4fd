package queue

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"esa/mta/envelope"
)

// childDir names the environment variable that makes TestKillChild the
// process that is killed.
const childDir = "ESA_QUEUE_KILL_CHILD"

// TestKillChild adds messages until it is killed and prints each id that was
// acknowledged. It is no test by itself.
func TestKillChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		t.Skip("only as the child of TestKill")
	}
	r := setup{dir: dir, disk: osDisk{}, courier: &courier{answer: func(job envelope.Job, _ envelope.Recipient) envelope.Outcome {
		if job.Message.MID%3 == 0 {
			return accepted()
		}
		return busy()
	}}}.open(t).run()
	fmt.Println("begun")
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			for {
				m := r.message("a@sender.test", "b@there.test")
				body := bodyOf(m.MID)
				if err := r.tryAdd(m, body); err != nil {
					t.Error(err)
					return
				}
				fmt.Printf("acknowledged %d\n", m.MID) // one write
			}
		})
	}
	all.Wait()
}

// bodyOf gives a body that tells its message.
func bodyOf(m envelope.MID) string {
	return strings.Repeat(fmt.Sprintf("%d\r\n", m), 1+int(m)%20000)
}

func TestKill_NothingAcknowledgedIsMissingOrChanged(t *testing.T) { // R2
	if testing.Short() {
		t.Skip("takes seconds")
	}
	dir := t.TempDir()
	acked := map[envelope.MID]bool{}
	for range 5 {
		killOnce(t, dir, acked)
	}
	synctest.Test(t, func(t *testing.T) {
		c := &courier{}
		r := setup{dir: dir, courier: c}.open(t).run()
		time.Sleep(time.Hour)
		synctest.Wait()
		got := map[envelope.MID]bool{}
		for _, j := range c.seen() {
			if j.body != bodyOf(j.mid) {
				t.Errorf("MID %d came back changed", j.mid)
			}
			got[j.mid] = true
		}
		missing, kept := 0, 0
		for m := range acked {
			if got[m] {
				kept++
			} else if m%3 != 0 { // those were delivered by the child
				missing++
			}
		}
		t.Logf("%d acknowledged, %d still queued at the end", len(acked), kept)
		if s := r.Stats(); missing > 0 || kept == 0 || s.Messages != 0 || s.Unread != 0 {
			t.Errorf("%d acknowledged messages are missing; %+v", missing, s)
		}
		r.close()
	})
}

// killOnce runs the child for a moment and kills it.
func killOnce(t *testing.T, dir string, acked map[envelope.MID]bool) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestKillChild$", "-test.v")
	child.Env = append(os.Environ(), childDir+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Wait() }() // killed: it has no good end
	enough := 50 + rand.IntN(200)
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); {
		var m envelope.MID
		if _, err := fmt.Sscanf(lines.Text(), "acknowledged %d", &m); err != nil {
			continue
		}
		if acked[m] {
			t.Errorf("MID %d given out twice", m)
		}
		acked[m] = true
		if n++; n == enough {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
