package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
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
	if err := second.Truncate(5); !errors.Is(err, ErrFull) {
		t.Errorf("stretching past what another upload left: %v", err)
	}
	if err := second.Truncate(4); err != nil {
		t.Errorf("stretching to what is left: %v", err)
	}
	if _, err := second.WriteAt([]byte("abcd"), 0); err != nil {
		t.Errorf("writing within the file: %v", err)
	}
	if _, err := second.Write([]byte("e")); !errors.Is(err, ErrFull) {
		t.Errorf("a byte too many: %v", err)
	}
	if err := s.written(second, nil); !errors.Is(err, ErrFull) {
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

// However many uploads begin at a time, and whatever becomes meanwhile of the
// files that they are to replace, configuration/ has no more files than it takes.
func TestUpload_TheFilesOfTheFolderAreCounted(t *testing.T) {
	s := serve(t)
	for i := range maxFiles - 3 { // and a.xml, and a link
		s.put(t, fmt.Sprintf("configuration/f%d", i), "")
	}
	last, err := s.write("configuration/last", false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.write("configuration/more", false); !errors.Is(err, ErrFull) {
		t.Errorf("a file too many beside one on its way: %v", err)
	}
	replacing, err := s.write("configuration/f1", false)
	if err != nil {
		t.Fatalf("replacing in a full folder: %v", err)
	}
	if err := s.written(last, nil); err != nil {
		t.Errorf("the last that the folder takes: %v", err)
	}
	if err := s.rename("configuration/f1", "configuration/moved", false); err != nil {
		t.Fatal(err)
	}
	if err := s.written(replacing, nil); !errors.Is(err, ErrFull) {
		t.Errorf("a file whose predecessor has moved: %v", err)
	}
	if count, _, err := usage(s.configuration.root); count != maxFiles || err != nil {
		t.Errorf("%d files, %v", count, err)
	}
}

// What an upload reserves is for itself to write: nobody reads it, and it is
// gone with the commit.
func TestUpload_WhatIsReservedIsNoPartOfTheFile(t *testing.T) {
	s := serve(t)
	u, err := s.write("/configuration/b", false)
	if err != nil {
		t.Fatal(err)
	}
	onDisk := func() int64 {
		t.Helper()
		found, err := u.file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		return found.Size()
	}
	for _, step := range []struct{ written, size, disk int64 }{
		{10, 10, minReserve},
		{minReserve - 10, minReserve, minReserve}, // the folder is not counted again
		{1, minReserve + 1, 2*minReserve + 2},
		{4 * maxReserve, 4*maxReserve + minReserve + 1, 5*maxReserve + minReserve + 1},
	} {
		if _, err := u.Write(bytes.Repeat([]byte("x"), int(step.written))); err != nil {
			t.Fatal(err)
		}
		if u.Size() != step.size || onDisk() != step.disk {
			t.Errorf("after %d more: size %d, %d on the disk; want %v", step.written, u.Size(), onDisk(), step)
		}
	}
	size := u.Size()
	two := make([]byte, 2)
	if n, err := u.ReadAt(two, size-1); n != 1 || err != io.EOF || two[0] != 'x' {
		t.Errorf("across the end: %q, %d bytes, %v", two, n, err)
	}
	if n, err := u.ReadAt(two, size+5); n != 0 || err != io.EOF {
		t.Errorf("in the reserve: %d bytes, %v", n, err)
	}
	if err := s.written(u, nil); err != nil {
		t.Fatal(err)
	}
	if got := s.holds(t)["b"]; got != strings.Repeat("x", int(size)) {
		t.Errorf("the file has %d bytes, want %d", len(got), size)
	}
}
