package attach

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// errStopped is what Read gives after stop.
var errStopped = errors.New("input is no longer wanted")

// input is standard input whose Read can be ended from outside, if it is a
// file: what is typed after the session has ended is not ours to swallow.
type input struct {
	reader io.Reader
	file   *os.File // nil: a reader that cannot be stopped
	wake   *os.File // an eventfd, to be polled with file
}

func newInput(r io.Reader) (*input, error) {
	if r == nil {
		r = strings.NewReader("")
	}
	f, ok := r.(*os.File)
	if !ok {
		return &input{reader: r}, nil
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("preparing input: %w", err)
	}
	return &input{reader: r, file: f, wake: os.NewFile(uintptr(fd), "eventfd")}, nil
}

func (i *input) stoppable() bool { return i.file != nil }

// Read waits for input or stop. It does not use the file's own Read, which
// for terminals and inherited files cannot be interrupted.
func (i *input) Read(p []byte) (int, error) {
	if i.file == nil {
		return i.reader.Read(p)
	}
	fd := int(i.file.Fd())
	for {
		fds := []unix.PollFd{
			{Fd: int32(fd), Events: unix.POLLIN},
			{Fd: int32(i.wake.Fd()), Events: unix.POLLIN},
		}
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return 0, os.NewSyscallError("poll", err)
		}
		if fds[1].Revents != 0 {
			return 0, errStopped
		}
		if fds[0].Revents == 0 {
			continue
		}
		n, err := unix.Read(fd, p)
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// stop ends a Read under way and every later one.
func (i *input) stop() {
	if i.wake != nil {
		// An eventfd takes eight bytes at once or fails only when its count is full.
		i.wake.Write([]byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

// close is for when no Read is under way.
func (i *input) close() error {
	if i.wake == nil {
		return nil
	}
	return i.wake.Close()
}
