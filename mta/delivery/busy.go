package delivery

import (
	"maps"
	"sync"
)

// busy counts the connections that attempts hold, by destination.
type busy struct {
	mu     sync.Mutex
	counts map[string]int
}

func (b *busy) enter(domain string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.counts == nil {
		b.counts = make(map[string]int)
	}
	b.counts[domain]++
}

func (b *busy) leave(domain string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.counts[domain]--; b.counts[domain] == 0 {
		delete(b.counts, domain)
	}
}

func (b *busy) all() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.counts)
}
