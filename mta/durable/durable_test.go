package durable

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// holds gives the names and contents of a directory's files.
func holds(t *testing.T, dir string) []string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f.Name()+"="+string(text))
	}
	return all
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	expect := func(when string, err error, want ...string) {
		t.Helper()
		if got := holds(t, dir); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", when, got, err, want)
		}
	}
	expect("first", Replace(path, []byte("1")), "f=1")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path+Unfinished, []byte("what a crash left"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect("over what a crash left", Replace(path, []byte("2")), "f=2")
	expect("keeping", ReplaceKeeping(path, []byte("3"), path+".previous"), "f=3", "f.previous=2")
	expect("keeping again", ReplaceKeeping(path, []byte("4"), path+".previous"), "f=4", "f.previous=3")
	expect("keeping nothing", ReplaceKeeping(filepath.Join(dir, "g"), []byte("5"), filepath.Join(dir, "g.previous")), "f=4", "f.previous=3", "g=5")
}

func TestReplaceFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Replace(path, []byte("1")); err == nil {
		t.Error("a directory is replaced")
	}
	if err := Replace(filepath.Join(dir, "none", "f"), []byte("1")); err == nil {
		t.Error("a file without its directory is written")
	}
}
