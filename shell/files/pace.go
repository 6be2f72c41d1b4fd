package files

import (
	"encoding/binary"
	"io"
	"sync"
)

// Packet types that give out a handle (draft-ietf-secsh-filexfer-02 §3).
const (
	packetOpen    = 3
	packetOpenDir = 11
)

// headerSize is that of the length and the type that every packet begins with.
const headerSize = 5

// paced holds back what a client sends after the opening of a file until it has
// its answer. A client that guesses the handle would otherwise use it while the
// library still makes it, which races there. Every request has one answer, and
// they come in order.
type paced struct {
	rw io.ReadWriter

	// The reader's alone.
	header [headerSize]byte
	unsent []byte // of the header
	body   uint32 // bytes of the packet that follow

	mu       sync.Mutex
	changed  sync.Cond // on mu
	asked    int
	answered int
	opening  bool  // among what is not answered there is the opening of a file
	lost     error // of writing: nothing more will be answered

	// The writer's, under mu.
	told [headerSize - 1]byte // of the length of the packet being written
	have int                  // bytes of told
	left uint32               // bytes of that packet that follow
}

func newPaced(rw io.ReadWriter) *paced {
	p := &paced{rw: rw}
	p.changed.L = &p.mu
	return p
}

// Read gives what the client sends, no more than the rest of one packet.
func (p *paced) Read(b []byte) (int, error) {
	if len(p.unsent) == 0 && p.body == 0 {
		n, err := io.ReadFull(p.rw, p.header[:])
		p.unsent = p.header[:n]
		if err != nil && n == 0 {
			return 0, err
		}
		if n == headerSize {
			p.body = max(binary.BigEndian.Uint32(p.header[:]), 1) - 1
			if err := p.admit(p.header[headerSize-1]); err != nil {
				return 0, err
			}
		}
	}
	if len(p.unsent) > 0 {
		n := copy(b, p.unsent)
		p.unsent = p.unsent[n:]
		return n, nil
	}
	n, err := p.rw.Read(b[:min(uint64(len(b)), uint64(p.body))])
	p.body -= uint32(n)
	return n, err
}

// admit waits until a packet may go on.
func (p *paced) admit(kind byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.opening && p.answered < p.asked {
		if p.lost != nil {
			return p.lost
		}
		p.changed.Wait()
	}
	p.opening = kind == packetOpen || kind == packetOpenDir || p.opening && p.answered < p.asked
	p.asked++
	return nil
}

// Write gives the client its answers and counts them.
func (p *paced) Write(b []byte) (int, error) {
	n, err := p.rw.Write(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count(b[:n])
	if err != nil {
		p.lost = err
	}
	p.changed.Broadcast()
	return n, err
}

func (p *paced) count(b []byte) {
	for len(b) > 0 {
		if p.left > 0 {
			n := min(uint64(len(b)), uint64(p.left))
			b, p.left = b[n:], p.left-uint32(n)
		} else {
			n := copy(p.told[p.have:], b)
			b, p.have = b[n:], p.have+n
			if p.have < len(p.told) {
				return
			}
			p.have, p.left = 0, binary.BigEndian.Uint32(p.told[:])
		}
		if p.left == 0 {
			p.answered++
		}
	}
}

// Close is nobody's: the session's handler ends it.
func (p *paced) Close() error { return nil }
