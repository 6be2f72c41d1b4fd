package commands

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"esa/shell"
	"esa/shell/shelltest"
)

func TestCompile(t *testing.T) {
	for _, tt := range []struct {
		expressions []string
		ignoreCase  bool
		line        string
		want        bool
	}{
		{[]string{"MID 6"}, false, "Start MID 6 ICID 5", true},
		{[]string{"mid 6"}, false, "Start MID 6 ICID 5", false},
		{[]string{"mid 6"}, true, "Start MID 6 ICID 5", true},
		{[]string{"x", "ICID"}, false, "Start MID 6 ICID 5", true},
		{[]string{"x", "y"}, false, "Start MID 6 ICID 5", false},
		{[]string{"^Start|^End"}, true, "start", true},
		{[]string{"^a", "b$"}, true, "cAB", true},
		{[]string{"^a", "b$"}, false, "bac", false},
		{[]string{"a|b"}, false, "b", true},
	} {
		re, err := compile(tt.expressions, tt.ignoreCase)
		if err != nil || re.MatchString(tt.line) != tt.want {
			t.Errorf("%q in %q: %v, want %v", tt.expressions, tt.line, err, tt.want)
		}
	}
	for _, bad := range []string{"", "(", "a)|(b", strings.Repeat("x", maxExpression+1), "a{9999}"} {
		if _, err := compile([]string{"good", bad}, false); err == nil {
			t.Errorf("%.20q is no expression", bad)
		}
	}
}

func TestParseGrep(t *testing.T) {
	for _, tt := range []struct {
		words string
		want  GrepQuery // but for the expression
		match string
		pages bool
	}{
		{"x mail_logs", GrepQuery{Log: "mail_logs"}, "x", false},
		{"-i -v -t -p -C 5 X log", GrepQuery{Log: "log", Invert: true, Tail: true, Context: 5}, "x", true},
		{"log -e a -e b", GrepQuery{Log: "log"}, "b", false},
		{"-e -i log", GrepQuery{Log: "log"}, "-i", false},
		{"-- log", GrepQuery{}, "", false},
	} {
		q, pages, err := parseGrep(strings.Fields(tt.words))
		if tt.match == "" {
			if err == nil {
				t.Errorf("%q is taken", tt.words)
			}
			continue
		}
		if err != nil || !q.Expression.MatchString(tt.match) || pages != tt.pages {
			t.Errorf("%q: %v, %v, pages %v", tt.words, q.Expression, err, pages)
			continue
		}
		if q.Expression = nil; q != tt.want {
			t.Errorf("%q: %+v, want %+v", tt.words, q, tt.want)
		}
	}
}

// silentLogs cannot be read or rolled over.
type silentLogs struct{ err error }

func (l silentLogs) Follow(context.Context, string, io.Writer) error { return l.err }
func (l silentLogs) Grep(context.Context, GrepQuery, io.Writer) (int, error) {
	return 0, l.err
}
func (l silentLogs) Rollover(string) error { return l.err }

// TestLogsFail shows why a log cannot be read, as a failure.
func TestLogsFail(t *testing.T) {
	w := newWorld(t)
	offline := shell.Refusedf("The gateway is not running. Start it first.")
	for _, tt := range []struct {
		line string
		err  error
		want string
	}{
		{"tail mail_logs", offline, "The gateway is not running. Start it first.\n"},
		{"grep x mail_logs", errors.New("reading log: input/output error"), "The command failed: reading log: input/output error.\n"},
		{"rollovernow mail_logs", offline, "The log \"mail_logs\" could not be rolled over: The gateway is not running. Start it first.\n"},
		{"rollovernow all", offline, "The log \"authentication\" could not be rolled over: The gateway is not running. Start it first.\n"},
	} {
		env := w.env("admin", false)
		env.Logs = silentLogs{tt.err}
		screen := shelltest.NewScreen()
		screen.Plain = true
		if status := w.shell(env, screen).Exec(t.Context(), tt.line); status != 1 || screen.String() != tt.want {
			t.Errorf("%s: status %d:\n%s", tt.line, status, screen)
		}
	}
}

// TestRolloverAll rolls over each log of the running configuration.
func TestRolloverAll(t *testing.T) {
	w := newWorld(t)
	w.run(w.env("admin", false), "rollovernow ALL", "rollovernow 4")
	if got := strings.Join(w.logs.rolledOver, " "); got != "authentication cli_logs error_logs mail_logs system_logs mail_logs" {
		t.Errorf("rolled over: %s", got)
	}
}
