package store

import (
	"slices"
	"strings"
)

// TLSVersion is a protocol version, in the words of sslconfig.
type TLSVersion string

// The versions, oldest first.
const (
	TLS10 TLSVersion = "tlsv1_0"
	TLS11 TLSVersion = "tlsv1_1"
	TLS12 TLSVersion = "tlsv1_2"
	TLS13 TLSVersion = "tlsv1_3"
)

// TLSVersions lists the versions, oldest first.
func TLSVersions() []TLSVersion { return []TLSVersion{TLS10, TLS11, TLS12, TLS13} }

// maxCiphers bounds a cipher string, in bytes.
const maxCiphers = 4096

// SSL holds the TLS settings of all listeners and of all deliveries.
type SSL struct {
	Inbound  SSLSettings `label:"Inbound SMTP" object:"inbound SSL settings"`
	Outbound SSLSettings `label:"Outbound SMTP" object:"outbound SSL settings"`
}

// SSLSettings are the versions that may be spoken, without a gap and oldest
// first, and the cipher suites below TLS 1.3 as an OpenSSL cipher string;
// empty for our own choice.
type SSLSettings struct {
	Versions []TLSVersion `label:"method"`
	Ciphers  string       `label:"ciphers" zero:"Default"`
}

func factorySSL() SSL {
	return SSL{Inbound: SSLSettings{Versions: []TLSVersion{TLS12, TLS13}}, Outbound: SSLSettings{Versions: []TLSVersion{TLS12, TLS13}}}
}

// Method gives the versions as one word: "tlsv1_2tlsv1_3".
func (s SSLSettings) Method() string {
	var word strings.Builder
	for _, v := range s.Versions {
		word.WriteString(string(v))
	}
	return word.String()
}

// Check looks at what needs no cipher library.
func (s SSLSettings) Check() error {
	all := TLSVersions()
	if len(s.Versions) == 0 {
		return refuse("At least one method must be chosen.")
	}
	first := slices.Index(all, s.Versions[0])
	if first < 0 || first+len(s.Versions) > len(all) || !slices.Equal(s.Versions, all[first:first+len(s.Versions)]) {
		return refuse("The methods must be known ones that follow each other, oldest first: %s.", s.Method())
	}
	if len(s.Ciphers) > maxCiphers || strings.ContainsFunc(s.Ciphers, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return refuse("The ciphers must be printable ASCII without blanks, at most %d characters.", maxCiphers)
	}
	return nil
}

func (c *Config) validateSSL(p *problems) {
	for _, s := range []struct {
		side     string
		settings SSLSettings
	}{{"INBOUND", c.SSL.Inbound}, {"OUTBOUND", c.SSL.Outbound}} {
		if err := s.settings.Check(); err != nil {
			p.at(strings.ToLower(s.side)+" SSL settings", "sslconfig -> "+s.side)("%v", err)
		}
	}
}
