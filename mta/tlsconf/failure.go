package tlsconf

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// Failure gives why a handshake failed as the pair of number and text in which
// logs show it (reference esa-operations 2.3): the number of a system error,
// that of an alert the peer sent (RFC 8446 §6), -1 where it hung up, 0 where
// we refused; and the words of the library for it. The text may hold what the
// peer sent.
func Failure(err error) (number int, text string) {
	var system syscall.Errno
	if alert, ok := peerAlert(err); ok {
		return int(alert), "alert from the peer: " + strings.TrimPrefix(alert.Error(), "tls: ")
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return int(syscall.ETIMEDOUT), "handshake timed out"
	case errors.As(err, &system):
		return int(system), system.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return -1, "Unexpected EOF"
	default:
		return 0, short(strings.TrimPrefix(err.Error(), "tls: "))
	}
}

// maxFailure bounds what is told of a handshake, in bytes: a list of what the
// peer offered may have a thousand entries.
const maxFailure = 250

func short(text string) string {
	if len(text) <= maxFailure {
		return text
	}
	return text[:maxFailure] + "..."
}

// peerAlert finds the alert with which the peer ended the handshake. Its type
// in an error is not exported, so it is known by its words.
func peerAlert(err error) (tls.AlertError, bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return 0, false
	}
	for n := range 256 {
		if alert := tls.AlertError(n); alert.Error() == op.Err.Error() {
			return alert, true
		}
	}
	return 0, false
}
