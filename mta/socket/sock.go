package socket

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// state is where a socket is in its life. Set.mu guards it.
type state int

const (
	listening state = iota
	retiring        // not wanted; serves what has begun until its deadline
	claimed         // retiring, but a prepared change wants it
	closing         // the accept loop is about to close it
)

// sock is one listening socket. Its accept loop owns the descriptor.
type sock struct {
	set  *Set
	key  netip.AddrPort // as wanted
	addr netip.AddrPort // as bound
	l    *net.TCPListener
	raw  syscall.RawConn

	backlog int
	state   state
	done    chan struct{} // closed when the descriptor is
}

// bind makes a socket for an address, not yet listening.
func bind(key netip.AddrPort, shared bool) (*sock, error) {
	l, err := bindTCP(key, shared)
	if err != nil {
		return nil, &BindError{Addr: key, Err: err}
	}
	raw, err := l.SyscallConn()
	if err != nil {
		return nil, &BindError{Addr: key, Err: errors.Join(err, l.Close())}
	}
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	return &sock{key: key, addr: addr, l: l, raw: raw, done: make(chan struct{})}, nil
}

// bindTCP does what net.Listen does, short of listening.
func bindTCP(key netip.AddrPort, shared bool) (*net.TCPListener, error) {
	family, sa, err := sockaddr(key)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "listener")
	defer f.Close() // FileListener has its own
	// Connections of an earlier process in TIME_WAIT do not hold the port.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return nil, os.NewSyscallError("setsockopt", err)
	}
	if family == unix.AF_INET6 {
		// "::" is one address, "0.0.0.0" another, and both may be wanted.
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return nil, os.NewSyscallError("setsockopt", err)
		}
	}
	if shared {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return nil, os.NewSyscallError("setsockopt", err)
		}
	}
	if err := unix.Bind(fd, sa); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

func sockaddr(key netip.AddrPort) (family int, sa unix.Sockaddr, err error) {
	addr, port := key.Addr(), int(key.Port())
	if addr.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: port, Addr: addr.As4()}, nil
	}
	sa6 := &unix.SockaddrInet6{Port: port, Addr: addr.As16()}
	if zone := addr.Zone(); zone != "" {
		ifi, err := net.InterfaceByName(zone)
		if err != nil {
			return 0, nil, fmt.Errorf("%w: %w", unix.EADDRNOTAVAIL, err)
		}
		sa6.ZoneId = uint32(ifi.Index)
	}
	return unix.AF_INET6, sa6, nil
}

// control runs f on the descriptor.
func (k *sock) control(f func(fd int) error) error {
	var err error
	if outer := k.raw.Control(func(fd uintptr) { err = f(int(fd)) }); outer != nil {
		return outer
	}
	return err
}

// listen begins to listen, or changes the length of the accept queue.
func (k *sock) listen(backlog int) error {
	return k.control(func(fd int) error { return os.NewSyscallError("listen", unix.Listen(fd, backlog)) })
}

// setReusePort: a failure shows when the other socket is bound.
func (k *sock) setReusePort(value int) {
	_ = k.control(func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, value) })
}

// setDeadline moves the end of the accept loop; zero is never.
func (k *sock) setDeadline(t time.Time) {
	_ = k.l.SetDeadline(t) // fails only on a closed listener, where nothing is left to end
}

// closeUnused closes a socket that has no accept loop.
func (k *sock) closeUnused() {
	_ = k.l.Close() // nothing was written that could be lost
	close(k.done)
}

// retire lets the socket answer no new handshake, and its accept loop end
// after linger.
func (k *sock) retire(linger time.Duration) {
	if k.state == closing {
		return
	}
	k.state = retiring
	// Where the filter is refused, a handshake that ends in the moment between
	// the last accept and the close is reset: all else is served.
	_ = k.control(func(fd int) error {
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, ignoreSYN())
	})
	k.setDeadline(time.Now().Add(linger))
}

// ignoreSYN is a filter on what comes to a listening socket, from the TCP
// header on: the first segment of a handshake is dropped as if lost, so that
// the peer tries again, all others pass.
func ignoreSYN() *unix.SockFprog {
	const flags, syn, ack = 13, 0x02, 0x10
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: syn | ack},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: syn, Jt: 0, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
	}
	return &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
}

// answer takes back retire.
func (k *sock) answer() {
	// ENOENT if the filter was refused.
	_ = k.control(func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0) })
	k.setDeadline(time.Time{})
}

// Pauses when connections cannot be accepted, most likely because there is no
// free descriptor: nothing tells when there is one.
const (
	minPause = 5 * time.Millisecond
	maxPause = 250 * time.Millisecond
)

// acceptLoop serves the socket until it is retired, and closes it.
func (k *sock) acceptLoop() {
	defer close(k.done)
	pause := minPause
	for {
		conn, err := k.l.Accept()
		switch {
		case err == nil:
			pause = minPause
			k.set.hand(k, conn)
		case errors.Is(err, os.ErrDeadlineExceeded):
			if k.leave() {
				k.finish()
				return
			}
		default:
			if pause == minPause {
				k.set.diag.Error("connections cannot be accepted", "address", k.addr.String(), "error", err)
			}
			time.Sleep(pause)
			pause = min(2*pause, maxPause)
		}
	}
}

// leave reports whether the loop is to end: the socket may be wanted again.
func (k *sock) leave() bool {
	k.set.mu.Lock()
	defer k.set.mu.Unlock()
	if k.state != retiring {
		return false
	}
	k.state = closing
	return true
}

// finish serves what is left in the accept queue and closes the socket.
func (k *sock) finish() {
	for failures := 0; failures < 100; {
		conn, err := k.acceptNow()
		switch {
		case err == nil:
			k.set.hand(k, conn)
		case errors.Is(err, unix.EAGAIN):
			failures = 100
		default:
			failures++
			time.Sleep(minPause)
		}
	}
	if err := k.l.Close(); err != nil {
		k.set.diag.Error("closing a listening socket", "address", k.addr.String(), "error", err)
	}
	k.set.mu.Lock()
	defer k.set.mu.Unlock()
	delete(k.set.socks, k.key)
}

// acceptNow accepts without waiting, which net does not offer.
func (k *sock) acceptNow() (net.Conn, error) {
	var conn net.Conn
	err := k.control(func(fd int) error {
		nfd, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(nfd), "connection")
		conn, err = net.FileConn(f)
		return errors.Join(err, f.Close())
	})
	return conn, err
}
