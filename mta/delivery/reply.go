package delivery

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds of one reply (reference E1).
const (
	maxReplyBytes = 64 << 10
	maxReplyLines = 512
)

// errProtocol is what every reply wraps that cannot be read as one.
var errProtocol = errors.New("not an SMTP reply")

// reply is what a peer answered: one code, one or more lines of text without
// it, as received.
type reply struct {
	code  int
	lines []string
}

// text is the reply on one line.
func (r reply) text() string { return strings.Join(r.lines, " ") }

// replyReader reads replies. The memory of a reply is bounded, and so is how
// much is read for one; how long it takes is bounded by the connection's deadline.
type replyReader struct {
	r *bufio.Reader
}

func newReplyReader(r io.Reader) *replyReader { return &replyReader{r: bufio.NewReader(r)} }

// pending reports whether bytes wait that nobody asked for.
func (rr *replyReader) pending() bool { return rr.r.Buffered() > 0 }

// read reads one reply (RFC 5321 §4.2.1). A line may end in a bare LF; one
// that is code alone counts. Errors wrap errProtocol, or are the connection's.
func (rr *replyReader) read() (reply, error) {
	var rep reply
	room := maxReplyBytes
	for len(rep.lines) < maxReplyLines {
		line, err := rr.line(room)
		if err != nil {
			return reply{}, err
		}
		room -= len(line)
		l, err := parseLine(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"))
		if err != nil {
			return reply{}, err
		}
		if rep.code != 0 && rep.code != l.code {
			return reply{}, fmt.Errorf("%w: code %d becomes %d within it", errProtocol, rep.code, l.code)
		}
		rep.code = l.code
		rep.lines = append(rep.lines, l.text)
		if l.last {
			return rep, nil
		}
	}
	return reply{}, fmt.Errorf("%w: more than %d lines", errProtocol, maxReplyLines)
}

// line reads one line with its end, at most room bytes of it.
func (rr *replyReader) line(room int) (string, error) {
	var long []byte
	for {
		part, err := rr.r.ReadSlice('\n')
		if len(long)+len(part) > room {
			return "", fmt.Errorf("%w: more than %d bytes", errProtocol, maxReplyBytes)
		}
		switch {
		case err == nil && long == nil:
			return string(part), nil
		case err == nil:
			return string(append(long, part...)), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", err
		}
		long = append(long, part...)
	}
}

// replyLine is one line of a reply.
type replyLine struct {
	code int
	text string
	last bool // no hyphen: the reply ends here
}

// parseLine splits one line of a reply without its end. Codes beyond those of
// RFC 5321 §4.2 are not replies.
func parseLine(s string) (replyLine, error) {
	if len(s) < 3 || s[0] < '2' || s[0] > '5' || !isDigit(s[1]) || !isDigit(s[2]) {
		return replyLine{}, fmt.Errorf("%w: %.64q", errProtocol, s)
	}
	code := int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
	switch {
	case len(s) == 3:
		return replyLine{code: code, last: true}, nil
	case s[3] == ' ' || s[3] == '-':
		return replyLine{code: code, text: s[4:], last: s[3] == ' '}, nil
	}
	return replyLine{}, fmt.Errorf("%w: %.64q", errProtocol, s)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
