package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// wire is a client that has said all it has to say.
type wire struct {
	io.Reader
	bytes.Buffer
}

func (w *wire) Read(p []byte) (int, error) { return w.Reader.Read(p) }

// scp runs a command line against what a client sends, with what it is told.
func (s *served) scp(line, says string) (status int, told string) {
	w := &wire{Reader: strings.NewReader(says)}
	status = s.SCP(w, line)
	return status, w.String()
}

func TestSCP_Receives(t *testing.T) {
	for _, tt := range []struct {
		name, line, says string
		status           int
		told             string
		holds            map[string]string // what is there besides a.xml
	}{
		{"into the folder", "scp -t /configuration", "C0644 3 b\nnew\x00", 0, "\x00\x00\x00", map[string]string{"b": "new"}},
		{"as a file", "scp -t configuration/c.xml", "C0644 3 b\nnew\x00", 0, "\x00\x00\x00", map[string]string{"c.xml": "new"}},
		{"two, with times", "scp -p -d -t -- configuration/", "T1580702706 0 1 0\nC0644 1 b\nB\x00C0600 0 c\n\x00", 0,
			"\x00\x00\x00\x00\x00\x00", map[string]string{"b": "B", "c": ""}},
		{"quoted by a shell's rules", `scp -v -t '/configuration/a b*'`, "C0644 1 x\nB\x00", 0, "\x00\x00\x00", map[string]string{"a b*": "B"}},
		{"a blank in the name", "scp -t /configuration", "C0644 1 a b\nB\x00", 0, "\x00\x00\x00", map[string]string{"a b": "B"}},
		{"a link's name", "scp -t /configuration/link", "C0644 1 b\n", 1, "\x00\x01scp: /configuration/link: not a regular file\n", nil},
		{"a log", "scp -t /logs", "C0644 1 b\n", 1, "\x00\x01scp: /logs/b: only files of configuration/ can be changed\n", nil},
		{"the top", "scp -t .", "C0644 1 b\n", 1, "\x00\x01scp: /b: only files of configuration/ can be changed\n", nil},
		{"out of the folder", "scp -t /configuration", "C0644 1 ../b\n", 1, "\x00\x01scp: ../b: the file name is not valid\n", nil},
		{"an escape in the name", "scp -t /configuration", "C0644 1 \x1b[2J\n", 1, "\x00\x01scp: \"\\x1b[2J\": the file name is not valid\n", nil},
		{"too large", "scp -t /configuration", "C0644 67108865 b\nC0644 1 c\nC\x00", 1,
			"\x00\x01scp: /configuration/b: a file of configuration/ has at most 64 MB\n\x00\x00", map[string]string{"c": "C"}},
		{"a folder", "scp -r -t /configuration", "D0755 0 d\n", 1, "\x00\x01scp: folders cannot be made or removed here\n", nil},
		{"no folder", "scp -d -t /configuration/a.xml", "", 1, "\x01scp: /configuration/a.xml: not a folder here\n", nil},
		{"a pattern", "scp -t /configuration/*", "", 1, "\x01scp: /configuration/*: no pattern can be written to\n", nil},
		{"cut off", "scp -t /configuration/a.xml", "C0644 10 b\nnew", 1, "\x00\x00", nil},
		{"cut off before its end is told", "scp -t /configuration/a.xml", "C0644 3 b\nnew", 1, "\x00\x00", nil},
		{"the client could not read it", "scp -t /configuration/a.xml", "C0644 3 b\nnew\x01scp: read error\n", 1,
			"\x00\x00\x01scp: /configuration/a.xml: the client could not read all of it\n", nil},
		{"a complaint of the client", "scp -t /configuration", "\x01scp: none: No such file\nC0644 1 b\nB\x00", 1, "\x00\x00\x00", map[string]string{"b": "B"}},
		{"no line of the protocol", "scp -t /configuration", "X\n", 1, "\x00\x02scp: protocol error: unexpected line\n", nil},
		{"an empty line", "scp -t /configuration", "\n", 1, "\x00\x02scp: protocol error: unexpected line\n", nil},
		{"no size", "scp -t /configuration", "C0644 -1 b\n", 1, "\x00\x02scp: protocol error: a file expected\n", nil},
		{"no mode", "scp -t /configuration", "C0899 1 b\n", 1, "\x00\x02scp: protocol error: a file expected\n", nil},
		{"no times", "scp -p -t /configuration", "T1 2\n", 1, "\x00\x02scp: protocol error: times expected\n", nil},
		{"a line without end", "scp -t /configuration", "C0644 1 " + strings.Repeat("n", maxLine), 1, "\x00\x02scp: protocol error: a line is too long\n", nil},
		{"two targets", "scp -t a b", "", 1, "\x01scp: one path is needed; a blank in it needs a backslash\n", nil},
		{"no target", "scp -t", "", 1, "\x01scp: one path is needed; a blank in it needs a backslash\n", nil},
		{"both ways", "scp -t -f a", "", 1, "\x01scp: one of -t and -f is needed\n", nil},
		{"an option we do not know", "scp -t -S a", "", 1, "\x01scp: unknown option -S\n", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t)
			if !IsSCP(tt.line) {
				t.Error("not taken for an scp")
			}
			status, told := s.scp(tt.line, tt.says)
			if status != tt.status || told != tt.told {
				t.Errorf("status %d, told %q", status, told)
			}
			want := map[string]string{"a.xml": "old content"}
			for name, content := range tt.holds {
				want[name] = content
			}
			if got := s.holds(t); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("configuration/ holds %q", got)
			}
		})
	}
}

func TestSCP_KeepsTimesWhereAsked(t *testing.T) {
	at := time.Unix(1580702706, 0)
	for line, keeps := range map[string]bool{"scp -p -t configuration": true, "scp -t configuration": false} {
		s := serve(t)
		if status, told := s.scp(line, "T1580702706 0 1 0\nC0644 1 b\nB\x00"); status != 0 {
			t.Fatalf("%s: %q", line, told)
		}
		found, err := os.Stat(filepath.Join(s.dir, "configuration/b"))
		if err != nil || found.ModTime().Equal(at) != keeps || found.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v, %v", line, found.ModTime(), found.Mode(), err)
		}
	}
}

func TestSCP_Sends(t *testing.T) {
	const yes = "\x00"
	for _, tt := range []struct {
		name, line, says string
		status           int
		told             string
	}{
		{"a file", "scp -f /configuration/a.xml", yes + yes + yes, 0, "C0600 11 a.xml\nold content\x00"},
		{"a pattern", "scp -f configuration/*.xml", yes + yes + yes, 0, "C0600 11 a.xml\nold content\x00"},
		{"quoted", `scp -v -f 'configuration/a.xml'`, yes + yes + yes, 0, "C0600 11 a.xml\nold content\x00"},
		{"a log by its path on an appliance", "scp -f /mail_logs/mail.current", yes + yes + yes, 0, "C0600 8 mail.current\ncurrent\n\x00"},
		{"a pattern of saved logs", "scp -f mail_logs/mail.@*.s", yes + yes + yes, 0, "C0600 6 mail.@20260101T000000.s\nsaved\n\x00"},
		{"two", `scp -f logs/diagnostics.log "configuration/a.xml"`, strings.Repeat(yes, 5), 0,
			"C0600 5 diagnostics.log\nours\n\x00C0600 11 a.xml\nold content\x00"},
		{"the second after the first failed", "scp -f configuration/none configuration/a.xml", yes + yes + yes, 1,
			"\x01scp: configuration/none: no such file or directory\nC0600 11 a.xml\nold content\x00"},
		{"a pattern of nothing", "scp -f configuration/*.txt", yes, 1, "\x01scp: configuration/*.txt: no such file or directory\n"},
		{"no pattern", "scp -f configuration/[", yes, 1, "\x01scp: configuration/[: no such pattern: only the last part of a path can have one\n"},
		{"a pattern of folders", "scp -f */a.xml", yes, 1, "\x01scp: */a.xml: no such pattern: only the last part of a path can have one\n"},
		{"a quoted pattern", `scp -f configuration/\*`, yes, 1, "\x01scp: configuration/*: no such file or directory\n"},
		{"a folder", "scp -f /configuration", yes, 1, "\x01scp: /configuration: not a regular file\n"},
		{"out of the folders", "scp -f ../../etc/passwd", yes, 1, "\x01scp: ../../etc/passwd: no such file or directory\n"},
		{"a link", "scp -f configuration/link", yes, 1, "\x01scp: configuration/link: not a regular file\n"},
		{"a link out of a log folder", "scp -f mail_logs/escape", yes, 1, "\x01scp: mail_logs/escape: not a regular file\n"},
		{"a folder with -r", "scp -r -f /configuration/", strings.Repeat(yes, 5), 0, "D0700 0 configuration\nC0600 11 a.xml\nold content\x00E\n"},
		{"a folder whose file is not wanted", "scp -r -f configuration", yes + yes + "\x01no\n" + yes, 1, "D0700 0 configuration\nC0600 11 a.xml\nE\n"},
		{"a client that gives up", "scp -f configuration/a.xml", yes + "\x02no\n", 1, "C0600 11 a.xml\n"},
		{"a client that is lost", "scp -f configuration/a.xml", yes, 1, "C0600 11 a.xml\n"},
		{"a client that never begins", "scp -f configuration/a.xml", "", 1, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t)
			if !IsSCP(tt.line) {
				t.Error("not taken for an scp")
			}
			if status, told := s.scp(tt.line, tt.says); status != tt.status || told != tt.told {
				t.Errorf("status %d, told %q", status, told)
			}
		})
	}
}

func TestSCP_SendsTimes(t *testing.T) {
	s := serve(t)
	at := time.Unix(1580702706, 5)
	if err := os.Chtimes(filepath.Join(s.dir, "configuration/a.xml"), at, at); err != nil {
		t.Fatal(err)
	}
	status, told := s.scp("scp -pf configuration/a.xml", "\x00\x00\x00\x00")
	if want := "T1580702706 0 1580702706 0\nC0600 11 a.xml\nold content\x00"; status != 0 || told != want {
		t.Errorf("status %d, told %q", status, told)
	}
}

func TestSCP_TellsWhatWasDone(t *testing.T) {
	s := serve(t)
	s.scp("scp -t configuration", "C0644 3 b\nnew\x00")
	s.scp("scp -f configuration/b", "\x00\x00\x00")
	s.scp("scp -t logs/x", "C0644 3 b\n")
	s.scp("scp -t configuration", "C0644 3 c\nn")
	want := []string{
		"write /configuration/b 3", "read configuration/b 3",
		"write logs/x 0 only files of configuration/ can be changed", "write /configuration/c 1 unexpected EOF",
	}
	if !slices.Equal(s.events, want) {
		t.Errorf("events %q", s.events)
	}
}

// A disk that is full is the gateway's matter: the client is told, and the next
// file of the same copy has its chance.
func TestSCP_AFailureOfTheDiskEndsOneFileOnly(t *testing.T) {
	s := serve(t)
	u, err := s.write("configuration/b", false)
	if err != nil {
		t.Fatal(err)
	}
	u.file.Close()
	w := &wire{Reader: strings.NewReader("new\x00rest")}
	c := &scp{tree: s.Tree, in: newInput(w), out: w}
	lost, reason := c.receiveContent(u, 3)
	if lost || !errors.Is(reason, os.ErrClosed) {
		t.Errorf("lost %v, reason %v", lost, reason)
	}
	if rest, _ := io.ReadAll(c.in); string(rest) != "rest" {
		t.Errorf("what follows is %q", rest)
	}
	if err := s.written(u, reason); !errors.Is(err, os.ErrClosed) {
		t.Errorf("written: %v", err)
	}
	if got := s.holds(t); len(got) != 1 {
		t.Errorf("configuration/ holds %q", got)
	}
}

func TestIsSCP(t *testing.T) {
	for _, line := range []string{
		"", "scp", "scp a b", "scp -r a", "scpx -t a", "version; scp -t a", "scp -- -t", "scp a -t", "scp -t 'a", "scp -t a\\",
		"saveconfig -t a", "scp -t " + strings.Repeat("a", maxLine),
	} {
		if IsSCP(line) {
			t.Errorf("%.40q was taken for an scp", line)
		}
	}
}
