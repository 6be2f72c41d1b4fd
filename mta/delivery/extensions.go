package delivery

import (
	"math"
	"strconv"
	"strings"
)

// extensions is what a host announced in its reply to EHLO.
type extensions struct {
	offered map[string]string // keyword in upper case to its parameters
	size    int64             // largest message, 0: none named (RFC 1870)
	rcpts   int               // recipients in a transaction, 0: none named (RFC 9422)
	mails   int               // transactions on a connection, 0: none named
}

// has reports whether the host offers a service extension.
func (e extensions) has(keyword string) bool {
	_, ok := e.offered[keyword]
	return ok
}

// parseExtensions reads the reply to EHLO as RFC 1869 §4.3 has it: its first
// line is the greeting, whatever it holds; each further line is an extension.
// What does not parse is no extension, or one without the bad parameter.
func parseExtensions(r reply) extensions {
	e := extensions{offered: make(map[string]string, len(r.lines))}
	for i, text := range r.lines {
		if i == 0 {
			continue
		}
		keyword, params, _ := strings.Cut(strings.TrimRight(text, " \t"), " ")
		if keyword != "" {
			e.offered[strings.ToUpper(keyword)] = params
		}
	}
	e.size = sizeLimit(e.offered["SIZE"])
	for word := range strings.FieldsSeq(e.offered["LIMITS"]) {
		name, value, _ := strings.Cut(word, "=")
		switch strings.ToUpper(name) {
		case "RCPTMAX":
			e.rcpts = limit(value)
		case "MAILMAX":
			e.mails = limit(value)
		}
	}
	return e
}

// sizeLimit reads the parameter of SIZE; 0 means no fixed limit (RFC 1870 §4).
func sizeLimit(s string) int64 {
	word, _, _ := strings.Cut(strings.TrimSpace(s), " ")
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil || n > math.MaxInt64 {
		return 0
	}
	return int64(n)
}

// limit reads a limit of RFC 9422 §3: one to six digits, not beginning with 0.
func limit(s string) int {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || len(s) > 6 || strings.HasPrefix(s, "0") {
		return 0
	}
	return int(n)
}
