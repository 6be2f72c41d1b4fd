package shell

import (
	"fmt"
	"strings"
)

const (
	// masked stands for an answer that is not shown either, whatever its length.
	masked = "********"
	// maskedKey stands for a line of a private key.
	maskedKey = "(private key)"
	// Lines of a key have 64 or 70 characters, but for the last; no command line
	// of one word is as long as the shortest that is hidden alone.
	minKeyLine  = 20
	fullKeyLine = 60
)

// ear tells who wants to know of everything that is entered, without what
// nobody may repeat: answers that are not shown, texts that are pasted, and
// private keys, wherever they were pasted by mistake.
type ear struct {
	tell  func(prompt, line string) // nil: nobody
	about string                    // the question above the prompt
	inKey bool                      // the next line may belong to a key
	full  bool                      // the last one did, and was a full line
}

// asked remembers what is asked: of a question with a status block and options
// the line that asks.
func (e *ear) asked(question string) {
	question = strings.TrimSpace(question)
	if i := strings.LastIndex(question, "\n\n"); i >= 0 {
		question = question[i+2:]
	}
	e.about, _, _ = strings.Cut(question, "\n")
}

// line is told of an answer to p, or of a command line.
func (e *ear) line(p Prompt, line string) {
	hidden := e.key(line)
	switch {
	case e.tell == nil, p.Paste:
		return
	case p.Secret:
		line = masked
	case hidden:
		line = maskedKey
	}
	e.tell(e.prompt(p), line)
}

// paste is told of a text of several lines.
func (e *ear) paste(lines int) {
	if e.tell != nil {
		e.tell(e.prompt(Prompt{}), fmt.Sprintf("(%d lines)", lines))
	}
}

// prompt is what stood before the cursor, with the question above it.
func (e *ear) prompt(p Prompt) string {
	if e.about == "" {
		return p.Text
	}
	return e.about + "\n" + p.Text
}

// key tells whether line belongs to a private key in PEM (RFC 7468 §3), the
// lines before it considered. What cannot be one is told, so that nobody hides
// commands behind the beginning of a key.
func (e *ear) key(line string) bool {
	if strings.Contains(line, "PRIVATE KEY-----") {
		e.inKey, e.full = strings.LastIndex(line, "-----BEGIN ") > strings.LastIndex(line, "-----END "), false
		return true
	}
	header := strings.Contains(line, ": ") || line == "" // of an encrypted key (RFC 1421 §4.6)
	if !e.inKey || header {
		return false
	}
	// Only a last line may be short, and it follows one that is not.
	e.inKey = isBase64(line) && (len(line) >= minKeyLine || e.full)
	hidden := e.inKey
	if len(line) < minKeyLine {
		e.inKey = false
	}
	e.full = len(line) >= fullKeyLine
	return hidden
}

func isBase64(line string) bool {
	return strings.IndexFunc(line, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '+' && r != '/' && r != '='
	}) < 0
}
