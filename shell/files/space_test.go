package files

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Neither the replacing of files nor many uploads at a time gets more into
// configuration/ than it takes.
func TestUpload_TheFolderIsBoundedWhileFilesGrow(t *testing.T) {
	s := serve(t)
	s.put(t, "configuration/big", "")
	_, used, err := usage(s.configuration.root)
	if err != nil {
		t.Fatal(err)
	}
	// A file with a hole: what counts is its length.
	if err := os.Truncate(filepath.Join(s.dir, "configuration/big"), maxFolder-used-10); err != nil {
		t.Fatal(err)
	}
	begin := func() *Upload {
		u, err := s.write("/configuration/a.xml", false)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	first, second := begin(), begin()
	if _, err := first.Write([]byte("123456")); err != nil {
		t.Errorf("what the folder takes: %v", err)
	}
	if err := second.Truncate(5); !errors.Is(err, errFull) {
		t.Errorf("stretching past what another upload left: %v", err)
	}
	if err := second.Truncate(4); err != nil {
		t.Errorf("stretching to what is left: %v", err)
	}
	if _, err := second.WriteAt([]byte("abcd"), 0); err != nil {
		t.Errorf("writing within the file: %v", err)
	}
	if _, err := second.Write([]byte("e")); !errors.Is(err, errFull) {
		t.Errorf("a byte too many: %v", err)
	}
	if err := s.written(second, nil); !errors.Is(err, errFull) {
		t.Errorf("a file that is not whole: %v", err)
	}
	if _, err := first.Write([]byte("7890")); err != nil {
		t.Errorf("what the other gave back: %v", err)
	}
	if err := s.written(first, nil); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(filepath.Join(s.dir, "configuration/a.xml")); err != nil || string(got) != "1234567890" {
		t.Errorf("a.xml: %q, %v", got, err)
	}
}
