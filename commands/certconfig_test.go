package commands

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"esa/store"
)

// newLines are the answers that make a profile.
func newLines(name string) []string {
	return []string{"certconfig", "certificate", "new", name, "mx.example.com", "", "Example", "Mail", "Bonn", "NRW", "DE", "", "3", "y", "mail.example.com", "y", "", ""}
}

// The request that is shown is for the key that is kept, and says what was
// asked for; the key itself is nowhere on the screen.
func TestCertificateRequest(t *testing.T) {
	w := newWorld(t)
	env := w.env("admin", true)
	screen := w.run(env, newLines("mx")...)
	begin := strings.Index(screen, "-----BEGIN CERTIFICATE REQUEST-----")
	if begin < 0 {
		t.Fatalf("no request is shown:\n%s", screen)
	}
	block, _ := pem.Decode([]byte(screen[begin:]))
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := request.CheckSignature(); err != nil {
		t.Error(err)
	}
	if got := request.Subject.String(); got != "CN=mx.example.com,OU=Mail,O=Example,L=Bonn,ST=NRW,C=DE" {
		t.Error(got)
	}
	if got := strings.Join(request.DNSNames, " "); got != "mx.example.com mail.example.com" {
		t.Error(got)
	}
	if request.SignatureAlgorithm != x509.ECDSAWithSHA256 {
		t.Error(request.SignatureAlgorithm)
	}
	profile := env.Config().Certificate("mx")
	key, err := profile.Signer()
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := profile.Leaf()
	if err != nil || !store.Fits(leaf, key) {
		t.Errorf("the certificate does not fit the key: %v", err)
	}
	secret := strings.Split(profile.Key.Reveal(), "\n")[1]
	for _, line := range []string{"showchanges", "certconfig print", "certconfig csr mx"} {
		screen += w.run(env, line)
	}
	if strings.Contains(screen, secret) || strings.Contains(screen, "PRIVATE") {
		t.Error("the private key is shown")
	}
}

// What is used is not deleted: the users are named.
func TestCertificateInUse(t *testing.T) {
	w := newWorld(t)
	env := w.env("admin", true)
	w.run(env, newLines("mx")...)
	err := env.Edit(func(cfg *store.Config) error {
		cfg.Listeners[0].Certificate, cfg.Destinations.Certificate = "mx", "mx"
		cfg.Listeners[0].HAT.Default.TLS.Mode = store.TLSPreferred
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	const refusal = `Certificate profile "mx" is in use by listener "OutgoingMail", destination controls. Choose another one there first.`
	for _, lines := range [][]string{{"certconfig delete mx"}, {"certconfig", "certificate", "delete", "1", "", ""}} {
		if screen := w.run(env, lines...); !strings.Contains(screen, refusal) || env.Config().Certificate("mx") == nil {
			t.Errorf("%q:\n%s", lines, screen)
		}
	}
	screen := w.run(env, "certconfig print")
	for _, want := range []string{
		`Used by: listener "OutgoingMail"`, `Used by: destination controls`,
		`WARNING: The certificate is self-signed: senders that verify it will not deliver to listener "OutgoingMail".`,
	} {
		if !strings.Contains(screen, want) {
			t.Errorf("no %q in\n%s", want, screen)
		}
	}
}

// untrusting is a system without a list of authorities.
type untrusting struct{ machine }

func (untrusting) Authorities() ([]*x509.Certificate, error) {
	return nil, errors.New("there are none")
}

func TestWithoutSystemAuthorities(t *testing.T) {
	w := newWorld(t)
	env := w.env("admin", true)
	env.Machine = untrusting{}
	const why = "The list of the system's certificate authorities cannot be read: there are none."
	for _, lines := range [][]string{
		{"certconfig certauthority system print"},
		{"certconfig certauthority system export x.pem"},
		{"certconfig", "certauthority", "system", "print", "", "", ""},
		{"certconfig", "certauthority", "system", "export", "", "", ""},
		{"certconfig print"},
		append(newLines("mx")[:15], "n", "edit", "1", "", "", "n", "", ""),
	} {
		if screen := w.run(env, lines...); !strings.Contains(screen, why) {
			t.Errorf("%q:\n%s", lines, screen)
		}
	}
}

func TestNoKeyIsMade(t *testing.T) {
	w := newWorld(t)
	env := w.env("admin", true)
	env.NewKey = func(store.KeyType) (crypto.Signer, error) { return nil, errors.New("no randomness") }
	if screen := w.run(env, newLines("mx")...); !strings.Contains(screen, "No randomness.") || env.Config().Certificate("mx") != nil {
		t.Error(screen)
	}
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
