package maillog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Kind is what a subscription holds.
type Kind int

// The kinds of log (reference 2.7, 2.8).
const (
	TextMail       Kind = iota // the journey of every message
	CLIAudit                   // what operators type
	Authentication             // who logs in, and who was refused
	System                     // commits, start and end of the gateway
	kinds                      // how many there are
)

// Subscription is one log as logconfig has it.
type Subscription struct {
	Name     string // of the log and of its directory
	Kind     Kind
	FileName string // "mail"
	Level    Level
	MaxSize  int64 // bytes; a file rolls over before it gets longer
	MaxFiles int   // files kept, the current one included
}

// minSize keeps a file from rolling over with hardly a line in it.
const minSize = 1 << 10

// validate reports every subscription that cannot be obeyed.
func validate(subs []Subscription) error {
	var errs []error
	seen := make(map[string]bool)
	for _, sub := range subs {
		errs = append(errs, sub.validate())
		if seen[sub.Name] {
			errs = append(errs, fmt.Errorf("log %q is there twice", sub.Name))
		}
		seen[sub.Name] = true
	}
	return errors.Join(errs...)
}

func (sub Subscription) validate() error {
	switch {
	case !isFileName(sub.Name):
		return fmt.Errorf("log %q: a name has letters, digits, '_', '-' and '.' and begins with a letter or digit", sub.Name)
	case !isFileName(sub.FileName):
		return fmt.Errorf("log %q: bad file name %q", sub.Name, sub.FileName)
	case sub.Kind < 0 || sub.Kind >= kinds:
		return fmt.Errorf("log %q: bad kind %d", sub.Name, sub.Kind)
	case sub.Level < Critical || sub.Level > Trace:
		return fmt.Errorf("log %q: bad level %d", sub.Name, sub.Level)
	case sub.MaxSize < minSize:
		return fmt.Errorf("log %q: a file must have room for %d bytes", sub.Name, minSize)
	case sub.MaxFiles < 1:
		return fmt.Errorf("log %q: at least one file must be kept", sub.Name)
	}
	return nil
}

// isFileName keeps names inside their directory, and apart from the "@" that
// separates a file name from its time.
func isFileName(name string) bool {
	for i, r := range name {
		alnum := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !alnum && (i == 0 || !strings.ContainsRune("_-.", r)) {
			return false
		}
	}
	return name != "" && len(name) <= 64
}

func contains(subs []Subscription, name string) bool {
	for _, sub := range subs {
		if sub.Name == name {
			return true
		}
	}
	return false
}

// probe makes a directory and finds out whether files can be made in it.
func probe(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making log directory: %w", err)
	}
	f, err := os.CreateTemp(dir, ".probe")
	if err != nil {
		return fmt.Errorf("writing to log directory %s: %w", filepath.Base(dir), err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
