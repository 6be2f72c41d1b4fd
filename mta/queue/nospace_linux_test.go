package queue

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// smallDisk mounts a tmpfs, and proves that it is as small as asked for.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("mounting a small file system: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

func TestNoSpace_BytesOnARealFileSystem(t *testing.T) { // R7
	dir := smallDisk(t, "size=4m")
	if err := os.WriteFile(filepath.Join(dir, "proof"), make([]byte, 8<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the fault does not happen: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "proof")); err != nil {
		t.Fatal(err)
	}
	r := setup{dir: dir, disk: osDisk{}}.open(t)
	r.Configure(Policy{MaxMessage: 1})
	err := r.tryAdd(r.message("", "a@there.test"), strings.Repeat("x", 5<<20))
	if !errors.Is(err, ErrNoSpace) {
		t.Errorf("error %v", err)
	}
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	if err := r.tryAdd(r.message("", "a@there.test"), strings.Repeat("x", 1<<20)); err != nil {
		t.Errorf("not well again: %v", err)
	}
	r.Configure(Policy{MaxMessage: 3 << 20})
	if _, err := r.Begin(r.message("", "a@there.test")); !errors.Is(err, ErrNoSpace) {
		t.Errorf("reserve: %v", err)
	}
	r.close()
}

func TestNoSpace_InodesOnARealFileSystem(t *testing.T) {
	dir := smallDisk(t, "size=100m,nr_inodes=300")
	r := setup{dir: dir, disk: osDisk{}}.open(t)
	var err error
	added := 0
	for ; added < 1000 && err == nil; added++ {
		err = r.tryAdd(r.message("", "a@there.test"), bodyText)
	}
	if !errors.Is(err, ErrNoSpace) || added < 20 {
		t.Errorf("after %d: %v", added, err)
	}
	r.close()
}
