package shell_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"esa/shell"
	"esa/shell/shelltest"
)

// hears runs typed lines in a session and gives what was heard.
func hears(t *testing.T, run func(s *shell.Shell[*palette]), typed ...string) []string {
	t.Helper()
	s := session(shelltest.NewScreen(typed...), &palette{})
	var heard []string
	s.Heard = func(prompt, line string) { heard = append(heard, fmt.Sprintf("%q at %q", line, prompt)) }
	s.Commands = append(commands(), command{Name: "login", Dialog: func(d *shell.Dialog, _ *palette) error {
		d.Choose("The state is so and so.\n\nWhich one?", []string{"first", "second"}, 0)
		d.Secret("Enter the passphrase.")
		d.Lines("Paste the key.\nEnd it with a dot.", shell.EndDot)
		d.YesNo("Some words first.\nReally?", true)
		return d.Err()
	}})
	run(s)
	return heard
}

func interactively(t *testing.T) func(s *shell.Shell[*palette]) {
	return func(s *shell.Shell[*palette]) { _ = s.Interactive(t.Context()) }
}

// Everything that is entered is heard with its prompt, hidden answers and
// pasted texts masked; what is refused is heard too.
func TestHeard(t *testing.T) {
	const top = `at "mail.example.com> "`
	for _, tt := range []struct {
		name string
		run  func(s *shell.Shell[*palette])
		in   []string
		want []string
	}{
		{"a dialog", interactively(t), []string{"LOGIN", "3", "2", "geheim", "line 1", "line 2", ".", "", "bogus x", "exit"}, []string{
			`"LOGIN" ` + top, `"3" at "Which one?\n[1]> "`, `"2" at "Which one?\n[1]> "`,
			`"********" at "Enter the passphrase.\n> "`, `"(2 lines)" at "Paste the key.\n"`, `"" at "Some words first.\nReally? [Y]> "`,
			`"bogus x" ` + top, `"exit" ` + top,
		}},
		{"an interrupted dialog", interactively(t), []string{"login", "1", "^C", "exit"}, []string{
			`"login" ` + top, `"1" at "Which one?\n[1]> "`, `"exit" ` + top,
		}},
		{"a batch", func(s *shell.Shell[*palette]) { s.Batch(t.Context(), false) }, []string{"colours new Red 3", "exit"}, []string{
			`"colours new Red 3" ` + top, `"exit" ` + top,
		}},
		{"an exec line", func(s *shell.Shell[*palette]) { s.Exec(t.Context(), "bogus; colours new Red 3 ;") }, nil, []string{
			`"bogus" at ""`, `"colours new Red 3" at ""`,
		}},
	} {
		if got := hears(t, tt.run, tt.in...); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
		}
	}
}

// A private key that was pasted where commands are typed is not repeated, nor
// is it in one line of an exec request; what is no part of it is.
func TestHeardNeverAPrivateKey(t *testing.T) {
	full := strings.Repeat("c2VjcmV0", 8)
	key := []string{"-----BEGIN EC PRIVATE KEY-----", full, full, "c2Vj", "-----END EC PRIVATE KEY-----"}
	heard := hears(t, interactively(t), append(append([]string{"colours"}, key...), "", "version", "exit")...)
	if all := strings.Join(heard, "\n"); strings.Contains(all, "c2Vj") || strings.Count(all, "(private key)") != 5 || !strings.Contains(all, `"version"`) {
		t.Errorf("heard\n%s", all)
	}
	line := "colours new " + strings.Join(key, " ")
	if heard := hears(t, func(s *shell.Shell[*palette]) { s.Exec(t.Context(), line+"; bogus") }); len(heard) != 2 ||
		!strings.HasPrefix(heard[0], `"(private key)"`) || !strings.HasPrefix(heard[1], `"bogus"`) {
		t.Errorf("heard %q", heard)
	}
	encrypted := []string{key[0], "Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-256-CBC,00", full, "exit"}
	if heard := strings.Join(hears(t, interactively(t), encrypted...), "\n"); strings.Contains(heard, full) || strings.Count(heard, "(private key)") != 3 {
		t.Errorf("heard\n%s", heard) // exit is short, and could be the last line
	}
}

// Nobody hides commands behind the beginning of a key.
func TestHeardBehindABeginning(t *testing.T) {
	for _, tt := range []struct{ typed, heard []string }{
		{[]string{"commit"}, []string{"commit"}},
		{[]string{"colours new Red 3", "commit"}, []string{"colours new Red 3", "commit"}},
		{[]string{"colours", "new", "Red"}, []string{"colours", "new", "Red"}},
		{[]string{strings.Repeat("A", 64), "hidden", "commit"}, []string{"(private key)", "(private key)", "commit"}},
		{[]string{strings.Repeat("A", 20), "commit"}, []string{"(private key)", "commit"}},
	} {
		heard := hears(t, interactively(t), append([]string{"-----BEGIN PRIVATE KEY-----"}, tt.typed...)...)
		for n, want := range tt.heard {
			if len(heard) < n+2 || !strings.HasPrefix(heard[n+1], fmt.Sprintf("%q at ", want)) {
				t.Errorf("%q: heard %q", tt.typed, heard)
			}
		}
	}
}
