//go:build integration && !soak

package main

import "time"

// patience bounds every wait for something that must happen.
const patience = 2 * time.Minute

// Counts of the short run, which fits CI. The soak run has its own.
const (
	relayMessages = 5000
	stormCommits  = 100
	powerCuts     = 4
	kills         = 50
	largeMessages = 20
	largeSize     = 10 << 20
	largeMemory   = 64 << 20
	slowClients   = 300
	stops         = 4
	bookMessages  = 10000
	bombs         = 150
	bombSize      = 1 << 20
	flood         = 6 * time.Second
	floodDisk     = "size=24m"
	floodRoom     = 4 << 20
)
