package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
)

// served is a data directory that a client sees.
type served struct {
	*Tree
	dir     string
	events  []string
	refused error // what May says
}

func serve(t *testing.T) *served {
	t.Helper()
	s := &served{dir: t.TempDir()}
	s.put(t, "logs/mail_logs/mail.@20260101T000000.s", "saved\n")
	s.put(t, "logs/mail_logs/mail.@20260102T000000.current", "current\n")
	s.put(t, "logs/mail_logs/deeper/file", "not seen\n")
	s.put(t, "logs/diagnostics.log", "ours\n")
	s.put(t, "outside", "secret")
	s.put(t, "configuration/a.xml", "old content")
	s.link(t, "mail.@20260102T000000.current", "logs/mail_logs/mail.current")
	s.link(t, "../../outside", "logs/mail_logs/escape")
	s.link(t, "../outside", "configuration/link")
	var err error
	s.Tree, err = Open(Options{
		Configuration: filepath.Join(s.dir, "configuration"), Logs: filepath.Join(s.dir, "logs"),
		May: func() error { return s.refused },
		Note: func(e Event) {
			s.events = append(s.events, strings.TrimSuffix(fmt.Sprintf("%s %s %d %v", e.Action, e.Path, e.Size, e.Err), " <nil>"))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if s.open != 0 || len(s.uploads) != 0 {
			t.Errorf("left open: %d files, %d uploads", s.open, len(s.uploads))
		}
	})
	return s
}

func (s *served) put(t *testing.T, name, content string) {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func (s *served) link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, filepath.Join(s.dir, name)); err != nil {
		t.Fatal(err)
	}
}

// holds gives the names and contents of configuration/, but for links.
func (s *served) holds(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(filepath.Join(s.dir, "configuration"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Type().IsRegular() {
			text, err := os.ReadFile(filepath.Join(s.dir, "configuration", e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			all[e.Name()] = string(text)
		}
	}
	return all
}

// client connects a foreign client; ended gets what SFTP returned.
func (s *served) client(t *testing.T) (c *sftp.Client, near net.Conn, ended chan error) {
	t.Helper()
	near, far := net.Pipe()
	ended = make(chan error, 1)
	go func() {
		ended <- s.SFTP(far)
		far.Close()
	}()
	c, err := sftp.NewClientPipe(near, near)
	if err != nil {
		t.Fatal(err)
	}
	return c, near, ended
}

func upload(c *sftp.Client, name, content string) error {
	f, err := c.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(content))
	return errors.Join(err, f.Close())
}

func download(c *sftp.Client, name string) (string, error) {
	f, err := c.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	return string(text), err
}

func TestSFTP_ReadsWhatThereIs(t *testing.T) {
	s := serve(t)
	c, near, ended := s.client(t)
	for path, want := range map[string]string{
		"/configuration/a.xml":                          "old content",
		"configuration/a.xml":                           "old content",
		"logs/../configuration//./a.xml":                "old content",
		"/logs/diagnostics.log":                         "ours\n",
		"/logs/mail_logs/mail.@20260101T000000.s":       "saved\n",
		"/logs/mail_logs/mail.current":                  "current\n",
		"/mail_logs/mail.current":                       "current\n",
		"mail_logs/mail.@20260102T000000.current":       "current\n",
		"/../../logs/mail_logs/mail.@20260101T000000.s": "saved\n",
	} {
		if text, err := download(c, path); err != nil || text != want {
			t.Errorf("%s: %q, %v", path, text, err)
		}
	}
	for path, want := range map[string]error{
		"/": fs.ErrPermission, "/configuration": fs.ErrPermission, "/logs/mail_logs": fs.ErrPermission,
		"/configuration/link": fs.ErrPermission, "/logs/mail_logs/escape": fs.ErrPermission,
		"/configuration/none": fs.ErrNotExist, "/outside": fs.ErrNotExist, "../outside": fs.ErrNotExist,
		"/configuration/../../outside": fs.ErrNotExist, "/etc/passwd": fs.ErrNotExist, "/configuration/a.xml/b": fs.ErrNotExist,
		"/logs/mail_logs/deeper/file": fs.ErrNotExist, "/logs/mail_logs/deeper": fs.ErrPermission, "/configuration/a\x00b": nil,
	} {
		if text, err := download(c, path); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %q, %v, want %v", path, text, err, want)
		}
	}
	near.Close()
	if err := <-ended; err != nil {
		t.Errorf("SFTP: %v", err)
	}
}

func TestSFTP_Lists(t *testing.T) {
	s := serve(t)
	c, near, _ := s.client(t)
	defer near.Close()
	for path, want := range map[string][]string{
		"/":               {"configuration drwx------ 0", "logs dr-x------ 0"},
		"/configuration":  {"a.xml -rw------- 11"},
		"/logs":           {"diagnostics.log -r-------- 5", "mail_logs dr-x------ 0"},
		"/logs/mail_logs": {"mail.@20260101T000000.s -r-------- 6", "mail.@20260102T000000.current -r-------- 8", "mail.current -r-------- 8"},
	} {
		all, err := c.ReadDir(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		var got []string
		for _, f := range all {
			size := f.Size()
			if f.IsDir() {
				size = 0
			}
			got = append(got, fmt.Sprintf("%s %s %d", f.Name(), f.Mode(), size))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q", path, got)
		}
	}
	for i := range 250 {
		s.put(t, fmt.Sprintf("configuration/f%03d", i), "")
	}
	if all, err := c.ReadDir("configuration"); err != nil || len(all) != 251 {
		t.Errorf("several pages: %d entries, %v", len(all), err)
	}
	for _, path := range []string{"/configuration/a.xml", "/none", "/logs/mail_logs/deeper"} {
		if _, err := c.ReadDir(path); err == nil {
			t.Errorf("%s was listed", path)
		}
	}
	if space, err := c.StatVFS("/"); err != nil || space.Files-space.Ffree != 252 {
		t.Errorf("space: %+v, %v", space, err)
	}
}

func TestSFTP_AFileIsReplacedAsAWholeWhenItIsClosed(t *testing.T) {
	s := serve(t)
	c, near, _ := s.client(t)
	defer near.Close()
	f, err := c.Create("/configuration/a.xml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("new")); err != nil {
		t.Fatal(err)
	}
	if info, err := c.Stat("configuration/a.xml"); err != nil || info.Size() != 3 {
		t.Errorf("the writer sees %v, %v", info, err)
	}
	other, near2, _ := s.another(t)
	defer near2.Close()
	if text, err := download(other, "/configuration/a.xml"); err != nil || text != "old content" {
		t.Errorf("before it is closed: %q, %v", text, err)
	}
	if all, err := other.ReadDir("configuration"); err != nil || len(all) != 1 {
		t.Errorf("the unfinished file shows: %v, %v", all, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got := s.holds(t); len(got) != 1 || got["a.xml"] != "new" {
		t.Errorf("configuration/ holds %q", got)
	}
	found, err := os.Stat(filepath.Join(s.dir, "configuration/a.xml"))
	if err != nil || found.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", found.Mode(), err)
	}
	if want := "write /configuration/a.xml 3"; s.events[len(s.events)-1] != want {
		t.Errorf("events %q", s.events)
	}
}

// another is a second client on the same folders.
func (s *served) another(t *testing.T) (*sftp.Client, net.Conn, chan error) {
	t.Helper()
	tree, err := Open(Options{Configuration: filepath.Join(s.dir, "configuration"), Logs: filepath.Join(s.dir, "logs")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close() })
	return (&served{Tree: tree, dir: s.dir}).client(t)
}

func TestSFTP_AFileOfAClientThatIsLostIsNotKept(t *testing.T) {
	s := serve(t)
	c, near, ended := s.client(t)
	f, err := c.Create("/configuration/a.xml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("half of")); err != nil {
		t.Fatal(err)
	}
	near.Close()
	if err := <-ended; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("SFTP: %v", err)
	}
	if got := s.holds(t); len(got) != 1 || got["a.xml"] != "old content" {
		t.Errorf("configuration/ holds %q", got)
	}
	if want := "write /configuration/a.xml 7 the client was lost: unexpected EOF"; s.events[0] != want {
		t.Errorf("events %q", s.events)
	}
}

func TestSFTP_WhatIsRefusedChangesNothing(t *testing.T) {
	s := serve(t)
	c, near, _ := s.client(t)
	defer near.Close()
	long := strings.Repeat("n", 256)
	for _, path := range []string{
		"/x", "/logs/x", "/logs/diagnostics.log", "/logs/mail_logs/mail.current", "/configuration", "/", "/mail_logs/x",
		"/configuration/link", "/configuration/d/x", `/configuration/a\b`, "/configuration/a\x1b[2J", "/configuration/a\nb",
		"/configuration/\xff", "/configuration/.new-x", "/configuration/" + long, "/configuration/../outside",
	} {
		if err := upload(c, path, "new"); err == nil {
			t.Errorf("%q was written", path)
		}
	}
	for name, err := range map[string]error{
		"mkdir":               c.Mkdir("/configuration/d"),
		"mkdir /d":            c.Mkdir("/d"),
		"rmdir":               c.RemoveDirectory("/configuration"),
		"remove log":          c.Remove("/logs/diagnostics.log"),
		"remove folder":       c.Remove("/configuration"),
		"remove link":         c.Remove("/configuration/link"),
		"remove none":         c.Remove("/configuration/none"),
		"rename from outside": c.Rename("/logs/diagnostics.log", "/configuration/d"),
		"rename to outside":   c.Rename("/configuration/a.xml", "/logs/a"),
		"rename link":         c.Rename("/configuration/link", "/configuration/l"),
		"rename onto link":    c.PosixRename("/configuration/a.xml", "/configuration/link"),
		"symlink":             c.Symlink("/configuration/a.xml", "/configuration/l"),
		"link":                c.Link("/configuration/a.xml", "/configuration/l"),
		"chmod":               c.Chmod("/configuration/a.xml", 0o644),
		"chown":               c.Chown("/configuration/a.xml", 1, 1),
		"truncate log":        c.Truncate("/logs/diagnostics.log", 0),
		"touch log":           c.Chtimes("/logs/diagnostics.log", time.Unix(1, 0), time.Unix(1, 0)),
		"grow":                c.Truncate("/configuration/a.xml", MaxFile+1),
	} {
		if err == nil {
			t.Errorf("%s was done", name)
		}
	}
	if _, err := c.ReadLink("/configuration/link"); err == nil {
		t.Error("a link was read")
	}
	if _, err := c.OpenFile("/configuration/a.xml", os.O_WRONLY|os.O_CREATE|os.O_EXCL); err == nil {
		t.Error("a file was made that was there")
	}
	if _, err := c.OpenFile("/configuration/none", os.O_WRONLY); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that was not there was opened for writing: %v", err)
	}
	if got := s.holds(t); len(got) != 1 || got["a.xml"] != "old content" {
		t.Errorf("configuration/ holds %q", got)
	}
	for path, want := range map[string]string{"outside": "secret", "logs/diagnostics.log": "ours\n"} {
		if text, err := os.ReadFile(filepath.Join(s.dir, path)); string(text) != want {
			t.Errorf("%s: %q, %v", path, text, err)
		}
	}
}

// A user whose role was taken away while the client was there.
func TestSFTP_WhoMayNotDoesNothing(t *testing.T) {
	s := serve(t)
	c, near, _ := s.client(t)
	defer near.Close()
	if text, err := download(c, "/configuration/a.xml"); err != nil || text != "old content" {
		t.Fatalf("%q, %v", text, err)
	}
	open, err := c.Create("/configuration/begun")
	if err != nil {
		t.Fatal(err)
	}
	s.refused = errors.New("not in the group")
	_, readErr := download(c, "/configuration/a.xml")
	_, listErr := c.ReadDir("/configuration")
	_, statErr := c.Stat("/configuration")
	for name, err := range map[string]error{
		"read": readErr, "list": listErr, "stat": statErr, "write": upload(c, "/configuration/b", "new"),
		"remove": c.Remove("/configuration/a.xml"), "rename": c.Rename("/configuration/a.xml", "/configuration/b"),
		"truncate": c.Truncate("/configuration/a.xml", 0), "touch": c.Chtimes("/configuration/a.xml", time.Now(), time.Now()),
		"close": open.Close(),
	} {
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if status, told := s.scp("scp -f configuration/a.xml", "\x00"); status != 1 || told != "\x01scp: configuration/a.xml: not in the group\n" {
		t.Errorf("scp: status %d, %q", status, told)
	}
	if got := s.holds(t); len(got) != 1 || got["a.xml"] != "old content" {
		t.Errorf("configuration/ holds %q", got)
	}
}

func TestSFTP_NamesAndTimesChange(t *testing.T) {
	s := serve(t)
	c, near, _ := s.client(t)
	defer near.Close()
	at := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	for name, err := range map[string]error{
		"write":        upload(c, "configuration/b", "b"),
		"touch":        c.Chtimes("configuration/b", at, at),
		"rename":       c.Rename("configuration/b", "configuration/été 日.xml"),
		"posix-rename": c.PosixRename("configuration/a.xml", "configuration/été 日.xml"),
		"cut":          c.Truncate("configuration/été 日.xml", 3),
		"touch again":  c.Chtimes("configuration/été 日.xml", at, at),
		"write c":      upload(c, "configuration/c", "c"),
		"remove":       c.Remove("configuration/c"),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := c.Rename("configuration/none", "configuration/d"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("rename of nothing: %v", err)
	}
	if got := s.holds(t); len(got) != 1 || got["été 日.xml"] != "old" {
		t.Errorf("configuration/ holds %q", got)
	}
	if found, err := c.Stat("configuration/été 日.xml"); err != nil || !found.ModTime().Equal(at) {
		t.Errorf("time: %v, %v", found.ModTime(), err)
	}
	if err := upload(c, "configuration/e", ""); err != nil {
		t.Fatal(err)
	}
	if err := c.Rename("configuration/e", "configuration/été 日.xml"); err == nil {
		t.Error("a rename replaced a file")
	}
}

func TestSFTP_WritesInPlaceAndAppends(t *testing.T) {
	s := serve(t)
	c, near, _ := s.client(t)
	defer near.Close()
	for _, tt := range []struct {
		name  string
		flags int
		at    int64
		want  string
	}{
		{"in place", os.O_WRONLY, 4, "old NEWtent"},
		{"appended", os.O_WRONLY | os.O_APPEND, 0, "old contentNEW"},
		{"anew", os.O_WRONLY | os.O_TRUNC, 0, "NEW"},
		{"read and written", os.O_RDWR, 0, "NEW content"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.put(t, "configuration/a.xml", "old content")
			f, err := c.OpenFile("configuration/a.xml", tt.flags)
			if err != nil {
				t.Fatal(err)
			}
			if tt.flags&os.O_RDWR != 0 {
				text := make([]byte, 3)
				if _, err := f.ReadAt(text, 0); err != nil || string(text) != "old" {
					t.Errorf("reads %q, %v", text, err)
				}
			}
			if _, err := f.WriteAt([]byte("NEW"), tt.at); err != nil {
				t.Error(err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			if got := s.holds(t)["a.xml"]; got != tt.want {
				t.Errorf("now %q", got)
			}
		})
	}
	t.Run("cut while it is written", func(t *testing.T) {
		f, err := c.OpenFile("configuration/a.xml", os.O_WRONLY)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if err := errors.Join(f.Truncate(1), f.Close()); err != nil {
			t.Error(err)
		}
		if got := s.holds(t)["a.xml"]; got != "x" {
			t.Errorf("now %q", got)
		}
	})
}

func TestSFTP_Bounds(t *testing.T) {
	s := serve(t)
	c, near, _ := s.client(t)
	defer near.Close()

	f, err := c.Create("configuration/large")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("xx"), MaxFile-1); err == nil {
		t.Error("a byte too many was taken")
	}
	if err := f.Close(); err == nil {
		t.Error("a file that failed was kept")
	}
	if f, err = c.Create("configuration/largest"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("x"), MaxFile-1); err != nil {
		t.Error(err)
	}
	if _, err := f.WriteAt([]byte("x"), -5); err == nil {
		t.Error("a negative offset was taken")
	}
	f.Close()

	var open []*sftp.File
	for range maxOpen {
		f, err := c.Open("configuration/a.xml")
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, f)
	}
	if _, err := c.Open("configuration/a.xml"); err == nil || !strings.Contains(err.Error(), errTooMany.Error()) {
		t.Errorf("one open file too many: %v", err)
	}
	for _, f := range open {
		f.Close()
	}
	for i := range maxFiles {
		s.put(t, fmt.Sprintf("configuration/f%d", i), "")
	}
	if err := upload(c, "configuration/more", ""); err == nil || !strings.Contains(err.Error(), "remove files first") {
		t.Errorf("one file too many: %v", err)
	}
	if err := upload(c, "configuration/f1", "replaced"); err != nil {
		t.Errorf("replacing in a full folder: %v", err)
	}
	if got := s.holds(t); got["f1"] != "replaced" || len(got) != maxFiles+1 {
		t.Errorf("%d files, f1 %q", len(got), got["f1"])
	}
}

func TestSFTP_LargeFilesArriveWhole(t *testing.T) {
	s := serve(t)
	c, near, _ := s.client(t)
	defer near.Close()
	content := bytes.Repeat([]byte("0123456789abcdef\n"), 100_000)
	f, err := c.Create("configuration/large")
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.ReadFrom(bytes.NewReader(content))
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if text, err := download(c, "configuration/large"); err != nil || text != string(content) {
		t.Errorf("%d bytes came back, %v", len(text), err)
	}
}

func TestCrashWhileAFileComes_TheNextStartRemovesWhatIsLeft(t *testing.T) {
	s := serve(t)
	u, err := s.write("configuration/b", false)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.holds(t); len(got) != 2 {
		t.Fatalf("configuration/ holds %q", got)
	}
	if err := Clear(s.configuration.root); err != nil {
		t.Fatal(err)
	}
	if got := s.holds(t); len(got) != 1 || got["a.xml"] != "old content" {
		t.Errorf("configuration/ holds %q", got)
	}
	if err := s.written(u, nil); err == nil {
		t.Error("the file that is gone took its place")
	}
}
