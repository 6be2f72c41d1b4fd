package message

import "bytes"

// Unstuffer takes the text of a DATA command apart (RFC 5321 §4.5.2). Only
// CRLF . CRLF ends the text, or . CRLF right at its begin; the CRLF before
// the dot belongs to the text. A dot that begins a line with more on it is
// removed; a line here is what CRLF ends, and nothing else does. All other
// bytes, NUL, bare CR and bare LF among them, pass unchanged.
//
// The zero Unstuffer stands before the first byte of the text.
type Unstuffer struct{ state place }

// place is what the bytes so far mean for the next one.
type place uint8

const (
	lineStart    place = iota // after CRLF
	inLine                    // anywhere else
	afterCR                   // a CR was the last byte, and is written
	afterDot                  // a dot began the line, and is held back
	afterDotAtCR              // dot and CR began the line, and are held back
)

// Decode reads from src and writes what it means to dst. It stops when
// either is exhausted or the text has ended; what follows the end in src is
// not looked at. It does not allocate.
func (u *Unstuffer) Decode(dst, src []byte) (wrote, read int, end bool) {
	for read < len(src) && wrote < len(dst) {
		switch c := src[read]; {
		case u.state == afterDot && c == '\r':
			u.state = afterDotAtCR
			read++
		case u.state == afterDot:
			u.state = inLine
		case u.state == afterDotAtCR && c == '\n':
			u.state = lineStart
			return wrote, read + 1, true
		case u.state == afterDotAtCR:
			dst[wrote] = '\r'
			wrote++
			u.state = afterCR
		case u.state == lineStart && c == '.':
			u.state = afterDot
			read++
		default:
			n := u.plain(src[read:min(len(src), read+len(dst)-wrote)])
			copy(dst[wrote:], src[read:read+n])
			wrote, read = wrote+n, read+n
		}
	}
	return wrote, read, false
}

// plain gives the length of what may be copied from s at once: up to a dot
// that begins a line. s is not empty and does not begin with such a dot.
func (u *Unstuffer) plain(s []byte) int {
	before := u.state
	for i := 0; i < len(s); {
		j := bytes.IndexByte(s[i:], '\n')
		if j < 0 {
			break
		}
		j += i
		i = j + 1
		if !(j > 0 && s[j-1] == '\r' || j == 0 && before == afterCR) {
			u.state = inLine
			continue
		}
		u.state = lineStart
		if i < len(s) && s[i] == '.' {
			return i
		}
	}
	switch s[len(s)-1] {
	case '\n': // decided in the loop
	case '\r':
		u.state = afterCR
	default:
		u.state = inLine
	}
	return len(s)
}
