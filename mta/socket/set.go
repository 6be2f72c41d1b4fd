// Package socket keeps the listening sockets of the gateway while its
// configurations come and go: one socket per address and port, for as long as
// any configuration wants it. Connections are never refused or reset by a
// change that keeps their address.
//
// A change goes in two steps:
//
//	Prepare  binds what is added and, when all of it is bound, listens; all
//	         that can fail fails here, and Abort leaves no trace
//	Apply    accepts on what is added, retires what is removed; cannot fail
//
// A kept address keeps its socket. A removed one stops answering new
// handshakes, while those under way and the accept queue are still served for
// a second; only then is it closed. If it is wanted again meanwhile, it just
// goes on.
//
// A wildcard and an address of the machine on the same port exclude each other
// on Linux, unless both sockets have SO_REUSEPORT at the moment of binding.
// They get it for that moment only, or any program of the same user could share
// the port by asking for it (where the wildcard came second the kernel
// remembers, and such a program still could). So both can be held, the kernel
// gives a connection to the closer one, and a change in either direction
// refuses nobody. An address that is no longer wanted by itself while its
// wildcard is keeps its socket, served as the wildcard.
package socket

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// lingering is how long a retired socket serves handshakes under way: several
// round trips across the world.
const lingering = time.Second

// defaultBacklog is the accept queue of a Want that names none; the kernel
// lowers it to net.core.somaxconn.
const defaultBacklog = 1024

// Want is an address to listen on. Port 0 lets the kernel choose, which tests
// use; Bound tells what it chose.
type Want struct {
	Addr    netip.AddrPort
	Backlog int // length of the accept queue; 0: a default
}

// Set is the sockets of one process. All methods are safe for concurrent use,
// but there is only one change at a time.
type Set struct {
	serve  func(key netip.AddrPort, conn net.Conn)
	diag   *slog.Logger
	linger time.Duration

	// wanted maps the address of a socket to the Want.Addr it belongs to. It
	// is replaced whole by Apply.
	wanted atomic.Pointer[map[netip.AddrPort]netip.AddrPort]

	mu      sync.Mutex
	socks   map[netip.AddrPort]*sock // by Want.Addr; all that are not closed
	pending *Change
	closed  bool

	serving sync.WaitGroup
}

// NewSet makes an empty set. serve is called for every connection, in a
// goroutine of its own, with the Want.Addr that it belongs to; it closes the
// connection. A connection accepted while its address is being removed comes
// with an address that is no longer wanted. diag (nil: nobody) is told when
// connections cannot be accepted.
func NewSet(serve func(key netip.AddrPort, conn net.Conn), diag *slog.Logger) *Set {
	if diag == nil {
		diag = slog.New(slog.DiscardHandler)
	}
	s := &Set{serve: serve, diag: diag, linger: lingering, socks: make(map[netip.AddrPort]*sock)}
	s.wanted.Store(&map[netip.AddrPort]netip.AddrPort{})
	return s
}

// Change is a prepared change; exactly one of Apply and Abort ends it.
type Change struct {
	set     *Set
	wants   map[netip.AddrPort]int // backlogs
	added   []*sock
	claimed []*sock // were retiring
}

var (
	errPending = errors.New("another change of the listening sockets is under way")
	errClosed  = errors.New("the listening sockets are closed")
)

// Prepare gets everything ready for listening on exactly these addresses. If
// anything cannot be had, it changes nothing and returns every problem, those
// of an address as *BindError. Connections to added addresses wait in the
// accept queue until Apply.
func (s *Set) Prepare(wants []Want) (*Change, []error) {
	c, errs := s.prepare(wants)
	if len(errs) > 0 {
		if c != nil {
			c.Abort()
		}
		return nil, errs
	}
	return c, nil
}

// PrepareWhatCan is Prepare for the start of the gateway: the change has the
// addresses that can be had, the errors are about the others. Called again
// later with the same wants it tries those that are missing. The change is nil
// only if there can be none at all.
func (s *Set) PrepareWhatCan(wants []Want) (*Change, []error) { return s.prepare(wants) }

func (s *Set) prepare(wants []Want) (*Change, []error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settleLocked()
	if s.closed {
		return nil, []error{errClosed}
	}
	if s.pending != nil {
		return nil, []error{errPending}
	}
	c := &Change{set: s, wants: make(map[netip.AddrPort]int)}
	var errs []error
	for _, w := range wants {
		if err := c.addLocked(w); err != nil {
			errs = append(errs, err)
		}
	}
	errs = append(errs, c.listenLocked()...)
	s.shareLocked(c, 0)
	s.pending = c
	return c, errs
}

// addLocked takes one wanted address into the change: by the socket that is
// there, or by a new one, bound.
func (c *Change) addLocked(w Want) error {
	key := netip.AddrPortFrom(w.Addr.Addr().Unmap(), w.Addr.Port())
	if !key.Addr().IsValid() {
		return errors.New("listening: no address is given")
	}
	if _, twice := c.wants[key]; twice {
		return fmt.Errorf("%s port %d is wanted by two listeners: give one of them another interface or port", key.Addr(), key.Port())
	}
	if w.Backlog <= 0 {
		w.Backlog = defaultBacklog
	}
	k := c.set.socks[key]
	switch {
	case k == nil:
		shared := c.set.shareLocked(c, 1, key)
		k, err := bind(key, shared)
		if err != nil {
			return err
		}
		k.set, k.backlog = c.set, w.Backlog
		c.added = append(c.added, k)
	case k.state == retiring:
		k.state = claimed
		k.setDeadline(time.Time{})
		c.claimed = append(c.claimed, k)
	}
	c.wants[key] = w.Backlog
	return nil
}

// settleLocked waits for sockets that are just being closed: it takes no time,
// and their addresses are free afterwards.
func (s *Set) settleLocked() {
	for again := true; again; {
		again = false
		for _, k := range s.socks {
			if k.state == closing {
				s.mu.Unlock()
				<-k.done
				s.mu.Lock()
				again = true
				break
			}
		}
	}
}

// shareLocked sets SO_REUSEPORT on the sockets, held or added, that exclude
// one of the addresses, or without addresses on all, and reports whether there
// are any.
func (s *Set) shareLocked(c *Change, value int, addrs ...netip.AddrPort) bool {
	found := false
	share := func(k *sock) {
		if len(addrs) == 0 || exclude(k.addr, addrs[0]) {
			k.setReusePort(value)
			found = true
		}
	}
	for _, k := range s.socks {
		share(k)
	}
	for _, k := range c.added {
		share(k)
	}
	return found
}

// exclude reports whether two addresses are a wildcard and one that it covers.
func exclude(a, b netip.AddrPort) bool {
	return a.Port() == b.Port() && a.Addr().Is4() == b.Addr().Is4() && a.Addr().IsUnspecified() != b.Addr().IsUnspecified()
}

// listenLocked is the last step of preparing. What cannot listen is dropped.
func (c *Change) listenLocked() []error {
	var errs []error
	c.added = slices.DeleteFunc(c.added, func(k *sock) bool {
		err := k.listen(k.backlog)
		if err == nil {
			return false
		}
		errs = append(errs, &BindError{Addr: k.key, Err: err})
		delete(c.wants, k.key)
		k.closeUnused()
		return true
	})
	return errs
}

// Apply puts the change into effect: from here on connections are served by
// the new wants. It cannot fail, and does nothing after Close.
func (c *Change) Apply() {
	s := c.set
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending != c {
		return
	}
	s.pending = nil
	for _, k := range c.claimed {
		k.state = listening
		k.answer()
	}
	for _, k := range c.added {
		s.socks[k.key] = k
	}
	wanted := make(map[netip.AddrPort]netip.AddrPort)
	for key := range c.wants {
		wanted[s.socks[key].addr] = key
	}
	s.wanted.Store(&wanted)
	for key, k := range s.socks {
		backlog, ok := c.wants[key]
		switch {
		case ok && backlog != k.backlog:
			// Cannot fail on a socket that listens; if it did, the queue
			// would have its old length.
			_ = k.listen(backlog)
			k.backlog = backlog
		case !ok && k.state == listening && !covered(wanted, k.addr):
			k.retire(s.linger)
		}
	}
	for _, k := range c.added {
		go k.acceptLoop()
	}
}

// covered reports whether the wildcard of an address is wanted.
func covered(wanted map[netip.AddrPort]netip.AddrPort, addr netip.AddrPort) bool {
	_, ok := wanted[wildcard(addr)]
	return ok
}

// wildcard is the address that covers addr.
func wildcard(addr netip.AddrPort) netip.AddrPort {
	if addr.Addr().Is4() {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port())
	}
	return netip.AddrPortFrom(netip.IPv6Unspecified(), addr.Port())
}

// Abort gives up the change: what was bound for it is closed, all else is as
// before. After Apply or Close it does nothing.
func (c *Change) Abort() {
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	c.abortLocked()
}

func (c *Change) abortLocked() {
	if c.set.pending != c {
		return
	}
	c.set.pending = nil
	for _, k := range c.added {
		k.closeUnused()
	}
	for _, k := range c.claimed {
		k.retire(c.set.linger)
	}
}

// Bound lists the addresses that are wanted and listened on, in order.
func (s *Set) Bound() []netip.AddrPort {
	var addrs []netip.AddrPort
	for addr := range *s.wanted.Load() {
		addrs = append(addrs, addr)
	}
	slices.SortFunc(addrs, netip.AddrPort.Compare)
	return addrs
}

// Close stops listening: what waits in the accept queues is served, then the
// sockets are closed. It returns when no more connections come; those served
// go on, Wait waits for them. A pending change is aborted.
func (s *Set) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		if s.pending != nil {
			s.pending.abortLocked()
		}
		for _, k := range s.socks {
			k.retire(0)
		}
	}
	var all []*sock
	for _, k := range s.socks {
		all = append(all, k)
	}
	s.mu.Unlock()
	for _, k := range all {
		<-k.done
	}
}

// Wait returns when every call of serve has returned. It may be called only
// after Close.
func (s *Set) Wait() { s.serving.Wait() }

// hand gives a connection to serve under the address that stands for it now.
func (s *Set) hand(k *sock, conn net.Conn) {
	key := s.keyFor(k, conn)
	s.serving.Go(func() { s.serve(key, conn) })
}

// keyFor is the want of the connection's own address, else of the socket it
// came by, else of its wildcard.
func (s *Set) keyFor(k *sock, conn net.Conn) netip.AddrPort {
	wanted := *s.wanted.Load()
	if a, ok := conn.LocalAddr().(*net.TCPAddr); ok {
		local := a.AddrPort()
		if key, ok := wanted[netip.AddrPortFrom(local.Addr().Unmap(), local.Port())]; ok {
			return key
		}
	}
	if key, ok := wanted[k.addr]; ok {
		return key
	}
	if key, ok := wanted[wildcard(k.addr)]; ok {
		return key
	}
	return k.key
}
