package shelltest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"esa/shell"
)

// recorder stands in for the test that a transcript fails.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Helper()           {}
func (r *recorder) Error(args ...any) { r.failures = append(r.failures, fmt.Sprint(args...)) }

type nothing = struct{}

// session has a command that asks twice, one that waits and one that asks for
// lines.
func session(console shell.Console) {
	s := &shell.Shell[nothing]{Console: console, Prompt: func() string { return "host" }, Commands: []shell.Command[nothing]{
		{Name: "ask", Dialog: func(d *shell.Dialog, _ nothing) error {
			name := d.Required("Name?", "")
			if d.YesNo("Sure?", true) {
				d.Text("Hello " + name + " at 12:34:56.")
			}
			return d.Err()
		}},
		{Name: "wait", Dialog: func(d *shell.Dialog, _ nothing) error {
			d.Text("Waiting.")
			<-d.Context().Done()
			return nil
		}},
		{Name: "lines", Dialog: func(d *shell.Dialog, _ nothing) error {
			d.Printf("%q\n", d.Lines("Lines, then a dot:", shell.EndDot))
			return d.Err()
		}},
		{Name: "exit", Dialog: func(*shell.Dialog, nothing) error { return shell.ErrExit }},
	}}
	_ = s.Interactive(context.Background())
}

var masks = Runner{Masks: []Mask{{regexp.MustCompile(`\d\d:\d\d:\d\d`), "HH:MM:SS"}}}

const good = `# A note.
# Another.
host> ask

Name?
[]> Bob

Sure? [Y]> 
Hello Bob at HH:MM:SS.
host> wait
Waiting.
^C
host> lines

Lines, then a dot:
one
[]> two

.
["one" "[]> two" ""]
host> ^C
host> ^D
`

func TestRunner(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		failure    string // beginning; "" passes
	}{
		{"as on the screen", good, ""},
		{"ends at a prompt", "host> ask\n\nName?\n[]> \n", ""},
		{"ends at a prompt without line end", "host> ask\n\nName?\n[]> ", ""},
		{"ends inside a line of the session", "host> ", ""},
		{"other text", strings.Replace(good, "Name?", "Your name?", 1), "FILE:5: the screen differs\nwant \"Your name?\\n\"\ngot  \"Name?\\n\"\n"},
		{"other default", strings.Replace(good, "[Y]", "[N]", 1), "FILE:8: the screen differs\nwant \"Sure? [N]> \\n\"\ngot  \"Sure? [Y]> \"\n"},
		{"other result", strings.Replace(good, "Hello", "Hullo", 1), "FILE:9: the screen differs"},
		{"a line too few", strings.Replace(good, "Waiting.\n", "", 1), "FILE:11: the screen differs\nwant \"^C\\n\"\ngot  \"Waiting.\\n\""},
		{"an answer too many", "host> ask\n\nName?\n[]> Bob\n\nSure? [Y]> n\nReally? [Y]> n\nhost> exit\n", "FILE:7: the screen differs"},
		{"an answer too few", "host> ask\n\nName?\n[]> Bob\nhost> exit\n", "FILE:5: the screen differs"},
		{"the session ends early", "host> exit\nhost> ask\n", "FILE:2: the screen differs\nwant \"host> ask\\n\"\ngot  \"\"\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "x.txt")
			if err := os.WriteFile(file, []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			r := &recorder{TB: t}
			masks.run(r, file, false, session)
			failure := strings.ReplaceAll(strings.Join(r.failures, "\n---\n"), file, "FILE")
			if tt.failure == "" && failure != "" || !strings.HasPrefix(failure, tt.failure) {
				t.Errorf("failure %q, want %q", failure, tt.failure)
			}
		})
	}
}

func TestUpdate(t *testing.T) {
	for _, tt := range []struct{ name, file, want string }{
		{"right already", good, good},
		{"answers only", "# A note.\n# Another.\nhost> ask\n[]> Bob\n[]> \nhost> wait\n^C\nhost> lines\none\n[]> two\n\n.\nhost> ^C\nhost> ^D\n", good},
		{"other text", strings.NewReplacer("Name?", "Your name?", "[Y]", "[N]", "Waiting", "Sleeping", "a dot", "two dots", "host>", "h>").Replace(good), good},
		{"no answers left", "host> ask\n", "host> ask\n\nName?\n[]> \n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "x.txt")
			if err := os.WriteFile(file, []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			masks.run(t, file, true, session)
			got, err := os.ReadFile(file)
			if err != nil || string(got) != tt.want {
				t.Errorf("%v, file\n%s\nwant\n%s", err, got, tt.want)
			}
		})
	}
}
