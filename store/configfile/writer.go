package configfile

import (
	"bufio"
	"fmt"
	"strings"
	"unicode/utf8"

	"esa/store"
)

// writer writes elements, two blanks for each level. It keeps the first error.
type writer struct {
	out     *bufio.Writer
	level   int // of the elements that are open, without <config>
	secrets Secrets
	key     *Key
	err     error
}

// line writes a line at the present level.
func (w *writer) line(text string) {
	if w.err != nil {
		return
	}
	indent := ""
	if strings.HasPrefix(text, "<") && w.level > 0 {
		indent = strings.Repeat("  ", w.level)
	}
	_, w.err = w.out.WriteString(indent + text + "\n")
}

// titleWidth is the width of the box around the title of a section.
const titleWidth = 78

// title writes the box over a section, and begins its elements.
func (w *writer) title(text string) {
	w.level = 0
	stars := strings.Repeat("*", titleWidth)
	inner := titleWidth - 2 - len(text)
	left := strings.Repeat(" ", inner/2)
	right := strings.Repeat(" ", inner-inner/2)
	w.line("<!--\n" + stars + "\n*" + left + text + right + "*\n" + stars[3:] + "-->\n")
	w.level = 1
}

func (w *writer) open(name string, attributes ...attribute) {
	w.line("<" + name + w.attributes(attributes) + ">")
	w.level++
}

func (w *writer) close(name string) {
	w.level--
	w.line("</" + name + ">")
}

// attribute is one of an element.
type attribute struct{ name, value string }

func (w *writer) attributes(all []attribute) string {
	var b strings.Builder
	for _, a := range all {
		fmt.Fprintf(&b, ` %s="%s"`, a.name, w.escape(a.value, false))
	}
	return b.String()
}

// leaf writes an element that holds a text, in one line.
func (w *writer) leaf(name, text string, attributes ...attribute) {
	w.line("<" + name + w.attributes(attributes) + ">" + w.escape(text, false) + "</" + name + ">")
}

// block writes an element that holds lines, each ended by LF, as lines.
func (w *writer) block(name, lines string) {
	if lines == "" {
		w.leaf(name, "")
		return
	}
	w.line("<" + name + ">\n" + w.escape(lines, true) + "</" + name + ">")
}

// mask stands for a secret that is not shown.
const mask = "*****"

// secret writes an element that holds a secret. Lines end in LF.
func (w *writer) secret(name string, s store.Secret) {
	switch {
	case s == "":
		w.leaf(name, "")
	case w.secrets == Plain && strings.HasSuffix(s.Reveal(), "\n"):
		w.block(name, s.Reveal())
	case w.secrets == Plain:
		w.leaf(name, s.Reveal())
	case w.secrets == Encrypted:
		w.leaf(name, w.key.seal(s))
	default:
		w.leaf(name, mask)
	}
}

// escape gives a text in ASCII that reads as itself. In a block, lines stay
// lines; one that ends in # or > would pass for a prompt.
func (w *writer) escape(text string, block bool) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '"':
			b.WriteString("&quot;")
		case r == '#' && strings.HasPrefix(strings.TrimLeft(text[i+1:], " \t"), "\n"):
			b.WriteString("&#35;")
		case r == '\n' && block, r >= ' ' && r < 0x7f:
			b.WriteRune(r)
		case !isXML(r), r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)):
			if w.err == nil {
				w.err = &TextError{r, text}
			}
			return ""
		default:
			fmt.Fprintf(&b, "&#%d;", r)
		}
	}
	return b.String()
}

// TextError is the error of a text that no document may hold.
type TextError struct {
	Character rune
	Text      string
}

// Error shows the character and the beginning of the text.
func (t *TextError) Error() string {
	return fmt.Sprintf("a text with the character %U cannot be written: %.60q", t.Character, t.Text)
}

// isXML reports whether a document may hold the character (XML 1.0 §2.2).
func isXML(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd || r >= 0x10000 && r <= utf8.MaxRune
}
