//go:build integration && soak

package main

// Counts of the soak run.
const (
	relayMessages = 100000
	stormCommits  = 2000
	powerCuts     = 20
	kills         = 300
)
