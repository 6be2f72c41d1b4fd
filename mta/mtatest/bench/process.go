package main

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// process is a program and everything it started.
type process struct{ pid int }

// stat is what the kernel tells of one process.
type stat struct {
	pid, parent int
	name        string
	ticks       int64 // of itself and of the children it has waited for
}

// tick is the unit of processor time in /proc; it is the same on all Linux.
const tick = time.Second / 100

// readStat reads /proc/PID/stat; false if the process is gone.
func readStat(pid int) (stat, bool) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return stat{}, false
	}
	before, after, _ := strings.Cut(string(text), ") ")
	_, name, _ := strings.Cut(before, "(")
	words := strings.Fields(after)
	if len(words) < 15 {
		return stat{}, false
	}
	s := stat{pid: pid, name: name}
	s.parent, _ = strconv.Atoi(words[1])
	for _, word := range words[11:15] { // utime, stime, cutime, cstime
		n, _ := strconv.ParseInt(word, 10, 64)
		s.ticks += n
	}
	return s, true
}

// tree gives the process and its descendants.
func (p *process) tree() []stat {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]stat{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, ok := readStat(pid); ok {
			children[s.parent] = append(children[s.parent], s)
		}
	}
	var all []stat
	if s, ok := readStat(p.pid); ok {
		all = append(all, s)
	}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i].pid]...)
	}
	return all
}

// cpu is the processor time used so far.
func (p *process) cpu() time.Duration {
	var ticks int64
	for _, s := range p.tree() {
		ticks += s.ticks
	}
	return time.Duration(ticks) * tick
}

// highest is the most memory that the process itself has had.
func (p *process) highest() int64 { return field(p.pid, "status", "VmHWM:") }

// memory is what the process and its children have now; what they share is
// counted once.
func (p *process) memory() int64 {
	var sum int64
	for _, s := range p.tree() {
		sum += field(s.pid, "smaps_rollup", "Pss:")
	}
	return sum
}

// field reads a size in kB out of a file of /proc, in bytes.
func field(pid int, file, name string) int64 {
	f, err := os.Open(filepath.Join("/proc", strconv.Itoa(pid), file))
	if err != nil {
		return 0
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		if rest, found := strings.CutPrefix(in.Text(), name); found {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}
