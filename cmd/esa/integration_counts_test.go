//go:build integration && !soak

package main

// Counts of the short run, which fits CI. The soak run has its own.
const (
	relayMessages = 5000
	stormCommits  = 100
	kills         = 20
	bookMessages  = 10000
)
