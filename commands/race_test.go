//go:build race

package commands

// thinning: under the race detector, which makes all several times slower, one in
// so many of what is tried at random or at every place is tried.
const thinning = 4
