package commands

import (
	"crypto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"esa/store"
)

// The keys and certificates of the transcripts.

// newDemo makes the demo certificate of a world; with a key that is quickly
// made.
func newDemo(t testing.TB, now time.Time) store.Certificate {
	t.Helper()
	key, err := store.NewKey(store.P256)
	if err != nil {
		t.Fatal(err)
	}
	demo, err := store.NewDemo(key, now)
	if err != nil {
		t.Fatal(err)
	}
	return demo
}

// pkiFile reads a file of the certificates of the tests.
func (w *world) pkiFile(name string) string {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "certconfig", "pki", name+".pem"))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// newKey gives a key that was made before.
func (w *world) newKey(kind store.KeyType) (crypto.Signer, error) {
	name := map[store.KeyType]string{store.RSA2048: "key_2048", store.RSA4096: "key_4096", store.P256: "key_p256"}[kind]
	return store.ReadKey(w.pkiFile(name))
}

func (w *world) pki(_ *Dialog, _ Env, args []string) error {
	var text strings.Builder
	for _, name := range args[1:] {
		text.WriteString(w.pkiFile(name))
	}
	w.files[args[0]] = []byte(text.String())
	return nil
}

func (w *world) p12(_ *Dialog, _ Env, args []string) error {
	key, err := store.ReadKey(w.pkiFile(args[2]))
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, name := range args[3:] {
		text.WriteString(w.pkiFile(name))
	}
	secret, err := store.EncodeKey(key)
	if err != nil {
		return err
	}
	w.files[args[0]], err = store.Certificate{Key: secret, Chain: store.PEM(text.String())}.PKCS12(args[1])
	return err
}
