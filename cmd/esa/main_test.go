package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"esa/shell"
	"esa/store"
)

// asProgram makes the test binary be esa: for tests that need a process.
const asProgram = "ESA_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run(os.Args[1:]))
	}
	os.Exit(m.Run())
}

func TestParse(t *testing.T) {
	t.Setenv("ESA_DATA", "/from/environment")
	for _, tt := range []struct {
		name string
		args []string
		want invocation
		err  string
	}{
		{"nothing", nil, invocation{dir: "/from/environment", user: "admin"}, ""},
		{"a command", []string{"status"}, invocation{dir: "/from/environment", user: "admin", words: []string{"status"}}, ""},
		{"options first", []string{"--data", "/d", "--user", "ann", "--go-on"}, invocation{dir: "/d", user: "ann", goOn: true}, ""},
		{"joined", []string{"--data=/d", "--user=ann"}, invocation{dir: "/d", user: "ann"}, ""},
		{"one dash", []string{"-data", "/d", "-user=ann"}, invocation{dir: "/d", user: "ann"}, ""},
		{"what follows a word is the command's", []string{"--data", "/d", "grep", "-i", "--data", "x"},
			invocation{dir: "/d", user: "admin", words: []string{"grep", "-i", "--data", "x"}}, ""},
		{"the last one counts", []string{"--data=/a", "--data=/b"}, invocation{dir: "/b", user: "admin"}, ""},
		{"made clean", []string{"--data=/a/../b/"}, invocation{dir: "/b", user: "admin"}, ""},
		{"version as an option", []string{"--data=/d", "--version"}, invocation{dir: "/d", user: "admin", words: []string{"version"}}, ""},
		{"version without directory", []string{"--version", "x"}, invocation{dir: "/from/environment", user: "admin", words: []string{"version"}}, ""},
		{"help", []string{"--help"}, invocation{}, errHelp.Error()},
		{"short help", []string{"--data=/d", "-h"}, invocation{}, errHelp.Error()},
		{"unknown", []string{"--datum", "/d"}, invocation{}, "unknown option --datum"},
		{"no value", []string{"--data"}, invocation{}, "--data needs a value"},
		{"empty value", []string{"--user="}, invocation{}, "--user needs a value"},
		{"empty word", []string{"--data", "", "status"}, invocation{}, "--data needs a value"},
		{"only a dash", []string{"-"}, invocation{}, "unknown option --"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parse(tt.args)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("error %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil || got.dir != tt.want.dir || got.user != tt.want.user || got.goOn != tt.want.goOn || !slices.Equal(got.words, tt.want.words) {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

// TestLine: one word is a line already; several arrive as they were given.
func TestLine(t *testing.T) {
	for _, tt := range []struct {
		words []string
		want  string
	}{
		{nil, ""},
		{[]string{"status"}, "status"},
		{[]string{`sethostname a.test; commit "two words"`}, `sethostname a.test; commit "two words"`},
		{[]string{"commit", "two words", "Y"}, `"commit" "two words" "Y"`},
		{[]string{"commit", `a "quoted" \ word; status`}, `"commit" "a \"quoted\" \\ word; status"`},
		{[]string{"grep", ""}, `"grep" ""`},
	} {
		got := invocation{words: tt.words}.line()
		if got != tt.want {
			t.Errorf("%q becomes %s, want %s", tt.words, got, tt.want)
		}
		if len(tt.words) < 2 {
			continue
		}
		statements := shell.Statements(got)
		if len(statements) != 1 {
			t.Fatalf("%q becomes %d commands", tt.words, len(statements))
		}
		if words, err := shell.Words(statements[0]); err != nil || !slices.Equal(words, tt.words) {
			t.Errorf("%q arrives as %q, %v", tt.words, words, err)
		}
	}
}

func TestDefaultDir(t *testing.T) {
	t.Setenv("ESA_DATA", "")
	t.Setenv("XDG_STATE_HOME", "/state")
	want := "/state/esa"
	if os.Geteuid() == 0 {
		want = "/var/lib/esa"
	}
	if got := defaultDir(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	t.Setenv("ESA_DATA", "/mine")
	if got := defaultDir(); got != "/mine" {
		t.Errorf("got %s, want /mine", got)
	}
	if os.Geteuid() != 0 {
		t.Setenv("ESA_DATA", "")
		t.Setenv("XDG_STATE_HOME", "")
		t.Setenv("HOME", "/home/ann")
		if got := defaultDir(); got != "/home/ann/.local/state/esa" {
			t.Errorf("got %s", got)
		}
	}
}

// TestNeedsNoData: a line is as demanding as the worst of its commands.
func TestNeedsNoData(t *testing.T) {
	for _, tt := range []struct {
		words []string
		want  bool
	}{
		{[]string{"help"}, true},
		{[]string{"version"}, true},
		{[]string{"help", "commit"}, true},
		{[]string{"help commit; version"}, true},
		{[]string{"VERSION"}, true},
		{[]string{"version; status"}, false},
		{[]string{"version;sethostname a.test"}, false},
		{[]string{"status"}, false},
		{[]string{"nosuchcommand"}, false},
		{[]string{`help "`}, false},
		{nil, false},
	} {
		if got := (invocation{dir: t.TempDir(), words: tt.words}).needsNoData(); got != tt.want {
			t.Errorf("%q: %v, want %v", tt.words, got, tt.want)
		}
	}
	dir := t.TempDir()
	for _, line := range []string{"daneverify ietf.org", "dnssecverify ietf.org", "dig ietf.org", "daneverify a.example; version"} {
		inv := invocation{dir: dir, words: []string{line}}
		if !inv.needsNoData() {
			t.Errorf("%s needs a data directory", line)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, configFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]bool{"daneverify ietf.org": false, "dnssecverify ietf.org": false, "version": true, "help daneverify": true} {
		inv := invocation{dir: dir, words: []string{line}}
		if inv.needsNoData() != want {
			t.Errorf("%s, beside a configuration: needs no data %v", line, !want)
		}
	}
}

func TestSystemServers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	text := "# comment\nsearch example.com\nnameserver 192.0.2.1\n\tnameserver\t2001:db8::1  # note\n" +
		"nameserver ::ffff:192.0.2.9\nnameserver fe80::1%eth0\nnameserver not-an-address\nnameserver\nNameserver 192.0.2.2\noptions edns0"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range systemServers(path) {
		got = append(got, s.String())
	}
	if want := []string{"192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.9:53"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := systemServers(path + ".none"); got != nil {
		t.Errorf("without the file: %v", got)
	}
}

func TestMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meminfo")
	if err := os.WriteFile(path, []byte("MemFree:  1 kB\nMemTotal:        4046476 kB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := memoryMB(path); got != 3951 {
		t.Errorf("got %d MB", got)
	}
	if got := memoryMB(path + ".none"); got != 0 {
		t.Errorf("without the file: %d MB", got)
	}
}

// TestFactoryRuns: what a new installation begins with is valid.
func TestFactoryRuns(t *testing.T) {
	c := factory(slog.New(slog.DiscardHandler))
	if problems := c.Validate(); len(problems) > 0 {
		t.Errorf("%v", problems)
	}
	if c.Certificate(store.DemoCertificate) == nil {
		t.Error("there is no demo certificate")
	}
}
