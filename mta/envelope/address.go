package envelope

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Address is an envelope address (RFC 5321 §4.1.2 Mailbox). The local part
// keeps the form it came in, quotes included, so that what is written to the
// next hop is what was checked. The domain is lower case, without final dot;
// an address literal keeps its brackets. The zero Address is the null sender.
type Address struct {
	Local  string
	Domain string
}

// Limits of RFC 5321 §4.5.3.1, in bytes.
const (
	maxLocal  = 64
	maxDomain = 255
	maxPath   = 256
)

// ErrAddress is what every refused address wraps.
var ErrAddress = errors.New("not an address")

// IsNull reports whether a is the null sender, "<>".
func (a Address) IsNull() bool { return a.Local == "" && a.Domain == "" }

// String gives the address without angle brackets; the null sender is empty,
// "postmaster" without a domain stays so.
func (a Address) String() string {
	if a.Domain == "" {
		return a.Local
	}
	return a.Local + "@" + a.Domain
}

// IsASCII reports whether the address can be given to a server without
// SMTPUTF8 (RFC 6531).
func (a Address) IsASCII() bool {
	return isASCII(a.Local) && isASCII(a.Domain)
}

// Key is the form two spellings of one mailbox share for the purpose of
// limits and tables: the local part in lower case, superfluous quotes gone.
func (a Address) Key() string {
	return strings.ToLower(unquote(a.Local)) + "@" + a.Domain
}

// ParseAddress reads "local@domain" whole. Errors wrap ErrAddress and name
// the part at fault.
func ParseAddress(s string) (Address, error) {
	if len(s) > maxPath {
		return Address{}, errTooLong()
	}
	local, rest, err := cutLocal(s)
	if err != nil {
		return Address{}, err
	}
	if !strings.HasPrefix(rest, "@") {
		return Address{}, fmt.Errorf("%w: no @ after the local part", ErrAddress)
	}
	domain, err := ParseDomain(rest[1:])
	if err != nil {
		return Address{}, err
	}
	a := Address{Local: local, Domain: domain}
	if len(a.String()) > maxPath { // lower case can be longer than upper
		return Address{}, errTooLong()
	}
	return a, nil
}

func errTooLong() error { return fmt.Errorf("%w: longer than %d bytes", ErrAddress, maxPath) }

func errNotText(part string) error {
	return fmt.Errorf("%w: %s is not UTF-8 or holds a control character", ErrAddress, part)
}

// isText reports whether s is UTF-8 without control characters: those of
// ASCII, and those of U+0080 to U+009F, which move terminals too.
func isText(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

// ParsePath reads the path of a MAIL or RCPT command, "<" to ">", and returns
// what follows it. A source route is read and dropped (RFC 5321 appendix C).
// "<>" is the null sender, and a local part alone an address without domain,
// of which "<postmaster>" must be taken (§4.1.1.3); whether either may stand
// there is the caller's decision.
func ParsePath(s string) (Address, string, error) {
	if !strings.HasPrefix(s, "<") {
		return Address{}, s, fmt.Errorf("%w: no opening <", ErrAddress)
	}
	end := pathEnd(s)
	if end < 0 {
		return Address{}, s, fmt.Errorf("%w: no closing >", ErrAddress)
	}
	inner, rest := s[1:end], s[end+1:]
	if rest != "" && rest[0] != ' ' {
		return Address{}, s, fmt.Errorf("%w: text right after the closing >", ErrAddress)
	}
	if inner == "" {
		return Address{}, rest, nil
	}
	inner, err := dropRoute(inner)
	if err != nil {
		return Address{}, s, err
	}
	if local, after, err := cutLocal(inner); err == nil && after == "" {
		return Address{Local: local}, rest, nil
	}
	a, err := ParseAddress(inner)
	return a, rest, err
}

// pathEnd is the index of the > that closes the path, one inside a quoted
// local part does not count.
func pathEnd(s string) int {
	quoted := false
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == '>' && !quoted:
			return i
		}
	}
	return -1
}

// dropRoute removes "@a,@b:" from the front of a path.
func dropRoute(s string) (string, error) {
	if !strings.HasPrefix(s, "@") {
		return s, nil
	}
	route, rest, ok := strings.Cut(s, ":")
	if !ok {
		return "", fmt.Errorf("%w: a source route without its end", ErrAddress)
	}
	for hop := range strings.SplitSeq(route, ",") {
		if !strings.HasPrefix(hop, "@") {
			return "", fmt.Errorf("%w: a bad source route", ErrAddress)
		}
		if _, err := ParseDomain(hop[1:]); err != nil {
			return "", err
		}
	}
	return rest, nil
}

// cutLocal reads the local part at the front of s: a dot-string or a quoted
// string (RFC 5321 §4.1.2), with UTF-8 letters as RFC 6531 §3.3 allows.
func cutLocal(s string) (local, rest string, err error) {
	if strings.HasPrefix(s, `"`) {
		local, rest, err = cutQuoted(s)
	} else {
		local, rest, err = cutDotString(s)
	}
	if err == nil && len(local) > maxLocal {
		err = fmt.Errorf("%w: local part longer than %d bytes", ErrAddress, maxLocal)
	}
	return local, rest, err
}

func cutQuoted(s string) (local, rest string, err error) {
	for i := 1; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"':
			if i == 1 {
				return "", s, fmt.Errorf("%w: empty local part", ErrAddress)
			}
			if !isText(s[:i]) {
				return "", s, errNotText("local part")
			}
			return s[:i+1], s[i+1:], nil
		case c == '\\':
			i++
			if i == len(s) || s[i] < ' ' || s[i] > '~' {
				return "", s, fmt.Errorf("%w: bad escape in the local part", ErrAddress)
			}
		case c < ' ' || c == 0x7f:
			return "", s, fmt.Errorf("%w: control character in the local part", ErrAddress)
		}
	}
	return "", s, fmt.Errorf("%w: a quote is not closed", ErrAddress)
}

func cutDotString(s string) (local, rest string, err error) {
	end := strings.IndexByte(s, '@')
	if end < 0 {
		end = len(s)
	}
	local, rest = s[:end], s[end:]
	if local == "" {
		return "", s, fmt.Errorf("%w: empty local part", ErrAddress)
	}
	if !isText(local) {
		return "", s, errNotText("local part")
	}
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" {
			return "", s, fmt.Errorf("%w: a dot begins, ends or doubles in the local part", ErrAddress)
		}
		for i := range len(atom) {
			if !isAtext(atom[i]) {
				return "", s, fmt.Errorf("%w: character %q in the local part", ErrAddress, atom[i])
			}
		}
	}
	return local, rest, nil
}

// isAtext is RFC 5322 atext, with every byte of a UTF-8 sequence (RFC 6531).
func isAtext(c byte) bool {
	return c >= utf8.RuneSelf || isAlnum(c) || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// ParseDomain reads a domain name or an address literal and gives its one
// form: lower case, no final dot, brackets kept. Letters beyond ASCII are
// allowed as in RFC 6531; underscores as found in real host names.
func ParseDomain(s string) (string, error) {
	if strings.HasPrefix(s, "[") {
		return parseLiteral(s)
	}
	if !isText(s) {
		return "", errNotText("domain")
	}
	s = strings.ToLower(strings.TrimSuffix(s, "."))
	if s == "" || len(s) > maxDomain {
		return "", fmt.Errorf("%w: bad domain", ErrAddress)
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", fmt.Errorf("%w: bad domain", ErrAddress)
		}
		for i := range len(label) {
			if c := label[i]; !isAlnum(c) && c != '-' && c != '_' && c < utf8.RuneSelf {
				return "", fmt.Errorf("%w: character %q in the domain", ErrAddress, c)
			}
		}
	}
	return s, nil
}

// parseLiteral reads "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3).
func parseLiteral(s string) (string, error) {
	inner, ok := strings.CutSuffix(s[1:], "]")
	if !ok {
		return "", fmt.Errorf("%w: an address literal is not closed", ErrAddress)
	}
	if rest, v6 := cutPrefixFold(inner, "IPv6:"); v6 {
		if a, err := netip.ParseAddr(rest); err == nil && a.Is6() && a.Zone() == "" {
			return "[IPv6:" + a.String() + "]", nil
		}
	} else if a, err := netip.ParseAddr(inner); err == nil && a.Is4() {
		return "[" + a.String() + "]", nil
	}
	return "", fmt.Errorf("%w: bad address literal", ErrAddress)
}

// Literal gives the address inside a domain that is an address literal.
func Literal(domain string) (netip.Addr, bool) {
	inner, ok := strings.CutPrefix(domain, "[")
	if !ok {
		return netip.Addr{}, false
	}
	inner, _ = strings.CutSuffix(inner, "]")
	inner, _ = cutPrefixFold(inner, "IPv6:")
	a, err := netip.ParseAddr(inner)
	return a, err == nil
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}

func unquote(local string) string {
	if !strings.HasPrefix(local, `"`) {
		return local
	}
	var b strings.Builder
	inner := local[1 : len(local)-1]
	for i := 0; i < len(inner); i++ {
		if inner[i] == '\\' && i+1 < len(inner) {
			i++
		}
		b.WriteByte(inner[i])
	}
	return b.String()
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
