package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"esa/shell"
	"esa/shell/attach"
	"esa/shell/files"
	"esa/store/configfile"
)

func open(t *testing.T, path string) *dataDir {
	t.Helper()
	d, err := openDir(t.Context(), path, "the gateway", 0)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestLock_TheSecondIsToldWhoHasIt, and gets it when it is free.
func TestLock_TheSecondIsToldWhoHasIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "data")
	d := open(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v", info.Mode(), err)
	}
	for _, wait := range []time.Duration{0, time.Millisecond} {
		_, err := openDir(t.Context(), path, "a command", wait)
		want := fmt.Sprintf("%s is in use by process %d (the gateway) since ", path, os.Getpid())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("after %v: %v, want %q", wait, err, want)
		}
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, path).close(); err != nil {
		t.Error(err)
	}
}

// waited is a context that tells when it is waited on.
type waited struct {
	context.Context
	on chan struct{}
}

func (w waited) Done() <-chan struct{} {
	select {
	case w.on <- struct{}{}:
	default:
	}
	return w.Context.Done()
}

func TestLock_AWaiterGetsItWhenItIsFree(t *testing.T) {
	for _, purpose := range []string{forCommand, forGateway} {
		t.Run(purpose, func(t *testing.T) {
			path := t.TempDir()
			d := open(t, path)
			ctx, got := waited{context.Background(), make(chan struct{}, 1)}, make(chan error, 1)
			go func() {
				second, err := openDir(ctx, path, purpose, time.Minute)
				if err == nil {
					err = second.close()
				}
				got <- err
			}()
			<-ctx.on
			if err := d.close(); err != nil {
				t.Fatal(err)
			}
			if err := <-got; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLock_AWaiterLearnsOfTheConsole: the gateway has the lock before it has
// its console; a command that comes between the two is not to wait in vain.
func TestLock_AWaiterLearnsOfTheConsole(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	defer d.close()
	got := make(chan error, 1)
	go func() {
		_, err := openDir(context.Background(), path, "a command", time.Minute)
		got <- err
	}()
	ln, err := attach.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if err := <-got; !errors.Is(err, errServed) {
		t.Errorf("%v", err)
	}
}

func TestLock_WaitingEndsWithItsContext(t *testing.T) {
	path := t.TempDir()
	defer open(t, path).close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := openDir(ctx, path, "a command", time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestDataDir_Refused: what is not a directory that only we can write to.
func TestDataDir_Refused(t *testing.T) {
	for name, stage := range map[string]struct {
		make func(path string) error
		want string
	}{
		"others can write": {func(p string) error { return errors.Join(os.Mkdir(p, 0o700), os.Chmod(p, 0o702)) }, "can be written by others (mode 0702): use chmod 700"},
		"the group can":    {func(p string) error { return errors.Join(os.Mkdir(p, 0o700), os.Chmod(p, 0o720)) }, "can be written by others (mode 0720): use chmod 700"},
		"another user's": {func(p string) error {
			if os.Geteuid() != 0 {
				t.Skip("giving a directory away needs root")
			}
			return errors.Join(os.Mkdir(p, 0o700), os.Chown(p, 12345, 0))
		}, "belongs to another user (12345)"},
		"a file":             {func(p string) error { return os.WriteFile(p, nil, 0o600) }, "not a directory"},
		"the lock is a link": {func(p string) error { return errors.Join(os.Mkdir(p, 0o700), os.Symlink("../elsewhere", p+"/lock")) }, "opening the lock"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "data")
			if err := stage.make(path); err != nil {
				t.Fatal(err)
			}
			if _, err := openDir(t.Context(), path, "the gateway", 0); err == nil || !strings.Contains(err.Error(), stage.want) {
				t.Errorf("%v, want %q", err, stage.want)
			}
			if _, err := os.Stat(filepath.Join(path, "..", "elsewhere")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the link was followed: %v", err)
			}
		})
	}
}

func TestSerial_IsKept(t *testing.T) {
	d := open(t, t.TempDir())
	defer d.close()
	first, err := d.serial()
	if err != nil || !regexp.MustCompile(`^[0-9A-F]{20}-[0-9A-F]{12}$`).MatchString(first) {
		t.Fatalf("%q, %v", first, err)
	}
	path := filepath.Join(d.path, "serial")
	for _, text := range []string{first + "\n", first, first + "\r\n\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if again, err := d.serial(); err != nil || again != first {
			t.Errorf("from %q: %q, %v, want %q", text, again, err, first)
		}
	}
	// Written in part: there is no number to keep.
	if err := os.WriteFile(path, []byte(first[:10]), 0o600); err != nil {
		t.Fatal(err)
	}
	if again, err := d.serial(); err != nil || len(again) != serialLength || again == first {
		t.Errorf("%q, %v", again, err)
	}
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	if number, err := d.serial(); err == nil {
		t.Errorf("unreadable, and yet %q", number)
	}
}

// refused fails unless err is what an operator is told as it is.
func refused(t *testing.T, what string, err error) {
	t.Helper()
	want := shell.Refusedf("x")
	if err == nil || fmt.Sprintf("%T", err) != fmt.Sprintf("%T", want) {
		t.Errorf("%s: %v (%T), want a refusal", what, err, err)
	}
}

// TestFolder_Names: no name leads out of the folder.
func TestFolder_Names(t *testing.T) {
	dir := t.TempDir()
	f := folder(filepath.Join(dir, "configuration"))
	if err := os.Mkdir(string(f), 0o700); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(dir, "outside")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", ".", "..", "/etc/passwd", "../outside", "a/b", `a\b`, "a\x00b", strings.Repeat("n", 256)} {
		_, err := f.Read(name)
		refused(t, fmt.Sprintf("reading %.20q", name), err)
		refused(t, fmt.Sprintf("writing %.20q", name), f.Write(name, []byte("x")))
	}
	for name, target := range map[string]string{"absolute": outside, "relative": "../outside"} {
		link := filepath.Join(string(f), name)
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		data, err := f.Read(name)
		refused(t, "reading through an "+name+" link", err)
		if data != nil {
			t.Errorf("read %q through an %s link", data, name)
		}
		if err := f.Write(name, []byte("new")); err != nil {
			t.Errorf("writing over an %s link: %v", name, err)
		}
	}
	if text, err := os.ReadFile(outside); string(text) != "secret" {
		t.Errorf("outside: %q, %v", text, err)
	}
}

func TestFolder_WhatIsNoFileToRead(t *testing.T) {
	f := folder(t.TempDir())
	path := func(name string) string { return filepath.Join(string(f), name) }
	err := errors.Join(os.Mkdir(path("folder"), 0o700), syscall.Mkfifo(path("pipe"), 0o600),
		os.WriteFile(path("large"), nil, 0o600), os.Truncate(path("large"), files.MaxFile+1),
		os.WriteFile(path("largest"), nil, 0o600), os.Truncate(path("largest"), files.MaxFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"none", "folder", "pipe", "large"} {
		_, err := f.Read(name)
		refused(t, name, err)
		if name == "none" {
			continue
		}
		if err := f.SaveNew(name, func(io.Writer) error { return nil }); !errors.Is(err, fs.ErrExist) {
			t.Errorf("saving %s as something new: %v", name, err)
		}
	}
	_, err = folder(path("nowhere")).Read("none")
	refused(t, "a file where there is no folder", err)
	refused(t, "../none", f.SaveNew("../none", func(io.Writer) error { return nil }))
	if data, err := f.Read("largest"); err != nil || len(data) != files.MaxFile {
		t.Errorf("the largest file: %d bytes, %v", len(data), err)
	}
}

// A folder that is full takes another state of a file that it has, and no more.
func TestFolder_Full(t *testing.T) {
	f := folder(t.TempDir())
	for n := range 1000 {
		if err := os.WriteFile(filepath.Join(string(f), strconv.Itoa(n)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := f.Write("more", nil)
	refused(t, "one file too many", err)
	want := `Error: the file "more" cannot be written: configuration/ is full (1000 files or 512 MB): remove files first.`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if err := f.Write("7", []byte("new")); err != nil {
		t.Error(err)
	}
}

// A folder that is full by bytes refuses in the same words, whatever notices
// first, and so does one file that is too long.
func TestFolder_FullByBytes(t *testing.T) {
	f := folder(t.TempDir())
	big := filepath.Join(string(f), "big")
	if err := errors.Join(os.WriteFile(big, nil, 0o600), os.Truncate(big, 512<<20-10)); err != nil {
		t.Fatal(err)
	}
	var careless error
	for _, tt := range []struct {
		why   string
		write func(io.Writer) error
	}{
		{"configuration/ is full (1000 files or 512 MB): remove files first", func(w io.Writer) error {
			_, err := w.Write(make([]byte, 11))
			return fmt.Errorf("in words of its own: %w", err)
		}},
		{"configuration/ is full (1000 files or 512 MB): remove files first", func(w io.Writer) error {
			_, careless = w.Write(make([]byte, 11))
			return nil
		}},
		{"a file of configuration/ has at most 64 MB", func(w io.Writer) error {
			_, err := w.Write(make([]byte, files.MaxFile+1))
			return err
		}},
	} {
		for _, save := range []func(string, func(io.Writer) error) error{f.Save, f.SaveNew} {
			err := save("more", tt.write)
			refused(t, "what the folder does not take", err)
			if want := `Error: the file "more" cannot be written: ` + tt.why + "."; err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		}
	}
	if careless == nil {
		t.Error("a byte too many was written")
	}
	if err := f.Write("more", make([]byte, 10)); err != nil {
		t.Errorf("what the folder takes: %v", err)
	}
}

// Of two that are saved at once as something new under one name, the first that
// is whole has it.
func TestFolder_SaveNewReplacesNothing(t *testing.T) {
	f := folder(t.TempDir())
	text := func(s string) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, s)
			return err
		}
	}
	err := f.SaveNew("a.xml", func(w io.Writer) error {
		return errors.Join(text("second")(w), f.SaveNew("a.xml", text("first")))
	})
	if !errors.Is(err, fs.ErrExist) {
		t.Errorf("the second: %v", err)
	}
	if got, err := f.Read("a.xml"); err != nil || string(got) != "first" {
		t.Errorf("read %q, %v", got, err)
	}
	if entries, err := os.ReadDir(string(f)); err != nil || len(entries) != 1 {
		t.Errorf("left behind %v, %v", entries, err)
	}
}

// TestFolder_WriteReplacesTheWholeFile: who has the old one open keeps it, and
// nothing else is left behind.
func TestFolder_WriteReplacesTheWholeFile(t *testing.T) {
	f := folder(t.TempDir())
	name := strings.Repeat("n", 255)
	long, short := bytes.Repeat([]byte("long"), 1000), []byte("short")
	if err := f.Write(name, long); err != nil {
		t.Fatal(err)
	}
	old, err := os.Open(filepath.Join(string(f), name))
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := f.Write(name, short); err != nil {
		t.Fatal(err)
	}
	was := make([]byte, len(long)+1)
	if n, _ := old.Read(was); !bytes.Equal(was[:n], long) {
		t.Errorf("the old file was written to: %d bytes", n)
	}
	if got, err := f.Read(name); err != nil || !bytes.Equal(got, short) {
		t.Errorf("read %q, %v", got, err)
	}
	info, err := os.Stat(filepath.Join(string(f), name))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.Mkdir(filepath.Join(string(f), "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := f.Write("taken", short); err == nil {
		t.Error("wrote over a folder")
	}
	entries, err := os.ReadDir(string(f))
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// TestFileKey: the key for configuration files is made once, for its owner
// only, and one that is damaged is not replaced.
func TestFileKey(t *testing.T) {
	d := &dataDir{path: t.TempDir()}
	var made sync.WaitGroup
	keys := make([][]byte, 8)
	for i := range keys {
		made.Go(func() { keys[i], _ = d.fileKey() })
	}
	made.Wait()
	for _, key := range keys {
		if len(key) != configfile.MinGatewayKey || !bytes.Equal(key, keys[0]) {
			t.Errorf("%x", key)
		}
	}
	path := filepath.Join(d.path, fileKeyFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for _, text := range []string{"", "00", "not hexadecimal"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if key, err := d.fileKey(); err == nil {
			t.Errorf("%q: %x", text, key)
		}
		if kept, err := os.ReadFile(path); err != nil || string(kept) != text {
			t.Errorf("it was replaced by %q, %v", kept, err)
		}
	}
}
