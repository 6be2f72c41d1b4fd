//go:build integration && !soak

package main

// Counts of the short run, which fits CI. The soak run has its own.
const (
	relayMessages = 5000
	stormCommits  = 100
	powerCuts     = 2
	kills         = 20
	largeMessages = 20
	largeSize     = 10 << 20
	largeMemory   = 64 << 20
	slowClients   = 300
	stops         = 4
)
