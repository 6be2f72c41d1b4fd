package sshd

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// somebodysKey is a new Ed25519 key and its line of authorized_keys.
func somebodysKey(t *testing.T) (ssh.Signer, string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}

func TestParseKey(t *testing.T) {
	signer, line := somebodysKey(t)
	_, other := somebodysKey(t)
	encoded := strings.Fields(line)[1]
	fingerprint := ssh.FingerprintSHA256(signer.PublicKey())
	for _, tt := range []struct{ name, text, comment string }{
		{"line", line + " ann@example.com", "ann@example.com"},
		{"no comment", line, ""},
		{"comment with blanks and escapes", line + " ann's \x1b[2J key", "ann's [2J key"},
		{"blank lines and remarks", "\n# mine\r\n" + line + " a\r\n\n", "a"},
		{"line broken by a terminal", line[:30] + "\n" + line[30:], ""},
		{"RFC 4716", "---- BEGIN SSH2 PUBLIC KEY ----\nComment: \"ann's key\"\nX-Long: a \\\nb\n" + encoded[:40] + "\n" + encoded[40:] + "\n---- END SSH2 PUBLIC KEY ----\n", "ann's key"},
		{"long comment", line + " " + strings.Repeat("ü", 200), strings.Repeat("ü", 100)},
	} {
		k, err := ParseKey(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if k.Type != "ssh-ed25519" || k.Comment != tt.comment || k.Fingerprint != fingerprint || k.Line != strings.TrimSpace(line+" "+tt.comment) {
			t.Errorf("%s: %+v", tt.name, k)
		}
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	old := ssh.Marshal(struct {
		Name       string
		P, Q, G, Y *big.Int
	}{"ssh-dss", new(big.Int).Lsh(big.NewInt(1), 1023), new(big.Int).Lsh(big.NewInt(1), 159), big.NewInt(2), big.NewInt(2)})
	for _, tt := range []struct {
		name, text string
		want       error
	}{
		{"nothing", "", ErrNoKey},
		{"other text", "hello", ErrNoKey},
		{"cut off", line[:40], ErrNoKey},
		{"too long", line + strings.Repeat(" x", 10_000), ErrNoKey},
		{"private key", string(pem.EncodeToMemory(block)), ErrPrivateKey},
		{"two keys", line + "\n" + other, ErrManyKeys},
		{"options", `from="10.0.0.1" ` + line, ErrOptions},
		{"DSA", "ssh-dss " + base64.StdEncoding.EncodeToString(old), ErrWeakKey},
		{"RFC 4716 without key", "---- BEGIN SSH2 PUBLIC KEY ----\n" + base64.StdEncoding.EncodeToString([]byte("x")) + "\n---- END", ErrNoKey},
	} {
		if k, err := ParseKey(tt.text); !errors.Is(err, tt.want) {
			t.Errorf("%s: %+v, %v", tt.name, k, err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8W2n3mB0mFq3p1e0rN3M3mF4q8l8m0bT1w1e8l5q9s a")
	f.Add("---- BEGIN SSH2 PUBLIC KEY ----\nComment: a\n\\\nAAAA")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseKey(text)
		if err != nil {
			return
		}
		again, err := ParseKey(k.Line)
		if err != nil || again != k {
			t.Errorf("%q: not its own form: %+v, %v", text, again, err)
		}
	})
}
