package tlsconf

import (
	"crypto/tls"
	"fmt"
	"strings"
)

// Version is a protocol version with its names.
type Version struct {
	ID   uint16
	Word string // of sslconfig: "tlsv1_2"
	Name string // of logs, and OpenSSL: "TLSv1.2"
	Old  bool   // deprecated by RFC 8996
}

// Versions lists those there are, the newest first.
func Versions() []Version {
	return []Version{
		{tls.VersionTLS13, "tlsv1_3", "TLSv1.3", false},
		{tls.VersionTLS12, "tlsv1_2", "TLSv1.2", false},
		{tls.VersionTLS11, "tlsv1_1", "TLSv1.1", true},
		{tls.VersionTLS10, "tlsv1_0", "TLSv1", true},
	}
}

// ProtocolName gives the name of a version as OpenSSL and the logs write it;
// of one that is not known, its number.
func ProtocolName(id uint16) string {
	for _, v := range Versions() {
		if v.ID == id {
			return v.Name
		}
	}
	return fmt.Sprintf("0x%04X", id)
}

// ParseMethod reads the versions of a method, words set one behind the other
// as sslconfig shows them ("tlsv1_2tlsv1_3"), in any order and case. They must
// leave no gap: TLS 1.0 and 1.2 need 1.1 (reference esa-cli-config 12).
func ParseMethod(method string) (least, most uint16, err error) {
	var found [4]bool
	rest := strings.ToLower(method)
	versions := Versions()
	for rest != "" {
		i := 0
		for i < len(versions) && !strings.HasPrefix(rest, versions[i].Word) {
			i++
		}
		if i == len(versions) {
			return 0, 0, fmt.Errorf("reading TLS method %q: %q is no version", method, rest)
		}
		found[i], rest = true, rest[len(versions[i].Word):]
	}
	gap := false
	for i, v := range versions {
		switch {
		case !found[i]:
			gap = most != 0
		case gap && least != 0:
			return 0, 0, fmt.Errorf("reading TLS method %q: %s needs %s too", method, v.Name, versions[i-1].Name)
		default:
			least, most = v.ID, max(most, v.ID)
		}
	}
	if most == 0 {
		return 0, 0, fmt.Errorf("reading TLS method %q: no version", method)
	}
	return least, most, nil
}
