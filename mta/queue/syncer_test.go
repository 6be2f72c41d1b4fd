package queue

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slowHandle syncs for a second and counts.
type slowHandle struct {
	mu     *sync.Mutex
	opened *int
	synced *int
	err    *error
}

func (h slowHandle) Sync() error {
	time.Sleep(time.Second)
	h.mu.Lock()
	defer h.mu.Unlock()
	*h.synced++
	return *h.err
}

func (h slowHandle) Close() error { return nil }

func newSlow() (*syncer, slowHandle) {
	h := slowHandle{new(sync.Mutex), new(int), new(int), new(error)}
	return &syncer{open: func() (syncHandle, error) { *h.opened++; return h, nil }}, h
}

func TestSyncer_AllThatWaitShareTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, h := newSlow()
		start := time.Now()
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				if i > 0 {
					time.Sleep(time.Duration(i) * time.Millisecond)
				}
				if err := s.wait(s.now()); err != nil {
					t.Error(err)
				}
				if i > 0 && time.Since(start) < 2*time.Second {
					t.Errorf("%d was served by a sync that began before it wrote", i)
				}
			})
		}
		all.Wait()
		if *h.synced != 2 || *h.opened != 1 || s.count() != 2 {
			t.Errorf("%d syncs on %d handles", *h.synced, *h.opened)
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
}

func TestSyncer_AFailureFailsEverybodyWhoHadWritten(t *testing.T) { // R9
	synctest.Test(t, func(t *testing.T) {
		s, h := newSlow()
		*h.err = errStaged
		began := s.now()
		var all sync.WaitGroup
		fails := func(after time.Duration) {
			all.Go(func() {
				time.Sleep(after)
				if err := s.wait(began); err == nil {
					t.Errorf("written before the failure, synced after %v: acknowledged", after)
				}
			})
		}
		fails(0)                       // its own sync
		fails(500 * time.Millisecond)  // waits for the next
		fails(1500 * time.Millisecond) // still writing when the sync failed
		all.Wait()
		if *h.opened != 2 {
			t.Errorf("%d handles: the next must be open before anybody counts on it", *h.opened)
		}
		h.mu.Lock()
		*h.err = nil
		h.mu.Unlock()
		if err := s.wait(s.now()); err != nil {
			t.Errorf("not well again: %v", err)
		}
		if *h.opened != 2 {
			t.Errorf("%d handles: one that failed must not be asked again", *h.opened)
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
}

func TestSyncer_HandleThatCannotBeOpenedFails(t *testing.T) {
	bad := true
	s := &syncer{open: func() (syncHandle, error) {
		if bad {
			return nil, errStaged
		}
		return slowHandle{new(sync.Mutex), new(int), new(int), new(error)}, nil
	}}
	if err := s.wait(s.now()); !errors.Is(err, errStaged) {
		t.Error(err)
	}
	bad = false
	if err := s.wait(s.now()); err != nil {
		t.Error(err)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}
