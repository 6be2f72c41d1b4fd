package configfile

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Error is one thing that is wrong with a file, and where. Lines and columns
// begin with 1, and are 0 of what is in no line; columns count characters.
type Error struct {
	Line, Column int
	Text         string
	Err          error // what Text says, where a caller may want to know it: ErrPassphrase
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Text
	}
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Text)
}

func (e *Error) Unwrap() error { return e.Err }

// errorAt makes an Error of a place in a text.
func errorAt(text []byte, offset int64, format string, args ...any) *Error {
	before := text[:min(int(offset), len(text))]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	return &Error{Line: line, Column: column, Text: fmt.Sprintf(format, args...)}
}

// declared finds the encoding that the declaration of a document names.
func declared(data []byte) (encoding string, offset int64) {
	found := regexp.MustCompile(`^<\?xml[^>]*?encoding\s*=\s*["']([^"'>]*)["']`).FindSubmatchIndex(data[:min(len(data), 256)])
	if found == nil {
		return "", 0
	}
	return string(data[found[2]:found[3]]), int64(found[2])
}

// decode gives the text of a file in UTF-8. What was pasted is UTF-8 already,
// whatever it declares.
func decode(data []byte, pasted bool) ([]byte, error) {
	switch {
	case len(data) > MaxSize:
		return nil, &Error{Line: 1, Column: 1, Text: fmt.Sprintf("The file is longer than %d MB.", MaxSize>>20)}
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}), bytes.HasPrefix(data, []byte{0xff, 0xfe}), bytes.IndexByte(data[:min(len(data), 64)], 0) >= 0:
		return nil, &Error{Line: 1, Column: 1, Text: "The file must be in ISO-8859-1, US-ASCII or UTF-8, not in UTF-16 or UTF-32."}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	encoding, at := declared(data)
	switch strings.ToUpper(encoding) {
	case "ISO-8859-1", "ISO8859-1", "ISO_8859-1", "LATIN1":
		if !pasted {
			return fromLatin1(data), nil
		}
	case "", "UTF-8", "UTF8", "US-ASCII", "ASCII":
	default:
		return nil, errorAt(data, at, "The encoding %.40q is not known: it must be ISO-8859-1, US-ASCII or UTF-8.", encoding)
	}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return nil, errorAt(data, int64(i), "The byte 0x%02x is not UTF-8.", data[i])
		}
		i += size
	}
	return data, nil
}

// fromLatin1 makes UTF-8 of ISO-8859-1, whose bytes are the first characters
// of Unicode.
func fromLatin1(data []byte) []byte {
	text := make([]byte, 0, len(data))
	for _, b := range data {
		text = utf8.AppendRune(text, rune(b))
	}
	return text
}
