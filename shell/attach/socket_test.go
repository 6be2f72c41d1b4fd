package attach_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"esa/shell/attach"
)

// shortDir is a directory whose socket has a path of at most 107 bytes, which
// that of t.TempDir need not be.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "esa")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// deepDir is one whose socket has a longer path.
func deepDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 100), strings.Repeat("e", 100))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func listen(t *testing.T, dir string) net.Listener {
	t.Helper()
	ln, err := attach.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func TestSocketIsForItsOwnerAndGoesWithTheListener(t *testing.T) {
	for name, dir := range map[string]string{"short": shortDir(t), "long": deepDir(t)} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, attach.SocketName)
			ln := listen(t, dir)
			if got := ln.Addr().String(); got != path {
				t.Errorf("address %s, want %s", got, path)
			}
			info, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode() != fs.ModeSocket|0o600 {
				t.Errorf("mode %v", info.Mode())
			}
			conn, err := attach.Dial(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			served, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer served.Close()
			for name, end := range map[string]net.Conn{"client": conn, "server": served} {
				if uid, err := attach.PeerUID(end); uid != os.Geteuid() || err != nil {
					t.Errorf("the %s's peer: %d, %v", name, uid, err)
				}
			}
			if err := ln.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the socket is still there: %v", err)
			}
		})
	}
}

// The mode must not come from the umask, nor be set after the fact.
func TestSocketModeDoesNotDependOnUmask(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	dir := shortDir(t)
	listen(t, dir)
	info, err := os.Lstat(filepath.Join(dir, attach.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestCloseTwiceLeavesTheNextGatewayItsSocket(t *testing.T) {
	dir := shortDir(t)
	first := listen(t, dir)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	listen(t, dir)
	first.Close()
	conn, err := attach.Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestDialWhereNobodyListens(t *testing.T) {
	stale := func(dir string) {
		ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, attach.SocketName), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		ln.SetUnlinkOnClose(false)
		ln.Close()
	}
	for _, tt := range []struct {
		name string
		make func(dir string)
		dir  string
	}{
		{"no directory", func(string) {}, filepath.Join(shortDir(t), "none")},
		{"no socket", func(string) {}, shortDir(t)},
		{"no socket, long path", func(string) {}, deepDir(t)},
		{"stale socket", stale, shortDir(t)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.make(tt.dir)
			if _, err := attach.Dial(tt.dir); !errors.Is(err, attach.ErrNotRunning) || !strings.Contains(err.Error(), tt.dir) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestListenReplacesAStaleSocketAndNothingElse(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, attach.SocketName)
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false)
	old.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Fatal("no stale socket to begin with:", err)
	}
	listen(t, dir)
	conn, err := attach.Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()

	for name, put := range map[string]func(path string) error{
		"file":      func(path string) error { return os.WriteFile(path, []byte("mine"), 0o600) },
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"link":      func(path string) error { return os.Symlink("/dev/null", path) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := shortDir(t)
			path := filepath.Join(dir, attach.SocketName)
			if err := put(path); err != nil {
				t.Fatal(err)
			}
			if ln, err := attach.Listen(dir); err == nil || !strings.Contains(err.Error(), "is in the way: it is not a socket") {
				t.Errorf("got %v, %v", ln, err)
			}
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("it was removed: %v", err)
			}
		})
	}
}

// nobody is a user that is neither root nor the one who runs the tests.
const nobody = 65534

// as runs f with the effective user uid, for the calling thread alone.
func as(t *testing.T, uid int, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("staging another user takes root")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	set := func(uid int) {
		const keep = ^uintptr(0)
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, keep, uintptr(uid), keep); errno != 0 {
			t.Fatal("setresuid:", errno)
		}
	}
	set(uid)
	defer set(0)
	f()
}

func TestDialRefusesAStrangersServer(t *testing.T) {
	dir := shortDir(t)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	path := filepath.Join(dir, attach.SocketName)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	as(t, nobody, func() { err = unix.Listen(fd, 8) })
	if err != nil {
		t.Fatal(err)
	}
	plain, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if uid, err := attach.PeerUID(plain); uid != nobody || err != nil {
		t.Fatalf("the staging does not work: served by %d, %v", uid, err)
	}

	if _, err := attach.Dial(dir); !errors.Is(err, attach.ErrForeign) || !strings.Contains(err.Error(), "uid 65534 in "+dir) {
		t.Errorf("got %v", err)
	}
	// In a directory of its own the same server is the gateway.
	if err := os.Chown(dir, nobody, -1); err != nil {
		t.Fatal(err)
	}
	conn, err := attach.Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestPeerUIDOfAClient(t *testing.T) {
	dir := shortDir(t)
	ln := listen(t, dir)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	path := filepath.Join(dir, attach.SocketName)
	if err := errors.Join(os.Chmod(dir, 0o777), os.Chmod(path, 0o666)); err != nil {
		t.Fatal(err)
	}
	as(t, nobody, func() { err = unix.Connect(fd, &unix.SockaddrUnix{Name: path}) })
	if err != nil {
		t.Fatal(err)
	}
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if uid, err := attach.PeerUID(conn); uid != nobody || err != nil {
		t.Errorf("got %d, %v", uid, err)
	}
}

func TestPeerUIDWithoutPeer(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	tcp, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	for name, conn := range map[string]net.Conn{"pipe": near, "TCP": tcp} {
		if uid, err := attach.PeerUID(conn); err == nil {
			t.Errorf("%s: uid %d", name, uid)
		}
	}
}
