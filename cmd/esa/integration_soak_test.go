//go:build integration && soak

package main

// Counts of the soak run.
const (
	relayMessages = 100000
	stormCommits  = 2000
	kills         = 300
	bookMessages  = 10000
)
