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
	// maxKeyLines bounds how long a key without end hides what follows.
	maxKeyLines = 400
)

// ear tells who wants to know of everything that is entered, without what
// nobody may repeat: answers that are not shown, texts that are pasted, and
// private keys, wherever they were pasted by mistake.
type ear struct {
	tell  func(prompt, line string) // nil: nobody
	about string                    // the question above the prompt
	inKey int                       // lines to come that may belong to a key
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

// key tells whether line belongs to a private key in PEM (RFC 7468 §2), the
// lines before it considered.
func (e *ear) key(line string) bool {
	switch {
	case strings.Contains(line, "PRIVATE KEY-----"):
		e.inKey = 0
		if begin := strings.LastIndex(line, "-----BEGIN "); begin > strings.LastIndex(line, "-----END ") {
			e.inKey = maxKeyLines
		}
		return true
	case e.inKey > 0:
		e.inKey--
		return true
	}
	return false
}
