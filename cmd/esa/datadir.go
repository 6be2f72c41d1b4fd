package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"esa/mta/durable"
	"esa/shell/attach"
	"esa/store/configfile"
)

// lockWait is how long a data directory is waited for that another process
// has: a command, or a gateway that starts or ends.
const lockWait = 30 * time.Second

// What a data directory is locked for.
const (
	forCommand = "a command"
	forGateway = "the gateway"
)

// dataDir is a data directory that this process owns until close.
type dataDir struct {
	path string
	lock *os.File
	keys sync.Mutex // held while the key for configuration files is made
}

// openDir makes the data directory if need be and takes its lock. If another
// process has it, it waits as long as wait says, then names the owner.
func openDir(ctx context.Context, path, purpose string, wait time.Duration) (*dataDir, error) {
	if err := makeDir(path); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock of the data directory: %w", err)
	}
	d := &dataDir{path: path, lock: lock}
	err = d.take(ctx, wait)
	if purpose == forGateway && errors.Is(err, errServed) {
		// A command would attach to it; a second gateway is one too many.
		err = d.taken()
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	owner := fmt.Sprintf("process %d (%s) since %s\n", os.Getpid(), purpose, time.Now().Format(time.DateTime))
	if err := errors.Join(lock.Truncate(0), writeAt(lock, owner)); err != nil {
		return nil, errors.Join(fmt.Errorf("writing the lock of the data directory: %w", err), d.close())
	}
	return d, nil
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// errServed says that a gateway has opened its console while we waited for the
// lock that it took before.
var errServed = errors.New("a gateway has started")

// take asks for the lock ten times a second: the kernel offers no wait with
// an end.
func (d *dataDir) take(ctx context.Context, wait time.Duration) error {
	end := time.NewTimer(wait)
	defer end.Stop()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		err := unix.Flock(int(d.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("locking the data directory: %w", err)
		}
		select {
		case <-again.C:
			if conn, err := attach.Dial(d.path); err == nil {
				return errors.Join(errServed, conn.Close())
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-end.C:
			return d.taken()
		}
	}
}

// taken says who has the lock.
func (d *dataDir) taken() error {
	return fmt.Errorf("the data directory %s is in use by %s", d.path, d.owner())
}

// owner is what the process that has the lock wrote into it.
func (d *dataDir) owner() string {
	text := make([]byte, 200)
	n, _ := d.lock.ReadAt(text, 0)
	if owner := strings.TrimSpace(string(text[:n])); owner != "" {
		return owner
	}
	return "another process"
}

// close gives the directory back.
func (d *dataDir) close() error { return d.lock.Close() }

// makeDir makes a directory that only we can use, or refuses one that others
// can write: its owner is we, or root.
func makeDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("making the data directory: %w", err)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("looking at the data directory: %w", err)
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", path)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("the data directory %s can be written by others (mode %04o): use chmod 700", path, info.Mode().Perm())
	}
	if owner := int(info.Sys().(*syscall.Stat_t).Uid); owner != os.Geteuid() && owner != 0 {
		return fmt.Errorf("the data directory %s belongs to another user (%d): work as that user, or as root", path, owner)
	}
	return nil
}

// serial gives the serial number of this installation: made once, in the form
// that inventory tools know.
func (d *dataDir) serial() (string, error) {
	path := filepath.Join(d.path, "serial")
	text, err := os.ReadFile(path)
	if number := strings.TrimSpace(string(text)); err == nil && len(number) == serialLength {
		return number, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the serial number: %w", err)
	}
	random := make([]byte, 16)
	rand.Read(random) // never fails
	digits := strings.ToUpper(hex.EncodeToString(random))
	number := digits[:20] + "-" + digits[20:]
	if err := os.WriteFile(path, []byte(number+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("writing the serial number: %w", err)
	}
	return number, nil
}

// serialLength is 20 digits, a dash, 12 digits.
const serialLength = 33

// fileKeyFile has the secret that configuration files of this gateway are
// encrypted with where nobody gives a passphrase.
const fileKeyFile = "configkey"

// fileKey gives the secret, in hex; it is made when it is first asked for. One
// that cannot be read is never replaced: files need it.
func (d *dataDir) fileKey() ([]byte, error) {
	d.keys.Lock()
	defer d.keys.Unlock()
	path := filepath.Join(d.path, fileKeyFile)
	text, err := os.ReadFile(path)
	if err == nil {
		secret, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err == nil && len(secret) < configfile.MinGatewayKey {
			err = errors.New("it is too short")
		}
		if err != nil {
			return nil, fmt.Errorf("reading the key for configuration files, %s: %w", path, err)
		}
		return secret, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the key for configuration files: %w", err)
	}
	secret := make([]byte, configfile.MinGatewayKey)
	rand.Read(secret) // never fails
	if err := durable.Replace(path, []byte(hex.EncodeToString(secret)+"\n")); err != nil {
		return nil, fmt.Errorf("writing the key for configuration files: %w", err)
	}
	return secret, nil
}
