package socket

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"esa/mta/mtatest"
)

// patience bounds every wait for what must come.
const patience = 30 * time.Second

// greet says under which key a connection is served, and closes it when the
// client does.
func greet(key netip.AddrPort, conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "220 %s\r\n", key)
	_, _ = io.Copy(io.Discard, conn)
}

func newSet(t testing.TB) *Set {
	s := NewSet(greet, nil)
	s.linger = 20 * time.Millisecond
	t.Cleanup(func() { s.Close(); s.Wait() })
	return s
}

// change prepares and applies.
func (s *Set) change(t testing.TB, addrs ...netip.AddrPort) {
	t.Helper()
	c, errs := s.Prepare(wants(addrs...))
	if errs != nil {
		t.Fatal(errs)
	}
	c.Apply()
}

func wants(addrs ...netip.AddrPort) []Want {
	var all []Want
	for _, a := range addrs {
		all = append(all, Want{Addr: a})
	}
	return all
}

// free finds a port that is free on all addresses.
func free(t testing.TB) uint16 {
	t.Helper()
	addr, err := mtatest.FreeAddr("0.0.0.0")
	if err != nil {
		t.Fatal(err)
	}
	return addr.Port()
}

func at(addr string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(addr), port)
}

// ask connects and returns the greeting.
func ask(addr netip.AddrPort) (string, error) {
	conn, err := net.DialTimeout("tcp", addr.String(), patience)
	if err != nil {
		return "", err
	}
	return greeting(conn)
}

// greeting reads the first line and closes without leaving TIME_WAIT behind.
func greeting(conn net.Conn) (string, error) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_ = conn.(*net.TCPConn).SetLinger(0)
	buf := make([]byte, 100)
	n, err := conn.Read(buf)
	return strings.TrimSpace(string(buf[:n])), err
}

func wantKey(t *testing.T, addr, key netip.AddrPort) {
	t.Helper()
	if got, err := ask(addr); err != nil || got != "220 "+key.String() {
		t.Errorf("%s: %q, %v; want key %s", addr, got, err, key)
	}
}

func wantRefused(t *testing.T, addr netip.AddrPort) {
	t.Helper()
	if got, err := ask(addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%s: %q, %v; want refused", addr, got, err)
	}
}

// inode tells sockets apart.
func (s *Set) inode(t testing.TB, key netip.AddrPort) uint64 {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var st syscall.Stat_t
	k := s.socks[key]
	if k == nil {
		t.Fatalf("%s is not held", key)
	}
	if err := k.control(func(fd int) error { return syscall.Fstat(fd, &st) }); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// gone waits until the socket of a retired key is closed.
func (s *Set) gone(key netip.AddrPort) {
	s.mu.Lock()
	k := s.socks[key]
	s.mu.Unlock()
	if k != nil {
		<-k.done
	}
}

func TestAddAndRemove(t *testing.T) {
	s := newSet(t)
	port := free(t)
	a, b := at("127.0.0.1", port), at("127.0.0.2", port)
	s.change(t, a, b)
	wantKey(t, a, a)
	wantKey(t, b, b)
	before := s.inode(t, a)
	s.change(t, a)
	s.gone(b)
	wantKey(t, a, a)
	wantRefused(t, b)
	if s.inode(t, a) != before {
		t.Error("the kept address has another socket")
	}
	if got := s.Bound(); len(got) != 1 || got[0] != a {
		t.Errorf("Bound() = %v", got)
	}
}

func TestPortZero(t *testing.T) {
	s := newSet(t)
	key := at("127.0.0.1", 0)
	s.change(t, key)
	real := s.Bound()[0]
	wantKey(t, real, key)
	s.change(t, key)
	if s.Bound()[0] != real {
		t.Error("the kernel was asked again")
	}
}

func TestIPv6(t *testing.T) {
	if l, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skip("no IPv6: ", err)
	} else {
		l.Close()
	}
	s := newSet(t)
	port := free(t)
	all4, all6, one6 := at("0.0.0.0", port), at("::", port), at("::1", port)
	s.change(t, all4, all6, one6)
	wantKey(t, at("127.0.0.1", port), all4)
	wantKey(t, one6, one6)
	s.change(t, all4, all6)
	wantKey(t, one6, all6)
}

// TestFailedPrepare changes nothing and names every problem.
func TestFailedPrepare(t *testing.T) {
	s := newSet(t)
	port := free(t)
	kept, added := at("127.0.0.1", port), at("127.0.0.2", port)
	s.change(t, kept)
	before := s.inode(t, kept)
	other, err := net.Listen("tcp", "127.0.0.3:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	taken := netip.MustParseAddrPort(other.Addr().String())
	strange := at("192.0.2.9", port)
	c, errs := s.Prepare(wants(added, taken, kept, strange, added))
	if c != nil || len(errs) != 3 {
		t.Fatalf("%v, errors %v", c, errs)
	}
	for i, want := range []string{
		fmt.Sprintf("port %d on 127.0.0.3 is in use: stop", taken.Port()),
		"address 192.0.2.9 is not on this machine: add it",
		fmt.Sprintf("127.0.0.2 port %d is wanted by two listeners: give", port),
	} {
		if !strings.HasPrefix(errs[i].Error(), want) {
			t.Errorf("error %q, want %q", errs[i], want)
		}
	}
	var be *BindError
	if !errors.As(errs[0], &be) || be.Addr != taken || !errors.Is(be, syscall.EADDRINUSE) {
		t.Errorf("%#v", errs[0])
	}
	wantKey(t, kept, kept)
	wantRefused(t, added)
	if s.inode(t, kept) != before {
		t.Error("the kept address has another socket")
	}
}

func TestAbort(t *testing.T) {
	s := newSet(t)
	port := free(t)
	a, b := at("127.0.0.1", port), at("127.0.0.2", port)
	s.change(t, a)
	c, errs := s.Prepare(wants(b))
	if errs != nil {
		t.Fatal(errs)
	}
	if _, errs := s.Prepare(wants(a)); len(errs) != 1 || errs[0] != errPending {
		t.Errorf("a second change: %v", errs)
	}
	c.Abort()
	c.Apply()
	wantKey(t, a, a)
	wantRefused(t, b)
}

func TestBootRetry(t *testing.T) {
	s := newSet(t)
	other, err := net.Listen("tcp", "127.0.0.3:0")
	if err != nil {
		t.Fatal(err)
	}
	taken, fine := netip.MustParseAddrPort(other.Addr().String()), at("127.0.0.1", free(t))
	all := wants(taken, fine)
	for range 2 {
		c, errs := s.PrepareWhatCan(all)
		var be *BindError
		if len(errs) != 1 || !errors.As(errs[0], &be) || be.Addr != taken {
			t.Fatalf("errors %v", errs)
		}
		c.Apply()
		wantKey(t, fine, fine)
	}
	other.Close()
	c, errs := s.PrepareWhatCan(all)
	if errs != nil {
		t.Fatal(errs)
	}
	c.Apply()
	wantKey(t, taken, taken)
	wantKey(t, fine, fine)
}

// TestRetireServesTheAcceptQueue: clients that came before anything was
// accepted are served though the address is removed, and though all is closed.
func TestRetireServesTheAcceptQueue(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *Set){
		"removed": func(t *testing.T, s *Set) { s.change(t) },
		"closed":  func(_ *testing.T, s *Set) { s.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSet(t)
			a := at("127.0.0.1", free(t))
			c, errs := s.Prepare(wants(a))
			if errs != nil {
				t.Fatal(errs)
			}
			var conns []net.Conn
			for range 50 {
				conn, err := net.Dial("tcp", a.String())
				if err != nil {
					t.Fatal(err)
				}
				conns = append(conns, conn)
			}
			c.Apply()
			end(t, s)
			for _, conn := range conns {
				if got, err := greeting(conn); err != nil || got != "220 "+a.String() {
					t.Errorf("%q, %v", got, err)
				}
			}
			s.gone(a)
			wantRefused(t, a)
		})
	}
}

// TestFinishEmptiesTheQueue is the last moment of a socket alone, where the
// accept loop has taken nothing.
func TestFinishEmptiesTheQueue(t *testing.T) {
	s := newSet(t)
	a := at("127.0.0.1", free(t))
	k, err := bind(a, false)
	if err != nil {
		t.Fatal(err)
	}
	k.set = s
	if err := k.listen(100); err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	for range 50 {
		conn, err := net.Dial("tcp", a.String())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	k.finish()
	for _, conn := range conns {
		if got, err := greeting(conn); err != nil || got != "220 "+a.String() {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// TestWantedAgain: an address that comes back while it lingers has the same
// socket, and an aborted change lets it go on lingering.
func TestWantedAgain(t *testing.T) {
	s := newSet(t)
	s.linger = time.Hour
	a := at("127.0.0.1", free(t))
	s.change(t, a)
	before := s.inode(t, a)
	s.change(t)
	wantSilent(t, a)
	c, errs := s.Prepare(wants(a))
	if errs != nil {
		t.Fatal(errs)
	}
	c.Abort()
	wantSilent(t, a)
	s.change(t, a)
	wantKey(t, a, a)
	if s.inode(t, a) != before {
		t.Error("it has another socket")
	}
}

// wantSilent: a handshake is neither answered nor refused.
func wantSilent(t *testing.T, a netip.AddrPort) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", a.String(), 50*time.Millisecond)
	var ne net.Error
	if !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("dialing a retired socket: %v, %v", conn, err)
	}
}

// TestRemovedAndAddedAtOnce waits for sockets that are being closed.
func TestRemovedAndAddedAtOnce(t *testing.T) {
	s := newSet(t)
	s.linger = 0
	a := at("127.0.0.1", free(t))
	for range 200 {
		s.change(t, a)
		s.change(t)
	}
	s.change(t, a)
	wantKey(t, a, a)
}

func TestBacklogChanges(t *testing.T) {
	s := newSet(t)
	a := at("127.0.0.1", free(t))
	s.change(t, a)
	before := s.inode(t, a)
	c, errs := s.Prepare([]Want{{a, 7}})
	if errs != nil {
		t.Fatal(errs)
	}
	c.Apply()
	s.mu.Lock()
	err := s.socks[a].control(func(fd int) error {
		got, err := acceptQueue(fd)
		if err == nil && got != 7 {
			t.Errorf("accept queue of %d", got)
		}
		return err
	})
	s.mu.Unlock()
	if err != nil || s.inode(t, a) != before {
		t.Errorf("error %v, or another socket", err)
	}
}

func TestClosedSet(t *testing.T) {
	s := newSet(t)
	a := at("127.0.0.1", free(t))
	c, errs := s.Prepare(wants(a))
	if errs != nil {
		t.Fatal(errs)
	}
	s.Close()
	c.Apply()
	c.Abort()
	wantRefused(t, a)
	if _, errs := s.Prepare(nil); len(errs) != 1 || errs[0] != errClosed {
		t.Errorf("errors %v", errs)
	}
	s.Close()
}

func TestErrorTexts(t *testing.T) {
	addr := at("192.0.2.1", 25)
	for err, want := range map[error]string{
		syscall.EACCES:       "no permission for port 25 on 192.0.2.1: ports below 1024 need root or the capability CAP_NET_BIND_SERVICE; grant it or choose a higher port",
		syscall.EMFILE:       "no descriptor is free for port 25 on 192.0.2.1: raise the limit of open files (LimitNOFILE of the service)",
		syscall.EAFNOSUPPORT: "this system has no IPv6, which 192.0.2.1 needs: enable it or correct the address with interfaceconfig",
		syscall.EIO:          "listening on port 25 of 192.0.2.1: bind: input/output error",
	} {
		if got := (&BindError{addr, fmt.Errorf("bind: %w", err)}).Error(); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}
