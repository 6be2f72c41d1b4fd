package commands

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
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
