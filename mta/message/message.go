// Package message handles the text of a message as a stream: where it ends
// in the SMTP dialogue, its line ends, its header, and the trace field that
// every gateway adds (RFC 5321 §4.5.2, §4.4; RFC 5322 §2.1–2.2).
//
// The steps of receiving, in this order:
//
//	Unstuffer  finds the end of data and removes dot-stuffing (RFC 5321 §4.5.2)
//	LineEnds   finds bare CR and LF and turns them into CRLF
//	Header     reads header fields in passing, ends too long ones, adds what is missing
//	Received   spells the trace field that stands before all
//
// The order matters. Line ends are mended after the stuffing is gone: mended
// before, "LF . LF" would turn into an end of data that the sender never sent.
// The text this yields is not stuffed; whoever sends it on stuffs it again.
//
// Everything here is pure: no network, no configuration, no clock but the
// time passed in. Memory does not grow with the message.
package message

import "encoding/binary"

// IsEightBit reports whether a byte beyond ASCII is in p.
func IsEightBit(p []byte) bool {
	const high = 0x8080808080808080
	for ; len(p) >= 32; p = p[32:] {
		four := binary.LittleEndian.Uint64(p) | binary.LittleEndian.Uint64(p[8:]) |
			binary.LittleEndian.Uint64(p[16:]) | binary.LittleEndian.Uint64(p[24:])
		if four&high != 0 {
			return true
		}
	}
	for ; len(p) >= 8; p = p[8:] {
		if binary.LittleEndian.Uint64(p)&high != 0 {
			return true
		}
	}
	for _, c := range p {
		if c >= 0x80 {
			return true
		}
	}
	return false
}
