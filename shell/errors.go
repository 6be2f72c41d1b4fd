package shell

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Errors that end a question, a command or a session.
var (
	// ErrInterrupt is Ctrl-C: it ends the command, not the session.
	ErrInterrupt = errors.New("interrupted")
	// ErrIdle ends a session that waited too long for its operator.
	ErrIdle = errors.New("idle for too long")
	// ErrExit is returned by a command to leave the session.
	ErrExit = errors.New("leaving the session")
	// ErrFailed is returned by a command that failed and has told the operator
	// why: nothing more is shown.
	ErrFailed = errors.New("the command failed")
	// ErrStopped is what writing gives after the operator stopped a listing at
	// the pager. Returned by a command it is no failure.
	ErrStopped = errors.New("listing stopped")
	// ErrLineTooLong refuses a line of more than MaxLine bytes.
	ErrLineTooLong = fmt.Errorf("the line is longer than %d bytes", MaxLine)
)

// refusal is an error that is written for the operator.
type refusal struct{ error }

func (r refusal) Unwrap() error { return errors.Unwrap(r.error) }

// Refusedf refuses what the operator asked for. The text is shown as it is, so
// it is whole sentences that say what to do; it may have several lines, and %w
// keeps a cause for the caller.
func Refusedf(format string, args ...any) error {
	return refusal{fmt.Errorf(format, args...)}
}

// Refused makes a refusal of an error that is a fit word for operators but no
// sentence: it is shown as the same sentence whether a dialog refuses with it or
// a command on one line fails with it. Nil stays nil.
func Refused(err error) error {
	if err == nil {
		return nil
	}
	return refusal{sentence{err}}
}

// sentence shows an error as explain does.
type sentence struct{ cause error }

func (s sentence) Error() string { return explain(s.cause) }
func (s sentence) Unwrap() error { return s.cause }

// explain is the text that an operator sees for err: a refusal word by word,
// anything else as a sentence.
func explain(err error) string {
	var r refusal
	if errors.As(err, &r) {
		return r.Error()
	}
	text := err.Error()
	first, size := utf8.DecodeRuneInString(text)
	text = string(unicode.ToUpper(first)) + text[size:]
	// A sentence may end in an example in brackets.
	if !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, ")") {
		text += "."
	}
	return text
}
