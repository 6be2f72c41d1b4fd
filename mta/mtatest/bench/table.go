package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress says on standard error what is being measured.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

func sizeText(bytes int) string {
	if bytes >= 1<<20 {
		return fmt.Sprintf("%d MB", bytes>>20)
	}
	return fmt.Sprintf("%d KB", bytes>>10)
}

func (r round) getRate() float64  { return r.rate }
func (r round) getCPU() float64   { return r.cpu }
func (r round) getSyncs() float64 { return r.syncs }

// both gives the medians of one figure.
func (c *cell) both(pick func(round) float64) (ours, theirs float64) {
	return median(c.rounds[0], pick), median(c.rounds[1], pick)
}

// spread gives the least and the most of our rates over theirs, round by round.
func (c *cell) spread() string {
	least, most := 0.0, 0.0
	for n := range c.rounds[0] {
		ratio := c.rounds[0][n].rate / c.rounds[1][n].rate
		if n == 0 || ratio < least {
			least = ratio
		}
		most = max(most, ratio)
	}
	return fmt.Sprintf("%.1f–%.1f", least, most)
}

// printCells prints what throughput found. Ratios are ours over theirs.
func printCells(w io.Writer, cells []*cell) error {
	var b strings.Builder
	b.WriteString("| size | sessions | rate | (rounds) | CPU | memory | messages/s esa | Postfix | CPU-s per 1,000 esa | Postfix | peak MB esa | Postfix |\n")
	b.WriteString("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, c := range cells {
		rate, theirRate := c.both(round.getRate)
		cpu, theirCPU := c.both(round.getCPU)
		mb := func(i int) float64 { return float64(c.memory[i]) / (1 << 20) }
		fmt.Fprintf(&b, "| %s | %d | %.1f × | %s | %.2f × | %.2f × | %.0f | %.0f | %.2f | %.2f | %.0f | %.0f |\n",
			sizeText(c.load.Size), c.load.Sessions, rate/theirRate, c.spread(), cpu/theirCPU, mb(0)/mb(1),
			rate, theirRate, cpu, theirCPU, mb(0), mb(1))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// printSlow prints what slow found.
func printSlow(w io.Writer, cells []*cell) error {
	var b strings.Builder
	b.WriteString("\nEvery sync 5 ms longer, ext4 with a journal:\n\n")
	b.WriteString("| size | sessions | rate | (rounds) | syncs per message esa | Postfix | messages/s esa | Postfix |\n")
	b.WriteString("|---|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, c := range cells {
		rate, theirRate := c.both(round.getRate)
		syncs, theirSyncs := c.both(round.getSyncs)
		fmt.Fprintf(&b, "| %s | %d | %.1f × | %s | %.3f | %.2f | %.0f | %.0f |\n",
			sizeText(c.load.Size), c.load.Sessions, rate/theirRate, c.spread(), syncs, theirSyncs, rate, theirRate)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
