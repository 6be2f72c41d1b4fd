package bounce

import (
	"fmt"
	"strings"

	"esa/mta/envelope"
)

// replyLimit is how much of a peer's reply a notice repeats, in bytes after
// escaping: enough for an explanation with a link, and a header line that
// holds it stays under the 998 bytes of RFC 5322 §2.1.1.
const replyLimit = 512

// reason gives "5.3.0 - Other mail system problem 550-'text'"; without a
// reply code the text stands alone.
func reason(f envelope.Failure) string {
	enhanced, phrase := f.Enhanced, f.Phrase
	if enhanced == "" {
		enhanced, phrase = "5.0.0", "Other mail system problem"
	}
	s := ascii(enhanced) + " - " + ascii(phrase)
	text := literal(strings.Join(f.Reply, "\n"))
	if f.Code == 0 {
		return s + " " + text
	}
	return fmt.Sprintf("%s %d-%s", s, f.Code, text)
}

// remote gives the Remote-MTA: the address as a literal, else the name.
func remote(f envelope.Failure) string {
	if f.Addr.IsValid() {
		return "[" + f.Addr.Addr().Unmap().WithZone("").String() + "]"
	}
	return ascii(f.Host)
}

// statusCode gives the enhanced code that a reply begins with (RFC 3463 §2),
// or nothing.
func statusCode(reply string) string {
	word, _, _ := strings.Cut(reply, " ")
	parts := strings.Split(word, ".")
	if len(parts) != 3 || len(parts[0]) != 1 {
		return ""
	}
	for _, p := range parts {
		if p == "" || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return ""
		}
	}
	return word
}

// typed gives an address with its type (RFC 3464 §2.3.2). One beyond ASCII
// takes the 7-bit form of RFC 6533 §3.
func typed(a envelope.Address) string {
	if a.IsASCII() {
		return "rfc822;" + field(a.String())
	}
	var s strings.Builder
	for _, r := range a.String() {
		switch {
		case r > 0x7e || r < ' ':
			fmt.Fprintf(&s, `\x{%X}`, r)
		case r == '\\' || r == '+' || r == '=':
			fmt.Fprintf(&s, `\x{%X}`, r)
		default:
			s.WriteRune(r)
		}
	}
	return "utf-8;" + s.String()
}

// literal quotes a peer's text in the manner of the mail log, but as one line of
// printable ASCII and cut to replyLimit: it goes into a header field.
func literal(text string) string {
	quote := byte('\'')
	if strings.Contains(text, "'") && !strings.Contains(text, `"`) {
		quote = '"'
	}
	s := []byte{quote}
	for i := range len(text) {
		if len(s) > replyLimit {
			s = append(s, "..."...)
			break
		}
		switch c := text[i]; {
		case c == quote || c == '\\':
			s = append(s, '\\', c)
		case c == '\n':
			s = append(s, `\n`...)
		case c == '\r':
			s = append(s, `\r`...)
		case c == '\t':
			s = append(s, `\t`...)
		case c < ' ' || c > '~':
			s = fmt.Appendf(s, `\x%02x`, c)
		default:
			s = append(s, c)
		}
	}
	return string(append(s, quote))
}

// field makes a value fit for one header line: control characters become
// question marks. Values come here checked; this is the second lock.
func field(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}

// ascii is field for places where only ASCII may stand.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f {
			return '?'
		}
		return r
	}, s)
}
