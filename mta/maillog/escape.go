package maillog

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// line gives text as it may stand inside a line: what is not printable is
// written as a Python escape, so that nothing from the network can end a line,
// begin another, or speak to a terminal. Doing it twice changes nothing.
func line(text string) string {
	if isPrintable(text) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		escapeRune(&b, text[i:i+size], r)
		i += size
	}
	return b.String()
}

// word is line for a place that ends at the next blank: blanks are escaped
// too, and nothing at all is "unknown".
func word(text string) string {
	if text == "" {
		return "unknown"
	}
	return strings.ReplaceAll(line(text), " ", `\x20`)
}

// literal gives text as a Python literal (reference 2.1): in apostrophes, in
// double quotes if it holds an apostrophe and no double quote.
func literal(text string) string {
	quote := byte('\'')
	if strings.IndexByte(text, '\'') >= 0 && strings.IndexByte(text, '"') < 0 {
		quote = '"'
	}
	var b strings.Builder
	b.Grow(len(text) + 2)
	b.WriteByte(quote)
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == '\\' || r == rune(quote) {
			b.WriteByte('\\')
		}
		escapeRune(&b, text[i:i+size], r)
		i += size
	}
	b.WriteByte(quote)
	return b.String()
}

// escapeRune writes one rune, raw being its bytes, as Python's repr would.
func escapeRune(b *strings.Builder, raw string, r rune) {
	switch {
	case r == utf8.RuneError && len(raw) == 1:
		writeHex(b, 'x', rune(raw[0]), 2)
	case unicode.IsPrint(r):
		b.WriteString(raw)
	case r == '\t':
		b.WriteString(`\t`)
	case r == '\n':
		b.WriteString(`\n`)
	case r == '\r':
		b.WriteString(`\r`)
	case r < 0x100:
		writeHex(b, 'x', r, 2)
	case r < 0x10000:
		writeHex(b, 'u', r, 4)
	default:
		writeHex(b, 'U', r, 8)
	}
}

func writeHex(b *strings.Builder, kind byte, r rune, digits int) {
	b.WriteByte('\\')
	b.WriteByte(kind)
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		b.WriteByte("0123456789abcdef"[r>>shift&0xf])
	}
}

// isPrintable reports whether text needs no escape. Nearly all text is ASCII.
func isPrintable(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= 0x7f {
			return c >= utf8.RuneSelf && isPrintableUTF8(text[i:])
		}
	}
	return true
}

func isPrintableUTF8(text string) bool {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && size == 1 || !unicode.IsPrint(r) {
			return false
		}
		i += size
	}
	return true
}
