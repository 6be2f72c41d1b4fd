package mtatest

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

// Ports that systems give to nobody who does not ask for them by number: Linux
// hands out 32768 and above, IANA's range for it begins at 49152.
const (
	firstPort = 10000
	lastPort  = 32767
)

// FreeAddr finds a TCP port that is free on an address of this machine, for a
// program that will be told to listen on it. It stays free when others ask for
// any port meanwhile, which takes one of what the system hands out, and until
// this process ends FreeAddr gives its number to nobody else, on whatever
// address: tests of several packages run beside each other.
func FreeAddr(address string) (netip.AddrPort, error) {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if err = reserve(port); err != nil {
			continue
		}
		l, listenErr := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
		if err = listenErr; err == nil {
			return netip.AddrPortFrom(ip, uint16(port)), l.Close()
		}
	}
	return netip.AddrPort{}, errors.Join(errors.New("no port is free"), err)
}

// reserve takes a port number for as long as this process lives, by a name of
// the abstract namespace: the kernel gives each to one socket, and takes it back
// by itself. Where there are no such names nothing is reserved.
func reserve(port int) error {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	err = syscall.Bind(fd, &syscall.SockaddrUnix{Name: "@esa-test-port-" + strconv.Itoa(port)})
	if err == nil {
		return nil
	}
	_ = syscall.Close(fd) // it has no name
	if errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	return nil
}
