package store

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"
)

// Bounds of the size of RSA keys, in bits: what is smaller is broken, what is
// larger only costs time.
const (
	LeastSSHKeyBits = 2048
	MostSSHKeyBits  = 8192
)

// DefaultSSHPort is the port of SSH of an interface that does not say which.
const DefaultSSHPort = 22

// SSHD is how the SSH server speaks. A list that is empty stands for that of
// StandardSSH.
type SSHD struct {
	Signatures []string `label:"Public Key Authentication Algorithms" zero:"Default"` // of operators' keys
	Ciphers    []string `label:"Cipher Algorithms" zero:"Default"`
	MACs       []string `label:"MAC Methods" zero:"Default"`
	MinRSABits int      `label:"Minimum Server Key Size"` // of RSA keys: ours with less are not offered, operators' not accepted
	KEX        []string `label:"KEX Algorithms" zero:"Default"`
}

// SSHAlgorithms are names of RFC 4250 §4.11, those we like best first.
type SSHAlgorithms struct{ Signatures, Ciphers, MACs, KEX []string }

// SupportedSSH is what can be chosen: no SHA-1, no CBC, no DSA, no group
// exchange, which costs us much at the client's will.
func SupportedSSH() SSHAlgorithms {
	return SSHAlgorithms{
		Signatures: []string{
			"ssh-ed25519", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
			"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512", "rsa-sha2-256",
		},
		Ciphers: []string{
			"aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com",
			"aes128-ctr", "aes192-ctr", "aes256-ctr",
		},
		MACs: []string{
			"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512",
		},
		KEX: []string{
			"mlkem768x25519-sha256", "curve25519-sha256",
			"ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521",
			"diffie-hellman-group16-sha512", "diffie-hellman-group14-sha256",
		},
	}
}

// StandardSSH is what is spoken where nothing is chosen: all but key exchange
// on the curves of NIST, which auditors object to.
func StandardSSH() SSHAlgorithms {
	a := SupportedSSH()
	a.KEX = slices.DeleteFunc(a.KEX, func(name string) bool { return strings.HasPrefix(name, "ecdh-") })
	return a
}

// Algorithms gives what is spoken: the lists chosen, or our own.
func (s SSHD) Algorithms() SSHAlgorithms {
	a := StandardSSH()
	for _, list := range []struct {
		chosen []string
		into   *[]string
	}{{s.Signatures, &a.Signatures}, {s.Ciphers, &a.Ciphers}, {s.MACs, &a.MACs}, {s.KEX, &a.KEX}} {
		if len(list.chosen) > 0 {
			*list.into = list.chosen
		}
	}
	return a
}

// accepts reports whether a key, a line of authorized_keys without options, can
// sign under these settings.
func (s SSHD) accepts(line string) bool {
	kind, rest, _ := strings.Cut(line, " ")
	spoken := s.Algorithms().Signatures
	if kind != "ssh-rsa" {
		return slices.Contains(spoken, kind)
	}
	blob, _, _ := strings.Cut(rest, " ")
	return rsaKeyBits(blob) >= s.MinRSABits &&
		slices.ContainsFunc(spoken, func(name string) bool { return strings.HasPrefix(name, "rsa-") })
}

// rsaKeyBits gives the size of a key "ssh-rsa" (RFC 4253 §6.6: its name, the
// exponent and the modulus, each after its length), 0 if it is none.
func rsaKeyBits(blob string) int {
	data, err := base64.StdEncoding.DecodeString(blob)
	var field []byte
	for range 3 {
		if err != nil || len(data) < 4 || uint64(len(data)-4) < uint64(binary.BigEndian.Uint32(data)) {
			return 0
		}
		end := 4 + binary.BigEndian.Uint32(data)
		field, data = data[4:end], data[end:]
	}
	return new(big.Int).SetBytes(field).BitLen()
}

// ParseSSHAlgorithms reads names separated by commas or blanks, each one of
// supported. The list of standard, or the word default, gives nil: what is
// standard then changes with the gateway's version.
func ParseSSHAlgorithms(text string, supported, standard []string) ([]string, error) {
	if strings.EqualFold(strings.TrimSpace(text), "default") {
		return nil, nil
	}
	names := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
	if err := checkAlgorithms(names, supported); err != nil {
		return nil, err
	}
	if slices.Equal(names, standard) {
		return nil, nil
	}
	return names, nil
}

func checkAlgorithms(names, supported []string) error {
	if len(names) == 0 {
		return errBlank
	}
	for i, name := range names {
		if !slices.Contains(supported, name) {
			return refuse("The algorithm %q is not supported. The algorithms are: %s.", name, strings.Join(supported, ", "))
		}
		if slices.Contains(names[:i], name) {
			return refuse("The algorithm %q is given twice.", name)
		}
	}
	return nil
}

// SSHAddresses gives where the SSH server listens: the port of each interface
// that has one, on all its addresses.
func (c *Config) SSHAddresses() []netip.AddrPort {
	var all []netip.AddrPort
	for _, i := range c.Interfaces {
		all = append(all, i.sshAddresses()...)
	}
	return all
}

func (i Interface) sshAddresses() []netip.AddrPort {
	if i.SSHPort == 0 {
		return nil
	}
	var all []netip.AddrPort
	for _, a := range i.Addrs() {
		all = append(all, netip.AddrPortFrom(a, i.SSHPort))
	}
	return all
}

// SSHInterface gives the name of the interface whose SSH port addr is, empty
// if there is none.
func (c *Config) SSHInterface(addr netip.AddrPort) string {
	for _, i := range c.Interfaces {
		if slices.Contains(i.sshAddresses(), addr) {
			return i.Name
		}
	}
	return ""
}

func (c *Config) validateSSHD(p *problems) {
	supported := SupportedSSH()
	for _, list := range []struct {
		what             string
		names, supported []string
	}{
		{"Public key authentication algorithms", c.SSHD.Signatures, supported.Signatures},
		{"Cipher algorithms", c.SSHD.Ciphers, supported.Ciphers},
		{"MAC methods", c.SSHD.MACs, supported.MACs},
		{"KEX algorithms", c.SSHD.KEX, supported.KEX},
	} {
		if len(list.names) == 0 {
			continue
		}
		if err := checkAlgorithms(list.names, list.supported); err != nil {
			p.at("SSH server", "sshconfig -> SSHD -> SETUP")("%s: %v", list.what, err)
		}
	}
	if err := inRange(int64(c.SSHD.MinRSABits), LeastSSHKeyBits, MostSSHKeyBits); err != nil {
		p.at("SSH server", "sshconfig -> SSHD -> SETUP")("Minimum server key size: %v", err)
	}
	for _, l := range c.Listeners {
		for _, a := range c.Addresses(l) {
			if name := c.SSHInterface(a); name != "" {
				p.at(fmt.Sprintf("interface %q", name), "interfaceconfig -> EDIT")("Port %d of %s is currently assigned to %s.", a.Port(), a.Addr(), l.place())
			}
		}
	}
}
