package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"esa/mta/mtatest/smtpload"
)

// TestMain is the program of the bare server too, as main is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == bareWord {
		bareMain(os.Args[2:])
		return
	}
	os.Exit(m.Run())
}

func TestBareServerIsShakenWith(t *testing.T) {
	sink, err := smtpload.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	key, shown, err := pemOf(sink.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	s, err := newBareServer(filepath.Join(t.TempDir(), "bare.pem"), append(key, shown...))
	if err != nil {
		t.Fatal(err)
	}
	r, err := start(t.Context(), s, s.addr)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{plan: plan{length: 50 * time.Millisecond}, ctx: t.Context()}
	rate, cost, err := b.shake(r, sink.Certificate())
	if err != nil || rate <= 0 || cost < 0 {
		t.Errorf("%v handshakes a second at %v ms: %v", rate, cost, err)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if _, _, err := b.shake(r, sink.Certificate()); err == nil {
		t.Error("nobody listens, and no error")
	}
}

func TestCountSyncs(t *testing.T) {
	record := "12 syncfs(9)                         = 0 (DELAYED)\n" +
		"13 fsync(7 <unfinished ...>\n" +
		"14 fdatasync(5)                      = 0 (DELAYED)\n" +
		"13 <... fsync resumed>)              = 0 (DELAYED)\n" +
		"12 +++ exited with 0 +++\n"
	if n := countSyncs([]byte(record)); n != 3 {
		t.Errorf("%d syncs, want 3", n)
	}
}

func TestProcessMeasuresItself(t *testing.T) {
	p := process{pid: os.Getpid()}
	before, begun := p.cpu(), time.Now()
	used := time.Duration(0)
	for used == 0 && time.Since(begun) < time.Minute { // asking costs time too
		used = p.cpu() - before
	}
	if used <= 0 || used > time.Minute {
		t.Errorf("%v of processor time", used)
	}
	if now, most := p.memory(), p.highest(); now < 1<<20 || most < 1<<20 {
		t.Errorf("%d bytes, at most %d", now, most)
	}
	if tree := p.tree(); len(tree) == 0 || tree[0].pid != os.Getpid() || tree[0].name == "" {
		t.Errorf("the tree is %+v", tree)
	}
}

func TestMedian(t *testing.T) {
	self := func(v float64) float64 { return v }
	for _, tt := range []struct {
		all  []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 2}, 4}} {
		if got := median(tt.all, self); got != tt.want {
			t.Errorf("median of %v is %v", tt.all, got)
		}
	}
}

func TestNumbers(t *testing.T) {
	if got, err := numbers("1, 20,100"); err != nil || len(got) != 3 || got[2] != 100 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := numbers("1,many"); err == nil {
		t.Error("a word is taken for a number")
	}
}

func TestTableTellsRatios(t *testing.T) {
	c := &cell{
		load:   smtpload.Load{Size: 10 << 10, Sessions: 20},
		rounds: [2][]round{{{rate: 4000, cpu: 0.2}, {rate: 6000, cpu: 0.4}}, {{rate: 1000, cpu: 2}, {rate: 1000, cpu: 2}}},
		memory: [2]int64{20 << 20, 200 << 20},
	}
	var out strings.Builder
	if err := printCells(&out, []*cell{c}); err != nil {
		t.Fatal(err)
	}
	want := "| 10 KB | 20 | 6.0 × | 4.0–6.0 | 0.20 × | 0.10 × | 6000 | 1000 | 0.40 | 2.00 | 20 | 200 |\n"
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("%s\nwant\n%s", out.String(), want)
	}
}
