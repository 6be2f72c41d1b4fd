package sshd

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"
)

// Key is a public key, for people.
type Key struct {
	Type        string // "ssh-ed25519"
	Bits        int    // 0 where the type says it
	Fingerprint string // "SHA256:..."
	Comment     string // printable
	Line        string // of authorized_keys, without options: type, key, comment
}

// Why a text is not taken as a public key.
var (
	ErrNoKey      = errors.New("this is no SSH public key")
	ErrPrivateKey = errors.New("this is a private key: it stays with its owner, only its public half is needed")
	ErrManyKeys   = errors.New("this is more than one key: give one at a time")
	ErrOptions    = errors.New("options before a key, such as from= or command=, are not supported")
	ErrWeakKey    = errors.New("keys of this type are no longer safe: use Ed25519, ECDSA or RSA")
)

// maxKeyText bounds a text that ParseKey looks at, in bytes.
const maxKeyText = 16 << 10

// ParseKey reads one public key, as a line of authorized_keys (sshd(8)) or in
// the form of RFC 4716, which PuTTY writes. Blank lines and those that begin
// with # are passed over, and so are line ends within the key: terminals break
// long lines when they are copied.
func ParseKey(text string) (Key, error) {
	if len(text) > maxKeyText {
		return Key{}, ErrNoKey
	}
	if strings.Contains(text, "PRIVATE KEY") || strings.Contains(text, "PuTTY-User-Key-File") {
		return Key{}, ErrPrivateKey
	}
	line, err := oneLine(text)
	if err != nil {
		return Key{}, err
	}
	public, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	switch {
	case err != nil:
		return Key{}, ErrNoKey
	case len(options) > 0:
		return Key{}, ErrOptions
	case len(bytes.TrimSpace(rest)) > 0:
		return Key{}, ErrManyKeys
	}
	return newKey(public, comment)
}

// oneLine joins what belongs to one key.
func oneLine(text string) (string, error) {
	var lines []string
	rfc4716, comment, continued := false, "", false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		name, value, header := strings.Cut(line, ":")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "---- BEGIN SSH2 PUBLIC KEY"):
			rfc4716 = true
		case strings.HasPrefix(line, "---- END"):
		case rfc4716 && (continued || header): // RFC 4716 §3.3
			if !continued && strings.EqualFold(name, "comment") {
				comment = strings.Trim(strings.TrimSpace(value), `"`)
			}
			continued = strings.HasSuffix(line, `\`)
		default:
			lines = append(lines, line)
		}
	}
	if rfc4716 {
		return withType(strings.Join(lines, ""), comment)
	}
	for _, line := range lines[min(1, len(lines)):] {
		if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line)); err == nil {
			return "", ErrManyKeys
		}
	}
	return strings.Join(lines, ""), nil
}

// withType puts the type before the key of an RFC 4716 file, which is only in
// the key itself there.
func withType(encoded, comment string) (string, error) {
	wire, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", ErrNoKey
	}
	public, err := ssh.ParsePublicKey(wire)
	if err != nil {
		return "", ErrNoKey
	}
	return public.Type() + " " + encoded + " " + comment, nil
}

func newKey(public ssh.PublicKey, comment string) (Key, error) {
	if _, ok := public.(*ssh.Certificate); ok {
		return Key{}, ErrNoKey
	}
	crypto, ok := public.(ssh.CryptoPublicKey)
	if !ok {
		return Key{}, ErrWeakKey
	}
	k := Key{Type: public.Type(), Fingerprint: ssh.FingerprintSHA256(public)}
	switch key := crypto.CryptoPublicKey().(type) {
	case *rsa.PublicKey:
		k.Bits = key.N.BitLen()
	case *ecdsa.PublicKey, ed25519.PublicKey:
	default:
		return Key{}, ErrWeakKey
	}
	k.Comment = strings.Join(strings.FieldsFunc(comment, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }), " ")
	if runes := []rune(k.Comment); len(runes) > maxComment {
		k.Comment = string(runes[:maxComment])
	}
	k.Line = strings.TrimSpace(strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public))) + " " + k.Comment)
	return k, nil
}

// maxComment bounds the comment that is kept of a key, in characters.
const maxComment = 100

// Describe gives the public half of host keys.
func (keys HostKeys) Describe() []Key {
	var all []Key
	for _, signer := range keys {
		if k, err := newKey(signer.PublicKey(), ""); err == nil {
			all = append(all, k)
		}
	}
	return all
}
