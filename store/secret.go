package store

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is what is kept and never shown: however it is printed, it is masked.
// The database, which only its owner can read, has it as it is.
type Secret string

const mask = "*****"

// Reveal gives the secret itself, for the one who uses it.
func (s Secret) Reveal() string { return string(s) }

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// Format masks what verb and flags would show.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue masks the secret in diagnostics.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
