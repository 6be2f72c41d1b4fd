//go:build !race

package commands

// thinning: all is tried.
const thinning = 1
