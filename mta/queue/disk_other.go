//go:build !linux

package queue

import "math"

// openSystem is not offered: what a sync of all promises elsewhere is not known.
func (osDisk) openSystem(string) (syncHandle, error) { return nil, errUnsupported }

func (osDisk) claim(string, string) error { return errUnsupported }

// free does not know; a full disk shows when it is written to.
func (osDisk) free(string) (space, error) { return space{bytes: math.MaxInt64, inodes: -1}, nil }
