// Package attach is the local way to the console: the socket in the data
// directory, and a client for the session server behind it.
//
// The console is an SSH session (package sshd) also on the machine itself, so
// there is one way in and not two. What stands for password and host key here
// is the kernel's word on who is at the other end (SO_PEERCRED): the server
// asks PeerUID of its client, and Dial of the server, before a byte is sent.
//
//	Listen   the server's end of DIR/console.sock
//	Dial     the client's end, whose owner has been checked
//	Pipe     both ends in one process: the console without a gateway
//	Run      one session on a connection: console, batch or one command
package attach

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// SocketName is the name of the socket in the data directory.
const SocketName = "console.sock"

// Errors of Dial. ErrNotRunning: nobody listens in this directory. ErrForeign:
// somebody does who is neither root, nor the owner of the directory, nor we.
var (
	ErrNotRunning = errors.New("no gateway is running")
	ErrForeign    = errors.New("the console is served by a stranger")
)

// Dial connects to the gateway that owns the data directory dir. The other end
// is somebody whom this user's commands and secrets can be told.
func Dial(dir string) (net.Conn, error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w in %s", ErrNotRunning, dir)
	}
	if err != nil {
		return nil, err
	}
	var conn net.Conn
	err = withSocketPath(dir, func(path string) (err error) {
		conn, err = net.DialTimeout("unix", path, 10*time.Second)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%w in %s", ErrNotRunning, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to the console of %s: %w", dir, err)
	}
	peer, err := PeerUID(conn)
	if err == nil && !trusted(peer, int(info.Sys().(*syscall.Stat_t).Uid), os.Geteuid()) {
		err = fmt.Errorf("%w: uid %d in %s", ErrForeign, peer, dir)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// Pipe gives two connected ends, one for Run and one for the session server. It
// is a pair of sockets and not a net.Pipe, because that holds nothing: in SSH
// both ends write before they read, and would wait for each other for ever.
func Pipe() (client, server net.Conn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making a pipe: %w", os.NewSyscallError("socketpair", err))
	}
	ends := make([]net.Conn, 2)
	for i, fd := range fds {
		// FileConn has a descriptor of its own.
		f := os.NewFile(uintptr(fd), "console pipe")
		var failed error
		ends[i], failed = net.FileConn(f)
		err = errors.Join(err, failed, f.Close())
	}
	if err != nil {
		for _, end := range ends {
			if end != nil {
				end.Close()
			}
		}
		return nil, nil, fmt.Errorf("making a pipe: %w", err)
	}
	return ends[0], ends[1], nil
}

// trusted reports whether the process of user peer may serve a console in a
// directory of user owner to user self.
func trusted(peer, owner, self int) bool {
	return peer == 0 || peer == owner || peer == self
}

// PeerUID is the user at the other end of a unix socket: of a client's process
// when it connected, of a server's when it began to listen.
func PeerUID(conn net.Conn) (int, error) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return 0, fmt.Errorf("asking for the peer of %T: not a socket", conn)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("asking for the peer: %w", err)
	}
	var cred *unix.Ucred
	var asking error
	reaching := raw.Control(func(fd uintptr) {
		cred, asking = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(reaching, asking); err != nil {
		return 0, fmt.Errorf("asking for the peer: %w", err)
	}
	// On a socket that is not connected, or is not a unix socket, the kernel
	// answers too: user -1.
	if cred.Uid == ^uint32(0) {
		return 0, errors.New("asking for the peer: the socket has none")
	}
	return int(cred.Uid), nil
}

// Listen makes the console socket of dir, for its owner and root alone, and
// replaces one that was left behind. The caller holds the lock of the
// directory until it has closed the listener, which removes the socket.
func Listen(dir string) (net.Listener, error) {
	path := filepath.Join(dir, SocketName)
	if err := removeStale(path); err != nil {
		return nil, err
	}
	var ln net.Listener
	err := withSocketPath(dir, func(name string) (err error) {
		config := net.ListenConfig{Control: ownerOnly}
		ln, err = config.Listen(context.Background(), "unix", name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("opening the console of %s: %w", dir, err)
	}
	unixListener := ln.(*net.UnixListener)
	// The name it would remove may be one of /proc/self/fd, good only until here.
	unixListener.SetUnlinkOnClose(false)
	return &listener{UnixListener: unixListener, path: path}, nil
}

// removeStale removes what an earlier gateway left. Anything but a socket is
// not ours to remove.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is in the way: it is not a socket", path)
	}
	return os.Remove(path)
}

// ownerOnly sets the mode that the socket's file will have: Linux takes it from
// the descriptor that is bound, so that there is no moment of a wider mode
// and no need to change the umask, which all threads share.
func ownerOnly(_, _ string, raw syscall.RawConn) error {
	var changing error
	reaching := raw.Control(func(fd uintptr) { changing = unix.Fchmod(int(fd), 0o600) })
	return errors.Join(reaching, changing)
}

type listener struct {
	*net.UnixListener
	path string
	once sync.Once
	err  error
}

// Close stops listening and removes the socket, once: what comes later at
// this path is another gateway's.
func (l *listener) Close() error {
	l.once.Do(func() { l.err = errors.Join(l.UnixListener.Close(), os.Remove(l.path)) })
	return l.err
}

// Addr is the path of the socket, however long.
func (l *listener) Addr() net.Addr { return &net.UnixAddr{Net: "unix", Name: l.path} }

// withSocketPath calls use with a path of dir's socket that the system
// accepts: addresses of unix sockets hold 107 bytes, and a directory behind an
// open descriptor has a short name.
func withSocketPath(dir string, use func(path string) error) error {
	path := filepath.Join(dir, SocketName)
	if len(path) < len(unix.RawSockaddrUnix{}.Path) {
		return use(path)
	}
	d, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer d.Close()
	return use(filepath.Join("/proc/self/fd", strconv.Itoa(int(d.Fd())), SocketName))
}
