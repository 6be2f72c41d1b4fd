package sshd

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// maxKeyFile is far above the size of any key: what is larger is no key file.
const maxKeyFile = 64 << 10

// rsaKeyBits is the size of the RSA keys we make.
const rsaKeyBits = 3072

// kind is a kind of host key.
type kind struct {
	file     string // in the directory of LoadOrCreateKeys
	format   string // of its public half (RFC 4253 §6.6)
	generate func() (crypto.PrivateKey, error)
}

func ed25519Kind() kind {
	return kind{"host_ed25519", ssh.KeyAlgoED25519, func() (crypto.PrivateKey, error) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}}
}

// rsaKind is for clients that know nothing newer.
func rsaKind() kind {
	return kind{"host_rsa", ssh.KeyAlgoRSA, func() (crypto.PrivateKey, error) {
		return rsa.GenerateKey(rand.Reader, rsaKeyBits)
	}}
}

// HostKeys are what a server proves itself with, one of each kind at most.
type HostKeys []ssh.Signer

// LoadOrCreateKey gives the host key in the file path. If there is no such
// file it makes an Ed25519 key and stores it, readable by the owner only, in a
// directory that it makes if need be. A file that others may read, or that
// holds no such key, is refused and left alone: clients know the key they saw.
//
// Only one process may call it for a path at a time.
func LoadOrCreateKey(path string) (ssh.Signer, error) { return ed25519Kind().loadOrCreate(path) }

// LoadOrCreateKeys gives the host keys in a directory, an Ed25519 and an RSA
// key, each as LoadOrCreateKey does. To make them can take a second.
func LoadOrCreateKeys(dir string) (HostKeys, error) {
	var signers HostKeys
	for _, k := range []kind{ed25519Kind(), rsaKind()} {
		signer, err := k.loadOrCreate(filepath.Join(dir, k.file))
		if err != nil {
			return nil, err
		}
		signers = append(signers, signer)
	}
	return signers, nil
}

func (k kind) loadOrCreate(path string) (ssh.Signer, error) {
	signer, err := k.load(path)
	if errors.Is(err, fs.ErrNotExist) {
		signer, err = k.create(path)
	}
	if err == nil {
		signer, err = withoutSHA1(signer)
	}
	if err != nil {
		return nil, fmt.Errorf("host key %s: %w", path, err)
	}
	return signer, nil
}

// withoutSHA1 keeps an RSA key from signing as ssh-rsa, which is SHA-1.
func withoutSHA1(signer ssh.Signer) (ssh.Signer, error) {
	if signer.PublicKey().Type() != ssh.KeyAlgoRSA {
		return signer, nil
	}
	able, ok := signer.(ssh.AlgorithmSigner)
	if !ok {
		return nil, errors.New("cannot choose how it signs")
	}
	return ssh.NewSignerWithAlgorithms(able, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256})
}

func (k kind) load(path string) (ssh.Signer, error) {
	// Without O_NONBLOCK a named pipe would be waited for.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("is not a regular file")
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("can be read or written by others (mode %04o); set it to 0600, or replace the key if somebody may have seen it", info.Mode().Perm())
	case info.Size() > maxKeyFile:
		return nil, errors.New("is too large for a key")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	if format := signer.PublicKey().Type(); format != k.format {
		return nil, fmt.Errorf("is of type %s, must be %s", format, k.format)
	}
	return signer, nil
}

// create stores a new key. The file gets its name when the key in it is
// whole and on disk: after a crash there is the key that clients may have
// seen, or none, and then none has been seen.
func (k kind) create(path string) (ssh.Signer, error) {
	key, err := k.generate()
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return nil, fmt.Errorf("encoding the key: %w", err)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	unfinished := path + ".new"
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := writeSynced(unfinished, pem.EncodeToMemory(block)); err != nil {
		return nil, err
	}
	if err := os.Rename(unfinished, path); err != nil {
		return nil, err
	}
	if err := syncDir(dir); err != nil {
		return nil, err
	}
	return ssh.NewSignerFromKey(key)
}

// writeSynced makes a file for the owner only and returns when its content
// is on stable storage.
func writeSynced(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
