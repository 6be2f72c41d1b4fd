package socket

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// BindError says why an address cannot be listened on, and what an operator
// can do. It unwraps to the system's error.
type BindError struct {
	Addr netip.AddrPort // as wanted
	Err  error
}

func (e *BindError) Unwrap() error { return e.Err }

func (e *BindError) Error() string {
	addr, port := e.Addr.Addr(), e.Addr.Port()
	switch {
	case errors.Is(e.Err, syscall.EADDRINUSE):
		return fmt.Sprintf("port %d on %s is in use: stop the program that has it (ss -ltnp shows which) or choose another port", port, addr)
	case errors.Is(e.Err, syscall.EADDRNOTAVAIL):
		return fmt.Sprintf("address %s is not on this machine: add it to a network interface of the system or correct it with interfaceconfig", addr)
	case errors.Is(e.Err, syscall.EACCES), errors.Is(e.Err, syscall.EPERM):
		return fmt.Sprintf("no permission for port %d on %s: ports below 1024 need root or the capability CAP_NET_BIND_SERVICE; grant it or choose a higher port", port, addr)
	case errors.Is(e.Err, syscall.EMFILE), errors.Is(e.Err, syscall.ENFILE):
		return fmt.Sprintf("no descriptor is free for port %d on %s: raise the limit of open files (LimitNOFILE of the service)", port, addr)
	case errors.Is(e.Err, syscall.EAFNOSUPPORT):
		return fmt.Sprintf("this system has no IPv6, which %s needs: enable it or correct the address with interfaceconfig", addr)
	default:
		return fmt.Sprintf("listening on port %d of %s: %v", port, addr, e.Err)
	}
}
