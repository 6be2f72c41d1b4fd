package shell

import "strings"

// Words splits a command line at blanks. Double quotes keep blanks together
// and may be empty; \\ and \" stand for a backslash and a quote, inside quotes
// and outside. Any other use of a backslash is refused.
func Words(line string) ([]string, error) {
	var (
		words  []string
		word   strings.Builder
		inWord bool
		quoted bool
	)
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\':
			if i+1 == len(line) || line[i+1] != '\\' && line[i+1] != '"' {
				return nil, Refusedf("Command contained invalid escape character: %s", escape(line[i:]))
			}
			i++
			word.WriteByte(line[i])
			inWord = true
		case c == '"':
			quoted = !quoted
			inWord = true
		case !quoted && (c == ' ' || c == '\t'):
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if quoted {
		return nil, Refusedf("Invalid arguments when processing: %s\nA double quote is not closed.", line)
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// Quote makes a word of a command line of any text, so that Words and Statements
// give it back as it is.
func Quote(word string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}

// escape is the backslash at the start of rest with the character after it.
func escape(rest string) string {
	for i := range rest {
		if i > 1 {
			return rest[:i]
		}
	}
	return rest
}

// Statements splits an exec line at the semicolons outside quotes. Empty
// statements, such as the one after a last semicolon, are left out.
func Statements(line string) []string {
	var (
		statements []string
		start      int
		quoted     bool
	)
	add := func(end int) {
		if s := strings.TrimSpace(line[start:end]); s != "" {
			statements = append(statements, s)
		}
	}
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == ';' && !quoted:
			add(i)
			start = i + 1
		}
	}
	add(len(line))
	return statements
}
