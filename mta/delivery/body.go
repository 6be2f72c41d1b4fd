package delivery

import (
	"bytes"
	"io"
)

// blockSize is the most that is given to the connection at once: a block must
// get through within Timeouts.Block.
const blockSize = 32 << 10

// stuffer writes a message text as the body of DATA (RFC 5321 §4.5.2). A dot
// that begins a line is doubled, and Close writes the end.
//
// Line ends of the stored text are CRLF, but where the listener's setting is
// "allow" there may be bare CR and LF, which go out as they are. What takes
// either for the end of a line must find no end of data there (reference A4),
// nor must what loses NULs on the way. So a dot is doubled after every CR and
// every LF, and where only NULs stand between. A strict peer then keeps one dot
// more in such a line; no reading of the line ends finds one that is a dot alone.
type stuffer struct {
	w     io.Writer
	ended bool // nothing was written, or CRLF last
	cr    bool // CR was the last byte
	fresh bool // nothing or only NULs since the last CR or LF
}

func newStuffer(w io.Writer) *stuffer { return &stuffer{w: w, ended: true, fresh: true} }

var dot = []byte{'.'}

// Write implements io.Writer. It counts the bytes of p, not the dots added.
func (s *stuffer) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	from := 0 // what is before this is written
	for i := 0; ; i++ {
		next := bytes.IndexByte(p[i:], '.')
		if next < 0 {
			break
		}
		i += next
		if s.begins(p[:i]) {
			if _, err := s.w.Write(p[from:i]); err != nil {
				return from, err
			}
			if _, err := s.w.Write(dot); err != nil {
				return i, err
			}
			from = i
		}
	}
	n, err := s.w.Write(p[from:])
	s.fresh = s.begins(p)
	last := len(p) - 1
	s.ended = p[last] == '\n' && (last > 0 && p[last-1] == '\r' || last == 0 && s.cr)
	s.cr = p[last] == '\r'
	return from + n, err
}

// begins reports whether what follows before is at the begin of a line by
// anybody's reading.
func (s *stuffer) begins(before []byte) bool {
	for i := len(before) - 1; i >= 0; i-- {
		switch before[i] {
		case '\r', '\n':
			return true
		case 0:
		default:
			return false
		}
	}
	return s.fresh
}

// Close writes the end of data, first the end of the last line if that is
// missing. It does not flush or close what is below.
func (s *stuffer) Close() error {
	end := ".\r\n"
	if !s.ended {
		end = "\r\n.\r\n"
	}
	_, err := io.WriteString(s.w, end)
	return err
}
