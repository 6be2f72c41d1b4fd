package sshd

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestKeyIsMadeOnceAndForItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ssh", "console_key")
	first, err := LoadOrCreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := LoadOrCreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.PublicKey().Marshal(), second.PublicKey().Marshal()) {
		t.Error("the second start has another key")
	}
	if kind := first.PublicKey().Type(); kind != ssh.KeyAlgoED25519 {
		t.Errorf("key of type %s", kind)
	}
	for path, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %04o, want %04o", path, got, want)
		}
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCrashBeforeTheKeyHasItsName_NextStartMakesOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "console_key")
	if err := os.WriteFile(path+".new", []byte("-----BEGIN OPENSSH"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateKey(path); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateKey(path); err != nil {
		t.Errorf("the key made then cannot be read: %v", err)
	}
	if _, err := os.Lstat(path + ".new"); err == nil {
		t.Error("the unfinished file is still there")
	}
}

func TestKeyFileThatIsRefusedIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	if _, err := LoadOrCreateKey(good); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(curve, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		text []byte
		mode os.FileMode
		want string
	}{
		{"others can read it", text, 0o644, "can be read or written by others (mode 0644)"},
		{"the group can write it", text, 0o620, "can be read or written by others (mode 0620)"},
		{"empty", nil, 0o600, "no key found"},
		{"cut off", text[:len(text)/2], 0o600, "no key found"},
		{"another type", pem.EncodeToMemory(block), 0o600, "is of type ecdsa-sha2-nistp256, must be ssh-ed25519"},
		{"too large", make([]byte, maxKeyFile+1), 0o600, "is too large for a key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, tt.text, tt.mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			_, err := LoadOrCreateKey(path)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "host key "+path+": ") {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, tt.text) {
				t.Errorf("the file was changed, %v", err)
			}
		})
	}
}

func TestKeyPathThatIsNoFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, fifo} {
		if _, err := LoadOrCreateKey(path); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Clients that know only RSA get in, though not with a SHA-1 signature.
func TestHostKeysOfBothKinds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ssh")
	keys, err := LoadOrCreateKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadOrCreateKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	shown := again.Describe()
	if len(shown) != 2 || shown[0].Type != ssh.KeyAlgoED25519 || shown[1].Type != ssh.KeyAlgoRSA || shown[1].Bits != 3072 {
		t.Fatalf("%+v", shown)
	}
	var least atomic.Int64
	least.Store(2048)
	r := start(t, nil, func(s *Server) {
		s.HostKeys = keys
		s.Settings = func() Settings { return Settings{MinRSABits: int(least.Load())} }
	})
	dial := func(algorithm string) string {
		seen := ""
		config := clientConfig()
		config.HostKeyAlgorithms = []string{algorithm}
		config.HostKeyCallback = func(_ string, _ net.Addr, key ssh.PublicKey) error {
			seen = ssh.FingerprintSHA256(key)
			return nil
		}
		if client, err := ssh.Dial("tcp", r.addr, config); err == nil {
			client.Close()
		}
		return seen
	}
	for algorithm, want := range map[string]string{
		ssh.KeyAlgoED25519: shown[0].Fingerprint, ssh.KeyAlgoRSASHA256: shown[1].Fingerprint, ssh.KeyAlgoRSASHA512: shown[1].Fingerprint, ssh.KeyAlgoRSA: "",
	} {
		if got := dial(algorithm); got != want {
			t.Errorf("%s: key %q, want %q", algorithm, got, want)
		}
	}
	least.Store(4096)
	if got := dial(ssh.KeyAlgoRSASHA512); got != "" {
		t.Errorf("a key that is too small is offered: %s", got)
	}
}
