package smtpd

import (
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-smtp"

	"esa/mta/envelope"
)

// Bounds of what RFC 3461 §4.2 and §4.4 let a client attach.
const (
	maxORCPT = 500
	maxENVID = 100
)

// argumentError is why MAIL or RCPT cannot be taken apart; all are answered
// 501.
type argumentError struct {
	reply   string
	address error  // what is wrong with the address; nil: it is something else
	part    string // the text that is no address
}

// parseMail takes the argument of MAIL apart: the path without brackets, for
// session.Mail, and its options (RFC 5321 §4.1.1.2).
func parseMail(arg string) (string, *smtp.MailOptions, *argumentError) {
	path, params, bad := cutPath(arg, "FROM:")
	if bad != nil {
		return "", nil, bad
	}
	o := &smtp.MailOptions{}
	bad = eachParam(params, func(key, value string) bool {
		switch key {
		case "SIZE":
			return parseSize(value, &o.Size)
		case "BODY":
			o.Body = smtp.BodyType(strings.ToUpper(value))
			return o.Body == smtp.Body7Bit || o.Body == smtp.Body8BitMIME
		case "SMTPUTF8":
			o.UTF8 = true
			return value == ""
		case "RET":
			o.Return = smtp.DSNReturn(strings.ToUpper(value))
			return o.Return == smtp.DSNReturnFull || o.Return == smtp.DSNReturnHeaders
		default: // ENVID
			id, ok := decodeXtext(value)
			o.EnvelopeID = id
			return ok && id != "" && len(value) <= maxENVID
		}
	}, "SIZE", "BODY", "SMTPUTF8", "RET", "ENVID")
	return path, o, bad
}

// parseRcpt takes the argument of RCPT apart (RFC 5321 §4.1.1.3).
func parseRcpt(arg string) (string, *smtp.RcptOptions, *argumentError) {
	path, params, bad := cutPath(arg, "TO:")
	if bad != nil {
		return "", nil, bad
	}
	o := &smtp.RcptOptions{}
	bad = eachParam(params, func(key, value string) bool {
		if key == "NOTIFY" {
			for word := range strings.SplitSeq(strings.ToUpper(value), ",") {
				o.Notify = append(o.Notify, smtp.DSNNotify(word))
			}
			_, ok := notify(o.Notify)
			return ok
		}
		return len(value) <= maxORCPT && parseORCPT(value, o)
	}, "NOTIFY", "ORCPT")
	return path, o, bad
}

// cutPath reads "FROM:<path>" and returns what follows. The path is given in
// the one form of its address; that it is one is checked here, what it may be
// is the session's decision.
func cutPath(arg, word string) (path, params string, bad *argumentError) {
	if len(arg) < len(word) || !strings.EqualFold(arg[:len(word)], word) {
		return "", "", &argumentError{reply: "#5.5.2 syntax error " + word}
	}
	text := strings.TrimLeft(arg[len(word):], " ")
	a, rest, err := envelope.ParsePath(text)
	if err != nil {
		return "", "", &argumentError{reply: "#5.5.2 syntax error in address", address: err, part: text}
	}
	return a.String(), rest, nil
}

// eachParam calls set for each parameter, "KEY" or "KEY=VALUE", if it is
// among the known ones and stands for the first time.
func eachParam(params string, set func(key, value string) bool, known ...string) *argumentError {
	var seen uint
	for param := range strings.FieldsSeq(params) {
		key, value, _ := strings.Cut(param, "=")
		n := -1
		for i, k := range known {
			if strings.EqualFold(k, key) {
				n = i
			}
		}
		switch {
		case n < 0:
			return &argumentError{reply: "Unknown option " + printable(key)}
		case seen&(1<<n) != 0:
			return &argumentError{reply: "#5.5.2 syntax error " + known[n] + " twice"}
		case !set(known[n], value):
			return &argumentError{reply: "Unknown value " + printable(value)}
		}
		seen |= 1 << n
	}
	return nil
}

// parseSize reads SIZE= (RFC 1870 §3: up to 20 digits). What is beyond 63 bits
// is the largest number there is.
func parseSize(value string, size *int64) bool {
	if value == "" || len(value) > 20 || strings.Trim(value, "0123456789") != "" {
		return false
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		n = math.MaxInt64
	}
	*size = n
	return true
}

// parseORCPT reads ORCPT= (RFC 3461 §4.2, RFC 6533 §3).
func parseORCPT(value string, o *smtp.RcptOptions) bool {
	kind, coded, ok := strings.Cut(value, ";")
	if !ok || coded == "" {
		return false
	}
	o.OriginalRecipientType = smtp.DSNAddressType(strings.ToUpper(kind))
	switch o.OriginalRecipientType {
	case smtp.DSNAddressTypeRFC822:
		o.OriginalRecipient, ok = decodeXtext(coded)
	case smtp.DSNAddressTypeUTF8:
		if o.OriginalRecipient, ok = decodeUTF8Address(coded); !ok {
			o.OriginalRecipient, ok = decodeXtext(coded)
		}
		ok = ok && isPrintableUTF8(o.OriginalRecipient)
	default:
		ok = false
	}
	return ok
}

// decodeXtext undoes xtext (RFC 3461 §4). What it stands for must be
// printable ASCII: it goes into files, logs and notices.
func decodeXtext(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' {
			if i+2 >= len(s) || strings.Trim(s[i+1:i+3], "0123456789ABCDEF") != "" {
				return "", false
			}
			n, _ := strconv.ParseUint(s[i+1:i+3], 16, 8) // two hex digits
			c = byte(n)
			i += 2
		} else if c == '=' {
			return "", false
		}
		b.WriteByte(c)
	}
	return b.String(), isPrintable(b.String())
}

// decodeUTF8Address undoes the \x{…} of RFC 6533 §3.
func decodeUTF8Address(s string) (string, bool) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, `\x{`)
		if strings.ContainsAny(before, `\+=`) {
			return "", false
		}
		b.WriteString(before)
		if !found {
			return b.String(), true
		}
		hex, rest, closed := strings.Cut(after, "}")
		n, err := strconv.ParseUint(hex, 16, 32)
		if !closed || err != nil || len(hex) < 2 || n > unicode.MaxRune || !utf8.ValidRune(rune(n)) {
			return "", false
		}
		b.WriteRune(rune(n))
		s = rest
	}
}

// isPrintable reports whether s is printable ASCII, blanks included.
func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func isPrintableUTF8(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// printable gives what came from the network as it may stand in a reply or a
// line of the log: the first 64 bytes, with ? for what is not printable ASCII.
func printable(s string) string {
	if len(s) > 64 {
		s = s[:64]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
