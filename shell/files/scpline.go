package files

import (
	"errors"
	"fmt"
	"strings"
)

// scpLine is what the scp of a client asks of its far end.
type scpLine struct {
	sink      bool     // -t: files come; else -f: files go
	recursive bool     // -r
	times     bool     // -p
	folder    bool     // -d: the target must be a folder
	paths     []string // patterns of path.Match
}

// maxLine bounds an scp command line and the lines of the protocol, in bytes.
const maxLine = 4096

// IsSCP reports whether a command line is the far end of an scp: "scp" with -t
// or -f, as clients send it.
func IsSCP(line string) bool {
	words, err := split(line)
	if err != nil || len(words) == 0 || words[0] != "scp" {
		return false
	}
	for _, w := range words[1:] {
		if !strings.HasPrefix(w, "-") || w == "--" {
			return false
		}
		if strings.ContainsAny(w, "tf") {
			return true
		}
	}
	return false
}

// parseSCP reads the command line.
func parseSCP(line string) (scpLine, error) {
	var l scpLine
	words, err := split(line)
	if err != nil {
		return l, err
	}
	l.paths = words[1:]
	source := false
	for len(l.paths) > 0 && strings.HasPrefix(l.paths[0], "-") {
		option := l.paths[0]
		l.paths = l.paths[1:]
		if option == "--" {
			break
		}
		for _, letter := range option[1:] {
			switch letter {
			case 't':
				l.sink = true
			case 'f':
				source = true
			case 'r':
				l.recursive = true
			case 'p':
				l.times = true
			case 'd':
				l.folder = true
			case 'v', 'q': // about what the client prints
			default:
				return l, fmt.Errorf("unknown option -%c", letter)
			}
		}
	}
	switch {
	case l.sink == source:
		return l, errors.New("one of -t and -f is needed")
	case len(l.paths) == 0, l.sink && len(l.paths) > 1:
		return l, errors.New("one path is needed; a blank in it needs a backslash")
	}
	return l, nil
}

// split breaks a line at blanks as the shell on an ordinary machine would,
// where the clients believe it goes: quotes and backslashes protect. What they
// protect of the characters that match others (*, ?, [) gets a backslash, so
// that each word but the first is a pattern for path.Match.
func split(line string) ([]string, error) {
	if len(line) > maxLine {
		return nil, errors.New("the line is too long")
	}
	var words []string
	var word strings.Builder
	var quote rune
	begun, escaped := false, false
	for _, c := range line {
		switch {
		case escaped:
			escaped = false
			if quote == '"' && !strings.ContainsRune("\"\\$`", c) {
				word.WriteString(`\\`)
			}
			word.WriteString(literal(c))
		case c == '\\' && quote != '\'':
			escaped, begun = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteString(literal(c))
		case c == '\'' || c == '"':
			quote, begun = c, true
		case c == ' ' || c == '\t':
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			begun = true
			word.WriteRune(c)
		}
	}
	if quote != 0 || escaped {
		return nil, errors.New("a quote or backslash is left open")
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}

// literal is a character that stands for itself in a pattern.
func literal(c rune) string {
	if strings.ContainsRune(`*?[\`, c) {
		return `\` + string(c)
	}
	return string(c)
}

// unescape is the name that a pattern without matching characters stands for,
// and whether it is one.
func unescape(pattern string) (string, bool) {
	var name strings.Builder
	escaped := false
	for _, c := range pattern {
		switch {
		case !escaped && c == '\\':
			escaped = true
			continue
		case !escaped && strings.ContainsRune("*?[", c):
			return "", false
		}
		escaped = false
		name.WriteRune(c)
	}
	return name.String(), true
}
