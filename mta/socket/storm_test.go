package socket

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// storm lets 40 clients connect without pause while swaps go on, and returns
// how many attempts there were and how many did not get a greeting.
func storm(t *testing.T, addr netip.AddrPort, swaps int, swap func(i int)) (attempts, lost int64) {
	t.Helper()
	var tried, failed atomic.Int64
	var first atomic.Pointer[error]
	stop, ended := make(chan struct{}), make(chan struct{}, 40)
	var clients sync.WaitGroup
	for range 40 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				_, err := ask(addr)
				tried.Add(1)
				if err != nil {
					failed.Add(1)
					first.CompareAndSwap(nil, &err)
				}
				select {
				case ended <- struct{}{}:
				default:
				}
			}
		})
	}
	for i := range swaps {
		// A swap counts when clients came between it and the one before.
		for range 20 {
			<-ended
		}
		swap(i)
	}
	close(stop)
	clients.Wait()
	if err := first.Load(); err != nil {
		t.Logf("the first loss: %v", *err)
	}
	t.Logf("%d swaps, %d attempts, %d lost", swaps, tried.Load(), failed.Load())
	return tried.Load(), failed.Load()
}

// TestStormAcrossSwaps: an address that is kept loses nothing while another
// comes and goes and the settings behind both change.
func TestStormAcrossSwaps(t *testing.T) {
	s := newSet(t)
	port := free(t)
	kept, other := at("127.0.0.1", port), at("127.0.0.2", port)
	s.change(t, kept)
	before := s.inode(t, kept)
	_, lost := storm(t, kept, 200, func(i int) {
		if i%2 == 0 {
			s.change(t, kept, other)
		} else {
			s.change(t, kept)
		}
	})
	if lost > 0 || s.inode(t, kept) != before {
		t.Errorf("%d connections lost; same socket: %v", lost, s.inode(t, kept) == before)
	}
}

// TestStormBetweenWildcardAndAddress: the change in both directions refuses
// nobody, whichever was there first.
func TestStormBetweenWildcardAndAddress(t *testing.T) {
	for _, first := range []string{"0.0.0.0", "127.0.0.1"} {
		t.Run("from "+first, func(t *testing.T) {
			s := newSet(t)
			port := free(t)
			one, all := at("127.0.0.1", port), at("0.0.0.0", port)
			order := []netip.AddrPort{all, one}
			if first == "127.0.0.1" {
				order = []netip.AddrPort{one, all}
			}
			s.change(t, order[0])
			_, lost := storm(t, one, 50, func(i int) { s.change(t, order[(i+1)%2]) })
			if lost > 0 {
				t.Errorf("%d connections lost", lost)
			}
			wantKey(t, one, order[0])
		})
	}
}

func TestWildcardToAddressOnce(t *testing.T) {
	// Later changes find the address's own socket; the first one does not.
	for range 20 {
		s := newSet(t)
		port := free(t)
		one, all := at("127.0.0.1", port), at("0.0.0.0", port)
		s.change(t, all)
		if _, lost := storm(t, one, 1, func(int) { s.change(t, one) }); lost > 0 {
			t.Errorf("%d connections lost", lost)
		}
		s.gone(all)
		wantKey(t, one, one)
		wantRefused(t, at("127.0.0.2", port))
	}
}

func TestWildcardAndAddressTogether(t *testing.T) {
	s := newSet(t)
	port := free(t)
	one, two, all := at("127.0.0.1", port), at("127.0.0.2", port), at("0.0.0.0", port)
	s.change(t, all)
	s.change(t, one, all)
	wantKey(t, one, one)
	wantKey(t, two, all)
	s.change(t, all, two)
	wantKey(t, one, all) // by the socket it had
	wantKey(t, two, two)
	// SO_REUSEPORT is not left on: nobody gets the port by asking for it.
	if k, err := bind(all, true); err == nil {
		k.closeUnused()
		t.Error("another socket can have the port too")
	}
	s.change(t, two)
	s.gone(one)
	s.gone(all)
	wantRefused(t, one)
	wantKey(t, two, two)
}

// TestStormCatchesCloseAndListen: the harness sees what a gateway loses that
// closes its sockets and listens again.
func TestStormCatchesCloseAndListen(t *testing.T) {
	addr := at("127.0.0.1", free(t))
	var serving sync.WaitGroup
	listen := func() net.Listener {
		l, err := net.Listen("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		serving.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				serving.Go(func() { greet(addr, conn) })
			}
		})
		return l
	}
	l := listen()
	_, lost := storm(t, addr, 100, func(int) { l.Close(); l = listen() })
	l.Close()
	serving.Wait()
	if lost == 0 {
		t.Error("nothing was lost: the harness is blind")
	}
}

// acceptQueue is the length of a listening socket's accept queue, which the
// kernel gives in a field of TCP_INFO that means something else elsewhere.
func acceptQueue(fd int) (uint32, error) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, err
	}
	return info.Sacked, nil
}

// TestNoDescriptors: without free descriptors connections wait, and are served
// when there are some again.
func TestNoDescriptors(t *testing.T) {
	if os.Getenv("SOCKET_TEST_EXHAUST") != "" {
		serveExhausted()
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestNoDescriptors$")
	cmd.Env = append(os.Environ(), "SOCKET_TEST_EXHAUST=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Scan()
	addr, err := netip.ParseAddrPort(lines.Text())
	if err != nil {
		t.Fatal(err)
	}
	// The fault may be met before there is a connection: the accept loop asks
	// once when it begins.
	const fault = "too many open files"
	met := false
	for lines.Scan() && lines.Text() != "full" {
		met = met || strings.Contains(lines.Text(), fault)
	}
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	if !met && lines.Scan() && !strings.Contains(lines.Text(), fault) {
		t.Fatalf("the gateway says %q", lines.Text())
	}
	fmt.Fprintln(in, "free")
	if got, err := greeting(conn); err != nil || !strings.HasPrefix(got, "220 ") {
		t.Errorf("%q, %v", got, err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// serveExhausted listens without free descriptors until it is told to free
// them, and ends with its input.
func serveExhausted() {
	limit := syscall.Rlimit{Cur: 64, Max: 64}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		panic(err)
	}
	s := NewSet(greet, slog.New(slog.NewTextHandler(os.Stdout, nil)))
	c, errs := s.Prepare(wants(at("127.0.0.1", 0)))
	if errs != nil {
		panic(errs)
	}
	c.Apply()
	fmt.Println(s.Bound()[0])
	var held []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		held = append(held, f)
	}
	fmt.Println("full")
	in := bufio.NewReader(os.Stdin)
	_, _ = in.ReadString('\n')
	for _, f := range held {
		f.Close()
	}
	_, _ = io.Copy(io.Discard, in)
	s.Close()
	s.Wait()
	os.Exit(0)
}
