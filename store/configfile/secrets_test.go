package configfile

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"

	"esa/store"
)

const testPassphrase = "correct horse battery"

// withSecrets is a configuration with one secret of each kind.
func withSecrets(t testing.TB) *store.Config {
	t.Helper()
	c := newMaker(t, 3).config()
	c.Certificates = []store.Certificate{newMaker(t, 4).demo[0]}
	c.Users = []store.User{{Name: "admin", FullName: "A", Role: store.Administrators, Passphrase: "$argon2id$one", Former: []store.Secret{"$argon2id$two"}}}
	return c
}

func passphraseKey(t testing.TB) *Key {
	t.Helper()
	k, err := PassphraseKey(testPassphrase, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func gatewayKey(t testing.TB, text string) *Key {
	t.Helper()
	k, err := GatewayKey([]byte(strings.Repeat(text, MinGatewayKey)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func knows(passphrase string) Keys {
	return Keys{Passphrase: func() (string, error) { return passphrase, nil }}
}

// TestSecretsAreMaskedOrEncrypted: nothing of a secret is in the file, and who
// has the key gets all of it back.
func TestSecretsAreMaskedOrEncrypted(t *testing.T) {
	c := withSecrets(t)
	own := gatewayKey(t, "a")
	for _, tt := range []struct {
		name string
		o    Options
		keys Keys
		head string
	}{
		{"masked", Options{Secrets: Masked}, Keys{}, "Passphrases: Masked -->"},
		{"with a passphrase", Options{Secrets: Encrypted, Key: passphraseKey(t)}, knows(testPassphrase), "Passphrases: Encrypted with a passphrase -->"},
		{"with the key of the gateway", Options{Secrets: Encrypted, Key: own}, Keys{Gateway: own}, "Passphrases: Encrypted for this gateway only -->"},
	} {
		file := written(t, c, tt.o)
		for _, secret := range []string{"$argon2id$one", "$argon2id$two", "PRIVATE KEY", strings.Split(c.Certificates[0].Key.Reveal(), "\n")[1]} {
			if strings.Contains(file, secret) {
				t.Errorf("%s: the file has %q", tt.name, secret)
			}
		}
		if !strings.Contains(file, tt.head) {
			t.Errorf("%s: the file does not say %q", tt.name, tt.head)
		}
		result, err := Read(t.Context(), []byte(file), factory(), ReadOptions{Keys: tt.keys})
		if tt.o.Secrets == Masked {
			if err == nil || !strings.Contains(err.Error(), "are masked, and it cannot be loaded") {
				t.Errorf("a masked file: %v", err)
			}
		} else if err != nil || !result.Config.Equal(c) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestGatewayFilesAreEqual: two files of one gateway differ only where the
// configuration does, so that a program which compares them sees changes.
func TestGatewayFilesAreEqual(t *testing.T) {
	c := withSecrets(t)
	one := written(t, c, Options{Secrets: Encrypted, Key: gatewayKey(t, "a")})
	if two := written(t, c, Options{Secrets: Encrypted, Key: gatewayKey(t, "a")}); one != two {
		t.Error("they differ")
	}
	if other := written(t, c, Options{Secrets: Encrypted, Key: gatewayKey(t, "b")}); one == other {
		t.Error("those of two gateways are equal")
	}
}

// secretFile is a file with one secret as it is given.
func secretFile(sealed ...string) string {
	return inside("<users><user><username>admin</username><enc_password>" + strings.Join(sealed, "</enc_password></user><user><enc_password>") + "</enc_password></user></users>")
}

// TestEncryptedSecretsRefused: a wrong passphrase, another gateway, damage and
// a cost that would stop the gateway.
func TestEncryptedSecretsRefused(t *testing.T) {
	key, own := passphraseKey(t), gatewayKey(t, "a")
	sealed := key.seal("$argon2id$secret")
	salt := base64.RawStdEncoding.EncodeToString(make([]byte, saltBytes))
	fails := Keys{Passphrase: func() (string, error) { return "", io.ErrUnexpectedEOF }}
	for _, tt := range []struct {
		name, file string
		keys       Keys
		want       string
	}{
		{"wrong passphrase", secretFile(sealed), knows("wrong horse"), "line 2, column 40: <enc_password>: the passphrase is not correct."},
		{"no passphrase", secretFile(sealed), Keys{}, "and none was given"},
		{"endless passphrase", secretFile(sealed), knows(strings.Repeat("x", MaxPassphrase+1)), "the passphrase is not correct"},
		{"passphrase that cannot be asked for", secretFile(sealed), fails, "unexpected EOF"},
		{"another gateway", secretFile(gatewayKey(t, "b").seal("x")), Keys{Gateway: own}, "with the key of another gateway"},
		{"no key of the gateway", secretFile(own.seal("x")), Keys{}, "with the key of another gateway"},
		{"two keys", secretFile(own.seal("$argon2id$x"), sealed), Keys{Gateway: own, Passphrase: knows(testPassphrase).Passphrase}, "must be encrypted with one key"},
		{"damaged", secretFile(own.seal("x") + "AAAA"), Keys{Gateway: own}, "the encrypted secret is damaged"},
		{"damaged after another", secretFile(sealed, sealed[:len(sealed)-4]+"AAAA"), knows(testPassphrase), "the encrypted secret is damaged"},
		{"short", secretFile(own.head + "AAAA"), Keys{Gateway: own}, "the encrypted secret is damaged"},
		{"other kind", secretFile("$esa1$rot13$m=8,t=1,p=1$" + salt + "$AAAA"), knows("x"), "damaged"},
		{"memory", secretFile("$esa1$argon2id$m=4294967295,t=1,p=1$" + salt + "$AAAA"), knows("x"), "asks for more work than is done"},
		{"passes", secretFile("$esa1$argon2id$m=65536,t=4000000,p=1$" + salt + "$AAAA"), knows("x"), "asks for more work than is done"},
		{"lanes", secretFile("$esa1$argon2id$m=65536,t=1,p=100$" + salt + "$AAAA"), knows("x"), "damaged"},
		{"no salt", secretFile("$esa1$argon2id$m=65536,t=1,p=1$$AAAA"), knows("x"), "damaged"},
		{"mark only", secretFile("$esa1$"), knows("x"), "damaged"},
		{"mask", secretFile(" *****\n"), Keys{}, "are masked"},
		{"mask of another product", "<!-- Product: X -->" + secretFile("***"), Keys{}, "are masked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read(t.Context(), []byte(tt.file), factory(), ReadOptions{Keys: tt.keys})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "$esa1$") {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if wrong := strings.Contains(tt.want, "not correct"); errors.Is(err, ErrPassphrase) != wrong {
				t.Errorf("ErrPassphrase: %v", err)
			}
		})
	}
}

// TestPassphraseIsAskedOnce: however many secrets there are, one is asked for
// and one key derived.
func TestPassphraseIsAskedOnce(t *testing.T) {
	key := passphraseKey(t)
	asked := 0
	_, err := Read(t.Context(), []byte(secretFile(key.seal("$argon2id$a"), key.seal("$argon2id$b"), key.seal("$argon2id$c"))), factory(), ReadOptions{Keys: Keys{Passphrase: func() (string, error) {
		asked++
		return testPassphrase, nil
	}}})
	if err != nil || asked != 1 {
		t.Errorf("asked %d times: %v", asked, err)
	}
}

func TestKeysThatCannotBeMade(t *testing.T) {
	if _, err := PassphraseKey(testPassphrase, bytes.NewReader(nil)); err == nil {
		t.Error("a key without salt")
	}
	if _, err := GatewayKey(make([]byte, MinGatewayKey-1)); err == nil {
		t.Error("a key of too few bytes")
	}
}

// TestForeignKeys: keys in other forms of PEM become ours.
func TestForeignKeys(t *testing.T) {
	demo := newMaker(t, 5).demo[0]
	file := inside("<certificate_profiles><certificate_profile><certificate_name>a</certificate_name><certificate>\n" + string(demo.Chain) +
		"\n</certificate><key>\r\n" + demo.Key.Reveal() + "\n\n</key></certificate_profile></certificate_profiles>")
	result, err := read(t, file)
	if err != nil || result.Config.Certificates[0].Key != demo.Key || result.Config.Certificates[0].Chain != demo.Chain {
		t.Errorf("%v", err)
	}
	if _, err := read(t, inside("<certificate_profiles><certificate_profile><key>no key</key></certificate_profile></certificate_profiles>")); err == nil ||
		!strings.Contains(err.Error(), "The private key cannot be read") || strings.Contains(err.Error(), "no key<") {
		t.Errorf("%v", err)
	}
}
