package queue

import (
	"errors"
	"sync"
)

// errSyncFailed is what a message gets that was written before a sync failed
// and came to its own sync after it.
var errSyncFailed = errors.New("an earlier sync failed")

// syncer lets all that wait for durability share one sync. At most one is in
// progress; who comes meanwhile shares the next.
//
// A failed sync says that something written before it is lost, not what: the
// kernel may have dropped those pages and call them clean, so that the next
// sync succeeds without them. Therefore it fails everybody who had written by
// then: its own group, the group that waits for the next, and, by the epoch
// they began in, those who still write.
type syncer struct {
	open func() (syncHandle, error) // a new handle

	mu      sync.Mutex
	handle  syncHandle // nil: to be opened
	epoch   uint64     // counts failures
	waiting *group
	busy    bool
	syncs   uint64
	done    sync.WaitGroup
}

type group struct {
	ended chan struct{}
	err   error
}

func (s *syncer) now() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch
}

// wait returns when everything its caller has written since epoch is on
// stable storage, or cannot be known to be.
func (s *syncer) wait(epoch uint64) error {
	s.mu.Lock()
	if epoch != s.epoch {
		s.mu.Unlock()
		return errSyncFailed
	}
	if s.waiting == nil {
		s.waiting = &group{ended: make(chan struct{})}
	}
	g := s.waiting
	if !s.busy {
		s.busy = true
		s.done.Go(s.run)
	}
	s.mu.Unlock()
	<-g.ended
	return g.err
}

// run syncs for one group after the other until nobody waits.
func (s *syncer) run() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.waiting != nil {
		g := s.waiting
		s.waiting = nil
		s.mu.Unlock()
		err := s.once()
		s.mu.Lock()
		s.syncs++
		if err != nil {
			s.failLocked(g, err)
			continue
		}
		close(g.ended)
	}
	s.busy = false
}

// once syncs on the open handle. Only run calls it, one at a time.
func (s *syncer) once() error {
	if s.handle == nil {
		h, err := s.open()
		if err != nil {
			return err
		}
		s.handle = h
	}
	err := s.handle.Sync()
	if err == nil {
		return nil
	}
	err = errors.Join(err, s.handle.Close())
	// The next one is opened before anybody writes that will count on it: of
	// an error before its opening a handle may not be told.
	next, openErr := s.open()
	if s.handle = next; openErr != nil {
		s.handle = nil
	}
	return errors.Join(err, openErr)
}

// failLocked fails g and those who wait for the next sync.
func (s *syncer) failLocked(g *group, err error) {
	s.epoch++
	g.err = err
	close(g.ended)
	if next := s.waiting; next != nil {
		s.waiting = nil
		next.err = err
		close(next.ended)
	}
}

// close waits for the sync in progress and closes the handle.
func (s *syncer) close() error {
	s.done.Wait()
	if s.handle == nil {
		return nil
	}
	return s.handle.Close()
}

// count is how many syncs there were.
func (s *syncer) count() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.syncs
}
