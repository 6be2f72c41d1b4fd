package shelltest

import (
	"context"
	"io"
	"strings"
	"sync"
	"unicode/utf8"

	"esa/shell"
)

// Screen is a console whose answers are given beforehand and whose output is
// kept: for tests that are not transcripts, such as fuzzing a dialog. After the
// last answer the input has ended.
type Screen struct {
	Plain bool // the session is not interactive

	mu      sync.Mutex
	answers []string
	output  strings.Builder
}

// NewScreen returns a Screen at which answers are typed; ^C and ^D are the keys.
func NewScreen(answers ...string) *Screen { return &Screen{answers: answers} }

// String is what was shown, with the answers behind their prompts.
func (s *Screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.output.String()
}

// Write shows text.
func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.output.Write(p)
}

// ReadLine types the next answer.
func (s *Screen) ReadLine(ctx context.Context, p shell.Prompt) (string, error) {
	typed, err := s.next(ctx, p.Text)
	if err != nil {
		return "", err
	}
	return typedLine(typed)
}

// ReadKey types the next answer as a key.
func (s *Screen) ReadKey(ctx context.Context) (rune, error) {
	typed, err := s.next(ctx, "")
	if err != nil {
		return 0, err
	}
	return typedKey(typed)
}

func (s *Screen) next(ctx context.Context, prompt string) (string, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.output.WriteString(prompt)
	if len(s.answers) == 0 {
		s.output.WriteString("\n")
		return "", io.EOF
	}
	typed := s.answers[0]
	s.answers = s.answers[1:]
	s.output.WriteString(typed + "\n")
	return typed, nil
}

// OnInterrupt does nothing: nobody types while a command runs.
func (s *Screen) OnInterrupt(func()) (stop func()) { return func() {} }

// Size is 80 columns without pages.
func (s *Screen) Size() (cols, rows int) { return 80, 1 << 24 }

// Interactive is true unless Plain.
func (s *Screen) Interactive() bool { return !s.Plain }

// typedLine is what a console returns for a typed line.
func typedLine(typed string) (string, error) {
	switch typed {
	case "^C":
		return "", shell.ErrInterrupt
	case "^D":
		return "", io.EOF
	}
	return typed, nil
}

// typedKey is what a console returns for a typed key.
func typedKey(typed string) (rune, error) {
	switch typed {
	case "":
		return ' ', nil
	case "^C":
		return 0, shell.ErrInterrupt
	}
	r, _ := utf8.DecodeRuneInString(typed)
	return r, nil
}
