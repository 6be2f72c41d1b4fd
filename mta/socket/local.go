package socket

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// Local reports, by its error, that an address cannot be used on this machine.
// It is decided by binding: an address such as 127.0.0.2 is in nobody's list
// and yet there. The error is a *BindError.
func Local(addr netip.Addr) error {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
	if err == nil {
		return conn.Close()
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = errno
	}
	return &BindError{Addr: netip.AddrPortFrom(addr, 0), Err: err}
}
