package tlsconf

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
)

// Catalogue tells operators what a method and a cipher string come to.
type Catalogue struct{}

// Inbound gives what listeners will speak: a line for each suite, in the order
// of preference and the form of "openssl ciphers -v", those of TLS 1.3 first;
// and sentences about what is old, weak, unknown or of no use in it. Empty
// ciphers are our own choice. The error says why nothing could be spoken.
func (Catalogue) Inbound(method, ciphers string) (lines, warnings []string, err error) {
	return describe(method, ciphers, Server)
}

// Outbound gives what deliveries will speak, as Inbound does.
func (Catalogue) Outbound(method, ciphers string) (lines, warnings []string, err error) {
	return describe(method, ciphers, Client)
}

// Verify gives the lines of what a cipher string selects, and what is weak or
// unknown in it.
func (Catalogue) Verify(ciphers string) (lines, warnings []string, err error) {
	ids, err := ParseCiphers(ciphers)
	if err != nil {
		return nil, nil, err
	}
	var weak []string
	for _, id := range ids {
		lines = append(lines, cipherLine(id))
		if IsWeak(id) {
			weak = append(weak, CipherName(id))
		}
	}
	return lines, sentences(warning{weakCiphers, weak}, warning{unknownCiphers, UnknownCiphers(ciphers)}), nil
}

func describe(method, ciphers string, side func(Options) *tls.Config) (lines, warnings []string, err error) {
	var o Options
	if o.Min, o.Max, err = ParseMethod(method); err != nil {
		return nil, nil, err
	}
	if ciphers != "" {
		if o.Ciphers, err = ParseCiphers(ciphers); err != nil {
			return nil, nil, err
		}
	}
	selected := slices.Clone(side(o).CipherSuites)
	if o.Max == tls.VersionTLS13 {
		selected = append(Ciphers13(), selected...)
	}
	var old, idle, weak []string
	used := map[uint16]bool{}
	for _, v := range Versions() {
		if v.ID < o.Min || v.ID > o.Max {
			continue
		}
		if v.Old {
			old = append(old, v.Name)
		}
		serving := false
		for _, id := range selected {
			if Serves(id, v.ID) {
				used[id], serving = true, true
			}
		}
		if !serving {
			idle = append(idle, v.Name)
		}
	}
	for _, id := range selected {
		if !used[id] {
			continue
		}
		lines = append(lines, cipherLine(id))
		if IsWeak(id) {
			weak = append(weak, CipherName(id))
		}
	}
	if len(lines) == 0 {
		return nil, nil, fmt.Errorf("reading ciphers %q: %w that %s could use", ciphers, ErrNoCipher, strings.Join(idle, " and "))
	}
	return lines, sentences(
		warning{"Deprecated (RFC 8996), for peers only that know nothing newer: %s.", old},
		warning{"No cipher of the list can be used with %s.", idle},
		warning{weakCiphers, weak}, warning{unknownCiphers, UnknownCiphers(ciphers)}), nil
}

// warning is what is said of names, if there are any.
type warning struct {
	format string
	names  []string
}

const (
	weakCiphers    = "These ciphers are weak: %s."
	unknownCiphers = "These names are of no cipher here and are ignored: %s."
)

func sentences(all ...warning) []string {
	var said []string
	for _, w := range all {
		if len(w.names) > 0 {
			said = append(said, fmt.Sprintf(w.format, strings.Join(w.names, ", ")))
		}
	}
	return said
}

// cipherLine writes a suite as "openssl ciphers -v" does.
func cipherLine(id uint16) string {
	const format = "%-30s %-7s Kx=%-8s Au=%-5s Enc=%-22s Mac=%s"
	for _, s := range suites() {
		if s.id == id {
			kx := map[string]string{"ECDHE": "ECDH", "RSA": "RSA"}[s.kx]
			return fmt.Sprintf(format, s.name, s.from, kx, s.auth, s.encryption(), s.mac)
		}
	}
	enc := map[uint16]string{tls.TLS_AES_128_GCM_SHA256: "AESGCM(128)", tls.TLS_AES_256_GCM_SHA384: "AESGCM(256)",
		tls.TLS_CHACHA20_POLY1305_SHA256: "CHACHA20/POLY1305(256)"}[id]
	return fmt.Sprintf(format, CipherName(id), "TLSv1.3", "any", "any", enc, "AEAD")
}

// encryption is OpenSSL's word with the size of the key; it counts the bits of
// triple DES that are stored, not those that protect.
func (s suite) encryption() string {
	switch s.enc {
	case "CHACHA20":
		return "CHACHA20/POLY1305(256)"
	case "3DES":
		return "3DES(168)"
	}
	return fmt.Sprintf("%s(%d)", s.enc, s.bits)
}
