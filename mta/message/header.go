package message

import (
	"bytes"
	"io"
	"mime"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what is kept of a field.
const (
	maxName    = 256  // a longer field name is none
	maxValue   = 1024 // of Subject and Message-ID, as sent
	maxSubject = 256  // decoded
)

// HeaderLimits bound a header. Zero and less are no limit.
type HeaderLimits struct {
	Bytes int64
	Lines int
}

// Header passes the text of a message on to a writer and reads its header
// fields on the way. Where the header ends it adds fields that are missing.
//
// A text whose first line, or any line before the empty one, is no header
// field has its header end there; an empty line is put before it, since what
// is added in front would else make it part of the header.
type Header struct {
	Limits  HeaderLimits
	Missing string // the Message-ID field to add where there is none, with its line end

	Received int  // Received fields
	TooLarge bool // a limit was passed; nothing was written since

	w         io.Writer
	kind      field
	fields    int
	lines     int
	bytes     int64
	done      bool
	inValue   bool
	held      []byte // begin of a line that is not yet known to be a field
	messageID []byte
	subject   []byte
	hasID     bool
}

// field is what a header line is read for.
type field uint8

const (
	otherField field = iota
	messageIDField
	subjectField
)

// NewHeader makes a Header that passes on to w.
func NewHeader(w io.Writer, limits HeaderLimits) *Header {
	return &Header{w: w, Limits: limits}
}

// MessageID gives the value of the Message-ID field, the one added if there
// was none.
func (h *Header) MessageID() string {
	if !h.hasID {
		_, value, _ := strings.Cut(h.Missing, ":")
		return strings.TrimSpace(value)
	}
	return printable(string(bytes.TrimSpace(h.messageID)), maxValue)
}

// Subject gives the decoded subject, without control characters, at most 256
// bytes long.
func (h *Header) Subject() string {
	raw := string(bytes.TrimSpace(h.subject))
	// A charset the standard library does not know leaves the words as sent.
	if text, err := new(mime.WordDecoder).DecodeHeader(raw); err == nil {
		raw = text
	}
	return printable(raw, maxSubject)
}

// Write passes p on. After TooLarge it writes nothing more.
func (h *Header) Write(p []byte) (int, error) {
	if h.done {
		return h.pass(p)
	}
	text := p
	if len(h.held) > 0 {
		text = append(h.held, p...)
	}
	n := h.scan(text)
	h.bytes += int64(n)
	h.limit()
	if h.TooLarge {
		return len(p), nil
	}
	if _, err := h.w.Write(text[:n]); err != nil {
		return 0, err
	}
	rest := text[n:]
	if !h.done {
		h.held = append(h.held[:0], rest...)
		return len(p), nil
	}
	if err := h.end(rest); err != nil {
		return 0, err
	}
	if _, err := h.pass(rest); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (h *Header) pass(p []byte) (int, error) {
	if h.TooLarge || len(p) == 0 {
		return len(p), nil
	}
	return h.w.Write(p)
}

// Close ends a text that may have ended before its header did.
func (h *Header) Close() error {
	if h.done || h.TooLarge {
		return nil
	}
	h.done = true
	if err := h.end(h.held); err != nil {
		return err
	}
	_, err := h.pass(h.held)
	return err
}

func (h *Header) limit() {
	over := h.Limits.Bytes > 0 && h.bytes > h.Limits.Bytes || h.Limits.Lines > 0 && h.lines > h.Limits.Lines
	if over {
		h.TooLarge, h.done = true, true
	}
}

// end writes what is missing where the header ends; rest follows.
func (h *Header) end(rest []byte) error {
	var add string
	if !h.hasID {
		add = h.Missing
	}
	if len(rest) > 0 && !isBlankLine(rest) {
		add += "\r\n"
	}
	if add == "" {
		return nil
	}
	_, err := io.WriteString(h.w, add)
	return err
}

func isBlankLine(s []byte) bool { return s[0] == '\n' || len(s) > 1 && s[0] == '\r' && s[1] == '\n' }

// scan reads s up to the end of the header, or up to a line that is not yet
// known to be a field, and returns how far it came. A line ends with LF: a
// text with bare LF (Allow) is read as its reader will.
func (h *Header) scan(s []byte) int {
	for i := 0; i < len(s); {
		if !h.inValue {
			n, what := fieldName(s[i:], h.fields > 0)
			switch what {
			case undecided:
				return i
			case noField:
				h.done = true
				return i
			case newField:
				h.begin(s[i : i+n])
				i += n
			case folded:
			}
			h.inValue = true
			h.lines++
		}
		lf := bytes.IndexByte(s[i:], '\n')
		if lf < 0 {
			h.keep(s[i:])
			return len(s)
		}
		h.keep(s[i : i+lf])
		h.inValue = false
		i += lf + 1
	}
	return len(s)
}

// begin notes which field a line begins; name ends with the colon.
func (h *Header) begin(name []byte) {
	h.fields++
	h.kind = otherField
	switch name = bytes.TrimRight(name[:len(name)-1], " \t"); {
	case equalFold(name, "Received"):
		h.Received++
	case equalFold(name, "Message-ID") && !h.hasID:
		h.kind, h.hasID = messageIDField, true
	case equalFold(name, "Subject") && h.subject == nil:
		h.kind, h.subject = subjectField, make([]byte, 0, 128)
	}
}

func equalFold(name []byte, word string) bool {
	return len(name) == len(word) && strings.EqualFold(string(name), word)
}

// keep adds to the value of a field that is kept, up to its bound.
func (h *Header) keep(s []byte) {
	var value *[]byte
	switch h.kind {
	case messageIDField:
		value = &h.messageID
	case subjectField:
		value = &h.subject
	default:
		return
	}
	s = bytes.TrimSuffix(s, []byte("\r"))
	room := maxValue - len(*value)
	*value = append(*value, s[:max(0, min(len(s), room))]...)
}

// lineKind is what the begin of a line says.
type lineKind uint8

const (
	undecided lineKind = iota // too short to say
	noField
	newField
	folded // goes on with the field above
)

// fieldName looks at the begin of a line. For a new field it gives the length
// of its name with the colon (RFC 5322 §2.2; blanks before the colon are
// §4.5's obsolete form).
func fieldName(s []byte, after bool) (int, lineKind) {
	if s[0] == ' ' || s[0] == '\t' {
		if after {
			return 0, folded
		}
		return 0, noField
	}
	blank := false
	for i, c := range s {
		switch {
		case i > maxName:
			return 0, noField
		case c == ':' && i > 0:
			return i + 1, newField
		case c == '\r' && i == 0 && len(s) == 1:
			return 0, undecided
		case (c == ' ' || c == '\t') && i > 0:
			blank = true
		case c <= ' ' || c >= 0x7f || c == ':' || blank:
			return 0, noField
		}
	}
	return 0, undecided
}

// printable gives text without control characters, cut at a rune.
func printable(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) <= limit {
		return text
	}
	for !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}
