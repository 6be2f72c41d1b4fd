// Package shelltest tests commands by transcripts. A transcript is a text file
// that looks like the screen of a session:
//
//	# EDIT refuses a number that is not listed.
//	mail.example.com> colours
//
//	Choose the operation you want to perform:
//	- EDIT - Modify a colour.
//	[]> edit
//	...
//	mail.example.com> ^D
//
// What follows a prompt up to the end of its line is typed; ^C and ^D there are
// the keys. A line that is only ^C, where nothing is asked, is Ctrl-C while the
// command runs. What is typed at a question without echo stands there too, which
// is the one difference to the screen. Where the file ends, the session is
// dropped as by a closed window: what it shows from there on is not looked at.
// Lines at the top that begin with "# " explain.
//
// The runner compares all that is shown before each answer, without terminal
// and without waiting. With -update it types the same answers and rewrites the
// rest of the file; the diff is then for review. A new transcript starts as a
// file of nothing but prompts with answers.
package shelltest

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"esa/shell"
)

var update = flag.Bool("update", false, "rewrite transcripts from their answers")

// Updating tells whether -update was given: for tests that keep other generated
// files, since the flag exists once.
func Updating() bool { return *update }

// Runner holds what all transcripts of a test share. The zero value runs an
// interactive session of 80 columns without pages.
type Runner struct {
	Masks []Mask // applied to what the session shows, in order
	Rows  int    // of the terminal; 0 turns paging off
	Plain bool   // the session is not interactive
}

// Mask replaces what differs from run to run, such as times.
type Mask struct {
	Pattern *regexp.Regexp
	Text    string // as for ReplaceAllString
}

// Dir runs every transcript (*.txt) of a folder as a subtest with the zero
// Runner.
func Dir(t *testing.T, dir string, start func(t *testing.T, console shell.Console)) {
	t.Helper()
	Runner{}.Dir(t, dir, start)
}

// Dir runs every transcript (*.txt) of a folder as a subtest.
func (r Runner) Dir(t *testing.T, dir string, start func(t *testing.T, console shell.Console)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts in %s (%v)", dir, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			r.Run(t, file, func(c shell.Console) { start(t, c) })
		})
	}
}

// Run runs one transcript: start holds the session on console, and returns when
// that has ended.
func (r Runner) Run(t testing.TB, file string, start func(console shell.Console)) {
	t.Helper()
	r.run(t, file, Updating(), start)
}

func (r Runner) run(t testing.TB, file string, rewrite bool, start func(console shell.Console)) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	notes, screen := splitNotes(string(content))
	tr := &transcript{t: t, file: file, runner: r, want: screen, line: 1 + strings.Count(notes, "\n"), rewrite: rewrite}
	start(tr)
	shown := tr.finish()
	if !rewrite || notes+shown == string(content) {
		return
	}
	if err := os.WriteFile(file, []byte(notes+shown), 0o644); err != nil {
		t.Fatal(err)
	}
}

// splitNotes cuts the explanation off the top.
func splitNotes(content string) (notes, screen string) {
	for strings.HasPrefix(content[len(notes):], "#") {
		line, _, found := strings.Cut(content[len(notes):], "\n")
		notes += line
		if found {
			notes += "\n"
		}
	}
	return notes, content[len(notes):]
}

// transcript is the console of a session whose operator types what the file
// says.
type transcript struct {
	t       testing.TB
	file    string
	runner  Runner
	rewrite bool

	mu        sync.Mutex
	want      string          // what is left of the file
	line      int             // number of its first line
	pending   strings.Builder // shown since the last answer
	shown     strings.Builder // the new file
	over      bool            // failed, or at the end of the file
	erased    bool            // a key was read at the pager: its line is erased next
	interrupt func()
}

// Write shows text.
func (tr *transcript) Write(p []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	text := string(p)
	if tr.erased {
		tr.erased = false
		if strings.HasPrefix(text, "\r") {
			text = text[strings.LastIndexByte(text, '\r')+1:]
		}
	}
	if !tr.over {
		tr.pending.WriteString(text)
	}
	tr.interruptIfDue()
	return len(p), nil
}

// ReadLine checks what was shown and types the next line.
func (tr *transcript) ReadLine(ctx context.Context, p shell.Prompt) (string, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.t.Helper()
	typed, ok := tr.answer(p.Text)
	if !ok {
		return "", io.EOF
	}
	return typedLine(typed)
}

// ReadKey checks what was shown and types what stands behind it: nothing is the
// space bar.
func (tr *transcript) ReadKey(ctx context.Context) (rune, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.t.Helper()
	typed, ok := tr.answer("")
	tr.erased = true
	if !ok {
		return 0, io.EOF
	}
	return typedKey(typed)
}

// OnInterrupt takes what ^C calls.
func (tr *transcript) OnInterrupt(f func()) (stop func()) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.interrupt = f
	tr.interruptIfDue()
	return func() {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		tr.interrupt = nil
	}
}

// Size is 80 columns and the rows of the Runner.
func (tr *transcript) Size() (cols, rows int) {
	if tr.runner.Rows == 0 {
		return 80, 1 << 24
	}
	return 80, tr.runner.Rows
}

// Interactive is as the Runner says.
func (tr *transcript) Interactive() bool { return !tr.runner.Plain }

// interruptIfDue presses Ctrl-C once as many lines are shown as stand before
// the ^C. Counting lines, not comparing them, keeps a command that shows
// something else from running for ever.
func (tr *transcript) interruptIfDue() {
	if tr.interrupt == nil || tr.over {
		return
	}
	before := 0
	for line := range strings.Lines(tr.want) {
		line = strings.TrimSuffix(line, "\n")
		if line == "^C" {
			if strings.Count(tr.pending.String(), "\n") >= before {
				f := tr.interrupt
				tr.interrupt = nil
				f()
			}
			return
		}
		if promptLine.MatchString(line) {
			return
		}
		before++
	}
}

// promptLine finds the prompts of a file whose other text may be out of date.
var promptLine = regexp.MustCompile(`^(?:\[[^][]*\]> |.* \[[YND]\]> |[\w.()\- ]*> |-Press Any Key For More-)`)

// answer takes what was shown since the last answer, with the prompt at its
// end, and returns what the file types there; false at the end of the file.
func (tr *transcript) answer(prompt string) (typed string, ok bool) {
	tr.t.Helper()
	if tr.over {
		return "", false
	}
	got := tr.take() + prompt
	tr.shown.WriteString(got)
	switch {
	case strings.HasPrefix(tr.want, got):
		tr.skip(len(got))
	case tr.rewrite:
		tr.resume(got)
	default:
		tr.differ(got)
		return "", false
	}
	typed, rest, ended := strings.Cut(tr.want, "\n")
	if typed == "" && rest == "" && (!ended || got != "") {
		tr.shown.WriteString("\n")
		tr.want, tr.over = "", true
		return "", false
	}
	tr.skip(min(len(typed)+1, len(tr.want)))
	tr.shown.WriteString(typed + "\n")
	return typed, true
}

// resume goes on behind the next prompt of a file that shows something else
// than the session. Where the session has no prompt, it goes on behind as many
// lines; or where it is, if the file begins otherwise: it is a new one then,
// with answers only.
func (tr *transcript) resume(got string) {
	if got == "" || strings.HasSuffix(got, "\n") {
		first, _, _ := strings.Cut(got, "\n")
		if !strings.HasPrefix(tr.want, first+"\n") {
			return
		}
		for range strings.Count(got, "\n") {
			line, _, _ := strings.Cut(tr.want, "\n")
			tr.skip(min(len(line)+1, len(tr.want)))
		}
		return
	}
	for tr.want != "" {
		line, _, _ := strings.Cut(tr.want, "\n")
		if at := promptLine.FindString(line); at != "" {
			tr.skip(len(at))
			return
		}
		tr.skip(min(len(line)+1, len(tr.want)))
	}
}

// take returns what was shown since the last answer, masked.
func (tr *transcript) take() string {
	text := tr.pending.String()
	tr.pending.Reset()
	for _, m := range tr.runner.Masks {
		text = m.Pattern.ReplaceAllString(text, m.Text)
	}
	return text
}

func (tr *transcript) skip(n int) {
	tr.line += strings.Count(tr.want[:n], "\n")
	tr.want = tr.want[n:]
}

// differ reports the first line that is not as in the file.
func (tr *transcript) differ(got string) {
	tr.t.Helper()
	tr.over = true
	tr.t.Error(difference(tr.file, tr.line, tr.want, got))
}

func difference(file string, line int, want, got string) string {
	wants, gots := strings.SplitAfter(want, "\n"), strings.SplitAfter(got, "\n")
	i := 0
	for i < len(wants)-1 && i < len(gots)-1 && wants[i] == gots[i] {
		i++
	}
	if i == len(gots)-1 {
		// The last one is a prompt: what is typed behind it is not compared.
		if cut := len(gots[i]); cut > 0 && strings.HasPrefix(wants[i], gots[i]) {
			wants[i] = wants[i][:cut]
		}
	}
	return fmt.Sprintf("%s:%d: the screen differs\nwant %q\ngot  %q\nshown since the answer before:\n%s",
		file, line+i, wants[i], gots[i], got)
}

// finish compares what was shown after the last answer, and returns the new
// file.
func (tr *transcript) finish() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.t.Helper()
	if tr.over {
		return tr.shown.String()
	}
	got := tr.take()
	tr.shown.WriteString(got)
	if !tr.rewrite && tr.want != got {
		tr.differ(got)
	}
	return tr.shown.String()
}
