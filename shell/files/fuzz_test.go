package files

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// outside makes folders to serve, with a file beside them that no client may
// see. Every input has its own: one that finds what others left fails and cannot
// be made to fail again.
func outside(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"configuration", "logs/mail_logs"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "outside"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// untouched checks that what is beside the folders was neither told nor
// changed.
func untouched(t *testing.T, dir, told string) {
	t.Helper()
	if strings.Contains(told, "secret") {
		t.Error("what is outside was read")
	}
	if text, err := os.ReadFile(filepath.Join(dir, "outside")); string(text) != "secret" {
		t.Errorf("outside: %q, %v", text, err)
	}
	if left, err := os.ReadDir(dir); len(left) != 3 {
		t.Errorf("beside the folders: %v, %v", left, err)
	}
}

// packets frames what a client says (draft-ietf-secsh-filexfer-02 §3).
func packets(all ...string) string {
	var b strings.Builder
	for _, p := range all {
		b.Write([]byte{byte(len(p) >> 24), byte(len(p) >> 16), byte(len(p) >> 8), byte(len(p))})
		b.WriteString(p)
	}
	return b.String()
}

// text is a string on the wire.
func text(s string) string { return packets(s) }

// FuzzSFTP: whatever a client sends, nothing panics, nothing stays open and
// nothing outside the folders is read or changed.
func FuzzSFTP(f *testing.F) {
	const id = "\x00\x00\x00\x07"
	hello := packets("\x01\x00\x00\x00\x03")
	f.Add(hello + packets("\x03"+id+text("/configuration/b")+"\x00\x00\x00\x1a\x00\x00\x00\x00",
		"\x06"+id+text("1")+"\x00\x00\x00\x00\x00\x00\x00\x00"+text("new"), "\x04"+id+text("1")))
	f.Add(hello + packets("\x0b"+id+text("/"), "\x0c"+id+text("1"), "\x0c"+id+text("1"), "\x08"+id+text("1")))
	f.Add(hello + packets("\x09"+id+text("/configuration/b")+"\x00\x00\x00\x0f\x00\x00\x00\x00\x00\x00\x00\x01"+strings.Repeat("\x00", 20)))
	f.Add(hello + packets("\x12"+id+text("/configuration/b")+text("/../outside"), "\x14"+id+text("a")+text("b"), "\x13"+id+text("a")))
	f.Add(hello + packets("\xc8"+id+text("posix-rename@openssh.com")+text("a")+text("b"), "\xc8"+id+text("statvfs@openssh.com")+text("/")))
	f.Add(hello + packets("\x10"+id+text("."), "\x07"+id+text("/logs"), "\x11"+id+text("/configuration/b"), "\x0d"+id+text("x")))
	f.Fuzz(func(t *testing.T, says string) {
		dir := outside(t)
		tree, err := Open(Options{Configuration: filepath.Join(dir, "configuration"), Logs: filepath.Join(dir, "logs")})
		if err != nil {
			t.Fatal(err)
		}
		defer tree.Close()
		w := &lockedWire{wire: wire{Reader: strings.NewReader(says)}}
		_ = tree.SFTP(w) // what it says of this client is no matter here
		if tree.open != 0 || len(tree.uploads) != 0 {
			t.Errorf("%d files and %d uploads open", tree.open, len(tree.uploads))
		}
		untouched(t, dir, w.told())
	})
}

// lockedWire is a wire that the library still writes to when SFTP has returned.
type lockedWire struct {
	mu sync.Mutex
	wire
}

func (w *lockedWire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Buffer.Write(p)
}

func (w *lockedWire) told() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.String()
}

func FuzzSCP(f *testing.F) {
	f.Add("scp -t configuration", "T1 0 1 0\nC0644 3 b\nnew\x00E\nD0755 0 d\n\x01x\n")
	f.Add("scp -r -p -f / configuration/*", strings.Repeat("\x00", 40))
	f.Add(`scp -t "a\"b\'c*" \*[x`, "C0644 99999999999999999999 b\n")
	f.Fuzz(func(t *testing.T, line, says string) {
		dir := outside(t)
		tree, err := Open(Options{Configuration: filepath.Join(dir, "configuration"), Logs: filepath.Join(dir, "logs")})
		if err != nil {
			t.Fatal(err)
		}
		defer tree.Close()
		if !IsSCP(line) {
			return
		}
		w := &wire{Reader: strings.NewReader(says)}
		status := tree.SCP(w, line)
		if status != 0 && status != 1 || tree.open != 0 {
			t.Errorf("status %d, %d files open", status, tree.open)
		}
		untouched(t, dir, w.String())
	})
}
