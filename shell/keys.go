package shell

import (
	"context"
	"unicode"
	"unicode/utf8"
)

// Control characters that a session understands.
const (
	ctrlC     = 0x03
	ctrlD     = 0x04
	ctrlH     = 0x08
	tab       = 0x09
	lineFeed  = 0x0a
	ctrlL     = 0x0c
	enter     = 0x0d
	escapeKey = 0x1b
	backspace = 0x7f
)

// key is one key, or a run of characters that came together. For the editing
// keys that terminals send as sequences, code is the control character that
// means the same to an editor, and meta is set with the letter of ESC letter.
type key struct {
	text string // printable characters; empty for the others
	code byte
	meta bool
}

// keyboard makes keys of the bytes of a terminal.
type keyboard struct {
	in      *input
	afterCR bool // an LF that begins the next line belongs to the CR before it
}

// next waits for a key that is known. LF and CR are both Enter.
func (k *keyboard) next(ctx context.Context) (key, error) {
	for {
		b, err := k.in.next(ctx)
		if err != nil {
			return key{}, err
		}
		second := b == lineFeed && k.afterCR
		k.afterCR = b == enter && !k.in.skip(lineFeed)
		switch {
		case second:
		case b == lineFeed:
			return key{code: enter}, nil
		case b == escapeKey:
			found, err := k.sequence(ctx)
			if err != nil || found != (key{}) {
				return found, err
			}
		case b < ' ' || b == backspace:
			if b != 0 {
				return key{code: b}, nil
			}
		default:
			text, err := k.text(ctx, b)
			if err != nil || text != "" {
				return key{text: text}, err
			}
		}
	}
}

// text reads on from the first byte of a character, and takes what printable
// characters came with it. What is no character is dropped; a blank of any kind
// is a blank.
func (k *keyboard) text(ctx context.Context, b byte) (string, error) {
	r, err := k.character(ctx, b)
	if unicode.IsSpace(r) {
		r = ' '
	}
	if err != nil || !printable(r) {
		return "", err
	}
	return string(r) + k.in.text(), nil
}

// character reads on from the first byte of a character. The byte that shows
// that there is none is left for the next key: it may be Enter.
func (k *keyboard) character(ctx context.Context, b byte) (rune, error) {
	bytes := []byte{b}
	for !utf8.FullRune(bytes) {
		b, err := k.in.next(ctx)
		if err != nil {
			return 0, err
		}
		if utf8.RuneStart(b) {
			k.in.unread(b)
			return utf8.RuneError, nil
		}
		bytes = append(bytes, b)
	}
	r, _ := utf8.DecodeRune(bytes)
	return r, nil
}

// sequence reads what follows ESC.
func (k *keyboard) sequence(ctx context.Context) (key, error) {
	b, err := k.in.next(ctx)
	if err != nil {
		return key{}, err
	}
	switch b {
	case '[', 'O':
		return k.control(ctx)
	case 'b', 'f', 'd', backspace:
		return key{code: b, meta: true}, nil
	case enter, ctrlC, ctrlD:
		return key{code: b}, nil
	}
	return key{}, nil
}

// control reads a control sequence up to its final byte.
func (k *keyboard) control(ctx context.Context) (key, error) {
	var params []byte
	for {
		b, err := k.in.next(ctx)
		if err != nil {
			return key{}, err
		}
		if b < ' ' || b >= backspace {
			// A broken sequence: the key that cut it counts.
			return key{code: b}, nil
		}
		if b >= '@' {
			return editing(b, string(params)), nil
		}
		if len(params) < 16 {
			params = append(params, b)
		}
	}
}

// editing is the key that a control sequence stands for, the zero key if none.
func editing(final byte, params string) key {
	word := params == "1;5" || params == "1;3" || params == "5"
	switch {
	case final == 'A':
		return key{code: 'P' - '@'}
	case final == 'B':
		return key{code: 'N' - '@'}
	case final == 'C' && word:
		return key{code: 'f', meta: true}
	case final == 'C':
		return key{code: 'F' - '@'}
	case final == 'D' && word:
		return key{code: 'b', meta: true}
	case final == 'D':
		return key{code: 'B' - '@'}
	case final == 'H', final == '~' && (params == "1" || params == "7"):
		return key{code: 'A' - '@'}
	case final == 'F', final == '~' && (params == "4" || params == "8"):
		return key{code: 'E' - '@'}
	case final == '~' && params == "3":
		return key{code: deleteKey}
	}
	return key{}
}

// deleteKey is the Delete key, which unlike Ctrl-D never ends the input.
const deleteKey = 0x80

// any reads one key of whatever kind. A lone ESC is one: nothing is waited for.
// So is an LF, unless it came together with a CR: programs press it at the pager.
func (k *keyboard) any(ctx context.Context) (rune, error) {
	b, err := k.in.next(ctx)
	if err != nil {
		return 0, err
	}
	k.afterCR = b == enter
	switch {
	case b == ctrlC:
		return 0, ErrInterrupt
	case b == escapeKey && k.in.waiting():
		_, err := k.sequence(ctx)
		return 0, err
	case b == enter:
		k.in.skip(lineFeed)
		return 0, nil
	case b < ' ' || b == backspace:
		return 0, nil
	}
	return k.character(ctx, b)
}
