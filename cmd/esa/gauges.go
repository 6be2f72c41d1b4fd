package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"esa/commands"
)

// gauges measures how busy the machine is, from /proc and the file systems
// of a data directory. Shares of time are those since the last look, which is
// never less than a second ago: looks in between see the same numbers.
type gauges struct {
	dir  string
	proc string // "/proc"
	now  func() time.Time

	mu   sync.Mutex
	last ticks
	seen commands.System
}

// ticks are what is counted since the start of the machine or the process.
type ticks struct {
	at          time.Time
	busy, total uint64 // ticks of all processors; 0: not known
	own         uint64 // ticks of this process
	disk        uint64 // milliseconds that the queue's disk was busy
	diskKnown   bool
}

func newGauges(dir string) *gauges {
	g := &gauges{dir: dir, proc: "/proc", now: time.Now}
	g.last = g.ticks()
	return g
}

// shortestLook is how far apart two measurements are at least.
const shortestLook = time.Second

// system measures.
func (g *gauges) system() commands.System {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := g.ticks(); now.at.Sub(g.last.at) >= shortestLook {
		g.seen = now.since(g.last)
		g.last = now
	}
	s := g.seen
	s.RAM = g.ram()
	var fs syscall.Statfs_t
	if syscall.Statfs(filepath.Join(g.dir, "logs"), &fs) == nil && fs.Blocks > 0 {
		s.LogUsed = percent(fs.Blocks-fs.Bfree, fs.Blocks)
		s.LogFree = int64(fs.Bavail) * int64(fs.Bsize)
	}
	return s
}

// since gives the shares of the time between two measurements.
func (u ticks) since(before ticks) commands.System {
	var s commands.System
	if total := u.total - before.total; u.total > before.total {
		s.TotalCPU = percent(u.busy-before.busy, total)
		s.CPU = percent(u.own-before.own, total)
	}
	if span := u.at.Sub(before.at).Milliseconds(); u.diskKnown && before.diskKnown && span > 0 {
		s.DiskIO = percent(u.disk-before.disk, uint64(span))
	}
	return s
}

func percent(part, whole uint64) commands.Percent {
	return commands.Percent{Known: true, Value: int(min(100, (part*100+whole/2)/whole))}
}

func (g *gauges) ticks() ticks {
	u := ticks{at: g.now()}
	u.busy, u.total = cpuTicks(filepath.Join(g.proc, "stat"))
	u.own = ownTicks(filepath.Join(g.proc, "self", "stat"))
	u.disk, u.diskKnown = diskTime(filepath.Join(g.proc, "diskstats"), filepath.Join(g.dir, "queue"))
	return u
}

// cpuTicks reads the first line of /proc/stat: user nice system idle iowait
// irq softirq steal.
func cpuTicks(path string) (busy, total uint64) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, 0
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	fields := strings.Fields(string(line))
	for i := 1; i < len(fields) && i <= 8; i++ {
		n, err := strconv.ParseUint(fields[i], 10, 64)
		if err != nil {
			return 0, 0
		}
		total += n
		if i != 4 && i != 5 {
			busy += n
		}
	}
	return busy, total
}

// ownTicks reads user and system time of the process, fields 14 and 15, which
// stand behind a name in brackets.
func ownTicks(path string) uint64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, err1 := strconv.ParseUint(fields[11], 10, 64)
	system, err2 := strconv.ParseUint(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		return 0
	}
	return user + system
}

// diskTime finds how long the disk that holds a path was busy. A path on no
// disk of its own (memory, a network, layers) has none.
func diskTime(diskstats, path string) (milliseconds uint64, ok bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	text, err := os.ReadFile(diskstats)
	if err != nil {
		return 0, false
	}
	device := fmt.Sprintf("%d %d", unix.Major(stat.Dev), unix.Minor(stat.Dev))
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > 12 && fields[0]+" "+fields[1] == device {
			n, err := strconv.ParseUint(fields[12], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// ram is the share of the machine's memory that the process holds.
func (g *gauges) ram() commands.Percent {
	total := memoryMB(filepath.Join(g.proc, "meminfo"))
	text, err := os.ReadFile(filepath.Join(g.proc, "self", "statm"))
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 2 || total == 0 {
		return commands.Percent{}
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return commands.Percent{}
	}
	return percent(pages*uint64(os.Getpagesize())>>20, uint64(total))
}
