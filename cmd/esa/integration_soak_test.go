//go:build integration && soak

package main

import "time"

// patience bounds every wait for something that must happen.
const patience = 20 * time.Minute

// Counts of the soak run.
const (
	relayMessages = 100000
	stormCommits  = 2000
	powerCuts     = 20
	kills         = 300
	largeMessages = 200
	largeSize     = 50 << 20
	largeMemory   = 512 << 20
	slowClients   = 2000
	stops         = 20
	bookMessages  = 10000
	bombs         = 1000
	bombSize      = 10 << 20
	flood         = 10 * time.Minute
	floodDisk     = "size=500m"
	floodRoom     = 400 << 20
)
