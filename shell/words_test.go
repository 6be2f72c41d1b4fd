package shell

import (
	"slices"
	"strings"
	"testing"
)

func TestWords(t *testing.T) {
	for _, tt := range []struct {
		line string
		want []string
		err  string
	}{
		{"", nil, ""},
		{" \t ", nil, ""},
		{"commit", []string{"commit"}, ""},
		{"  smtproutes\tnew  example.com ", []string{"smtproutes", "new", "example.com"}, ""},
		{`commit "two words"`, []string{"commit", "two words"}, ""},
		{`commit ""`, []string{"commit", ""}, ""},
		{`a"b c"d`, []string{"ab cd"}, ""},
		{`say "a \"quote\" and \\"`, []string{"say", `a "quote" and \`}, ""},
		{`say \"a \\`, []string{"say", `"a`, `\`}, ""},
		{`bad a\d`, nil, `Command contained invalid escape character: \d`},
		{`bad "\ü"`, nil, `Command contained invalid escape character: \ü`},
		{`bad \`, nil, `Command contained invalid escape character: \`},
		{`bad "open`, nil, "Invalid arguments when processing: bad \"open\nA double quote is not closed."},
	} {
		got, err := Words(tt.line)
		if !slices.Equal(got, tt.want) || text(err) != tt.err {
			t.Errorf("%q: %q, %q; want %q, %q", tt.line, got, text(err), tt.want, tt.err)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return explain(err)
}

func TestStatements(t *testing.T) {
	for _, tt := range []struct {
		line string
		want []string
	}{
		{"", nil},
		{";;", nil},
		{"version", []string{"version"}},
		{"a new b; commit \"x; y\" ;", []string{"a new b", `commit "x; y"`}},
		{`a "\";" b;c`, []string{`a "\";" b`, "c"}},
		{`a \"; b`, []string{`a \"`, "b"}},
		{`a \`, []string{`a \`}},
	} {
		if got := Statements(tt.line); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.line, got, tt.want)
		}
	}
}

// FuzzWords: no line panics, and what a caller quotes comes back as it was.
func FuzzWords(f *testing.F) {
	for _, seed := range []string{"", "a b", `"a; b"; c`, `\"\\`, "ü\x00\"", `a\`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words, err := Words(line)
		if err != nil {
			return
		}
		var quoted []string
		for _, w := range words {
			quoted = append(quoted, Quote(w))
		}
		again := strings.Join(quoted, " ")
		if back, err := Words(again); err != nil || !slices.Equal(back, words) {
			t.Errorf("%q: %q, then %q, %v", line, words, back, err)
		}
		if statements := Statements(again); len(statements) > 1 {
			t.Errorf("%q is split at a quoted semicolon: %q", again, statements)
		}
	})
}
