package commands

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"esa/shell"
)

// TestNoLineLooksLikeAPrompt: programs take a line of letters, digits, dots,
// dashes and blanks that ends in > or # for the prompt (clients 1.1). No
// command shows such a line.
func TestNoLineLooksLikeAPrompt(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txt")
	more, err2 := filepath.Glob("testdata/*/p*/*.txt")
	if err != nil || err2 != nil || len(files) == 0 || len(more) == 0 {
		t.Fatalf("no transcripts: %v, %v", err, err2)
	}
	lookalike := regexp.MustCompile(`(?m)^\(?[\w.\- ]+\)?[#>]\s*$`)
	named := regexp.MustCompile(`(?m)(?:sethostname |\]> )([\w.-]+)`)
	for _, file := range append(files, more...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		hosts := []string{"mail.example.com"}
		for _, found := range named.FindAllStringSubmatch(string(text), -1) {
			hosts = append(hosts, strings.TrimSuffix(found[1], "."))
		}
		for _, line := range lookalike.FindAllString(string(text), -1) {
			if host := strings.TrimRight(line, "> \n"); !slices.Contains(hosts, host) {
				t.Errorf("%s: %q", file, line)
			}
		}
	}
}

// secretive is a console that remembers what was typed without being shown, the
// private keys that were pasted and the passphrases that were made: none of it
// may be heard.
type secretive struct {
	shell.Console
	secrets []string
	inKey   bool
	heard   strings.Builder
}

// hear is what the audit of the session is told.
func (s *secretive) hear(prompt, line string) { s.heard.WriteString(prompt + line + "\n") }

func (s *secretive) ReadLine(ctx context.Context, p shell.Prompt) (string, error) {
	line, err := s.Console.ReadLine(ctx, p)
	if strings.Contains(line, "-----") {
		s.inKey = strings.Contains(line, "BEGIN") && strings.Contains(line, "PRIVATE KEY")
	} else if p.Secret && len(line) >= 6 || s.inKey && len(line) >= 20 {
		s.secrets = append(s.secrets, line)
	}
	return line, err
}

// Write finds the passphrases that the gateway makes.
func (s *secretive) Write(p []byte) (int, error) {
	if _, generated, ok := strings.Cut(string(p), "system generated passphrase: "); ok {
		s.secrets = append(s.secrets, strings.TrimSpace(generated))
	}
	return s.Console.Write(p)
}

// check holds what was heard of a session against its secrets.
func (s *secretive) check(t testing.TB) {
	t.Helper()
	// Tests type some of them in words of their own command first.
	said := regexp.MustCompile(`(?m)^.*> test .*$`).ReplaceAllString(s.heard.String(), "")
	for _, secret := range s.secrets {
		if strings.Contains(said, secret) {
			t.Errorf("%q is heard:\n%s", secret, said)
		}
	}
}
