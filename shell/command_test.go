package shell

import (
	"slices"
	"strings"
	"testing"
)

func TestUsageIsTheGrammar(t *testing.T) {
	for _, tt := range []struct {
		usage, words string
		args         string // joined by blanks; "-" if the words do not fit
	}{
		{"version", "", ""},
		{"version", "x", "-"},
		{"routes new SOURCE DEST...", "new a", "-"},
		{"routes new SOURCE DEST...", "NEW a b c", "a b c"},
		{"routes new SOURCE DEST [DEST...]", "new a b", "a b"},
		{"routes new SOURCE DEST [DEST...]", "new a b c d", "a b c d"},
		{"routes new SOURCE DEST [DEST] ...", "new a b c d", "a b c d"},
		{"routes delete SOURCE", "delete a b", "-"},
		{"listener new NAME public|private PORT", "new a PRIVATE 25", "a private 25"},
		{"listener new NAME public|private PORT", "new a secret 25", "-"},
		{"listener edit NAME limits MAX QUEUE", "edit a limits 1 2", "a 1 2"},
		{"listener edit NAME limits MAX QUEUE", "edit a name 1 2", "-"},
		{"listener edit NAME host [IP [PORT]]", "edit a host", "a"},
		{"listener edit NAME host [IP [PORT]]", "edit a host b c", "a b c"},
		{"listener edit NAME host [IP [PORT]]", "edit a host b c d", "-"},
		{"delivery setup [interface=NAME|auto] [concurrency=N]", "setup", ""},
		{"delivery setup [interface=NAME|auto] [concurrency=N]", "setup Concurrency=7 interface=x", "Concurrency=7 interface=x"},
		{"delivery setup [interface=NAME|auto] [concurrency=N]", "setup speed=7", "-"},
		{"delivery setup [interface=NAME|auto] [concurrency=N]", "setup 7", "-"},
		{"bounce new NAME retries=N [max=N]", "new a retries=3", "a retries=3"},
		{"bounce new NAME retries=N [max=N]", "new a max=3", "-"},
		{"grep [-i] REGEX [LOG]", "-i x mail", "-i x mail"},
		{"grep [-i] REGEX [LOG]", "", "-"},
		{"commit -y", "-Y", ""},
		{"commit [COMMENT] [Y|N] [force]", "a=b y", "a=b y"},
	} {
		args, ok := parseUsage(tt.usage).match(strings.Fields(tt.words))
		got := strings.Join(args, " ")
		if !ok {
			got = "-"
		}
		if got != tt.args {
			t.Errorf("%q with %q: %q, want %q", tt.usage, tt.words, got, tt.args)
		}
	}
}

func TestResolve(t *testing.T) {
	var ran string
	run := func(name string) func(*Dialog, int, []string) error {
		return func(_ *Dialog, _ int, args []string) error {
			ran = name + ":" + strings.Join(args, ",")
			return nil
		}
	}
	table := []Command[int]{
		{Name: "commit", Aliases: []string{"co"}, Forms: []Form[int]{{"commit [COMMENT] [Y]", run("any")}, {"commit check", run("check")}},
			Dialog: func(*Dialog, int) error { ran = "dialog"; return nil }},
		{Name: "version", Forms: []Form[int]{{"version", run("version")}}},
	}
	for _, tt := range []struct{ line, want string }{
		{"commit", "dialog"},
		{"CO", "dialog"},
		{`commit "text"`, "any:text"},
		{"commit check", "check:"},
		{"commit CHECK Y", "any:CHECK,Y"},
		{`commit ""`, "any:"},
		{"Version", "version:"},
		{"commit a b c", "Invalid arguments when processing: commit a b c\nUsage: commit\n       commit [COMMENT] [Y]\n       commit check"},
		{"version 1", "Invalid arguments when processing: version 1\nUsage: version"},
		{"vers", "Unknown command or missing feature key: vers"},
		{`""`, "Unknown command or missing feature key: "},
	} {
		ran = ""
		a, err := resolve(table, tt.line)
		if err == nil {
			err = a.run(nil, 0)
		}
		if got := ran + text(err); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.line, got, tt.want)
		}
	}
}

func TestSettings(t *testing.T) {
	got, err := Settings([]string{"A=1", "b=", "c=x=y"})
	if err != nil || len(got) != 3 || got["a"] != "1" || got["b"] != "" || got["c"] != "x=y" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"a", "=1", ""} {
		if _, err := Settings([]string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestComplete(t *testing.T) {
	table := []Command[int]{
		{Name: "help", Aliases: []string{"?", "h"}},
		{Name: "listen", Forms: []Form[int]{{Usage: "listen edit NAME limits MAX"}, {Usage: "listen edit NAME name NEW"}, {Usage: "listen new NAME public|private"}}},
	}
	for _, tt := range []struct{ head, want string }{
		{"", "h help listen"}, {"H", "h help"}, {"x", ""}, {"listen ", "edit new"}, {"listen e", "edit"}, {"listen edit a ", "limits name"},
		{"listen edit a l", "limits"}, {"listen new a p", "private public"}, {"listen old a ", ""}, {"bogus ", ""}, {"listen edit ", ""}, {"help ", ""},
	} {
		if got := Complete(table, tt.head); !slices.Equal(got, strings.Fields(tt.want)) {
			t.Errorf("%q: %q, want %q", tt.head, got, tt.want)
		}
	}
}

func TestColumns(t *testing.T) {
	got := Columns([][]string{{"Name", "Size"}, {"日本", "5", "x"}, {"a", "10000"}}, 1)
	want := "Name   Size\n日本      5  x\na     10000\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	var h History
	for i := range historyLines + 10 {
		h.Add(strings.Repeat("x", i%7+1))
		h.Add(strings.Repeat("x", i%7+1))
		h.Add("")
	}
	if n := len(h.Lines()); n != historyLines {
		t.Errorf("%d lines", n)
	}
}
