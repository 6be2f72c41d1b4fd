package attach

import (
	"bytes"
	"fmt"
	"net"
	"strings"
)

// opening is a connection that keeps the server's first line: one that is not
// its version is for people (RFC 4253 §4.2), and says why there will be no session.
type opening struct {
	net.Conn
	line  []byte
	whole bool // line is
}

// maxNotice is how much of a first line is kept.
const maxNotice = 255

// Write reads on when it fails at the very start: a server that sends us away
// may have closed the connection before we had said anything.
func (o *opening) Write(p []byte) (int, error) {
	n, err := o.Conn.Write(p)
	for one := make([]byte, 1); err != nil && !o.whole; {
		if _, ended := o.Read(one); ended != nil {
			break
		}
	}
	return n, err
}

// Read keeps the first line.
func (o *opening) Read(p []byte) (int, error) {
	n, err := o.Conn.Read(p)
	if !o.whole {
		line, _, found := bytes.Cut(p[:n], []byte("\n"))
		o.line = append(o.line, line[:min(len(line), maxNotice-len(o.line))]...)
		o.whole = found || len(o.line) == maxNotice
	}
	return n, err
}

// notice is what the server said instead of its version. Only for use when
// the connection has failed and nobody reads.
func (o *opening) notice() string {
	if !o.whole || bytes.HasPrefix(o.line, []byte("SSH-")) {
		return ""
	}
	return string(o.line)
}

// refusal is the error of a login that failed, with what the gateway said.
func refusal(said, user string, err error) error {
	if said == "" {
		return fmt.Errorf("logging in as %q: %w", user, err)
	}
	words := strings.Map(printable, strings.TrimSpace(said))
	return fmt.Errorf("%w as %q: %s", ErrRefused, user, words)
}

// printable keeps what a terminal shows and does not obey.
func printable(r rune) rune {
	if r < ' ' || r >= 0x7f {
		return '?'
	}
	return r
}
