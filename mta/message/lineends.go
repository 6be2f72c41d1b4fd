package message

import "bytes"

// Mode is what is done about a CR or LF that stands alone (CLEANSMTP of
// listenerconfig).
type Mode int

const (
	Clean  Mode = iota // each becomes CRLF
	Reject             // the message is refused, when it has been read to its end
	Allow              // they are kept
)

// LineEnds looks at the line ends of a text that comes in pieces. Under Clean
// and Reject, what is stored has CRLF line ends only. Under Allow it may hold
// bare CR and LF: who sends it on must stuff a dot after any CR or LF, so
// that no peer, however it counts lines, sees an end of data in it.
type LineEnds struct {
	Mode Mode
	Bare bool // a bare CR or LF has been seen

	cr  bool // the last byte was a CR
	buf []byte
}

// Convert gives the next piece as it is to be stored: p itself where nothing
// is to be changed, else a buffer that is valid until the next call.
func (l *LineEnds) Convert(p []byte) []byte {
	if len(p) == 0 || l.Bare && l.Mode != Clean {
		return p
	}
	rest := p
	if l.cr && p[0] == '\n' {
		rest = p[1:]
	}
	bare := l.cr && p[0] != '\n' || hasBare(rest)
	l.Bare = l.Bare || bare
	if bare && l.Mode == Clean {
		return l.clean(p)
	}
	l.cr = p[len(p)-1] == '\r'
	return p
}

// End gives what is still missing when the text has ended.
func (l *LineEnds) End() []byte {
	if !l.cr {
		return nil
	}
	l.cr, l.Bare = false, true
	if l.Mode == Clean {
		return []byte("\n")
	}
	return nil
}

// hasBare reports whether p has a CR or LF that stands alone. A CR as the
// last byte is not decided here.
func hasBare(p []byte) bool {
	returns := bytes.Count(p, []byte("\r")) // that have no LF yet
	if bytes.HasSuffix(p, []byte("\r")) {
		returns--
	}
	for {
		lf := bytes.IndexByte(p, '\n')
		switch {
		case lf < 0:
			return returns > 0
		case lf == 0 || p[lf-1] != '\r':
			return true
		}
		returns--
		p = p[lf+1:]
	}
}

// clean copies p with every line end made CRLF.
func (l *LineEnds) clean(p []byte) []byte {
	out := l.buf[:0]
	for _, c := range p {
		switch {
		case !l.cr && c == '\n':
			out = append(out, '\r')
		case l.cr && c != '\n':
			out = append(out, '\n')
		}
		out = append(out, c)
		l.cr = c == '\r'
	}
	l.buf = out
	return out
}
