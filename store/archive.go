package store

import (
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// MaxArchives bounds the places that configurations are copied to.
const MaxArchives = 5

// maxPath bounds the name of a directory, in bytes.
const maxPath = 1024

// ArchiveSecrets is what is written in the place of a secret.
type ArchiveSecrets string

// The choices in the order of the appliance's question.
const (
	ArchiveMasked    ArchiveSecrets = "Mask"
	ArchiveEncrypted ArchiveSecrets = "Encrypt"
	ArchivePlain     ArchiveSecrets = "Plain"
)

// ArchiveSecretsChoices lists them in that order.
func ArchiveSecretsChoices() []ArchiveSecrets {
	return []ArchiveSecrets{ArchiveMasked, ArchiveEncrypted, ArchivePlain}
}

// ParseArchiveSecrets reads a choice; case does not matter.
func ParseArchiveSecrets(text string) (ArchiveSecrets, error) {
	for _, s := range ArchiveSecretsChoices() {
		if strings.EqualFold(text, string(s)) {
			return s, nil
		}
	}
	return "", ValueError("The value must be mask, encrypt or plain.")
}

// Archive is a place that every committed configuration is copied to.
type Archive struct {
	Name       string         `label:"Name"`
	Target     string         `label:"Target"`                          // as ParseArchiveTarget gives it
	HostKey    string         `label:"Host key" zero:"None"`            // the only one that its host may have; empty for a directory
	Key        Secret         `label:"Private key" zero:"None"`         // as EncodeKey gives it: who the gateway is there
	Secrets    ArchiveSecrets `label:"Passphrases"`                     // in the copies
	Passphrase Secret         `label:"Passphrase of files" zero:"None"` // of Encrypt
}

func (a Archive) key() string { return a.Name }

// ArchiveTarget is a target taken apart. Without a Host it is a directory of
// this machine.
type ArchiveTarget struct {
	User      string
	Host      string // a name or an address
	Port      uint16
	Directory string // absolute; with a Host also one below the home directory
}

// Addr is the host and port as a dialer takes them.
func (t ArchiveTarget) Addr() string { return net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port))) }

const errArchiveTarget = ValueError("The target must be a directory of this machine that begins with /, or of the form\nscp://USER@HOST[:PORT]/DIRECTORY. A directory below the home directory is written\n/~/DIRECTORY. (Ex: scp://backup@host.example.com/var/backups)")

// ParseArchiveTarget reads a target, and gives the one way to write it. What
// stands in a path is bounded to what no shell gives a meaning.
func ParseArchiveTarget(text string) (string, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return "", errBlank
	}
	if strings.HasPrefix(text, "/") {
		dir := path.Clean(text)
		if !plainPath(dir) || dir == "/" {
			return "", errArchiveTarget
		}
		return dir, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "scp" || u.User == nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return "", errArchiveTarget
	}
	if _, set := u.User.Password(); set {
		return "", ValueError("There is no passphrase in a target: the gateway has a key of its own.")
	}
	host, err := parseHostOrAddress(u.Hostname())
	if err != nil {
		return "", err
	}
	port := u.Port()
	if port == "" {
		port = "22"
	}
	if _, err := ParsePort(port); err != nil {
		return "", err
	}
	user, dir := u.User.Username(), path.Clean(u.Path)
	if !plainUser(user) || !plainPath(dir) || !strings.HasPrefix(dir, "/") {
		return "", errArchiveTarget
	}
	if port != "22" {
		return fmt.Sprintf("scp://%s@%s%s", user, net.JoinHostPort(host, port), dir), nil
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return fmt.Sprintf("scp://%s@%s%s", user, host, dir), nil
}

// parseHostOrAddress reads a host name or an IP address.
func parseHostOrAddress(text string) (string, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return addr.Unmap().String(), nil
	}
	return ParseHostname(text)
}

// plainPath holds a path to letters, digits and a few signs.
func plainPath(p string) bool {
	return p != "" && len(p) <= maxPath && !strings.ContainsFunc(p, func(r rune) bool {
		return !isNameRune(r) && !strings.ContainsRune("/._-~+@%=:,", r)
	})
}

func plainUser(name string) bool {
	return name != "" && len(name) <= 64 && name[0] != '-' && !strings.ContainsFunc(name, func(r rune) bool {
		return !isNameRune(r) && r != '.' && r != '+'
	})
}

// Place takes the target apart; one that ParseArchiveTarget would refuse gives
// nothing.
func (a Archive) Place() ArchiveTarget {
	if strings.HasPrefix(a.Target, "/") {
		return ArchiveTarget{Directory: a.Target}
	}
	u, err := url.Parse(a.Target)
	if err != nil || u.User == nil {
		return ArchiveTarget{}
	}
	t := ArchiveTarget{User: u.User.Username(), Host: u.Hostname(), Port: 22, Directory: u.Path}
	if home, below := strings.CutPrefix(t.Directory+"/", "/~/"); below {
		t.Directory = path.Join(".", home)
	}
	if port, err := ParsePort(u.Port()); err == nil {
		t.Port = port
	}
	return t
}

// ParseHostKey reads the public key of a host: a line of its file, of
// known_hosts or of ssh-keyscan. It gives the kind and the key alone.
func ParseHostKey(text string) (string, error) {
	const wrong = ValueError("The host key must be one line such as \"ssh-ed25519 AAAA...\", as ssh-keyscan shows\nit and as it stands in /etc/ssh/ssh_host_ed25519_key.pub of the host.")
	kinds := []string{"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"}
	words := strings.Fields(text)
	at := slices.IndexFunc(words, func(w string) bool { return slices.Contains(kinds, w) })
	if at < 0 || at > 1 || at+1 >= len(words) || len(text) > maxKeyLine {
		return "", wrong
	}
	kind, key := words[at], words[at+1]
	wire, err := base64.StdEncoding.DecodeString(key)
	// RFC 4253 §6.6: the key begins with its kind.
	if err != nil || len(wire) < 4+len(kind)+4 || binary.BigEndian.Uint32(wire) != uint32(len(kind)) || string(wire[4:4+len(kind)]) != kind {
		return "", wrong
	}
	return kind + " " + key, nil
}

// PublicKey gives the gateway's public key for the target as a line of its
// authorized_keys (RFC 5656 §3.1).
func (a Archive) PublicKey() (string, error) {
	signer, err := ReadKey(a.Key.Reveal())
	if err != nil {
		return "", err
	}
	key, ok := signer.(*ecdsa.PrivateKey)
	if !ok {
		return "", fmt.Errorf("the key of the archive is a %T", signer)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return "", fmt.Errorf("encoding public key: %w", err)
	}
	const kind, curve = "ecdsa-sha2-nistp256", "nistp256"
	var wire []byte
	for _, part := range []string{kind, curve, string(point)} {
		wire = binary.BigEndian.AppendUint32(wire, uint32(len(part)))
		wire = append(wire, part...)
	}
	return kind + " " + base64.StdEncoding.EncodeToString(wire), nil
}

// ParseArchiveName reads the name of an archive. Two that differ in case only
// are the same.
func ParseArchiveName(text string) (string, error) {
	return nameRule{"The name of the archive must start with a letter, number or underscore.", "", plainWords, startsAny}.parse(text)
}

// Archive finds an archive by its name, in whatever case; nil if there is none.
func (c *Config) Archive(name string) *Archive {
	n := slices.IndexFunc(c.Archives, func(a Archive) bool { return strings.EqualFold(a.Name, name) })
	if n < 0 {
		return nil
	}
	return &c.Archives[n]
}

// Check looks at one archive by the rules that hold when it is typed.
func (a Archive) Check() error {
	if name, err := ParseArchiveName(a.Name); err != nil || name != a.Name {
		return refuse("The name %q is not valid.", a.Name)
	}
	if target, err := ParseArchiveTarget(a.Target); err != nil {
		return err
	} else if target != a.Target {
		return refuse("The target must be written %s.", target)
	}
	if _, err := ParseArchiveSecrets(string(a.Secrets)); err != nil {
		return err
	}
	if (a.Secrets == ArchiveEncrypted) != (a.Passphrase != "") {
		return ValueError("Encrypted passphrases need the passphrase of the files, and only they do.")
	}
	if a.Place().Host == "" {
		if a.HostKey != "" || a.Key != "" {
			return ValueError("A directory of this machine has no keys.")
		}
		return nil
	}
	if key, err := ParseHostKey(a.HostKey); err != nil {
		return err
	} else if key != a.HostKey {
		return refuse("The host key must be written %s.", key)
	}
	if _, err := a.PublicKey(); err != nil {
		return refuse("The private key of the archive cannot be used: %v.", err)
	}
	return nil
}

func (c *Config) validateArchives(p *problems) {
	if len(c.Archives) > MaxArchives {
		p.at("archives", "archiveconfig -> DELETE")("There is a maximum of %d archives.", MaxArchives)
	}
	seen, targets := map[string]bool{}, map[string]bool{}
	for _, a := range c.Archives {
		report := p.at(fmt.Sprintf("archive %q", a.Name), "archiveconfig -> EDIT")
		if err := a.Check(); err != nil {
			report("%v", err)
		}
		if key := strings.ToLower(a.Name); seen[key] {
			report("The name is there twice.")
		} else {
			seen[key] = true
		}
		if targets[a.Target] {
			report("Another archive has the same target: they would write over each other's copies.")
		}
		targets[a.Target] = true
	}
}
