package store

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ValueError says why a typed value was refused, in the words of the
// appliance; it is shown as it is, and the question asked again.
type ValueError string

func (e ValueError) Error() string { return string(e) }

func refuse(format string, args ...any) error {
	return ValueError(fmt.Sprintf(format, args...))
}

const (
	errBlank    = ValueError("The value cannot be blank.")
	errPort     = ValueError("The port must be a number from 1 to 65535.")
	errIPv4     = ValueError("The IP address must be 4 numbers separated by a period, each from 0 to 255,\nor an IPv6 address. (Ex: 192.168.1.2 or 2001:db8::1)")
	errHostname = ValueError(`A hostname is a string that must match the following rules:
- A label is a set of letters, numbers, dashes, and underscores.
- The first and last character of a label must not be a dash.
- A label must be from 1 to 63 characters long.
- A hostname is one or more labels separated by periods.
- The last label must not consist of numbers only.
- A hostname must not be longer than 253 characters.`)
	errEmail = ValueError("The address must be an email address: a localname, an @ and a domain. (Ex: \"administrator@example.com\")")
)

// ParseHostname reads a host name; one final dot is dropped, the case kept.
func ParseHostname(text string) (string, error) {
	name := strings.TrimSuffix(strings.TrimSpace(text), ".")
	if name == "" || len(name) > 253 {
		return "", errHostname
	}
	numeric := false
	for label := range strings.SplitSeq(name, ".") {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", errHostname
		}
		if strings.ContainsFunc(label, func(r rune) bool { return !isNameRune(r) }) {
			return "", errHostname
		}
		numeric = strings.Trim(label, "0123456789") == ""
	}
	// An address would otherwise pass for a name, and a mistyped one too.
	if numeric {
		return "", errHostname
	}
	return name, nil
}

// isNameRune says what names are made of; host names the same.
func isNameRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_'
}

// nameRule is one kind of name and its error text.
type nameRule struct {
	what  string
	more  string // characters allowed beside those of isNameRune
	words string // the characters, for people
	first func(rune) bool
}

const maxName = 64

func (n nameRule) parse(text string) (string, error) {
	name := strings.TrimSpace(text)
	if name == "" {
		return "", errBlank
	}
	bad := func(r rune) bool { return !isNameRune(r) && !strings.ContainsRune(n.more, r) }
	first, _ := utf8.DecodeRuneInString(name)
	if len(name) > maxName || strings.ContainsFunc(name, bad) || !n.first(first) {
		return "", refuse("%s\nValid characters are %s; at most %d.", n.what, n.words, maxName)
	}
	return name, nil
}

const plainWords = "letters, numbers, dashes and underscores"

func startsPlain(r rune) bool { return r == '_' || isNameRune(r) && r != '-' && (r < '0' || r > '9') }
func startsAny(r rune) bool   { return isNameRune(r) && r != '-' }

// ParseInterfaceName reads the name of an IP interface.
func ParseInterfaceName(text string) (string, error) {
	return nameRule{"The interface name must start with a letter or underscore.", "", plainWords, startsPlain}.parse(text)
}

// ParseListenerName reads the name of a listener; case matters.
func ParseListenerName(text string) (string, error) {
	return nameRule{"The listener name must start with a letter or underscore.", "", plainWords, startsPlain}.parse(text)
}

// ParseProfileName reads the name of a bounce profile.
func ParseProfileName(text string) (string, error) {
	return nameRule{"The bounce profile name must start with a letter or underscore.", "", plainWords, startsPlain}.parse(text)
}

// ParseGroupName reads the name of a sender group.
func ParseGroupName(text string) (string, error) {
	return nameRule{"The sender group name must start with a letter, number or underscore.", "", plainWords, startsAny}.parse(text)
}

// ParsePolicyName reads the name of a mail flow policy; a leading $ is
// dropped. The words of behaviors are not names.
func ParsePolicyName(text string) (string, error) {
	name, err := nameRule{"The policy name must start with a letter, number or underscore.", "", plainWords, startsAny}.
		parse(strings.TrimPrefix(strings.TrimSpace(text), "$"))
	if err != nil {
		return "", err
	}
	for _, b := range Behaviors() {
		if strings.EqualFold(name, string(b)) {
			return "", refuse("The policy name cannot be %s.", b)
		}
	}
	return name, nil
}

// ParseLogName reads the name of a log subscription, which is also that of its
// directory.
func ParseLogName(text string) (string, error) {
	return nameRule{"The log name must start with a letter or number.", ".", "letters, numbers, dashes, underscores and periods", startsAny}.parse(text)
}

// ParseFileName reads the base name of a log file.
func ParseFileName(text string) (string, error) {
	return nameRule{"The file name must start with a letter or number.", ".", "letters, numbers, dashes, underscores and periods", startsAny}.parse(text)
}

// ParseIPv4 reads an address that an interface can have.
func ParseIPv4(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(strings.TrimSpace(text))
	switch {
	case err != nil || !a.Is4():
		return netip.Addr{}, ValueError("The IP address must be 4 numbers separated by a period. Each number must be a value from 0 to 255. (Ex: 192.168.1.2)")
	case v4number(a)>>24 == 0:
		return netip.Addr{}, ValueError("The IP cannot start with 0.")
	case v4number(a)>>28 >= 0xe:
		return netip.Addr{}, refuse("The IP address %q is not one of a host.", a)
	}
	return a, nil
}

// ParseIPv6 reads an address that an interface can have. Link-local ones are
// refused: they mean nothing without the network port they belong to.
func ParseIPv6(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(strings.TrimSpace(text))
	switch {
	case err != nil || !a.Is6() || a.Zone() != "":
		return netip.Addr{}, ValueError("The IPv6 address must be 8 groups of hexadecimal digits separated by colons. (Ex: 2001:db8::1)")
	case a.IsUnspecified() || a.IsMulticast() || a.Is4In6() || a.IsLinkLocalUnicast():
		return netip.Addr{}, refuse("The IP address %q is not one of a host.", a)
	}
	return a, nil
}

// v4number gives an IPv4 address as a number.
func v4number(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// ParsePort reads a TCP or UDP port, 1 to 65535.
func ParsePort(text string) (uint16, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 16)
	if err != nil || n == 0 {
		return 0, errPort
	}
	return uint16(n), nil
}

// ParseSize reads a number of bytes; a trailing k or M counts in 1024s.
func ParseSize(text string) (int64, error) {
	text = strings.TrimSpace(text)
	digits := strings.TrimRight(text, "kKmM")
	shift := 0
	switch strings.ToLower(text[len(digits):]) {
	case "":
	case "k":
		shift = 10
	case "m":
		shift = 20
	default:
		digits = ""
	}
	n, err := strconv.ParseUint(digits, 10, 62)
	if err != nil || n > 1<<62>>shift {
		return 0, ValueError("The value must be a number of bytes. Add a trailing k for kilobytes, M for megabytes, or no letter for bytes.")
	}
	return int64(n << shift), nil
}

// ParseMessageSize reads the largest size of a message.
func ParseMessageSize(text string) (int64, error) {
	n, err := ParseSize(text)
	if err != nil {
		return 0, err
	}
	return n, inRange(n, MinMessageSize, MaxMessageSize)
}

// ParseLogSize reads the size at which a log file is closed.
func ParseLogSize(text string) (int64, error) {
	n, err := ParseSize(text)
	if err != nil {
		return 0, err
	}
	return n, inRange(n, MinLogSize, MaxLogSize)
}

// ParseEmail reads an address to send to: local@domain or local@[literal],
// the domain in lower case.
func ParseEmail(text string) (string, error) {
	text = strings.TrimSpace(text)
	at := strings.LastIndexByte(text, '@')
	if at < 0 || checkLocal(text[:at]) != nil {
		return "", errEmail
	}
	local, domain := text[:at], text[at+1:]
	var err error
	if strings.HasPrefix(domain, "[") {
		domain, err = parseLiteral(domain)
	} else if domain, err = parseDomain(domain); err == nil && domain[0] == '.' {
		err = errEmail
	}
	if err != nil {
		return "", errEmail
	}
	return local + "@" + domain, nil
}

// checkLocal holds a local part to a dot-string (RFC 5321 §4.1.2), with the
// letters of RFC 6531. Quoted ones are not taken in configuration.
func checkLocal(local string) error {
	if local == "" || len(local) > 64 || !utf8.ValidString(local) {
		return errEmail
	}
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool {
			return r < utf8.RuneSelf && !isNameRune(r) && !strings.ContainsRune("!#$%&'*+/=?^`{|}~", r)
		}) {
			return errEmail
		}
	}
	return nil
}
