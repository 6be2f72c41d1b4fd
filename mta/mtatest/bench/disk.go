package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// journalled makes an ext4 with a journal in a file and mounts it. The file has
// its blocks already and is written past the cache, so that a sync costs
// little more than it does on a disk. The function it gives takes it away.
func (b *bench) journalled() (dir string, remove func() error, err error) {
	image, dir := filepath.Join(b.root, "disk"), filepath.Join(b.root, "journalled")
	var undo []string
	remove = func() error {
		var errs []error
		for i := len(undo) - 1; i >= 0; i-- {
			_, err := run(undo[i])
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, remove())
		}
	}()
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", nil, err
	}
	if _, err := run("fallocate -l 2G " + image); err != nil {
		return "", nil, err
	}
	if _, err := run("mkfs.ext4 -q -i 4096 -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 " + image); err != nil {
		return "", nil, err
	}
	device, err := run("losetup --find --show --direct-io=on " + image)
	if err != nil {
		return "", nil, err
	}
	undo = append(undo, "losetup -d "+device)
	if _, err := run("mount " + device + " " + dir); err != nil {
		return "", nil, err
	}
	undo = append(undo, "umount "+dir)
	return dir, remove, nil
}

// run runs a command whose words have no blanks and gives what it printed.
func run(command string) (string, error) {
	words := strings.Fields(command)
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", command, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
