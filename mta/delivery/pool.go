package delivery

import (
	"errors"
	"os"
	"sync"
	"time"
)

// maxIdle bounds the connections that wait for another message.
const maxIdle = 256

// pool keeps connections between messages. Each has a goroutine that reads
// from it while it waits: what the peer sends unasked, its end, and the idle
// time all end the connection, at once and without a message being at risk.
type pool struct {
	watchers sync.WaitGroup

	mu     sync.Mutex
	idle   map[connKey][]*idleConn
	count  int
	closed bool
}

type idleConn struct {
	*conn
	quiet chan bool // once: whether the peer stayed silent until the watcher was stopped
}

// put hands a connection over until it is taken or has waited long enough. It
// reports false if there is no place.
func (p *pool) put(c *conn, wait time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.count >= maxIdle || c.in.pending() {
		return false
	}
	i := &idleConn{conn: c, quiet: make(chan bool, 1)}
	c.net.SetReadDeadline(time.Now().Add(wait))
	p.idle[c.key] = append(p.idle[c.key], i)
	p.count++
	p.watchers.Go(func() { p.watch(i) })
	return true
}

// watch waits on an idle connection until something happens to it.
func (p *pool) watch(i *idleConn) {
	n, err := i.net.Read(make([]byte, 1))
	quiet := n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
	i.quiet <- quiet
	if p.remove(i) {
		i.close(quiet)
	}
}

// take gives the connection with this key that was used last, or nil.
func (p *pool) take(key connKey) *conn {
	for {
		i := p.pop(key)
		if i == nil {
			return nil
		}
		if i.halt() {
			return i.conn
		}
		i.close(false)
	}
}

// halt stops the watcher of a connection that is in the pool no more and
// reports whether the connection can be used.
func (i *idleConn) halt() bool {
	i.net.SetReadDeadline(past)
	quiet := <-i.quiet
	i.net.SetReadDeadline(time.Time{})
	return quiet
}

func (p *pool) pop(key connKey) *idleConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.idle[key]
	if len(list) == 0 {
		return nil
	}
	last := list[len(list)-1]
	p.setLocked(key, list[:len(list)-1])
	p.count--
	return last
}

// remove takes one connection out; false if somebody else did.
func (p *pool) remove(i *idleConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.idle[i.key]
	for at, other := range list {
		if other == i {
			p.setLocked(i.key, append(list[:at:at], list[at+1:]...))
			p.count--
			return true
		}
	}
	return false
}

func (p *pool) setLocked(key connKey, list []*idleConn) {
	if len(list) == 0 {
		delete(p.idle, key)
	} else {
		p.idle[key] = list
	}
}

// closeUnless closes the idle connections whose key does not pass.
func (p *pool) closeUnless(keep func(connKey) bool) {
	p.mu.Lock()
	var out []*idleConn
	for key, list := range p.idle {
		if !keep(key) {
			out = append(out, list...)
			p.count -= len(list)
			delete(p.idle, key)
		}
	}
	p.mu.Unlock()
	for _, i := range out {
		i.conn.close(i.halt())
	}
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
}

func (p *pool) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}
