package mtatest

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
)

// Ports that systems give to nobody who does not ask for them by number: Linux
// hands out 32768 and above, IANA's range for it begins at 49152.
const (
	firstPort = 10000
	lastPort  = 32767
)

// FreeAddr finds a TCP port that is free on an address of this machine, for a
// program that will be told to listen on it. It stays free when others ask for
// any port meanwhile, which takes one of what the system hands out.
func FreeAddr(address string) (netip.AddrPort, error) {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		l, listenErr := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
		if err = listenErr; err == nil {
			return netip.AddrPortFrom(ip, uint16(port)), l.Close()
		}
	}
	return netip.AddrPort{}, errors.Join(errors.New("no port is free"), err)
}
