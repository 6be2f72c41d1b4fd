package commands

import (
	"slices"
	"testing"
)

func TestWrapped(t *testing.T) {
	for _, tt := range []struct {
		line  string
		width int
		want  []string
	}{
		{"", 10, []string{""}},
		{"one two", 7, []string{"one two"}},
		{"one two", 6, []string{"one", "two"}},
		{"one two three", 7, []string{"one two", "three"}},
		{"longerthanthat one", 6, []string{"longerthanthat", "one"}},
		{"one longerthanthat", 6, []string{"one", "longerthanthat"}},
		{"longerthanthat", 6, []string{"longerthanthat"}},
		{" x longer", 5, []string{" x", "longer"}},
	} {
		if got := wrapped(tt.line, tt.width); !slices.Equal(got, tt.want) {
			t.Errorf("%q in %d: %q", tt.line, tt.width, got)
		}
	}
}
