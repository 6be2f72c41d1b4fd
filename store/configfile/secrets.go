package configfile

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/argon2"

	"esa/store"
)

// An encrypted secret is a text of its own, so that a part of a file can be
// loaded without the rest:
//
//	$esa1$argon2id$m=65536,t=3,p=1$SALT$SEALED    the key is derived from a passphrase (RFC 9106)
//	$esa1$gateway$NAME$SEALED                     the key is that of one gateway; NAME tells it from others
//
// SEALED is the nonce and AES-256-GCM of the secret, with all before it as
// additional data; SALT and SEALED are base64 without padding. The nonce is a
// keyed digest of the secret: equal secrets look alike, and unchanged ones the
// same in every file of one gateway. All secrets of a file have one key.

const (
	sealedMark = "$esa1$"
	byArgon2   = "argon2id"
	byGateway  = "gateway"
)

// The cost of a passphrase, and the bounds of what a file may ask for.
const (
	argonMemory    = 64 << 10 // KiB
	argonPasses    = 3
	maxArgonMemory = 256 << 10 // KiB
	maxArgonPasses = 10
	saltBytes      = 16
	keyBytes       = 32
)

// MinPassphrase and MaxPassphrase bound the passphrase of a file, in bytes.
const (
	MinPassphrase = 8
	MaxPassphrase = 256
)

// MinGatewayKey is how long the key of a gateway must be, in bytes.
const MinGatewayKey = 32

// Key encrypts secrets and opens those that were encrypted with it.
type Key struct {
	head  string // what stands before SEALED
	aead  cipher.AEAD
	nonce []byte // the key of the digest
}

func newKey(head string, material []byte) (*Key, error) {
	block, err := aes.NewCipher(material[:keyBytes])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &Key{head: head, aead: aead, nonce: material[keyBytes:]}, err
}

// PassphraseKey makes the key of a new file that anybody can load who knows
// the passphrase. It takes about a tenth of a second and 64 MB.
func PassphraseKey(passphrase string, random io.Reader) (*Key, error) {
	salt := make([]byte, saltBytes)
	if _, err := io.ReadFull(random, salt); err != nil {
		return nil, fmt.Errorf("making a salt: %w", err)
	}
	head := fmt.Sprintf("%s%s$m=%d,t=%d,p=1$%s$", sealedMark, byArgon2, argonMemory, argonPasses, base64.RawStdEncoding.EncodeToString(salt))
	return newKey(head, argon2.IDKey([]byte(passphrase), salt, argonPasses, argonMemory, 1, 2*keyBytes))
}

// GatewayKey makes the key of files that only the gateway which has this
// secret can load.
func GatewayKey(secret []byte) (*Key, error) {
	if len(secret) < MinGatewayKey {
		return nil, fmt.Errorf("the key of the gateway has less than %d bytes", MinGatewayKey)
	}
	name, err := hkdf.Key(sha256.New, secret, nil, "esa configuration file: name of the key", 6)
	if err != nil {
		return nil, err
	}
	material, err := hkdf.Key(sha256.New, secret, nil, "esa configuration file: secrets", 2*keyBytes)
	if err != nil {
		return nil, err
	}
	return newKey(fmt.Sprintf("%s%s$%x$", sealedMark, byGateway, name), material)
}

// words says who can open what the key encrypts.
func (k *Key) words() string {
	if strings.HasPrefix(k.head, sealedMark+byGateway) {
		return "for this gateway only"
	}
	return "with a passphrase"
}

func (k *Key) seal(s store.Secret) string {
	digest := hmac.New(sha256.New, k.nonce)
	digest.Write([]byte(s.Reveal()))
	nonce := digest.Sum(nil)[:k.aead.NonceSize()]
	sealed := k.aead.Seal(nonce, nonce, []byte(s.Reveal()), []byte(k.head))
	return k.head + base64.RawStdEncoding.EncodeToString(sealed)
}

var (
	errSealed = errors.New("the encrypted secret is damaged")
	// ErrPassphrase says that a passphrase does not open a file.
	ErrPassphrase = errors.New("the passphrase is not correct")
)

func (k *Key) open(text string) (store.Secret, error) {
	sealed, err := base64.RawStdEncoding.DecodeString(strings.TrimPrefix(text, k.head))
	if n := k.aead.NonceSize(); err == nil && len(sealed) >= n {
		plain, err := k.aead.Open(nil, sealed[:n], sealed[n:], []byte(k.head))
		if err == nil {
			return store.Secret(plain), nil
		}
	}
	return "", errSealed
}

// Keys is what a reader can open secrets with.
type Keys struct {
	Gateway    *Key                   // nil: this gateway has none yet
	Passphrase func() (string, error) // called once, when the first secret needs it; nil: there is none
}

// opener opens the secrets of one file.
type opener struct {
	keys   Keys
	key    *Key
	proven bool // the key has opened something
	err    error
}

// open opens one secret. The cost that the file asks for is looked at before
// anything is computed, and paid once.
func (o *opener) open(text string) (store.Secret, error) {
	head := text[:strings.LastIndexByte(text, '$')+1]
	if o.key == nil && o.err == nil {
		o.key, o.err = o.keyOf(head)
	}
	switch {
	case o.err != nil:
		return "", o.err
	case head != o.key.head:
		return "", errors.New("the secrets of a file must be encrypted with one key")
	}
	s, err := o.key.open(text)
	if err != nil && !o.proven && strings.HasPrefix(head, sealedMark+byArgon2) {
		o.err = ErrPassphrase
		return "", ErrPassphrase
	}
	o.proven = o.proven || err == nil
	return s, err
}

func (o *opener) keyOf(head string) (*Key, error) {
	if strings.HasPrefix(head, sealedMark+byGateway+"$") {
		if o.keys.Gateway == nil || o.keys.Gateway.head != head {
			return nil, errors.New("the secrets are encrypted with the key of another gateway: " +
				"use saveconfig there, and encrypt the file with a passphrase")
		}
		return o.keys.Gateway, nil
	}
	cost, salt, err := parseArgon2(head)
	if err != nil {
		return nil, err
	}
	if o.keys.Passphrase == nil {
		return nil, errors.New("the secrets are encrypted with a passphrase, and none was given")
	}
	passphrase, err := o.keys.Passphrase()
	if err != nil {
		return nil, err
	}
	if len(passphrase) > MaxPassphrase {
		return nil, ErrPassphrase
	}
	return newKey(head, argon2.IDKey([]byte(passphrase), salt, cost.passes, cost.memory, 1, 2*keyBytes))
}

// argonCost is what a passphrase costs.
type argonCost struct{ memory, passes uint32 }

// parseArgon2 reads the cost and the salt of a head, and holds them to bounds.
func parseArgon2(head string) (argonCost, []byte, error) {
	parts := strings.Split(head, "$") // "", esa1, argon2id, cost, salt, ""
	if len(parts) != 6 || parts[2] != byArgon2 {
		return argonCost{}, nil, errSealed
	}
	var c argonCost
	var end string
	n, _ := fmt.Sscanf(parts[3], "m=%d,t=%d,p=1%s", &c.memory, &c.passes, &end)
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if n != 2 || err != nil || len(salt) < saltBytes/2 || len(salt) > 4*saltBytes {
		return c, nil, errSealed
	}
	if c.memory < 8 || c.memory > maxArgonMemory || c.passes < 1 || c.passes > maxArgonPasses {
		return c, nil, fmt.Errorf("the encryption asks for more work than is done: at most m=%d and t=%d", maxArgonMemory, maxArgonPasses)
	}
	return c, salt, nil
}
