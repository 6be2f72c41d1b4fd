package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"esa/commands"
)

// fakeProc writes what gauges read of /proc.
func (g *gauges) fakeProc(t *testing.T, stat, own string, disk int) {
	t.Helper()
	info, err := os.Stat(filepath.Join(g.dir, "queue"))
	if err != nil {
		t.Fatal(err)
	}
	device := info.Sys().(*syscall.Stat_t).Dev
	for name, text := range map[string]string{
		"stat":       stat + "\ncpu0 1 2 3\n",
		"self/stat":  "7 (a) name) S 1 2 3 4 5 6 7 8 9 10 " + own + " 0 0\n",
		"self/statm": "1000 " + fmt.Sprint(50<<20/os.Getpagesize()) + " 3\n",
		"meminfo":    "MemTotal: 1024000 kB\n",
		"diskstats":  fmt.Sprintf("   9    9 other 1 2 3 4 5 6 7 8 9 77 11\n %d %d sda 1 2 3 4 5 6 7 8 9 %d 11\n", unix.Major(device), unix.Minor(device), disk),
	} {
		path := filepath.Join(g.proc, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestGauges measures shares of the time between two looks.
func TestGauges(t *testing.T) {
	data, proc := t.TempDir(), t.TempDir()
	for _, name := range []string{"queue", "logs"} {
		if err := os.Mkdir(filepath.Join(data, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	g := &gauges{dir: data, proc: proc, now: func() time.Time { return now }}
	g.fakeProc(t, "cpu 100 0 100 700 100 0 0 0", "10 20", 5000)
	g.last = g.ticks()
	s := g.system()
	if s.TotalCPU.Known || s.CPU.Known || s.DiskIO.Known || s.RAM != (commands.Percent{Known: true, Value: 5}) || !s.LogUsed.Known || s.LogFree <= 0 {
		t.Errorf("at once: %+v", s)
	}
	now = now.Add(10 * time.Second)
	g.fakeProc(t, "cpu 200 0 200 1300 200 0 0 0", "40 40", 7500)
	want := commands.System{TotalCPU: commands.Percent{Known: true, Value: 22}, CPU: commands.Percent{Known: true, Value: 6}, DiskIO: commands.Percent{Known: true, Value: 25}}
	for _, later := range []time.Duration{0, shortestLook / 2} {
		now = now.Add(later)
		if s := g.system(); s.TotalCPU != want.TotalCPU || s.CPU != want.CPU || s.DiskIO != want.DiskIO {
			t.Errorf("%+v, want %+v", s, want)
		}
	}
	// A system without /proc says nothing.
	g.proc = filepath.Join(proc, "none")
	now = now.Add(time.Minute)
	if s := g.system(); s.TotalCPU.Known || s.CPU.Known || s.DiskIO.Known || s.RAM.Known {
		t.Errorf("%+v", s)
	}
}

// TestGauges_ThisMachine: what Linux has is found.
func TestGauges_ThisMachine(t *testing.T) {
	busy, total := cpuTicks("/proc/stat")
	if own := ownTicks("/proc/self/stat"); total == 0 || busy > total || own > total {
		t.Errorf("%d of %d ticks, %d our own", busy, total, own)
	}
	if p := newGauges(t.TempDir()).ram(); !p.Known {
		t.Errorf("%+v", p)
	}
}

// TestFolder_Save: what fails half way leaves the old file and nothing else.
func TestFolder_Save(t *testing.T) {
	f := folder(t.TempDir())
	if err := f.Save("a.mbox", func(w io.Writer) error { _, err := io.WriteString(w, "one"); return err }); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	err := f.Save("a.mbox", func(w io.Writer) error {
		_, err := io.Copy(w, strings.NewReader(strings.Repeat("x", 1<<20)))
		return errors.Join(err, broken)
	})
	data, readErr := f.Read("a.mbox")
	files, _ := os.ReadDir(string(f))
	if !errors.Is(err, broken) || readErr != nil || !bytes.Equal(data, []byte("one")) || len(files) != 1 {
		t.Errorf("%v, %q, %v, %d files", err, data, readErr, len(files))
	}
	if f.Save("../x", nil) == nil {
		t.Error("a name that leads out is taken")
	}
}
