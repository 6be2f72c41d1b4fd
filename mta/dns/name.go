package dns

import (
	"net/netip"
	"strings"
	"unicode/utf8"

	"esa/mta/lookup"

	mdns "github.com/miekg/dns"
)

// question is a name in its one form and a type; the class is always IN.
//
// The one form of a name: lower case, no final dot, A-labels for letters
// beyond ASCII, bytes that are no printable ASCII escaped as in a zone file.
// The root is empty.
type question struct {
	name    string
	qtype   uint16
	checked bool // the answer is validated (DNSSEC)
}

// wire gives the question as it stands in messages.
func (q question) wire() mdns.Question {
	return mdns.Question{Name: mdns.Fqdn(q.name), Qtype: q.qtype, Qclass: mdns.ClassINET}
}

func (q question) typeName() string { return mdns.Type(q.qtype).String() }

const (
	maxName  = 253 // RFC 1035 §2.3.4: 255 bytes with the lengths of the first and the root label
	maxLabel = 63
)

// canonical gives the one form of a name that somebody asks for. It reports
// false for what DNS cannot hold; and for what has an escape in it, because
// no name that mail has to do with needs one.
func canonical(name string) (string, bool) {
	name = strings.TrimSuffix(name, ".")
	if len(name) > 4*maxName { // four bytes a letter in UTF-8, and none of them vanishes
		return "", false
	}
	plain := true
	for i := range len(name) {
		switch c := name[i]; {
		case c <= ' ', c == 0x7f, c == '\\', c == '"':
			return "", false
		case 'A' <= c && c <= 'Z', c >= utf8.RuneSelf:
			plain = false
		}
	}
	if !plain {
		if !utf8.ValidString(name) { // ToLower would make it so
			return "", false
		}
		var ok bool
		if name, ok = lookup.ASCII(strings.ToLower(name)); !ok {
			return "", false
		}
	}
	return name, validLabels(name)
}

func validLabels(name string) bool {
	if name == "" {
		return true
	}
	if len(name) > maxName {
		return false
	}
	length := 0
	for i := range len(name) {
		if name[i] != '.' {
			length++
			continue
		}
		if length == 0 || length > maxLabel {
			return false
		}
		length = 0
	}
	return length > 0 && length <= maxLabel
}

// received gives the one form of a name that stood in a message.
func received(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// isHost reports whether a received name can be the name of a host that mail
// is sent to or came from: letters, digits, hyphens, and the underscores that
// are found in practice.
func isHost(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return name != "" && validLabels(name)
}

// below reports whether name is domain or stands below it.
func below(name, domain string) bool {
	rest, ok := strings.CutSuffix(name, domain)
	return ok && (rest == "" || domain == "" || strings.HasSuffix(rest, "."))
}

// literal gives the address that stands where a host name belongs.
func literal(name string) (netip.Addr, bool) {
	if name == "" || !isDigit(name[len(name)-1]) && strings.IndexByte(name, ':') < 0 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(name)
	return a, err == nil && a.Zone() == ""
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// reverseName gives the name under which the names of an address stand
// (RFC 1035 §3.5, RFC 3596 §2.5); one that does not exist if a is invalid.
func reverseName(a netip.Addr) string {
	name, err := mdns.ReverseAddr(a.Unmap().WithZone("").String())
	if err != nil {
		return ".."
	}
	return received(name)
}

// mixCase flips the letters of a name by the bits of random, so that an
// answer must repeat bits that only those can know who saw the question
// (draft-vixie-dnsext-dns0x20).
func mixCase(name string, random func() uint64) string {
	b := []byte(name)
	var bits uint64
	left := 0
	for i, c := range b {
		if c < 'a' || c > 'z' {
			continue
		}
		if left == 0 {
			bits, left = random(), 64
		}
		if bits&1 != 0 {
			b[i] = c - 'a' + 'A'
		}
		bits >>= 1
		left--
	}
	return string(b)
}
