package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// journalled makes an ext4 with a journal in a file and mounts it. The function
// it gives unmounts it.
func (b *bench) journalled() (string, func(), error) {
	image, dir := filepath.Join(b.root, "disk"), filepath.Join(b.root, "journalled")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", nil, err
	}
	for _, command := range []string{
		"truncate -s 4G " + image,
		"mkfs.ext4 -q -i 4096 " + image,
		"mount -o loop " + image + " " + dir,
	} {
		words := strings.Fields(command)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			return "", nil, fmt.Errorf("%s: %w\n%s", command, err, out)
		}
	}
	return dir, func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			progress("unmounting %s: %v %s", dir, err, out)
		}
	}, nil
}
